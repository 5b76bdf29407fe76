//! Work queues: keys to reconcile, each once, one worker a key (spec controllers §1.4).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The first delay after a failure.
pub const BASE_DELAY: Duration = Duration::from_millis(5);
/// The longest delay after failures.
pub const MAX_DELAY: Duration = Duration::from_secs(1000);

/// How long to wait after a failure that came after so many others in a row: [`BASE_DELAY`], doubling up to [`MAX_DELAY`].
pub fn retry_delay(failures: u32) -> Duration {
    BASE_DELAY.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(MAX_DELAY)
}

/// A queue of keys. Clones share it.
///
/// Guarantees: a key waits at most once; a key added while it is worked on comes back when that is done and never runs
/// twice at a time; of two delays for a key the shorter holds; equal delays keep their order.
#[derive(Debug)]
pub struct WorkQueue<T> {
    inner: Arc<Inner<T>>,
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

#[derive(Debug)]
struct Inner<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<T> {
    ready: VecDeque<T>,
    waiting: BTreeSet<T>,
    processing: BTreeSet<T>,
    delayed: BTreeMap<(Instant, u64), T>,
    delayed_until: BTreeMap<T, (Instant, u64)>,
    failures: BTreeMap<T, u32>,
    sequence: u64,
    closed: bool,
    counters: QueueCounters,
}

/// What a queue has seen so far; feeds the `kubevirt_workqueue_*` metrics (spec observability §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// Keys added.
    pub adds: u64,
    /// Keys re-added after a failure.
    pub retries: u64,
    /// Keys ready to be worked on now.
    pub depth: usize,
}

/// What to do with a key after it was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing; its failures are forgotten.
    Done,
    /// Work on it again after this long; its failures are forgotten.
    After(Duration),
    /// It failed: again after a delay that doubles with each failure.
    Retry,
}

