//! Decoding errors of built-in kinds, which kube-apiserver decodes into Go structs before it validates anything.

use serde_json::Value;

use super::path::Path;
use super::{Additional, JsonType, Schema};

/// Whether a built-in object decodes: every value has the JSON type of its field. Nulls and unknown fields decode.
///
/// # Errors
/// The text of Go's JSON decoder for the first value that does not:
/// `json: cannot unmarshal number into Go struct field ConfigMap.data of type string`.
pub fn check_types(schema: &Schema, kind: &str, value: &Value) -> Result<(), String> {
    walk(schema.resolve(), value, &Place { owner: kind, path: Path::Root }, false)
}

struct Place<'a> {
    /// Innermost struct type.
    owner: &'a str,
    path: Path<'a>,
}

fn walk(schema: &Schema, value: &Value, place: &Place<'_>, in_map: bool) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    let Some(wanted) = schema.types else { return scalar_union(schema, value, place) };
    let fits = match wanted {
        JsonType::Object => value.is_object(),
        JsonType::Array => value.is_array(),
        JsonType::String => value.is_string(),
        JsonType::Boolean => value.is_boolean(),
        JsonType::Number => value.is_number(),
        JsonType::Integer => {
            if let Value::Number(number) = value
                && !integer_fits(schema, number)
            {
                return Err(message(&format!("number {number}"), schema, place));
            }
            value.is_number()
        }
    };
    if !fits {
        return Err(message(json_kind(value), schema, place));
    }
    match value {
        Value::Object(map) => {
            let owner = if in_map { place.owner } else { schema.definition_kind().unwrap_or(place.owner) };
            for (key, value) in map {
                if let Some(property) = schema.properties.get(key.as_str()) {
                    walk(property.resolve(), value, &Place { owner, path: place.path.field(key) }, false)?;
                } else if let Some(Additional::Schema(below)) = &schema.additional {
                    walk(below.resolve(), value, &Place { owner: place.owner, path: place.path }, true)?;
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.element() {
                for value in list {
                    walk(items, value, &Place { owner: place.owner, path: place.path }, false)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn integer_fits(schema: &Schema, number: &serde_json::Number) -> bool {
    let whole = number.as_i64();
    match (whole, schema.format.as_deref()) {
        (Some(whole), Some("int32")) => i32::try_from(whole).is_ok(),
        (Some(_), _) => true,
        (None, _) => false,
    }
}

fn scalar_union(schema: &Schema, value: &Value, place: &Place<'_>) -> Result<(), String> {
    if schema.int_or_string && !(value.is_string() || value.is_number()) {
        return Err(message(json_kind(value), schema, place));
    }
    Ok(())
}

fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn message(found: &str, schema: &Schema, place: &Place<'_>) -> String {
    let wanted = go_type(schema);
    if place.path.is_root() {
        return format!("json: cannot unmarshal {found} into Go value of type {wanted}");
    }
    format!("json: cannot unmarshal {found} into Go struct field {}.{} of type {wanted}", place.owner, place.path.text())
}

/// The Go type that a schema stands for, as its decoder prints it.
fn go_type(schema: &Schema) -> String {
    if let Some(definition) = &schema.definition {
        let mut parts = definition.rsplit('.');
        let kind = parts.next().unwrap_or_default();
        let package = parts.next().unwrap_or_default();
        return format!("{package}.{kind}");
    }
    match schema.types {
        Some(JsonType::Object) => match schema.additional_schema() {
            Some(value) => format!("map[string]{}", go_type(value)),
            None => "map[string]interface {}".to_owned(),
        },
        Some(JsonType::Array) => format!("[]{}", schema.element().map_or_else(|| "interface {}".to_owned(), go_type)),
        Some(JsonType::String) if schema.format.as_deref() == Some("byte") => "[]uint8".to_owned(),
        Some(JsonType::String) => "string".to_owned(),
        Some(JsonType::Integer) => schema.format.as_deref().unwrap_or("int").to_owned(),
        Some(JsonType::Number) => "float64".to_owned(),
        Some(JsonType::Boolean) => "bool".to_owned(),
        None => "interface {}".to_owned(),
    }
}
