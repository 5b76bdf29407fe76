//! The subresources that act on a VM or VMI: what a request does, or why it is refused (spec/api.md §3).
//!
//! Flow: virt-api reads the objects, asks here, and carries the [`Effect`]s out in order. Guarantees: pure; a refusal has
//! no effect; every patch tests what it replaces, so a concurrent change surfaces as a conflict instead of being lost.

mod graph;
mod guards;
mod memory_dump;
mod moves;
mod streams;
mod vm;
mod vmi;
mod volumes;

pub use graph::{ObjectGraphNode, ObjectGraphOptions, Reference, Surroundings, of_vm, of_vmi};
pub use guards::{backup, object_graph, redefine_checkpoint, sev, sev_enabled, sev_session, sev_session_is_complete};
pub use memory_dump::{USUAL_OVERHEAD, claim_of, memory_dump, remove_memory_dump};
pub use moves::{cancel_evacuation, left_node, migrate, not_draining};
pub use streams::{Forwarded, port_forward, stream, usb_redirection, vsock};
pub use vm::{restart, restore_grace_period, start, stop};
pub use vmi::{NodeVerb, explained, node_verb};
pub use volumes::{VolumeChange, change_vm_volumes, change_vmi_volumes};

use api::v1::VirtualMachineInstance;
use serde_json::{Value, json};

/// One thing to do for an accepted request.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A JSON patch of the VM's spec.
    PatchVm(Vec<Value>),
    /// A JSON patch of the VM's status.
    PatchVmStatus(Vec<Value>),
    /// A JSON patch of the VMI.
    PatchVmi(Vec<Value>),
    /// A call of virt-handler on the VMI's node.
    CallNode(NodeVerb),
}

/// Why a request is refused: an HTTP status, the reason of `metav1.Status`, and the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason.
    pub reason: &'static str,
    /// The text for the client.
    pub message: String,
}

impl Refusal {
    /// 409 in Kubernetes' sentence, with upstream's singular resource names.
    pub fn conflict(resource: &str, name: &str, why: impl std::fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource}.kubevirt.io \"{name}\": {why}");
        Self { code: 409, reason: "Conflict", message }
    }

    /// 404 with upstream's singular resource names.
    pub fn not_found(resource: &str, name: &str) -> Self {
        Self { code: 404, reason: "NotFound", message: format!("{resource}.kubevirt.io \"{name}\" not found") }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest", message: message.into() }
    }

    /// 403.
    pub fn forbidden(resource: &str, name: &str, why: impl std::fmt::Display) -> Self {
        Self { code: 403, reason: "Forbidden", message: format!("{resource}.kubevirt.io \"{name}\" is forbidden: {why}") }
    }

    /// 500 in Kubernetes' sentence.
    pub fn internal(why: impl std::fmt::Display) -> Self {
        Self { code: 500, reason: "InternalError", message: format!("Internal error occurred: {why}") }
    }
}

/// The phase of a VMI, empty before it has one.
pub(super) fn phase(vmi: &VirtualMachineInstance) -> &str {
    vmi.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether the VMI has come to its end.
pub(super) fn is_final(vmi: &VirtualMachineInstance) -> bool {
    matches!(phase(vmi), "Succeeded" | "Failed")
}

/// `test` that a field is as it was read, then `replace`, `add` or `remove` it.
pub(super) fn guarded(path: &str, old: &Value, new: &Value) -> Vec<Value> {
    let change = match (old.is_null(), new.is_null()) {
        (_, true) => json!({"op": "remove", "path": path}),
        (true, false) => json!({"op": "add", "path": path, "value": new}),
        (false, false) => json!({"op": "replace", "path": path, "value": new}),
    };
    vec![json!({"op": "test", "path": path, "value": old}), change]
}
