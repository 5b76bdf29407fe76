//! The first half of a reconciliation: pods and claims (spec controllers §2.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use api::names::{self, reason};
use convert::pod::{Claim, Context, PodError};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::volumes::Gate;
use super::{Observed, Phase, backend_storage, hotplug, is_receiver, pod_sync, pods};
use crate::creation::failed_validation;
use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, PlanError, Tolerate, kinds};

/// What is to be done to pods and claims.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sync {
    /// The writes, in order.
    pub actions: Vec<Action>,
    /// What is wrong; the actions are to be applied all the same.
    pub error: Option<PlanError>,
    /// The pod among the actions that becomes the VMI's.
    pub creates: Option<Arc<Pod>>,
}

impl Sync {
    fn fail(mut self, error: PlanError) -> Self {
        self.error = Some(error);
        self
    }
}

/// Plans what is to be done to pods and claims, in upstream's order.
pub fn sync(observed: &Observed<'_>) -> Sync {
    let mut plan = Sync::default();
    if observed.is_deleting() {
        delete_all(observed, &mut plan.actions);
        return plan;
    }
    if observed.phase().is_final() {
        if let Some(pod) = observed.pod() {
            hotplug::delete_attachment_pods(observed, pod, &mut plan.actions);
        }
        return plan;
    }
    for pod in observed.own_pods().into_iter().filter(|pod| pods::PodState::of(pod).is_down()) {
        hotplug::delete_attachment_pods(observed, pod, &mut plan.actions);
    }
    let gate = match Gate::of(observed) {
        Ok(gate) => gate,
        Err(missing) => {
            plan.actions.push(Action::normal(&observed.reference(), reason::FAILED_PVC_NOT_FOUND, missing.as_str()));
            return plan.fail(PlanError::informal(reason::FAILED_PVC_NOT_FOUND, missing));
        }
    };
    let awaits_source =
        is_receiver(observed.vmi) && metadata::label(&observed.vmi.metadata, names::MIGRATION_TARGET_NODE_NAME_LABEL).is_none();
    if awaits_source {
        return plan;
    }
    match observed.pod() {
        None => create(observed, gate, plan),
        Some(pod) => decorate(observed, pod, gate, plan),
    }
}

/// Step 1: every pod of a VMI that is being deleted goes; pods that ended and are still there when they should be gone are
/// deleted again.
fn delete_all(observed: &Observed<'_>, actions: &mut Vec<Action>) {
    for pod in observed.own_pods() {
        let overdue =
            pod.metadata.deletion_timestamp.as_ref().is_none_or(|due| due.0 < observed.now.0 && pods::PodState::of(pod).is_down());
        if !overdue {
            continue;
        }
        delete(observed, pod, None, "virtual machine pod", actions);
    }
}

/// Deletes a pod and says so on the VMI.
pub(super) fn delete(observed: &Observed<'_>, pod: &Pod, grace: Option<i64>, what: &str, actions: &mut Vec<Action>) {
    let name = metadata::name(&pod.metadata);
    let subject = observed.reference();
    actions.push(Action::Delete {
        object: ObjectRef::of(&kinds::POD, &pod.metadata),
        grace_seconds: grace,
        propagation: None,
        on_failure: OnFailure {
            reason: reason::FAILED_DELETE.into(),
            prefix: format!("failed to delete {what}: "),
            event: Some((subject.clone(), format!("Failed to delete {what} {name}: "))),
            tolerate: Tolerate::NotFound,
            ..OnFailure::default()
        },
    });
    actions.push(Action::normal(&subject, "SuccessfulDelete", format!("Deleted {what} {name}")));
}

