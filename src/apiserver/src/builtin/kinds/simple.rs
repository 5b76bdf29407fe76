//! Kinds that differ from the usual in a flag or two.

use serde_json::{Value, json};

use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError};
use crate::object;

/// A kind without rules.
#[derive(Debug)]
pub struct Plain;

impl Strategy for Plain {}

/// A kind whose generation counts changes of its spec.
#[derive(Debug)]
pub struct Generation;

impl Strategy for Generation {
    fn has_generation(&self) -> bool {
        true
    }
}

/// `VolumeAttachment`.
#[derive(Debug)]
pub struct VolumeAttachment;

impl Strategy for VolumeAttachment {
    fn has_status(&self) -> bool {
        true
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::set(object, &["status"], json!({"attached": false}));
        Ok(())
    }
}

/// `CertificateSigningRequest`.
#[derive(Debug)]
pub struct CertificateSigningRequest;

impl Strategy for CertificateSigningRequest {
    fn has_status(&self) -> bool {
        true
    }

    fn field_names(&self) -> &'static [&'static str] {
        &["spec.signerName"]
    }

    fn prepare_create(&self, cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        // Who asks for a certificate is not theirs to say.
        for key in ["username", "uid", "groups", "extra"] {
            object::remove(object, &["spec", key]);
        }
        object::set(object, &["spec", "username"], cx.user.name.as_str());
        if !cx.user.uid.is_empty() {
            object::set(object, &["spec", "uid"], cx.user.uid.as_str());
        }
        if !cx.user.groups.is_empty() {
            object::set(object, &["spec", "groups"], json!(cx.user.groups));
        }
        if !cx.user.extra.is_empty() {
            object::set(object, &["spec", "extra"], json!(cx.user.extra));
        }
        object::set(object, &["status"], json!({}));
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        object::copy(object, old, &["spec"]);
        if cx.subresource == "approval" {
            let conditions = object::at(object, &["status", "conditions"]).cloned();
            object::copy(object, old, &["status"]);
            if let Some(conditions) = conditions {
                object::set(object, &["status", "conditions"], conditions);
            }
        }
        Ok(())
    }
}

/// `CSIDriver`.
#[derive(Debug)]
pub struct CsiDriver;

impl Strategy for CsiDriver {
    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["spec", "attachRequired"], true);
        object::set_default(object, &["spec", "podInfoOnMount"], false);
        object::set_default(object, &["spec", "storageCapacity"], false);
        object::set_default(object, &["spec", "fsGroupPolicy"], "ReadWriteOnceWithFSType");
        object::set_default(object, &["spec", "volumeLifecycleModes"], json!(["Persistent"]));
        object::set_default(object, &["spec", "requiresRepublish"], false);
        object::set_default(object, &["spec", "seLinuxMount"], false);
    }
}

/// `PriorityClass`.
#[derive(Debug)]
pub struct PriorityClass;

impl Strategy for PriorityClass {
    fn has_generation(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["preemptionPolicy"], "PreemptLowerPriority");
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        const HIGHEST_USER: i64 = 1_000_000_000;
        let mut wrong = Vec::new();
        let name = object::name(object);
        let value = object::number(object, &["value"]).unwrap_or(0);
        let system = matches!(name, "system-node-critical" | "system-cluster-critical");
        if name.starts_with("system-") && !system {
            wrong.push(FieldError::forbidden("metadata.name", "priority class names with 'system-' prefix are reserved for system use only. error: the priority class is not a known system priority class"));
        } else if value > HIGHEST_USER && !system {
            wrong.push(FieldError::forbidden("value", format!("maximum allowed value of a user defined priority is {HIGHEST_USER}")));
        }
        wrong
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        for (key, detail) in [("value", "may not be changed in an update."), ("preemptionPolicy", "may not be changed in an update.")] {
            if object.get(key) != old.get(key) {
                wrong.push(FieldError::forbidden(key, detail));
            }
        }
        wrong
    }
}

/// `RuntimeClass`.
#[derive(Debug)]
pub struct RuntimeClass;

impl Strategy for RuntimeClass {
    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let handler = object::text(object, &["handler"]);
        crate::registry::names::label(handler).into_iter().map(|text| FieldError::invalid("handler", handler, text)).collect()
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let handler = object::text(object, &["handler"]);
        if handler == object::text(old, &["handler"]) {
            return Vec::new();
        }
        vec![FieldError::invalid("handler", handler, "field is immutable")]
    }
}
