//! Attachment pods: they bring claims to the node of a running launcher (spec controllers §2.9).

use std::collections::BTreeSet;
use std::sync::Arc;

use api::v1::values::volume_phase;
use api::v1::{PersistentVolumeClaimVolumeSource, VirtualMachineInstance, Volume};
use k8s_openapi::api::core::v1::Pod;

use super::sync::{Sync, delete};
use super::{Observed, pods, volumes as volume_status};
use crate::metadata;
use crate::plan::{Action, PlanError};
use crate::storage::{Readiness, claim_name, is_hotpluggable};

/// Volumes an attachment pod has besides the claims: scratch space and the service account's token.
const OWN_VOLUMES: usize = 2;

/// Utility volumes, as the hotplugged claims they are.
pub(super) fn utility_volumes(vmi: &VirtualMachineInstance) -> Vec<Volume> {
    vmi.spec
        .utility_volumes
        .iter()
        .map(|utility| Volume {
            name: utility.name.clone(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: utility.claim_name.clone(),
                read_only: utility.read_only,
                hotpluggable: Some(true),
            }),
            ..Volume::default()
        })
        .collect()
}

/// The volumes of the VMI that its launcher does not mount itself.
pub(super) fn volumes(vmi: &VirtualMachineInstance, launcher: &Pod) -> Vec<Volume> {
    let mounted: BTreeSet<&str> =
        launcher.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).map(|volume| volume.name.as_str()).collect();
    let mut hotplugged: Vec<Volume> =
        vmi.spec.volumes.iter().filter(|volume| is_hotpluggable(volume) && !mounted.contains(volume.name.as_str())).cloned().collect();
    hotplugged.extend(utility_volumes(vmi));
    hotplugged
}

/// The attachment pods of a launcher.
pub(super) struct Attachments<'a> {
    /// The one that holds exactly the volumes that are ready to be attached.
    pub(super) current: Option<&'a Pod>,
    /// The others, newest first.
    pub(super) old: Vec<&'a Pod>,
    /// The volumes that are ready to be attached.
    pub(super) ready: Vec<Volume>,
}

impl<'a> Attachments<'a> {
    pub(super) fn of(observed: &'a Observed<'_>, launcher: &Pod) -> Self {
        let ready: Vec<Volume> = volumes(observed.vmi, launcher)
            .into_iter()
            .filter(|volume| claim_name(volume).is_some_and(|claim| observed.storage.readiness(claim) == Readiness::Ready))
            .collect();
        let mut all: Vec<&Pod> =
            pods::attachment_pods(observed.pods, launcher).into_iter().map(Arc::as_ref).filter(|pod| !pods::is_temporary(pod)).collect();
        all.sort_by(|one, other| other.metadata.creation_timestamp.cmp(&one.metadata.creation_timestamp));
        let current = all.iter().copied().find(|pod| !metadata::is_deleting(&pod.metadata) && matches(pod, &ready));
        let old = all.into_iter().filter(|pod| current.is_none_or(|current| current.metadata.uid != pod.metadata.uid)).collect();
        Self { current, old, ready }
    }

    /// The pod that holds a volume, whether it is wanted or not.
    pub(super) fn holding(&self, volume: &str) -> Option<&'a Pod> {
        self.current.into_iter().chain(self.old.iter().copied()).find(|pod| holds(pod, volume))
    }
}

fn pod_volumes(pod: &Pod) -> impl Iterator<Item = &k8s_openapi::api::core::v1::Volume> {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten())
}

fn holds(pod: &Pod, volume: &str) -> bool {
    pod_volumes(pod).any(|held| held.name == volume)
}

/// Whether an attachment pod has exactly these volumes.
fn matches(pod: &Pod, wanted: &[Volume]) -> bool {
    let names: BTreeSet<&str> = wanted.iter().map(|volume| volume.name.as_str()).collect();
    pod_volumes(pod).count() == wanted.len() + OWN_VOLUMES
        && pod_volumes(pod).filter(|held| held.persistent_volume_claim.is_some()).all(|held| names.contains(held.name.as_str()))
}

/// Whether an attachment pod has attached its claims to the node.
pub(super) fn is_attached(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    matches!(statuses, [only] if only.ready)
}

/// Deletes every attachment pod of a launcher that ended.
pub(super) fn delete_attachment_pods(observed: &Observed<'_>, launcher: &Pod, actions: &mut Vec<Action>) {
    for pod in pods::attachment_pods(observed.pods, launcher) {
        if !metadata::is_deleting(&pod.metadata) {
            delete(observed, pod, Some(0), "attachment pod", actions);
        }
    }
}

/// Removes attachment pods that are no longer wanted, and says which claims are missing.
pub(super) fn attach(observed: &Observed<'_>, launcher: &Pod, plan: &mut Sync) -> Result<(), PlanError> {
    let set = Attachments::of(observed, launcher);
    clean_up(observed, &set, &mut plan.actions);
    for volume in volumes(observed.vmi, launcher) {
        if let Some(error) = volume_status::missing_hotplug_claim(observed, &volume) {
            return Err(error);
        }
    }
    Ok(())
}

/// Old pods go, newest first; but one that runs stays until its successor does, and one that holds a volume which virt-handler
/// has not let go yet stays as well.
fn clean_up(observed: &Observed<'_>, set: &Attachments<'_>, actions: &mut Vec<Action>) {
    let successor_runs = set.current.is_some_and(|pod| pods::PodState::of(pod) == pods::PodState::Running);
    let mut fallback_kept = successor_runs || set.ready.is_empty();
    for pod in &set.old {
        if metadata::is_deleting(&pod.metadata) {
            continue;
        }
        if !fallback_kept && pods::PodState::of(pod) == pods::PodState::Running && is_useful(observed, pod) {
            fallback_kept = true;
            continue;
        }
        if !holds_removed_volume_in_use(observed, pod) {
            delete(observed, pod, Some(0), "attachment pod", actions);
        }
    }
}

fn in_use(observed: &Observed<'_>, volume: &str) -> bool {
    let statuses = observed.stored().map(|status| status.volume_status.as_slice()).unwrap_or_default();
    statuses
        .iter()
        .any(|status| status.name == volume && matches!(status.phase.as_deref(), Some(volume_phase::READY | volume_phase::MOUNTED_TO_POD)))
}

fn is_in_spec(observed: &Observed<'_>, volume: &str) -> bool {
    observed.vmi.spec.volumes.iter().any(|known| known.name == volume)
        || observed.vmi.spec.utility_volumes.iter().any(|known| known.name == volume)
}

fn is_useful(observed: &Observed<'_>, pod: &Pod) -> bool {
    pod_volumes(pod)
        .any(|held| held.persistent_volume_claim.is_some() && (is_in_spec(observed, &held.name) || in_use(observed, &held.name)))
}

fn holds_removed_volume_in_use(observed: &Observed<'_>, pod: &Pod) -> bool {
    pod_volumes(pod).any(|held| held.persistent_volume_claim.is_some() && !is_in_spec(observed, &held.name) && in_use(observed, &held.name))
}