/// Step 6: the VMI has no pod.
fn create(observed: &Observed<'_>, gate: Gate, mut plan: Sync) -> Sync {
    if !matches!(observed.phase(), Phase::Unset | Phase::Pending) || !gate.ready {
        return plan;
    }
    if observed.migrations.iter().any(|migration| is_running(migration)) {
        return plan.fail(PlanError::new(reason::FAILED_CREATE, "active migration exists"));
    }
    let claim = match backend_storage::ensure(observed) {
        backend_storage::Backend::None => None,
        backend_storage::Backend::Ready(claim) => Some(claim),
        backend_storage::Backend::Create(action) => {
            plan.actions.push(*action);
            return plan;
        }
        backend_storage::Backend::Delete(action) => {
            plan.actions.push(*action);
            None
        }
        backend_storage::Backend::Error(error) => return plan.fail(error),
    };
    if !observed.config.gate("ContainerPathVolumes") && observed.vmi.spec.volumes.iter().any(|volume| volume.container_path.is_some()) {
        let text = "ContainerPath volumes are not enabled, the ContainerPathVolumes feature gate has to be set";
        plan.actions.push(Action::warning(&observed.reference(), reason::CONTAINER_PATH_VOLUMES_DISABLED, text));
        return plan.fail(PlanError::new(reason::CONTAINER_PATH_VOLUMES_DISABLED, text));
    }
    let pod = match render(observed, gate.wait_for_first_consumer, claim.as_deref()) {
        Ok(pod) => pod,
        Err(PodError::ClaimNotFound(_) | PodError::BackendStorageNotFound) => {
            let text = "failed to render launch manifest: PVC not found";
            plan.actions.push(Action::warning(&observed.reference(), reason::FAILED_PVC_NOT_FOUND, text));
            return plan.fail(PlanError::informal(reason::FAILED_PVC_NOT_FOUND, text));
        }
        Err(error) => {
            let text = format!("failed to render launch manifest: {error}");
            return plan.fail(PlanError::new(reason::FAILED_CREATE, text));
        }
    };
    if let Some(text) = failed_validation(&observed.vmi.spec, observed.config) {
        return plan.fail(PlanError::new("FailedCreateValidation", text));
    }
    let name = metadata::name(&pod.metadata).to_owned();
    let subject = observed.reference();
    let object = ObjectRef { name: String::new(), ..ObjectRef::of(&kinds::POD, &pod.metadata) };
    let body = match wire(&pod) {
        Ok(body) => body,
        Err(error) => return plan.fail(PlanError::new(reason::FAILED_CREATE, error.to_string())),
    };
    plan.actions.push(Action::Create {
        object,
        body,
        on_failure: OnFailure {
            reason: reason::FAILED_CREATE.into(),
            prefix: "failed to create virtual machine pod: ".to_owned(),
            event: Some((subject.clone(), "Error creating pod: ".to_owned())),
            // The name comes from the VMI's UID: what is there is what an earlier, unanswered creation made.
            tolerate: Tolerate::AlreadyExists,
            ..OnFailure::default()
        },
    });
    plan.actions.push(Action::normal(&subject, "SuccessfulCreate", format!("Created virtual machine pod {name}")));
    plan.creates = Some(Arc::new(pod));
    plan
}

/// A pod on the wire.
fn wire(pod: &Pod) -> Result<Value, serde_json::Error> {
    serde_json::to_value(pod)
}

/// Whether a migration is past its decision and not at its end: another VMI of the same name must not start meanwhile.
fn is_running(migration: &api::v1::VirtualMachineInstanceMigration) -> bool {
    !matches!(
        migration.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default(),
        "" | "Pending" | "Succeeded" | "Failed"
    )
}

