//! Value validation: types, bounds, formats, required fields and logic, with the errors of kube-openapi's validator.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::path::{NIL, Path};
use super::{Additional, JsonType, ListType, Logic, Schema, formats, lists, numbers};
use crate::error::FieldError;

/// Checks a value; with an old value, what did not change is not checked again (ratcheting).
///
/// # Guarantees
/// - Errors come in the order in which kube-openapi reports them: a field's own type, logic, string, format, number,
///   list, enum and object checks; elements before the list, additional fields before properties, and missing fields
///   last.
/// - With `old`, a value equal to its counterpart passes. Counterparts are found by field name, by map key, and in map
///   lists by their keys; elements of other lists have none.
/// - List types and CEL rules are checked elsewhere ([`super::unique_lists`], [`crate::cel::rules`]).
pub fn validate(schema: &Schema, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut result = Outcome::default();
    node(schema.resolve(), value, old, Path::Root, &mut result);
    result.errors
}

/// Errors, and how many checks ran: the best failure of `anyOf` and `oneOf` is the one that got furthest.
#[derive(Default)]
struct Outcome {
    errors: Vec<FieldError>,
    checks: usize,
}

impl Outcome {
    fn merge(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.checks += other.checks;
    }

    fn invalid(&mut self, path: Path<'_>, value: impl Into<Value>, text: &str) {
        let at = path.text();
        let detail = format!("{at} in body {text}");
        self.errors.push(FieldError::invalid(named(at), value, detail));
    }
}

/// A path as an error names it; the whole object has Go's name for none.
fn named(path: String) -> String {
    if path.is_empty() { NIL.to_owned() } else { path }
}

fn node(schema: &Schema, value: &Value, old: Option<&Value>, path: Path<'_>, out: &mut Outcome) {
    if !schema.subtree.checks {
        return;
    }
    if old == Some(value) {
        return;
    }
    if has_type(schema) {
        out.checks += 2;
        type_of(schema, value, path, out);
    }
    if value.is_null() {
        enumeration(schema, value, path, out);
        return;
    }
    if let Some(logic) = &schema.logic {
        out.checks += 2;
        combine(logic, value, path, out);
    }
    match value {
        Value::String(text) => {
            string(schema, text, path, out);
            enumeration(schema, value, path, out);
        }
        Value::Number(number) => {
            out.checks += 2;
            numbers::check(schema, number, &|| path.text(), &mut out.errors);
            enumeration(schema, value, path, out);
        }
        Value::Array(list) => {
            array(schema, list, old, path, out);
            enumeration(schema, value, path, out);
        }
        Value::Object(map) => {
            enumeration(schema, value, path, out);
            object(schema, map, old, path, out);
        }
        _ => enumeration(schema, value, path, out),
    }
}

