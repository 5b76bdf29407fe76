//! When a guest that is paused by a failing disk is let go on again (node.md §6.10).

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// The first interval between two tries.
const FIRST: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST: Duration = Duration::from_mins(3);
/// No failure for this long after a try, and the disk counts as repaired.
const REPAIRED: Duration = Duration::from_secs(30);

/// The memory of one VMI's failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoErrors {
    next: Timestamp,
    interval: Duration,
}

/// Whether to act now on a guest paused by a failing disk, or after how long; and what to remember.
pub fn next(known: Option<IoErrors>, now: Timestamp) -> (Option<Duration>, IoErrors) {
    let after = |interval: Duration| now.checked_add(interval).unwrap_or(now);
    match known {
        Some(known) if now < known.next => {
            let wait = Duration::try_from(known.next.duration_since(now)).unwrap_or_default();
            (Some(wait), known)
        }
        Some(known) if now.duration_since(known.next) <= k8s_openapi::jiff::SignedDuration::try_from(REPAIRED).unwrap_or_default() => {
            let interval = (known.interval * 2).min(LONGEST);
            (None, IoErrors { next: after(interval), interval })
        }
        None | Some(_) => (None, IoErrors { next: after(FIRST), interval: FIRST }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_double_while_the_disk_keeps_failing() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let (wait, memory) = next(None, at(0));
        assert_eq!(wait, None);
        let (wait, memory) = next(Some(memory), at(4));
        assert_eq!(wait, Some(Duration::from_secs(6)));
        let (wait, memory) = next(Some(memory), at(10));
        assert_eq!(wait, None);
        assert_eq!(next(Some(memory), at(11)).0, Some(Duration::from_secs(19)));
        let mut now = 30;
        let mut memory = memory;
        for expected in [40, 80, 160, 180, 180] {
            let (wait, after) = next(Some(memory), at(now));
            assert_eq!(wait, None);
            memory = after;
            assert_eq!(next(Some(memory), at(now)).0, Some(Duration::from_secs(expected)));
            now += i64::try_from(expected).expect("small");
        }
        // Quiet for long enough: the next failure is a first one.
        let (_, memory) = next(Some(memory), at(now + 31));
        assert_eq!(next(Some(memory), at(now + 31)).0, Some(Duration::from_secs(10)));
    }
}