/// The pod to create: the launcher, or the temporary one that makes claims bind.
fn render(observed: &Observed<'_>, temporary: bool, backend_claim: Option<&str>) -> Result<Pod, PodError> {
    let claims: BTreeMap<String, Claim> = observed
        .storage
        .claims
        .iter()
        .map(|(name, claim)| {
            let spec = claim.spec.as_ref();
            let modes = spec.and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
            let facts = Claim {
                uid: metadata::uid(&claim.metadata).to_owned(),
                block: spec.and_then(|spec| spec.volume_mode.as_deref()) == Some("Block"),
                read_write_many: modes.iter().any(|mode| mode == "ReadWriteMany"),
            };
            (name.clone(), facts)
        })
        .collect();
    let context = Context {
        config: observed.config,
        launcher_image: &observed.settings.launcher_image,
        sidecar_shim_image: &observed.settings.sidecar_shim_image,
        image_pull_secret: observed.settings.image_pull_secret.as_deref(),
        qemu_timeout_seconds: observed.settings.qemu_timeout_seconds,
        qemu_timeout_jitter_seconds: observed.jitter_seconds,
        claims: &claims,
        backend_storage_claim: backend_claim,
        namespace: observed.namespace,
        network_resources: &BTreeMap::new(),
        pinned_images: &BTreeMap::new(),
        temporary,
    };
    let mut pod = convert::pod::launcher_pod(observed.vmi, &context)?;
    let base = pod.metadata.generate_name.clone().unwrap_or_else(|| format!("virt-launcher-{}-", metadata::name(&observed.vmi.metadata)));
    let seed = format!("{}/{}", observed.uid(), if temporary { "temporary" } else { "launcher" });
    pod.metadata.name = Some(metadata::generated_name(&base, &seed));
    pod.metadata.namespace.clone_from(&observed.vmi.metadata.namespace);
    Ok(pod)
}

/// Steps 7 to 9: the VMI has a pod.
fn decorate(observed: &Observed<'_>, pod: &Arc<Pod>, gate: Gate, mut plan: Sync) -> Sync {
    if !gate.wait_for_first_consumer {
        for spent in observed.own_pods().into_iter().chain(pods::attachment_pods(observed.pods, pod)) {
            let ended = pods::PodState::of(spent) != pods::PodState::Pending;
            if pods::is_temporary(spent) && ended && !metadata::is_deleting(&spent.metadata) {
                delete(observed, spent, Some(0), "WaitForFirstConsumer temporary pod", &mut plan.actions);
            }
        }
    }
    if pods::is_temporary(pod) {
        return plan;
    }
    if pods::is_ready_for_hand_over(pod)
        && !metadata::is_deleting(&pod.metadata)
        && let Err(error) = hotplug::attach(observed, pod, &mut plan)
    {
        return plan.fail(error);
    }
    plan
}

/// The annotations a pod that is ready for the hand-over has besides those that follow from the VMI (step 9).
pub(super) fn ready_annotations(observed: &Observed<'_>, pod: &Pod) -> Vec<(&'static str, Option<&'static str>)> {
    if pods::is_temporary(pod) || observed.is_deleting() || observed.phase().is_final() || !pods::is_ready_for_hand_over(pod) {
        return Vec::new();
    }
    let evacuating = observed.stored().is_some_and(|status| status.evacuation_node_name.as_deref().is_some_and(|node| !node.is_empty()));
    vec![(pod_sync::REQUEST_EVICT_ONLY, Some("")), (pod_sync::EVICTION_IN_PROGRESS, evacuating.then_some("kubevirt"))]
}

/// The patch that sets a pod's whole maps of labels and annotations.
pub(super) fn metadata_patch(
    pod: &Pod,
    labels: Option<&BTreeMap<String, String>>,
    annotations: Option<&BTreeMap<String, String>>,
) -> Vec<Value> {
    let mut operations = Vec::new();
    for (path, old, new) in
        [("/metadata/labels", &pod.metadata.labels, labels), ("/metadata/annotations", &pod.metadata.annotations, annotations)]
    {
        let Some(new) = new else { continue };
        match old {
            Some(old) => {
                operations.push(json!({"op": "test", "path": path, "value": old}));
                operations.push(json!({"op": "replace", "path": path, "value": new}));
            }
            None => operations.push(json!({"op": "add", "path": path, "value": new})),
        }
    }
    operations
}
