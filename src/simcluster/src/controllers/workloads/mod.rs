//! Deployments, ReplicaSets, DaemonSets and Jobs.

mod daemon_set;
mod deployment;
mod job;
mod replica_set;
mod rollout;

use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::client::{Answer, Object, collection_of, optional, path_of};
use crate::cluster::Shared;
use crate::pods;
use crate::recorder::Source;
use crate::store::Key;

/// Starts all of them.
pub(crate) fn start(shared: &Shared) {
    let sets = replica_set::start(shared);
    deployment::start(shared, &sets);
    daemon_set::start(shared);
    job::start(shared);
}

/// The reference that makes `owner` the controller of an object.
fn controlled_by<K: Object>(owner: &K) -> Value {
    let meta = owner.metadata();
    json!({
        "apiVersion": K::API_VERSION, "kind": K::KIND, "name": meta.name, "uid": meta.uid, "controller": true,
        "blockOwnerDeletion": true
    })
}

/// Whether an owner may take in what has no controller: an owner that is going away has just let it go, which its copy here may
/// not know yet.
async fn may_adopt<K: Object>(shared: &Shared, owner: &K) -> Answer<bool> {
    let key = Key::of(owner);
    let live: Option<Value> = optional(shared.client.get(&path_of::<K>(&key.namespace, &key.name)).await)?;
    Ok(live.is_some_and(|live| {
        live["metadata"]["uid"].as_str() == Some(uid(owner.metadata())) && live["metadata"]["deletionTimestamp"].is_null()
    }))
}

fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

/// Creates a pod from a template and records it, or why it could not be.
async fn create_pod<K: Object>(
    shared: &Shared,
    source: &Source,
    owner: &K,
    template: &PodTemplateSpec,
    change: impl Fn(&mut Value),
) -> Answer<()> {
    let meta = owner.metadata();
    let namespace = meta.namespace.clone().unwrap_or_default();
    let from = template.metadata.clone().unwrap_or_default();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": format!("{}-", meta.name.as_deref().unwrap_or_default()), "namespace": namespace,
            "labels": from.labels, "annotations": from.annotations, "finalizers": from.finalizers,
            "ownerReferences": [controlled_by(owner)]
        },
        "spec": template.spec
    });
    change(&mut pod);
    match shared.client.create(&collection_of::<Pod>(&namespace), &pod).await {
        Ok(created) => {
            let name = created["metadata"]["name"].as_str().unwrap_or_default();
            shared.owners.expect(uid(meta), Key::new(namespace, name));
            shared.recorder.record(source, owner, "Normal", "SuccessfulCreate", &format!("Created pod: {name}")).await;
            Ok(())
        }
        Err(error) => {
            shared.recorder.record(source, owner, "Warning", "FailedCreate", &format!("Error creating: {error}")).await;
            Err(error)
        }
    }
}

/// Deletes a pod and records it.
async fn delete_pod<K: Object>(shared: &Shared, source: &Source, owner: &K, pod: &Pod) -> Answer<()> {
    let key = Key::of(pod);
    shared.client.delete(&path_of::<Pod>(&key.namespace, &key.name), uid(&pod.metadata), None, None).await?;
    shared.recorder.record(source, owner, "Normal", "SuccessfulDelete", &format!("Deleted pod: {}", key.name)).await;
    Ok(())
}

/// Whether a pod is ready for long enough; else, if it is ready, how long it still takes.
fn availability(shared: &Shared, pod: &Pod, min_ready: i32) -> Result<(), Option<Duration>> {
    if !pods::is_ready(pod) {
        return Err(None);
    }
    let wanted = Duration::from_secs(u64::try_from(min_ready).unwrap_or(0));
    let since = pods::condition(pod, "Ready").and_then(|condition| condition.last_transition_time.as_ref());
    let passed = since.map_or(Duration::ZERO, |since| Duration::try_from((shared.now)().duration_since(since.0)).unwrap_or_default());
    if passed >= wanted { Ok(()) } else { Err(Some(wanted.saturating_sub(passed))) }
}

/// Writes a status if it differs.
async fn write_status<K: Object>(shared: &Shared, object: &K, old: Option<&Value>, new: Value) -> Answer<()> {
    if old == Some(&new) {
        return Ok(());
    }
    let key = Key::of(object);
    let body = json!({"metadata": {"uid": object.metadata().uid}, "status": new});
    let path = format!("{}/status", path_of::<K>(&key.namespace, &key.name));
    optional(shared.client.merge(&path, &body).await).map(drop)
}

/// A short name for a template, made of letters that form no words.
fn hash(template: &PodTemplateSpec) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(serde_json::to_string(template).unwrap_or_default().as_bytes());
    let mut number = hasher.finish();
    let mut name = String::new();
    for _ in 0..10 {
        let index = usize::try_from(number % LETTERS.len() as u64).unwrap_or(0);
        name.push(char::from(LETTERS.get(index).copied().unwrap_or(b'b')));
        number /= LETTERS.len() as u64;
    }
    name
}

/// Calls back with the controller of each pod that changes, if it is of kind `K`.
fn follow_pods<K: Object>(shared: &Shared, add: impl Fn(Key) + Send + Sync + 'static) {
    shared.pods.on_change(move |change| {
        for pod in [change.old, change.new].into_iter().flatten() {
            if let Some(owner) = crate::owners::controller(&pod.metadata)
                && owner.kind == K::KIND
                && owner.api_version == K::API_VERSION
            {
                add(Key::new(change.key.namespace.clone(), owner.name.clone()));
            }
        }
    });
}

/// Pods whose absence hurts least first: unplaced, not running, not ready, young.
fn victims(mut candidates: Vec<Arc<Pod>>) -> Vec<Arc<Pod>> {
    candidates.sort_by_key(|pod| {
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| std::cmp::Reverse(time.0));
        (!pods::node(pod).is_empty(), pods::phase(pod) == "Running", pods::is_ready(pod), created, pod.metadata.name.clone())
    });
    candidates
}
