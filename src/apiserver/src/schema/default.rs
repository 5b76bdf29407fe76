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
    walk(schema.resolve(), value);
}

fn wants(schema: &Schema, value: &Value) -> bool {
    value.is_null() && !schema.nullable
}

/// Gives a null that is not allowed the default, if there is one.
fn replace(schema: &Schema, value: &mut Value) {
    if let Some(default) = &schema.default
        && wants(schema, value)
    {
        *value = default.clone();
    }
}

fn walk(schema: &Schema, value: &mut Value) {
    if !schema.subtree.defaults && !schema.subtree.properties {
        return;
    }
    match value {
        Value::Object(map) => {
            if schema.subtree.defaults {
                for (name, property) in &schema.properties {
                    let Some(default) = &property.default else { continue };
                    match map.get_mut(&**name) {
                        None => {
                            map.insert((**name).to_owned(), default.clone());
                        }
                        Some(found) if wants(property, found) => *found = default.clone(),
                        Some(_) => {}
                    }
                }
            }
            map.retain(|key, value| {
                if let Some(property) = schema.properties.get(key.as_str()) {
                    let property = property.resolve();
                    if wants(property, value) {
                        return false;
                    }
                    walk(property, value);
                } else if let Some(additional) = schema.additional_schema() {
                    replace(additional, value);
                    walk(additional, value);
                }
                true
            });
        }
        Value::Array(list) => {
            let Some(items) = schema.element() else { return };
            for value in list {
                replace(items, value);
                walk(items, value);
            }
        }
        _ => {}
    }
}
