//! `allOf`, `anyOf`, `oneOf` and `not` may only restrict values, and only of fields that are specified outside of them.

use serde_json::{Map, Value};

use super::{child, fields, flag, property, text};
use crate::error::FieldError;

const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

fn branches<'a>(map: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = (usize, &'a Map<String, Value>)> {
    map.get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, schema)| schema.as_object().map(|schema| (index, schema)))
}

fn is_integer_or_string(list: Option<&Value>) -> bool {
    let Some(Value::Array(list)) = list else { return false };
    let only_type = |schema: &Value, kind: &str| schema.as_object().is_some_and(|map| map.len() == 1 && text(map, "type") == kind);
    matches!(list.as_slice(), [first, second] if only_type(first, "integer") && only_type(second, "string"))
}

/// The two spellings of int-or-string that may name types: `anyOf: [integer, string]`, alone or as the only content of
/// the first `allOf`.
pub(super) fn int_or_string_patterns(map: &Map<String, Value>) -> (bool, bool) {
    if !flag(map, "x-kubernetes-int-or-string") {
        return (false, false);
    }
    let first = map.get("allOf").and_then(Value::as_array).and_then(|list| list.first()).and_then(Value::as_object);
    (is_integer_or_string(map.get("anyOf")), first.is_some_and(|first| first.len() == 1 && is_integer_or_string(first.get("anyOf"))))
}

/// Checks the value validations of a schema.
pub(super) fn value_validation(map: &Map<String, Value>, skip_any: bool, skip_first_all_any: bool, at: &str, errors: &mut Vec<FieldError>) {
    if !skip_any {
        for (index, schema) in branches(map, "anyOf") {
            nested(schema, false, &format!("{}[{index}]", child(at, "anyOf")), errors);
        }
    }
    for (index, schema) in branches(map, "allOf") {
        nested(schema, skip_first_all_any && index == 0, &format!("{}[{index}]", child(at, "allOf")), errors);
    }
    for (index, schema) in branches(map, "oneOf") {
        nested(schema, false, &format!("{}[{index}]", child(at, "oneOf")), errors);
    }
    if let Some(not) = map.get("not").and_then(Value::as_object) {
        nested(not, false, &child(at, "not"), errors);
    }
}

fn nested(map: &Map<String, Value>, skip_any: bool, at: &str, errors: &mut Vec<FieldError>) {
    value_validation(map, skip_any, false, at, errors);
    if let Some(items) = map.get("items").and_then(Value::as_object) {
        nested(items, false, &child(at, "items"), errors);
    }
    for (name, schema) in fields(map) {
        nested(schema, false, &property(at, name), errors);
    }
    for (key, rule) in [("type", "empty"), ("title", "empty"), ("description", "empty")] {
        if !text(map, key).is_empty() {
            errors.push(FieldError::forbidden(child(at, key), format!("must be {rule} to be structural")));
        }
    }
    for key in ["additionalProperties", "default", "x-kubernetes-list-type", "x-kubernetes-map-type"] {
        if map.get(key).is_some_and(|value| !value.is_null()) {
            errors.push(FieldError::forbidden(child(at, key), "must be undefined to be structural"));
        }
    }
    for key in ["nullable", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string"] {
        if flag(map, key) {
            errors.push(FieldError::forbidden(child(at, key), "must be false to be structural"));
        }
    }
    for key in ["x-kubernetes-list-map-keys", "x-kubernetes-validations"] {
        if map.get(key).and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
            errors.push(FieldError::forbidden(child(at, key), "must be empty to be structural"));
        }
    }
    if fields(map).any(|(name, _)| name == "metadata") {
        errors.push(FieldError::forbidden(property(at, "metadata"), "must not be specified in a nested context"));
    }
}

/// Every field that value validations speak of must be specified by the schema itself.
pub(super) fn completeness(map: &Map<String, Value>, at: &str, errors: &mut Vec<FieldError>) {
    for key in LISTS {
        for (index, schema) in branches(map, key) {
            specified(Some(map), schema, at, &format!("{}[{index}]", child(at, key)), errors);
        }
    }
    if let Some(not) = map.get("not").and_then(Value::as_object) {
        specified(Some(map), not, at, &child(at, "not"), errors);
    }
    if let Some(items) = map.get("items").and_then(Value::as_object) {
        completeness(items, &child(at, "items"), errors);
    }
    for (name, schema) in fields(map) {
        completeness(schema, &property(at, name), errors);
    }
    if let Some(additional) = map.get("additionalProperties").and_then(Value::as_object) {
        completeness(additional, &child(at, "additionalProperties"), errors);
    }
}

fn specified(skeleton: Option<&Map<String, Value>>, nested: &Map<String, Value>, at: &str, nested_at: &str, errors: &mut Vec<FieldError>) {
    let Some(skeleton) = skeleton else {
        errors.push(FieldError::required(at, format!("because it is defined in {nested_at}")));
        return;
    };
    for key in LISTS {
        for (index, schema) in branches(nested, key) {
            specified(Some(skeleton), schema, at, &format!("{}[{index}]", child(nested_at, key)), errors);
        }
    }
    if let Some(not) = nested.get("not").and_then(Value::as_object) {
        specified(Some(skeleton), not, at, &child(nested_at, "not"), errors);
    }
    if let Some(items) = nested.get("items").and_then(Value::as_object) {
        let own = skeleton.get("items").and_then(Value::as_object);
        specified(own, items, &child(at, "items"), &child(nested_at, "items"), errors);
    }
    for (name, schema) in fields(nested) {
        let own = skeleton.get("properties").and_then(|properties| properties.get(name)).and_then(Value::as_object);
        let additional = skeleton.get("additionalProperties").and_then(Value::as_object);
        let below = property(nested_at, name);
        match own.or(additional) {
            Some(own) => specified(Some(own), schema, &property(at, name), &below, errors),
            None => specified(None, schema, &property(at, name), &below, errors),
        }
    }
}
