//! Which pods are a VMI's, and what state they are in (spec controllers §2.2 step 4, §2.5).

use std::sync::Arc;

use api::names;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use super::Observed;
use crate::metadata;

/// The container the guest runs in.
pub(super) const COMPUTE: &str = "compute";
/// A service mesh's container: it has to run before the hand-over, but need not be ready.
const ISTIO_PROXY: &str = "istio-proxy";

/// A pod's phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    /// Not all containers were started.
    Pending,
    /// Containers run.
    Running,
    /// All containers ended well.
    Succeeded,
    /// A container failed, or the kubelet gave up.
    Failed,
    /// The node is not heard of.
    Unknown,
}

impl PodState {
    /// The phase in a pod's status.
    pub fn of(pod: &Pod) -> Self {
        match pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending") {
            "Pending" | "" => Self::Pending,
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            _ => Self::Unknown,
        }
    }

    /// Whether it will not run again.
    pub fn is_down(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// The pods a VMI controls, by name.
pub fn owned_pods<'a>(pods: &'a [Arc<Pod>], vmi_uid: &str) -> Vec<&'a Arc<Pod>> {
    let mut owned: Vec<&Arc<Pod>> = pods.iter().filter(|pod| metadata::is_controlled_by(&pod.metadata, vmi_uid)).collect();
    owned.sort_by(|one, other| metadata::name(&one.metadata).cmp(metadata::name(&other.metadata)));
    owned
}

/// The pod the VMI runs in: the newest of its own, once it has a node only of those there. So the target of a migration does
/// not count before the VMI moved.
pub fn current_pod<'a>(pods: &'a [Arc<Pod>], vmi_uid: &str, node: Option<&str>) -> Option<&'a Arc<Pod>> {
    owned_pods(pods, vmi_uid)
        .into_iter()
        .filter(|pod| node.is_none_or(|node| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node)))
        .max_by(|one, other| one.metadata.creation_timestamp.cmp(&other.metadata.creation_timestamp))
}

/// The pods that attach volumes to a launcher pod: those it controls.
pub fn attachment_pods<'a>(pods: &'a [Arc<Pod>], launcher: &Pod) -> Vec<&'a Arc<Pod>> {
    owned_pods(pods, metadata::uid(&launcher.metadata))
}

/// Whether the pod only makes claims bind.
pub fn is_temporary(pod: &Pod) -> bool {
    metadata::annotation(&pod.metadata, names::EPHEMERAL_PROVISIONING_ANNOTATION).is_some()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

fn state(status: &ContainerStatus) -> ContainerState {
    status.state.clone().unwrap_or_default()
}

/// The exit code of `compute`, once it ended.
fn compute_exit(pod: &Pod) -> Option<i32> {
    containers(pod).find(|status| status.name == COMPUTE).and_then(|status| state(status).terminated).map(|end| end.exit_code)
}

/// Whether the guest's pod ended, or is about to.
pub(super) fn is_down_or_going_down(pod: &Pod) -> bool {
    PodState::of(pod).is_down() || compute_exit(pod).is_some() || metadata::is_deleting(&pod.metadata)
}

/// Whether a pod failed, or is about to be gone.
pub(super) fn is_failed_or_going_down(pod: &Pod) -> bool {
    PodState::of(pod) == PodState::Failed || compute_exit(pod).is_some_and(|code| code != 0) || metadata::is_deleting(&pod.metadata)
}

/// Whether virt-handler may take over: not Kubernetes' readiness. `compute` only becomes ready with the guest.
pub fn is_ready_for_hand_over(pod: &Pod) -> bool {
    !is_down_or_going_down(pod)
        && PodState::of(pod) == PodState::Running
        && containers(pod).all(|status| match status.name.as_str() {
            COMPUTE | ISTIO_PROXY => state(status).running.is_some(),
            _ => status.ready,
        })
}

/// Why an image of the pod is not there: reason and message of a waiting container, init containers first.
pub(super) fn image_error(pod: &Pod) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    all.filter_map(|container| container.state.as_ref()?.waiting.as_ref())
        .find(|waiting| matches!(waiting.reason.as_deref(), Some(names::reason::ERR_IMAGE_PULL | names::reason::IMAGE_PULL_BACK_OFF)))
        .map(|waiting| (waiting.reason.clone().unwrap_or_default(), waiting.message.clone().unwrap_or_default()))
}

/// The image `compute` runs.
pub(super) fn compute_image(pod: &Pod) -> Option<&str> {
    let container = pod.spec.as_ref()?.containers.iter().find(|container| container.name == COMPUTE)?;
    container.image.as_deref()
}

/// The node the pod was bound to.
pub(super) fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

impl Observed<'_> {
    /// The VMI's pods.
    pub(super) fn own_pods(&self) -> Vec<&Arc<Pod>> {
        owned_pods(self.pods, self.uid())
    }

    /// The pod the VMI runs in.
    pub(super) fn pod(&self) -> Option<&Arc<Pod>> {
        let node = self.stored().and_then(|status| status.node_name.as_deref()).filter(|node| !node.is_empty());
        current_pod(self.pods, self.uid(), node)
    }
}
