//! The bounded history of one resource.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Stored;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was created.
    Added = 0,
    /// It was changed.
    Modified = 1,
    /// It was removed.
    Deleted = 2,
}

impl EventKind {
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }

    /// How a line of a watch begins, up to the object.
    pub(super) fn opening(self) -> &'static [u8] {
        match self {
            Self::Added => br#"{"type":"ADDED","object":"#,
            Self::Modified => br#"{"type":"MODIFIED","object":"#,
            Self::Deleted => br#"{"type":"DELETED","object":"#,
        }
    }
}

/// One change.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The object after the change; for a removal its last state at the removal's revision.
    pub object: Arc<Stored>,
    /// The object before the change.
    pub previous: Option<Arc<Stored>>,
}

/// How much history a resource keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At most this many events.
    pub events: usize,
    /// At most this many bytes of encoded objects, unless there are fewer than `at_least` events.
    pub bytes: usize,
    /// This many events are kept whatever their size.
    pub at_least: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: 16_384, bytes: 16 << 20, at_least: 256 }
    }
}

/// Events in the order of their revisions, and how far back they reach.
#[derive(Debug, Default)]
pub(super) struct History {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Every event after this revision is here.
    oldest: u64,
    pushed_since_sweep: usize,
}

impl History {
    /// The oldest revision from which nothing is missing.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Appends an event. Says whether sleeping watches should move on, lest the history outruns them.
    pub(super) fn push(&mut self, event: Event, limits: &Limits) -> bool {
        self.bytes += event.object.json.len();
        self.events.push_back(Arc::new(event));
        while self.events.len() > limits.events.max(1) || (self.bytes > limits.bytes && self.events.len() > limits.at_least.max(1)) {
            self.drop_first();
        }
        self.pushed_since_sweep += 1;
        let sweep = self.pushed_since_sweep * 2 >= limits.events.min(limits.at_least).max(2);
        if sweep {
            self.pushed_since_sweep = 0;
        }
        sweep
    }

    fn drop_first(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.bytes = self.bytes.saturating_sub(event.object.json.len());
            self.oldest = self.oldest.max(event.object.revision);
        }
    }

    /// Forgets everything up to and including `revision`.
    pub(super) fn compact(&mut self, revision: u64) {
        while self.events.front().is_some_and(|event| event.object.revision <= revision) {
            self.drop_first();
        }
        self.oldest = self.oldest.max(revision);
    }

    /// The events after `revision`.
    pub(super) fn after(&self, revision: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        let start = self.events.partition_point(|event| event.object.revision <= revision);
        self.events.range(start..)
    }
}
