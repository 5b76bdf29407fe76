//! JSON patch as kube-apiserver applies it.
//!
//! Upstream's library is laxer than RFC 6902, and clients see it: `replace` of an absent object field adds it, `test`
//! against null holds for an absent field, `copy` of an absent field adds null, negative indices count from the end, and
//! a path's text before its first slash is ignored (`spec/size` is the field `size` of the object).

use serde_json::Value;

use super::{gofmt::json_kind, gojson, unprocessable};
use crate::error::ApiError;

/// Most operations of one JSON patch.
pub const MAX_OPERATIONS: usize = 10_000;

/// Most bytes that `copy` operations of one patch may add (`--max-request-body-size` upstream).
const MAX_COPIED: usize = 3 * 1024 * 1024;

/// Applies a JSON patch.
///
/// # Errors
/// 400 when the body is no list of operations, 413 with more than [`MAX_OPERATIONS`], 422 when an operation does not apply.
pub fn json_patch(object: &Value, patch: &[u8]) -> Result<Value, ApiError> {
    let decoded = gojson::parse(patch).map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let operations = match decoded {
        Value::Array(operations) => operations,
        Value::Null => Vec::new(),
        other => {
            return Err(ApiError::bad_request(format!(
                "error decoding patch: json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp",
                json_kind(&other)
            )));
        }
    };
    for operation in &operations {
        let Some(fields) = operation.as_object() else {
            if operation.is_null() {
                continue;
            }
            return Err(ApiError::bad_request(format!(
                "error decoding patch: json: cannot unmarshal {} into Go value of type handlers.jsonPatchOp",
                json_kind(operation)
            )));
        };
        for name in ["op", "path", "from"] {
            if let Some(value) = fields.get(name)
                && !value.is_string()
                && !value.is_null()
            {
                return Err(ApiError::bad_request(format!(
                    "error decoding patch: json: cannot unmarshal {} into Go struct field jsonPatchOp.{name} of type string",
                    json_kind(value)
                )));
            }
        }
    }
    if operations.len() > MAX_OPERATIONS {
        return Err(ApiError::new(
            413,
            "RequestEntityTooLarge",
            format!(
                "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                operations.len()
            ),
        ));
    }
    let mut document = object.clone();
    let mut copied = 0;
    for operation in &operations {
        step(&mut document, operation, &mut copied).ok_or_else(unprocessable)?;
    }
    Ok(document)
}

/// Applies operations as mutating policies do: `None` when a test among them fails, and then none of them counts.
///
/// # Errors
/// An operation that does not apply.
pub(crate) fn tested_patch(object: &Value, operations: &[Value]) -> Result<Option<Value>, String> {
    let mut document = object.clone();
    let mut copied = 0;
    for operation in operations {
        if step(&mut document, operation, &mut copied).is_some() {
            continue;
        }
        let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
        return match text("op") {
            "test" => Ok(None),
            op @ ("add" | "remove" | "replace" | "move" | "copy") => {
                Err(format!("{op} operation does not apply: doc is missing path: {:?}: missing value", text("path")))
            }
            other => Err(format!("Unexpected kind: {other}")),
        };
    }
    Ok(Some(document))
}

/// Fields of operations that no JSON patch has, as strict field validation names them: `json patch unknown field "[0].x"`.
pub fn json_patch_unknown_fields(patch: &[u8]) -> Vec<String> {
    let Ok(Value::Array(operations)) = serde_json::from_slice::<Value>(patch) else { return Vec::new() };
    let mut unknown = Vec::new();
    for (i, operation) in operations.iter().enumerate() {
        for name in operation.as_object().into_iter().flat_map(serde_json::Map::keys) {
            if !matches!(name.as_str(), "op" | "path" | "from" | "value") {
                unknown.push(format!("json patch unknown field \"[{i}].{name}\""));
            }
        }
    }
    unknown
}

/// One operation; `None` when it does not apply.
fn step(document: &mut Value, operation: &Value, copied: &mut usize) -> Option<()> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    let path = text("path")?;
    match text("op")? {
        "add" => add(document, path, value()),
        "remove" => remove(document, path).map(drop),
        "replace" => replace(document, path, value()),
        "move" => {
            let moved = remove(document, text("from")?)?;
            add(document, path, moved)
        }
        "copy" => {
            let taken = get(document, text("from")?)?.clone();
            *copied += taken.to_string().len();
            if *copied > MAX_COPIED {
                return None;
            }
            add(document, path, taken)
        }
        "test" => {
            let expected = operation.get("value").unwrap_or(&Value::Null);
            let found = get(document, path)?;
            same(found, expected).then_some(())
        }
        _ => None,
    }
}

/// Equality of JSON values; numbers by value (`1` is `1.0`).
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| same(x, y))),
        _ => a == b,
    }
}

/// The tokens below the document and the last key; `None` for a path without a slash.
fn split(path: &str) -> Option<(Vec<String>, String)> {
    let mut parts: Vec<String> = path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let last = parts.pop()?;
    Some((parts, last))
}

fn container<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parents, key) = split(path)?;
    let mut at = document;
    for token in parents {
        at = match at {
            Value::Object(fields) => fields.get_mut(&token)?,
            Value::Array(items) => {
                let index = index_of(&token, items.len())?;
                items.get_mut(index)?
            }
            _ => return None,
        };
    }
    matches!(at, Value::Object(_) | Value::Array(_)).then_some((at, key))
}

/// An existing element; negative numbers count from the end.
fn index_of(token: &str, len: usize) -> Option<usize> {
    let number: i64 = token.parse().ok()?;
    let len = i64::try_from(len).ok()?;
    let index = if number < 0 { number + len } else { number };
    (0..len).contains(&index).then(|| usize::try_from(index).ok()).flatten()
}

/// `None`: nowhere to look. A field that an object lacks is null.
fn get<'a>(document: &'a mut Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(document);
    }
    let (parent, key) = container(document, path)?;
    match parent {
        Value::Object(fields) => Some(fields.get(&key).unwrap_or(&Value::Null)),
        Value::Array(items) => {
            let index = index_of(&key, items.len())?;
            items.get(index)
        }
        _ => None,
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Option<()> {
    let (parent, key) = container(document, path)?;
    match parent {
        Value::Object(fields) => {
            fields.insert(key, value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let number: i64 = key.parse().ok()?;
            let len = i64::try_from(items.len()).ok()?;
            // A negative index counts from behind the list here: -1 appends.
            let index = if number < 0 { number + len + 1 } else { number };
            if !(0..=len).contains(&index) {
                return None;
            }
            items.insert(usize::try_from(index).ok()?, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, path: &str) -> Option<Value> {
    let (parent, key) = container(document, path)?;
    match parent {
        Value::Object(fields) => fields.remove(&key),
        Value::Array(items) => {
            let index = index_of(&key, items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Option<()> {
    let (parent, key) = container(document, path)?;
    match parent {
        Value::Object(fields) => {
            fields.insert(key, value);
        }
        Value::Array(items) => {
            let index = index_of(&key, items.len())?;
            *items.get_mut(index)? = value;
        }
        _ => return None,
    }
    Some(())
}
