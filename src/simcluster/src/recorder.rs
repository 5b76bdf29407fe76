//! Kubernetes events. An event that happens again within its series counts up instead of adding an object.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use apiserver::env::{Entropy, Now, rfc3339};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::client::{Client, Object, collection};
use crate::store::lock;

/// Object, component, reason and message of a series.
type Series = (String, String, String, String);

struct Seen {
    name: String,
    count: u32,
}

/// How many series are remembered; the oldest are forgotten.
const SERIES: usize = 4096;

/// Records events; clones share what they remember.
#[derive(Clone)]
pub(crate) struct Recorder {
    client: Client,
    now: Now,
    entropy: Entropy,
    seen: Arc<Mutex<BTreeMap<Series, Seen>>>,
}

/// Who says something about an object.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) component: String,
    pub(crate) host: String,
}

impl Source {
    pub(crate) fn component(name: &str) -> Self {
        Self { component: name.to_owned(), host: String::new() }
    }
}

/// A reference to an object, as events carry it.
pub(crate) fn reference<K: Object>(object: &K) -> Value {
    let meta: &ObjectMeta = object.metadata();
    json!({
        "apiVersion": K::API_VERSION, "kind": K::KIND, "name": meta.name, "namespace": meta.namespace, "uid": meta.uid,
        "resourceVersion": meta.resource_version
    })
}

impl Recorder {
    pub(crate) fn new(client: Client, now: Now, entropy: Entropy) -> Self {
        Self { client, now, entropy, seen: Arc::default() }
    }

    /// Records that something happened to an object.
    pub(crate) async fn record<K: Object>(&self, source: &Source, object: &K, kind: &str, reason: &str, message: &str) {
        self.record_reference(source, &reference(object), kind, reason, message).await;
    }

    /// Records with an object reference; failures are logged only, as upstream does.
    pub(crate) async fn record_reference(&self, source: &Source, about: &Value, kind: &str, reason: &str, message: &str) {
        let text = |name: &str| about.get(name).and_then(Value::as_str).unwrap_or_default();
        let namespace = if text("namespace").is_empty() { "default" } else { text("namespace") };
        let time = rfc3339(&(self.now)());
        let series = (text("uid").to_owned(), source.component.clone(), reason.to_owned(), message.to_owned());
        let path = collection("", "v1", "events", namespace);
        let repeated = {
            let mut seen = lock(&self.seen);
            seen.get_mut(&series).map(|seen| {
                seen.count += 1;
                (seen.name.clone(), seen.count)
            })
        };
        if let Some((name, count)) = repeated {
            let body = json!({"count": count, "lastTimestamp": time, "message": message});
            match self.client.merge(&format!("{path}/{name}"), &body).await {
                Ok(_) => return,
                Err(error) if error.is_not_found() => {
                    lock(&self.seen).remove(&series);
                }
                Err(error) => {
                    tracing::debug!(%error, reason, "event not updated");
                    return;
                }
            }
        }
        let name = format!("{}.{:016x}", text("name"), self.entropy.next_u64());
        let mut source_object = json!({"component": source.component});
        if !source.host.is_empty() {
            source_object["host"] = json!(source.host);
        }
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": about, "reason": reason, "message": message, "type": kind, "source": source_object,
            "firstTimestamp": time, "lastTimestamp": time, "count": 1,
            "reportingComponent": source.component, "reportingInstance": source.host
        });
        match self.client.create(&path, &event).await {
            Ok(_) => {
                let mut seen = lock(&self.seen);
                if seen.len() >= SERIES {
                    seen.pop_first();
                }
                seen.insert(series, Seen { name, count: 1 });
            }
            Err(error) => tracing::debug!(%error, reason, "event not recorded"),
        }
    }
}
