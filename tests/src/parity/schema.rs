//! The fields of the CRDs: one line a field, with its type and what constrains it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// A version of a CRD as the tables have it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Names, scope, storage and subresources, and the printer columns.
    pub header: Vec<String>,
    /// Type and constraints, by path (`!` required, `[]` items, `{}` values).
    pub fields: BTreeMap<String, String>,
}

/// What constrains a field, in the order of the tables.
const CONSTRAINTS: &[&str] = &[
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "nullable",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
];

/// The measured tables, by `CRD.VERSION`.
pub fn measured(text: &str) -> BTreeMap<String, Table> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(next) = line.strip_prefix("## ") {
            next.clone_into(&mut name);
        } else if line.starts_with('#') {
            tables.entry(name.clone()).or_default().header.push(line.to_owned());
        } else if let Some((path, rest)) = line.split_once('\t') {
            tables.entry(name.clone()).or_default().fields.insert(path.to_owned(), rest.to_owned());
        }
    }
    tables
}

/// The tables of the CRDs this project makes.
///
/// # Errors
/// The types cannot be turned into CRDs.
pub fn made() -> Result<BTreeMap<String, Table>> {
    let mut tables = BTreeMap::new();
    for definition in api::crd::all().context("making the CRDs")? {
        let definition = serde_json::to_value(&definition)?;
        for version in definition.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten() {
            let mut table = Table { header: header(&definition, version), ..Table::default() };
            walk(&version["schema"]["openAPIV3Schema"], "", &mut table.fields);
            for key in ["apiVersion", "kind", "metadata"] {
                table.fields.remove(key);
            }
            let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
            tables.insert(format!("{}.{}", text(&definition["metadata"]["name"]), text(&version["name"])), table);
        }
    }
    Ok(tables)
}

fn header(definition: &Value, version: &Value) -> Vec<String> {
    let names = &definition["spec"]["names"];
    let list = |v: &Value| v.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let mut all = vec![text(&names["plural"]), text(&names["singular"])];
    all.extend(list(&names["shortNames"]));
    let storage = if version["storage"] == true { "True" } else { "False" };
    let subresources = version.get("subresources").cloned().unwrap_or_else(|| json!({}));
    let mut header = vec![format!(
        "# names={} categories={} scope={} storage={storage} subresources={}",
        all.join(","),
        list(&names["categories"]).join(","),
        text(&definition["spec"]["scope"]),
        python(&subresources)
    )];
    for column in version["additionalPrinterColumns"].as_array().into_iter().flatten() {
        let shown: Map<String, Value> = ["name", "type", "jsonPath", "priority"]
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), column.get(key).filter(|v| **v != json!(0) && **v != json!(""))?.clone())))
            .collect();
        header.push(format!("# column {}", python(&Value::Object(shown))));
    }
    header
}

/// JSON with a blank after every comma and colon and sorted keys, as the tables have it.
fn python(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let inner: Vec<String> = sorted.into_iter().map(|(k, v)| format!("{}: {}", json!(k), python(v))).collect();
            format!("{{{}}}", inner.join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(python).collect::<Vec<_>>().join(", ")),
        // Limits are kept as floating point numbers.
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        other => other.to_string(),
    }
}

fn walk(schema: &Value, path: &str, out: &mut BTreeMap<String, String>) {
    let has = |key: &str| schema.get(key).is_some_and(|v| *v != json!(false) && *v != json!({}));
    let kind = if has("x-kubernetes-int-or-string") {
        "int-or-string"
    } else if has("x-kubernetes-preserve-unknown-fields") && !has("properties") {
        "any"
    } else {
        schema["type"].as_str().unwrap_or("any")
    };
    let mut constraints = Vec::new();
    if let Some(format) = schema["format"].as_str() {
        constraints.push(format!("format={format}"));
    }
    constraints.extend(CONSTRAINTS.iter().filter_map(|key| Some(format!("{key}={}", python(schema.get(key)?)))));
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    constraints.extend(rules.map(|r| format!("cel={}", r["rule"].as_str().unwrap_or_default())));
    if !path.is_empty() {
        out.insert(path.to_owned(), format!("{kind}\t{}", constraints.join(" ")));
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        let mark = if required.contains(&key.as_str()) { "!" } else { "" };
        walk(value, &format!("{path}{dot}{key}{mark}"), out);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{path}[]"), out);
    }
    if schema["additionalProperties"].is_object() {
        walk(&schema["additionalProperties"], &format!("{path}{{}}"), out);
    }
}
