//! Uniqueness in `x-kubernetes-list-type: set` and `map`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::path::Path;
use super::{ListType, Schema};
use crate::error::FieldError;

/// Duplicates in set and map lists; the first of equal elements is not reported.
pub fn unique_lists(schema: &Schema, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(schema.resolve(), value, Path::Root, &mut errors);
    errors
}

/// Duplicates in an updated object. Tolerated when the old object had duplicates too.
pub fn unique_lists_on_update(schema: &Schema, value: &Value, old: &Value) -> Vec<FieldError> {
    let errors = unique_lists(schema, value);
    if errors.is_empty() || unique_lists(schema, old).is_empty() { errors } else { Vec::new() }
}

fn walk(schema: &Schema, value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
    if !schema.subtree.unique_lists {
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(property) = schema.properties.get(key.as_str()) {
                    walk(property.resolve(), value, path.field(key), errors);
                } else if let Some(additional) = schema.additional_schema() {
                    walk(additional, value, path.key(key), errors);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.element() {
                for (index, value) in list.iter().enumerate() {
                    walk(items, value, path.index(index), errors);
                }
            }
            match schema.list_type {
                Some(ListType::Set) => duplicates(list, path, errors, Clone::clone),
                Some(ListType::Map) => duplicates(list, path, errors, |value| key_of(schema, value)),
                _ => {}
            }
        }
        _ => {}
    }
}

/// The key fields of an element of a map list; absent keys take the default of their schema.
pub(crate) fn key_of(schema: &Schema, value: &Value) -> Value {
    let mut key = Map::new();
    for name in &schema.list_map_keys {
        let found = value
            .get(&**name)
            .or_else(|| schema.element().and_then(|items| items.properties.get(name)).and_then(|key| key.default.as_ref()));
        if let Some(found) = found {
            key.insert((**name).to_owned(), found.clone());
        }
    }
    Value::Object(key)
}

fn duplicates(list: &[Value], path: Path<'_>, errors: &mut Vec<FieldError>, key: impl Fn(&Value) -> Value) {
    let mut seen = BTreeSet::new();
    for (index, value) in list.iter().enumerate() {
        let key = key(value);
        if !seen.insert(key.to_string()) {
            errors.push(FieldError::duplicate(path.index(index).text(), key));
        }
    }
}
