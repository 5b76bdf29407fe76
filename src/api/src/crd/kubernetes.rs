//! What the schemas of Kubernetes' own types lack: list and map types, defaults, and quantities as numbers or text.

use serde_json::{Map, Value, json};

/// The text of a quantity.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// A condition's type, a qualified name.
const CONDITION_TYPE: &str =
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";

/// Types that are replaced as a whole when they are merged.
const ATOMIC: &[&str] = &[
    "ConfigMapKeySelector",
    "LabelSelector",
    "LocalObjectReference",
    "NodeSelector",
    "NodeSelectorTerm",
    "ObjectFieldSelector",
    "ResourceFieldSelector",
    "SecretKeySelector",
    "TypedLocalObjectReference",
];

/// Completes the resolved schema of the Kubernetes type with that definition name.
pub(super) fn adjust(name: &str, schema: Value) -> Value {
    let kind = name.rsplit('.').next().unwrap_or_default();
    match kind {
        "Quantity" => {
            return json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": QUANTITY, "x-kubernetes-int-or-string": true});
        }
        "IntOrString" => return json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true}),
        _ => {}
    }
    let Value::Object(mut map) = schema else { return schema };
    strip(&mut map);
    if ATOMIC.contains(&kind) {
        map.insert("x-kubernetes-map-type".into(), json!("atomic"));
    }
    if kind == "LocalObjectReference" {
        property(&mut map, "name", "default", json!(""));
        map.remove("required");
    }
    if name.ends_with("meta.v1.Condition") {
        for (field, key, value) in [
            ("type", "maxLength", json!(316)),
            ("type", "pattern", json!(CONDITION_TYPE)),
            ("status", "enum", json!(["True", "False", "Unknown"])),
            ("reason", "minLength", json!(1)),
            ("reason", "maxLength", json!(1024)),
            ("reason", "pattern", json!("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")),
            ("message", "maxLength", json!(32768)),
            ("observedGeneration", "minimum", json!(0)),
        ] {
            property(&mut map, field, key, value);
        }
    }
    Value::Object(map)
}

/// Kubernetes' sentences stay in Kubernetes' documentation.
fn strip(map: &mut Map<String, Value>) {
    map.remove("description");
    for value in map.values_mut() {
        match value {
            Value::Object(inner) if inner.contains_key("type") || !inner.contains_key("description") => strip(inner),
            Value::Object(inner) => inner.values_mut().filter_map(Value::as_object_mut).for_each(strip),
            _ => {}
        }
    }
}

fn property(map: &mut Map<String, Value>, name: &str, key: &str, value: Value) {
    if let Some(Value::Object(field)) = map.get_mut("properties").and_then(|p| p.get_mut(name)) {
        field.insert(key.to_owned(), value);
    }
}
