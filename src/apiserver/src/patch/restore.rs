//! Whether a patched map still fits the types of a built-in kind, in the words of `runtime.DefaultUnstructuredConverter`.

use serde_json::Value;

use super::gofmt::go_kind;
use crate::schema::{JsonType, Schema};

/// Checks every field that the schema knows.
///
/// # Errors
/// What the converter says of the first (in field order) value of a wrong type.
pub(super) fn check(schema: &Schema, value: &Value) -> Result<(), String> {
    if value.is_null() || schema.int_or_string || schema.preserve_unknown || is_text_union(schema) {
        return Ok(());
    }
    match (schema.types, value) {
        (Some(JsonType::Object), Value::Object(fields)) => {
            for (name, field) in fields {
                if let Some(schema) = schema.field(name) {
                    check(schema, field)?;
                }
            }
            Ok(())
        }
        (Some(JsonType::Object), other) if schema.properties.is_empty() => Err(format!("cannot restore map from {}", go_kind(other))),
        (Some(JsonType::Object), other) => Err(format!("cannot restore struct from: {}", go_kind(other))),
        (Some(JsonType::Array), Value::Array(items)) => match schema.element() {
            Some(element) => items.iter().try_for_each(|item| check(element, item)),
            None => Ok(()),
        },
        (Some(JsonType::Array), other) => Err(format!("cannot restore slice from {}", go_kind(other))),
        (Some(JsonType::String), Value::String(_))
        | (Some(JsonType::Boolean), Value::Bool(_))
        | (Some(JsonType::Number), Value::Number(_))
        | (None, _) => Ok(()),
        (Some(JsonType::String), _) => Err("unrecognized type: string".to_owned()),
        (Some(JsonType::Boolean), _) => Err("unrecognized type: bool".to_owned()),
        (Some(JsonType::Integer), Value::Number(number)) => {
            if number.is_f64() && number.as_f64().is_some_and(|f| f.fract() != 0.0) {
                Err(format!("unrecognized type: {}", int_type(schema)))
            } else {
                Ok(())
            }
        }
        (Some(JsonType::Integer), _) => Err(format!("unrecognized type: {}", int_type(schema))),
        (Some(JsonType::Number), _) => Err("unrecognized type: float64".to_owned()),
    }
}

fn int_type(schema: &Schema) -> &str {
    match schema.format.as_deref() {
        Some("int64") => "int64",
        _ => "int32",
    }
}

/// Types that decode from more than a string, by their own unmarshaller.
pub(crate) fn is_text_union(schema: &Schema) -> bool {
    matches!(
        schema.definition_kind(),
        Some(
            "Quantity"
                | "IntOrString"
                | "JSON"
                | "JSONSchemaPropsOrBool"
                | "JSONSchemaPropsOrArray"
                | "JSONSchemaPropsOrStringArray"
                | "RawExtension"
                | "FieldsV1"
        )
    )
}
