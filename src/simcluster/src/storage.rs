//! Questions about claims, volumes and storage classes.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::labels::selects;
use crate::quantity::milli;
use crate::store::Store;

/// The node that a claim's volume is for, set by the scheduler.
pub(crate) const ANNOTATION_SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// A claim is bound for good.
pub(crate) const ANNOTATION_BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// The provisioner of classes whose volumes somebody else makes.
pub(crate) const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// The provisioner of this cluster's own classes.
pub(crate) const PROVISIONER: &str = "volumes.simcluster.dev";

/// A storage class whose volumes this cluster makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageClassSpec {
    /// Its name.
    pub name: String,
    /// Whether claims without a class get it.
    pub default: bool,
    /// Whether volumes are made when a pod needs them, on its node, instead of at once.
    pub wait_for_first_consumer: bool,
}

impl StorageClassSpec {
    /// `standard` (the default, bound at once) and `local` (bound to the node of the first pod).
    pub fn defaults() -> Vec<Self> {
        let class = |name: &str, default, wait| Self { name: name.to_owned(), default, wait_for_first_consumer: wait };
        vec![class("standard", true, false), class("local", false, true)]
    }
}

/// An annotation.
pub(crate) fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(name).map(String::as_str)
}

/// Whether claim and volume are bound to each other for good.
pub(crate) fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.spec.as_ref().is_some_and(|spec| spec.volume_name.is_some()) && annotation(&claim.metadata, ANNOTATION_BIND_COMPLETED).is_some()
}

/// The class of a claim; `None` when it wants none.
pub(crate) fn class_name(claim: &PersistentVolumeClaim) -> Option<String> {
    claim.spec.as_ref()?.storage_class_name.clone().filter(|class| !class.is_empty())
}

/// Whether volumes of the class are made when a pod needs them.
pub(crate) fn waits_for_consumer(class: &StorageClass) -> bool {
    class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
}

/// The smallest free volume that satisfies a claim; one that names the claim comes first.
pub(crate) fn find_volume(
    claim: &PersistentVolumeClaim,
    volumes: &Store<PersistentVolume>,
    reachable: impl Fn(&PersistentVolume) -> bool,
) -> Option<std::sync::Arc<PersistentVolume>> {
    let spec = claim.spec.as_ref()?;
    let wanted = spec
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref())
        .and_then(|requests| requests.get("storage"))
        .map_or(0, |quantity| milli(&quantity.0));
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    let mut best: Option<(i128, std::sync::Arc<PersistentVolume>)> = None;
    for volume in volumes.all() {
        let Some(offer) = volume.spec.as_ref() else { continue };
        if volume.metadata.deletion_timestamp.is_some() {
            continue;
        }
        if let Some(reference) = &offer.claim_ref {
            let same = reference.namespace == claim.metadata.namespace && reference.name == claim.metadata.name;
            if !same || reference.uid.as_ref().is_some_and(|uid| Some(uid) != claim.metadata.uid.as_ref()) {
                continue;
            }
            return Some(volume);
        }
        let size = offer.capacity.as_ref().and_then(|capacity| capacity.get("storage")).map_or(0, |size| milli(&size.0));
        let offered = offer.access_modes.as_deref().unwrap_or_default();
        let labels = volume.metadata.labels.clone().unwrap_or_default();
        let mode = |mode: Option<&String>| mode.map_or("Filesystem", String::as_str).to_owned();
        if size >= wanted
            && offer.storage_class_name.as_deref().unwrap_or_default() == class
            && modes.iter().all(|mode| offered.contains(mode))
            && mode(offer.volume_mode.as_ref()) == mode(spec.volume_mode.as_ref())
            && spec.selector.as_ref().is_none_or(|selector| selects(selector, &labels))
            && reachable(&volume)
            && best.as_ref().is_none_or(|(smallest, _)| size < *smallest)
        {
            best = Some((size, volume.clone()));
        }
    }
    best.map(|(_, volume)| volume)
}
