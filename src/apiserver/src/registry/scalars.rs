//! Quantities and times of built-in kinds: checked and written in their canonical form, as Go's types do.

use serde_json::Value;

use crate::admission::quantity::Quantity;
use crate::env::{rfc3339, rfc3339_micro};
use crate::schema::Schema;

/// Canonical form of every quantity and time in an object.
///
/// # Errors
/// The decoder's text for the first that is none.
pub fn canonical(schema: &Schema, value: &mut Value) -> Result<(), String> {
    let schema = schema.resolve();
    match schema.definition_kind() {
        Some("Quantity") => return quantity(value),
        Some("Time") => return time(value, false),
        Some("MicroTime") => return time(value, true),
        _ => {}
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if let Some(field) = schema.properties.get(key.as_str()) {
                    canonical(field, value)?;
                } else if let Some(field) = schema.additional_schema() {
                    canonical(field, value)?;
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.element() {
                for value in list {
                    canonical(items, value)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn quantity(value: &mut Value) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    let Some(quantity) = Quantity::of(value) else {
        return Err("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".to_owned());
    };
    *value = quantity.to_string().into();
    Ok(())
}

fn time(value: &mut Value, micro: bool) -> Result<(), String> {
    let Some(text) = value.as_str() else { return Ok(()) };
    if text.is_empty() {
        *value = Value::Null;
        return Ok(());
    }
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let bad = |rest: &str, part: &str| format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}");
    let Ok(at) = text.parse::<jiff::Timestamp>() else { return Err(bad(text, "2006")) };
    if micro {
        let fraction = text.find('.').map(|dot| text.get(dot..).unwrap_or_default());
        let digits = fraction.map_or(0, |rest| rest.bytes().skip(1).take_while(u8::is_ascii_digit).count());
        if digits < 6 {
            let rest = fraction.unwrap_or_else(|| text.get(19..).unwrap_or_default());
            return Err(bad(rest, ".000000"));
        }
    }
    *value = if micro { rfc3339_micro(&at) } else { rfc3339(&at) }.into();
    Ok(())
}
