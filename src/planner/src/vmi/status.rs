//! The second half of a reconciliation: the VMI's own state (spec controllers §2.6).

use std::collections::BTreeMap;

use api::names::{self, reason};
use api::v1::VolumeStatus;
use api::v1::values::vmi_condition;
use api::v1::{VirtualMachineInstance, VirtualMachineInstanceCondition};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::phase::Next;
use super::{Observed, Phase, Synced, backend_storage, pod_sync, pods, write};
use crate::conditions::{self, FALSE, TRUE, UNKNOWN};
use crate::metadata;
use crate::plan::{Plan, Waiting};
use crate::storage::{Progress, claim_info};

/// The API version objects are stored and preferred at.
const API_VERSION: &str = "v1";

/// Plans the writes to the VMI and to its pod's metadata, knowing what came of the first half.
pub fn status(observed: &Observed<'_>, synced: &Synced) -> Plan {
    let pod = observed.pod().map(AsRef::as_ref).or(synced.created.as_deref());
    let mut next = Next { observed, pod, vmi: observed.vmi.clone(), error: synced.error.clone(), events: Vec::new() };
    let mut plan = Plan::default();
    prepare_metadata(&mut next.vmi);
    set_active_pods(observed, &mut next.vmi);
    set_ready(observed, pod, &mut next.vmi);
    if let Some(launcher) = pod.filter(|pod| !pods::is_temporary(pod)) {
        describe_image(observed, launcher, &mut next.vmi);
        plan.actions.extend(pod_sync::paused_action(observed, &next.vmi, launcher));
        if synced.created.is_none() {
            plan.actions.extend(pod_sync::metadata_action(observed, &next.vmi, launcher));
        }
        report_overhead(observed, launcher, &mut next.vmi);
    }
    aggregate_data_volumes(observed, &mut next.vmi);
    next.transition();
    describe_state_claim(observed, &mut next.vmi);
    request_eviction(observed, &mut next.vmi);
    let Next { vmi, error, events, .. } = next;
    plan.waiting = waiting(observed, &vmi, pod);
    plan.passing = error.is_none() && is_passing(observed, Phase::of(&vmi));
    plan.actions.extend(events);
    plan.actions.extend(write::action(observed, vmi, error.as_ref()));
    // What was found out here is in the conditions; only the first half has something to retry.
    plan.error.clone_from(&synced.error);
    plan
}

/// Marks the API versions (§1.5) and renames the finalizer of older versions, in whatever write comes next.
fn prepare_metadata(vmi: &mut VirtualMachineInstance) {
    for annotation in [names::LATEST_OBSERVED_API_VERSION_ANNOTATION, names::STORAGE_OBSERVED_API_VERSION_ANNOTATION] {
        metadata::set(&mut vmi.metadata.annotations, annotation, Some(API_VERSION));
    }
    if metadata::has_finalizer(&vmi.metadata, names::LEGACY_VMI_FINALIZER) {
        metadata::remove_finalizer(&mut vmi.metadata, names::LEGACY_VMI_FINALIZER);
        metadata::add_finalizer(&mut vmi.metadata, names::VMI_FINALIZER);
    }
}

fn set_active_pods(observed: &Observed<'_>, vmi: &mut VirtualMachineInstance) {
    let active: BTreeMap<String, String> =
        observed.own_pods().into_iter().map(|pod| (metadata::uid(&pod.metadata).to_owned(), pods::node(pod).to_owned())).collect();
    vmi.status.get_or_insert_default().active_pods = active;
}

fn set_ready(observed: &Observed<'_>, pod: Option<&Pod>, vmi: &mut VirtualMachineInstance) {
    let refused = |why: &str, message: &str| VirtualMachineInstanceCondition {
        last_probe_time: Some(observed.now.clone()),
        last_transition_time: Some(observed.now.clone()),
        ..conditions::vmi(vmi_condition::READY, FALSE, why, message)
    };
    let condition = match pod {
        None => refused(reason::POD_NOT_EXISTS, "virt-launcher pod has not yet been scheduled"),
        Some(pod) if pods::is_temporary(pod) => refused(reason::POD_NOT_EXISTS, "virt-launcher pod has not yet been scheduled"),
        Some(pod) if pods::is_down_or_going_down(pod) => refused(reason::POD_TERMINATING, "virt-launcher pod is terminating"),
        Some(_) if observed.phase() != Phase::Running => refused(reason::GUEST_NOT_RUNNING, "Guest VM is not reported as running"),
        Some(pod) => {
            let found = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
            match conditions::get(found, "Ready") {
                None => refused(reason::POD_CONDITION_MISSING, "virt-launcher pod is missing the Ready condition"),
                Some(ready) => VirtualMachineInstanceCondition {
                    last_probe_time: ready.last_probe_time.clone(),
                    last_transition_time: ready.last_transition_time.clone(),
                    ..conditions::vmi(
                        vmi_condition::READY,
                        &ready.status,
                        ready.reason.as_deref().unwrap_or_default(),
                        ready.message.as_deref().unwrap_or_default(),
                    )
                },
            }
        }
    };
    conditions::update(&mut vmi.status.get_or_insert_default().conditions, condition);
}

/// Which launcher the VMI has, and whether it is the one new VMIs get.
fn describe_image(observed: &Observed<'_>, pod: &Pod, vmi: &mut VirtualMachineInstance) {
    let Some(image) = pods::compute_image(pod) else { return };
    let outdated = image != observed.settings.launcher_image;
    metadata::set(&mut vmi.metadata.labels, names::OUTDATED_LAUNCHER_IMAGE_LABEL, outdated.then_some(""));
    vmi.status.get_or_insert_default().launcher_container_image_version = Some(image.to_owned());
}

