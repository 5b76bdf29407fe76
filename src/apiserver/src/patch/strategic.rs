//! Strategic merge patch: merges lists by the merge keys of the built-in kind's schema.
//!
//! Directives: `$patch: replace|delete|merge` in objects and list elements, `$retainKeys` (keys not named vanish),
//! `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`. The order of a merged list is: as `$setElementOrder` says,
//! else as in the patch; elements that only the server has keep their place relative to the live list.

use serde_json::{Map, Value};

use super::gofmt::{go_kind, go_value};
use super::{plain_error, restore, unprocessable};
use crate::error::{ApiError, FieldError};
use crate::resource::Gvk;
use crate::schema::{PatchStrategy, Schema};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

type Object = Map<String, Value>;

/// Applies a strategic merge patch; without a schema, lists are replaced.
///
/// # Errors
/// 400 for malformed directives, 422 when the result does not fit the kind, 500 (as upstream) for lists without merge key.
pub fn strategic_merge(object: &Value, patch: &Value, schema: Option<&Schema>) -> Result<Value, ApiError> {
    let Value::Object(patch_fields) = patch else {
        return Err(ApiError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            super::gofmt::json_kind(patch)
        )));
    };
    let original = object.as_object().cloned().unwrap_or_default();
    let merged = Value::Object(merge_map(original, patch_fields.clone(), schema.map(Schema::resolve))?);
    if let Some(schema) = schema {
        restore::check(schema.resolve(), &merged).map_err(|why| {
            let error = FieldError::invalid("patch", go_value(patch), why);
            ApiError::invalid(&Gvk::default(), "", &[error])
        })?;
    }
    Ok(merged)
}

fn bad_order() -> ApiError {
    ApiError::bad_request("invalid patch format of setElementOrder list")
}

fn bad_retain_keys() -> ApiError {
    ApiError::bad_request("invalid patch format of retainKeys")
}

fn bad_primitives() -> ApiError {
    ApiError::bad_request("invalid patch format of primitive list")
}

fn no_merge_key(map: &Value, key: &str) -> ApiError {
    plain_error(format!("map: {} does not contain declared merge key: {key}", go_value(map)))
}

fn bad_patch_type(directive: &Value, map: &Value) -> ApiError {
    plain_error(format!("unknown patch type: {} in map: {}", go_value(directive), go_value(map)))
}

fn bad_argument(expected: &str, found: &Value) -> ApiError {
    plain_error(format!("expected a {expected}, but received a {}", go_kind(found)))
}

/// How a field merges: its schema, strategy and merge key.
#[derive(Clone, Copy)]
struct Field<'a> {
    schema: Option<&'a Schema>,
    strategy: PatchStrategy,
    merge_key: &'a str,
}

fn field<'a>(parent: Option<&'a Schema>, name: &str) -> Field<'a> {
    let schema = parent.and_then(|parent| parent.field(name));
    // References are resolved below; the strategy is that of the field itself, which a reference carries too.
    let declared = parent.and_then(|parent| parent.properties.get(name)).map(AsRef::as_ref).or(schema);
    Field {
        schema,
        strategy: declared.and_then(|schema| schema.patch_strategy).unwrap_or_default(),
        merge_key: declared.and_then(|schema| schema.patch_merge_key.as_deref()).unwrap_or_default(),
    }
}

fn merge_map(mut original: Object, mut patch: Object, schema: Option<&Schema>) -> Result<Object, ApiError> {
    if let Some(directive) = patch.get(PATCH).cloned() {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                Ok(patch)
            }
            Some("delete") => Ok(Object::new()),
            _ => Err(bad_patch_type(&directive, &Value::Object(patch))),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    ordered_lists(&mut original, &mut patch, schema)?;
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_PRIMITIVES) {
            delete_primitives(&mut original, list, &value)?;
            continue;
        }
        if value.is_null() {
            original.remove(&name);
            continue;
        }
        let merged = match (original.remove(&name), value) {
            (Some(Value::Object(current)), Value::Object(value)) => {
                let field = field(schema, &name);
                if field.strategy.replace { Value::Object(value) } else { Value::Object(merge_map(current, value, field.schema)?) }
            }
            (Some(Value::Array(current)), Value::Array(value)) => Value::Array(merge_list(current, value, field(schema, &name))?),
            (_, value) => added(value),
        };
        // An empty map is not written; an empty struct behind a pointer (`emptyDir: {}`) is.
        let empty_map = merged.as_object().is_some_and(Map::is_empty)
            && field(schema, &name).schema.is_some_and(|schema| schema.properties.is_empty() && schema.additional.is_some());
        if !empty_map {
            original.insert(name, merged);
        }
    }
    Ok(original)
}

