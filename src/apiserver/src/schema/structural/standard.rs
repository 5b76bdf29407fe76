//! Rules on single schemas: keywords that are not supported, list and map types, and the fields of CEL rules.

use serde_json::{Map, Value};

use super::{TYPES, child, fields, flag, property, text};
use crate::error::FieldError;

const UNSUPPORTED: [&str; 6] = ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];
const REASONS: [&str; 4] = ["FieldValueRequired", "FieldValueForbidden", "FieldValueInvalid", "FieldValueDuplicate"];

/// Whether a keyword is used, here or below, that structural schemas do not have.
pub(super) fn has_unsupported(map: &Map<String, Value>) -> bool {
    UNSUPPORTED.iter().any(|key| map.get(*key).is_some_and(|value| !super::is_empty(value)))
        || flag(map, "uniqueItems")
        || map.get("items").is_some_and(Value::is_array)
        || inner(map).any(has_unsupported)
}

/// Every schema in a schema.
fn inner(map: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let single = ["additionalProperties", "items", "not"].into_iter().filter_map(|key| map.get(key));
    let lists = ["allOf", "oneOf", "anyOf"].into_iter().flat_map(|key| map.get(key).and_then(Value::as_array).into_iter().flatten());
    single.chain(lists).filter_map(Value::as_object).chain(fields(map).map(|(_, schema)| schema))
}

/// Every schema in a schema, with the path from one to the other.
fn below(map: &Map<String, Value>) -> impl Iterator<Item = (String, &Map<String, Value>)> {
    let single = ["additionalProperties", "items", "not"]
        .into_iter()
        .filter_map(|key| map.get(key).and_then(Value::as_object).map(|schema| (key.to_owned(), schema)));
    let lists = ["allOf", "oneOf", "anyOf"].into_iter().flat_map(|key| {
        map.get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(move |(index, schema)| schema.as_object().map(|schema| (format!("{key}[{index}]"), schema)))
    });
    let named = fields(map).map(|(name, schema)| (format!("properties[{name}]"), schema));
    single.chain(named).chain(lists)
}

/// What the place of a schema forbids.
#[derive(Clone)]
pub(super) struct Place {
    root: bool,
    inside_meta: bool,
    /// Why defaults are forbidden.
    no_defaults: Option<String>,
}

impl Place {
    pub(super) fn root() -> Self {
        Self { root: true, inside_meta: false, no_defaults: None }
    }
}

/// Checks a schema and all below.
pub(super) fn check(map: &Map<String, Value>, at: &str, place: &Place, errors: &mut Vec<FieldError>) {
    keywords(map, at, place, errors);
    if flag(map, "uniqueItems") {
        errors.push(FieldError::forbidden(
            child(at, "uniqueItems"),
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ));
    }
    if map.contains_key("additionalProperties") && fields(map).next().is_some() {
        errors.push(FieldError::forbidden(child(at, "additionalProperties"), "additionalProperties and properties are mutual exclusive"));
    }
    let resource = place.root || flag(map, "x-kubernetes-embedded-resource");
    for (path, schema) in below(map) {
        let mut inner = Place { root: false, ..place.clone() };
        let name = path.strip_prefix("properties[").and_then(|rest| rest.strip_suffix(']'));
        if path == "additionalProperties" && place.inside_meta {
            inner.no_defaults = Some("inside additionalProperties applying to object metadata".to_owned());
        } else if let Some(name) = name
            && resource
            && matches!(name, "apiVersion" | "kind" | "metadata")
        {
            inner.inside_meta = true;
            if place.root {
                inner.no_defaults = Some(format!("in top-level {name}"));
            }
        }
        check(schema, &child(at, &path), &inner, errors);
    }
    if map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let at = child(at, "x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(at, false, "must be true or undefined"));
    }
    map_type(map, at, errors);
    list_type(map, at, errors);
    list_items(map, at, errors);
    rules(map, at, errors);
}

