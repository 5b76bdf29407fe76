//! Versions of a definition: schemas, subresources, columns, selectable fields.

use serde_json::Value;

use super::{dns1035_label, literal};
use crate::error::FieldError;
use crate::object;
use crate::schema::structural;

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// Checks every version.
pub(super) fn check(definition: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let versions = object::list(definition, &["spec", "versions"]);
    for (index, version) in versions.iter().enumerate() {
        let name = object::text(version, &["name"]);
        if let Some(problem) = dns1035_label(name) {
            errors.push(FieldError::invalid(format!("spec.versions[{index}].name"), name, problem));
        }
        deprecation(version, index, errors);
    }
    let unique = versions
        .iter()
        .enumerate()
        .all(|(index, version)| !versions.iter().take(index).any(|before| before.get("name") == version.get("name")));
    if !unique {
        errors.push(literal("spec.versions", &shown(versions), "must contain unique version names"));
    }
    if versions.iter().filter(|version| object::flag(version, &["storage"])).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(literal("spec.versions", &shown(versions), detail));
    }
    if let Some(first) = versions.first() {
        let name = object::text(first, &["name"]);
        if let Some(problem) = dns1035_label(name) {
            errors.push(FieldError::invalid("spec.version", name, problem));
        }
    }
    schemas(versions, old, errors);
    each(versions, "subresources", "spec.subresources", scale_paths, errors);
    each(versions, "additionalPrinterColumns", "spec.additionalPrinterColumns", columns, errors);
    each(versions, "selectableFields", "spec.selectableFields", selectable_fields, errors);
}

/// Whether a field is the same in all versions, so that the original has it at the top of the spec.
fn hoisted(versions: &[Value], key: &str) -> bool {
    let first = versions.first().and_then(|version| version.get(key));
    versions.iter().all(|version| version.get(key) == first)
}

/// Runs a check once when a field is the same in all versions, else for each.
fn each(versions: &[Value], key: &str, top: &str, check: impl Fn(&Value, &str, &mut Vec<FieldError>), errors: &mut Vec<FieldError>) {
    if hoisted(versions, key) {
        if let Some(first) = versions.first() {
            check(first, top, errors);
        }
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        check(version, &format!("spec.versions[{index}].{key}"), errors);
    }
}

fn schemas(versions: &[Value], old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let raw = |version: &Value| object::at(version, &["schema", "openAPIV3Schema"]).cloned();
    let top = hoisted(versions, "schema");
    let before: Vec<Value> = old.map(|old| object::list(old, &["spec", "versions"]).iter().filter_map(raw).collect()).unwrap_or_default();
    for (index, version) in versions.iter().enumerate() {
        let Some(schema) = object::at(version, &["schema", "openAPIV3Schema"]).filter(|schema| schema.is_object()) else {
            let at = format!("spec.versions[{index}].schema.openAPIV3Schema");
            errors.push(FieldError::required(at, "schemas are required"));
            continue;
        };
        if (top && index > 0) || before.contains(schema) {
            continue;
        }
        let at = if top { "spec.validation.openAPIV3Schema".to_owned() } else { format!("spec.versions[{index}].schema.openAPIV3Schema") };
        let status = object::at(version, &["subresources", "status"]).is_some_and(|status| !status.is_null());
        if status {
            root_with_status(schema, &at, errors);
        }
        errors.extend(structural::check(schema, &at));
    }
}

/// With a status subresource, the root may only hold what survives taking `properties[status]` out of it.
fn root_with_status(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    const ALLOWED: [&str; 13] = [
        "description",
        "type",
        "format",
        "title",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
        "maxItems",
        "minItems",
    ];
    const ALSO: [&str; 10] = [
        "uniqueItems",
        "multipleOf",
        "required",
        "items",
        "properties",
        "externalDocs",
        "example",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
        "x-kubernetes-int-or-string",
    ];
    let kind = object::text(schema, &["type"]);
    if !kind.is_empty() && kind != "object" {
        return;
    }
    let Some(map) = schema.as_object() else { return };
    if map.keys().any(|key| !ALLOWED.contains(&key.as_str()) && !ALSO.contains(&key.as_str())) {
        errors.push(FieldError::invalid(
            at,
            schema.clone(),
            "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength \
             Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example \
             XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource \
             is enabled",
        ));
    }
}

fn deprecation(version: &Value, index: usize, errors: &mut Vec<FieldError>) {
    let Some(text) = version.get("deprecationWarning").and_then(Value::as_str) else { return };
    let at = format!("spec.versions[{index}].deprecationWarning");
    if !object::flag(version, &["deprecated"]) {
        errors.push(FieldError::invalid(at.clone(), text, "can only be set for deprecated versions"));
    }
    if text.is_empty() {
        errors.push(FieldError::invalid(at.clone(), text, "must not be empty if specified"));
    }
    if text.len() > 256 {
        errors.push(FieldError::invalid(at, text, "must be <= 256 characters long"));
    }
}