/// A value that was not there before: nulls and directives have nothing to act on.
fn added(value: Value) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key(PATCH) => Value::Object(Object::new()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(name, value)| !value.is_null() && !name.starts_with('$'))
                .map(|(name, value)| (name, added(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().filter(|item| item.get(PATCH).is_none()).map(added).collect()),
        other => other,
    }
}

fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), ApiError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else { return Err(bad_retain_keys()) };
    let kept = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
    for (name, value) in patch.iter() {
        let directive = name.starts_with(DELETE_PRIMITIVES) || name.starts_with(ELEMENT_ORDER);
        if !value.is_null() && !directive && !kept(name) {
            return Err(bad_retain_keys());
        }
    }
    original.retain(|name, _| kept(name));
    Ok(())
}

fn delete_primitives(original: &mut Object, list: &str, removed: &Value) -> Result<(), ApiError> {
    let Value::Array(removed) = removed else { return Err(bad_primitives()) };
    match original.get_mut(list) {
        None => Ok(()),
        Some(Value::Array(items)) => {
            items.retain(|item| !removed.contains(item));
            if items.is_empty() {
                original.remove(list);
            }
            Ok(())
        }
        Some(other) => Err(bad_argument("slice", other)),
    }
}

/// Merges and orders the lists for which the patch has a `$setElementOrder`, and takes them out of the patch.
fn ordered_lists(original: &mut Object, patch: &mut Object, schema: Option<&Schema>) -> Result<(), ApiError> {
    let directives: Vec<String> = patch.keys().filter(|name| name.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let name = directive.get(ELEMENT_ORDER.len()..).unwrap_or_default().to_owned();
        let order = match patch.remove(&directive) {
            Some(Value::Array(order)) => order,
            Some(other) => return Err(bad_argument("slice", &other)),
            None => continue,
        };
        let field = field(schema, &name);
        // A deletion for the same list acts first: what it removes has no place in the order.
        let deletion = format!("{DELETE_PRIMITIVES}{name}");
        if let Some(removed) = patch.remove(&deletion) {
            delete_primitives(original, &name, &removed)?;
        }
        let live = take_list(original, &name)?;
        let patched = match patch.get(&name) {
            None => None,
            Some(Value::Array(_)) => take_list(patch, &name)?,
            Some(Value::Null) => {
                if let Some(live) = live {
                    original.insert(name, Value::Array(live));
                }
                continue;
            }
            Some(other) => return Err(bad_argument("slice", other)),
        };
        if let Some(patched) = &patched {
            check_order(patched, &order, field.merge_key)?;
        }
        let server = live.clone().unwrap_or_default();
        let merged = match (live, patched) {
            (None, None) => continue,
            (Some(live), None) => live,
            (None, Some(patched)) => match added(Value::Array(patched)) {
                Value::Array(items) => items,
                _ => Vec::new(),
            },
            (Some(live), Some(patched)) => merge_list(live, patched, field)?,
        };
        let merged = arrange(merged, &order, &server, field.merge_key)?;
        original.insert(name, Value::Array(merged));
    }
    Ok(())
}

fn take_list(object: &mut Object, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(other) => Err(bad_argument("slice", &other)),
    }
}

/// Elements of the patch must appear in the order list, in the same order.
fn check_order(patch: &[Value], order: &[Value], merge_key: &str) -> Result<(), ApiError> {
    let mut at = 0;
    for item in patch {
        if item.get(PATCH).is_some() {
            continue;
        }
        if !merge_key.is_empty() && item.get(merge_key).is_none() {
            return Err(no_merge_key(item, merge_key));
        }
        match order.iter().skip(at).position(|other| identical(item, other, merge_key)) {
            Some(offset) => at += offset + 1,
            None if order.is_empty() => return Err(bad_order()),
            None => {
                return Err(plain_error(format!(
                    "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                    go_value(&Value::Array(patch.to_vec())),
                    go_value(&Value::Array(order.to_vec()))
                )));
            }
        }
    }
    Ok(())
}