fn has_type(schema: &Schema) -> bool {
    schema.types.is_some() || schema.int_or_string || schema.format.is_some()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn type_of(schema: &Schema, value: &Value, path: Path<'_>, out: &mut Outcome) {
    let wanted = if schema.int_or_string { "integer,string" } else { schema.types.map_or("", JsonType::as_str) };
    let wrong = |wanted: &str, found: &str, out: &mut Outcome| {
        let at = path.text();
        let detail = format!("{at} in body must be of type {wanted}: \"{found}\"");
        out.errors.push(FieldError::type_invalid(named(at), found, detail));
    };
    if value.is_null() {
        if !wanted.is_empty() && !schema.nullable {
            wrong(wanted, "null", out);
        }
        return;
    }
    let numeric = matches!(schema.types, Some(JsonType::Integer | JsonType::Number)) || schema.int_or_string;
    if schema.format.is_some() && !numeric && (value.is_string() || value.is_array()) {
        return;
    }
    let fits = if schema.int_or_string {
        value.is_string() || matches!(value, Value::Number(number) if numbers::is_integer(number))
    } else {
        match (schema.types, value) {
            (None, _)
            | (Some(JsonType::Object), Value::Object(_))
            | (Some(JsonType::Array), Value::Array(_))
            | (Some(JsonType::String), Value::String(_))
            | (Some(JsonType::Boolean), Value::Bool(_))
            | (Some(JsonType::Number), Value::Number(_)) => true,
            (Some(JsonType::Integer), Value::Number(number)) => numbers::is_integer(number),
            _ => false,
        }
    };
    if fits {
        return;
    }
    match (&schema.format, value) {
        // A value that is neither string nor list is measured by the format, when there is one.
        (Some(format), Value::Number(number)) => {
            wrong(format, if number.is_f64() { "double" } else { "int64" }, out);
        }
        (Some(format), Value::Bool(_) | Value::Object(_)) => wrong(format, "", out),
        _ => wrong(wanted, type_name(value), out),
    }
}

fn string(schema: &Schema, text: &str, path: Path<'_>, out: &mut Outcome) {
    if let Some(limits) = &schema.limits {
        out.checks += 1;
        let counted = limits.max_length.is_some() || limits.min_length.is_some();
        let length = if counted { text.chars().count() as u64 } else { 0 };
        if let Some(max) = limits.max_length.filter(|max| length > *max) {
            out.errors.push(FieldError::too_long(named(path.text()), max as usize));
        } else if let Some(min) = limits.min_length.filter(|min| length < *min) {
            out.invalid(path, text, &format!("should be at least {min} chars long"));
        } else if let Some(pattern) = limits.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            out.invalid(path, text, &format!("should match '{}'", pattern.source));
        }
    }
    if let Some(format) = &schema.format {
        out.checks += 1;
        if formats::check(format, text) == Some(false) {
            let at = path.text();
            let detail = format!("{at} in body must be of type {format}: {}", crate::error::go_quote(text));
            out.errors.push(FieldError::type_invalid(named(at), text, detail));
        }
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn enumeration(schema: &Schema, value: &Value, path: Path<'_>, out: &mut Outcome) {
    if schema.enum_values.is_empty() {
        return;
    }
    out.checks += 1;
    if schema.enum_values.iter().any(|allowed| equal(allowed, value)) {
        return;
    }
    let texts: Vec<String> =
        schema.enum_values.iter().map(|allowed| allowed.as_str().map_or_else(|| allowed.to_string(), str::to_owned)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    out.errors.push(FieldError::not_supported(named(path.text()), value.clone(), &texts));
}

fn array(schema: &Schema, list: &[Value], old: Option<&Value>, path: Path<'_>, out: &mut Outcome) {
    out.checks += 1;
    if let Some(items) = schema.element()
        && items.subtree.checks
    {
        let counterparts = Counterparts::of(schema, old);
        for (index, value) in list.iter().enumerate() {
            node(items, value, counterparts.find(schema, value), path.index(index), out);
        }
    }
    let Some(limits) = &schema.limits else { return };
    let count = list.len() as u64;
    if let Some(min) = limits.min_items.filter(|min| count < *min) {
        out.invalid(path, count, &format!("should have at least {min} items"));
    }
    if let Some(max) = limits.max_items.filter(|max| count > *max) {
        out.errors.push(FieldError::too_many(named(path.text()), list.len(), max as usize));
    }
    if limits.unique_items && list.iter().enumerate().any(|(index, value)| list.iter().take(index).any(|v| v == value)) {
        out.invalid(path, "", "shouldn't contain duplicates");
    }
}

/// Old elements of a map list by their keys.
pub(crate) struct Counterparts<'a>(HashMap<String, &'a Value>);

impl<'a> Counterparts<'a> {
    /// Elements of any other list have no counterparts, nor have elements whose keys occur twice.
    pub(crate) fn of(schema: &Schema, old: Option<&'a Value>) -> Self {
        let mut found = HashMap::new();
        if schema.list_type == Some(ListType::Map)
            && let Some(Value::Array(old)) = old
        {
            for value in old {
                found.entry(lists::key_of(schema, value).to_string()).or_insert(value);
            }
        }
        Self(found)
    }

    /// The counterpart of a new element.
    pub(crate) fn find(&self, schema: &Schema, value: &Value) -> Option<&'a Value> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&lists::key_of(schema, value).to_string()).copied()
    }
}

fn object(schema: &Schema, map: &Map<String, Value>, old: Option<&Value>, path: Path<'_>, out: &mut Outcome) {
    out.checks += 1;
    if let Some(limits) = &schema.limits {
        let count = map.len() as u64;
        if let Some(min) = limits.min_properties.filter(|min| count < *min) {
            return out.invalid(path, count, &format!("should have at least {min} properties"));
        }
        if let Some(max) = limits.max_properties.filter(|max| count > *max) {
            return out.errors.push(FieldError::too_many(named(path.text()), map.len(), max as usize));
        }
    }
    match &schema.additional {
        Some(Additional::Allowed(false)) => {
            for key in map.keys().filter(|key| !schema.properties.contains_key(key.as_str())) {
                let below = path.field(key).text();
                let detail = format!("{below} in body is a forbidden property");
                out.errors.push(FieldError::invalid(below, "", detail));
            }
        }
        Some(Additional::Schema(additional)) if additional.subtree.checks => {
            let additional = additional.resolve();
            for (key, value) in map.iter().filter(|(key, _)| !schema.properties.contains_key(key.as_str())) {
                node(additional, value, old.and_then(|old| old.get(key)), path.field(key), out);
            }
        }
        _ => {}
    }
    for (name, property) in &schema.properties {
        if property.subtree.checks
            && let Some(value) = map.get(&**name)
        {
            node(property.resolve(), value, old.and_then(|old| old.get(&**name)), path.field(name), out);
        }
    }
    for name in &schema.required {
        if !map.contains_key(&**name) {
            out.errors.push(FieldError::required(path.field(name).text(), ""));
        }
    }
}

fn attempt(schema: &Schema, value: &Value, path: Path<'_>) -> Outcome {
    let mut out = Outcome::default();
    node(schema, value, None, path, &mut out);
    out
}

fn combine(logic: &Logic, value: &Value, path: Path<'_>, out: &mut Outcome) {
    let composite = |text: String, out: &mut Outcome| out.errors.push(FieldError::invalid(NIL, "", text));
    if !logic.any_of.is_empty() {
        let mut best: Option<Outcome> = None;
        let mut passed = false;
        for schema in &logic.any_of {
            let result = attempt(schema, value, path);
            if result.errors.is_empty() {
                passed = true;
                break;
            }
            if best.as_ref().is_none_or(|best| result.checks > best.checks) {
                best = Some(result);
            }
        }
        if !passed {
            composite(format!("\"{}\" must validate at least one schema (anyOf)", path.text()), out);
            if let Some(best) = best {
                out.merge(best);
            }
        }
    }
    if !logic.one_of.is_empty() {
        let mut best: Option<Outcome> = None;
        let mut passed = 0;
        for schema in &logic.one_of {
            let result = attempt(schema, value, path);
            if result.errors.is_empty() {
                passed += 1;
                best = None;
            } else if passed == 0 && best.as_ref().is_none_or(|best| result.checks > best.checks) {
                best = Some(result);
            }
        }
        if passed != 1 {
            let found = if passed == 0 { "Found none valid".to_owned() } else { format!("Found {passed} valid alternatives") };
            composite(format!("\"{}\" must validate one and only one schema (oneOf). {found}", path.text()), out);
            if let Some(best) = best {
                out.merge(best);
            }
        }
    }
    if !logic.all_of.is_empty() {
        let mut passed = 0;
        for schema in &logic.all_of {
            let result = attempt(schema, value, path);
            passed += usize::from(result.errors.is_empty());
            out.merge(result);
        }
        if passed != logic.all_of.len() {
            let more = if passed == 0 { ". None validated" } else { "" };
            composite(format!("\"{}\" must validate all the schemas (allOf){more}", path.text()), out);
        }
    }
    if let Some(not) = &logic.not
        && attempt(not, value, path).errors.is_empty()
    {
        composite(format!("\"{}\" must not validate the schema (not)", path.text()), out);
    }
}
