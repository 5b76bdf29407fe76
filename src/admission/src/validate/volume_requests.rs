//! Requests to plug and unplug volumes, in a VirtualMachine's status (spec/admission.md §6.2, VR).

use std::collections::BTreeSet;

use api::config::ClusterConfig;
use api::v1::{AddVolumeOptions, VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceSpec, VirtualMachineVolumeRequest, Volume};

use super::spec::{SpecContext, validate_spec};
use super::{hotplug, same};
use crate::{CauseKind, Denial};

const FIELD: &str = "Status.volumeRequests";

/// VR1-VR9.
pub(super) fn validate(vm: &VirtualMachine, vmi: Option<&VirtualMachineInstance>, config: &ClusterConfig) -> Result<(), Denial> {
    let requests = vm.status.as_ref().map(|s| s.volume_requests.as_slice()).unwrap_or_default();
    if requests.is_empty() {
        return Ok(());
    }
    let vmi = vmi.filter(|v| v.metadata.deletion_timestamp.is_none());
    let template = vm.spec.template.spec.as_deref().cloned().unwrap_or_default();
    let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
    for request in requests {
        match (&request.add_volume_options, &request.remove_volume_options) {
            (Some(_), Some(_)) => {
                return refuse("VolumeRequests require either addVolumeOptions or removeVolumeOptions to be set, not both");
            }
            (None, None) => return refuse("VolumeRequests require one of either addVolumeOptions or removeVolumeOptions to be set"),
            (Some(add), None) => {
                if !added.insert(&add.name) {
                    return refuse(format!("AddVolume request for [{}] aleady exists", add.name));
                }
                if let Some(cause) = hotplug::disk_configuration(Some(&add.disk), &add.name, "AddVolume request", FIELD) {
                    return Err(Denial::invalid(vec![cause]));
                }
                conflicts(add, &template, "the vmi template.")?;
                if let Some(vmi) = vmi {
                    conflicts(add, &vmi.spec, "currently running vmi")?;
                }
            }
            (None, Some(remove)) => {
                if !removed.insert(&remove.name) {
                    return refuse(format!("RemoveVolume request for [{}] aleady exists", remove.name));
                }
            }
        }
    }
    simulate(&template, requests, config)?;
    let Some(vmi) = vmi else { return Ok(()) };
    simulate(&vmi.spec, requests, config)?;
    if is_migrating(vmi) {
        let message = "Cannot handle volume requests while VMI migration is in progress";
        return Err(Denial::cause(CauseKind::NotSupported, "spec", message));
    }
    Ok(())
}

fn refuse(message: impl Into<String>) -> Result<(), Denial> {
    Err(Denial::cause(CauseKind::Invalid, FIELD, message))
}

/// VR5, VR6: a name that is taken by something else.
fn conflicts(add: &AddVolumeOptions, spec: &VirtualMachineInstanceSpec, place: &str) -> Result<(), Denial> {
    let Some(volume) = spec.volumes.iter().rfind(|v| v.name == add.name) else { return Ok(()) };
    if same(volume, &volume_of(add)) {
        return Ok(());
    }
    refuse(format!("AddVolume request for [{}] conflicts with an existing volume of the same name on {place}", add.name))
}

/// The volume a request is about, as it is written there.
fn volume_of(add: &AddVolumeOptions) -> Volume {
    let mut volume = Volume { name: add.name.clone(), ..Volume::default() };
    volume.persistent_volume_claim.clone_from(&add.volume_source.persistent_volume_claim);
    if volume.persistent_volume_claim.is_none() {
        volume.data_volume.clone_from(&add.volume_source.data_volume);
    }
    volume
}

/// VR8: what the specification would be, judged.
fn simulate(spec: &VirtualMachineInstanceSpec, requests: &[VirtualMachineVolumeRequest], config: &ClusterConfig) -> Result<(), Denial> {
    let mut result = spec.clone();
    for request in requests {
        if let Some(add) = &request.add_volume_options {
            plug(&mut result, add);
        } else if let Some(remove) = &request.remove_volume_options {
            result.volumes.retain(|v| v.name != remove.name);
            result.domain.devices.disks.retain(|d| d.name != remove.name);
        }
    }
    validate_spec(&SpecContext { base: "spec.template.spec", spec: &result, config }).into_result()
}

fn plug(spec: &mut VirtualMachineInstanceSpec, add: &AddVolumeOptions) {
    if spec.volumes.iter().any(|v| v.name == add.name) {
        return;
    }
    let mut volume = volume_of(add);
    if let Some(claim) = &mut volume.persistent_volume_claim {
        claim.hotpluggable = Some(true);
    }
    if let Some(data_volume) = &mut volume.data_volume {
        data_volume.hotpluggable = Some(true);
    }
    let mut disk = add.disk.clone();
    disk.name.clone_from(&add.name);
    spec.volumes.push(volume);
    spec.domain.devices.disks.push(disk);
}

fn is_migrating(vmi: &VirtualMachineInstance) -> bool {
    let state = vmi.status.as_ref().and_then(|s| s.migration_state.as_ref());
    state.is_some_and(|m| m.start_timestamp.is_some() && m.end_timestamp.is_none())
}
