//! A changed instance (spec/admission.md §4.3, §7.2).

use api::config::ClusterConfig;
use api::v1::{VirtualMachineInstance, VirtualMachineInstanceStatus};

use super::metadata::restricted;
use super::{hotplug, same};
use crate::{CauseKind, Denial, NODE_NAME_EXTRA, Requester};

/// MVU1: the status to go back to, where somebody but KubeVirt changed it. Instances have no status subresource.
pub fn revert_status(
    new: &VirtualMachineInstance,
    old: &VirtualMachineInstance,
    requester: &Requester,
    config: &ClusterConfig,
) -> Option<VirtualMachineInstanceStatus> {
    let foreign = !requester.is_kubevirt(config) && !same(&new.status, &old.status);
    foreign.then(|| old.status.clone().unwrap_or_default())
}

/// VU1-VU9; the first rule that is broken decides.
///
/// # Errors
/// The rule that is broken.
pub fn validate_vmi_update(
    new: &VirtualMachineInstance,
    old: &VirtualMachineInstance,
    requester: &Requester,
    config: &ClusterConfig,
) -> Result<(), Denial> {
    if config.gate("NodeRestriction") && requester.is_component(config, "kubevirt-handler") {
        node_restriction(new, old, requester)?;
    }
    let ours = requester.is_kubevirt(config);
    if !same(&new.spec, &old.spec) {
        if !ours {
            return Err(Denial::cause(CauseKind::NotSupported, "", "update of VMI object is restricted"));
        }
        limits(new, old)?;
        hotplug::utility_volumes(new, old, config)?;
        hotplug::storage(new, old, config)?;
    }
    let labels = |v: &VirtualMachineInstance| v.metadata.labels.clone().unwrap_or_default();
    if !ours && restricted(&labels(new)) != restricted(&labels(old)) {
        let message = "modification of the following reserved kubevirt.io/ labels on a VMI object is prohibited";
        return Err(Denial::cause(CauseKind::NotSupported, "", message));
    }
    Ok(())
}

/// VU1-VU3: a node agent changes only instances of its node.
fn node_restriction(new: &VirtualMachineInstance, old: &VirtualMachineInstance, requester: &Requester) -> Result<(), Denial> {
    let refuse = |message: &str| Err(Denial::cause(CauseKind::Invalid, "", message));
    let Some(node) = requester.extra.get(NODE_NAME_EXTRA).and_then(|v| v.first()) else {
        return refuse("Node restriction failed, virt-handler service account is missing node name");
    };
    let target = |vmi: &VirtualMachineInstance| {
        let state = vmi.status.as_ref().and_then(|s| s.migration_state.as_ref());
        state.and_then(|m| m.target_node.clone()).unwrap_or_default()
    };
    let on = old.status.as_ref().and_then(|s| s.node_name.clone()).unwrap_or_default();
    if *node != on && *node != target(old) {
        return refuse("Node restriction, virt-handler is only allowed to modify VMIs it owns");
    }
    if target(old).is_empty() && !target(new).is_empty() {
        return refuse("Node restriction, virt-handler is not allowed to set target node");
    }
    Ok(())
}

/// VU5, VU6: hotplug limits stay.
fn limits(new: &VirtualMachineInstance, old: &VirtualMachineInstance) -> Result<(), Denial> {
    let sockets = |v: &VirtualMachineInstance| v.spec.domain.cpu.as_ref().and_then(|c| c.max_sockets).unwrap_or_default();
    if sockets(new) != sockets(old) {
        return Err(Denial::cause(CauseKind::Invalid, "", "CPU topology maxSockets changed"));
    }
    let memory = |v: &VirtualMachineInstance| v.spec.domain.memory.as_ref().and_then(|m| m.max_guest.clone());
    if let (Some(a), Some(b)) = (memory(new), memory(old))
        && a != b
    {
        return Err(Denial::cause(CauseKind::Invalid, "", "Memory maxGuest changed"));
    }
    Ok(())
}