/// A constrained JSON path: names after dots.
fn simple_path(path: &str, at: &str, errors: &mut Vec<FieldError>) -> bool {
    if path.is_empty() {
        errors.push(FieldError::invalid(at, path, "must not be empty"));
        return false;
    }
    if !path.starts_with('.') {
        errors.push(FieldError::invalid(at, path, "must be a simple json path starting with ."));
        return false;
    }
    true
}

fn scale_paths(version: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let Some(scale) = object::at(version, &["subresources", "scale"]).filter(|scale| scale.is_object()) else { return };
    for (key, root) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
        let (path, at) = (object::text(scale, &[key]), format!("{at}.scale.{key}"));
        if path.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if simple_path(path, &at, errors) && !path.starts_with(&format!("{root}.")) {
            errors.push(FieldError::invalid(at, path, format!("should be a json path under {root}")));
        }
    }
    let path = object::text(scale, &["labelSelectorPath"]);
    let at = format!("{at}.scale.labelSelectorPath");
    if !path.is_empty() && simple_path(path, &at, errors) && !path.starts_with(".spec.") && !path.starts_with(".status.") {
        errors.push(FieldError::invalid(at, path, "should be a json path under either .status or .spec"));
    }
}

fn columns(version: &Value, at: &str, errors: &mut Vec<FieldError>) {
    for (index, column) in object::list(version, &["additionalPrinterColumns"]).iter().enumerate() {
        let text = |key: &str| object::text(column, &[key]);
        let at = |key: &str| format!("{at}[{index}].{key}");
        if text("name").is_empty() {
            errors.push(FieldError::required(at("name"), ""));
        }
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        if text("type").is_empty() {
            errors.push(FieldError::required(at("type"), types));
        } else if !COLUMN_TYPES.contains(&text("type")) {
            errors.push(FieldError::invalid(at("type"), text("type"), types));
        }
        if !text("format").is_empty() && !COLUMN_FORMATS.contains(&text("format")) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.push(FieldError::invalid(at("format"), text("format"), detail));
        }
        if text("jsonPath").is_empty() {
            errors.push(FieldError::required(at("JSONPath"), ""));
        } else {
            simple_path(text("jsonPath"), &at("JSONPath"), errors);
        }
    }
}

/// At most eight, each to a specified field of a scalar type.
fn selectable_fields(version: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let fields = object::list(version, &["selectableFields"]);
    if fields.len() > 8 {
        errors.push(FieldError::too_many(at, fields.len(), 8));
    }
    for (index, field) in fields.iter().enumerate() {
        let path = object::text(field, &["jsonPath"]);
        let at = format!("{at}[{index}].jsonPath");
        if path.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        if fields.iter().take(index).any(|before| object::text(before, &["jsonPath"]) == path) {
            errors.push(FieldError::duplicate(at.clone(), path));
        }
        if !simple_path(path, &at, errors) {
            continue;
        }
        if path == ".metadata" || path.starts_with(".metadata.") {
            errors.push(FieldError::invalid(at, path, "must not point to fields in metadata"));
            continue;
        }
        let schema = object::at(version, &["schema", "openAPIV3Schema"]);
        let found = path
            .trim_start_matches('.')
            .split('.')
            .try_fold(schema, |schema, part| schema.map(|schema| object::at(schema, &["properties", part])))
            .flatten();
        match found.map(|schema| object::text(schema, &["type"])) {
            Some("string" | "integer" | "boolean") => {}
            Some(_) => errors.push(FieldError::invalid(
                at,
                path,
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats \
                 are allowed.",
            )),
            None => errors.push(FieldError::invalid(at, path, "must be a valid path")),
        }
    }
}

/// The versions as Go prints its structs, with fields that are the same in all versions taken out of them.
fn shown(versions: &[Value]) -> String {
    if versions.is_empty() {
        return "null".to_owned();
    }
    let field = |version: &Value, key: &str| match version.get(key) {
        Some(value) if !hoisted(versions, key) => value.to_string(),
        _ => "null".to_owned(),
    };
    let texts: Vec<String> = versions
        .iter()
        .map(|version| {
            format!(
                "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":{},\
                 \"Subresources\":{},\"AdditionalPrinterColumns\":{},\"SelectableFields\":{}}}",
                version.get("name").unwrap_or(&Value::Null),
                object::flag(version, &["served"]),
                object::flag(version, &["storage"]),
                object::flag(version, &["deprecated"]),
                version.get("deprecationWarning").unwrap_or(&Value::Null),
                field(version, "schema"),
                field(version, "subresources"),
                field(version, "additionalPrinterColumns"),
                field(version, "selectableFields"),
            )
        })
        .collect();
    format!("[{}]", texts.join(","))
}
