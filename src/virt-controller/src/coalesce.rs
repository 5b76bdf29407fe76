//! Holding back writes about passing states (DESIGN, "API writes per VM life").
//!
//! A machine on a quick cluster is Starting for milliseconds. A status that says so and is replaced at once costs two writes and
//! informs nobody; one that stands for a while is written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::ObjectKey;
use tokio::time::Instant;

/// How long a passing state has to stand before it is written.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// Since when objects have been in a passing state that was not written; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coalesce {
    since: Arc<Mutex<BTreeMap<ObjectKey, Instant>>>,
}

impl Coalesce {
    /// How much longer to hold back a write about a passing state; `None` when it is time.
    pub(crate) fn hold(&self, key: &ObjectKey) -> Option<Duration> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let started = *since.entry(key.clone()).or_insert_with(Instant::now);
        let left = PATIENCE.saturating_sub(started.elapsed());
        if left.is_zero() {
            since.remove(key);
            return None;
        }
        Some(left)
    }

    /// The object's state was written, or passed.
    pub(crate) fn settle(&self, key: &ObjectKey) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn passing_states_wait_and_lasting_ones_are_written() {
        let coalesce = Coalesce::default();
        let key = ObjectKey::new("ns", "vm");
        assert_eq!(coalesce.hold(&key), Some(PATIENCE));
        tokio::time::advance(Duration::from_millis(60)).await;
        assert_eq!(coalesce.hold(&key), Some(Duration::from_millis(40)));
        tokio::time::advance(Duration::from_millis(40)).await;
        assert_eq!(coalesce.hold(&key), None);
        assert_eq!(coalesce.hold(&key), Some(PATIENCE));
        coalesce.settle(&key);
        tokio::time::advance(PATIENCE).await;
        assert_eq!(coalesce.hold(&key), Some(PATIENCE));
    }
}
