//! Dumps of a guest's memory into a claim (spec controllers §3.13).

use api::v1::values::{memory_dump_phase as phase, volume_phase};
use api::v1::{MemoryDumpVolumeSource, VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceSpec, VirtualMachineStatus, Volume};
use serde_json::json;

use super::{Observed, template_spec_mut};
use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, Patch, PlanError, kinds};
use crate::vmi::Phase;

/// Names the dump in its claim.
const DUMP_ANNOTATION: &str = "kubevirt.io/memory-dump";

/// Removes the dump's volume.
pub(super) fn remove_volume(spec: &mut VirtualMachineInstanceSpec, claim: &str) {
    spec.volumes.retain(|volume| volume.name != claim);
}

fn add_volume(spec: &mut VirtualMachineInstanceSpec, claim: &str) {
    if !spec.volumes.iter().any(|volume| volume.name == claim) {
        let source = MemoryDumpVolumeSource { claim_name: claim.to_owned(), hotpluggable: Some(true), ..MemoryDumpVolumeSource::default() };
        spec.volumes.push(Volume { name: claim.to_owned(), memory_dump: Some(source), ..Volume::default() });
    }
}

/// Plugs the dump's volume in and out.
pub(super) fn apply(
    observed: &Observed<'_>,
    vm: &mut VirtualMachine,
    mut target: Option<&mut VirtualMachineInstance>,
    after: &mut Vec<Action>,
) -> Result<(), PlanError> {
    let Some(request) = observed.vm.status.as_ref().and_then(|status| status.memory_dump_request.clone()) else { return Ok(()) };
    let claim = request.claim_name.as_str();
    match request.phase.as_str() {
        phase::ASSOCIATING => {
            let running = target.as_ref().is_some_and(|vmi| Phase::of(vmi) == Phase::Running && !metadata::is_deleting(&vmi.metadata));
            if running {
                add_volume(template_spec_mut(vm), claim);
                if let Some(vmi) = target {
                    add_volume(&mut vmi.spec, claim);
                }
            }
        }
        phase::UNMOUNTING | phase::FAILED => {
            after.extend(annotate(observed, &request)?);
            if let Some(vmi) = &mut target {
                remove_volume(&mut vmi.spec, claim);
            }
        }
        phase::DISSOCIATING => {
            if let Some(vmi) = &mut target {
                remove_volume(&mut vmi.spec, claim);
            }
            remove_volume(template_spec_mut(vm), claim);
        }
        // In progress and completed: nothing to plug.
        _ => {}
    }
    Ok(())
}

fn annotate(observed: &Observed<'_>, request: &api::v1::VirtualMachineMemoryDumpRequest) -> Result<Option<Action>, PlanError> {
    let Some(claim) = observed.storage.claims.get(&request.claim_name) else {
        let text = format!("Error encountered while handling memory dump request: PVC {} not found", request.claim_name);
        return Err(PlanError::new("MemoryDumpError", text));
    };
    let value = match (request.phase.as_str(), request.file_name.as_deref()) {
        (phase::FAILED, _) => "Memory dump failed",
        (_, Some(file)) => file,
        (_, None) => return Ok(None),
    };
    if metadata::annotation(&claim.metadata, DUMP_ANNOTATION) == Some(value) {
        return Ok(None);
    }
    Ok(Some(Action::Patch {
        object: ObjectRef::of(&kinds::PVC, &claim.metadata),
        subresource: None,
        patch: Patch::Merge(json!({"metadata": {"annotations": {DUMP_ANNOTATION: value}}})),
        on_failure: OnFailure { reason: "MemoryDumpError".into(), ..OnFailure::default() },
    }))
}

/// Moves the request along.
pub(super) fn update(observed: &Observed<'_>, vm: &VirtualMachine, status: &mut VirtualMachineStatus) {
    let Some(request) = &mut status.memory_dump_request else { return };
    let claim = request.claim_name.clone();
    let in_template = vm.spec.template.spec.iter().flat_map(|spec| &spec.volumes).any(|volume| volume.name == claim);
    let reported =
        observed.vmi.and_then(|vmi| vmi.status.as_ref()).and_then(|status| status.volume_status.iter().find(|volume| volume.name == claim));
    if request.remove == Some(true) && !matches!(request.phase.as_str(), phase::DISSOCIATING) {
        phase::DISSOCIATING.clone_into(&mut request.phase);
        return;
    }
    match request.phase.as_str() {
        phase::ASSOCIATING if in_template => phase::IN_PROGRESS.clone_into(&mut request.phase),
        phase::IN_PROGRESS => {
            let Some(volume) = reported else { return };
            match volume.phase.as_deref() {
                Some(volume_phase::MEMORY_DUMP_COMPLETED) => {
                    phase::UNMOUNTING.clone_into(&mut request.phase);
                    if let Some(dump) = &volume.memory_dump_volume {
                        request.start_timestamp.clone_from(&dump.start_timestamp);
                        request.end_timestamp.clone_from(&dump.end_timestamp);
                        request.file_name.clone_from(&dump.target_file_name);
                    }
                }
                Some(volume_phase::MEMORY_DUMP_FAILED) => {
                    phase::FAILED.clone_into(&mut request.phase);
                    request.message.clone_from(&volume.message);
                    if let Some(dump) = &volume.memory_dump_volume {
                        request.end_timestamp.clone_from(&dump.end_timestamp);
                    }
                }
                _ => {}
            }
        }
        phase::UNMOUNTING if reported.is_none() => phase::COMPLETED.clone_into(&mut request.phase),
        phase::DISSOCIATING if reported.is_none() && !in_template => status.memory_dump_request = None,
        _ => {}
    }
}
