//! Nodes that stop answering: conditions, taints, and the end of their pods.
//!
//! A node whose lease was not renewed for [`GRACE`] gets Unknown conditions and its pods are no longer ready. Conditions
//! become taints. Pods that do not tolerate a `NoExecute` taint (any longer) are deleted ([`eviction`]); pods whose node was
//! removed are removed too.

mod eviction;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::work;
use crate::client::{Answer, optional, path_of};
use crate::cluster::Shared;
use crate::pods;
use crate::queue::Queue;
use crate::recorder::Source;
use crate::store::{Key, Scope, Store, lock, spawn_selected};

/// How long a node may be silent.
pub(crate) const GRACE: Duration = Duration::from_secs(40);
/// How often silence is looked for.
const PERIOD: Duration = Duration::from_secs(5);

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

struct Lifecycle {
    shared: Shared,
    /// When each node was last heard of.
    heard: Mutex<BTreeMap<String, Instant>>,
    source: Source,
}

/// Starts it.
pub(crate) fn start(shared: &Shared) {
    let lifecycle = Arc::new(Lifecycle { shared: shared.clone(), heard: Mutex::default(), source: Source::component("node-controller") });
    let queue: Queue<String> = Queue::new();
    let (add, listener) = (queue.clone(), lifecycle.clone());
    shared.nodes.on_change(move |change| {
        if change.new.is_some() {
            lock(&listener.heard).entry(change.key.name.clone()).or_insert_with(Instant::now);
            add.add(change.key.name.clone());
        } else {
            lock(&listener.heard).remove(&change.key.name);
        }
    });
    let leases = Store::<Lease>::new();
    let listener = lifecycle.clone();
    leases.on_change(move |change| {
        let renewed = |lease: Option<&Arc<Lease>>| {
            lease.and_then(|lease| lease.spec.as_ref()).and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0)
        };
        if change.new.is_some() && renewed(change.old) != renewed(change.new) {
            lock(&listener.heard).insert(change.key.name.clone(), Instant::now());
        }
    });
    let scope = Scope { namespace: "kube-node-lease", fields: "" };
    spawn_selected(shared.client.clone(), leases, shared.stop.clone(), scope);
    eviction::start(shared);
    let (monitor, stop) = (lifecycle.clone(), shared.stop.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => monitor.look().await,
            }
        }
    });
    tokio::spawn(async move {
        let shared = lifecycle.shared.clone();
        work(&shared, &queue, |name: String| {
            let lifecycle = lifecycle.clone();
            async move { lifecycle.taint(&name).await.map(|()| None) }
        })
        .await;
    });
}

fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a str> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind).map(|condition| condition.status.as_str())
}

impl Lifecycle {
    /// Looks for nodes that are silent.
    async fn look(&self) {
        for node in self.shared.nodes.all() {
            let name = node.metadata.name.clone().unwrap_or_default();
            let silent = lock(&self.heard).get(&name).is_some_and(|heard| heard.elapsed() > GRACE);
            if silent
                && condition(&node, "Ready") != Some("Unknown")
                && let Err(error) = self.lose(&node, &name).await
            {
                tracing::debug!(%error, node = name, "silent node not marked");
            }
        }
    }

    async fn lose(&self, node: &Node, name: &str) -> Answer<()> {
        let now = self.shared.timestamp();
        let conditions: Vec<Value> = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]
            .into_iter()
            .map(|kind| {
                json!({
                    "type": kind, "status": "Unknown", "reason": "NodeStatusUnknown",
                    "message": "Kubelet stopped posting node status.", "lastTransitionTime": now
                })
            })
            .collect();
        let path = format!("{}/status", path_of::<Node>("", name));
        optional(self.shared.client.strategic(&path, &json!({"status": {"conditions": conditions}})).await)?;
        let message = format!("Node {name} status is now: NodeNotReady");
        self.shared.recorder.record(&self.source, node, "Normal", "NodeNotReady", &message).await;
        for pod in self.shared.pods.all() {
            if pods::node(&pod) == name && pods::is_ready(&pod) {
                self.not_ready(&pod, &now).await?;
            }
        }
        Ok(())
    }

    async fn not_ready(&self, pod: &Pod, now: &str) -> Answer<()> {
        let key = Key::of(pod);
        let body = json!({
            "metadata": {"uid": pod.metadata.uid},
            "status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}]}
        });
        let path = format!("{}/status", path_of::<Pod>(&key.namespace, &key.name));
        optional(self.shared.client.strategic(&path, &body).await)?;
        self.shared.recorder.record(&self.source, pod, "Warning", "NodeNotReady", "Node is not ready").await;
        Ok(())
    }

    /// Brings a node's taints in line with its conditions.
    async fn taint(&self, name: &str) -> Answer<()> {
        let Some(node) = self.shared.nodes.get(&Key::new("", name)) else { return Ok(()) };
        let spec = node.spec.clone().unwrap_or_default();
        let current = spec.taints.clone().unwrap_or_default();
        let mut wanted: Vec<(&str, &str)> = Vec::new();
        match condition(&node, "Ready") {
            Some("True") => {}
            Some("Unknown") => wanted.extend([(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]),
            _ => wanted.extend([(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]),
        }
        for (kind, key) in [
            ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
            ("DiskPressure", "node.kubernetes.io/disk-pressure"),
            ("PIDPressure", "node.kubernetes.io/pid-pressure"),
            ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
        ] {
            if condition(&node, kind) == Some("True") {
                wanted.push((key, "NoSchedule"));
            }
        }
        if spec.unschedulable == Some(true) {
            wanted.push(("node.kubernetes.io/unschedulable", "NoSchedule"));
        }
        let ours = |taint: &Taint| {
            matches!(
                taint.key.as_str(),
                NOT_READY
                    | UNREACHABLE
                    | "node.kubernetes.io/memory-pressure"
                    | "node.kubernetes.io/disk-pressure"
                    | "node.kubernetes.io/pid-pressure"
                    | "node.kubernetes.io/network-unavailable"
                    | "node.kubernetes.io/unschedulable"
            )
        };
        let is = |taint: &Taint, (key, effect): (&str, &str)| taint.key == key && taint.effect == effect;
        let mut next: Vec<Taint> =
            current.iter().filter(|taint| !ours(taint) || wanted.iter().any(|wanted| is(taint, *wanted))).cloned().collect();
        for (key, effect) in &wanted {
            if !next.iter().any(|taint| is(taint, (key, effect))) {
                let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time((self.shared.now)());
                next.push(Taint { key: (*key).to_owned(), effect: (*effect).to_owned(), value: None, time_added: Some(time) });
            }
        }
        if next == current {
            return Ok(());
        }
        let body = json!({
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"taints": if next.is_empty() { Value::Null } else { json!(next) }}
        });
        optional(self.shared.client.merge(&path_of::<Node>("", name), &body).await).map(drop)
    }
}
