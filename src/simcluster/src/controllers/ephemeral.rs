//! Claims that pods bring along: volumes of kind `ephemeral`.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::json;

use super::{existing_is_fine, work};
use crate::client::{Answer, collection_of};
use crate::cluster::Shared;
use crate::owners::controller;
use crate::pods;
use crate::queue::Queue;
use crate::recorder::Source;
use crate::store::Key;

fn has_ephemeral(pod: &Pod) -> bool {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).any(|volume| volume.ephemeral.is_some())
}

/// Starts it.
pub(crate) fn start(shared: &Shared) {
    let queue: Queue<Key> = Queue::new();
    let add = queue.clone();
    shared.pods.on_change(move |change| {
        if change.new.is_some_and(|pod| has_ephemeral(pod) && pods::is_active(pod)) && change.old.is_none() {
            add.add(change.key.clone());
        }
    });
    let shared = shared.clone();
    tokio::spawn(async move {
        shared.claims.synced().await;
        work(&shared, &queue, |key: Key| {
            let shared = shared.clone();
            async move { provide(&shared, &key).await.map(|()| None::<Duration>) }
        })
        .await;
    });
}

async fn provide(shared: &Shared, key: &Key) -> Answer<()> {
    let Some(pod) = shared.pods.get(key).filter(|pod| pods::is_active(pod)) else { return Ok(()) };
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let Some(template) = volume.ephemeral.as_ref().and_then(|source| source.volume_claim_template.as_ref()) else { continue };
        let name = format!("{}-{}", key.name, volume.name);
        if let Some(claim) = shared.claims.get(&Key::new(key.namespace.clone(), name.clone())) {
            if controller(&claim.metadata).is_none_or(|owner| Some(&owner.uid) != pod.metadata.uid.as_ref()) {
                let message = format!("PVC {:?} was not created for pod {:?} (pod is not owner)", claim_path(key, &name), key.to_string());
                let source = Source::component("ephemeral-volume-controller");
                shared.recorder.record(&source, pod.as_ref(), "Warning", "ControllerError", &message).await;
            }
            continue;
        }
        let from = template.metadata.clone().unwrap_or_default();
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": name, "namespace": key.namespace, "labels": from.labels, "annotations": from.annotations,
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Pod", "name": key.name, "uid": pod.metadata.uid, "controller": true,
                    "blockOwnerDeletion": true
                }]
            },
            "spec": template.spec
        });
        existing_is_fine(shared.client.create(&collection_of::<PersistentVolumeClaim>(&key.namespace), &claim).await)?;
    }
    Ok(())
}

fn claim_path(key: &Key, name: &str) -> String {
    format!("{}/{name}", key.namespace)
}
