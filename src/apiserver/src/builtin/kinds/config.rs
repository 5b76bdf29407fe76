//! Configuration and identities.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::builtin::{Context, Strategy};
use crate::error::FieldError;
use crate::object;

/// Largest sum of a ConfigMap's or Secret's values.
const MAX_DATA: usize = 1 << 20;
const KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const FROZEN: &str = "field is immutable when `immutable` is set";

fn check_key(field: &str, key: &str, wrong: &mut Vec<FieldError>) {
    let at = format!("{field}[{key}]");
    if key.len() > 253 {
        wrong.push(FieldError::invalid(at.as_str(), key, "must be no more than 253 characters"));
    }
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        wrong.push(FieldError::invalid(at, key, KEY_RULE));
    } else if key == "." || key == ".." {
        wrong.push(FieldError::invalid(at, key, format!("must not be '{key}'")));
    } else if key.starts_with("..") {
        wrong.push(FieldError::invalid(at, key, "must not start with '..'"));
    }
}

/// The text that Go's base64 decoder says about bad data, if it is bad.
fn check_base64(data: Option<&Map<String, Value>>) -> Result<(), String> {
    for text in data.into_iter().flatten().filter_map(|(_, value)| value.as_str()) {
        if STANDARD.decode(text).is_err() {
            let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
            let at = text.bytes().position(|b| !valid(b)).unwrap_or(text.len());
            return Err(format!("illegal base64 data at input byte {at}"));
        }
    }
    Ok(())
}

/// What may not change once `immutable` is set.
fn check_frozen(object: &Value, old: &Value, fields: &[&str], wrong: &mut Vec<FieldError>) {
    if !object::flag(old, &["immutable"]) {
        return;
    }
    if !object::flag(object, &["immutable"]) {
        wrong.push(FieldError::forbidden("immutable", FROZEN));
    }
    for field in fields {
        if object.get(*field) != old.get(*field) {
            wrong.push(FieldError::forbidden(*field, FROZEN));
        }
    }
}

/// `ConfigMap`.
#[derive(Debug)]
pub struct ConfigMap;

impl Strategy for ConfigMap {
    fn check_decode(&self, object: &Value) -> Result<(), String> {
        check_base64(object::map(object, &["binaryData"]))
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let mut size = 0;
        let binary = object::map(object, &["binaryData"]);
        for (key, value) in object::map(object, &["data"]).into_iter().flatten() {
            check_key("data", key, &mut wrong);
            if binary.is_some_and(|binary| binary.contains_key(key)) {
                wrong.push(FieldError::invalid(format!("data[{key}]"), key.as_str(), "duplicate of key present in binaryData"));
            }
            size += value.as_str().map_or(0, str::len);
        }
        for (key, value) in binary.into_iter().flatten() {
            check_key("binaryData", key, &mut wrong);
            size += value.as_str().map_or(0, |text| text.len() / 4 * 3);
        }
        if size > MAX_DATA {
            wrong.push(FieldError::too_long("", MAX_DATA));
        }
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        check_frozen(object, old, &["data", "binaryData"], &mut wrong);
        wrong.extend(self.validate(cx, object));
        wrong
    }
}

/// `Secret`.
#[derive(Debug)]
pub struct Secret;

impl Strategy for Secret {
    fn check_decode(&self, object: &Value) -> Result<(), String> {
        check_base64(object::map(object, &["data"]))
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["type"], "Opaque");
        // What was written in clear text is stored encoded; it wins over data of the same key.
        if let Some(Value::Object(clear)) = object::remove(object, &["stringData"]) {
            for (key, value) in clear {
                let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
                object::set(object, &["data", &key], encoded);
            }
        }
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let data = object::map(object, &["data"]);
        let mut size = 0;
        for (key, value) in data.into_iter().flatten() {
            check_key("data", key, &mut wrong);
            size += value.as_str().map_or(0, |text| text.len() / 4 * 3);
        }
        if size > MAX_DATA {
            wrong.push(FieldError::too_long("data", MAX_DATA));
        }
        let has = |key: &str| data.is_some_and(|data| data.contains_key(key));
        let need = |key: &str, wrong: &mut Vec<FieldError>| {
            if !has(key) {
                wrong.push(FieldError::required(format!("data[{key}]"), ""));
            }
        };
        match object::text(object, &["type"]) {
            "kubernetes.io/service-account-token"
                if object::text(object, &["metadata", "annotations", "kubernetes.io/service-account.name"]).is_empty() =>
            {
                wrong.push(FieldError::required("metadata.annotations[kubernetes.io/service-account.name]", ""));
            }
            "kubernetes.io/tls" => {
                need("tls.crt", &mut wrong);
                need("tls.key", &mut wrong);
            }
            "kubernetes.io/ssh-auth" => need("ssh-privatekey", &mut wrong),
            "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
                need("username", &mut wrong);
                need("password", &mut wrong);
            }
            "kubernetes.io/dockerconfigjson" => check_json(data, ".dockerconfigjson", &mut wrong),
            "kubernetes.io/dockercfg" => check_json(data, ".dockercfg", &mut wrong),
            _ => {}
        }
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let kind = object::text(object, &["type"]);
        if kind != object::text(old, &["type"]) {
            wrong.push(FieldError::invalid("type", kind, "field is immutable"));
        }
        check_frozen(object, old, &["data"], &mut wrong);
        wrong.extend(self.validate(cx, object));
        wrong
    }

    fn field_names(&self) -> &'static [&'static str] {
        &["type"]
    }
}

fn check_json(data: Option<&Map<String, Value>>, key: &str, wrong: &mut Vec<FieldError>) {
    let field = format!("data[{key}]");
    let Some(text) = data.and_then(|data| data.get(key)).and_then(Value::as_str) else {
        wrong.push(FieldError::required(field, ""));
        return;
    };
    let decoded = STANDARD.decode(text).unwrap_or_default();
    let parsed = crate::patch::gojson::parse(&decoded);
    if let Err(why) = parsed {
        wrong.push(FieldError::invalid(field, "<secret contents redacted>", why));
    }
}

/// `ServiceAccount`.
#[derive(Debug)]
pub struct ServiceAccount;

impl Strategy for ServiceAccount {}
