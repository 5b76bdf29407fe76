//! watch: the changes of a resource as a stream of lines.
//!
//! # Flow
//! Initial objects when they are asked for (no version, version 0, `sendInitialEvents`), then the history after the start.
//! Objects that begin to match the selectors are ADDED, objects that cease to are DELETED.
//!
//! # Errors
//! Those of the options are answers; a version that is too old, and a reader that is slower than the history, get an ERROR
//! event with status 410, and the stream ends.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::list::{Selection, select};
use super::list_options::{ListOptions, parse_revision};
use super::{Call, Output};
use crate::error::ApiError;
use crate::http::{Body, Shape, answer};
use crate::object;
use crate::store::{Event, EventKind, Gone, Stored, WatchStream};
use crate::table;

/// A watch without `timeoutSeconds` ends after this long at the least, and twice that at the most.
const MIN_TIMEOUT: u64 = 1_800;
/// How often a watch that allows bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);

/// Serves a watch request.
pub fn watch(call: Call) -> Result<(Output, Vec<String>), ApiError> {
    let options = ListOptions::parse(&call.query, true)?;
    let selection = Selection::parse(&call, &options)?;
    let version = parse_revision(&options.resource_version).map_err(|error| ApiError::new(500, "", error.to_string()))?;
    let namespace = (call.info.namespaced && !call.namespace.is_empty()).then(|| call.namespace.clone());
    let gr = call.info.storage_resource();
    let initial = options.send_initial_events.unwrap_or(matches!(version, None | Some(0)));
    let (first, from) = if initial {
        call.core.store.list(&gr, namespace.as_deref())
    } else {
        let from = version.filter(|version| *version != 0).unwrap_or_else(|| call.core.store.revision());
        (Vec::new(), from)
    };
    let seconds = options
        .timeout_seconds
        .filter(|seconds| *seconds > 0)
        .unwrap_or_else(|| MIN_TIMEOUT + call.core.env.entropy.next_u64() % MIN_TIMEOUT);
    let bookmark = options.bookmarks.then(|| {
        let mut interval = tokio::time::interval_at(Instant::now() + BOOKMARK_EVERY, BOOKMARK_EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    });
    let mut lines = Lines { call, pending: VecDeque::new(), columns_sent: false, selection };
    let source = match lines.call.core.store.watch(&gr, namespace.as_deref(), from) {
        Ok(source) => Some(source),
        Err(gone) => {
            lines.pending.push_back(error_line(gone));
            None
        }
    };
    let first = select(first, &lines.selection);
    let warnings = std::mem::take(&mut lines.call.warnings);
    let end_of_initial = options.send_initial_events == Some(true) && options.bookmarks;
    let state = State {
        initial: first.into(),
        end_of_initial: end_of_initial.then_some(from),
        lines,
        source,
        deadline: Instant::now() + Duration::from_secs(seconds),
        bookmark,
    };
    let chunks = futures::stream::unfold(state, |mut state| async move {
        let chunk = state.next().await?;
        Some((Ok::<Bytes, io::Error>(chunk), state))
    });
    let response = answer::stream(Body::stream(chunks));
    Ok((Output::Response(response), warnings))
}

struct State {
    initial: VecDeque<Arc<Stored>>,
    end_of_initial: Option<u64>,
    lines: Lines,
    source: Option<WatchStream>,
    deadline: Instant,
    bookmark: Option<Interval>,
}

/// What a watch waits for.
enum Next {
    Events(Result<Vec<Arc<Event>>, Gone>),
    Bookmark,
    End,
}

impl State {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pending.pop_front() {
                return Some(line);
            }
            if let Some(stored) = self.initial.pop_front() {
                self.lines.push(EventKind::Added, &stored).await;
                continue;
            }
            if let Some(revision) = self.end_of_initial.take() {
                return Some(self.lines.bookmark(revision, true));
            }
            let source = self.source.as_mut()?;
            let tick = async {
                match &mut self.bookmark {
                    Some(interval) => {
                        interval.tick().await;
                    }
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                biased;
                events = source.next_batch() => Next::Events(events),
                () = tokio::time::sleep_until(self.deadline) => Next::End,
                () = tick => Next::Bookmark,
            };
            match next {
                Next::Events(Ok(events)) => {
                    for event in events {
                        self.lines.push_event(&event).await;
                    }
                }
                Next::Events(Err(gone)) => {
                    self.source = None;
                    return Some(error_line(gone));
                }
                Next::Bookmark => {
                    let position = source.position();
                    return Some(self.lines.bookmark(position, false));
                }
                Next::End => return None,
            }
        }
    }
}

