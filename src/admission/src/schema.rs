//! The check of an object's form that KubeVirt's webhooks make before they decode it (spec/admission.md §2.5).
//!
//! Unknown top-level fields, a missing specification, unknown fields and wrong types anywhere in it, and missing required fields.
//! Kinds outside kubevirt.io/v1 are checked at the top level only, as upstream's are.

use serde_json::{Map, Value};

use crate::{Cause, Denial};

/// Values the OpenAPI document restricts, by the end of the path; the CRD's own enumerations are not among them.
const ENUMERATIONS: &[(&str, &[&str])] = &[
    (".accessModes", &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]),
    (".dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    (".httpGet.scheme", &["HTTP", "HTTPS"]),
    (".imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    (".nodeSelectorTerms.matchExpressions.operator", NODE_OPERATORS),
    (".nodeSelectorTerms.matchFields.operator", NODE_OPERATORS),
    (".preference.matchExpressions.operator", NODE_OPERATORS),
    (".preference.matchFields.operator", NODE_OPERATORS),
    (".qosClass", &["BestEffort", "Burstable", "Guaranteed"]),
    (".tolerations.effect", &["NoExecute", "NoSchedule", "PreferNoSchedule"]),
    (".tolerations.operator", &["Equal", "Exists"]),
    (".topologySpreadConstraints.nodeAffinityPolicy", &["Honor", "Ignore"]),
    (".topologySpreadConstraints.nodeTaintsPolicy", &["Honor", "Ignore"]),
    (".topologySpreadConstraints.whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]),
    (".volumeMode", &["Block", "Filesystem", "FromStorageProfile"]),
];

const NODE_OPERATORS: &[&str] = &["DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"];

/// Checks an object of a kind of kubevirt.io/v1 against the schema of its specification and status.
///
/// # Errors
/// Every violation, as a cause without kind and field.
pub fn validate(object: &Value, spec: Option<&Value>, status: Option<&Value>) -> Result<(), Denial> {
    let mut errors = Vec::new();
    let empty = Map::new();
    let fields = object.as_object().unwrap_or(&empty);
    for key in fields.keys() {
        if !["kind", "apiVersion", "spec", "status", "metadata"].contains(&key.as_str()) {
            errors.push(format!(".{key} in body is a forbidden property"));
        }
    }
    match fields.get("spec").filter(|s| !s.is_null()) {
        None => {
            errors.push("spec in body is required".to_owned());
            errors.push("spec in body must be of type object: \"null\"".to_owned());
        }
        Some(value) => {
            if let Some(schema) = spec {
                Check { closed: true, errors: &mut errors }.value("spec", value, schema);
            }
        }
    }
    check_status(object, status, &mut errors);
    outcome(errors)
}

/// Checks the status of an object alone.
///
/// # Errors
/// As of [`validate`].
pub fn validate_status(object: &Value, status: Option<&Value>) -> Result<(), Denial> {
    let mut errors = Vec::new();
    check_status(object, status, &mut errors);
    outcome(errors)
}

fn check_status(object: &Value, schema: Option<&Value>, errors: &mut Vec<String>) {
    if let (Some(value), Some(schema)) = (object.get("status").filter(|s| !s.is_null()), schema) {
        Check { closed: false, errors }.value("status", value, schema);
    }
}

fn outcome(errors: Vec<String>) -> Result<(), Denial> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Denial::invalid(errors.into_iter().map(|message| Cause { kind: None, field: String::new(), message }).collect()))
}

