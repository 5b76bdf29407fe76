//! The end of a namespace: everything in it is deleted, pods first, then it is let go.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};

use super::work;
use crate::client::{Answer, optional, path_of};
use crate::cluster::Shared;
use crate::discovery::{ApiResource, resources};
use crate::queue::Queue;
use crate::store::Key;

/// The finalizer in `spec` that this controller owns.
const FINALIZER: &str = "kubernetes";

/// How often a namespace that is not empty yet is looked at.
const AGAIN: Duration = Duration::from_secs(1);

/// Starts it.
pub(crate) fn start(shared: &Shared) {
    let queue: Queue<String> = Queue::new();
    let add = queue.clone();
    shared.namespaces.on_change(move |change| {
        if change.new.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some()) {
            add.add(change.key.name.clone());
        }
    });
    let shared = shared.clone();
    tokio::spawn(async move {
        work(&shared, &queue, |name: String| {
            let shared = shared.clone();
            async move { end(&shared, &name).await }
        })
        .await;
    });
}

/// What is left: objects by resource, and the finalizers that hold them.
#[derive(Default)]
struct Remaining {
    objects: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

async fn end(shared: &Shared, name: &str) -> Answer<Option<Duration>> {
    let known = shared.namespaces.get(&Key::new("", name));
    let Some(namespace) = known.filter(|namespace| namespace.metadata.deletion_timestamp.is_some()) else {
        return Ok(None);
    };
    let all: Vec<ApiResource> = resources(&shared.client)
        .await?
        .into_iter()
        .filter(|resource| resource.namespaced && resource.can("list") && (resource.can("delete") || resource.can("deletecollection")))
        .collect();
    let mut remaining = Remaining::default();
    let (pods, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|resource| resource.group.is_empty() && resource.plural == "pods");
    clear(shared, name, &pods, &mut remaining).await?;
    if remaining.objects.is_empty() {
        clear(shared, name, &others, &mut remaining).await?;
    }
    let path = path_of::<Namespace>("", name);
    if !remaining.objects.is_empty() {
        tell(shared, &path, &namespace, &remaining).await?;
        return Ok(Some(AGAIN));
    }
    let current: Option<Value> = optional(shared.client.get(&path).await)?;
    let Some(mut current) = current.filter(|current| !current["metadata"]["deletionTimestamp"].is_null()) else { return Ok(None) };
    let finalizers: Vec<Value> = current["spec"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|finalizer| finalizer.as_str() != Some(FINALIZER))
        .cloned()
        .collect();
    current["spec"]["finalizers"] = Value::from(finalizers);
    optional(shared.client.replace(&format!("{path}/finalize"), &current).await)?;
    Ok(None)
}

/// Deletes all objects of some resources and counts what stays.
async fn clear(shared: &Shared, namespace: &str, resources: &[ApiResource], remaining: &mut Remaining) -> Answer<()> {
    for resource in resources {
        let path = resource.collection(namespace);
        let list: Option<Value> = optional(shared.client.get(&path).await)?;
        let items = list.and_then(|mut list| list.get_mut("items").map(Value::take));
        let Some(Value::Array(items)) = items else { continue };
        if items.is_empty() {
            continue;
        }
        let fresh = items.iter().filter(|item| item["metadata"]["deletionTimestamp"].is_null()).count();
        if fresh > 0 {
            if resource.can("deletecollection") {
                shared.client.delete_all(&path).await?;
            } else {
                for item in &items {
                    let meta = &item["metadata"];
                    let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
                    let path = resource.path(namespace, &text("name"));
                    shared.client.delete(&path, &text("uid"), None, Some("Background")).await?;
                }
            }
        }
        let list: Option<Value> = optional(shared.client.get(&path).await)?;
        for item in list.iter().filter_map(|list| list["items"].as_array()).flatten() {
            *remaining.objects.entry(resource.name()).or_default() += 1;
            for finalizer in item["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                *remaining.finalizers.entry(finalizer.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(())
}

/// Writes why the namespace is still there, if that changed.
async fn tell(shared: &Shared, path: &str, namespace: &Namespace, remaining: &Remaining) -> Answer<()> {
    let list = |entries: &BTreeMap<String, usize>, text: fn(&str, usize) -> String| {
        entries.iter().map(|(name, count)| text(name, *count)).collect::<Vec<_>>().join(", ")
    };
    let objects = list(&remaining.objects, |name, count| {
        let name = if name.contains('.') { name.to_owned() } else { format!("{name}.") };
        format!("{name} has {count} resource instances")
    });
    let finalizers = list(&remaining.finalizers, |name, count| format!("{name} in {count} resource instances"));
    let held = !remaining.finalizers.is_empty();
    let conditions = [
        ("NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", "All resources successfully discovered".to_owned()),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        (
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
        ("NamespaceContentRemaining", true, "SomeResourcesRemain", format!("Some resources are remaining: {objects}")),
        (
            "NamespaceFinalizersRemaining",
            held,
            if held { "SomeFinalizersRemain" } else { "ContentHasNoFinalizers" },
            if held {
                format!("Some content in the namespace has finalizers remaining: {finalizers}")
            } else {
                "All content-preserving finalizers finished".to_owned()
            },
        ),
    ];
    let known = namespace.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let now = shared.timestamp();
    let changed: Vec<Value> = conditions
        .into_iter()
        .filter_map(|(kind, holds, reason, message)| {
            let status = if holds { "True" } else { "False" };
            let old = known.iter().find(|condition| condition.type_ == kind);
            let same = old.is_some_and(|old| old.status == status && old.message.as_deref() == Some(&message));
            (!same).then(|| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now}))
        })
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let body = json!({"status": {"conditions": changed}});
    optional(shared.client.strategic(&format!("{path}/status"), &body).await).map(drop)
}
