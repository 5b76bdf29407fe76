//! Persistent volumes: made for claims, bound to them, released after them.
//!
//! A claim takes the smallest free volume that satisfies it, else one is made by this cluster's provisioner: at once, or,
//! for classes that wait for the first consumer, when the scheduler has chosen a node. Volumes that were made go with their
//! claim; claims in use and bound volumes are held by their protection finalizers.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::data_volumes::{has_data, is_populated};
use super::{existing_is_fine, work};
use crate::client::{Answer, collection_of, optional, path_of};
use crate::cluster::Shared;
use crate::pods;
use crate::queue::Queue;
use crate::recorder::Source;
use crate::storage::{
    ANNOTATION_BIND_COMPLETED, ANNOTATION_SELECTED_NODE, PROVISIONER, StorageClassSpec, annotation, class_name, find_volume, is_bound,
    waits_for_consumer,
};
use crate::store::{Change, Key};

const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Claim(Key),
    Volume(Key),
}

struct Controller {
    shared: Shared,
    source: Source,
}

/// Starts it and creates the storage classes.
pub(crate) fn start(shared: &Shared, classes: Vec<StorageClassSpec>) {
    let queue: Queue<Work> = Queue::new();
    let add = queue.clone();
    shared.claims.on_change(move |change| {
        add.add(Work::Claim(change.key.clone()));
        let volume = change.new.or(change.old).and_then(|claim| claim.spec.as_ref()).and_then(|spec| spec.volume_name.clone());
        if let Some(volume) = volume {
            add.add(Work::Volume(Key::new("", volume)));
        }
    });
    let (add, claims) = (queue.clone(), shared.claims.clone());
    shared.volumes.on_change(move |change| {
        add.add(Work::Volume(change.key.clone()));
        let owner = change.new.and_then(|volume| volume.spec.as_ref()).and_then(|spec| spec.claim_ref.clone());
        match owner {
            Some(owner) => add.add(Work::Claim(Key::new(owner.namespace.unwrap_or_default(), owner.name.unwrap_or_default()))),
            // A free volume may be what some claim waits for.
            None => {
                for claim in claims.all().iter().filter(|claim| !is_bound(claim)) {
                    add.add(Work::Claim(Key::of(claim.as_ref())));
                }
            }
        }
    });
    let (add, claims) = (queue.clone(), shared.claims.clone());
    shared.classes.on_change(move |_| {
        for claim in claims.all().iter().filter(|claim| !is_bound(claim)) {
            add.add(Work::Claim(Key::of(claim.as_ref())));
        }
    });
    let add = queue.clone();
    shared.pods.on_change(move |change: &Change<'_, Pod>| {
        // The end of a pod may free its claims.
        let ended = change.new.is_none_or(|pod| pods::is_terminal(pod));
        if ended && let Some(pod) = change.old.or(change.new) {
            for key in claims_of(pod) {
                add.add(Work::Claim(key));
            }
        }
    });
    let controller = Arc::new(Controller { shared: shared.clone(), source: Source::component("persistentvolume-controller") });
    let shared = shared.clone();
    tokio::spawn(async move {
        for class in classes {
            if let Err(error) = controller.create_class(&class).await {
                tracing::debug!(%error, class = class.name, "storage class not created");
            }
        }
        shared.claims.synced().await;
        shared.volumes.synced().await;
        shared.classes.synced().await;
        shared.pods.synced().await;
        work(&shared, &queue, |item: Work| {
            let controller = controller.clone();
            async move {
                match &item {
                    Work::Claim(key) => controller.claim(key).await,
                    Work::Volume(key) => controller.volume(key).await,
                }
                .map(|()| None::<Duration>)
            }
        })
        .await;
    });
}

fn claims_of(pod: &Pod) -> Vec<Key> {
    let key = Key::of(pod);
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    volumes
        .iter()
        .filter_map(|volume| volume.persistent_volume_claim.as_ref())
        .map(|claim| Key::new(key.namespace.clone(), claim.claim_name.clone()))
        .collect()
}

fn without(meta: &ObjectMeta, finalizer: &str) -> Option<Vec<String>> {
    let list = meta.finalizers.as_deref().unwrap_or_default();
    list.iter().any(|other| other == finalizer).then(|| list.iter().filter(|other| *other != finalizer).cloned().collect())
}

