//! What to do with the domain of one VMI in this pass (node.md §6.2, §6.3, §6.5).

use std::time::Duration;

use api::names::NODE_NAME_LABEL;
use api::v1::VirtualMachineInstance;
use api::v1::values::vmi_phase;
use k8s_openapi::jiff::Timestamp;

use super::io_error::{self, IoErrors};
use super::{Domain, DomainStatus, Launcher, phase, reasons};

/// How long a domain that was defined may take until it starts.
const SLOW_START: Duration = Duration::from_mins(5);
/// A launcher that may still come is looked for again after this long.
const LAUNCHER_AGAIN: Duration = Duration::from_secs(1);
/// What starts slowly, or cleans up, is looked at again after this long.
const LATER: Duration = Duration::from_secs(5);

/// What the handler knows about one namespace and name.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The VMI; absent when it is gone.
    pub vmi: Option<&'a VirtualMachineInstance>,
    /// The domain; absent when there never was one, or it was cleaned up.
    pub domain: Option<&'a Domain>,
    /// The launcher of the VMI, or, where the VMI is another incarnation than the domain, of the domain.
    pub launcher: Launcher,
    /// This node's name.
    pub node: &'a str,
    /// What is remembered of failing disks.
    pub io_errors: Option<IoErrors>,
    /// The present.
    pub now: Timestamp,
}

/// What to do with the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Nothing; the status may be written.
    Nothing,
    /// Bring the guest to its end.
    ShutDown,
    /// Pull the plug of a domain that can no longer be saved, or whose VMI is final.
    Destroy,
    /// Have what is left of the domain removed, and clean up.
    Delete,
    /// Have the domain brought in line with the VMI.
    Update,
}

/// Why nothing is done, not even to the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another node's.
    NotOurs,
    /// A migration is under way: source and target have their own controllers.
    Migrating,
    /// The launcher cannot be reached, so that nothing is known about the domain.
    Unreachable,
    /// The domain of an earlier VMI of the same name still lives.
    OldIncarnationLives,
    /// Neither VMI nor domain is left, and everything is cleaned up.
    NothingLeft,
}

/// What this pass does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, for this reason; look again after so long where that is given.
    Refuse(Refusal, Option<Duration>),
    /// Clean up after the launcher of an earlier VMI of the same name, then look again.
    CleanUpOldIncarnation {
        /// After this long.
        again: Duration,
    },
    /// The guest moved away: remove what is left of its domain.
    RetireSource,
    /// Carry this out, then write the status of a VMI that is not final.
    Act {
        /// What.
        operation: Operation,
        /// Look again after this long.
        again: Option<Duration>,
        /// What to remember of failing disks.
        io_errors: Option<IoErrors>,
    },
}

/// Decides.
pub fn decide(observed: &Observed<'_>) -> Decision {
    let Observed { vmi, domain, launcher, node, .. } = *observed;
    if let (Some(vmi), Some(domain)) = (vmi, domain)
        && !domain.uid.is_empty()
        && vmi.metadata.uid.as_deref() != Some(domain.uid.as_str())
    {
        return old_incarnation(domain, launcher);
    }
    let existing = domain.filter(|domain| !domain.deleted);
    if existing.is_some_and(|domain| domain.status == DomainStatus::Shutoff && domain.reason == reasons::MIGRATED) {
        return Decision::RetireSource;
    }
    let deleting = vmi.is_some_and(|vmi| vmi.metadata.deletion_timestamp.is_some());
    if !deleting && is_migrating(vmi, existing) {
        return Decision::Refuse(Refusal::Migrating, None);
    }
    if vmi.is_some_and(|vmi| !is_ours(vmi, node)) {
        return Decision::Refuse(Refusal::NotOurs, None);
    }
    if vmi.is_none() && domain.is_none() {
        return Decision::Refuse(Refusal::NothingLeft, None);
    }
    if existing.is_some_and(|domain| domain.status == DomainStatus::Unknown) {
        return Decision::Refuse(Refusal::Unreachable, Some(LATER));
    }
    act(observed, existing)
}

fn old_incarnation(domain: &Domain, launcher: Launcher) -> Decision {
    if !launcher.initialized {
        Decision::Refuse(Refusal::OldIncarnationLives, Some(LAUNCHER_AGAIN))
    } else if launcher.unresponsive || domain.deleted {
        Decision::CleanUpOldIncarnation { again: LATER }
    } else {
        Decision::Refuse(Refusal::OldIncarnationLives, Some(LATER))
    }
}

/// Whether the VMI runs, or is to run, on this node.
pub fn is_ours(vmi: &VirtualMachineInstance, node: &str) -> bool {
    let label = vmi.metadata.labels.as_ref().and_then(|labels| labels.get(NODE_NAME_LABEL));
    let status = vmi.status.as_ref().and_then(|status| status.node_name.as_deref());
    label.is_some_and(|label| label == node) || status == Some(node)
}

