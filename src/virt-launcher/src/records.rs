//! What a launcher remembers about its domain (node.md §4.1). Never read back from the hypervisor; lost when the launcher ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use launcher_rpc::{GracePeriodRecord, Records as Contents};
use tokio::sync::Notify;

/// The launcher's memory, with a signal when something in it changed that the handler should know.
#[derive(Debug, Default)]
pub(crate) struct Records {
    contents: Mutex<Contents>,
    changed: Notify,
}

impl Records {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy, for a report.
    pub(crate) fn snapshot(&self) -> Contents {
        self.lock().clone()
    }

    /// Changes it without telling: the caller's own event will carry it.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Contents)) {
        change(&mut self.lock());
    }

    /// Changes it, and tells if that changed anything.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Contents)) {
        let mut contents = self.lock();
        let before = contents.clone();
        change(&mut contents);
        let changed = *contents != before;
        drop(contents);
        if changed {
            self.changed.notify_one();
        }
    }

    /// Changes the record of the grace period, and tells if that changed anything.
    pub(crate) fn update_grace_period(&self, change: impl FnOnce(&mut GracePeriodRecord)) {
        self.update(|contents| change(contents.grace_period.get_or_insert_default()));
    }

    /// Waits until something changed that was not yet reported.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What changed so far is being reported.
    pub(crate) fn reported(&self) {
        use futures::FutureExt;
        // Takes the permit, if there is one.
        let _ = self.changed.notified().now_or_never();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn only_changes_are_told_and_only_once() {
        let records = Records::default();
        records.set(|contents| contents.uid = "1".to_owned());
        assert!(records.changed().now_or_never().is_none());
        records.update_grace_period(|grace| grace.deletion_grace_period_seconds = 30);
        records.update_grace_period(|grace| grace.marked_for_graceful_shutdown = Some(true));
        assert!(records.changed().now_or_never().is_some());
        assert!(records.changed().now_or_never().is_none());
        records.update_grace_period(|grace| grace.deletion_grace_period_seconds = 30);
        assert!(records.changed().now_or_never().is_none());
        records.update_grace_period(|grace| grace.deletion_grace_period_seconds = 0);
        records.reported();
        assert!(records.changed().now_or_never().is_none());
    }
}
