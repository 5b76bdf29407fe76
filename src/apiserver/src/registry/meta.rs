//! Metadata of every object: what the server sets, what may not change, and what is checked
//! (`k8s.io/apimachinery/pkg/api/validation` and `k8s.io/apiserver/pkg/registry/rest`).

use serde_json::{Value, json};

use super::names::{self, NameRule};
use crate::env::Env;
use crate::error::{FieldError, printed};
use crate::object;

/// Longest base of a generated name: the suffix must fit.
const MAX_GENERATED_BASE: usize = 63 - 5;
/// Largest sum of annotation keys and values.
const MAX_ANNOTATIONS: usize = 256 * 1024;
/// The finalizer that orphans dependents.
pub const ORPHAN: &str = "orphan";
/// The finalizer that deletes dependents first.
pub const FOREGROUND: &str = "foregroundDeletion";

/// Sets what a new object gets from the server and takes away what it may not bring.
pub fn fill_new(env: &Env, object: &mut Value, namespace: &str) {
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        object::remove(object, &["metadata", key]);
    }
    object::set(object, &["metadata", "uid"], env.entropy.uuid());
    object::set(object, &["metadata", "creationTimestamp"], env.timestamp());
    if namespace.is_empty() {
        object::remove(object, &["metadata", "namespace"]);
    } else {
        object::set(object, &["metadata", "namespace"], namespace);
    }
}

/// Completes `generateName` with a random suffix.
pub fn generate_name(env: &Env, object: &mut Value) {
    let base = object::text(object, &["metadata", "generateName"]);
    if !object::name(object).is_empty() || base.is_empty() {
        return;
    }
    let end = base.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_GENERATED_BASE).last();
    let name = format!("{}{}", base.get(..end.unwrap_or(0)).unwrap_or_default(), env.entropy.suffix5());
    object::set(object, &["metadata", "name"], name);
}

/// Keeps what an update may not touch, before the kind's rules run.
pub fn keep_on_update(object: &mut Value, old: &Value) {
    for key in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
        object::copy(object, old, &["metadata", key]);
    }
    if object::uid(object).is_empty() {
        object::copy(object, old, &["metadata", "uid"]);
    }
    object::remove(object, &["metadata", "selfLink"]);
    if object::namespace(old).is_empty() {
        object::remove(object, &["metadata", "namespace"]);
    } else {
        object::set_default(object, &["metadata", "namespace"], object::namespace(old));
    }
}

/// Raises `metadata.generation` by one.
pub fn raise_generation(object: &mut Value, old: &Value) {
    let generation = object::number(old, &["metadata", "generation"]).unwrap_or(0);
    object::set(object, &["metadata", "generation"], generation + 1);
}

/// What is wrong with the metadata of a new object.
pub fn validate_new(object: &Value, namespaced: bool, rule: NameRule) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let generate = object::text(object, &["metadata", "generateName"]);
    if !generate.is_empty() {
        let texts = rule.check(generate, true);
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid("metadata.generateName", generate, text)));
    }
    let name = object::name(object);
    if name.is_empty() {
        wrong.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        let texts = rule.check(name, false);
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid("metadata.name", name, text)));
    }
    let namespace = object::namespace(object);
    if namespaced && namespace.is_empty() {
        wrong.push(FieldError::required("metadata.namespace", ""));
    } else if namespaced {
        let texts = names::label(namespace);
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid("metadata.namespace", namespace, text)));
    } else if !namespace.is_empty() {
        wrong.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"));
    }
    validate_common(object, &mut wrong);
    wrong
}

/// What is wrong with the metadata of an updated object.
pub fn validate_update(object: &Value, old: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if object::is_terminating(old) {
        let before = object::finalizers(old);
        let added: Vec<String> = object::finalizers(object).into_iter().filter(|f| !before.contains(f)).map(|f| format!("{f:?}")).collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            wrong.push(FieldError::forbidden("metadata.finalizers", detail));
        }
    }
    for key in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (new, before) = (object::at(object, &["metadata", key]), object::at(old, &["metadata", key]));
        if new != before {
            let value = new.cloned().unwrap_or(Value::Null);
            wrong.push(FieldError::invalid(format!("metadata.{key}"), value, "field is immutable"));
        }
    }
    validate_common(object, &mut wrong);
    wrong
}

