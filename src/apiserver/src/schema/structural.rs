//! What makes the schema of a CustomResourceDefinition acceptable: the structural rules of
//! `apiextensions-apiserver/pkg/apiserver/schema`, the standard-schema rules of its API validation, defaults, and the
//! compilation of CEL rules; with their texts.

mod nested;
mod standard;

use serde_json::{Map, Value};

use super::{Schema, prune, validate};
use crate::cel::check as cel_check;
use crate::error::FieldError;
use crate::schema::path::NIL;

pub(crate) const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];

/// Where in the resource a schema is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

/// Checks an `openAPIV3Schema`; `base` is its path, empty for none.
///
/// # Flow
/// 1. Structural rules, unless a keyword that structural schemas do not know (`$ref`, `definitions`, …) is used.
/// 2. Defaults: no unknown fields, valid by their own schema.
/// 3. Standard-schema rules: forbidden keywords, list and map types, CEL rule fields.
/// 4. Without errors so far, CEL rules are compiled and their result types checked.
pub fn check(value: &Value, base: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let Some(map) = value.as_object() else {
        errors.push(FieldError::invalid(name(base), value.clone(), "must be an object"));
        return errors;
    };
    if map.get("nullable") == Some(&Value::Bool(true)) {
        errors.push(FieldError::forbidden(child(base, "nullable"), "nullable cannot be true at the root"));
    }
    if !standard::has_unsupported(map) {
        let before = errors.len();
        invariants(map, Level::Root, base, &mut errors);
        nested::completeness(map, base, &mut errors);
        if errors.len() == before {
            defaults(map, base, true, &mut errors);
        }
    }
    standard::check(map, base, &standard::Place::root(), &mut errors);
    if errors.is_empty() {
        let schema = Schema::parse_resource(value);
        cel_check::check(&schema, base, &mut errors);
    }
    errors
}

fn name(base: &str) -> String {
    if base.is_empty() { NIL.to_owned() } else { base.to_owned() }
}

pub(crate) fn child(base: &str, name: &str) -> String {
    if base.is_empty() { name.to_owned() } else { format!("{base}.{name}") }
}

pub(crate) fn property(base: &str, name: &str) -> String {
    format!("{}[{name}]", child(base, "properties"))
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).and_then(Value::as_bool).unwrap_or_default()
}

pub(super) fn fields(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Map<String, Value>)> {
    map.get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, schema)| schema.as_object().map(|schema| (name, schema)))
}

fn invariants(map: &Map<String, Value>, level: Level, at: &str, errors: &mut Vec<FieldError>) {
    let kind = text(map, "type");
    if kind == "array" && !map.get("items").is_some_and(Value::is_object) {
        errors.push(FieldError::required(child(at, "items"), "must be specified"));
    }
    if let Some(items) = map.get("items").and_then(Value::as_object) {
        invariants(items, Level::Item, &child(at, "items"), errors);
    }
    for (name, schema) in fields(map) {
        invariants(schema, Level::Field, &property(at, name), errors);
    }
    if let Some(additional) = map.get("additionalProperties") {
        if level == Level::Root {
            errors.push(FieldError::forbidden(child(at, "additionalProperties"), "must not be used at the root"));
        }
        if let Some(additional) = additional.as_object() {
            invariants(additional, Level::Field, &child(at, "additionalProperties"), errors);
        }
    }
    extensions(map, at, errors);
    let (skip_any, skip_all_any) = nested::int_or_string_patterns(map);
    nested::value_validation(map, skip_any, skip_all_any, at, errors);

    let embedded = flag(map, "x-kubernetes-embedded-resource");
    let preserve = flag(map, "x-kubernetes-preserve-unknown-fields");
    if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() {
            FieldError::required(child(at, "type"), detail)
        } else {
            FieldError::invalid(child(at, "type"), kind, detail)
        });
    } else if kind.is_empty() && !preserve && !flag(map, "x-kubernetes-int-or-string") {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(child(at, "type"), detail));
    }
    if embedded && map.contains_key("additionalProperties") {
        errors.push(FieldError::forbidden(child(at, "additionalProperties"), "must not be used if x-kubernetes-embedded-resource is set"));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(child(at, "type"), kind, "must be object at the root"));
    }
    metadata(map, level, embedded, at, errors);
    if embedded && !preserve && fields(map).next().is_none() {
        errors.push(FieldError::required(
            child(at, "properties"),
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ));
    }
}

