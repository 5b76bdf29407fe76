//! Work queues: each key waits once, in order; some wait for a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::store::lock;

#[derive(Debug)]
struct Inner<T> {
    ready: VecDeque<T>,
    waiting: BTreeSet<T>,
    later: BTreeMap<(Instant, u64), T>,
    due: BTreeMap<T, (Instant, u64)>,
    failures: BTreeMap<T, u32>,
    sequence: u64,
}

/// A queue of keys for one worker; clones share it.
#[derive(Debug)]
pub(crate) struct Queue<T>(Arc<(Mutex<Inner<T>>, Notify)>);

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Ord + Clone> Queue<T> {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            later: BTreeMap::new(),
            due: BTreeMap::new(),
            failures: BTreeMap::new(),
            sequence: 0,
        };
        Self(Arc::new((Mutex::new(inner), Notify::new())))
    }

    /// Adds a key, unless it waits already.
    pub(crate) fn add(&self, key: T) {
        let mut inner = lock(&self.0.0);
        if inner.waiting.insert(key.clone()) {
            inner.ready.push_back(key);
            drop(inner);
            self.0.1.notify_one();
        }
    }

    /// Adds a key at a later time; the earlier of two times counts.
    pub(crate) fn add_after(&self, key: T, delay: Duration) {
        if delay.is_zero() {
            self.add(key);
            return;
        }
        let mut inner = lock(&self.0.0);
        let at = Instant::now() + delay;
        if let Some((due, sequence)) = inner.due.get(&key).copied() {
            if due <= at {
                return;
            }
            inner.later.remove(&(due, sequence));
        }
        inner.sequence += 1;
        let slot = (at, inner.sequence);
        inner.later.insert(slot, key.clone());
        inner.due.insert(key, slot);
        drop(inner);
        self.0.1.notify_one();
    }

    /// Adds a key that failed: after 50 ms, then twice that, up to 100 s.
    pub(crate) fn retry(&self, key: T) {
        let failures = {
            let mut inner = lock(&self.0.0);
            let count = inner.failures.entry(key.clone()).or_default();
            *count += 1;
            *count
        };
        self.add_after(key, Duration::from_millis(50 << failures.min(11)));
    }

    /// Forgets past failures of a key.
    pub(crate) fn done(&self, key: &T) {
        lock(&self.0.0).failures.remove(key);
    }

    /// The next key; waits for one.
    pub(crate) async fn next(&self) -> T {
        loop {
            let wake = {
                let mut inner = lock(&self.0.0);
                let now = Instant::now();
                while let Some(first) = inner.later.first_entry()
                    && first.key().0 <= now
                {
                    let key = first.remove();
                    inner.due.remove(&key);
                    if inner.waiting.insert(key.clone()) {
                        inner.ready.push_back(key);
                    }
                }
                if let Some(key) = inner.ready.pop_front() {
                    inner.waiting.remove(&key);
                    return key;
                }
                inner.later.first_key_value().map(|((at, _), _)| *at)
            };
            match wake {
                None => self.0.1.notified().await,
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = self.0.1.notified() => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
            }
        }
    }
}