fn is_migrating(vmi: Option<&VirtualMachineInstance>, domain: Option<&Domain>) -> bool {
    let state = vmi.and_then(|vmi| vmi.status.as_ref()).and_then(|status| status.migration_state.as_ref());
    let by_status = state.is_some_and(|state| state.start_timestamp.is_some() && state.end_timestamp.is_none());
    let awaited = vmi.is_some_and(phase::is_migration_target) && state.is_none_or(|state| state.completed != Some(true));
    let by_domain = domain.is_some_and(|domain| {
        let recorded = domain.migration.as_ref().is_some_and(|migration| migration.started && !migration.ended);
        let paused = [reasons::MIGRATION, reasons::STARTING_UP, reasons::POSTCOPY];
        recorded || paused.iter().any(|reason| domain.is_paused_for(reason))
    });
    by_status || awaited || by_domain
}

fn act(observed: &Observed<'_>, domain: Option<&Domain>) -> Decision {
    let Observed { vmi, launcher, io_errors, now, .. } = *observed;
    let alive = domain.is_some_and(Domain::is_alive);
    let phase_now = vmi.map(phase::of).unwrap_or_default();
    let is_final = phase::is_final(phase_now);
    let marked = domain.and_then(|domain| domain.grace).is_some_and(|grace| grace.marked);
    let ending = match vmi {
        None => true,
        Some(vmi) => vmi.metadata.deletion_timestamp.is_some() || (marked && phase_now == vmi_phase::RUNNING),
    };
    let done = |operation| Decision::Act { operation, again: None, io_errors };
    let irrecoverable = domain.is_some_and(|domain| domain.is_paused_for(reasons::POSTCOPY_FAILED));
    if alive && !is_final && ending {
        return done(Operation::ShutDown);
    }
    // A final VMI's guest must not live on: nobody would ever look after it again.
    if alive && (is_final || irrecoverable) {
        return done(Operation::Destroy);
    }
    if ending || is_final {
        return done(Operation::Delete);
    }
    let slow = starts_slowly(vmi, domain, now);
    if domain.is_some() && !alive && !slow {
        return done(Operation::Delete);
    }
    let again = slow.then_some(LATER);
    let Some(vmi) = vmi else { return done(Operation::Nothing) };
    if phase::next(vmi, domain, launcher) != phase_now {
        return Decision::Act { operation: Operation::Nothing, again, io_errors };
    }
    if domain.is_none() && phase_now == vmi_phase::RUNNING {
        // Its domain went without a word: starting another one is not ours to do, and its launcher is about to end.
        return Decision::Act { operation: Operation::Nothing, again: Some(LAUNCHER_AGAIN), io_errors };
    }
    if !launcher.initialized {
        return Decision::Act { operation: Operation::Nothing, again: Some(LAUNCHER_AGAIN), io_errors };
    }
    if domain.is_some_and(|domain| domain.is_paused_for(reasons::IO_ERROR)) {
        let (wait, memory) = io_error::next(io_errors, now);
        let operation = if wait.is_some() { Operation::Nothing } else { Operation::Update };
        return Decision::Act { operation, again: wait, io_errors: Some(memory) };
    }
    Decision::Act { operation: Operation::Update, again, io_errors }
}

/// A domain that was defined and has not started yet: its launcher is given time, and the update that starts it goes on.
fn starts_slowly(vmi: Option<&VirtualMachineInstance>, domain: Option<&Domain>, now: Timestamp) -> bool {
    let (Some(vmi), Some(domain)) = (vmi, domain) else { return false };
    let unstarted = domain.status == DomainStatus::Shutoff && matches!(domain.reason.as_ref(), reasons::UNKNOWN | "");
    if !unstarted || phase::of(vmi) != vmi_phase::SCHEDULED || vmi.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let transitions = vmi.status.as_ref().map(|status| status.phase_transition_timestamps.as_slice()).unwrap_or_default();
    let scheduled = transitions
        .iter()
        .find(|transition| transition.phase.as_deref() == Some(vmi_phase::SCHEDULED))
        .and_then(|transition| transition.phase_transition_timestamp.as_ref())
        .or(vmi.metadata.creation_timestamp.as_ref());
    scheduled.is_none_or(|since| {
        let waited = Duration::try_from(now.duration_since(since.0)).unwrap_or_default();
        waited < SLOW_START
    })
}

#[cfg(test)]
mod tests {
    use api::v1::VirtualMachineInstanceMigrationState;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    use super::*;
    use crate::node::{Grace, Migration};

    const NOW: i64 = 10_000;

    fn time(second: i64) -> Time {
        Time(Timestamp::from_second(second).expect("in range"))
    }