/// Turns events into lines of the shape the client asked for.
struct Lines {
    call: Call,
    pending: VecDeque<Bytes>,
    columns_sent: bool,
    selection: Selection,
}

impl Lines {
    async fn push_event(&mut self, event: &Event) {
        if self.selection.is_everything() {
            self.push(event.kind, &event.object).await;
            return;
        }
        let before = event.previous.as_ref().is_some_and(|previous| self.selection.matches(previous));
        let after = event.kind != EventKind::Deleted && self.selection.matches(&event.object);
        match (before, after) {
            (false, false) => {}
            (false, true) => self.push(EventKind::Added, &event.object).await,
            (true, true) => self.push(EventKind::Modified, &event.object).await,
            (true, false) if event.kind == EventKind::Deleted => self.push(EventKind::Deleted, &event.object).await,
            (true, false) => {
                // It is still there, but not for this watch: its last matching state, at this revision.
                if let Some(previous) = &event.previous {
                    let mut value = self.call.read(previous);
                    object::set(&mut value, &["metadata", "resourceVersion"], event.object.revision.to_string());
                    self.push_value(EventKind::Deleted, value).await;
                }
            }
        }
    }

    async fn push(&mut self, kind: EventKind, stored: &Arc<Stored>) {
        match self.call.accepted.shape {
            Shape::Plain if self.call.is_verbatim(stored) => self.pending.extend(stored.line(kind)),
            Shape::Partial(version) | Shape::PartialList(version) if self.call.has_stored_metadata() => {
                self.pending.extend(table::partial_line(kind, &stored.metadata(), version));
            }
            _ => self.push_value(kind, self.call.read(stored)).await,
        }
    }

    async fn push_value(&mut self, kind: EventKind, mut value: Value) {
        let converted = super::convert(&self.call.core, &self.call.info, &mut value, &self.call.info.gr, &self.call.version).await;
        if let Err(error) = converted {
            self.pending.push_back(line("ERROR", &error.status()));
            return;
        }
        let value = match self.call.accepted.shape {
            Shape::Plain => value,
            Shape::Partial(version) | Shape::PartialList(version) => table::partial(&value, version),
            Shape::Table(version) => {
                let metadata = json!({"resourceVersion": object::resource_version(&value)});
                let table = table::table(&self.call, &[value], version, !self.columns_sent, &metadata);
                self.columns_sent = true;
                table
            }
        };
        self.pending.push_back(line(kind.name(), &value));
    }

    fn bookmark(&mut self, revision: u64, end_of_initial: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if end_of_initial {
            object::set(&mut metadata, &["annotations", "k8s.io/initial-events-end"], "true");
        }
        let gvk = self.call.gvk();
        let bare = json!({"kind": gvk.kind, "apiVersion": gvk.api_version(), "metadata": metadata});
        let value = match self.call.accepted.shape {
            Shape::Plain => bare,
            Shape::Partial(version) | Shape::PartialList(version) => table::partial(&bare, version),
            Shape::Table(version) => {
                let list = json!({"resourceVersion": revision.to_string()});
                let table = table::table(&self.call, &[], version, !self.columns_sent, &list);
                self.columns_sent = true;
                table
            }
        };
        line("BOOKMARK", &value)
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}

fn error_line(gone: Gone) -> Bytes {
    line("ERROR", &ApiError::too_old_resource_version(gone.asked, gone.oldest).status())
}
