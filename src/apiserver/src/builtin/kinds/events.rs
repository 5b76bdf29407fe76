//! Events and leases.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::builtin::{Context, Strategy};
use crate::error::FieldError;
use crate::object;
use crate::resource::{GroupResource, api_version};

/// `Event` of both groups: one stored object, two spellings.
#[derive(Debug)]
pub struct Event;

/// Members that the two groups name differently: core's name, the other's.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn is_core(event: &Value) -> bool {
    object::text(event, &["apiVersion"]) == "v1"
}

impl Strategy for Event {
    fn create_on_update(&self) -> bool {
        true
    }

    fn convert(&self, object: &mut Value, to: &GroupResource, version: &str) {
        let (from_core, to_core) = (is_core(object), to.group.is_empty());
        if let Some(map) = object.as_object_mut().filter(|_| from_core != to_core) {
            for (core, other) in NAMES {
                let (from, to) = if to_core { (other, core) } else { (core, other) };
                if let Some(value) = map.remove(from) {
                    map.insert(to.to_owned(), value);
                }
            }
        }
        object::set(object, &["apiVersion"], api_version(&to.group, version));
        self.complete(object);
        if !to_core {
            // The other group leaves out what is empty.
            for key in ["reportingController", "reportingInstance"] {
                if object::text(object, &[key]).is_empty() {
                    object::remove(object, &[key]);
                }
            }
        }
    }

    fn complete(&self, object: &mut Value) {
        let core = is_core(object);
        object::set_default(object, &["eventTime"], Value::Null);
        for (name, other) in NAMES {
            let key = if core { name } else { other };
            match name {
                "involvedObject" if core => object::set_default(object, &[key], json!({})),
                "source" => object::set_default(object, &[key], json!({})),
                "firstTimestamp" | "lastTimestamp" => object::set_default(object, &[key], Value::Null),
                "reportingComponent" if core => object::set_default(object, &[key], ""),
                _ => {}
            }
        }
        if core {
            object::set_default(object, &["reportingInstance"], "");
        }
    }

    fn validate(&self, cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let core = is_core(object);
        let about = object.get(if core { "involvedObject" } else { "regarding" }).cloned().unwrap_or_else(|| json!({}));
        let about_namespace = object::text(&about, &["namespace"]);
        let fits = about_namespace == cx.namespace || (about_namespace.is_empty() && cx.namespace == "default");
        if !fits {
            wrong.push(FieldError::invalid("involvedObject.namespace", about_namespace, "does not match event.namespace"));
        }
        if core {
            return wrong;
        }
        if object.get("eventTime").is_none_or(Value::is_null) {
            wrong.push(FieldError::required("eventTime", ""));
        }
        let kind = object::text(object, &["type"]);
        if !matches!(kind, "Normal" | "Warning") {
            wrong.push(FieldError::invalid("type", kind, format!("has invalid value: {kind}")));
        }
        for (key, limit) in [("reportingController", 0), ("reportingInstance", 128), ("action", 128), ("reason", 128)] {
            let text = object::text(object, &[key]);
            if text.is_empty() && wrong.is_empty() {
                wrong.push(FieldError::required(key, ""));
            } else if limit > 0 && text.len() > limit {
                wrong.push(FieldError::invalid(key, "", format!("can have at most {limit} characters")));
            }
        }
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        if is_core(object) { self.validate(cx, object) } else { Vec::new() }
    }

    fn field_names(&self) -> &'static [&'static str] {
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reportingController",
        ]
    }

    fn fields(&self, object: &Value) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let about = if is_core(object) { "involvedObject" } else { "regarding" };
        for key in ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"] {
            let text = object::text(object, &[about, key]);
            fields.insert(format!("involvedObject.{key}"), text.to_owned());
            fields.insert(format!("regarding.{key}"), text.to_owned());
        }
        let reporter = if is_core(object) { "reportingComponent" } else { "reportingController" };
        let source = if is_core(object) { "source" } else { "deprecatedSource" };
        let reporting = object::text(object, &[reporter]).to_owned();
        let component = object::text(object, &[source, "component"]);
        fields.insert("source".into(), if component.is_empty() { reporting.clone() } else { component.to_owned() });
        fields.insert("reportingComponent".into(), reporting.clone());
        fields.insert("reportingController".into(), reporting);
        for key in ["reason", "type"] {
            fields.insert(key.into(), object::text(object, &[key]).to_owned());
        }
        fields
    }
}

/// `Lease`.
#[derive(Debug)]
pub struct Lease;

impl Strategy for Lease {
    fn create_on_update(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        if let Some(seconds) = object::number(object, &["spec", "leaseDurationSeconds"]).filter(|seconds| *seconds <= 0) {
            wrong.push(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
        }
        if let Some(count) = object::number(object, &["spec", "leaseTransitions"]).filter(|count| *count < 0) {
            wrong.push(FieldError::invalid("spec.leaseTransitions", count, "must be greater than or equal to 0"));
        }
        wrong
    }
}
