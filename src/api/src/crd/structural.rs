//! From schemars' JSON schema to the structural schema a CRD may have: references resolved, nulls gone, formats as in Go.

use std::collections::BTreeMap;

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

/// Makes structural schemas; types that several schemas share are made once.
pub(super) struct Schemas {
    generator: SchemaGenerator,
    resolved: BTreeMap<String, Map<String, Value>>,
}

impl Schemas {
    /// No schema yet.
    pub(super) fn new() -> Self {
        // What is always written is required: optional fields are those that may be left out when an object is encoded.
        Self { generator: SchemaSettings::draft2020_12().for_serialize().into_generator(), resolved: BTreeMap::new() }
    }

    /// The structural schema of a type.
    pub(super) fn schema(&mut self, source: Source) -> Value {
        let root = source(&mut self.generator).to_value();
        self.resolve(root)
    }

    fn resolve(&mut self, schema: Value) -> Value {
        let Value::Object(mut map) = schema else {
            return json!({"x-kubernetes-preserve-unknown-fields": true});
        };
        let mut out = if let Some(Value::String(reference)) = map.remove("$ref") {
            self.definition(reference.rsplit('/').next().unwrap_or_default())
        } else if let Some(Value::Array(choices)) = map.remove("anyOf") {
            let some = choices.into_iter().find(|c| c.get("type") != Some(&json!("null"))).unwrap_or_default();
            object(self.resolve(some))
        } else {
            Map::new()
        };
        self.overlay(&mut out, map);
        Value::Object(out)
    }

    /// The resolved schema of a definition.
    fn definition(&mut self, name: &str) -> Map<String, Value> {
        if let Some(known) = self.resolved.get(name) {
            return known.clone();
        }
        let base = self.generator.definitions().get(name).cloned().unwrap_or_default();
        let mut resolved = self.resolve(base);
        if name.starts_with("io.k8s.") {
            resolved = kubernetes::adjust(name, resolved);
        }
        let resolved = object(resolved);
        self.resolved.insert(name.to_owned(), resolved.clone());
        resolved
    }

    /// Puts what stands beside a reference over what is referred to.
    fn overlay(&mut self, out: &mut Map<String, Value>, beside: Map<String, Value>) {
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
                    let resolved: Map<String, Value> = properties.into_iter().map(|(k, v)| (k, self.resolve(v))).collect();
                    if !resolved.is_empty() {
                        out.insert("properties".into(), Value::Object(resolved));
                    }
                }
                ("items", value) => {
                    out.insert("items".into(), self.resolve(value));
                    out.entry("x-kubernetes-list-type").or_insert_with(|| json!("atomic"));
                }
                ("additionalProperties", value @ Value::Object(_)) => {
                    out.insert("additionalProperties".into(), self.resolve(value));
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
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
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

/// Drops descriptions of a schema and everything below; a property of that name stays.
pub(super) fn strip_descriptions(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    map.remove("description");
    for (key, value) in map.iter_mut() {
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(strip_descriptions),
            ("items" | "additionalProperties", element) => strip_descriptions(element),
            _ => {}
        }
    }
}
