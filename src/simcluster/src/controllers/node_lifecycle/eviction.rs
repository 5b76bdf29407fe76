//! Pods that may not stay on their node, and pods whose node is gone.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use serde_json::json;

use super::GRACE;
use crate::client::{Answer, optional, path_of};
use crate::cluster::Shared;
use crate::controllers::work;
use crate::pods;
use crate::queue::Queue;
use crate::recorder::Source;
use crate::scheduler::filter::tolerates;
use crate::store::Key;

fn evicting(node: &Node) -> Vec<&Taint> {
    node.spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default()
        .iter()
        .filter(|taint| taint.effect == "NoExecute")
        .collect()
}

/// Starts it.
pub(super) fn start(shared: &Shared) {
    let queue: Queue<Key> = Queue::new();
    let (add, all) = (queue.clone(), shared.pods.clone());
    shared.nodes.on_change(move |change| {
        let before = change.old.map(|node| evicting(node)).unwrap_or_default();
        let now = change.new.map(|node| evicting(node)).unwrap_or_default();
        if change.new.is_none() || before != now {
            for pod in all.all() {
                if pods::node(&pod) == change.key.name {
                    let delay = if change.new.is_none() { GRACE } else { Duration::ZERO };
                    add.add_after(Key::of(pod.as_ref()), delay);
                }
            }
        }
    });
    let (add, nodes) = (queue.clone(), shared.nodes.clone());
    shared.pods.on_change(move |change| {
        let Some(pod) = change.new else { return };
        let node = pods::node(pod);
        let placed = change.old.is_none_or(|old| pods::node(old) != node);
        if node.is_empty() || !placed {
            return;
        }
        match nodes.get(&Key::new("", node)) {
            Some(node) if evicting(&node).is_empty() => {}
            Some(_) => add.add(change.key.clone()),
            None => add.add_after(change.key.clone(), GRACE),
        }
    });
    let shared = shared.clone();
    tokio::spawn(async move {
        work(&shared, &queue, |key: Key| {
            let shared = shared.clone();
            async move { look(&shared, &key).await }
        })
        .await;
    });
}

async fn look(shared: &Shared, key: &Key) -> Answer<Option<Duration>> {
    let Some(pod) = shared.pods.get(key) else { return Ok(None) };
    let name = pods::node(&pod).to_owned();
    let Some(node) = shared.nodes.get(&Key::new("", name.clone())) else {
        let there: Option<Node> = optional(shared.client.get(&path_of::<Node>("", &name)).await)?;
        return if there.is_some() { Ok(Some(GRACE)) } else { forget(shared, key, &pod).await.map(|()| None) };
    };
    if !pods::is_active(&pod) {
        return Ok(None);
    }
    let taints = evicting(&node);
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let now = (shared.now)();
    let mut wait: Option<Duration> = None;
    for taint in taints {
        let matching: Vec<_> = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
        if matching.is_empty() {
            return evict(shared, key, &pod).await.map(|()| None);
        }
        let Some(seconds) = matching.iter().filter_map(|toleration| toleration.toleration_seconds).min() else { continue };
        let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let passed =
            taint.time_added.as_ref().map_or(Duration::ZERO, |time| Duration::try_from(now.duration_since(time.0)).unwrap_or_default());
        let left = limit.saturating_sub(passed);
        wait = Some(wait.map_or(left, |wait| wait.min(left)));
    }
    match wait {
        None => Ok(None),
        Some(left) if left.is_zero() => evict(shared, key, &pod).await.map(|()| None),
        Some(left) => Ok(Some(left)),
    }
}

async fn disrupt(shared: &Shared, key: &Key, pod: &Pod, reason: &str, message: &str, failed: bool) -> Answer<()> {
    let mut status = json!({"conditions": [{
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
        "lastTransitionTime": shared.timestamp()
    }]});
    if failed {
        status["phase"] = json!("Failed");
    }
    let body = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
    let path = format!("{}/status", path_of::<Pod>(&key.namespace, &key.name));
    optional(shared.client.strategic(&path, &body).await).map(drop)
}

async fn evict(shared: &Shared, key: &Key, pod: &Pod) -> Answer<()> {
    disrupt(shared, key, pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", false).await?;
    let message = format!("Marking for deletion Pod {key}");
    let source = Source::component("taint-eviction-controller");
    shared.recorder.record(&source, pod, "Normal", "TaintManagerEviction", &message).await;
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    shared.client.delete(&path_of::<Pod>(&key.namespace, &key.name), uid, None, None).await
}

/// Removes a pod whose node does not exist any more.
async fn forget(shared: &Shared, key: &Key, pod: &Pod) -> Answer<()> {
    let terminal = pods::is_terminal(pod);
    disrupt(shared, key, pod, "DeletionByPodGC", "PodGC: node no longer exists", !terminal).await?;
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    shared.client.delete(&path_of::<Pod>(&key.namespace, &key.name), uid, Some(0), None).await
}
