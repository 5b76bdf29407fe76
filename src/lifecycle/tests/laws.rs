//! Laws of the state machine, for every sequence of stimuli; and the golden traces as a table.

use ferrovirt_lifecycle::{
    DomainState, LifecycleEvent, OnCrash, Outcome, PausedReason, Presence, Record, RunningReason, ShutdownDetail, ShutoffReason, Stimulus,
    apply,
};
use proptest::prelude::*;
use rstest::rstest;

fn stimulus() -> impl Strategy<Value = Stimulus> {
    prop_oneof![
        Just(Stimulus::Define),
        any::<bool>().prop_map(|paused| Stimulus::Create { paused }),
        Just(Stimulus::StartFailed),
        Just(Stimulus::Suspend),
        Just(Stimulus::Resume),
        Just(Stimulus::Shutdown),
        Just(Stimulus::Reboot),
        Just(Stimulus::Reset),
        Just(Stimulus::Destroy),
        Just(Stimulus::Undefine),
        Just(Stimulus::PowerDown { by: ShutdownDetail::Guest }),
        Just(Stimulus::ProcessExited),
        Just(Stimulus::ProcessKilled),
        Just(Stimulus::Panicked(OnCrash::Destroy)),
        Just(Stimulus::Panicked(OnCrash::Preserve)),
        Just(Stimulus::CrashLoaded),
        Just(Stimulus::IoError),
        Just(Stimulus::Watchdog),
        Just(Stimulus::PmSuspend),
        Just(Stimulus::PmWakeup),
    ]
}

fn active(presence: Presence) -> bool {
    presence.record().is_some_and(|record| record.state.is_active())
}

/// Applies the outcome; every step in turn.
fn walk(presence: Presence, outcome: &Outcome, mut seen: impl FnMut(Presence, Presence, LifecycleEvent)) -> Presence {
    match outcome {
        Outcome::Changed(steps) => steps.iter().fold(presence, |before, step| {
            seen(before, step.presence, step.event);
            step.presence
        }),
        Outcome::Silent(record) => Presence::Present(*record),
        Outcome::Delivered | Outcome::Unchanged => presence,
    }
}

proptest! {
    #[test]
    fn a_stop_is_announced_exactly_when_the_process_ends(stimuli in prop::collection::vec(stimulus(), 0..60)) {
        let mut presence = Presence::Absent;
        let mut processes = 0_i32;
        for stimulus in stimuli {
            let Ok(outcome) = apply(presence, stimulus) else { continue };
            prop_assert!(!matches!(&outcome, Outcome::Changed(steps) if steps.is_empty()));
            let was_active = active(presence);
            presence = walk(presence, &outcome, |before, after, event| {
                let stops = matches!(event, LifecycleEvent::Stopped(_));
                assert_eq!(stops, active(before) && !active(after), "{before:?} {event} {after:?}");
                if stops { processes -= 1 }
            });
            if !was_active && active(presence) { processes += 1 }
            prop_assert_eq!(processes, i32::from(active(presence)));
        }
    }

    #[test]
    fn only_a_defined_domain_that_is_off_starts(stimuli in prop::collection::vec(stimulus(), 0..60), paused: bool) {
        let mut presence = Presence::Absent;
        for stimulus in stimuli {
            let allowed = apply(presence, Stimulus::Create { paused }).is_ok();
            prop_assert_eq!(allowed, presence != Presence::Absent && !active(presence));
            if let Ok(outcome) = apply(presence, stimulus) {
                presence = walk(presence, &outcome, |_, _, _| {});
            }
        }
    }

    #[test]
    fn what_is_off_and_undefined_is_gone(stimuli in prop::collection::vec(stimulus(), 0..60)) {
        let mut presence = Presence::Absent;
        for stimulus in stimuli {
            if let Ok(outcome) = apply(presence, stimulus) {
                presence = walk(presence, &outcome, |_, _, _| {});
            }
            prop_assert!(presence.record().is_none_or(|record| record.persistent || record.state.is_active()));
        }
    }

    #[test]
    fn numbers_lead_back(state in -1..9_i32, reason in 0..15_i32, event in -1..10_i32, detail in 0..9_i32) {
        if let Some(parsed) = DomainState::from_numbers(state, reason) {
            let (number, why) = parsed.numbers();
            prop_assert_eq!(number, state);
            prop_assert!(why == reason || why == 0);
        }
        if let Some(parsed) = LifecycleEvent::from_numbers(event, detail) {
            prop_assert_eq!(parsed.numbers(), (event, detail));
        }
    }
}

