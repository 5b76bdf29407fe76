//! What containers print, kept for `pods/log`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

use apiserver::env::Now;
use tokio::sync::watch;

use crate::store::{Key, lock};

/// Bytes kept of one run of a container; older lines go first.
const MAX_BYTES: usize = 1 << 20;

/// One printed line with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was printed.
    pub time: jiff::Timestamp,
    /// The text, without line break.
    pub text: Arc<str>,
}

#[derive(Default)]
struct Run {
    lines: VecDeque<LogLine>,
    /// Lines dropped from the front.
    dropped: usize,
    bytes: usize,
    ended: bool,
}

struct Container {
    current: Arc<(Mutex<Run>, watch::Sender<usize>)>,
    previous: Option<Arc<(Mutex<Run>, watch::Sender<usize>)>>,
}

/// The logs of all containers of a cluster.
#[derive(Clone)]
pub struct Logs {
    now: Now,
    containers: Arc<Mutex<BTreeMap<(Key, String), Container>>>,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logs")
    }
}

/// Where a container prints to.
#[derive(Clone)]
pub struct LogSink {
    logs: Logs,
    key: (Key, String),
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogSink({}/{})", self.key.0, self.key.1)
    }
}

fn new_run() -> Arc<(Mutex<Run>, watch::Sender<usize>)> {
    Arc::new((Mutex::default(), watch::Sender::new(0)))
}

impl LogSink {
    /// Prints text; each line of it becomes a line of the log.
    pub fn print(&self, text: &str) {
        let run = {
            let mut containers = lock(&self.logs.containers);
            containers.entry(self.key.clone()).or_insert_with(|| Container { current: new_run(), previous: None }).current.clone()
        };
        let time = (self.logs.now)();
        let mut state = lock(&run.0);
        for line in text.trim_end_matches('\n').split('\n') {
            state.bytes += line.len();
            state.lines.push_back(LogLine { time, text: line.into() });
        }
        while state.bytes > MAX_BYTES
            && let Some(line) = state.lines.pop_front()
        {
            state.bytes -= line.text.len();
            state.dropped += 1;
        }
        let total = state.dropped + state.lines.len();
        drop(state);
        run.1.send_replace(total);
    }
}

/// Reads one run's lines, waiting for more if asked to.
pub struct LogReader {
    run: Arc<(Mutex<Run>, watch::Sender<usize>)>,
    changed: watch::Receiver<usize>,
    next: usize,
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogReader(at {})", self.next)
    }
}

impl LogReader {
    /// The lines printed since the last call.
    pub fn available(&mut self) -> Vec<LogLine> {
        let state = lock(&self.run.0);
        let skip = self.next.saturating_sub(state.dropped);
        self.next = state.dropped + state.lines.len();
        state.lines.iter().skip(skip).cloned().collect()
    }

    /// Waits for more lines; false when the container has ended and all is read.
    pub async fn more(&mut self) -> bool {
        loop {
            {
                let state = lock(&self.run.0);
                if state.dropped + state.lines.len() > self.next {
                    return true;
                }
                if state.ended {
                    return false;
                }
            }
            if self.changed.changed().await.is_err() {
                return false;
            }
        }
    }
}

impl Logs {
    pub(crate) fn new(now: Now) -> Self {
        Self { now, containers: Arc::default() }
    }

    pub(super) fn sink(&self, pod: &Key, container: &str) -> LogSink {
        LogSink { logs: self.clone(), key: (pod.clone(), container.to_owned()) }
    }

    /// A container starts anew: what was printed is the previous log.
    pub(super) fn restarted(&self, pod: &Key, container: &str) {
        if let Some(entry) = lock(&self.containers).get_mut(&(pod.clone(), container.to_owned())) {
            entry.previous = Some(std::mem::replace(&mut entry.current, new_run()));
        }
    }

    /// A container ended: readers that follow come to an end.
    pub(super) fn ended(&self, pod: &Key, container: &str) {
        if let Some(entry) = lock(&self.containers).get(&(pod.clone(), container.to_owned())) {
            lock(&entry.current.0).ended = true;
            entry.current.1.send_modify(|_| {});
        }
    }

    /// A pod is gone, and its logs with it.
    pub(super) fn forget(&self, pod: &Key) {
        lock(&self.containers).retain(|(key, _), entry| {
            let gone = key == pod;
            if gone {
                lock(&entry.current.0).ended = true;
                entry.current.1.send_modify(|_| {});
            }
            !gone
        });
    }

    /// Opens the log of a container's current (or previous) run; `None` if there is no previous one.
    pub fn open(&self, namespace: &str, pod: &str, container: &str, previous: bool) -> Option<LogReader> {
        let key = (Key::new(namespace, pod), container.to_owned());
        let mut containers = lock(&self.containers);
        let entry = containers.entry(key).or_insert_with(|| Container { current: new_run(), previous: None });
        let run = if previous { entry.previous.clone()? } else { entry.current.clone() };
        Some(LogReader { changed: run.1.subscribe(), run, next: 0 })
    }
}
