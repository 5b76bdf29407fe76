//! Rules of custom resources.

use serde_json::Value;

use crate::error::FieldError;
use crate::schema::Schema;

/// Compiled rules of one schema.
#[derive(Debug, Default)]
pub struct CompiledRules {}

/// Runs every rule that applies.
pub fn validate(_schema: &Schema, _value: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    Vec::new()
}

/// The parts of a rule's `fieldPath`: `.a.b['c.d']`; `None` when it is not one.
pub fn field_path(path: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("['") {
            let end = after.find("']")?;
            parts.push(after.get(..end)?.to_owned());
            rest = after.get(end + 2..)?;
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return None;
            }
            parts.push(after.get(..end)?.to_owned());
            rest = after.get(end..)?;
        }
    }
    (!parts.is_empty()).then_some(parts)
}