impl Controller {
    async fn create_class(&self, class: &StorageClassSpec) -> Answer<()> {
        let mode = if class.wait_for_first_consumer { "WaitForFirstConsumer" } else { "Immediate" };
        let annotations = if class.default { json!({"storageclass.kubernetes.io/is-default-class": "true"}) } else { json!({}) };
        let object = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": class.name, "annotations": annotations},
            "provisioner": PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": mode, "allowVolumeExpansion": true
        });
        existing_is_fine(self.shared.client.create(&collection_of::<StorageClass>(""), &object).await).map(drop)
    }

    async fn tell(&self, claim: &PersistentVolumeClaim, kind: &str, reason: &str, message: &str) {
        self.shared.recorder.record(&self.source, claim, kind, reason, message).await;
    }

    async fn claim(&self, key: &Key) -> Answer<()> {
        let Some(claim) = self.shared.claims.get(key) else { return Ok(()) };
        if claim.metadata.deletion_timestamp.is_some() {
            return self.release_claim(key, &claim).await;
        }
        let spec = claim.spec.clone().unwrap_or_default();
        if is_bound(&claim) {
            return self.bound(key, &claim, spec.volume_name.as_deref().unwrap_or_default()).await;
        }
        if let Some(name) = spec.volume_name.filter(|name| !name.is_empty()) {
            let Some(volume) = self.shared.volumes.get(&Key::new("", name)) else { return Ok(()) };
            return self.bind(key, &claim, &volume).await;
        }
        let name = class_name(&claim);
        let class = name.as_ref().and_then(|name| self.shared.classes.get(&Key::new("", name.clone())));
        let waits = class.as_ref().is_some_and(|class| waits_for_consumer(class));
        let node = annotation(&claim.metadata, ANNOTATION_SELECTED_NODE);
        if waits && node.is_none() {
            let text = "waiting for first consumer to be created before binding";
            self.tell(&claim, "Normal", "WaitForFirstConsumer", text).await;
            return Ok(());
        }
        // Its data has to be there first; then it gets a volume like any other.
        if is_populated(&claim) && !has_data(&claim) {
            return Ok(());
        }
        if let Some(volume) = find_volume(&claim, &self.shared.volumes, |_| true) {
            return self.bind(key, &claim, &volume).await;
        }
        match (name, class) {
            (None, _) => {
                let text = "no persistent volumes available for this claim and no storage class is set";
                self.tell(&claim, "Normal", "FailedBinding", text).await;
                Ok(())
            }
            (Some(name), None) => {
                let text = format!("storageclass.storage.k8s.io \"{name}\" not found");
                self.tell(&claim, "Warning", "ProvisioningFailed", &text).await;
                Ok(())
            }
            (Some(_), Some(class)) if class.provisioner == PROVISIONER => self.provision(key, &claim, &class, node).await,
            (Some(_), Some(class)) => {
                let text = format!(
                    "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system \
                     administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.",
                    class.provisioner
                );
                self.tell(&claim, "Normal", "ExternalProvisioning", &text).await;
                Ok(())
            }
        }
    }

    async fn provision(&self, key: &Key, claim: &PersistentVolumeClaim, class: &StorageClass, node: Option<&str>) -> Answer<()> {
        let uid = claim.metadata.uid.clone().unwrap_or_default();
        let name = format!("pvc-{uid}");
        let spec = claim.spec.clone().unwrap_or_default();
        let size = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()).and_then(|requests| requests.get("storage"));
        let affinity = node.map(|node| {
            json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}})
        });
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}, "finalizers": [VOLUME_PROTECTION]},
            "spec": {
                "accessModes": spec.access_modes, "capacity": {"storage": size}, "volumeMode": spec.volume_mode,
                "storageClassName": class.metadata.name, "mountOptions": class.mount_options,
                "persistentVolumeReclaimPolicy": class.reclaim_policy.clone().unwrap_or_else(|| "Delete".to_owned()),
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": key.namespace, "name": key.name, "uid": uid,
                    "resourceVersion": claim.metadata.resource_version
                },
                "csi": {"driver": PROVISIONER, "volumeHandle": name}, "nodeAffinity": affinity
            }
        });
        existing_is_fine(self.shared.client.create(&collection_of::<PersistentVolume>(""), &volume).await)?;
        self.tell(claim, "Normal", "ProvisioningSucceeded", &format!("Successfully provisioned volume {name}")).await;
        Ok(())
    }

    /// Binds claim and volume to each other: first the volume, then the claim.
    async fn bind(&self, key: &Key, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Answer<()> {
        let name = volume.metadata.name.clone().unwrap_or_default();
        let uid = claim.metadata.uid.clone();
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone());
        if reference.as_ref().is_none_or(|reference| reference.uid.is_none()) {
            let body = json!({
                "metadata": {"resourceVersion": volume.metadata.resource_version, "annotations": {BOUND_BY_CONTROLLER: "yes"}},
                "spec": {"claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": key.namespace, "name": key.name, "uid": uid
                }}
            });
            self.shared.client.merge(&path_of::<PersistentVolume>("", &name), &body).await?;
        } else if reference.is_some_and(|reference| reference.uid != uid) {
            return Ok(());
        }
        let by_controller = claim.spec.as_ref().is_none_or(|spec| spec.volume_name.is_none());
        let mut annotations = json!({ANNOTATION_BIND_COMPLETED: "yes"});
        if by_controller {
            annotations[BOUND_BY_CONTROLLER] = json!("yes");
        }
        let body = json!({"metadata": {"uid": uid, "annotations": annotations}, "spec": {"volumeName": name}});
        optional(self.shared.client.merge(&path_of::<PersistentVolumeClaim>(&key.namespace, &key.name), &body).await).map(drop)
    }

    /// Writes the status of a bound claim.
    async fn bound(&self, key: &Key, claim: &PersistentVolumeClaim, volume: &str) -> Answer<()> {
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        let path = format!("{}/status", path_of::<PersistentVolumeClaim>(&key.namespace, &key.name));
        let Some(volume) = self.shared.volumes.get(&Key::new("", volume)) else {
            if phase != Some("Lost") {
                optional(self.shared.client.merge(&path, &json!({"status": {"phase": "Lost"}})).await)?;
                self.tell(claim, "Warning", "ClaimLost", "Bound claim has lost its PersistentVolume. Any data on the volume is lost!")
                    .await;
            }
            return Ok(());
        };
        let spec = volume.spec.clone().unwrap_or_default();
        let status = claim.status.clone().unwrap_or_default();
        let same = phase == Some("Bound") && status.access_modes == spec.access_modes && status.capacity == spec.capacity;
        if same {
            return Ok(());
        }
        let new = json!({"status": {"phase": "Bound", "accessModes": spec.access_modes, "capacity": spec.capacity}});
        optional(self.shared.client.merge(&path, &new).await).map(drop)
    }

    /// Lets a claim go that no pod uses.
    async fn release_claim(&self, key: &Key, claim: &PersistentVolumeClaim) -> Answer<()> {
        let Some(rest) = without(&claim.metadata, CLAIM_PROTECTION) else { return Ok(()) };
        let used = self
            .shared
            .pods
            .in_namespace(&key.namespace)
            .iter()
            .any(|pod| !pods::is_terminal(pod) && !pods::node(pod).is_empty() && claims_of(pod).contains(key));
        if used {
            return Ok(());
        }
        let body = json!({"metadata": {"resourceVersion": claim.metadata.resource_version, "finalizers": rest}});
        optional(self.shared.client.merge(&path_of::<PersistentVolumeClaim>(&key.namespace, &key.name), &body).await).map(drop)
    }

    async fn volume(&self, key: &Key) -> Answer<()> {
        let Some(volume) = self.shared.volumes.get(key) else { return Ok(()) };
        let spec = volume.spec.clone().unwrap_or_default();
        let path = path_of::<PersistentVolume>("", &key.name);
        let uid = volume.metadata.uid.clone().unwrap_or_default();
        let Some(reference) = spec.claim_ref.filter(|reference| reference.uid.is_some()) else {
            if volume.metadata.deletion_timestamp.is_some() {
                return self.release_volume(&path, &volume).await;
            }
            return self.phase(&path, &volume, "Available").await;
        };
        let claim = Key::new(reference.namespace.unwrap_or_default(), reference.name.unwrap_or_default());
        let current = self.shared.claims.get(&claim).filter(|claim| claim.metadata.uid == reference.uid);
        if let Some(current) = current {
            let to_us = current.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()) == Some(&key.name);
            return if to_us { self.phase(&path, &volume, "Bound").await } else { Ok(()) };
        }
        let there: Option<Value> =
            optional(self.shared.client.get(&path_of::<PersistentVolumeClaim>(&claim.namespace, &claim.name)).await)?;
        if there.is_some_and(|there| there["metadata"]["uid"].as_str() == reference.uid.as_deref()) {
            return Ok(());
        }
        if spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete")
            && annotation(&volume.metadata, PROVISIONED_BY) == Some(PROVISIONER)
        {
            if volume.metadata.deletion_timestamp.is_none() {
                self.phase(&path, &volume, "Released").await?;
                return self.shared.client.delete(&path, &uid, None, None).await;
            }
            return self.release_volume(&path, &volume).await;
        }
        if volume.metadata.deletion_timestamp.is_some() {
            return self.release_volume(&path, &volume).await;
        }
        self.phase(&path, &volume, "Released").await
    }

    async fn release_volume(&self, path: &str, volume: &PersistentVolume) -> Answer<()> {
        let Some(rest) = without(&volume.metadata, VOLUME_PROTECTION) else { return Ok(()) };
        let body = json!({"metadata": {"uid": volume.metadata.uid, "finalizers": rest}});
        optional(self.shared.client.merge(path, &body).await).map(drop)
    }

    async fn phase(&self, path: &str, volume: &PersistentVolume, phase: &str) -> Answer<()> {
        if volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase) {
            return Ok(());
        }
        let body = json!({"status": {"phase": phase, "lastPhaseTransitionTime": self.shared.timestamp()}});
        optional(self.shared.client.merge(&format!("{path}/status"), &body).await).map(drop)
    }
}
