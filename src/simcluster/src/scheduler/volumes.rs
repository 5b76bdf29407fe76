//! What a pod's volume claims mean for the choice of its node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;

use super::filter::Misfit;
use super::info::{NodeInfo, PodInfo};
use crate::labels::fits_node_selector;
use crate::storage::{self, ANNOTATION_SELECTED_NODE, NO_PROVISIONER};
use crate::store::{Key, Store};

/// Where claims, volumes and classes are looked up.
#[derive(Clone)]
pub(crate) struct VolumeStores {
    pub(crate) claims: Arc<Store<PersistentVolumeClaim>>,
    pub(crate) volumes: Arc<Store<PersistentVolume>>,
    pub(crate) classes: Arc<Store<StorageClass>>,
}

/// The claims of one pod.
#[derive(Default)]
pub(crate) struct PodVolumes {
    bound: Vec<Arc<PersistentVolume>>,
    /// Claims that wait for the pod's node.
    pub(crate) waiting: Vec<(Arc<PersistentVolumeClaim>, Arc<StorageClass>)>,
}

/// Names of the claims that a pod mounts.
pub(crate) fn claim_names(pod: &PodInfo) -> Vec<String> {
    pod.spec()
        .and_then(|spec| spec.volumes.as_deref())
        .unwrap_or_default()
        .iter()
        .filter_map(|volume| {
            volume
                .persistent_volume_claim
                .as_ref()
                .map(|claim| claim.claim_name.clone())
                .or_else(|| volume.ephemeral.as_ref().map(|_| format!("{}-{}", pod.key.name, volume.name)))
        })
        .collect()
}

impl VolumeStores {
    /// Collects a pod's claims.
    ///
    /// # Errors
    /// Why no node at all is possible.
    pub(crate) fn of(&self, pod: &PodInfo) -> Result<PodVolumes, String> {
        let mut volumes = PodVolumes::default();
        for name in claim_names(pod) {
            let key = Key::new(pod.key.namespace.clone(), name.clone());
            let Some(claim) = self.claims.get(&key) else {
                return Err(format!("persistentvolumeclaim {name:?} not found"));
            };
            if claim.metadata.deletion_timestamp.is_some() {
                return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
            }
            if storage::is_bound(&claim) {
                let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
                match self.volumes.get(&Key::new("", volume.clone())) {
                    Some(volume) => volumes.bound.push(volume),
                    None => {
                        return Err(format!("persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"));
                    }
                }
                continue;
            }
            let class = storage::class_name(&claim).and_then(|class| self.classes.get(&Key::new("", class)));
            match class {
                Some(class) if storage::waits_for_consumer(&class) => volumes.waiting.push((claim, class)),
                _ => return Err("pod has unbound immediate PersistentVolumeClaims".to_owned()),
            }
        }
        Ok(volumes)
    }

    /// Whether a node can reach the pod's volumes.
    pub(crate) fn fits(&self, volumes: &PodVolumes, name: &str, node: &NodeInfo) -> Result<(), Misfit> {
        for volume in &volumes.bound {
            if !reaches(volume, name, node) {
                return Err(Misfit::unresolvable("node(s) didn't match PersistentVolume's node affinity"));
            }
        }
        for (claim, class) in &volumes.waiting {
            let selected = storage::annotation(&claim.metadata, ANNOTATION_SELECTED_NODE);
            if selected.is_some_and(|selected| selected != name) {
                return Err(Misfit::unresolvable("node(s) did not have enough free storage"));
            }
            let found = storage::find_volume(claim, &self.volumes, |volume| reaches(volume, name, node)).is_some();
            if !found && (class.provisioner == NO_PROVISIONER || !allows(class, node)) {
                return Err(Misfit::resolvable("node(s) didn't find available persistent volumes to bind"));
            }
        }
        Ok(())
    }
}

fn reaches(volume: &PersistentVolume, name: &str, node: &NodeInfo) -> bool {
    volume
        .spec
        .as_ref()
        .and_then(|spec| spec.node_affinity.as_ref())
        .and_then(|affinity| affinity.required.as_ref())
        .is_none_or(|selector| fits_node_selector(selector, name, &node.labels))
}

fn allows(class: &StorageClass, node: &NodeInfo) -> bool {
    let terms = class.allowed_topologies.as_deref().unwrap_or_default();
    terms.is_empty()
        || terms.iter().any(|term| {
            term.match_label_expressions
                .iter()
                .flatten()
                .all(|wanted| node.labels.get(&wanted.key).is_some_and(|value| wanted.values.contains(value)))
        })
}

/// Whether a change of a node can make pods fit that did not.
pub(crate) fn node_matters(old: &Node, new: &Node) -> bool {
    let status = |node: &Node| node.status.as_ref().map(|status| status.allocatable.clone());
    old.spec != new.spec || old.metadata.labels != new.metadata.labels || status(old) != status(new)
}
