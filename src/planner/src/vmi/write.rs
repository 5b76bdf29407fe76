//! How a VMI is written (spec controllers §2.7): whole while it is virt-controller's, field by field once virt-handler writes too.

use api::v1::values::vmi_condition;
use api::v1::{VirtualMachineInstance, VirtualMachineInstancePhaseTransitionTimestamp};

use super::{Observed, Phase};
use crate::conditions::{self, FALSE};
use crate::guarded::GuardedPatch;
use crate::plan::{Action, OnFailure, PlanError};

/// The write that makes the stored VMI `next`, if there is anything to write.
pub(super) fn action(observed: &Observed<'_>, next: VirtualMachineInstance, error: Option<&PlanError>) -> Option<Action> {
    match observed.phase() {
        Phase::Scheduled | Phase::Running => patch(observed, &next),
        Phase::Unset | Phase::Pending | Phase::Scheduling | Phase::WaitingForSync | Phase::Succeeded | Phase::Failed | Phase::Unknown => {
            replace(observed, next, error)
        }
    }
}

fn replace(observed: &Observed<'_>, mut next: VirtualMachineInstance, error: Option<&PlanError>) -> Option<Action> {
    let phase = Phase::of(&next);
    let status = next.status.get_or_insert_default();
    match error {
        None => conditions::remove(&mut status.conditions, vmi_condition::SYNCHRONIZED),
        Some(error) if conditions::is_because(&status.conditions, vmi_condition::SYNCHRONIZED, FALSE, &error.reason) => {}
        Some(error) => {
            conditions::remove(&mut status.conditions, vmi_condition::SYNCHRONIZED);
            let mut condition = conditions::vmi(vmi_condition::SYNCHRONIZED, FALSE, &error.reason, &error.message);
            condition.last_transition_time = Some(observed.now.clone());
            status.conditions.push(condition);
        }
    }
    if phase != observed.phase()
        && !status.phase_transition_timestamps.iter().any(|entered| entered.phase.as_deref() == Some(phase.as_str()))
    {
        status.phase_transition_timestamps.push(VirtualMachineInstancePhaseTransitionTimestamp {
            phase: Some(phase.as_str().to_owned()),
            phase_transition_timestamp: Some(observed.now.clone()),
        });
    }
    if !is_worth_a_write(observed, &next) {
        return None;
    }
    let body = serde_json::to_value(&next).ok()?;
    Some(Action::Replace { object: observed.reference(), subresource: None, body, on_failure: OnFailure::default() })
}

/// Whether anything changed that somebody waits for. Before the hand-over nobody reads `activePods` and `qosClass`: they go
/// along with the next write.
fn is_worth_a_write(observed: &Observed<'_>, next: &VirtualMachineInstance) -> bool {
    let old = observed.vmi;
    if old.metadata != next.metadata {
        return true;
    }
    let mut before = old.status.clone().unwrap_or_default();
    if matches!(observed.phase(), Phase::Unset | Phase::Pending | Phase::Scheduling)
        && let Some(after) = &next.status
    {
        before.active_pods.clone_from(&after.active_pods);
        before.qos_class.clone_from(&after.qos_class);
    }
    Some(&before) != next.status.as_ref()
}

fn patch(observed: &Observed<'_>, next: &VirtualMachineInstance) -> Option<Action> {
    let old = observed.vmi;
    let (before, after) = (old.status.clone().unwrap_or_default(), next.status.clone().unwrap_or_default());
    let mut patch = GuardedPatch::default();
    patch.change("/status/volumeStatus", &before.volume_status, &after.volume_status);
    if !conditions::same(&before.conditions, &after.conditions) {
        patch.change("/status/conditions", &before.conditions, &after.conditions);
    }
    patch.change("/status/activePods", &before.active_pods, &after.active_pods);
    patch.change("/status/phase", &before.phase, &after.phase);
    patch.change(
        "/status/launcherContainerImageVersion",
        &before.launcher_container_image_version,
        &after.launcher_container_image_version,
    );
    patch.change("/metadata/labels", &old.metadata.labels, &next.metadata.labels);
    patch.change("/metadata/annotations", &old.metadata.annotations, &next.metadata.annotations);
    patch.change("/metadata/finalizers", &old.metadata.finalizers, &next.metadata.finalizers);
    let by_name = |interfaces: &[api::v1::VirtualMachineInstanceNetworkInterface]| {
        let mut sorted = interfaces.to_vec();
        sorted.sort_by(|one, other| one.name.cmp(&other.name));
        sorted
    };
    if by_name(&before.interfaces) != by_name(&after.interfaces) {
        patch.change("/status/interfaces", &before.interfaces, &after.interfaces);
    }
    patch.into_action(observed.reference())
}
