//! Volumes: whether they let the pod start (spec controllers §2.4), and what the status says about them (§2.9).

use api::names::reason;
use api::v1::values::volume_phase;
use api::v1::{HotplugVolumeStatus, Volume, VolumeStatus};
use k8s_openapi::api::core::v1::Pod;

use super::{Observed, hotplug};
use crate::metadata;
use crate::plan::{Action, PlanError};
use crate::storage::{Readiness, claim_info, claim_name, is_hotpluggable};

/// Whether the volumes let the pod start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    /// All are ready, or wait for a first consumer.
    pub(super) ready: bool,
    /// Some wait for a first consumer: a temporary pod has to be it.
    pub(super) wait_for_first_consumer: bool,
}

impl Gate {
    /// The gate over claims and DataVolumes that cannot be plugged in later; a missing claim is an error with its message.
    pub(super) fn of(observed: &Observed<'_>) -> Result<Self, String> {
        let mut gate = Self { ready: true, wait_for_first_consumer: false };
        for volume in observed.vmi.spec.volumes.iter().filter(|volume| !is_hotpluggable(volume)) {
            let Some(claim) = claim_name(volume) else { continue };
            match observed.storage.readiness(claim) {
                Readiness::Ready => {}
                Readiness::WaitForFirstConsumer => gate.wait_for_first_consumer = true,
                Readiness::NotReady => gate.ready = false,
                Readiness::Missing => {
                    let namespace = metadata::namespace(&observed.vmi.metadata);
                    return Err(format!("PVC {namespace}/{claim} does not exist, waiting for it to appear"));
                }
            }
        }
        Ok(gate)
    }
}

/// The volumes' status: one entry a volume of the spec, one for each removed volume that a pod still holds, by name. Events of
/// attachments are put into `events`.
pub(super) fn status(observed: &Observed<'_>, pod: &Pod, events: &mut Vec<Action>) -> Vec<VolumeStatus> {
    let known = observed.stored().map(|status| status.volume_status.as_slice()).unwrap_or_default();
    let hotplugged = hotplug::volumes(observed.vmi, pod);
    let set = hotplug::Attachments::of(observed, pod);
    let mut statuses = Vec::new();
    let utility = hotplug::utility_volumes(observed.vmi);
    for volume in observed.vmi.spec.volumes.iter().chain(&utility) {
        let mut status = known
            .iter()
            .find(|status| status.name == volume.name)
            .cloned()
            .unwrap_or_else(|| VolumeStatus { name: volume.name.clone(), ..VolumeStatus::default() });
        if hotplugged.iter().any(|plugged| plugged.name == volume.name) {
            attach(observed, volume, &set, &mut status, events);
        }
        describe_claim(observed, volume, &mut status);
        statuses.push(status);
    }
    for status in known.iter().filter(|status| !statuses.iter().any(|listed| listed.name == status.name)).cloned().collect::<Vec<_>>() {
        if let Some(kept) = detach(observed, &set, status, events) {
            statuses.push(kept);
        }
    }
    statuses.sort_by(|one, other| one.name.cmp(&other.name));
    statuses
}

fn describe_claim(observed: &Observed<'_>, volume: &Volume, status: &mut VolumeStatus) {
    let Some(name) = claim_name(volume) else { return };
    if let Some(claim) = observed.storage.claims.get(name) {
        status.persistent_volume_claim_info = Some(claim_info(claim));
    }
    if volume.memory_dump.is_some() {
        let dump = status.memory_dump_volume.get_or_insert_default();
        dump.claim_name = Some(name.to_owned());
    }
}

/// virt-controller's half of a hotplugged volume's life, while the volume is in the spec.
fn attach(observed: &Observed<'_>, volume: &Volume, set: &hotplug::Attachments<'_>, status: &mut VolumeStatus, events: &mut Vec<Action>) {
    let phase = status.phase.clone().unwrap_or_default();
    let Some(pod) = set.current else {
        status.hotplug_volume.get_or_insert_default().attach_pod_uid = None;
        if phase != volume_phase::READY {
            from_claim(observed, volume, status);
        }
        return;
    };
    let attached = status.hotplug_volume.get_or_insert_default();
    attached.attach_pod_name.clone_from(&pod.metadata.name);
    attached.attach_pod_uid = hotplug::is_attached(pod).then(|| pod.metadata.uid.clone()).flatten();
    match phase.as_str() {
        "" | volume_phase::BOUND | volume_phase::PENDING => {
            let name = metadata::name(&pod.metadata);
            let text = format!("Created hotplug attachment pod {name}, for volume {}", volume.name);
            status.phase = Some(volume_phase::ATTACHED_TO_NODE.to_owned());
            status.reason = Some("SuccessfulCreate".to_owned());
            status.message = Some(text.clone());
            events.push(Action::normal(&observed.reference(), "SuccessfulCreate", text));
        }
        // Put back while it was on its way out.
        volume_phase::DETACHING => from_claim(observed, volume, status),
        _ => {}
    }
}

/// The phase of a volume that no pod holds yet: its claim's.
fn from_claim(observed: &Observed<'_>, volume: &Volume, status: &mut VolumeStatus) {
    let name = claim_name(volume).unwrap_or_default();
    let (phase, why, message) = match observed.storage.claims.get(name) {
        None => (volume_phase::PENDING, reason::FAILED_PVC_NOT_FOUND, format!("PVC {name} not found")),
        Some(claim) => match claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default() {
            "Bound" => (volume_phase::BOUND, reason::PVC_NOT_READY, "PVC is in phase Bound".to_owned()),
            "Lost" => (volume_phase::PENDING, reason::PVC_NOT_READY, "PVC is in phase Lost".to_owned()),
            _ => (volume_phase::PENDING, reason::PVC_NOT_READY, "PVC is in phase Pending".to_owned()),
        },
    };
    status.phase = Some(phase.to_owned());
    status.reason = Some(why.to_owned());
    status.message = Some(message);
}

/// What remains of a volume that left the spec: its entry, as long as a pod holds it.
fn detach(
    observed: &Observed<'_>,
    set: &hotplug::Attachments<'_>,
    mut status: VolumeStatus,
    events: &mut Vec<Action>,
) -> Option<VolumeStatus> {
    let pod = set.holding(&status.name)?;
    status.hotplug_volume =
        Some(HotplugVolumeStatus { attach_pod_name: pod.metadata.name.clone(), attach_pod_uid: pod.metadata.uid.clone() });
    let held = matches!(status.phase.as_deref(), Some(volume_phase::READY | volume_phase::MOUNTED_TO_POD));
    if !held {
        status.phase = Some(volume_phase::DETACHING.to_owned());
    }
    if metadata::is_deleting(&pod.metadata) {
        let text = format!("Deleted hotplug attachment pod {}, for volume {}", metadata::name(&pod.metadata), status.name);
        status.message = Some(text.clone());
        if status.reason.as_deref() != Some("SuccessfulDelete") {
            events.push(Action::normal(&observed.reference(), "SuccessfulDelete", text));
        }
        status.reason = Some("SuccessfulDelete".to_owned());
    }
    Some(status)
}

/// The error for hotplugged volumes whose claim is not there.
pub(super) fn missing_hotplug_claim(observed: &Observed<'_>, volume: &Volume) -> Option<PlanError> {
    let name = claim_name(volume)?;
    (!observed.storage.claims.contains_key(name))
        .then(|| PlanError::new(reason::FAILED_HOTPLUG_SYNC, format!("Error determining volume status didn't find PVC {name}")))
}
