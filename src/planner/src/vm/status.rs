//! The second half of a reconciliation: the VM's status, then the instance's release (spec controllers §3.8).

use api::names;
use api::v1::values::{printable_status as word, run_strategy, vm_condition, vmi_condition};
use api::v1::{ChangedBlockTrackingStatus, VirtualMachine, VirtualMachineCondition, VirtualMachineInstance, VirtualMachineStatus};
use serde_json::json;

use super::requests::{Request, start as start_request};
use super::{Observed, RunStrategy, memory_dump, printable, revision, start_failure, volumes};
use crate::conditions::{self, FALSE, TRUE};
use crate::guarded::GuardedPatch;
use crate::plan::{ObjectRef, Plan, PlanError, Waiting, kinds};
use crate::vmi::Phase;
use crate::{metadata, selector};

/// What the first half led to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The VM as it is now.
    pub vm: VirtualMachine,
    /// An instance was created.
    pub created: bool,
    /// The instance was deleted.
    pub deleted: bool,
    /// A failed instance is wanted back.
    pub ask_for_start: bool,
    /// What went wrong.
    pub error: Option<PlanError>,
}

/// Conditions that are the VM's own.
const OWN: [&str; 3] = [vm_condition::READY, vm_condition::FAILURE, vm_condition::RESTART_REQUIRED];

/// Plans the write of the status, then the one that lets a final instance go: never the other way round, or what is known of
/// the instance would be lost with it.
pub fn status(observed: &Observed<'_>, outcome: &Outcome) -> Plan {
    let mut stored = observed.vm.status.clone().unwrap_or_default();
    let mut status = outcome.vm.status.clone().unwrap_or_default();
    // The first half writes these itself.
    stored.instancetype_ref.clone_from(&status.instancetype_ref);
    stored.preference_ref.clone_from(&status.preference_ref);
    let strategy = RunStrategy::of(&outcome.vm).ok();
    let vmi = observed.vmi;
    status.created = vmi.is_some().then_some(true);
    set_generations(observed, &mut status);
    status.ready = vmi.is_some_and(is_ready).then_some(true);
    if let Some(strategy) = &strategy
        && (vmi.is_some() || stored.created == Some(true))
    {
        status.run_strategy = Some(strategy.as_str().to_owned());
    }
    let template = outcome.vm.spec.template.spec.as_deref().cloned().unwrap_or_default();
    status.volume_requests.retain(|request| !volumes::is_done(request, &template));
    memory_dump::update(observed, &outcome.vm, &mut status);
    let start = start_request();
    if outcome.ask_for_start && !status.state_change_requests.contains(&start) {
        status.state_change_requests.push(start);
    }
    if Request::first(observed.vm).is_done(vmi) && !status.state_change_requests.is_empty() {
        status.state_change_requests.remove(0);
    }
    start_failure::update(observed, strategy.as_ref(), &mut status);
    set_conditions(observed, outcome.error.as_ref(), &mut status);
    let facts = printable::Facts {
        strategy: strategy.as_ref(),
        status: &status,
        creation: outcome.created || observed.expected.creation,
        deletion: outcome.deleted || observed.expected.deletion,
    };
    status.printable_status = Some(printable::status(observed, &facts).to_owned());
    status.changed_block_tracking = block_tracking(observed, &status);
    let mut plan = Plan { error: outcome.error.clone(), waiting: waiting(observed, &status), ..Plan::default() };
    let mut patch = GuardedPatch::default();
    match &observed.vm.status {
        Some(_) => patch.change_fields("/status", &stored, &status),
        None if status != VirtualMachineStatus::default() => patch.push(json!({"op": "add", "path": "/status", "value": status})),
        None => {}
    }
    plan.actions.extend(patch.into_subresource_action(observed.reference(), Some("status")));
    plan.passing = is_passing(&stored, &status);
    if let Some(vmi) = vmi.filter(|vmi| is_recorded(vmi)) {
        let mut released = vmi.metadata.clone();
        metadata::remove_finalizer(&mut released, names::VM_FINALIZER);
        let mut patch = GuardedPatch::default();
        patch.change("/metadata/finalizers", &vmi.metadata.finalizers, &released.finalizers);
        plan.actions.extend(patch.into_action(ObjectRef::of(&kinds::VMI, &vmi.metadata)));
    }
    plan
}

