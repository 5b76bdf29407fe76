//! Values between JSON and CEL.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{IdedExpr, Value as Cel};
use serde_json::{Number, Value};

use super::{ast, library};
use crate::schema::{JsonType, ListType, Schema};

const RESERVED: [&str; 18] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
];

/// The name under which a property is selected in a rule: `__`, `.`, `-`, `/` and reserved words are escaped. `None`
/// when the property cannot be reached.
pub fn escape(name: &str) -> Option<String> {
    let first = name.chars().next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if first.is_ascii_digit() || !name.chars().all(plain) {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    if !name.contains("__") && !name.contains(['.', '-', '/']) {
        return Some(name.to_owned());
    }
    Some(name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__"))
}

/// Undoes [`escape`].
pub fn unescape(name: &str) -> String {
    if let Some(word) = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"))
        && RESERVED.contains(&word)
    {
        return word.to_owned();
    }
    if !name.contains("__") {
        return name.to_owned();
    }
    name.replace("__underscores__", "__").replace("__dot__", ".").replace("__dash__", "-").replace("__slash__", "/")
}

fn string(text: &str) -> Cel {
    Cel::String(Arc::new(text.to_owned()))
}

fn key(text: &str) -> Key {
    Key::String(Arc::new(text.to_owned()))
}

fn number(number: &Number) -> Cel {
    if let Some(int) = number.as_i64() {
        Cel::Int(int)
    } else if let Some(uint) = number.as_u64() {
        Cel::UInt(uint)
    } else {
        Cel::Float(number.as_f64().unwrap_or(f64::NAN))
    }
}

/// A value without schema, as admission policies see objects: keys as they are, whole numbers as integers.
pub fn untyped(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(bool) => Cel::Bool(*bool),
        Value::Number(n) => number(n),
        Value::String(text) => string(text),
        Value::Array(list) => Cel::List(Arc::new(list.iter().map(untyped).collect())),
        Value::Object(map) => map_of(map.iter().map(|(name, value)| (key(name), untyped(value))).collect()),
    }
}

fn map_of(map: HashMap<Key, Cel>) -> Cel {
    Cel::Map(Map { map: Arc::new(map) })
}

/// Which fields of the outermost object are needed: all when `None`.
pub(crate) type Fields<'a> = Option<&'a BTreeSet<String>>;

/// A value by its schema, as rules of custom resources see it.
///
/// Properties that the schema does not specify are absent, nulls too; `number` is a double even for `3`; `date-time`
/// and `date` are timestamps, `duration` a duration, `byte` bytes. With `like`, elements of set and map lists take the
/// order of their equals in that value, so that lists which differ in order only are equal.
pub(crate) fn typed(schema: &Schema, value: &Value, like: Option<&Value>, fields: Fields<'_>) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(bool) => Cel::Bool(*bool),
        Value::Number(n) => match schema.types {
            Some(JsonType::Number) => Cel::Float(n.as_f64().unwrap_or(f64::NAN)),
            Some(JsonType::Integer) if n.is_f64() => Cel::Int(n.as_f64().unwrap_or_default() as i64),
            _ => number(n),
        },
        Value::String(text) => formatted(schema, text),
        Value::Array(list) => array(schema, list, like),
        Value::Object(map) => {
            let mut out = HashMap::with_capacity(map.len());
            for (name, value) in map {
                if value.is_null() {
                    continue;
                }
                let like = like.and_then(|like| like.get(name));
                if let Some(property) = schema.properties.get(name.as_str()) {
                    let Some(name) = escape(name) else { continue };
                    if fields.is_some_and(|fields| !fields.contains(&name)) {
                        continue;
                    }
                    let inner = property.resolve();
                    out.insert(Key::String(Arc::new(name)), typed(inner, value, like, None));
                } else if let Some(additional) = schema.additional_schema()
                    && fields.is_none_or(|fields| fields.contains(name))
                {
                    out.insert(key(name), typed(additional, value, like, None));
                }
                if schema.resource_root || schema.embedded_resource {
                    meta(name, value, &mut out);
                }
            }
            map_of(out)
        }
    }
}

