//! Kubernetes events: recorded without waiting, repeated ones counted instead of written again.
//!
//! The rules are client-go's correlator (tools/record): the same event again is a patch of its count; ten like it with
//! other texts within ten minutes become one "combined" event; an object that floods is cut off by a token bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use planner::plan::{EventType, ObjectRef, kinds};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::executor::{Transport, Write};
use crate::{Clock, Deps, WriteCounts};

/// Similar events before they are combined.
const COMBINE_AFTER: usize = 10;
/// How long similar events count together.
const COMBINE_WINDOW: Duration = Duration::from_mins(10);
/// What a combined event's message begins with.
const COMBINED: &str = "(combined from similar events): ";
/// Events an object may have in a burst.
const BURST: f64 = 25.0;
/// How long until an object may have another one.
const REFILL: Duration = Duration::from_mins(5);
/// Events remembered; the oldest go first.
const REMEMBERED: usize = 4096;
/// Events waiting to be written; more are dropped, as events are best effort.
const BACKLOG: usize = 16_384;
/// A write is tried this often.
const ATTEMPTS: u32 = 12;
/// Between two tries.
const RETRY: Duration = Duration::from_secs(10);

/// Records events for one component; clones share the memory of what was recorded.
///
/// Errors: none; what cannot be written is logged and dropped.
#[derive(Clone, Debug)]
pub struct EventRecorder {
    component: &'static str,
    sender: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    component: &'static str,
    event: Recorded,
}

/// One event as it was asked for.
#[derive(Clone, Debug)]
struct Recorded {
    regarding: ObjectRef,
    severity: EventType,
    reason: String,
    message: String,
}

impl EventRecorder {
    /// A recorder whose events name `component` as their source.
    pub fn new(deps: &Deps, component: &'static str, counts: &WriteCounts) -> Self {
        let (sender, mut requests) = mpsc::channel::<Request>(BACKLOG);
        let transport = Transport::new(deps.client.clone(), counts.clone());
        let host = deps.node_name.clone();
        let entropy = deps.entropy.fork(component);
        let mut writer = Writer { transport, clock: deps.clock.clone(), host, correlator: Correlator::default(), salt: entropy };
        let shutdown = deps.shutdown.clone();
        tokio::spawn(async move {
            loop {
                let request = tokio::select! {
                    biased;
                    request = requests.recv() => request,
                    () = shutdown.cancelled() => None,
                };
                let Some(request) = request else { break };
                writer.write(request).await;
            }
        });
        Self { component, sender }
    }

    /// The same recorder speaking for another component.
    #[must_use]
    pub fn for_component(&self, component: &'static str) -> Self {
        Self { component, sender: self.sender.clone() }
    }

    /// Records an event.
    pub fn record(&self, regarding: &ObjectRef, severity: EventType, reason: &str, message: &str) {
        let event = Recorded { regarding: regarding.clone(), severity, reason: reason.to_owned(), message: message.to_owned() };
        if self.sender.try_send(Request { component: self.component, event }).is_err() {
            tracing::warn!(reason, "event dropped: too many events waiting");
        }
    }
}

