//! Deployments: a ReplicaSet a template, and the way from one to the next.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Value, json};

use super::rollout::{Size, roll, share};
use super::{controlled_by, hash, may_adopt, replica_set, uid};
use crate::client::{Answer, collection_of, optional, path_of};
use crate::cluster::Shared;
use crate::controllers::{existing_is_fine, work};
use crate::labels::{Labels, selects};
use crate::owners::controller;
use crate::queue::Queue;
use crate::recorder::Source;
use crate::store::{Key, Store, spawn_watch};

const REVISION: &str = "deployment.kubernetes.io/revision";
const TEMPLATE_HASH: &str = "pod-template-hash";

struct Controller {
    shared: Shared,
    deployments: Arc<Store<Deployment>>,
    sets: Arc<Store<ReplicaSet>>,
    source: Source,
}

/// Starts it, and the watch of ReplicaSets.
pub(super) fn start(shared: &Shared, sets: &Arc<Store<ReplicaSet>>) {
    let queue: Queue<Key> = Queue::new();
    let deployments = Store::<Deployment>::new();
    let add = queue.clone();
    deployments.on_change(move |change| {
        if change.new.is_some() {
            add.add(change.key.clone());
        }
    });
    let add = queue.clone();
    sets.on_change(move |change| {
        for set in [change.old, change.new].into_iter().flatten() {
            if let Some(owner) = controller(&set.metadata).filter(|owner| owner.kind == "Deployment") {
                add.add(Key::new(change.key.namespace.clone(), owner.name.clone()));
            }
        }
    });
    spawn_watch(shared.client.clone(), deployments.clone(), shared.stop.clone());
    replica_set::watch(shared, sets);
    let controller = Arc::new(Controller {
        shared: shared.clone(),
        deployments,
        sets: sets.clone(),
        source: Source::component("deployment-controller"),
    });
    let shared = shared.clone();
    tokio::spawn(async move {
        controller.deployments.synced().await;
        controller.sets.synced().await;
        work(&shared, &queue, |key: Key| {
            let controller = controller.clone();
            async move { controller.reconcile(&key).await.map(|()| None::<Duration>) }
        })
        .await;
    });
}

/// The template without what was added for the ReplicaSet.
fn bare(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
        labels.remove(TEMPLATE_HASH);
    }
    template
}

