//! ReplicaSets: so many pods of a template.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{availability, controlled_by, create_pod, delete_pod, follow_pods, may_adopt, uid, victims, write_status};
use crate::client::{Answer, path_of};
use crate::cluster::Shared;
use crate::controllers::work;
use crate::labels::selects;
use crate::owners::EXPECTATION;
use crate::pods;
use crate::queue::Queue;
use crate::recorder::Source;
use crate::store::{Key, Store, spawn_watch};

/// Most pods created or deleted at once.
const BURST: usize = 500;

struct Controller {
    shared: Shared,
    sets: Arc<Store<ReplicaSet>>,
    source: Source,
}

/// Starts it; the store is shared with Deployments.
pub(super) fn start(shared: &Shared) -> Arc<Store<ReplicaSet>> {
    let queue: Queue<Key> = Queue::new();
    let sets = Store::<ReplicaSet>::new();
    let add = queue.clone();
    sets.on_change(move |change| {
        if change.new.is_some() {
            add.add(change.key.clone());
        }
    });
    let add = queue.clone();
    follow_pods::<ReplicaSet>(shared, move |key| add.add(key));
    let controller =
        Arc::new(Controller { shared: shared.clone(), sets: sets.clone(), source: Source::component("replicaset-controller") });
    let ready = sets.clone();
    let shared = shared.clone();
    tokio::spawn(async move {
        ready.synced().await;
        shared.pods.synced().await;
        work(&shared, &queue, |key: Key| {
            let controller = controller.clone();
            async move { controller.reconcile(&key).await }
        })
        .await;
    });
    sets
}

/// Starts the watch; after all listeners are there.
pub(super) fn watch(shared: &Shared, sets: &Arc<Store<ReplicaSet>>) {
    spawn_watch(shared.client.clone(), sets.clone(), shared.stop.clone());
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Answer<Option<Duration>> {
        let Some(set) = self.sets.get(key) else { return Ok(None) };
        let Some(spec) = &set.spec else { return Ok(None) };
        let id = uid(&set.metadata);
        if !self.shared.owners.settled(id) {
            // Seeing the pods brings the set back here.
            return Ok(Some(EXPECTATION));
        }
        let deleting = set.metadata.deletion_timestamp.is_some();
        let mut owned = self.shared.owners.pods_of(id);
        if !deleting {
            for orphan in self.shared.owners.orphans(&key.namespace) {
                let labels = orphan.metadata.labels.clone().unwrap_or_default();
                if pods::is_active(&orphan) && selects(&spec.selector, &labels) {
                    if !may_adopt(&self.shared, set.as_ref()).await? {
                        return Ok(None);
                    }
                    let pod = Key::of(orphan.as_ref());
                    let body = json!({"metadata": {"uid": orphan.metadata.uid, "ownerReferences": [controlled_by(set.as_ref())]}});
                    self.shared.client.strategic(&path_of::<Pod>(&pod.namespace, &pod.name), &body).await?;
                    owned.push(orphan);
                }
            }
        }
        let active: Vec<Arc<Pod>> = owned.into_iter().filter(|pod| pods::is_active(pod)).collect();
        let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
        let mut failure = None;
        if !deleting {
            if let Some(template) = &spec.template {
                for _ in active.len()..wanted.min(active.len() + BURST) {
                    if let Err(error) = create_pod(&self.shared, &self.source, set.as_ref(), template, |_| {}).await {
                        failure = Some(error);
                        break;
                    }
                }
            }
            if active.len() > wanted {
                for pod in victims(active.clone()).into_iter().take((active.len() - wanted).min(BURST)) {
                    delete_pod(&self.shared, &self.source, set.as_ref(), &pod).await?;
                }
            }
        }
        let min_ready = spec.min_ready_seconds.unwrap_or(0);
        let mut again = None;
        let mut available = 0;
        for pod in &active {
            match availability(&self.shared, pod, min_ready) {
                Ok(()) => available += 1,
                Err(Some(left)) => again = Some(again.map_or(left, |again: Duration| again.min(left))),
                Err(None) => {}
            }
        }
        let template = spec.template.as_ref().and_then(|template| template.metadata.as_ref()).and_then(|meta| meta.labels.clone());
        let labelled = active.iter().filter(|pod| {
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            template.iter().flatten().all(|(name, value)| labels.get(name) == Some(value))
        });
        let conditions = failure.as_ref().map(|error| {
            json!([{
                "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": error.to_string(),
                "lastTransitionTime": self.shared.timestamp()
            }])
        });
        let ready = active.iter().filter(|pod| pods::is_ready(pod)).count();
        let figures = json!({
            "replicas": active.len(), "fullyLabeledReplicas": labelled.count(), "readyReplicas": ready,
            "availableReplicas": available, "observedGeneration": set.metadata.generation
        });
        let old = set.status.as_ref().map(|status| {
            json!({
                "replicas": status.replicas, "fullyLabeledReplicas": status.fully_labeled_replicas.unwrap_or(0),
                "readyReplicas": status.ready_replicas.unwrap_or(0), "availableReplicas": status.available_replicas.unwrap_or(0),
                "observedGeneration": status.observed_generation
            })
        });
        let failed_before = set.status.as_ref().and_then(|status| status.conditions.as_ref()).is_some_and(|list| !list.is_empty());
        if old.as_ref() != Some(&figures) || failed_before != conditions.is_some() {
            let mut status = figures;
            status["conditions"] = conditions.unwrap_or(Value::Null);
            write_status(&self.shared, set.as_ref(), None, status).await?;
        }
        failure.map_or(Ok(again), Err)
    }
}
