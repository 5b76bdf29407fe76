//! Removal of fields that a schema does not know.

use serde_json::{Map, Value};

use super::path::Path;
use super::{Schema, builtin};

/// Removes unknown fields in place.
///
/// # Guarantees
/// - Returns the paths of what was removed (`spec.x`, `spec.parts[0].odd`), sorted: the text of
///   `unknown field "…"` in strict field validation and warnings.
/// - Fields below `x-kubernetes-preserve-unknown-fields` stay, but specified fields in there are pruned in turn.
/// - `apiVersion`, `kind` and `metadata` of the root and of embedded resources stay; unknown fields of `metadata` go.
/// - Idempotent.
pub fn prune(schema: &Schema, value: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    walk(Some(schema.resolve()), value, Path::Root, &mut unknown);
    unknown.sort();
    unknown
}

fn walk(schema: Option<&Schema>, value: &mut Value, path: Path<'_>, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => object(schema, map, path, unknown),
        Value::Array(list) => {
            let items = schema.and_then(Schema::element);
            if items.is_none() && schema.is_some_and(|schema| schema.preserve_unknown) {
                return;
            }
            for (index, item) in list.iter_mut().enumerate() {
                walk(items, item, path.index(index), unknown);
            }
        }
        _ => {}
    }
}

fn object(schema: Option<&Schema>, map: &mut Map<String, Value>, path: Path<'_>, unknown: &mut Vec<String>) {
    let Some(schema) = schema else {
        unknown.extend(map.keys().map(|key| path.field(key).text()));
        map.clear();
        return;
    };
    let resource = schema.resource_root || schema.embedded_resource;
    map.retain(|key, value| {
        if resource && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
            if key == "metadata" && value.is_object() {
                walk(Some(builtin::object_meta()), value, path.field(key), unknown);
            }
            return true;
        }
        if let Some(property) = schema.properties.get(key.as_str()) {
            if value.is_object() || value.is_array() {
                walk(Some(property.resolve()), value, path.field(key), unknown);
            }
            return true;
        }
        if schema.additional.is_some() {
            if value.is_object() || value.is_array() {
                match schema.additional_schema() {
                    None if schema.preserve_unknown => {}
                    below => walk(below, value, path.field(key), unknown),
                }
            }
            return true;
        }
        if schema.preserve_unknown {
            return true;
        }
        unknown.push(path.field(key).text());
        false
    });
}