fn keywords(map: &Map<String, Value>, at: &str, place: &Place, errors: &mut Vec<FieldError>) {
    if let Some(why) = &place.no_defaults
        && map.get("default").is_some_and(|default| !default.is_null())
    {
        errors.push(FieldError::forbidden(child(at, "default"), format!("must not be set {why}")));
    }
    for key in UNSUPPORTED {
        if map.get(key).is_some_and(|value| !super::is_empty(value)) {
            errors.push(FieldError::forbidden(child(at, key), format!("{key} is not supported")));
        }
    }
    let kind = text(map, "type");
    if kind == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(child(at, "type"), detail));
    } else if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(child(at, "type"), kind, TYPES));
    }
    if map.get("items").is_some_and(Value::is_array) {
        errors.push(FieldError::forbidden(child(at, "items"), "items must be a schema object and not an array"));
    }
    let pattern = text(map, "pattern");
    if !pattern.is_empty()
        && let Err(error) = regex::Regex::new(pattern)
    {
        let detail = format!("must be a valid regular expression, but isn't: {}", go_regexp_error(pattern, &error));
        errors.push(FieldError::invalid(child(at, "pattern"), pattern, detail));
    }
    if place.inside_meta && flag(map, "x-kubernetes-embedded-resource") {
        let at = child(at, "x-kubernetes-embedded-resource");
        errors.push(FieldError::forbidden(at, "must not be used inside of resource meta"));
    }
}

/// What Go says of an expression that does not compile, for the usual mistakes; else the last line of our own library.
fn go_regexp_error(pattern: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let tail = |from: char| pattern.rfind(from).and_then(|index| pattern.get(index..)).unwrap_or(pattern);
    let said = match last.as_str() {
        "unclosed character class" => format!("missing closing ]: `{}`", tail('[')),
        "unclosed group" => format!("missing closing ): `{pattern}`"),
        "unopened group" => format!("unexpected ): `{pattern}`"),
        "repetition operator missing expression" => format!("missing argument to repetition operator: `{}`", {
            pattern.chars().find(|c| matches!(c, '*' | '+' | '?')).map(String::from).unwrap_or_default()
        }),
        "look-around, including look-ahead and look-behind, is not supported" => {
            let at = pattern.find("(?").and_then(|index| pattern.get(index..index + 3)).unwrap_or("(?");
            format!("invalid or unsupported Perl syntax: `{at}`")
        }
        other => format!("{other}: `{pattern}`"),
    };
    format!("error parsing regexp: {said}")
}

fn of_type(map: &Map<String, Value>, wanted: &str, because: &str, at: &str, errors: &mut Vec<FieldError>) -> bool {
    let kind = text(map, "type");
    let detail = format!("must be {wanted} if {because} is specified");
    if kind == wanted {
        return true;
    }
    errors.push(if kind.is_empty() {
        FieldError::required(child(at, "type"), detail)
    } else {
        FieldError::invalid(child(at, "type"), kind, detail)
    });
    false
}

fn map_type(map: &Map<String, Value>, at: &str, errors: &mut Vec<FieldError>) {
    let key = "x-kubernetes-map-type";
    if let Some(Value::String(map_type)) = map.get(key) {
        of_type(map, "object", key, at, errors);
        if !matches!(map_type.as_str(), "atomic" | "granular") {
            errors.push(FieldError::not_supported(child(at, key), map_type.as_str(), &["atomic", "granular"]));
        }
    }
}

fn list_type(map: &Map<String, Value>, at: &str, errors: &mut Vec<FieldError>) {
    let (type_key, keys_key) = ("x-kubernetes-list-type", "x-kubernetes-list-map-keys");
    let list_type = map.get(type_key).and_then(Value::as_str);
    if let Some(list_type) = list_type
        && of_type(map, "array", type_key, at, errors)
        && !matches!(list_type, "atomic" | "set" | "map")
    {
        errors.push(FieldError::not_supported(child(at, type_key), list_type, &["atomic", "set", "map"]));
    }
    let keys: Vec<&str> = map.get(keys_key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if !keys.is_empty() {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        match list_type {
            None => errors.push(FieldError::required(child(at, type_key), detail)),
            Some("map") => {}
            Some(other) => errors.push(FieldError::invalid(child(at, type_key), other, detail)),
        }
    }
    if list_type != Some("map") {
        return;
    }
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(child(at, keys_key), detail));
    }
    let Some(items) = map.get("items").and_then(Value::as_object) else {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(child(at, "items"), detail));
        return;
    };
    let items_at = child(at, "items");
    if text(items, "type") != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(child(&items_at, "type"), text(items, "type"), detail));
        return;
    }
    for (index, key) in keys.iter().enumerate() {
        let all = || Value::from(keys.clone());
        match fields(items).find(|(name, _)| name == key) {
            Some((_, schema)) if matches!(text(schema, "type"), "array" | "object") => {
                errors.push(FieldError::invalid(
                    child(&property(&items_at, key), "type"),
                    text(items, "type"),
                    "must be a scalar type if parent array's x-kubernetes-list-type is map",
                ));
            }
            Some(_) => {}
            None => errors.push(FieldError::invalid(child(at, keys_key), all(), "entries must all be names of item properties")),
        }
        if keys.iter().take(index).any(|before| before == key) {
            errors.push(FieldError::invalid(child(at, keys_key), all(), "must not contain duplicate entries"));
        }
    }
}