/// `apiVersion`, `kind`, and of `metadata` the names, are there whether specified or not.
fn meta(name: &str, value: &Value, out: &mut HashMap<Key, Cel>) {
    match (name, value) {
        ("apiVersion" | "kind", Value::String(text)) => {
            out.insert(key(name), string(text));
        }
        ("metadata", Value::Object(map)) => {
            let names = ["name", "generateName"]
                .into_iter()
                .filter_map(|name| map.get(name).and_then(Value::as_str).map(|text| (key(name), string(text))));
            out.insert(key(name), map_of(names.collect()));
        }
        _ => {}
    }
}

fn array(schema: &Schema, list: &[Value], like: Option<&Value>) -> Cel {
    let item = |value: &Value, like: Option<&Value>| match schema.element() {
        Some(items) => typed(items, value, like, None),
        None => untyped(value),
    };
    let Some(Value::Array(like)) = like.filter(|_| matches!(schema.list_type, Some(ListType::Set | ListType::Map))) else {
        return Cel::List(Arc::new(list.iter().map(|value| item(value, None)).collect()));
    };
    let same = |a: &Value, b: &Value| match schema.list_type {
        Some(ListType::Map) => schema.list_map_keys.iter().all(|key| a.get(&**key) == b.get(&**key)),
        _ => a == b,
    };
    let mut left: Vec<&Value> = list.iter().collect();
    let mut out = Vec::with_capacity(list.len());
    for other in like {
        if let Some(index) = left.iter().position(|value| same(value, other)) {
            out.push(item(left.remove(index), Some(other)));
        }
    }
    out.extend(left.into_iter().map(|value| item(value, None)));
    Cel::List(Arc::new(out))
}

fn formatted(schema: &Schema, text: &str) -> Cel {
    let converted = match schema.format.as_deref().filter(|_| schema.types == Some(JsonType::String)) {
        Some("byte") => STANDARD.decode(text).ok().map(|bytes| Cel::Bytes(Arc::new(bytes))),
        Some("date-time" | "datetime") => convert(&TIMESTAMP, string(text)),
        Some("date") => convert(&TIMESTAMP, string(&format!("{text}T00:00:00Z"))),
        Some("duration") => convert(&DURATION, string(text)),
        _ => None,
    };
    converted.unwrap_or_else(|| string(text))
}

/// Timestamps and durations are made by the library's own conversions, which keeps their types its affair.
fn convert(function: &'static LazyLock<Option<IdedExpr>>, value: Cel) -> Option<Cel> {
    let mut context = library::base().new_inner_scope();
    context.add_variable_from_value("value", value);
    library::resolve(function.as_ref()?, &context).ok()
}

static TIMESTAMP: LazyLock<Option<IdedExpr>> = LazyLock::new(|| ast::parse("timestamp(value)").ok());
static DURATION: LazyLock<Option<IdedExpr>> = LazyLock::new(|| ast::parse("duration(value)").ok());
static TEXT: LazyLock<Option<IdedExpr>> = LazyLock::new(|| ast::parse("string(value)").ok());

/// A CEL value as JSON; `None` for what has no JSON form.
pub fn json(value: &Cel) -> Option<Value> {
    Some(match value {
        Cel::Null => Value::Null,
        Cel::Bool(bool) => Value::Bool(*bool),
        Cel::Int(int) => (*int).into(),
        Cel::UInt(uint) => (*uint).into(),
        Cel::Float(float) => Number::from_f64(*float).map(Value::Number)?,
        Cel::String(text) => Value::String((**text).clone()),
        Cel::Bytes(bytes) => Value::String(STANDARD.encode(bytes.as_slice())),
        Cel::List(list) => Value::Array(list.iter().map(json).collect::<Option<_>>()?),
        Cel::Map(map) => {
            let mut out = serde_json::Map::new();
            for (name, value) in map.map.iter() {
                out.insert(name.to_string(), json(value)?);
            }
            Value::Object(out)
        }
        other => match convert(&TEXT, other.clone())? {
            // Times are written as Go writes them.
            Cel::String(text) => Value::String(text.strip_suffix("+00:00").map_or_else(|| (*text).clone(), |t| format!("{t}Z"))),
            _ => return None,
        },
    })
}

/// The largest number of elements in a list or map of a value, which bounds one loop over it.
pub(crate) fn widest(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.iter().map(widest).max().unwrap_or(0).max(list.len()),
        Value::Object(map) => map.values().map(widest).max().unwrap_or(0).max(map.len()),
        _ => 0,
    }
}
