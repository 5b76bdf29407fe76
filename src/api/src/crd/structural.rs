//! From schemars' JSON schema to the structural schema a CRD may have: references resolved, nulls gone, formats as in Go.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::kubernetes;

/// Makes the raw schema of a type.
pub(super) type Source = fn(&mut SchemaGenerator) -> schemars::Schema;

/// The [`Source`] of a type.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<T>()
}

/// The structural schema of a type.
pub(super) fn schema(source: Source) -> Value {
    // What is always written is required: optional fields are those that may be left out when an object is encoded.
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let root = source(&mut generator);
    let definitions = generator.take_definitions(true);
    resolve(root.to_value(), &definitions)
}

fn resolve(schema: Value, definitions: &Map<String, Value>) -> Value {
    let Value::Object(mut map) = schema else {
        return json!({"x-kubernetes-preserve-unknown-fields": true});
    };
    if let Some(Value::String(reference)) = map.remove("$ref") {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let base = definitions.get(name).cloned().unwrap_or_default();
        let mut resolved = object(if name.starts_with("io.k8s.") {
            kubernetes::adjust(name, resolve(base, definitions))
        } else {
            resolve(base, definitions)
        });
        overlay(&mut resolved, map, definitions);
        return Value::Object(resolved);
    }
    if let Some(Value::Array(choices)) = map.remove("anyOf") {
        let some = choices.into_iter().find(|c| c.get("type") != Some(&json!("null"))).unwrap_or_default();
        let mut resolved = object(resolve(some, definitions));
        overlay(&mut resolved, map, definitions);
        return Value::Object(resolved);
    }
    let mut out = Map::new();
    overlay(&mut out, map, definitions);
    Value::Object(out)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Puts what stands beside a reference over what is referred to.
fn overlay(out: &mut Map<String, Value>, beside: Map<String, Value>, definitions: &Map<String, Value>) {
    let mut items = None;
    for (key, value) in beside {
        match (key.as_str(), value) {
            // schemars' own default is Rust's; the API's is given as x-default
            ("default" | "title" | "$schema", _) => {}
            ("x-default", value) => drop(out.insert("default".into(), value)),
            ("x-items", value) => items = Some(value),
            ("type", Value::Array(types)) => {
                let kind = types.into_iter().find(|t| t != "null").unwrap_or_default();
                out.insert("type".into(), kind);
            }
            ("properties", Value::Object(properties)) => {
                let resolved: Map<String, Value> = properties.into_iter().map(|(k, v)| (k, resolve(v, definitions))).collect();
                if !resolved.is_empty() {
                    out.insert("properties".into(), Value::Object(resolved));
                }
            }
            ("items", value) => {
                out.insert("items".into(), resolve(value, definitions));
                out.entry("x-kubernetes-list-type").or_insert_with(|| json!("atomic"));
            }
            ("additionalProperties", value @ Value::Object(_)) => {
                out.insert("additionalProperties".into(), resolve(value, definitions));
            }
            (key, value) => drop(out.insert(key.to_owned(), value)),
        }
    }
    if let Some(Value::Object(extra)) = items {
        for of in ["items", "additionalProperties"] {
            if let Some(Value::Object(element)) = out.get_mut(of) {
                element.extend(extra.clone());
                element.retain(|_, v| !v.is_null());
            }
        }
    }
    formats(out);
    out.retain(|_, v| !v.is_null());
}

/// Go's names of number formats; an unsigned type alone sets no minimum.
fn formats(out: &mut Map<String, Value>) {
    let Some(format) = out.get("format").and_then(Value::as_str).map(str::to_owned) else {
        // A format taken away leaves the bounds schemars put beside it.
        if out.get("format").is_some_and(Value::is_null) && out.get("minimum") == Some(&json!(0)) {
            match out.get("maximum") {
                None => drop(out.remove("minimum")),
                Some(n) if *n == json!(u8::MAX) => out.retain(|k, _| k != "minimum" && k != "maximum"),
                Some(_) => {}
            }
        }
        return;
    };
    if format.starts_with("uint") {
        if out.get("minimum") == Some(&json!(0)) {
            out.remove("minimum");
        }
        if format == "uint8" && out.get("maximum") == Some(&json!(255)) {
            out.remove("maximum");
        }
    }
    match format.as_str() {
        "uint8" | "uint32" => drop(out.insert("format".into(), json!("int32"))),
        "uint64" => drop(out.insert("format".into(), json!("int64"))),
        "float" | "double" => drop(out.remove("format")),
        _ => {}
    }
}
