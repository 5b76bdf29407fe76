//! What a run strategy makes of the VMI, or of its absence (spec controllers §3.4, the table).

use std::time::Duration;

use api::names;
use api::names::reason;
use api::v1::VirtualMachineInstance;

use super::requests::Request;
use super::{Observed, RunStrategy, start_failure};
use crate::metadata;
use crate::plan::PlanError;
use crate::vmi::{Phase, is_decentralized, is_receiver};

/// What is to happen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// Nothing.
    Leave,
    /// Start an instance.
    Start,
    /// Delete the instance; afterwards ask for a start where it failed.
    Stop {
        /// The strategy wants it back although nobody asked.
        ask_for_start: bool,
    },
    /// Look again later.
    Wait(Duration),
    /// Change the strategy of the VM.
    Become(RunStrategy),
    /// A Start request under Halted: the VM is to run from now on.
    Unhalt,
    /// Complain.
    Refuse(PlanError),
}

/// Between two looks at a migration that is not complete.
const MIGRATION_RECHECK: Duration = Duration::from_secs(2);

/// Decides.
pub(super) fn decide(observed: &Observed<'_>, strategy: &RunStrategy) -> Decision {
    let request = Request::first(observed.vm);
    match observed.vmi {
        Some(vmi) => with_instance(observed, strategy, request, vmi),
        None => without_instance(observed, strategy, request),
    }
}

fn with_instance(observed: &Observed<'_>, strategy: &RunStrategy, request: Request<'_>, vmi: &VirtualMachineInstance) -> Decision {
    let phase = Phase::of(vmi);
    let stop = Decision::Stop { ask_for_start: false };
    match strategy {
        RunStrategy::Always => {
            if !request.stops(vmi) && !phase.is_final() {
                return Decision::Leave;
            }
            if !phase.is_final() || !is_decentralized(vmi) {
                return stop;
            }
            // Moved to another cluster: it runs there now.
            if has_moved(vmi) { Decision::Become(RunStrategy::Halted) } else { Decision::Wait(MIGRATION_RECHECK) }
        }
        RunStrategy::RerunOnFailure => {
            if metadata::is_deleting(&vmi.metadata) || !(request.stops(vmi) || phase.is_final()) {
                return Decision::Leave;
            }
            Decision::Stop { ask_for_start: phase == Phase::Failed }
        }
        RunStrategy::Manual if request.stops(vmi) => stop,
        RunStrategy::Manual | RunStrategy::Once => Decision::Leave,
        RunStrategy::Halted => stop,
        RunStrategy::WaitAsReceiver => {
            if is_receiver(vmi) {
                return Decision::Leave;
            }
            let restored = metadata::annotation(&observed.vm.metadata, names::RESTORE_RUN_STRATEGY_ANNOTATION);
            match restored.filter(|_| has_moved(vmi)) {
                Some(strategy) => Decision::Become(RunStrategy::Unknown(strategy.to_owned())),
                None => Decision::Refuse(PlanError::new(reason::FAILED_CREATE, "Found non receiver VMI while VM is receiver")),
            }
        }
        RunStrategy::Unknown(other) => unknown(other),
    }
}

fn without_instance(observed: &Observed<'_>, strategy: &RunStrategy, request: Request<'_>) -> Decision {
    match strategy {
        RunStrategy::Always => start_unless_backing_off(observed),
        RunStrategy::RerunOnFailure => {
            let recorded = observed.vm.status.as_ref().and_then(|status| status.run_strategy.as_deref());
            let switched = recorded != Some(strategy.as_str());
            if request.is_start() || switched { start_unless_backing_off(observed) } else { Decision::Leave }
        }
        RunStrategy::Manual if request.is_start() => Decision::Start,
        RunStrategy::Halted if request.is_start() => Decision::Unhalt,
        RunStrategy::Manual | RunStrategy::Halted => Decision::Leave,
        RunStrategy::Once | RunStrategy::WaitAsReceiver => Decision::Start,
        RunStrategy::Unknown(other) => unknown(other),
    }
}

fn start_unless_backing_off(observed: &Observed<'_>) -> Decision {
    match start_failure::time_left(observed) {
        Some(left) => Decision::Wait(left),
        None => Decision::Start,
    }
}

fn has_moved(vmi: &VirtualMachineInstance) -> bool {
    let state = vmi.status.as_ref().and_then(|status| status.migration_state.as_deref());
    state.is_some_and(|state| state.completed == Some(true))
}

fn unknown(strategy: &str) -> Decision {
    Decision::Refuse(PlanError::new(reason::FAILED_CREATE, format!("unknown runstrategy: {strategy}")))
}
