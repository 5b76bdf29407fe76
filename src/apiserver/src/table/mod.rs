//! Table output: what `kubectl get` prints, and metadata-only output.
//!
//! Columns of built-in kinds are those of kube-apiserver (`pkg/printers/internalversion`); custom resources have their
//! `additionalPrinterColumns`. Descriptions are the schema's own where the original takes them from there.

mod builtin;
mod columns;
mod duration;
mod pod;

use bytes::Bytes;
use serde_json::{Map, Value, json};

pub use duration::human;

use crate::error::ApiError;
use crate::jsonpath::JsonPath;
use crate::object;
use crate::registry::Call;
use crate::resource::PrinterColumn;
use crate::schema::builtin as schemas;
use crate::store::EventKind;

/// `PartialObjectMetadata` of an object.
pub fn partial(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

/// The line of a watch that says `kind` of an object's metadata, newline included, in pieces: the metadata itself is shared
/// with the stored object.
pub fn partial_line(kind: EventKind, metadata: &Bytes, version: &str) -> [Bytes; 3] {
    let opening = format!(
        "{{\"type\":\"{}\",\"object\":{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/{version}\",\"metadata\":",
        kind.name()
    );
    [Bytes::from(opening), metadata.clone(), Bytes::from_static(b"}}\n")]
}

/// Checks `includeObject` of a request for a Table.
///
/// # Errors
/// 400 for an unknown policy.
pub fn check_include(call: &Call) -> Result<(), ApiError> {
    match call.query.get("includeObject").unwrap_or_default() {
        "" | "Metadata" | "Object" | "None" => Ok(()),
        other => Err(ApiError::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', \
             'Object', 'None', or empty"
        ))),
    }
}

/// A Table of objects; `columns` says whether the definitions are sent (later events of a watch leave them out).
pub fn table(call: &Call, objects: &[Value], version: &str, columns: bool, metadata: &Value) -> Value {
    let include = call.query.get("includeObject").unwrap_or_default();
    let custom = call.info.is_custom().then(|| custom_columns(call));
    let rows: Vec<Value> = objects
        .iter()
        .map(|value| {
            let cells = match &custom {
                Some(columns) => custom_cells(call, columns, value),
                None => builtin::cells(call, value),
            };
            let shown = match include {
                "None" => Value::Null,
                "Object" => value.clone(),
                _ => partial(value, version),
            };
            json!({"cells": cells, "object": shown})
        })
        .collect();
    let definitions = match (&custom, columns) {
        (_, false) => Value::Null,
        (Some(custom), true) => with_name(custom.iter().map(definition)).into(),
        (None, true) => columns::definitions(call).into(),
    };
    let mut metadata = metadata.clone();
    if object::text(&metadata, &["continue"]).is_empty() {
        object::remove(&mut metadata, &["continue"]);
    }
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

/// A member of the object metadata's description.
fn metadata_description(name: &str) -> String {
    schemas::object_meta().field(name).map(|field| field.description().to_owned()).unwrap_or_default()
}

fn column(name: &str, kind: &str, format: &str, description: &str, priority: i32) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}

/// The columns of a custom resource, the age when it has none.
fn custom_columns(call: &Call) -> Vec<(PrinterColumn, Option<JsonPath>)> {
    let declared = call.version_info().map_or(&[][..], |version| version.printer_columns.as_slice());
    let age = [PrinterColumn {
        name: "Age".into(),
        column_type: "date".into(),
        format: String::new(),
        description: metadata_description("creationTimestamp"),
        priority: 0,
        json_path: ".metadata.creationTimestamp".into(),
    }];
    let columns = if declared.is_empty() { &age[..] } else { declared };
    columns.iter().map(|column| (column.clone(), JsonPath::parse(&column.json_path).ok())).collect()
}

fn definition((of, _): &(PrinterColumn, Option<JsonPath>)) -> Value {
    let description = if of.description.is_empty() {
        format!("Custom resource definition column (in JSONPath format): {}", of.json_path)
    } else {
        of.description.clone()
    };
    column(&of.name, &of.column_type, &of.format, &description, of.priority)
}

fn custom_cells(call: &Call, columns: &[(PrinterColumn, Option<JsonPath>)], object: &Value) -> Vec<Value> {
    let mut cells = vec![Value::from(object::name(object))];
    for (column, path) in columns {
        let found = path.as_ref().map(|path| path.find(object)).unwrap_or_default();
        cells.push(custom_cell(call, &column.column_type, &found));
    }
    cells
}

fn custom_cell(call: &Call, kind: &str, found: &[&Value]) -> Value {
    let Some(first) = found.first() else { return Value::Null };
    match kind {
        "integer" => first.as_i64().or_else(|| first.as_f64().map(|n| n as i64)).map_or(Value::Null, Value::from),
        "number" => first.as_f64().map_or(Value::Null, |_| (*first).clone()),
        "boolean" => first.as_bool().map_or(Value::Null, Value::from),
        "date" => match first.as_str() {
            Some(text) => age(call, Some(text)).into(),
            None => "<invalid>".into(),
        },
        _ => {
            let texts: Vec<String> = found
                .iter()
                .map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                })
                .collect();
            texts.join(",").into()
        }
    }
}

/// How long ago a time was, as kubectl prints it.
fn age(call: &Call, time: Option<&str>) -> String {
    match time.map(str::parse::<jiff::Timestamp>) {
        None => "<unknown>".to_owned(),
        Some(Err(_)) => "<invalid>".to_owned(),
        Some(Ok(at)) => human((call.core.env.now)().duration_since(at).as_secs()),
    }
}

/// The definitions after the name column that every table begins with.
fn with_name(rest: impl IntoIterator<Item = Value>) -> Vec<Value> {
    std::iter::once(column("Name", "string", "name", &metadata_description("name"), 0)).chain(rest).collect()
}

/// A map of labels as `a=b,c=d`.
fn labels_text(labels: Option<&Map<String, Value>>) -> String {
    let pairs: Vec<String> =
        labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}
