//! Holding back writes about passing states (DESIGN, "API writes per VM life").
//!
//! A machine on a quick cluster is Starting for milliseconds. A status that says so and is replaced at once costs two writes and
//! informs nobody; one that stands for a while is written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::v1::VirtualMachineInstance;
use planner::plan::Action;
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

/// VMIs as they are to be once what is held back is written: plans go on from there, and the next write has it all.
///
/// A draft lasts as long as the stored VMI is the one it was made from.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    kept: Mutex<BTreeMap<ObjectKey, Arc<VirtualMachineInstance>>>,
}

impl Drafts {
    /// The draft that goes on from `stored`.
    pub(crate) fn of(&self, key: &ObjectKey, stored: &VirtualMachineInstance) -> Option<Arc<VirtualMachineInstance>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |draft: &&Arc<VirtualMachineInstance>| {
            draft.metadata.uid == stored.metadata.uid && draft.metadata.resource_version == stored.metadata.resource_version
        };
        kept.get(key).filter(same).cloned()
    }

    /// Keeps what the held back actions would have written.
    pub(crate) fn keep(&self, key: &ObjectKey, actions: &[Action]) {
        for action in actions {
            if let Action::Replace { body, .. } = action
                && let Ok(draft) = serde_json::from_value(body.clone())
            {
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), Arc::new(draft));
            }
        }
    }

    /// Forgets a draft: it was written, or came to nothing.
    pub(crate) fn drop_draft(&self, key: &ObjectKey) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
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
