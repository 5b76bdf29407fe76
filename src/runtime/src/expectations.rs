//! Expectations: writes whose echo has not been seen in the caches yet (spec controllers §1.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long an expectation holds a key back; after that the caches are believed again.
pub const EXPECTATION_TIMEOUT: Duration = Duration::from_mins(5);

/// What one controller waits to see, by the key of the object it reconciles. Clones share the state.
///
/// Creations are counted, deletions tracked by the deleted object's key, so that seeing the deletion twice (the deletion
/// time, then the disappearance) counts once.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    state: Arc<Mutex<BTreeMap<String, Expected>>>,
}

#[derive(Debug)]
struct Expected {
    creations: usize,
    deletions: BTreeSet<String>,
    since: Instant,
}

impl Expectations {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects to see `count` more creations for `key`.
    pub fn expect_creations(&self, key: &str, count: usize) {
        let mut state = self.state();
        let expected = entry(&mut state, key);
        expected.creations += count;
        expected.since = Instant::now();
    }

    /// Expects to see `object` deleted for `key`.
    pub fn expect_deletion(&self, key: &str, object: &str) {
        let mut state = self.state();
        let expected = entry(&mut state, key);
        expected.deletions.insert(object.to_owned());
        expected.since = Instant::now();
    }

    /// A creation was seen, or will never be.
    pub fn creation_observed(&self, key: &str) {
        if let Some(expected) = self.state().get_mut(key) {
            expected.creations = expected.creations.saturating_sub(1);
        }
    }

    /// The deletion of `object` was seen, or will never be.
    pub fn deletion_observed(&self, key: &str, object: &str) {
        if let Some(expected) = self.state().get_mut(key) {
            expected.deletions.remove(object);
        }
    }

    /// Whether everything expected for `key` was seen, or is too old to wait for.
    pub fn satisfied(&self, key: &str) -> bool {
        self.state().get(key).is_none_or(|expected| {
            (expected.creations == 0 && expected.deletions.is_empty()) || expected.since.elapsed() > EXPECTATION_TIMEOUT
        })
    }

    /// Whether a creation for `key` is still to be seen.
    pub fn creation_expected(&self, key: &str) -> bool {
        self.state().get(key).is_some_and(|expected| expected.creations > 0)
    }

    /// Whether a deletion for `key` is still to be seen.
    pub fn deletion_expected(&self, key: &str) -> bool {
        self.state().get(key).is_some_and(|expected| !expected.deletions.is_empty())
    }

    /// Drops what is expected for `key`: its object is gone.
    pub fn forget(&self, key: &str) {
        self.state().remove(key);
    }

    fn state(&self) -> MutexGuard<'_, BTreeMap<String, Expected>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry<'a>(state: &'a mut BTreeMap<String, Expected>, key: &str) -> &'a mut Expected {
    state.entry(key.to_owned()).or_insert_with(|| Expected { creations: 0, deletions: BTreeSet::new(), since: Instant::now() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn held_until_seen_or_stale() {
        let expectations = Expectations::new();
        assert!(expectations.satisfied("a"));
        expectations.expect_creations("a", 1);
        expectations.expect_deletion("a", "pod");
        assert!(!expectations.satisfied("a"));
        expectations.creation_observed("a");
        expectations.creation_observed("a");
        assert!(!expectations.satisfied("a"));
        expectations.deletion_observed("a", "pod");
        expectations.deletion_observed("a", "pod");
        assert!(expectations.satisfied("a"));
        expectations.expect_creations("a", 1);
        tokio::time::advance(EXPECTATION_TIMEOUT + Duration::from_secs(1)).await;
        assert!(expectations.satisfied("a"));
        assert!(expectations.creation_expected("a"));
    }
}