fn wanted(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn size(set: &ReplicaSet) -> Size {
    let available = set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    Size { wanted: wanted(set), available }
}

fn revision(set: &ReplicaSet) -> i64 {
    let text = set.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Answer<()> {
        let Some(deployment) = self.deployments.get(key) else { return Ok(()) };
        let Some(spec) = &deployment.spec else { return Ok(()) };
        if deployment.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let id = uid(&deployment.metadata);
        let mut sets: Vec<Arc<ReplicaSet>> = self
            .sets
            .in_namespace(&key.namespace)
            .into_iter()
            .filter(|set| controller(&set.metadata).is_some_and(|owner| owner.uid == id))
            .collect();
        if self.adopt(&deployment, spec, key).await? {
            // Seeing them as its own brings the Deployment back here.
            return Ok(());
        }
        sets.sort_by_key(|set| (revision(set), set.metadata.name.clone()));
        let current = sets.iter().rev().find(|set| {
            set.spec.as_ref().and_then(|spec| spec.template.as_ref()).is_some_and(|template| bare(template) == bare(&spec.template))
        });
        let Some(new) = current.cloned() else {
            let last = sets.iter().map(|set| revision(set)).max().unwrap_or(0);
            return self.create(&deployment, spec, last + 1, &sets).await;
        };
        let old: Vec<Arc<ReplicaSet>> = sets.iter().filter(|set| set.metadata.uid != new.metadata.uid).cloned().collect();
        let replicas = spec.replicas.unwrap_or(1);
        if spec.paused != Some(true) {
            self.roll(&deployment, spec, replicas, &new, &old).await?;
            self.clean(spec, &old).await?;
        }
        self.status(&deployment, replicas, &new, &old).await
    }

    /// Takes in ReplicaSets that fit the selector and have no controller; says whether there were any.
    async fn adopt(&self, deployment: &Deployment, spec: &DeploymentSpec, key: &Key) -> Answer<bool> {
        let mut any = false;
        for set in self.sets.in_namespace(&key.namespace) {
            let meta = &set.metadata;
            let fits = selects(&spec.selector, meta.labels.as_ref().unwrap_or(&Labels::new()));
            if controller(meta).is_some() || meta.deletion_timestamp.is_some() || !fits {
                continue;
            }
            if !may_adopt(&self.shared, deployment).await? {
                return Ok(true);
            }
            let body = json!({"metadata": {"uid": meta.uid, "ownerReferences": [controlled_by(deployment)]}});
            let path = path_of::<ReplicaSet>(&key.namespace, meta.name.as_deref().unwrap_or_default());
            any |= optional(self.shared.client.strategic(&path, &body).await)?.is_some();
        }
        Ok(any)
    }

    fn recreate(spec: &DeploymentSpec) -> bool {
        spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
    }

    fn bounds(spec: &DeploymentSpec, replicas: i32) -> (i32, i32) {
        let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        (
            share(rolling.and_then(|rolling| rolling.max_surge.as_ref()), "25%", replicas, true),
            share(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), "25%", replicas, false),
        )
    }

    async fn create(&self, deployment: &Deployment, spec: &DeploymentSpec, revision: i64, old: &[Arc<ReplicaSet>]) -> Answer<()> {
        let key = Key::of(deployment);
        let hash = hash(&spec.template);
        let name = format!("{}-{hash}", key.name);
        let replicas = spec.replicas.unwrap_or(1);
        let first = if Self::recreate(spec) {
            let running = old.iter().any(|set| set.status.as_ref().is_some_and(|status| status.replicas > 0));
            if running || old.iter().any(|set| wanted(set) > 0) { 0 } else { replicas }
        } else {
            let (surge, _) = Self::bounds(spec, replicas);
            let total: i32 = old.iter().map(|set| wanted(set)).sum();
            (replicas + surge - total).clamp(0, replicas)
        };
        let mut template = json!(spec.template);
        template["metadata"]["labels"][TEMPLATE_HASH] = json!(hash);
        let mut selector = json!(spec.selector);
        selector["matchLabels"][TEMPLATE_HASH] = json!(hash);
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": key.namespace, "labels": template["metadata"]["labels"],
                "annotations": {
                    REVISION: revision.to_string(), "deployment.kubernetes.io/desired-replicas": replicas.to_string(),
                    "deployment.kubernetes.io/max-replicas": (replicas + Self::bounds(spec, replicas).0).to_string()
                },
                "ownerReferences": [controlled_by(deployment)]
            },
            "spec": {"replicas": first, "minReadySeconds": spec.min_ready_seconds, "selector": selector, "template": template}
        });
        existing_is_fine(self.shared.client.create(&collection_of::<ReplicaSet>(&key.namespace), &set).await)?;
        if first > 0 {
            let message = format!("Scaled up replica set {name} from 0 to {first}");
            self.shared.recorder.record(&self.source, deployment, "Normal", "ScalingReplicaSet", &message).await;
        }
        let body = json!({"metadata": {"annotations": {REVISION: revision.to_string()}}});
        optional(self.shared.client.merge(&path_of::<Deployment>(&key.namespace, &key.name), &body).await).map(drop)
    }

    async fn roll(
        &self,
        deployment: &Deployment,
        spec: &DeploymentSpec,
        replicas: i32,
        new: &Arc<ReplicaSet>,
        old: &[Arc<ReplicaSet>],
    ) -> Answer<()> {
        if Self::recreate(spec) {
            for set in old {
                self.scale(deployment, set, 0).await?;
            }
            let running = old.iter().any(|set| set.status.as_ref().is_some_and(|status| status.replicas > 0));
            let pods = old.iter().any(|set| !self.shared.owners.pods_of(uid(&set.metadata)).is_empty());
            return if running || pods { Ok(()) } else { self.scale(deployment, new, replicas).await };
        }
        let (surge, unavailable) = Self::bounds(spec, replicas);
        let sizes: Vec<Size> = old.iter().map(|set| size(set)).collect();
        let (next, olds) = roll(replicas, surge, unavailable, size(new), &sizes);
        self.scale(deployment, new, next).await?;
        for (set, next) in old.iter().zip(olds) {
            self.scale(deployment, set, next).await?;
        }
        Ok(())
    }

    async fn scale(&self, deployment: &Deployment, set: &ReplicaSet, replicas: i32) -> Answer<()> {
        let before = wanted(set);
        if before == replicas {
            return Ok(());
        }
        let key = Key::of(set);
        let body = json!({"metadata": {"resourceVersion": set.metadata.resource_version}, "spec": {"replicas": replicas}});
        optional(self.shared.client.merge(&path_of::<ReplicaSet>(&key.namespace, &key.name), &body).await)?;
        let direction = if replicas > before { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {before} to {replicas}", key.name);
        self.shared.recorder.record(&self.source, deployment, "Normal", "ScalingReplicaSet", &message).await;
        Ok(())
    }

    /// Forgets old ReplicaSets beyond the history limit.
    async fn clean(&self, spec: &DeploymentSpec, old: &[Arc<ReplicaSet>]) -> Answer<()> {
        let limit = usize::try_from(spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
        let idle: Vec<&Arc<ReplicaSet>> =
            old.iter().filter(|set| wanted(set) == 0 && set.status.as_ref().is_none_or(|status| status.replicas == 0)).collect();
        for set in idle.iter().take(idle.len().saturating_sub(limit)) {
            let key = Key::of(set.as_ref());
            let path = path_of::<ReplicaSet>(&key.namespace, &key.name);
            self.shared.client.delete(&path, uid(&set.metadata), None, None).await?;
        }
        Ok(())
    }

    async fn status(&self, deployment: &Deployment, replicas: i32, new: &ReplicaSet, old: &[Arc<ReplicaSet>]) -> Answer<()> {
        let all = || old.iter().map(AsRef::as_ref).chain([new]);
        let sum = |figure: fn(&ReplicaSet) -> i32| all().map(figure).sum::<i32>();
        let total = sum(|set| set.status.as_ref().map_or(0, |status| status.replicas));
        let ready = sum(|set| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0));
        let available = sum(|set| size(set).available);
        let updated = new.status.as_ref().map_or(0, |status| status.replicas);
        let (_, unavailable) = deployment.spec.as_ref().map_or((0, 0), |spec| Self::bounds(spec, replicas));
        let name = new.metadata.name.clone().unwrap_or_default();
        let enough = available >= replicas - unavailable;
        let complete = updated == replicas && total == replicas && available == replicas;
        let known = deployment.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let now = self.shared.timestamp();
        let condition = |kind: &str, holds: bool, reason: &str, message: String| {
            let status = if holds { "True" } else { "False" };
            let old = known.iter().find(|condition| condition.type_ == kind);
            let time =
                |time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.map(|time| apiserver::env::rfc3339(&time.0));
            let since = old.filter(|old| old.status == status).and_then(|old| time(old.last_transition_time.as_ref()));
            let same = old.filter(|old| old.reason.as_deref() == Some(reason) && old.status == status);
            let updated = same.and_then(|old| time(old.last_update_time.as_ref()));
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": since.unwrap_or_else(|| now.clone()), "lastUpdateTime": updated.unwrap_or_else(|| now.clone())
            })
        };
        let (reason, message) = if complete {
            ("NewReplicaSetAvailable", format!("ReplicaSet \"{name}\" has successfully progressed."))
        } else if known.iter().all(|condition| condition.type_ != "Progressing") {
            ("NewReplicaSetCreated", format!("Created new replica set \"{name}\""))
        } else {
            ("ReplicaSetUpdated", format!("ReplicaSet \"{name}\" is progressing."))
        };
        let conditions = [
            if enough {
                condition("Available", true, "MinimumReplicasAvailable", "Deployment has minimum availability.".to_owned())
            } else {
                condition("Available", false, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.".to_owned())
            },
            condition("Progressing", true, reason, message),
        ];
        let status = json!({
            "observedGeneration": deployment.metadata.generation, "replicas": total, "updatedReplicas": updated,
            "readyReplicas": ready, "availableReplicas": available, "unavailableReplicas": (replicas - available).max(0),
            "conditions": conditions
        });
        let old: Option<Value> = deployment.status.as_ref().map(|status| {
            json!({
                "observedGeneration": status.observed_generation, "replicas": status.replicas.unwrap_or(0),
                "updatedReplicas": status.updated_replicas.unwrap_or(0), "readyReplicas": status.ready_replicas.unwrap_or(0),
                "availableReplicas": status.available_replicas.unwrap_or(0),
                "unavailableReplicas": status.unavailable_replicas.unwrap_or(0), "conditions": status.conditions
            })
        });
        super::write_status(&self.shared, deployment, old.as_ref(), status).await
    }
}
