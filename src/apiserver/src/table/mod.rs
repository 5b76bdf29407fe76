//! Table output.
use serde_json::{Value, json};
use crate::registry::Call;

/// `PartialObjectMetadata` of an object.
pub fn partial(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

/// t
pub fn table(_call: &Call, _objects: &[Value], version: &str, _columns: bool, metadata: &Value) -> Value {
    json!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata, "rows": []})
}
