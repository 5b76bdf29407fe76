//! How many pods an update may add and take away: pure.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A number, or a share of `total` in percent.
pub(super) fn share(value: Option<&IntOrString>, default: &str, total: i32, up: bool) -> i32 {
    let percent = |text: &str| {
        let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
        let product = percent * i64::from(total);
        i32::try_from(if up { (product + 99) / 100 } else { product / 100 }).unwrap_or(0)
    };
    match value {
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => percent(text),
        None if default.ends_with('%') => percent(default),
        None => default.parse().unwrap_or(0),
    }
}

/// Replicas of one ReplicaSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) wanted: i32,
    pub(super) available: i32,
}

/// The next sizes of the new and the old ReplicaSets (oldest first) of a rolling update.
pub(super) fn roll(replicas: i32, surge: i32, unavailable: i32, new: Size, old: &[Size]) -> (i32, Vec<i32>) {
    // Both zero would never move.
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    let old_total: i32 = old.iter().map(|size| size.wanted).sum();
    let total = new.wanted + old_total;
    let next_new = if new.wanted >= replicas {
        replicas
    } else {
        let room = (replicas + surge - total).max(0);
        (new.wanted + room).min(replicas)
    };
    let available = new.available + old.iter().map(|size| size.available).sum::<i32>();
    let minimum = replicas - unavailable;
    let new_unavailable = new.wanted - new.available;
    let mut may_go = (total - minimum - new_unavailable.max(0)).max(0);
    let mut next_old: Vec<i32> = old.iter().map(|size| size.wanted).collect();
    // What does not work anyway goes first.
    for (next, size) in next_old.iter_mut().zip(old) {
        let unhealthy = (size.wanted - size.available).max(0).min(may_go);
        *next -= unhealthy;
        may_go -= unhealthy;
    }
    let mut healthy = (available - minimum).max(0).min(may_go);
    for (next, size) in next_old.iter_mut().zip(old) {
        let gone = (*next).min(size.available).min(healthy).max(0);
        *next -= gone;
        healthy -= gone;
    }
    (next_new, next_old)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("25%", 4, true, 1)]
    #[case("25%", 3, true, 1)]
    #[case("25%", 3, false, 0)]
    #[case("50%", 10, false, 5)]
    fn shares(#[case] text: &str, #[case] total: i32, #[case] up: bool, #[case] expected: i32) {
        assert_eq!(share(Some(&IntOrString::String(text.to_owned())), "", total, up), expected);
    }

    proptest! {
        #[test]
        fn an_update_keeps_its_bounds_and_ends(replicas in 1..8_i32, surge in 0..4_i32, unavailable in 0..4_i32) {
            let full = Size { wanted: replicas, available: replicas };
            let (mut new, mut old) = (Size { wanted: 0, available: 0 }, full);
            let allowed = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
            for _ in 0..100 {
                let (next, olds) = roll(replicas, surge, unavailable, new, &[old]);
                prop_assert!(next + olds[0] <= replicas + surge.max(0), "surge");
                old = Size { wanted: olds[0], available: olds[0].min(old.available) };
                prop_assert!(new.available + old.available >= replicas - allowed, "availability");
                new = Size { wanted: next, available: next };
            }
            prop_assert_eq!((new.wanted, old.wanted), (replicas, 0));
        }
    }
}
