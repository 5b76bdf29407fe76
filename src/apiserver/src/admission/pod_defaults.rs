//! DefaultTolerationSeconds: a pod outlives a node that is gone by five minutes, unless it says otherwise.
//!
//! Facts: `plugin/pkg/admission/defaulttolerationseconds/admission.go`.

use serde_json::{Value, json};

use super::{Attributes, Operation};
use crate::object;

const SECONDS: i64 = 300;

pub(super) fn admit(attributes: &mut Attributes) {
    if !matches!(attributes.operation, Operation::Create | Operation::Update) || !attributes.is("", "pods") {
        return;
    }
    let Some(pod) = &mut attributes.object else { return };
    let mut tolerations = object::list(pod, &["spec", "tolerations"]).to_vec();
    let before = tolerations.len();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerates = |toleration: &Value| {
            let text = |field| object::text(toleration, &[field]);
            (text("key") == key || text("key").is_empty()) && (text("effect") == "NoExecute" || text("effect").is_empty())
        };
        if !tolerations.iter().any(tolerates) {
            tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}));
        }
    }
    if tolerations.len() > before {
        object::set(pod, &["spec", "tolerations"], tolerations);
    }
}
