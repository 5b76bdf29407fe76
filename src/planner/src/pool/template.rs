//! The VM of an ordinal (spec controllers §5, Scale): the template, with the ordinal in the names of what a VM has for itself.

use std::collections::BTreeMap;

use api::names;
use api::pool::v1beta1::VirtualMachinePoolSpec;
use api::v1::{VirtualMachine, VirtualMachineSpec, Volume};
use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Observed, revision};
use crate::metadata;

/// The VM of an ordinal, as it is created.
pub(super) fn vm(observed: &Observed<'_>, ordinal: u64, name: &str) -> VirtualMachine {
    let mut vm = VirtualMachine {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: observed.pool.metadata.namespace.clone(),
            owner_references: Some(vec![observed.reference().controller_reference()]),
            ..ObjectMeta::default()
        },
        ..VirtualMachine::default()
    };
    metadata::add_finalizer(&mut vm.metadata, names::POOL_FINALIZER);
    shape(observed, ordinal, &mut vm);
    vm
}

/// A VM of the pool as the present template wants it; what tells the guest which machine it is stays.
pub(super) fn updated(observed: &Observed<'_>, ordinal: u64, old: &VirtualMachine) -> VirtualMachine {
    let mut vm = VirtualMachine { metadata: old.metadata.clone(), status: old.status.clone(), ..VirtualMachine::default() };
    shape(observed, ordinal, &mut vm);
    // What the components themselves note on a VM does not come from the template.
    for key in [names::LATEST_OBSERVED_API_VERSION_ANNOTATION, names::STORAGE_OBSERVED_API_VERSION_ANNOTATION] {
        if let Some(value) = metadata::annotation(&old.metadata, key) {
            metadata::set(&mut vm.metadata.annotations, key, Some(value));
        }
    }
    let known = old.spec.template.spec.as_deref().and_then(|spec| spec.domain.firmware.as_deref());
    if let (Some(known), Some(spec)) = (known, &mut vm.spec.template.spec) {
        let firmware = spec.domain.firmware.get_or_insert_default();
        for (ours, theirs) in [(&mut firmware.uuid, &known.uuid), (&mut firmware.serial, &known.serial)] {
            if theirs.as_ref().is_some_and(|text| !text.is_empty()) {
                ours.clone_from(theirs);
            }
        }
    }
    vm
}

fn shape(observed: &Observed<'_>, ordinal: u64, vm: &mut VirtualMachine) {
    let template = observed.template().metadata.as_deref();
    let revision = revision::name(observed.pool);
    vm.metadata.labels = template.and_then(|metadata| metadata.labels.clone());
    vm.metadata.annotations = template.and_then(|metadata| metadata.annotations.clone());
    metadata::set(&mut vm.metadata.labels, names::VM_POOL_REVISION_NAME_LABEL, Some(&revision));
    vm.spec = indexed(&observed.pool.spec, ordinal);
    let metadata = vm.spec.template.metadata.get_or_insert_default();
    metadata::set(&mut metadata.labels, names::VM_POOL_REVISION_NAME_LABEL, Some(&revision));
}

/// The template's spec with the ordinal in the names of DataVolumes; in those of ConfigMaps and secrets where the pool says so.
fn indexed(pool: &VirtualMachinePoolSpec, ordinal: u64) -> VirtualMachineSpec {
    let mut spec = pool.virtual_machine_template.spec.as_deref().cloned().unwrap_or_default();
    let mut renamed = BTreeMap::new();
    for template in &mut spec.data_volume_templates {
        if let Some(name) = template.metadata.as_mut().and_then(|metadata| metadata.name.as_mut()) {
            let own = format!("{name}-{ordinal}");
            renamed.insert(std::mem::replace(name, own.clone()), own);
        }
    }
    let naming = pool.name_generation.clone().unwrap_or_default();
    let names = Names {
        renamed,
        suffix: format!("-{ordinal}"),
        config_maps: naming.append_index_to_config_map_refs == Some(true),
        secrets: naming.append_index_to_secret_refs == Some(true),
    };
    for volume in spec.template.spec.iter_mut().flat_map(|spec| spec.volumes.iter_mut()) {
        names.apply(volume);
    }
    spec
}

struct Names {
    renamed: BTreeMap<String, String>,
    suffix: String,
    config_maps: bool,
    secrets: bool,
}

impl Names {
    fn apply(&self, volume: &mut Volume) {
        let claim = volume.persistent_volume_claim.as_mut().map(|claim| &mut claim.claim_name);
        let data_volume = volume.data_volume.as_mut().map(|volume| &mut volume.name);
        for name in claim.into_iter().chain(data_volume) {
            if let Some(own) = self.renamed.get(name.as_str()) {
                name.clone_from(own);
            }
        }
        if self.config_maps {
            self.append(volume.config_map.as_mut().and_then(|source| source.name.as_mut()));
            self.append_to(volume.sysprep.as_mut().and_then(|source| source.config_map.as_mut()));
        }
        if self.secrets {
            self.append(volume.secret.as_mut().and_then(|source| source.secret_name.as_mut()));
            self.append_to(volume.sysprep.as_mut().and_then(|source| source.secret.as_mut()));
            if let Some(source) = &mut volume.cloud_init_no_cloud {
                self.append_to(source.secret_ref.as_mut());
                self.append_to(source.network_data_secret_ref.as_mut());
            }
            if let Some(source) = &mut volume.cloud_init_config_drive {
                self.append_to(source.secret_ref.as_mut());
                self.append_to(source.network_data_secret_ref.as_mut());
            }
        }
    }

    fn append(&self, name: Option<&mut String>) {
        if let Some(name) = name {
            name.push_str(&self.suffix);
        }
    }

    fn append_to(&self, reference: Option<&mut LocalObjectReference>) {
        self.append(reference.map(|reference| &mut reference.name));
    }
}
