//! JSON merge patch (RFC 7386) as kube-apiserver applies it: nulls delete, and are dropped from what is added.

use serde_json::{Map, Value};

use super::{gofmt::json_kind, gojson};
use crate::error::ApiError;

/// Applies a merge patch.
///
/// # Errors
/// 400 when the body is not a JSON object.
pub fn merge_patch(object: &Value, patch: &[u8]) -> Result<Value, ApiError> {
    let patch = gojson::parse(patch).map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if !patch.is_object() && !patch.is_null() {
        return Err(ApiError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            json_kind(&patch)
        )));
    }
    let mut merged = object.clone();
    if let Value::Object(patch) = patch {
        merge_values(&mut merged, patch);
    }
    Ok(merged)
}

/// Merges `patch` into `target`, which becomes an object if it is none.
pub fn merge_values(target: &mut Value, patch: Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, value) in patch {
        match value {
            Value::Null => {
                fields.remove(&name);
            }
            Value::Object(inner) => {
                if let Some(current @ Value::Object(_)) = fields.get_mut(&name) {
                    merge_values(current, inner);
                } else {
                    let mut added = Value::Object(inner);
                    prune_nulls(&mut added);
                    fields.insert(name, added);
                }
            }
            mut other => {
                // A list that replaces an object stays as it is; anywhere else its objects lose their nulls.
                if !fields.get(&name).is_some_and(Value::is_object) {
                    prune_nulls(&mut other);
                }
                fields.insert(name, other);
            }
        }
    }
}

fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        _ => {}
    }
}
