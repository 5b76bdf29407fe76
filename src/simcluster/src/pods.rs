//! Questions about pods.

use k8s_openapi::api::core::v1::{ContainerState, Pod, PodCondition};

/// Whether all containers have ended for good.
pub(crate) fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// `status.phase`.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// A condition.
pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// Whether the pod is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// The pod's node; empty while it has none.
pub(crate) fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// Whether the pod runs or will: neither ended nor being deleted.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Leaves out of a pod what nobody reads any more: once the containers of a pod that never restarts have started, how they
/// were to be started. Decoded, that is nine tenths of a launcher's pod. Claims stay: they are in use.
pub(crate) fn forget_start(pod: &mut Pod) {
    let started = |state: &ContainerState| state.running.is_some() || state.terminated.is_some();
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let all_started = statuses.iter().all(|status| status.state.as_ref().is_some_and(started));
    let Some(spec) = pod.spec.as_mut() else { return };
    if spec.restart_policy.as_deref() != Some("Never") || statuses.len() != spec.containers.len() || !all_started {
        return;
    }
    if let Some(volumes) = &mut spec.volumes {
        volumes.retain(|volume| volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some());
    }
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        (container.command, container.args) = (None, None);
        (container.env, container.env_from) = (None, None);
        (container.volume_mounts, container.volume_devices) = (None, None);
    }
}