impl<T: Clone + Ord> Default for WorkQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone + Ord> WorkQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        let state = State {
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            processing: BTreeSet::new(),
            delayed: BTreeMap::new(),
            delayed_until: BTreeMap::new(),
            failures: BTreeMap::new(),
            sequence: 0,
            closed: false,
            counters: QueueCounters::default(),
        };
        Self { inner: Arc::new(Inner { state: Mutex::new(state), changed: Notify::new() }) }
    }

    /// Adds a key to work on now.
    pub fn add(&self, item: T) {
        let mut state = self.state();
        state.counters.adds += 1;
        state.enqueue(item);
        drop(state);
        self.inner.changed.notify_one();
    }

    /// Adds a key to work on after `delay`.
    pub fn add_after(&self, item: T, delay: Duration) {
        if delay.is_zero() {
            self.add(item);
            return;
        }
        let mut state = self.state();
        let due = Instant::now() + delay;
        if let Some(known) = state.delayed_until.get(&item).copied() {
            if known.0 <= due {
                return;
            }
            state.delayed.remove(&known);
        }
        state.sequence += 1;
        let at = (due, state.sequence);
        state.delayed.insert(at, item.clone());
        state.delayed_until.insert(item, at);
        drop(state);
        self.inner.changed.notify_one();
    }

    /// Adds a key that failed: after 5 ms, doubling with each failure up to 1000 s.
    pub fn add_rate_limited(&self, item: T) {
        let delay = {
            let mut state = self.state();
            state.counters.retries += 1;
            let failures = state.failures.entry(item.clone()).or_insert(0);
            let delay = retry_delay(*failures);
            *failures = (*failures + 1).min(31);
            delay
        };
        self.add_after(item, delay);
    }

    /// Forgets a key's failures.
    pub fn forget(&self, item: &T) {
        self.state().failures.remove(item);
    }

    /// The next key; [`WorkQueue::done`] has to follow. `None` once the queue is closed.
    pub async fn next(&self) -> Option<T> {
        loop {
            let changed = self.inner.changed.notified();
            let due = {
                let mut state = self.state();
                if state.closed {
                    drop(state);
                    self.inner.changed.notify_one();
                    return None;
                }
                state.promote_due(Instant::now());
                if let Some(item) = state.ready.pop_front() {
                    state.waiting.remove(&item);
                    state.processing.insert(item.clone());
                    let more = !state.ready.is_empty() || !state.delayed.is_empty();
                    drop(state);
                    if more {
                        self.inner.changed.notify_one();
                    }
                    return Some(item);
                }
                state.delayed.keys().next().map(|(due, _)| *due)
            };
            match due {
                Some(due) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => changed.await,
            }
        }
    }

    /// Ends the work on a key; if it was added meanwhile it is ready again.
    pub fn done(&self, item: &T) {
        let mut state = self.state();
        state.processing.remove(item);
        if state.waiting.contains(item) {
            state.ready.push_back(item.clone());
            drop(state);
            self.inner.changed.notify_one();
        }
    }

    /// Ends the queue: every waiting worker leaves.
    pub fn close(&self) {
        self.state().closed = true;
        self.inner.changed.notify_waiters();
        self.inner.changed.notify_one();
    }

    /// What the queue has seen so far.
    pub fn counters(&self) -> QueueCounters {
        let state = self.state();
        QueueCounters { depth: state.ready.len(), ..state.counters }
    }

    /// Works on keys with `workers` concurrent workers until `shutdown`.
    ///
    /// Guarantees: `work` is never running twice for one key; work in progress at shutdown is dropped at its next wait,
    /// as a crash would.
    pub async fn run<W, F>(&self, workers: usize, shutdown: CancellationToken, work: W)
    where
        T: Send + 'static,
        W: Fn(T) -> F + Clone + Send + 'static,
        F: Future<Output = Next> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for _ in 0..workers.max(1) {
            let (queue, work) = (self.clone(), work.clone());
            tasks.spawn(async move {
                while let Some(item) = queue.next().await {
                    let next = work(item.clone()).await;
                    queue.done(&item);
                    match next {
                        Next::Done => queue.forget(&item),
                        Next::After(delay) => {
                            queue.forget(&item);
                            queue.add_after(item, delay);
                        }
                        Next::Retry => queue.add_rate_limited(item),
                    }
                }
            });
        }
        shutdown.cancelled().await;
        self.close();
        tasks.shutdown().await;
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Ord> State<T> {
    fn enqueue(&mut self, item: T) {
        if self.closed || !self.waiting.insert(item.clone()) {
            return;
        }
        if !self.processing.contains(&item) {
            self.ready.push_back(item);
        }
    }

    fn promote_due(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let item = entry.remove();
            self.delayed_until.remove(&item);
            self.enqueue(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_worker_a_key_and_no_doubles() {
        let queue = WorkQueue::new();
        queue.add("a");
        queue.add("b");
        queue.add("a");
        assert_eq!(queue.next().await, Some("a"));
        queue.add("a");
        assert_eq!(queue.next().await, Some("b"));
        assert_eq!(queue.counters().depth, 0);
        queue.done(&"a");
        assert_eq!(queue.next().await, Some("a"));
        queue.close();
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_exponentially() {
        let queue = WorkQueue::new();
        let started = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..20 {
            let before = Instant::now();
            queue.add_rate_limited("a");
            assert_eq!(queue.next().await, Some("a"));
            queue.done(&"a");
            waits.push(before.elapsed());
        }
        assert!(started.elapsed() > Duration::from_secs(2000));
        assert_eq!(waits[0], BASE_DELAY);
        assert_eq!(waits[3], BASE_DELAY * 8);
        assert_eq!(waits[19], MAX_DELAY);
        queue.forget(&"a");
        let before = Instant::now();
        queue.add_rate_limited("a");
        queue.next().await;
        assert_eq!(before.elapsed(), BASE_DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn the_shorter_delay_holds() {
        let queue = WorkQueue::new();
        let started = Instant::now();
        queue.add_after("a", Duration::from_secs(10));
        queue.add_after("a", Duration::from_secs(2));
        queue.add_after("a", Duration::from_secs(5));
        queue.next().await;
        assert_eq!(started.elapsed(), Duration::from_secs(2));
        queue.done(&"a");
        assert!(tokio::time::timeout(Duration::from_mins(1), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn workers_share_the_keys() {
        let queue = WorkQueue::new();
        let shutdown = CancellationToken::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        for key in 0..100 {
            queue.add(key);
        }
        let (log, stop) = (Arc::clone(&seen), shutdown.clone());
        queue
            .run(3, shutdown, move |key| {
                let (log, stop) = (Arc::clone(&log), stop.clone());
                async move {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    log.lock().unwrap().push(key);
                    if log.lock().unwrap().len() == 101 {
                        stop.cancel();
                    }
                    if key == 7 && log.lock().unwrap().iter().filter(|seen| **seen == 7).count() == 1 { Next::Retry } else { Next::Done }
                }
            })
            .await;
        assert_eq!(seen.lock().unwrap().len(), 101);
    }
}
