//! A VirtualMachine, new or changed (spec/admission.md §4.1).

use api::config::ClusterConfig;
use api::instancetype::v1beta1::VirtualMachinePreferenceSpec;
use api::names;
use api::v1::{Firmware, VirtualMachine, VirtualMachineInstanceSpec};

use super::spec::pcie_hotplug_capable;
use super::{Seeds, text};
use crate::Operation;

/// What a VirtualMachine's defaults depend on besides itself.
#[derive(Clone, Debug, Default)]
pub struct VmLookups {
    /// The preference the machine names, if it exists.
    pub preference: Option<VirtualMachinePreferenceSpec>,
    /// The architecture its DataSources are labelled with, if any (MVM11).
    pub data_source_architecture: Option<String>,
}

/// Completes a VirtualMachine.
///
/// Flow: nothing for one that is being deleted (MVM2); what its preference prefers (MVM6-MVM8); firmware identity of a new one
/// (MVM9, MVM10); architecture (MVM11, MVM12); machine type (MVM13); PCI layout of a new one (MVM14). Matchers are judged (MVM3),
/// and what `inferFromVolume` means is resolved (MVM4, MVM5), before.
pub fn default_vm(vm: &mut VirtualMachine, operation: Operation, lookups: &VmLookups, config: &ClusterConfig, seeds: &mut Seeds<'_>) {
    if vm.metadata.deletion_timestamp.is_some() {
        return;
    }
    if let Some(preference) = &lookups.preference {
        prefer(vm, preference);
    }
    let template = vm.spec.template.spec.get_or_insert_with(Box::<VirtualMachineInstanceSpec>::default);
    if operation == Operation::Create {
        let firmware = template.domain.firmware.get_or_insert_with(Box::<Firmware>::default);
        if text(firmware.uuid.as_ref()).is_empty() {
            firmware.uuid = Some((seeds.uuid)());
        }
        if text(firmware.serial.as_ref()).is_empty() {
            firmware.serial = Some((seeds.uuid)());
        }
    }
    if text(template.architecture.as_ref()).is_empty() {
        let labelled = lookups.data_source_architecture.clone();
        template.architecture = Some(labelled.unwrap_or_else(|| config.default_architecture().to_owned()));
    }
    let machine = template.domain.machine.get_or_insert_default();
    if text(machine.r#type.as_ref()).is_empty() {
        machine.r#type = Some(config.machine_type(text(template.architecture.as_ref())));
    }
    if operation == Operation::Create && pcie_hotplug_capable(template) {
        let metadata = vm.spec.template.metadata.get_or_insert_default();
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.entry(names::PCI_TOPOLOGY_VERSION_ANNOTATION.into()).or_insert_with(|| "v3".into());
    }
}

/// MVM6-MVM8: architecture, machine type and storage class.
fn prefer(vm: &mut VirtualMachine, preference: &VirtualMachinePreferenceSpec) {
    let template = vm.spec.template.spec.get_or_insert_default();
    if text(template.architecture.as_ref()).is_empty() && preference.preferred_architecture.is_some() {
        template.architecture.clone_from(&preference.preferred_architecture);
    }
    let machine = preference.machine.as_ref().and_then(|m| m.preferred_machine_type.clone()).filter(|t| !t.is_empty());
    if let Some(preferred) = machine {
        let machine = template.domain.machine.get_or_insert_default();
        if text(machine.r#type.as_ref()).is_empty() {
            machine.r#type = Some(preferred);
        }
    }
    let class = preference.volumes.as_ref().and_then(|v| v.preferred_storage_class_name.clone()).filter(|c| !c.is_empty());
    if let Some(class) = class {
        for spec in vm.spec.data_volume_templates.iter_mut().map(|t| &mut t.spec) {
            if let Some(pvc) = &mut spec.pvc {
                pvc.storage_class_name.get_or_insert_with(|| class.clone());
            }
            if let Some(storage) = &mut spec.storage {
                storage.storage_class_name.get_or_insert_with(|| class.clone());
            }
        }
    }
}
