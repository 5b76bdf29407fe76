//! The recorded specs of a pool (spec controllers §5, Revisions).

use std::collections::BTreeSet;

use api::names;
use api::pool::v1beta1::{VirtualMachinePool, VirtualMachinePoolSpec};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;

use super::{Observed, encoded, on_failure, reason};
use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, PlanError, Tolerate, kinds};

/// The name of the revision of the pool's present spec.
pub(super) fn name(pool: &VirtualMachinePool) -> String {
    format!("{}-{}", metadata::name(&pool.metadata), pool.metadata.generation.unwrap_or_default())
}

/// The revision an object was made from.
pub(super) fn label(object: &ObjectMeta) -> Option<&str> {
    metadata::label(object, names::VM_POOL_REVISION_NAME_LABEL)
}

/// The names of the revisions whose contents decide about updates: those that VMs and instances were made from, other than the
/// present one.
pub fn contents_needed(observed: &Observed<'_>) -> BTreeSet<String> {
    let present = name(observed.pool);
    let mut needed = BTreeSet::new();
    for vm in observed.members() {
        let vmi = observed.vmis.get(metadata::name(&vm.metadata)).and_then(|vmi| label(&vmi.metadata));
        needed.extend(label(&vm.metadata).into_iter().chain(vmi).filter(|name| *name != present).map(str::to_owned));
    }
    needed
}

/// What is known of a revision.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Recorded {
    /// There is none of that name.
    Missing,
    /// There is one, and nothing is known of its contents yet.
    Unread,
    /// The spec of then.
    Spec(Box<VirtualMachinePoolSpec>),
}

/// The spec recorded under a name.
pub(super) fn recorded(observed: &Observed<'_>, wanted: &str) -> Recorded {
    let Some(revision) = find(observed, wanted) else { return Recorded::Missing };
    if wanted == name(observed.pool) {
        return Recorded::Spec(Box::new(observed.pool.spec.clone()));
    }
    match &revision.data {
        None => Recorded::Unread,
        // What cannot be read is no record.
        Some(data) => serde_json::from_value(data.0.clone()).map_or(Recorded::Missing, |spec| Recorded::Spec(Box::new(spec))),
    }
}

fn find<'a>(observed: &Observed<'a>, wanted: &str) -> Option<&'a ControllerRevision> {
    observed.revisions.iter().find(|revision| metadata::name(&revision.metadata) == wanted).map(AsRef::as_ref)
}

/// The creation of the present spec's revision; nothing where there is one.
pub(super) fn ensure(observed: &Observed<'_>, on_failure: OnFailure) -> Result<Option<Action>, PlanError> {
    let wanted = name(observed.pool);
    if find(observed, &wanted).is_some() {
        return Ok(None);
    }
    let revision = ControllerRevision {
        metadata: ObjectMeta {
            name: Some(wanted),
            namespace: observed.pool.metadata.namespace.clone(),
            owner_references: Some(vec![observed.reference().controller_reference()]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(encoded(&observed.pool.spec, reason::UPDATE)?)),
        revision: observed.pool.metadata.generation.unwrap_or_default(),
    };
    Ok(Some(Action::Create {
        object: ObjectRef { name: String::new(), ..ObjectRef::of(&kinds::CONTROLLER_REVISION, &revision.metadata) },
        body: encoded(&revision, reason::UPDATE)?,
        on_failure,
    }))
}

/// The deletions of revisions that no VM and no instance was made from.
pub(super) fn prune(observed: &Observed<'_>) -> Vec<Action> {
    let mut used = BTreeSet::new();
    for vm in observed.owned() {
        let vmi = observed.vmis.get(metadata::name(&vm.metadata)).and_then(|vmi| label(&vmi.metadata));
        used.extend(label(&vm.metadata).into_iter().chain(vmi));
    }
    let unused = observed.revisions.iter().filter(|revision| !used.contains(metadata::name(&revision.metadata)));
    unused
        .map(|revision| Action::Delete {
            object: ObjectRef::of(&kinds::CONTROLLER_REVISION, &revision.metadata),
            grace_seconds: None,
            propagation: None,
            on_failure: OnFailure {
                tolerate: Tolerate::NotFound,
                ..on_failure(reason::PRUNE, "error while pruning vmpool revisions: ", None, "")
            },
        })
        .collect()
}