/// Whether all that changes is how far an instance on its way has come.
fn is_passing(old: &VirtualMachineStatus, new: &VirtualMachineStatus) -> bool {
    let on_its_way = match new.printable_status.as_deref().unwrap_or_default() {
        word::STARTING | word::STOPPING | word::TERMINATING => true,
        word::RUNNING => new.ready != Some(true),
        _ => false,
    };
    // RerunOnFailure starts an instance anew unless it is known to have been started.
    let recorded = new.run_strategy == old.run_strategy || new.run_strategy.as_deref() != Some(run_strategy::RERUN_ON_FAILURE);
    let failed = conditions::has(&new.conditions, vm_condition::FAILURE);
    let progress = VirtualMachineStatus {
        created: new.created,
        ready: new.ready,
        printable_status: new.printable_status.clone(),
        conditions: new.conditions.clone(),
        observed_generation: new.observed_generation,
        desired_generation: new.desired_generation,
        run_strategy: new.run_strategy.clone(),
        ..old.clone()
    };
    on_its_way && recorded && !failed && progress == *new
}

/// Whether everything of an instance that the VM keeps is in its status once that is written.
fn is_recorded(vmi: &VirtualMachineInstance) -> bool {
    let phase = Phase::of(vmi);
    phase.is_final() || (phase == Phase::WaitingForSync && metadata::is_deleting(&vmi.metadata))
}

fn is_ready(vmi: &VirtualMachineInstance) -> bool {
    vmi.status.as_ref().is_some_and(|status| conditions::is(&status.conditions, vmi_condition::READY, TRUE))
}

fn set_generations(observed: &Observed<'_>, status: &mut VirtualMachineStatus) {
    let Some(vmi) = observed.vmi else { return };
    status.desired_generation = observed.vm.metadata.generation;
    let bumped = revision::newer_generation(observed, vmi).and_then(|generation| generation.parse().ok());
    if let Some(generation) = bumped.or_else(|| revision::observed_generation(vmi)) {
        status.observed_generation = Some(generation);
    }
}