/// What is wrong with metadata whether it is new or not.
pub fn validate_common(object: &Value, wrong: &mut Vec<FieldError>) {
    if let Some(generation) = object::number(object, &["metadata", "generation"]).filter(|generation| *generation < 0) {
        wrong.push(FieldError::invalid("metadata.generation", generation, "must be greater than or equal to 0"));
    }
    validate_labels(object::at(object, &["metadata", "labels"]), "metadata.labels", wrong);
    validate_annotations(object::at(object, &["metadata", "annotations"]), "metadata.annotations", wrong);
    validate_owners(object, wrong);
    validate_finalizers(object, wrong);
}

/// What is wrong with a map of labels.
pub fn validate_labels(labels: Option<&Value>, field: &str, wrong: &mut Vec<FieldError>) {
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        let texts = names::qualified_name(key).into_iter().map(|text| text.replace("a qualified name must", "a valid label key must"));
        wrong.extend(texts.map(|text| FieldError::invalid(field, key.as_str(), text)));
        let value = value.as_str().unwrap_or_default();
        wrong.extend(names::label_value(value).into_iter().map(|text| FieldError::invalid(field, value, text)));
    }
}

/// What is wrong with a map of annotations.
pub fn validate_annotations(annotations: Option<&Value>, field: &str, wrong: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in annotations.and_then(Value::as_object).into_iter().flatten() {
        let texts = names::qualified_name(&key.to_lowercase());
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid(field, key.as_str(), text)));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_ANNOTATIONS {
        wrong.push(FieldError::too_long(field, MAX_ANNOTATIONS));
    }
}

/// An owner reference in the member order of the original, which prints it in errors.
fn printed_owner(owner: &Value) -> String {
    let mut parts = Vec::new();
    for key in ["apiVersion", "kind", "name", "uid"] {
        parts.push(format!("{key:?}:{}", json!(object::text(owner, &[key]))));
    }
    for key in ["controller", "blockOwnerDeletion"] {
        if let Some(value) = owner.get(key).filter(|value| !value.is_null()) {
            parts.push(format!("{key:?}:{value}"));
        }
    }
    format!("{{{}}}", parts.join(","))
}

fn validate_owners(object: &Value, wrong: &mut Vec<FieldError>) {
    const FIELD: &str = "metadata.ownerReferences";
    let owners = object::list(object, &["metadata", "ownerReferences"]);
    let mut controller: Option<String> = None;
    for owner in owners {
        let version = object::text(owner, &["apiVersion"]);
        let (group, v) = crate::resource::parse_api_version(version).unwrap_or_default();
        if v.is_empty() {
            wrong.push(FieldError::invalid(format!("{FIELD}.apiVersion"), version, "version must not be empty"));
        }
        for key in ["kind", "name", "uid"] {
            let value = object::text(owner, &[key]);
            if value.is_empty() {
                wrong.push(FieldError::invalid(format!("{FIELD}.{key}"), value, "must not be empty"));
            }
        }
        let kind = object::text(owner, &["kind"]);
        if (group, v, kind) == ("", "v1", "Event") {
            wrong.push(FieldError::invalid(FIELD, printed(printed_owner(owner)), "/v1, Kind=Event is disallowed from being an owner"));
        }
        if object::flag(owner, &["controller"]) {
            let this = format!("{kind}/{}", object::text(owner, &["name"]));
            if let Some(first) = &controller {
                let detail =
                    format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}");
                let all: Vec<String> = owners.iter().map(printed_owner).collect();
                let value = printed(format!("[{}]", all.join(",")));
                wrong.push(FieldError::invalid(FIELD, value, detail));
            } else {
                controller = Some(this);
            }
        }
    }
}

fn validate_finalizers(object: &Value, wrong: &mut Vec<FieldError>) {
    const FIELD: &str = "metadata.finalizers";
    let finalizers = object::finalizers(object);
    for finalizer in &finalizers {
        let texts = names::qualified_name(finalizer);
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid(FIELD, *finalizer, text)));
    }
    if finalizers.contains(&ORPHAN) && finalizers.contains(&FOREGROUND) {
        wrong.push(FieldError::invalid(FIELD, json!(finalizers), format!("finalizer {FOREGROUND} and {ORPHAN} cannot be both set")));
    }
}

/// Warnings about finalizers that are new and have no domain.
pub fn finalizer_warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map(object::finalizers).unwrap_or_default();
    object::finalizers(object)
        .into_iter()
        .filter(|f| !f.contains('/') && *f != ORPHAN && *f != FOREGROUND && !before.contains(f))
        .map(|finalizer| {
            format!(
                "metadata.finalizers: {finalizer:?}: prefer a domain-qualified finalizer name to avoid accidental \
                 conflicts with other finalizer writers"
            )
        })
        .collect()
}