fn running() -> Record {
    Record { persistent: true, state: DomainState::Running(RunningReason::Booted) }
}

fn paused() -> Record {
    Record { persistent: true, state: DomainState::Paused(PausedReason::User) }
}

fn off() -> Record {
    Record { persistent: true, state: DomainState::Shutoff(ShutoffReason::Unknown) }
}

#[rstest]
#[case::cold_start(off(), &[Stimulus::Create { paused: false }], "RESUMED/UNPAUSED 1/1, STARTED/BOOTED 1/1")]
#[case::cold_start_paused(off(), &[Stimulus::Create { paused: true }], "STARTED/BOOTED 3/1, SUSPENDED/PAUSED 3/1")]
#[case::graceful(
    running(),
    &[Stimulus::Shutdown, Stimulus::PowerDown { by: ShutdownDetail::Guest }, Stimulus::ProcessExited, Stimulus::Undefine],
    "SHUTDOWN/GUEST 4/0, STOPPED/SHUTDOWN 5/1, UNDEFINED/REMOVED gone"
)]
#[case::kill(running(), &[Stimulus::Destroy], "STOPPED/DESTROYED 5/2")]
#[case::pause(running(), &[Stimulus::Suspend, Stimulus::Suspend, Stimulus::Resume], "SUSPENDED/PAUSED 3/1, RESUMED/UNPAUSED 1/5")]
#[case::io_error(running(), &[Stimulus::IoError, Stimulus::Resume], "SUSPENDED/IOERROR 3/5, RESUMED/UNPAUSED 1/5")]
#[case::reset(running(), &[Stimulus::Reset, Stimulus::Reboot], "")]
#[case::process_killed(running(), &[Stimulus::ProcessKilled], "STOPPED/FAILED 5/3")]
#[case::panic(running(), &[Stimulus::Panicked(OnCrash::Destroy)], "CRASHED/PANICKED 6/1, STOPPED/CRASHED 5/3")]
#[case::undefined_while_running(
    running(),
    &[Stimulus::Undefine, Stimulus::Destroy],
    "UNDEFINED/REMOVED 1/1, STOPPED/DESTROYED gone"
)]
fn golden_trace(#[case] start: Record, #[case] stimuli: &[Stimulus], #[case] expected: &str) {
    let mut trace = Vec::new();
    let mut presence = Presence::Present(start);
    for stimulus in stimuli {
        let outcome = apply(presence, *stimulus).expect("legal");
        presence = walk(presence, &outcome, |_, after, event| {
            let state = after.record().map_or_else(
                || "gone".to_owned(),
                |record| {
                    let (state, reason) = record.state.numbers();
                    format!("{state}/{reason}")
                },
            );
            trace.push(format!("{event} {state}"));
        });
    }
    assert_eq!(trace.join(", "), expected);
}

#[rstest]
#[case(off(), Stimulus::Shutdown, 55, "Requested operation is not valid: domain is not running")]
#[case(paused(), Stimulus::Shutdown, 55, "Requested operation is not valid: domain is not running")]
#[case(running(), Stimulus::Resume, 55, "Requested operation is not valid: domain is already running")]
#[case(running(), Stimulus::Create { paused: false }, 55, "Requested operation is not valid: domain is already running")]
#[case(off(), Stimulus::Destroy, 55, "Requested operation is not valid: domain is not running")]
#[case(off(), Stimulus::Reset, 55, "Requested operation is not valid: domain is not running")]
#[case(off(), Stimulus::Reboot, 55, "Requested operation is not valid: domain is not running")]
fn refusal(#[case] record: Record, #[case] stimulus: Stimulus, #[case] code: i32, #[case] text: &str) {
    let error = apply(Presence::Present(record), stimulus).expect_err("refused");
    assert_eq!((error.code.0, error.to_string().as_str()), (code, text));
}

#[rstest]
#[case(Stimulus::Reboot)]
#[case(Stimulus::Reset)]
fn a_halted_guest_hears_of_it_later(#[case] stimulus: Stimulus) {
    assert_eq!(apply(Presence::Present(paused()), stimulus), Ok(Outcome::Delivered));
}

#[test]
fn a_start_that_fails_says_so_in_the_state() {
    let outcome = apply(Presence::Present(off()), Stimulus::StartFailed).expect("legal");
    let failed = Record { persistent: true, state: DomainState::Shutoff(ShutoffReason::Failed) };
    assert_eq!(outcome, Outcome::Silent(failed));
}
