//! The one-word state (spec controllers §3.8, the table; spec api §6.1).

use api::v1::VirtualMachineInstance;
use api::v1::values::{printable_status as word, vmi_condition};
use api::v1::{VirtualMachineStatus, Volume};

use super::requests::Request;
use super::{Observed, RunStrategy};
use crate::conditions::{self, FALSE, TRUE};
use crate::metadata;
use crate::storage::{DataVolume, Progress, claim_name};
use crate::vmi::Phase;

/// What the word depends on besides the observation.
pub(super) struct Facts<'a> {
    /// The run strategy, where it is legal.
    pub(super) strategy: Option<&'a RunStrategy>,
    /// The status that is about to be written.
    pub(super) status: &'a VirtualMachineStatus,
    /// An instance was created and is not seen yet.
    pub(super) creation: bool,
    /// The instance was deleted, which is not seen yet.
    pub(super) deletion: bool,
}

/// The word: the first of upstream's list that holds.
pub(super) fn status(observed: &Observed<'_>, facts: &Facts<'_>) -> &'static str {
    let vmi = observed.vmi;
    let phase = vmi.map(Phase::of);
    let is = |kind: &str, status: &str| vmi.is_some_and(|vmi| conditions::is(conditions_of(vmi), kind, status));
    let because = |kind: &str, reason: &str| vmi.is_some_and(|vmi| conditions::is_because(conditions_of(vmi), kind, FALSE, reason));
    let stopped = vmi.is_none_or(|vmi| Phase::of(vmi).is_final());
    let absent = vmi.is_none();
    if metadata::is_deleting(&observed.vm.metadata) {
        return word::TERMINATING;
    }
    if vmi.is_some_and(|vmi| !Phase::of(vmi).is_final() && (metadata::is_deleting(&vmi.metadata) || facts.deletion)) {
        return word::STOPPING;
    }
    if vmi.is_some_and(|vmi| is_migrating(observed, vmi)) {
        return word::MIGRATING;
    }
    if phase == Some(Phase::Running) {
        return if is(vmi_condition::PAUSED, TRUE) { word::PAUSED } else { word::RUNNING };
    }
    if because(vmi_condition::SYNCHRONIZED, "FailedPvcNotFound") {
        return word::ERROR_PVC_NOT_FOUND;
    }
    let volumes: &[Volume] = observed.vm.spec.template.spec.as_deref().map(|spec| spec.volumes.as_slice()).unwrap_or_default();
    // Only those that are named: what fills a claim that is named itself is not the VM's business.
    let named = || volumes.iter().filter_map(|volume| volume.data_volume.as_ref());
    let data_volumes = || named().filter_map(|volume| observed.storage.data_volumes.get(&volume.name));
    if data_volumes().any(|volume| has_failed(volume)) {
        return word::DATA_VOLUME_ERROR;
    }
    if because(vmi_condition::POD_SCHEDULED, "Unschedulable") {
        return word::ERROR_UNSCHEDULABLE;
    }
    if data_volumes().any(|volume| is_provisioning(volume)) {
        return word::PROVISIONING;
    }
    if is_set_to_start(observed, facts) && volumes.iter().any(|volume| is_unbound(observed, volume)) {
        return word::WAITING_FOR_VOLUME_BINDING;
    }
    if because(vmi_condition::SYNCHRONIZED, "ErrImagePull") {
        return word::ERR_IMAGE_PULL;
    }
    if because(vmi_condition::SYNCHRONIZED, "ImagePullBackOff") {
        return word::IMAGE_PULL_BACK_OFF;
    }
    let starting = match phase {
        None => facts.creation,
        Some(phase) => matches!(phase, Phase::Unset | Phase::Pending | Phase::Scheduling | Phase::Scheduled),
    };
    if starting {
        return word::STARTING;
    }
    let failed = facts.status.start_failure.as_ref().and_then(|failure| failure.consecutive_fail_count).unwrap_or(0) > 0;
    if stopped && !facts.creation && failed && facts.strategy.is_some_and(RunStrategy::counts_start_failures) {
        return word::CRASH_LOOP_BACK_OFF;
    }
    if stopped && !(absent && facts.creation) {
        return word::STOPPED;
    }
    if facts.strategy == Some(&RunStrategy::WaitAsReceiver) && matches!(phase, None | Some(Phase::WaitingForSync)) {
        return word::WAITING_FOR_RECEIVER;
    }
    word::UNKNOWN
}

fn conditions_of(vmi: &VirtualMachineInstance) -> &[api::v1::VirtualMachineInstanceCondition] {
    vmi.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

fn is_migrating(observed: &Observed<'_>, vmi: &VirtualMachineInstance) -> bool {
    let state = vmi.status.as_ref().and_then(|status| status.migration_state.as_deref());
    state
        .is_some_and(|state| state.end_timestamp.is_none() && state.start_timestamp.as_ref().is_some_and(|start| start.0 <= observed.now.0))
}

fn has_failed(volume: &DataVolume) -> bool {
    let stopped = volume.condition("Running").filter(|condition| condition.status == FALSE);
    let reason = stopped.and_then(|condition| condition.reason.as_deref());
    volume.progress() == Progress::Failed || matches!(reason, Some("Error" | "ImagePullFailed"))
}

fn is_provisioning(volume: &DataVolume) -> bool {
    let bound = volume.condition("Bound").is_some_and(|condition| condition.status == TRUE);
    match volume.progress() {
        Progress::Succeeded | Progress::PendingPopulation => false,
        Progress::WaitForFirstConsumer => bound,
        Progress::Failed | Progress::Pending | Progress::Unset | Progress::Underway => true,
    }
}

fn is_unbound(observed: &Observed<'_>, volume: &Volume) -> bool {
    let claim = claim_name(volume).and_then(|claim| observed.storage.claims.get(claim));
    claim.is_some_and(|claim| claim.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Bound"))
}

/// Whether there is, or soon will be, an instance.
fn is_set_to_start(observed: &Observed<'_>, facts: &Facts<'_>) -> bool {
    let request = Request::first(observed.vm);
    match (facts.strategy, observed.vmi) {
        (Some(RunStrategy::Always), _) | (Some(RunStrategy::Once), None) => true,
        (Some(RunStrategy::Manual), Some(vmi)) => !request.stops(vmi),
        (Some(RunStrategy::Manual), None) => request.is_start(),
        (Some(RunStrategy::RerunOnFailure), Some(vmi)) => Phase::of(vmi) != Phase::Succeeded,
        (Some(strategy @ RunStrategy::RerunOnFailure), None) => {
            let recorded = observed.vm.status.as_ref().and_then(|status| status.run_strategy.as_deref());
            request.is_start() || recorded != Some(strategy.as_str())
        }
        (Some(RunStrategy::Halted | RunStrategy::WaitAsReceiver | RunStrategy::Once | RunStrategy::Unknown(_)) | None, _) => false,
    }
}
