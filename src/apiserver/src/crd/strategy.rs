//! What writing a definition does besides storing it.

use serde_json::{Value, json};

use super::{CLEANUP_FINALIZER, status, validation};
use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError};
use crate::object;

/// The rules of the kind `CustomResourceDefinition`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CustomResourceDefinition;

impl Strategy for CustomResourceDefinition {
    fn default(&self, object: &mut Value, _version: &str) {
        fill(object);
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn has_status(&self) -> bool {
        true
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        begin_status(object);
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, _old: &Value) -> Result<(), ApiError> {
        if cx.subresource.is_empty() {
            note_stored_version(object);
        }
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        validation::validate(object)
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource.is_empty() { validation::validate_update(object, old) } else { validation::validate_status(object) }
    }

    /// A definition is marked first and goes when its objects are gone.
    fn holds(&self, object: &Value) -> bool {
        !object::is_terminating(object)
    }

    fn may_end(&self, _object: &Value) -> bool {
        true
    }

    fn prepare_delete(&self, object: &mut Value) {
        let mut finalizers: Vec<String> = object::finalizers(object).into_iter().map(str::to_owned).collect();
        if !finalizers.iter().any(|finalizer| finalizer == CLEANUP_FINALIZER) {
            finalizers.push(CLEANUP_FINALIZER.to_owned());
            object::set(object, &["metadata", "finalizers"], json!(finalizers));
        }
        let now = object::text(object, &["metadata", "deletionTimestamp"]).to_owned();
        status::set_condition(object, &now, status::DELETION_PENDING);
    }
}

/// Defaults of `apiextensions.k8s.io/v1`.
fn fill(object: &mut Value) {
    let kind = object::text(object, &["spec", "names", "kind"]).to_owned();
    if object::text(object, &["spec", "names", "singular"]).is_empty() {
        object::set(object, &["spec", "names", "singular"], kind.to_lowercase());
    }
    if object::text(object, &["spec", "names", "listKind"]).is_empty() && !kind.is_empty() {
        object::set(object, &["spec", "names", "listKind"], format!("{kind}List"));
    }
    if object::at(object, &["spec", "conversion"]).is_none_or(Value::is_null) {
        object::set(object, &["spec", "conversion"], json!({"strategy": "None"}));
    }
    if object::at(object, &["spec", "conversion", "webhook", "clientConfig", "service"]).is_some_and(Value::is_object) {
        object::set_default(object, &["spec", "conversion", "webhook", "clientConfig", "service", "port"], 443);
    }
}

/// The status of a new definition.
pub(super) fn begin_status(object: &mut Value) {
    object::set(object, &["status"], json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": null}));
    note_stored_version(object);
}

/// Adds the storage version to the versions that objects may be stored in.
fn note_stored_version(object: &mut Value) {
    let storage = object::list(object, &["spec", "versions"])
        .iter()
        .find(|version| object::flag(version, &["storage"]))
        .map(|version| object::text(version, &["name"]).to_owned());
    let Some(storage) = storage else { return };
    let mut stored: Vec<String> = object::strings(object, &["status", "storedVersions"]).into_iter().map(str::to_owned).collect();
    if !stored.contains(&storage) {
        stored.push(storage);
        object::set(object, &["status", "storedVersions"], json!(stored));
    }
}