    fn vmi(phase: &str) -> VirtualMachineInstance {
        let mut vmi = VirtualMachineInstance::default();
        vmi.metadata.uid = Some("uid".to_owned());
        vmi.metadata.creation_timestamp = Some(time(NOW - 10));
        vmi.metadata.labels = Some([(NODE_NAME_LABEL.to_owned(), "node".to_owned())].into());
        vmi.status.get_or_insert_default().phase = Some(phase.to_owned());
        vmi
    }

    fn domain(status: DomainStatus, reason: &'static str) -> Domain {
        Domain { uid: "uid".to_owned(), status, reason: reason.into(), ..Domain::default() }
    }

    fn ask(vmi: Option<&VirtualMachineInstance>, domain: Option<&Domain>, launcher: Launcher) -> Decision {
        let now = Timestamp::from_second(NOW).expect("in range");
        decide(&Observed { vmi, domain, launcher, node: "node", io_errors: None, now })
    }

    fn operation(decision: Decision) -> Operation {
        match decision {
            Decision::Act { operation, .. } => operation,
            other => panic!("{other:?}"),
        }
    }

    const RUNNING: (DomainStatus, &str) = (DomainStatus::Running, "Unknown");
    const OFF: (DomainStatus, &str) = (DomainStatus::Shutoff, "Shutdown");
    const UNSTARTED: (DomainStatus, &str) = (DomainStatus::Shutoff, "Unknown");
    const USER_PAUSED: (DomainStatus, &str) = (DomainStatus::Paused, "User");
    const POWERING_OFF: (DomainStatus, &str) = (DomainStatus::ShuttingDown, "Unknown");

    // The combined table of node.md §6.5.
    #[rstest]
    #[case("Scheduled", false, None, Launcher::FINE, Operation::Update)]
    #[case("Scheduled", false, None, Launcher::AWAITED, Operation::Nothing)]
    #[case("Scheduled", false, None, Launcher::GONE, Operation::Nothing)]
    #[case("Scheduled", false, Some(UNSTARTED), Launcher::FINE, Operation::Update)]
    #[case("Scheduled", false, Some((DomainStatus::Shutoff, "Failed")), Launcher::FINE, Operation::Delete)]
    #[case("Scheduled", false, Some(RUNNING), Launcher::FINE, Operation::Nothing)]
    #[case("Running", false, Some(RUNNING), Launcher::FINE, Operation::Update)]
    #[case("Running", false, Some(USER_PAUSED), Launcher::FINE, Operation::Update)]
    #[case("Running", false, Some(POWERING_OFF), Launcher::FINE, Operation::Update)]
    #[case("Running", false, Some(OFF), Launcher::FINE, Operation::Delete)]
    #[case("Running", false, None, Launcher::FINE, Operation::Nothing)]
    #[case("Running", false, None, Launcher::GONE, Operation::Nothing)]
    #[case("Running", true, Some(RUNNING), Launcher::FINE, Operation::ShutDown)]
    #[case("Running", true, Some(OFF), Launcher::FINE, Operation::Delete)]
    #[case("Running", true, None, Launcher::GONE, Operation::Delete)]
    #[case("Scheduled", true, Some(RUNNING), Launcher::FINE, Operation::ShutDown)]
    #[case("Scheduled", true, None, Launcher::FINE, Operation::Delete)]
    #[case("Succeeded", false, Some(OFF), Launcher::FINE, Operation::Delete)]
    #[case("Failed", true, None, Launcher::GONE, Operation::Delete)]
    #[case("Failed", false, Some(RUNNING), Launcher::FINE, Operation::Destroy)]
    #[case("Running", false, Some((DomainStatus::Paused, "PostcopyFailed")), Launcher::FINE, Operation::Destroy)]
    fn operations(
        #[case] phase: &str,
        #[case] deleting: bool,
        #[case] state: Option<(DomainStatus, &'static str)>,
        #[case] launcher: Launcher,
        #[case] expected: Operation,
    ) {
        let mut vmi = vmi(phase);
        vmi.metadata.deletion_timestamp = deleting.then(|| time(NOW));
        let domain = state.map(|(status, reason)| domain(status, reason));
        assert_eq!(operation(ask(Some(&vmi), domain.as_ref(), launcher)), expected);
    }

    #[rstest]
    #[case(Some(RUNNING), Decision::Act { operation: Operation::ShutDown, again: None, io_errors: None })]
    #[case(Some(OFF), Decision::Act { operation: Operation::Delete, again: None, io_errors: None })]
    #[case(None, Decision::Refuse(Refusal::NothingLeft, None))]
    fn without_a_vmi(#[case] state: Option<(DomainStatus, &'static str)>, #[case] expected: Decision) {
        let domain = state.map(|(status, reason)| domain(status, reason));
        assert_eq!(ask(None, domain.as_ref(), Launcher::FINE), expected);
    }

