//! The claim that keeps a guest's own state: TPM, EFI variables, block tracking (spec controllers §2.10).

use api::names::{self, reason};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::Observed;
use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, PlanError, Tolerate, kinds};

/// How far the claim is.
pub(super) enum Backend {
    /// The guest keeps no state.
    None,
    /// It can be used.
    Ready(String),
    /// It has to be made.
    Create(Box<Action>),
    /// It is no longer needed.
    Delete(Box<Action>),
    /// It cannot be used.
    Error(PlanError),
}

/// The claim's status entry among the VMI's volumes.
pub(super) const VOLUME: &str = "persistent-state-for-this-vm";

/// Marks the storage class used where nothing else is said.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// The VMI's claim: by label, or by the name older versions gave it.
pub(super) fn claim<'a>(observed: &Observed<'a>) -> Option<&'a PersistentVolumeClaim> {
    let name = metadata::name(&observed.vmi.metadata);
    let legacy = format!("{}{name}", names::PERSISTENT_STATE_CLAIM_PREFIX);
    let claims = &observed.storage.claims;
    claims
        .values()
        .find(|claim| metadata::label(&claim.metadata, names::PERSISTENT_STATE_FOR_LABEL) == Some(name))
        .or_else(|| claims.get(&legacy))
        .map(AsRef::as_ref)
}

/// What is to be done about the claim before the pod can start.
pub(super) fn ensure(observed: &Observed<'_>) -> Backend {
    let found = claim(observed);
    if !convert::vmi::needs_backend_storage(observed.vmi) {
        let unneeded = found.filter(|found| !metadata::is_deleting(&found.metadata));
        return unneeded.map_or(Backend::None, |found| Backend::Delete(Box::new(delete(found))));
    }
    let Some(found) = found else {
        return match class(observed) {
            Ok((class, explicit)) => Backend::Create(Box::new(create(observed, &class, explicit))),
            Err(error) => Backend::Error(PlanError::new(reason::FAILED_BACKEND_STORAGE_CREATE, error)),
        };
    };
    match found.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending") {
        "Bound" => Backend::Ready(metadata::name(&found.metadata).to_owned()),
        "Lost" => {
            let text = format!("PVC {} has been lost", metadata::name(&found.metadata));
            Backend::Error(PlanError::new(reason::FAILED_BACKEND_STORAGE_PROBE, text))
        }
        _ if waits_for_consumer(observed, found) => Backend::Ready(metadata::name(&found.metadata).to_owned()),
        _ => Backend::Error(PlanError::new(reason::BACKEND_STORAGE_NOT_READY, "PVC pending")),
    }
}

fn waits_for_consumer(observed: &Observed<'_>, claim: &PersistentVolumeClaim) -> bool {
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    observed
        .storage_classes
        .iter()
        .find(|known| class == Some(metadata::name(&known.metadata)))
        .is_some_and(|known| known.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"))
}

/// The storage class, and whether the cluster's configuration names it.
fn class(observed: &Observed<'_>) -> Result<(String, bool), String> {
    if let Some(class) = observed.config.configuration().vm_state_storage_class.clone().filter(|class| !class.is_empty()) {
        return Ok((class, true));
    }
    let marked = |annotation: &str| {
        let is_marked = |class: &&std::sync::Arc<StorageClass>| metadata::annotation(&class.metadata, annotation) == Some("true");
        observed.storage_classes.iter().find(is_marked).map(|class| metadata::name(&class.metadata).to_owned())
    };
    marked(names::DEFAULT_VIRT_CLASS_ANNOTATION)
        .or_else(|| marked(DEFAULT_CLASS))
        .map(|class| (class, false))
        .ok_or_else(|| "no default storage class found".to_owned())
}

fn create(observed: &Observed<'_>, class: &str, explicit: bool) -> Action {
    let vmi = &observed.vmi.metadata;
    let name = metadata::name(vmi);
    let tracks_blocks = observed.stored().and_then(|status| status.changed_block_tracking.as_ref());
    let tracks_blocks = tracks_blocks.is_some_and(|tracking| matches!(tracking.state.as_str(), "Initializing" | "Enabled"));
    // The state outlives the VMI: it belongs to whoever owns that.
    let owners = vmi.owner_references.clone().filter(|owners| !owners.is_empty()).unwrap_or_else(|| {
        let mut owner: OwnerReference = ObjectRef::of(&kinds::VMI, vmi).controller_reference();
        owner.block_owner_deletion = Some(true);
        vec![owner]
    });
    let base = format!("{}{name}-", names::PERSISTENT_STATE_CLAIM_PREFIX);
    let seed = format!("{}/state", owners.first().map_or_else(String::new, |owner| owner.uid.clone()));
    let claim = PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(metadata::generated_name(&base, &seed)),
            generate_name: Some(base),
            namespace: vmi.namespace.clone(),
            labels: Some(
                [
                    (names::PERSISTENT_STATE_FOR_LABEL.to_owned(), name.to_owned()),
                    ("cdi.kubevirt.io/applyStorageProfile".to_owned(), "true".to_owned()),
                ]
                .into(),
            ),
            owner_references: Some(owners),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![if explicit { "ReadWriteMany" } else { "ReadWriteOnce" }.to_owned()]),
            volume_mode: Some("Filesystem".to_owned()),
            storage_class_name: Some(class.to_owned()),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(if tracks_blocks { "522Mi" } else { "10Mi" }.to_owned()))].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    };
    Action::Create {
        object: ObjectRef { name: String::new(), ..ObjectRef::of(&kinds::PVC, &claim.metadata) },
        body: serde_json::to_value(&claim).unwrap_or_default(),
        on_failure: OnFailure {
            reason: reason::FAILED_BACKEND_STORAGE_CREATE.into(),
            tolerate: Tolerate::AlreadyExists,
            ..OnFailure::default()
        },
    }
}

fn delete(claim: &PersistentVolumeClaim) -> Action {
    Action::Delete {
        object: ObjectRef::of(&kinds::PVC, &claim.metadata),
        grace_seconds: None,
        propagation: None,
        on_failure: OnFailure { tolerate: Tolerate::NotFound, ..OnFailure::default() },
    }
}
