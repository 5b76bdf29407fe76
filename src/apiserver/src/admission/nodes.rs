//! TaintNodesByCondition: a new node takes no pods until somebody found it ready.
//!
//! Facts: `plugin/pkg/admission/nodetaint/admission.go`.

use serde_json::{Value, json};

use super::{Attributes, Operation};
use crate::object;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) fn admit(attributes: &mut Attributes) {
    if attributes.operation != Operation::Create || !attributes.is("", "nodes") {
        return;
    }
    let Some(node) = &mut attributes.object else { return };
    let mut taints = object::list(node, &["spec", "taints"]).to_vec();
    let tainted = |taint: &Value| object::text(taint, &["key"]) == NOT_READY && object::text(taint, &["effect"]) == "NoSchedule";
    if !taints.iter().any(tainted) {
        taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
        object::set(node, &["spec", "taints"], taints);
    }
}