    #[test]
    fn a_marked_launcher_is_shut_down_once_its_vmi_runs() {
        let grace = Some(Grace { seconds: 30, since: None, marked: true });
        let marked = Domain { grace, ..domain(DomainStatus::Running, "Unknown") };
        assert_eq!(operation(ask(Some(&vmi("Running")), Some(&marked), Launcher::FINE)), Operation::ShutDown);
        assert_eq!(operation(ask(Some(&vmi("Scheduled")), Some(&marked), Launcher::FINE)), Operation::Nothing);
    }

    #[test]
    fn a_slow_start_has_five_minutes() {
        let mut vmi = vmi("Scheduled");
        let unstarted = domain(DomainStatus::Shutoff, "Unknown");
        vmi.metadata.creation_timestamp = Some(time(NOW - 299));
        let decision = ask(Some(&vmi), Some(&unstarted), Launcher::FINE);
        assert_eq!(decision, Decision::Act { operation: Operation::Update, again: Some(LATER), io_errors: None });
        vmi.metadata.creation_timestamp = Some(time(NOW - 300));
        assert_eq!(operation(ask(Some(&vmi), Some(&unstarted), Launcher::FINE)), Operation::Delete);
    }

    #[test]
    fn what_is_not_known_or_not_ours_is_left_alone() {
        let unknown = domain(DomainStatus::Unknown, "");
        let refusal = Decision::Refuse(Refusal::Unreachable, Some(LATER));
        assert_eq!(ask(Some(&vmi("Running")), Some(&unknown), Launcher::FINE), refusal);
        let mut elsewhere = vmi("Running");
        elsewhere.metadata.labels = None;
        elsewhere.status.get_or_insert_default().node_name = Some("other".to_owned());
        assert_eq!(ask(Some(&elsewhere), None, Launcher::FINE), Decision::Refuse(Refusal::NotOurs, None));
    }

    #[test]
    fn an_earlier_incarnation_goes_first() {
        let old = Domain { uid: "old".to_owned(), ..domain(DomainStatus::Running, "Unknown") };
        let vmi = vmi("Scheduled");
        let lives = |again| Decision::Refuse(Refusal::OldIncarnationLives, Some(again));
        assert_eq!(ask(Some(&vmi), Some(&old), Launcher::AWAITED), lives(LAUNCHER_AGAIN));
        assert_eq!(ask(Some(&vmi), Some(&old), Launcher::FINE), lives(LATER));
        let clean_up = Decision::CleanUpOldIncarnation { again: LATER };
        assert_eq!(ask(Some(&vmi), Some(&old), Launcher::GONE), clean_up);
    }

    #[test]
    fn a_migration_has_controllers_of_its_own() {
        let migrating = Decision::Refuse(Refusal::Migrating, None);
        let running = domain(DomainStatus::Running, "Unknown");
        let mut source = vmi("Running");
        source.status.get_or_insert_default().migration_state = Some(Box::new(VirtualMachineInstanceMigrationState {
            start_timestamp: Some(time(NOW - 5)),
            ..VirtualMachineInstanceMigrationState::default()
        }));
        assert_eq!(ask(Some(&source), Some(&running), Launcher::FINE), migrating);
        let recorded = Migration { uid: "m".to_owned(), started: true, ended: false };
        let moving = Domain { migration: Some(Box::new(recorded)), ..running.clone() };
        assert_eq!(ask(Some(&vmi("Running")), Some(&moving), Launcher::FINE), migrating);
        let paused = domain(DomainStatus::Paused, "Migration");
        assert_eq!(ask(None, Some(&paused), Launcher::FINE), migrating);
        let moved = domain(DomainStatus::Shutoff, "Migrated");
        assert_eq!(ask(Some(&vmi("Running")), Some(&moved), Launcher::FINE), Decision::RetireSource);
    }

    #[test]
    fn a_failing_disk_is_tried_with_growing_patience() {
        let failing = domain(DomainStatus::Paused, "IOError");
        let vmi = vmi("Running");
        let Decision::Act { operation, again, io_errors } = ask(Some(&vmi), Some(&failing), Launcher::FINE) else { panic!("acts") };
        assert_eq!((operation, again), (Operation::Update, None));
        let now = Timestamp::from_second(NOW + 3).expect("in range");
        let observed = Observed { vmi: Some(&vmi), domain: Some(&failing), launcher: Launcher::FINE, node: "node", io_errors, now };
        let Decision::Act { operation, again, .. } = decide(&observed) else { panic!("acts") };
        assert_eq!((operation, again), (Operation::Nothing, Some(Duration::from_secs(7))));
    }
}