fn identical(a: &Value, b: &Value, merge_key: &str) -> bool {
    if merge_key.is_empty() { a == b } else { a.get(merge_key).is_some_and(|key| b.get(merge_key) == Some(key)) }
}

fn merge_list(current: Vec<Value>, patch: Vec<Value>, field: Field<'_>) -> Result<Vec<Value>, ApiError> {
    if !field.strategy.merge {
        return Ok(patch.into_iter().filter(|item| item.get(PATCH).is_none()).map(added).collect());
    }
    if patch.is_empty() {
        return Ok(current);
    }
    if current.iter().chain(&patch).any(Value::is_array) {
        return Err(unprocessable());
    }
    let objects = current.iter().chain(&patch).filter(|item| item.is_object()).count();
    if objects == 0 {
        return merge_scalars(&current, &patch);
    }
    if objects < current.len() + patch.len() {
        return Err(plain_error(format!(
            "list element types are not identical: [{} {}]",
            go_value(&Value::Array(current)),
            go_value(&Value::Array(patch))
        )));
    }
    let key = field.merge_key;
    if key.is_empty() {
        return Err(plain_error("cannot merge lists without merge key for type struct"));
    }
    let (current, patch) = special_elements(current, patch, key)?;
    let server = current.clone();
    let mut merged = current;
    for item in &patch {
        let Some(value) = item.get(key) else { return Err(no_merge_key(item, key)) };
        match merged.iter_mut().find(|other| other.get(key) == Some(value)) {
            Some(slot) => {
                let before = slot.as_object_mut().map(std::mem::take).unwrap_or_default();
                let change = item.as_object().cloned().unwrap_or_default();
                *slot = Value::Object(merge_map(before, change, field.schema.and_then(Schema::element))?);
            }
            None => merged.push(added(item.clone())),
        }
    }
    arrange(merged, &patch, &server, key)
}

fn merge_scalars(current: &[Value], patch: &[Value]) -> Result<Vec<Value>, ApiError> {
    let mut merged: Vec<Value> = Vec::with_capacity(current.len() + patch.len());
    for item in current.iter().chain(patch) {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    arrange(merged, patch, current, "")
}

/// Carries out `$patch` elements: the live list without what they delete, and the patch without them.
fn special_elements(mut current: Vec<Value>, patch: Vec<Value>, key: &str) -> Result<(Vec<Value>, Vec<Value>), ApiError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        match item.get(PATCH) {
            None => rest.push(item),
            Some(Value::String(directive)) if directive == "delete" => match item.get(key) {
                Some(value) => current.retain(|other| other.get(key) != Some(value)),
                None => return Err(no_merge_key(&item, key)),
            },
            Some(Value::String(directive)) if directive == "replace" => replace = true,
            Some(Value::String(directive)) if directive == "merge" => {
                return Err(plain_error("merging lists cannot yet be specified in the patch"));
            }
            Some(directive) => return Err(bad_patch_type(directive, &item)),
        }
    }
    if replace {
        let rest = rest.into_iter().map(added).collect();
        Ok((rest, Vec::new()))
    } else {
        Ok((current, rest))
    }
}

/// Orders a merged list: elements of `order` as there, the server's own ones where the live list had them.
fn arrange(merged: Vec<Value>, order: &[Value], server: &[Value], key: &str) -> Result<Vec<Value>, ApiError> {
    if !key.is_empty()
        && let Some(item) = merged.iter().find(|item| item.get(key).is_none())
    {
        return Err(no_merge_key(item, key));
    }
    let place = |list: &[Value], item: &Value| list.iter().position(|other| identical(item, other, key));
    let (mut ordered, mut own): (Vec<Value>, Vec<Value>) = merged.into_iter().partition(|item| place(order, item).is_some());
    ordered.sort_by_key(|item| place(order, item));
    own.sort_by_key(|item| place(server, item).unwrap_or(usize::MAX));
    let mut result = Vec::with_capacity(ordered.len() + own.len());
    let (mut ordered, mut own) = (ordered.into_iter().peekable(), own.into_iter().peekable());
    loop {
        let take_own = match (own.peek(), ordered.peek()) {
            (None, None) => return Ok(result),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(mine), Some(theirs)) => match (place(server, mine), place(server, theirs)) {
                (Some(mine), Some(theirs)) => mine < theirs,
                _ => false,
            },
        };
        result.extend(if take_own { own.next() } else { ordered.next() });
    }
}
