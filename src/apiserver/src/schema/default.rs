//! Defaults of structural schemas.

use serde_json::Value;

use super::Schema;

/// Fills in defaults in place, then drops nulls of fields that are neither nullable nor defaulted.
///
/// # Guarantees
/// - A missing field, or a null where the schema is not nullable, takes the default; an explicit null of a nullable
///   field stays.
/// - Defaults apply from the root down, so a defaulted object gets the defaults of its own fields.
/// - Value validations (`allOf` and the like) give no defaults. Idempotent.
pub fn default(schema: &Schema, value: &mut Value) {
    let schema = schema.resolve();
    if schema.subtree.defaults {
        fill(schema, value);
    }
    if schema.subtree.properties {
        drop_nulls(schema, value);
    }
}

fn wants(schema: &Schema, value: &Value) -> bool {
    value.is_null() && !schema.nullable
}

fn fill(schema: &Schema, value: &mut Value) {
    if !schema.subtree.defaults {
        return;
    }
    match value {
        Value::Object(map) => {
            for (name, property) in &schema.properties {
                let Some(default) = &property.default else { continue };
                match map.get_mut(&**name) {
                    None => {
                        map.insert((&**name).to_owned(), default.clone());
                    }
                    Some(found) if wants(property, found) => *found = default.clone(),
                    Some(_) => {}
                }
            }
            for (key, value) in map.iter_mut() {
                if let Some(property) = schema.properties.get(key.as_str()) {
                    fill(property.resolve(), value);
                } else if let Some(additional) = schema.additional_schema() {
                    if let Some(default) = &additional.default
                        && wants(additional, value)
                    {
                        *value = default.clone();
                    }
                    fill(additional, value);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = schema.element() else { return };
            for value in list {
                if let Some(default) = &items.default
                    && wants(items, value)
                {
                    *value = default.clone();
                }
                fill(items, value);
            }
        }
        _ => {}
    }
}

fn drop_nulls(schema: &Schema, value: &mut Value) {
    if !schema.subtree.properties {
        return;
    }
    match value {
        Value::Object(map) => map.retain(|key, value| {
            if let Some(property) = schema.properties.get(key.as_str()) {
                let property = property.resolve();
                if wants(property, value) {
                    return false;
                }
                drop_nulls(property, value);
            } else if let Some(additional) = schema.additional_schema() {
                drop_nulls(additional, value);
            }
            true
        }),
        Value::Array(list) => {
            let Some(items) = schema.element() else { return };
            for value in list {
                drop_nulls(items, value);
            }
        }
        _ => {}
    }
}
