//! The version 2 document: definitions of all kinds, and paths without operations' details.

use serde_json::{Map, Value, json};

use super::{Served, components, info, paths};
use crate::schema::openapi::References;

/// The document of all resources.
pub(super) fn document<'a>(resources: impl Iterator<Item = &'a Served>) -> Value {
    let resources: Vec<Served> = resources.cloned().collect();
    let mut definitions = components::collect(resources.iter(), References::V2);
    for definition in definitions.values_mut() {
        reduce(definition);
    }
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": all_paths(&resources),
        "definitions": definitions,
    })
}

/// What version 2 cannot say is left out: the type and content of nullable values and of values with unknown fields.
fn reduce(value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    let nullable = map.remove("nullable") == Some(Value::Bool(true));
    let open = map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if nullable || open {
        for key in ["type", "properties", "items", "additionalProperties", "required", "format"] {
            map.remove(key);
        }
    }
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(reduce);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(below) = map.get_mut(key) {
            reduce(below);
        }
    }
}

/// Paths by group version; operations keep what finds a kind: action, kind and parameters.
fn all_paths(resources: &[Served]) -> Map<String, Value> {
    let mut out = Map::new();
    let mut roots: Vec<(String, Vec<Served>)> = Vec::new();
    for served in resources {
        let group = &served.info.gr.group;
        let root = if group.is_empty() { format!("api/{}", served.version) } else { format!("apis/{group}/{}", served.version) };
        match roots.iter_mut().find(|(known, _)| *known == root) {
            Some((_, list)) => list.push(served.clone()),
            None => roots.push((root, vec![served.clone()])),
        }
    }
    for (root, list) in roots {
        for (path, mut operations) in paths::of(&root, &list) {
            if let Some(map) = operations.as_object_mut() {
                map.values_mut().for_each(operation);
            }
            out.insert(path, operations);
        }
    }
    out
}

fn operation(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("requestBody");
            if let Some(parameters) = map.get_mut("parameters") {
                flatten(parameters);
            }
            for answer in map.get_mut("responses").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
                if let Some(answer) = answer.as_object_mut() {
                    answer.remove("content");
                }
            }
        }
        other => flatten(other),
    }
}

/// Parameters of version 2 carry their type themselves.
fn flatten(parameters: &mut Value) {
    for parameter in parameters.as_array_mut().into_iter().flatten() {
        if let Some(map) = parameter.as_object_mut()
            && let Some(Value::Object(schema)) = map.remove("schema")
        {
            map.extend(schema);
        }
    }
}
