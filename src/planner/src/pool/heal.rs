//! VMs that cannot start are replaced (spec controllers §5 step 2).

use api::pool::v1beta1::VirtualMachinePoolAutohealingStrategy;
use api::v1::VirtualMachine;
use api::v1::values::{printable_status, vm_condition};

use super::{BURST, Observed, scale};
use crate::conditions;
use crate::plan::Action;

/// How many starts in a row have to fail, unless the pool says.
const THRESHOLD: u32 = 3;

/// The deletions of the pool's VMs that fail; scaling makes new ones.
pub(super) fn plan(observed: &Observed<'_>) -> Vec<Action> {
    let Some(strategy) = &observed.pool.spec.autohealing else { return Vec::new() };
    let failing = observed.members().filter(|vm| fails(observed, strategy, vm)).take(BURST);
    failing.flat_map(|vm| scale::deletion(observed, vm)).collect()
}

fn fails(observed: &Observed<'_>, strategy: &VirtualMachinePoolAutohealingStrategy, vm: &VirtualMachine) -> bool {
    let Some(status) = &vm.status else { return false };
    let failures = status.start_failure.as_ref().and_then(|failure| failure.consecutive_fail_count).unwrap_or_default();
    if failures >= i64::from(strategy.start_up_failure_threshold.unwrap_or(THRESHOLD)) {
        return true;
    }
    let stuck = matches!(
        status.printable_status.as_deref().unwrap_or_default(),
        printable_status::CRASH_LOOP_BACK_OFF
            | printable_status::ERROR_UNSCHEDULABLE
            | printable_status::DATA_VOLUME_ERROR
            | printable_status::ERROR_PVC_NOT_FOUND
            | printable_status::ERR_IMAGE_PULL
            | printable_status::IMAGE_PULL_BACK_OFF
    );
    let ready = conditions::get(&status.conditions, vm_condition::READY).filter(|ready| ready.status == conditions::FALSE);
    let since = ready.and_then(|ready| ready.last_probe_time.as_ref().or(ready.last_transition_time.as_ref()));
    let patience = i64::try_from(observed.heal_after.as_secs()).unwrap_or(i64::MAX);
    stuck && since.is_some_and(|since| observed.now.0.as_second().saturating_sub(since.0.as_second()) >= patience)
}

/// How long until the first VM that is stuck now counts as failing; nothing when the pool does not heal itself.
pub(super) fn recheck(observed: &Observed<'_>) -> Option<std::time::Duration> {
    let strategy = observed.pool.spec.autohealing.as_ref()?;
    let unwell = |vm: &VirtualMachine| {
        !fails(observed, strategy, vm)
            && vm.status.as_ref().is_some_and(|status| {
                conditions::is(&status.conditions, vm_condition::READY, conditions::FALSE)
                    && !matches!(status.printable_status.as_deref(), Some(printable_status::STOPPED | printable_status::RUNNING))
            })
    };
    observed.members().any(|vm| unwell(vm)).then_some(observed.heal_after.max(super::DELAY))
}