fn report_overhead(observed: &Observed<'_>, pod: &Pod, vmi: &mut VirtualMachineInstance) {
    if !observed.config.gate("VmiMemoryOverheadReport") {
        return;
    }
    if let Some(bytes) = metadata::annotation(&pod.metadata, names::MEMORY_OVERHEAD_BYTES_ANNOTATION) {
        let memory = vmi.status.get_or_insert_default().memory.get_or_insert_default();
        memory.memory_overhead = Some(Quantity(bytes.to_owned()));
    }
}

fn aggregate_data_volumes(observed: &Observed<'_>, vmi: &mut VirtualMachineInstance) {
    let data_volumes = observed.storage.data_volumes_of(&observed.vmi.spec.volumes);
    if data_volumes.is_empty() {
        return;
    }
    let mut status = TRUE;
    for volume in data_volumes {
        match volume.condition("Ready").map_or(UNKNOWN, |condition| condition.status.as_str()) {
            TRUE => {}
            FALSE => status = FALSE,
            _ if status == TRUE => status = UNKNOWN,
            _ => {}
        }
    }
    let condition = if status == TRUE {
        conditions::vmi(vmi_condition::DATA_VOLUMES_READY, status, reason::ALL_D_VS_READY, "All of the VMI's DVs are bound and ready")
    } else {
        conditions::vmi(vmi_condition::DATA_VOLUMES_READY, status, reason::NOT_ALL_D_VS_READY, "Not all of the VMI's DVs are ready")
    };
    conditions::update(&mut vmi.status.get_or_insert_default().conditions, condition);
}

/// The claim of the guest's own state is listed among the volumes.
fn describe_state_claim(observed: &Observed<'_>, vmi: &mut VirtualMachineInstance) {
    let Some(claim) = backend_storage::claim(observed).filter(|_| convert::vmi::needs_backend_storage(observed.vmi)) else { return };
    let volumes = &mut vmi.status.get_or_insert_default().volume_status;
    let info = Some(claim_info(claim));
    if let Some(volume) = volumes.iter_mut().find(|volume| volume.name == backend_storage::VOLUME) {
        volume.persistent_volume_claim_info = info;
    } else {
        let name = backend_storage::VOLUME.to_owned();
        volumes.push(VolumeStatus { name, persistent_volume_claim_info: info, ..VolumeStatus::default() });
        volumes.sort_by(|one, other| one.name.cmp(&other.name));
    }
}

fn request_eviction(observed: &Observed<'_>, vmi: &mut VirtualMachineInstance) {
    let status = vmi.status.get_or_insert_default();
    if status.evacuation_node_name.as_deref().is_some_and(|node| !node.is_empty()) {
        let mut condition =
            conditions::vmi(vmi_condition::EVICTION_REQUESTED, TRUE, reason::EVICTION_REQUESTED, "VMI is marked for eviction");
        condition.last_transition_time = Some(observed.now.clone());
        conditions::update(&mut status.conditions, condition);
    } else {
        conditions::remove(&mut status.conditions, vmi_condition::EVICTION_REQUESTED);
    }
}

/// Whether what changes will soon change again: on a quick node the pod is ready, or gone, in no time.
fn is_passing(observed: &Observed<'_>, next: Phase) -> bool {
    match observed.phase() {
        Phase::Unset | Phase::Pending | Phase::Scheduling => !observed.is_deleting() && next == Phase::Scheduling,
        Phase::Scheduled | Phase::Running => observed.is_deleting() && next == observed.phase(),
        // The write that lets it go says it all.
        Phase::Succeeded | Phase::Failed => observed.is_deleting() && !observed.own_pods().is_empty(),
        Phase::WaitingForSync | Phase::Unknown => false,
    }
}

/// What the VMI waits for (DESIGN, invariant 2).
fn waiting(observed: &Observed<'_>, vmi: &VirtualMachineInstance, pod: Option<&Pod>) -> Option<Waiting> {
    let waits = |for_what: String| Some(Waiting { for_what, since: None });
    let since = |for_what: &str, pod: &Pod| Some(Waiting { for_what: for_what.to_owned(), since: pod.metadata.creation_timestamp.clone() });
    match (Phase::of(vmi), pod) {
        (Phase::Unset | Phase::Pending, _) => {
            let underway = observed
                .storage
                .data_volumes_of(&observed.vmi.spec.volumes)
                .into_iter()
                .find(|volume| !matches!(volume.progress(), Progress::Succeeded | Progress::PendingPopulation));
            match underway {
                Some(volume) => waits(format!("DataVolume {} to be populated", metadata::name(&volume.metadata))),
                None => waits("its volumes".to_owned()),
            }
        }
        (Phase::Scheduling, Some(pod)) if pods::node(pod).is_empty() => since("its pod to be scheduled", pod),
        (Phase::Scheduling, Some(pod)) => since("its pod's containers to run", pod),
        (Phase::Scheduled, Some(pod)) => since("virt-handler to start the guest", pod),
        (Phase::WaitingForSync, _) => waits("the migration's source".to_owned()),
        (Phase::Succeeded | Phase::Failed, _) if !observed.own_pods().is_empty() => waits("its pods to be gone".to_owned()),
        (Phase::Scheduling | Phase::Scheduled | Phase::Running | Phase::Succeeded | Phase::Failed | Phase::Unknown, _) => None,
    }
}