/// What tells two events apart; the message is left out for similar ones.
type EventKey = (&'static str, ObjectRef, EventType, String, String);

/// What is known of an event already written.
#[derive(Clone, Debug)]
struct Written {
    name: String,
    count: u64,
}

#[derive(Debug, Default)]
struct Correlator {
    written: BTreeMap<EventKey, (u64, Written)>,
    similar: BTreeMap<EventKey, (Instant, BTreeSet<String>)>,
    buckets: BTreeMap<(&'static str, ObjectRef), (f64, Instant)>,
    sequence: u64,
}

impl Correlator {
    /// The event to write for `event`, with what was written of it before; `None` when its object floods.
    fn admit(&mut self, component: &'static str, event: &Recorded) -> Option<(EventKey, Option<Written>)> {
        let mut subject = event.regarding.clone();
        // A repeated event stays the same one while its object changes.
        subject.resource_version = None;
        let now = Instant::now();
        let flood = (component, subject.clone());
        let (tokens, at) = self.buckets.get(&flood).copied().unwrap_or((BURST, now));
        let tokens = (tokens + now.duration_since(at).as_secs_f64() / REFILL.as_secs_f64()).min(BURST);
        if tokens < 1.0 {
            return None;
        }
        self.buckets.insert(flood, (tokens - 1.0, now));
        trim(&mut self.buckets);

        let kind: EventKey = (component, subject, event.severity, event.reason.clone(), String::new());
        let (since, texts) = self.similar.entry(kind.clone()).or_insert_with(|| (now, BTreeSet::new()));
        if now.duration_since(*since) > COMBINE_WINDOW {
            texts.clear();
        }
        *since = now;
        texts.insert(event.message.clone());
        let combine = texts.len() >= COMBINE_AFTER;
        if texts.len() > COMBINE_AFTER {
            texts.pop_first();
        }
        trim(&mut self.similar);

        let mut key = kind;
        key.4 = if combine { COMBINED.to_owned() } else { event.message.clone() };
        let written = self.written.get(&key).map(|(_, written)| written.clone());
        Some((key, written))
    }

    fn remember(&mut self, key: EventKey, written: Written) {
        self.sequence += 1;
        self.written.insert(key, (self.sequence, written));
        if self.written.len() > REMEMBERED {
            let oldest = self.written.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.written.remove(&oldest);
            }
        }
    }
}

/// Keeps a memory bounded; losing an entry only costs a repeated event.
fn trim<K: Ord, V>(memory: &mut BTreeMap<K, V>) {
    if memory.len() > REMEMBERED {
        memory.pop_first();
    }
}

struct Writer {
    transport: Transport,
    clock: Clock,
    host: Option<String>,
    correlator: Correlator,
    salt: crate::Entropy,
}

impl Writer {
    async fn write(&mut self, request: Request) {
        let Request { component, event } = request;
        let Some((key, written)) = self.correlator.admit(component, &event) else {
            tracing::debug!(reason = event.reason, "event dropped: its object has too many");
            return;
        };
        let message = if key.4 == COMBINED { format!("{COMBINED}{}", event.message) } else { event.message.clone() };
        let now = self.clock.time().0.to_string();
        if let Some(mut written) = written {
            let patch = json!({"count": written.count + 1, "lastTimestamp": now, "message": message});
            let target = ObjectRef::new(&kinds::EVENT, Some(namespace(&event)), &written.name);
            match self.send(Write::merge_patch(&target, None, &patch)).await {
                Ok(()) => {
                    written.count += 1;
                    self.correlator.remember(key, written);
                    return;
                }
                // Expired on the server: write it anew.
                Err(Some(404)) => {}
                Err(_) => return,
            }
        }
        let name = format!("{}.{:016x}", event.regarding.name, self.stamp());
        let target = ObjectRef::new(&kinds::EVENT, Some(namespace(&event)), "");
        let mut source = json!({"component": component});
        if let Some(host) = &self.host {
            source["host"] = json!(host);
        }
        let body = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace(&event)},
            "involvedObject": reference(&event.regarding),
            "reason": event.reason,
            "message": message,
            "type": event.severity.as_str(),
            "source": source,
            "reportingComponent": component,
            "reportingInstance": self.host.clone().unwrap_or_default(),
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        });
        if self.send(Write::create(&target, &body)).await.is_ok() {
            self.correlator.remember(key, Written { name, count: 1 });
        }
    }

    /// Sends a write until it is answered; `Err` has the status of a refusal.
    async fn send(&self, write: Result<Write, crate::WriteError>) -> Result<(), Option<u16>> {
        let write = write.map_err(|error| {
            tracing::warn!(%error, "event cannot be encoded");
            None
        })?;
        for attempt in 1..=ATTEMPTS {
            match self.transport.send(write.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) => {
                    if let Some(status) = error.status() {
                        tracing::debug!(%error, "event refused");
                        return Err(Some(status));
                    }
                    if attempt < ATTEMPTS {
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        }
        Err(None)
    }

    /// The number in an event's name: the time, with its lowest bits random so that two components never collide.
    fn stamp(&self) -> u64 {
        let nanoseconds = u64::try_from(self.clock.now().as_nanosecond()).unwrap_or_default();
        let salt = self.salt.next_u64();
        nanoseconds & !0xff_ffff | salt & 0xff_ffff
    }
}

/// Events of cluster-scoped objects live in `default`.
fn namespace(event: &Recorded) -> &str {
    event.regarding.namespace.as_deref().unwrap_or("default")
}

fn reference(object: &ObjectRef) -> serde_json::Value {
    let mut reference = json!({"apiVersion": object.api_version, "kind": object.kind, "name": object.name});
    for (field, value) in [("namespace", &object.namespace), ("uid", &object.uid), ("resourceVersion", &object.resource_version)] {
        if let Some(value) = value {
            reference[field] = json!(value);
        }
    }
    reference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Recorded {
        Recorded {
            regarding: ObjectRef::new(&kinds::POD, Some("ns"), "pod"),
            severity: EventType::Normal,
            reason: "Because".into(),
            message: message.into(),
        }
    }

    fn remember(correlator: &mut Correlator, key: EventKey) {
        correlator.remember(key, Written { name: "n".into(), count: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_are_counted_and_similar_ones_combined() {
        let mut correlator = Correlator::default();
        let (key, before) = correlator.admit("c", &event("one")).unwrap();
        assert!(before.is_none());
        remember(&mut correlator, key);
        assert!(correlator.admit("c", &event("one")).unwrap().1.is_some());
        assert!(correlator.admit("other", &event("one")).unwrap().1.is_none());
        let mut combined = Vec::new();
        for number in 0..12 {
            let (key, before) = correlator.admit("c", &event(&format!("text {number}"))).unwrap();
            combined.push(key.4 == COMBINED);
            if before.is_none() {
                remember(&mut correlator, key);
            }
        }
        assert_eq!(combined.iter().filter(|combined| **combined).count(), 4);
        tokio::time::advance(COMBINE_WINDOW + Duration::from_secs(1)).await;
        assert_ne!(correlator.admit("c", &event("later")).unwrap().0.4, COMBINED);
    }

    #[tokio::test(start_paused = true)]
    async fn floods_are_cut_off() {
        let mut correlator = Correlator::default();
        let admitted = (0..40).filter(|_| correlator.admit("c", &event("same")).is_some()).count();
        assert_eq!(admitted, 25);
        tokio::time::advance(REFILL).await;
        assert!(correlator.admit("c", &event("same")).is_some());
        assert!(correlator.admit("c", &event("same")).is_none());
    }
}
