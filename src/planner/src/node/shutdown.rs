//! How a guest is brought to its end (node.md §6.7).

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::{Domain, DomainStatus};

/// The power button is pressed again after this long.
const PRESS_AGAIN: Duration = Duration::from_secs(5);

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownStep {
    /// The power button is pressed.
    Ask {
        /// Nobody did so before.
        first: bool,
        /// Look again after this long.
        again: Duration,
    },
    /// The guest is powering off already.
    Wait,
    /// The plug is pulled.
    Kill,
}

/// The next step towards the end of a domain that lives. `seconds` is the VMI's grace period, absent when the VMI does not say, or is gone.
///
/// The clock starts with the first request the hypervisor accepted, and runs against what the VMI says now: a user who sets the
/// period to 0 has the plug pulled at once.
pub fn next(domain: &Domain, seconds: Option<i64>, now: Timestamp) -> ShutdownStep {
    let Some(grace) = domain.grace.filter(|grace| grace.seconds != 0) else { return ShutdownStep::Kill };
    let seconds = u64::try_from(seconds.unwrap_or(grace.seconds)).unwrap_or_default();
    if seconds == 0 {
        return ShutdownStep::Kill;
    }
    let period = Duration::from_secs(seconds);
    let left = match grace.since {
        None => period,
        Some(since) => {
            let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            let Some(left) = period.checked_sub(passed).filter(|left| !left.is_zero()) else { return ShutdownStep::Kill };
            left
        }
    };
    if domain.status == DomainStatus::ShuttingDown {
        return ShutdownStep::Wait;
    }
    ShutdownStep::Ask { first: grace.since.is_none(), again: left.min(PRESS_AGAIN) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::node::Grace;

    const ASK_FIRST: ShutdownStep = ShutdownStep::Ask { first: true, again: Duration::from_secs(5) };

    #[rstest]
    #[case::first(30, Some(30), None, ASK_FIRST)]
    #[case::first_of_a_short_period(30, Some(2), None, ShutdownStep::Ask { first: true, again: Duration::from_secs(2) })]
    #[case::vmi_is_gone(30, None, None, ASK_FIRST)]
    #[case::again(30, Some(30), Some(10), ShutdownStep::Ask { first: false, again: Duration::from_secs(5) })]
    #[case::nearly_over(30, Some(30), Some(28), ShutdownStep::Ask { first: false, again: Duration::from_secs(2) })]
    #[case::over(30, Some(30), Some(30), ShutdownStep::Kill)]
    #[case::shortened(30, Some(5), Some(10), ShutdownStep::Kill)]
    #[case::prolonged(30, Some(60), Some(40), ShutdownStep::Ask { first: false, again: Duration::from_secs(5) })]
    #[case::set_to_none(30, Some(0), Some(1), ShutdownStep::Kill)]
    #[case::had_none(0, Some(0), None, ShutdownStep::Kill)]
    fn steps(#[case] recorded: i64, #[case] seconds: Option<i64>, #[case] passed: Option<i64>, #[case] expected: ShutdownStep) {
        let now = Timestamp::from_second(1_000).expect("in range");
        let since = passed.map(|passed| Timestamp::from_second(1_000 - passed).expect("in range"));
        let grace = Some(Grace { seconds: recorded, since, marked: false });
        let domain = Domain { status: DomainStatus::Running, grace, ..Domain::default() };
        assert_eq!(next(&domain, seconds, now), expected);
        let powering_off = Domain { status: DomainStatus::ShuttingDown, ..domain };
        let waits = matches!(expected, ShutdownStep::Ask { .. });
        assert_eq!(next(&powering_off, seconds, now) == ShutdownStep::Wait, waits);
    }

    #[test]
    fn a_domain_whose_launcher_knows_no_period_is_killed() {
        let domain = Domain { status: DomainStatus::Running, ..Domain::default() };
        assert_eq!(next(&domain, Some(30), Timestamp::UNIX_EPOCH), ShutdownStep::Kill);
    }
}
