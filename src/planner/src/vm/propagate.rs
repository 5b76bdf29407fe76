//! Labels and annotations that follow from the template to the instance, and from there back (spec controllers §3.10).

use std::collections::BTreeMap;

use api::names;
use api::v1::{VirtualMachine, VirtualMachineInstance};

use super::Observed;
use crate::metadata::{annotation, matches_any, set};

/// What users tell the descheduler.
const DESCHEDULER: [&str; 2] = ["descheduler.alpha.kubernetes.io/evict", "descheduler.alpha.kubernetes.io/prefer-no-eviction"];
/// What the instance found out about its PCI slots, and the template keeps.
const PCI: [&str; 2] = [names::PCI_TOPOLOGY_VERSION_ANNOTATION, names::PCI_INTERFACE_SLOT_COUNT_ANNOTATION];

fn follow(from: Option<&BTreeMap<String, String>>, to: &mut Option<BTreeMap<String, String>>, follows: impl Fn(&str) -> bool) {
    let mut next = to.clone().unwrap_or_default();
    next.retain(|key, _| !follows(key));
    next.extend(from.into_iter().flatten().filter(|(key, _)| follows(key)).map(|(key, value)| (key.clone(), value.clone())));
    if to.as_ref().map_or(!next.is_empty(), |known| *known != next) {
        *to = (!next.is_empty()).then_some(next);
    }
}

/// The template's dynamic labels and annotations.
pub(super) fn metadata(observed: &Observed<'_>, vm: &VirtualMachine, target: &mut VirtualMachineInstance) {
    let template = vm.spec.template.metadata.as_deref();
    let labels = template.and_then(|template| template.labels.as_ref());
    let annotations = template.and_then(|template| template.annotations.as_ref());
    follow(labels, &mut target.metadata.labels, |key| matches_any(&observed.settings.labels_sync, key));
    follow(annotations, &mut target.metadata.annotations, |key| {
        DESCHEDULER.contains(&key) || matches_any(&observed.settings.annotations_sync, key)
    });
    let skip = annotation(&vm.metadata, names::SKIP_BACKUP_HOOKS_ANNOTATION);
    if skip != annotation(&target.metadata, names::SKIP_BACKUP_HOOKS_ANNOTATION) {
        let skip = skip.map(str::to_owned);
        set(&mut target.metadata.annotations, names::SKIP_BACKUP_HOOKS_ANNOTATION, skip.as_deref());
    }
}

/// Once: the layout the guest saw is the layout it keeps.
pub(super) fn pci_topology(vmi: &VirtualMachineInstance, vm: &mut VirtualMachine) {
    for key in PCI {
        let Some(value) = annotation(&vmi.metadata, key) else { continue };
        let template = vm.spec.template.metadata.get_or_insert_default();
        if annotation(template, key).is_none() {
            set(&mut template.annotations, key, Some(value));
        }
    }
}
