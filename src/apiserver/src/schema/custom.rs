//! All rules of a custom resource's object, in the order and with the errors of kube-apiserver.

use serde_json::Value;

use super::path::{NIL, Path};
use super::{Schema, unique_lists, unique_lists_on_update, validate};
use crate::cel::rules;
use crate::error::{FieldError, FieldErrorKind};
use crate::resource::{ScalePaths, parse_api_version};

/// Validates an object of a custom resource after pruning and defaulting; `metadata` is the caller's.
///
/// # Flow
/// Value validation (ratcheting against `old`), scale paths, embedded objects, list types, then CEL rules. Rules are
/// not run when a field is missing, has the wrong type, is too long, or is not one of the allowed values: that is
/// reported as one more error, as kube-apiserver does.
pub fn validate_object(schema: &Schema, scale: Option<&ScalePaths>, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = validate(schema, value, old);
    if let Some(scale) = scale {
        integer_at(&scale.spec_replicas, value, &mut errors);
        integer_at(&scale.status_replicas, value, &mut errors);
    }
    if schema.subtree.embedded {
        embedded(schema, value, Path::Root, &mut errors);
    }
    finish(schema, value, old, errors)
}

/// Validates an update through `/status`: of the schema only what is below `status`, whose errors name the fields below
/// it in their texts; list types and rules of the whole object.
pub fn validate_status(schema: &Schema, scale: Option<&ScalePaths>, value: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let (Some(status), Some(below)) = (value.get("status"), schema.field("status")) {
        errors.extend(validate(below, status, old.get("status")).into_iter().map(|mut error| {
            error.field = if error.field == NIL { "status".to_owned() } else { format!("status.{}", error.field) };
            error
        }));
    }
    if let Some(scale) = scale {
        integer_at(&scale.status_replicas, value, &mut errors);
    }
    finish(schema, value, Some(old), errors)
}

fn finish(schema: &Schema, value: &Value, old: Option<&Value>, mut errors: Vec<FieldError>) -> Vec<FieldError> {
    errors.extend(match old {
        None => unique_lists(schema, value),
        Some(old) => unique_lists_on_update(schema, value, old),
    });
    if schema.subtree.rules {
        if errors.iter().any(hides_rules) {
            errors.push(FieldError::invalid(
                NIL,
                Value::Null,
                "some validation rules were not checked because the object was invalid; correct the existing errors \
                 to complete validation",
            ));
        } else {
            errors.extend(rules::validate(schema, value, old));
        }
    }
    errors
}

fn hides_rules(error: &FieldError) -> bool {
    matches!(
        error.kind,
        FieldErrorKind::NotSupported
            | FieldErrorKind::Required
            | FieldErrorKind::TooLong
            | FieldErrorKind::TooMany
            | FieldErrorKind::TypeInvalid
    )
}

/// A number that the scale subresource reads.
fn integer_at(path: &str, value: &Value, errors: &mut Vec<FieldError>) {
    match find_integer(value, path) {
        Ok(Some(number)) if number < 0 => {
            errors.push(FieldError::invalid(path, number, "should be a non-negative integer"));
        }
        Ok(Some(number)) if number > i64::from(i32::MAX) => {
            errors.push(FieldError::invalid(path, number, format!("should be less than or equal to {}", i32::MAX)));
        }
        Ok(_) => {}
        Err(text) => errors.push(FieldError::invalid(path, 0, text)),
    }
}

fn go_map_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn find_integer(value: &Value, path: &str) -> Result<Option<i64>, String> {
    let mut found = value;
    for part in path.trim_start_matches('.').split('.') {
        match found {
            Value::Object(map) => match map.get(part) {
                Some(next) => found = next,
                None => return Ok(None),
            },
            Value::Null => return Ok(None),
            other => {
                return Err(format!(
                    "{path} accessor error: {} is of the type {}, expected map[string]interface{{}}",
                    shown(other),
                    go_map_type(other)
                ));
            }
        }
    }
    match found {
        Value::Number(number) if number.is_i64() => Ok(number.as_i64()),
        other => Err(format!(
            "{path} accessor error: {} is of the type {}, expected int64",
            if other.is_null() { "<nil>".to_owned() } else { shown(other) },
            go_map_type(other)
        )),
    }
}

fn embedded(schema: &Schema, value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
    if !schema.subtree.embedded {
        return;
    }
    match value {
        Value::Object(map) => {
            if schema.embedded_resource {
                type_meta(value, path, errors);
            }
            for (key, value) in map {
                if let Some(property) = schema.properties.get(key.as_str()) {
                    embedded(property.resolve(), value, path.field(key), errors);
                } else if let Some(additional) = schema.additional_schema() {
                    embedded(additional, value, path.key(key), errors);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.element() {
                for (index, value) in list.iter().enumerate() {
                    embedded(items, value, path.index(index), errors);
                }
            }
        }
        _ => {}
    }
}

fn type_meta(value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
    let at = path.field("apiVersion").text();
    match value.get("apiVersion") {
        None => errors.push(FieldError::required(at, "")),
        Some(Value::String(text)) if text.is_empty() => {
            errors.push(FieldError::invalid(at, "", "must not be empty"));
        }
        Some(Value::String(text)) => {
            if parse_api_version(text).is_none() {
                let detail = format!("unexpected GroupVersion string: {text}");
                errors.push(FieldError::invalid(at, text.as_str(), detail));
            }
        }
        Some(other) => errors.push(FieldError::invalid(at, other.clone(), "must be a string")),
    }
    let at = path.field("kind").text();
    match value.get("kind") {
        None => errors.push(FieldError::required(at, "")),
        Some(Value::String(text)) if text.is_empty() => {
            errors.push(FieldError::invalid(at, "", "must not be empty"));
        }
        Some(Value::String(text)) => {
            if let Some(problem) = crate::crd::names::dns1035_label(&text.to_lowercase()) {
                let detail = format!("may have mixed case, but should otherwise match: {problem}");
                errors.push(FieldError::invalid(at, text.as_str(), detail));
            }
        }
        Some(other) => errors.push(FieldError::invalid(at, other.clone(), "must be a string")),
    }
}