fn set_conditions(observed: &Observed<'_>, error: Option<&PlanError>, status: &mut VirtualMachineStatus) {
    let refused = |reason: &str, message: &str| VirtualMachineCondition {
        last_probe_time: Some(observed.now.clone()),
        ..conditions::vm(vm_condition::READY, FALSE, reason, message, &observed.now)
    };
    let theirs = observed.vmi.and_then(|vmi| vmi.status.as_ref()).map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = match (observed.vmi, conditions::get(theirs, vmi_condition::READY)) {
        (None, _) => refused("VMINotExists", "VMI does not exist"),
        (Some(_), None) => refused("VMIConditionMissing", "VMI is missing the Ready condition"),
        (Some(_), Some(ready)) => mirrored(ready),
    };
    let conditions = &mut status.conditions;
    conditions::update(conditions, ready);
    match error {
        None => conditions::remove(conditions, vm_condition::FAILURE),
        Some(error) => {
            conditions::update(conditions, conditions::vm(vm_condition::FAILURE, TRUE, &error.reason, &error.message, &observed.now));
        }
    }
    if observed.vmi.is_none() {
        return;
    }
    for condition in theirs.iter().filter(|condition| !OWN.contains(&condition.r#type.as_str())) {
        conditions::update(conditions, mirrored(condition));
    }
    conditions.retain(|condition| OWN.contains(&condition.r#type.as_str()) || conditions::has(theirs, &condition.r#type));
}

fn mirrored(condition: &api::v1::VirtualMachineInstanceCondition) -> VirtualMachineCondition {
    VirtualMachineCondition {
        r#type: condition.r#type.clone(),
        status: condition.status.clone(),
        last_probe_time: condition.last_probe_time.clone(),
        last_transition_time: condition.last_transition_time.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    }
}

/// Whether changed blocks of the VM's disks are to be tracked: the cluster's configuration selects it by label.
pub(super) fn is_tracked(observed: &Observed<'_>) -> bool {
    let Some(selectors) = &observed.config.configuration().changed_block_tracking_label_selectors else { return false };
    let labels = observed.vm.metadata.labels.clone().unwrap_or_default();
    selectors.virtual_machine_label_selector.as_ref().is_some_and(|selector| selector::matches(selector, &labels))
}

/// The state of changed block tracking (spec controllers §3.13, the table).
fn block_tracking(observed: &Observed<'_>, status: &VirtualMachineStatus) -> Option<ChangedBlockTrackingStatus> {
    let known = status.changed_block_tracking.as_ref();
    let state = known.map_or("", |known| known.state.as_str());
    let theirs =
        observed.vmi.and_then(|vmi| vmi.status.as_ref()?.changed_block_tracking.as_ref()).map_or("", |theirs| theirs.state.as_str());
    let active = matches!(theirs, "Initializing" | "Enabled");
    let next = match (observed.config.gate("IncrementalBackup"), is_tracked(observed), observed.vmi) {
        (true, true, None) => {
            if state == "Enabled" {
                "Enabled"
            } else {
                "Initializing"
            }
        }
        (true, true, Some(_)) => match state {
            "" | "Undefined" | "FGDisabled" => "PendingRestart",
            "PendingRestart" | "Disabled" => {
                if active {
                    theirs
                } else {
                    "PendingRestart"
                }
            }
            _ => {
                if theirs == "Enabled" {
                    "Enabled"
                } else {
                    "Initializing"
                }
            }
        },
        (true, false, Some(_)) if active => "PendingRestart",
        (true, false, _) => {
            if matches!(state, "" | "Undefined" | "Disabled") {
                state
            } else {
                "Disabled"
            }
        }
        (false, selected, _) if !active => {
            if selected {
                "FGDisabled"
            } else {
                ""
            }
        }
        (false, _, _) => {
            if matches!(state, "Initializing" | "Enabled") {
                "PendingRestart"
            } else {
                state
            }
        }
    };
    if next.is_empty() {
        return None;
    }
    let mut tracking = known.cloned().unwrap_or_default();
    next.clone_into(&mut tracking.state);
    Some(tracking)
}

/// What the VM waits for (DESIGN, invariant 2).
fn waiting(observed: &Observed<'_>, status: &VirtualMachineStatus) -> Option<Waiting> {
    let since = observed.vmi.and_then(|vmi| vmi.metadata.creation_timestamp.clone());
    let for_what = match status.printable_status.as_deref().unwrap_or_default() {
        "Starting" => "its instance to run".to_owned(),
        "Stopping" => "its instance to be gone".to_owned(),
        "Terminating" => "its instance and finalizers to be gone".to_owned(),
        "Provisioning" => "its DataVolumes to be populated".to_owned(),
        "WaitingForVolumeBinding" => "its claims to be bound".to_owned(),
        "CrashLoopBackOff" => {
            let until = status.start_failure.as_ref().and_then(|failure| failure.retry_after_timestamp.as_ref());
            format!("the next start at {}", until.map_or_else(String::new, |until| until.0.to_string()))
        }
        "ErrorUnschedulable" => "a node that fits".to_owned(),
        "ErrImagePull" | "ImagePullBackOff" => "its images".to_owned(),
        "ErrorPvcNotFound" => "its claims to appear".to_owned(),
        _ => return None,
    };
    Some(Waiting { for_what, since })
}