fn list_items(map: &Map<String, Value>, at: &str, errors: &mut Vec<FieldError>) {
    let list_type = text(map, "x-kubernetes-list-type");
    let Some(items) = map.get("items").and_then(Value::as_object) else { return };
    if !matches!(list_type, "set" | "map") {
        return;
    }
    let items_at = child(at, "items");
    if flag(items, "nullable") {
        errors.push(FieldError::forbidden(
            child(&items_at, "nullable"),
            format!("cannot be nullable when x-kubernetes-list-type is {list_type}"),
        ));
    }
    if list_type == "set" {
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        for (kind, key) in [("array", "x-kubernetes-list-type"), ("object", "x-kubernetes-map-type")] {
            if text(items, "type") == kind && text(items, key) != "atomic" {
                let found = items.get(key).cloned().unwrap_or(Value::Null);
                errors.push(FieldError::invalid(child(&items_at, key), found, detail));
            }
        }
        return;
    }
    let required: Vec<&str> = items.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let keys = map.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    for key in keys.into_iter().flatten().filter_map(Value::as_str) {
        let Some((_, schema)) = fields(items).find(|(name, _)| name.as_str() == key) else { continue };
        let at = property(&items_at, key);
        if !required.contains(&key) && schema.get("default").is_none_or(Value::is_null) {
            errors.push(FieldError::required(
                child(&at, "default"),
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            ));
        }
        if flag(schema, "nullable") {
            errors.push(FieldError::forbidden(
                child(&at, "nullable"),
                "this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
            ));
        }
    }
}

fn rules(map: &Map<String, Value>, at: &str, errors: &mut Vec<FieldError>) {
    let list = map.get("x-kubernetes-validations").and_then(Value::as_array);
    for (index, rule) in list.into_iter().flatten().enumerate() {
        let Some(rule) = rule.as_object() else { continue };
        let at = format!("{}[{index}]", child(at, "x-kubernetes-validations"));
        let broken = |text: &str| text.contains(['\n', '\r']);
        let (expression, message) = (text(rule, "rule").trim(), text(rule, "message"));
        if expression.is_empty() {
            errors.push(FieldError::required(child(&at, "rule"), "rule is not specified"));
        }
        let message_at = child(&at, "message");
        if !message.is_empty() && message.trim().is_empty() {
            errors.push(FieldError::invalid(message_at, message, "message must be non-empty if specified"));
        } else if broken(message.trim()) {
            errors.push(FieldError::invalid(message_at, message, "message must not contain line breaks"));
        } else if broken(expression) && message.trim().is_empty() {
            let detail = "message must be specified if rule contains line breaks";
            errors.push(FieldError::required(message_at, detail));
        }
        let expression = text(rule, "messageExpression");
        if !expression.is_empty() && expression.trim().is_empty() {
            let detail = "messageExpression must be non-empty if specified";
            errors.push(FieldError::required(child(&at, "messageExpression"), detail));
        }
        if let Some(reason) = rule.get("reason").and_then(Value::as_str)
            && !REASONS.contains(&reason)
        {
            errors.push(FieldError::not_supported(child(&at, "reason"), reason, &REASONS));
        }
        let path = text(rule, "fieldPath");
        let path_at = child(&at, "fieldPath");
        if !path.is_empty() && path.trim().is_empty() {
            errors.push(FieldError::invalid(path_at, path, "fieldPath must be non-empty if specified"));
        } else if broken(path) {
            errors.push(FieldError::invalid(path_at, path, "fieldPath must not contain line breaks"));
        } else if !path.is_empty() && !leads_somewhere(map, path) {
            errors.push(FieldError::invalid(path_at, path, "fieldPath must be a valid path"));
        }
    }
}

/// Whether a rule's `fieldPath` names a field that the schema specifies; indices are not allowed.
fn leads_somewhere(map: &Map<String, Value>, path: &str) -> bool {
    let Some(parts) = crate::cel::rules::field_path(path) else { return false };
    let mut schema = map;
    for part in parts {
        let additional = schema.get("additionalProperties").and_then(Value::as_object);
        let Some(next) = fields(schema).find(|(name, _)| **name == part).map(|(_, schema)| schema).or(additional) else {
            return false;
        };
        schema = next;
    }
    true
}
