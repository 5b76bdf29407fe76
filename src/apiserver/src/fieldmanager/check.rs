//! Whether an applied configuration fits its schema, in structured-merge-diff's words.

use serde_json::Value;

use super::set::{Path, PathElement};
use super::typed::{Scalars, Shape, Type, list_element};
use crate::patch::gofmt::go_value;
use crate::schema::JsonType;

/// Checks a configuration.
///
/// # Errors
/// One line per defect: `.spec.size: expected numeric (int or float), got string`.
pub(super) fn check(kind: Type<'_>, value: &Value) -> Result<(), String> {
    let mut errors = Vec::new();
    walk(kind, value, &mut Vec::new(), &mut errors);
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => {
            let lines: Vec<String> = many.iter().map(|error| format!("  {error}")).collect();
            Err(format!("errors:\n{}", lines.join("\n")))
        }
    }
}

fn fail(path: &[PathElement], why: impl std::fmt::Display, errors: &mut Vec<String>) {
    let path = Path(path.to_vec()).to_string();
    errors.push(if path.is_empty() { why.to_string() } else { format!("{path}: {why}") });
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "map[string]interface {}",
        Value::Array(_) => "[]interface {}",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Null => "<nil>",
    }
}

fn go_syntax(value: &Value) -> String {
    let inner = match value {
        Value::String(text) => crate::error::go_quote(text),
        Value::Array(_) | Value::Object(_) => format!("{}{{…}}", go_type(value)),
        other => go_value(other),
    };
    format!("&value.valueUnstructured{{Value:{inner}}}")
}

fn walk(kind: Type<'_>, value: &Value, path: &mut Vec<PathElement>, errors: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    let shown = || format!("&{{{}}}", go_value(value));
    let shape = kind.shape(value);
    match shape {
        Shape::Scalar(expected) => match (expected, value) {
            (Scalars::Number, Value::Number(_))
            | (Scalars::Text, Value::String(_))
            | (Scalars::Boolean, Value::Bool(_))
            | (Scalars::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => {}
            (Scalars::Number, _) => fail(path, format!("expected numeric (int or float), got {}", go_type(value)), errors),
            (Scalars::Text, _) => fail(path, format!("expected string, got {}", go_syntax(value)), errors),
            (Scalars::Boolean, _) => fail(path, format!("expected boolean, got {}", shown()), errors),
            (Scalars::Any, _) => fail(path, format!("expected any scalar, got {}", shown()), errors),
        },
        Shape::Leaf(JsonType::Array) => {
            if !value.is_array() {
                fail(path, format!("expected list, got {}", shown()), errors);
            }
        }
        Shape::Leaf(_) => {
            if !value.is_object() {
                fail(path, format!("expected map, got {}", shown()), errors);
            }
        }
        Shape::Map(kind) => {
            let Value::Object(fields) = value else {
                fail(path, format!("expected map, got {}", shown()), errors);
                return;
            };
            for (name, field) in fields {
                path.push(PathElement::field(name));
                match kind.member(name) {
                    Some(member) => walk(member.kind, field, path, errors),
                    None => fail(path, "field not declared in schema", errors),
                }
                path.pop();
            }
        }
        Shape::Set(element) | Shape::Keyed(_, element) => {
            let Value::Array(items) = value else {
                fail(path, format!("expected list, got {}", shown()), errors);
                return;
            };
            let mut seen = std::collections::BTreeSet::new();
            for (i, item) in items.iter().enumerate() {
                match list_element(shape, item) {
                    Err(why) => {
                        fail(path, format!("element {i}: {why}"), errors);
                        // Nothing below can be named without a key.
                        return;
                    }
                    Ok(key) => {
                        if !seen.insert(key.clone()) {
                            fail(path, format!("duplicate entries for key {key}"), errors);
                        }
                        path.push(key);
                        walk(element, item, path, errors);
                        path.pop();
                    }
                }
            }
        }
    }
}