fn extensions(map: &Map<String, Value>, at: &str, errors: &mut Vec<FieldError>) {
    if flag(map, "x-kubernetes-int-or-string") {
        for other in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if flag(map, other) {
                let detail = "must be false if x-kubernetes-int-or-string is true";
                errors.push(FieldError::invalid(child(at, other), true, detail));
            }
        }
        let kind = text(map, "type");
        if !kind.is_empty() {
            let detail = "must be empty if x-kubernetes-int-or-string is true";
            errors.push(FieldError::invalid(child(at, "type"), kind, detail));
        }
    }
}

/// `apiVersion`, `kind` and `metadata` of a resource root or embedded resource are implied; little may be said of them.
fn metadata(map: &Map<String, Value>, level: Level, embedded: bool, at: &str, errors: &mut Vec<FieldError>) {
    let resource = level == Level::Root || embedded;
    for (name, schema) in fields(map) {
        let kind = text(schema, "type");
        match name.as_str() {
            "kind" | "apiVersion" if resource && kind != "string" => {
                errors.push(FieldError::invalid(child(&property(at, name), "type"), kind, "must be string"));
            }
            "metadata" => {
                let at = property(at, name);
                if resource && kind != "object" {
                    errors.push(FieldError::invalid(child(&at, "type"), kind, "must be object"));
                }
                let more = schema
                    .iter()
                    .filter(|(key, value)| !matches!(key.as_str(), "type" | "default") && !is_empty(value))
                    .any(|(key, value)| key != "properties" || names_more_than_a_name(value));
                if level == Level::Root && more {
                    errors.push(FieldError::forbidden(
                        at,
                        "must not specify anything other than name and generateName, but metadata is implicitly \
                         specified",
                    ));
                }
            }
            _ => {}
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(_) => false,
    }
}

fn names_more_than_a_name(properties: &Value) -> bool {
    properties.as_object().is_some_and(|map| map.keys().any(|key| !matches!(key.as_str(), "name" | "generateName")))
}

/// Defaults must survive pruning and be valid by the schema they stand in.
fn defaults(map: &Map<String, Value>, at: &str, root: bool, errors: &mut Vec<FieldError>) {
    if let Some(default) = map.get("default").filter(|default| !default.is_null()) {
        let at = child(at, "default");
        let whole = Value::Object(map.clone());
        let schema = if root { Schema::parse_resource(&whole) } else { Schema::parse(&whole) };
        let mut pruned = default.clone();
        if prune(&schema, &mut pruned).is_empty() {
            errors.extend(validate(&schema, default, None).into_iter().map(|mut error| {
                error.field = if error.field == NIL { at.clone() } else { format!("{at}.{}", error.field) };
                error
            }));
        } else {
            errors.push(FieldError::invalid(at, default.clone(), "must not have unknown fields"));
        }
    }
    if let Some(items) = map.get("items").and_then(Value::as_object) {
        defaults(items, &child(at, "items"), false, errors);
    }
    for (name, schema) in fields(map) {
        if !(root && matches!(name.as_str(), "apiVersion" | "kind" | "metadata")) {
            defaults(schema, &property(at, name), false, errors);
        }
    }
    if let Some(additional) = map.get("additionalProperties").and_then(Value::as_object) {
        defaults(additional, &child(at, "additionalProperties"), false, errors);
    }
}