struct Check<'a> {
    /// Whether unknown fields are violations.
    closed: bool,
    errors: &'a mut Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, path: &str, value: &Value, schema: &Value) {
        if schema.get("x-kubernetes-int-or-string").is_some() {
            if !(value.is_string() || value.is_number()) {
                self.wrong_type(path, "string", value);
            }
            return;
        }
        let Some(kind) = schema.get("type").and_then(Value::as_str) else { return };
        match (kind, value) {
            ("object", Value::Object(fields)) => self.object(path, fields, schema),
            ("array", Value::Array(list)) => {
                if let Some(items) = schema.get("items") {
                    // The path has no index: upstream's validator keeps the list's.
                    for item in list.iter().filter(|item| !(item.is_null() && nullable(items))) {
                        self.value(path, item, items);
                    }
                }
            }
            ("string", Value::String(text)) => self.enumeration(path, text),
            ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => {}
            ("integer", Value::Number(n)) if n.is_i64() || n.is_u64() => {}
            _ => self.wrong_type(path, kind, value),
        }
    }

    fn object(&mut self, path: &str, fields: &Map<String, Value>, schema: &Value) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let open = schema.get("x-kubernetes-preserve-unknown-fields").is_some() || schema.get("additionalProperties").is_some();
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(required) {
                self.errors.push(format!("{path}.{required} in body is required"));
            }
        }
        for (key, value) in fields {
            let at = format!("{path}.{key}");
            match properties.and_then(|p| p.get(key)) {
                Some(schema) if value.is_null() && forgives_null(key, schema) => {}
                Some(schema) => self.value(&at, value, schema),
                None if open || !self.closed => {
                    if let Some(schema) = schema.get("additionalProperties").filter(|s| s.is_object()) {
                        self.value(&at, value, schema);
                    }
                }
                None => self.errors.push(format!("{at} in body is a forbidden property")),
            }
        }
    }

    fn enumeration(&mut self, path: &str, text: &str) {
        let known = ENUMERATIONS.iter().find(|(end, _)| path.ends_with(end)).map(|(_, values)| *values);
        if let Some(values) = known.filter(|v| !v.contains(&text)) {
            self.errors.push(format!("{path} in body should be one of [{}]", values.join(" ")));
        }
    }

    fn wrong_type(&mut self, path: &str, wanted: &str, value: &Value) {
        let got = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.errors.push(format!("{path} in body must be of type {wanted}: {got:?}"));
    }
}

/// Whether null may stand for absence.
fn forgives_null(key: &str, schema: &Value) -> bool {
    nullable(schema) || ["creationTimestamp", "lastProbeTime", "lastTransitionTime"].contains(&key)
}

fn nullable(schema: &Value) -> bool {
    schema.get("nullable") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn enumerations_depend_on_where_a_field_is() {
        let operator = json!({"type": "object", "properties": {"operator": {"type": "string"}, "effect": {"type": "string"}}});
        let schema = json!({"type": "object", "properties": {
            "tolerations": {"type": "array", "items": operator},
            "selector": {"type": "object", "properties": {"matchExpressions": {"type": "array", "items": operator}}}}});
        let object = json!({"spec": {
            "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}, {"operator": "In", "effect": ""}],
            "selector": {"matchExpressions": [{"operator": "Anything"}]}}});
        let denial = super::validate(&object, Some(&schema), None).unwrap_err();
        let messages: Vec<&str> = denial.causes.iter().map(|c| c.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "spec.tolerations.effect in body should be one of [NoExecute NoSchedule PreferNoSchedule]",
                "spec.tolerations.operator in body should be one of [Equal Exists]",
            ]
        );
    }

    #[test]
    fn violations_are_worded_as_upstream_words_them() {
        let schema = json!({"type": "object", "required": ["template"], "properties": {
            "template": {"type": "object"}, "running": {"type": "boolean"}, "dnsPolicy": {"type": "string"}}});
        let object = json!({"kind": "X", "extra": 1, "spec": {"running": "yes", "foo": 1, "dnsPolicy": "Maybe"}});
        let denial = super::validate(&object, Some(&schema), None).unwrap_err();
        let messages: Vec<&str> = denial.causes.iter().map(|c| c.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                ".extra in body is a forbidden property",
                "spec.template in body is required",
                "spec.dnsPolicy in body should be one of [ClusterFirst ClusterFirstWithHostNet Default None]",
                "spec.foo in body is a forbidden property",
                "spec.running in body must be of type boolean: \"string\"",
            ]
        );
    }
}
