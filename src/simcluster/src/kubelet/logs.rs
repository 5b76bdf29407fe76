//! What containers print, kept for `pods/log`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

use apiserver::env::{Now, rfc3339_micro};
use apiserver::error::ApiError;
use apiserver::http::{Body, Kubelet, Query};
use async_trait::async_trait;
use tokio::sync::watch;

use crate::store::{Key, lock};

/// Bytes kept of one run of a container; older lines go first.
const MAX_BYTES: usize = 1 << 20;

/// Lines and bytes of a log that stand for the last words of a container that left none.
const TAIL_LINES: usize = 80;
const TAIL_BYTES: usize = 2048;

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
    /// No logs yet. The same value goes to the API server (as its kubelet) and to the cluster's builder.
    pub fn new(now: Now) -> Self {
        Self { now, containers: Arc::default() }
    }

    /// A program starts to run: its log is there to be followed.
    pub(super) fn started(&self, pod: &Key, container: &str) {
        let key = (pod.clone(), container.to_owned());
        let mut containers = lock(&self.containers);
        containers.entry(key).or_insert_with(|| Container { current: new_run(), previous: None });
    }

    /// The first container of a pod that has a log.
    fn first_container(&self, pod: &Key) -> Option<String> {
        let from = (pod.clone(), String::new());
        lock(&self.containers).range(from..).next().filter(|((key, _), _)| key == pod).map(|((_, name), _)| name.clone())
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
    /// The end of what a container printed, as it stands for its last words: at most 80 lines and 2 KiB.
    pub(super) fn tail(&self, pod: &Key, container: &str) -> String {
        let containers = lock(&self.containers);
        let Some(run) = containers.get(&(pod.clone(), container.to_owned())).map(|known| known.current.clone()) else {
            return String::new();
        };
        drop(containers);
        let state = lock(&run.0);
        let mut lines: Vec<&str> = Vec::new();
        let mut bytes = 0;
        for line in state.lines.iter().rev().take(TAIL_LINES) {
            bytes += line.text.len() + 1;
            if bytes > TAIL_BYTES {
                break;
            }
            lines.push(&line.text);
        }
        lines.reverse();
        lines.join("\n")
    }

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

    /// Opens the log of a container's current (or previous) run; `None` if it never ran a program.
    pub fn open(&self, namespace: &str, pod: &str, container: &str, previous: bool) -> Option<LogReader> {
        let key = (Key::new(namespace, pod), container.to_owned());
        let containers = lock(&self.containers);
        let entry = containers.get(&key)?;
        let run = if previous { entry.previous.clone()? } else { entry.current.clone() };
        Some(LogReader { changed: run.1.subscribe(), run, next: 0 })
    }
}

/// What of a log is asked for.
struct Request {
    follow: bool,
    timestamps: bool,
    since: Option<jiff::Timestamp>,
    limit: Option<usize>,
}

impl Request {
    fn render(&self, lines: &[LogLine]) -> String {
        let mut text = String::new();
        for line in lines.iter().filter(|line| self.since.is_none_or(|since| line.time >= since)) {
            if self.timestamps {
                text.push_str(&rfc3339_micro(&line.time));
                text.push(' ');
            }
            text.push_str(&line.text);
            text.push('\n');
        }
        text
    }
}

fn number(query: &Query, name: &str) -> Option<i64> {
    query.get(name).and_then(|text| text.parse().ok())
}

#[async_trait]
impl Kubelet for Logs {
    async fn logs(&self, _node: &str, namespace: &str, pod: &str, query: &Query) -> Result<http::Response<Body>, ApiError> {
        let key = Key::new(namespace, pod);
        let asked = query.get("container").filter(|name| !name.is_empty()).map(ToOwned::to_owned);
        let container = asked.or_else(|| self.first_container(&key)).unwrap_or_default();
        let previous = query.flag("previous");
        let Some(mut reader) = self.open(namespace, pod, &container, previous) else {
            if previous {
                return Err(ApiError::bad_request(format!("previous terminated container {container:?} in pod {pod:?} not found")));
            }
            return Ok(answer(Body::empty()));
        };
        let seconds = number(query, "sinceSeconds");
        let request = Request {
            follow: query.flag("follow") && !previous,
            timestamps: query.flag("timestamps"),
            since: seconds
                .and_then(|seconds| (self.now)().checked_sub(jiff::SignedDuration::from_secs(seconds)).ok())
                .or_else(|| query.get("sinceTime").and_then(|time| time.parse().ok())),
            limit: number(query, "limitBytes").and_then(|limit| usize::try_from(limit).ok()),
        };
        let mut lines = reader.available();
        if let Some(tail) = number(query, "tailLines").and_then(|tail| usize::try_from(tail).ok()) {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        let mut first = request.render(&lines);
        if let Some(limit) = request.limit {
            let end = (0..=limit.min(first.len())).rev().find(|end| first.is_char_boundary(*end)).unwrap_or(0);
            first.truncate(end);
        }
        if !request.follow || request.limit.is_some_and(|limit| first.len() >= limit) {
            return Ok(answer(Body::whole(first.into_bytes())));
        }
        let chunks = futures::stream::unfold((reader, request, Some(first)), |(mut reader, request, first)| async move {
            if let Some(first) = first {
                return Some((Ok(first.into()), (reader, request, None)));
            }
            if !reader.more().await {
                return None;
            }
            let text = request.render(&reader.available());
            Some((Ok(text.into()), (reader, request, None)))
        });
        Ok(answer(Body::stream(chunks)))
    }
}

fn answer(body: Body) -> http::Response<Body> {
    let mut response = http::Response::new(body);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    response
}
