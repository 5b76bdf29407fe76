//! What happened, in order: every change of the kinds that matter, as the API server numbered it.

use futures::TryStreamExt as _;
use kube::Client;
use kube::api::{WatchEvent, WatchParams};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// One change of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The revision of the change: one sequence for the whole server.
    pub revision: u64,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub verb: &'static str,
    /// The object's kind.
    pub kind: String,
    /// The object after the change.
    pub object: Value,
}

impl Change {
    /// The object's name.
    pub fn name(&self) -> &str {
        self.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    /// A line of the log: everything about the change, in bytes that two equal runs share.
    pub fn line(&self) -> String {
        format!("{} {} {} {}", self.revision, self.verb, self.kind, self.object)
    }
}

/// A running record of a cluster's changes; clones share it.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<Change>>>);

/// The kinds that are recorded.
const KINDS: &[&str] = &["VirtualMachine", "VirtualMachineInstance", "Pod", "Event", "Node"];

impl Trace {
    /// Begins to record what changes from now on.
    pub fn start(client: &Client) -> Self {
        let trace = Self::default();
        for kind in KINDS {
            tokio::spawn(record(client.clone(), kind, trace.clone()));
        }
        trace
    }

    /// All changes so far, in the order of their revisions.
    pub fn changes(&self) -> Vec<Change> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_by_key(|change| change.revision);
        all
    }

    /// The log: a line a change.
    pub fn log(&self) -> String {
        self.changes().iter().map(|change| change.line() + "\n").collect()
    }

    /// The successive values of a field of one object, without repeats; objects are told apart by their UID.
    pub fn values(&self, kind: &str, name: &str, pointer: &str) -> Vec<String> {
        let mut values: Vec<String> = Vec::new();
        for change in self.changes().iter().filter(|change| change.kind == kind && change.name() == name) {
            let value = change.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            if !value.is_empty() && values.last() != Some(&value) {
                values.push(value);
            }
        }
        values
    }

    /// As [`Trace::values`], of the newest object of that name only.
    pub fn values_of_last(&self, kind: &str, name: &str, pointer: &str) -> Vec<String> {
        let Some(newest) = self.values(kind, name, "/metadata/uid").pop() else { return Vec::new() };
        let mut values: Vec<String> = Vec::new();
        for change in self.changes().iter().filter(|change| change.kind == kind && change.name() == name) {
            let text = |pointer: &str| change.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            if text("/metadata/uid") == newest && values.last() != Some(&text(pointer)) {
                values.push(text(pointer));
            }
        }
        values
    }

    fn push(&self, change: Change) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }
}

/// Follows one kind until the cluster ends; a watch that ends or expires is taken up where it was.
async fn record(client: Client, kind: &'static str, trace: Trace) {
    let api = crate::wait::api(&client, kind, None);
    let mut from = "0".to_owned();
    loop {
        let Ok(stream) = api.watch(&WatchParams::default().timeout(290), &from).await else { return };
        let mut stream = std::pin::pin!(stream);
        while let Ok(Some(event)) = stream.try_next().await {
            let (verb, object) = match event {
                WatchEvent::Added(object) => ("ADDED", object),
                WatchEvent::Modified(object) => ("MODIFIED", object),
                WatchEvent::Deleted(object) => ("DELETED", object),
                WatchEvent::Bookmark(bookmark) => {
                    from = bookmark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(_) => break,
            };
            let revision = object.metadata.resource_version.clone().unwrap_or_default();
            from.clone_from(&revision);
            let object = serde_json::to_value(object).unwrap_or_default();
            trace.push(Change { revision: revision.parse().unwrap_or_default(), verb, kind: kind.to_owned(), object });
        }
    }
}
