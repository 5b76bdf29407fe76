//! The way from `kubectl apply` to `kubectl apply --server-side`: fields of the last-applied annotation are kubectl's own.

use serde_json::Value;

use super::check::check;
use super::typed::{self, Comparison, Type};
use super::{Conflict, Manager};
use crate::schema::Schema;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manager of `kubectl apply --server-side`; others do not inherit from the annotation.
const KUBECTL: &str = "kubectl";

/// Most bytes of all annotations.
const MAX_ANNOTATIONS: usize = 256 * 1024;

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str().filter(|text| !text.is_empty())
}

/// The conflicts that are not about fields which kubectl applied client-side and which still have the applied value.
pub(super) fn remaining_conflicts(live: &Value, conflicts: &[Conflict], who: &Manager, schema: Option<&Schema>) -> Vec<Conflict> {
    let last = annotation(live).filter(|_| who.name == KUBECTL).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(last) = last else { return conflicts.to_vec() };
    let kind = Type::of(schema);
    if !last.is_object() || check(kind, &last).is_err() {
        return conflicts.to_vec();
    }
    let compared = Comparison::between(kind, &last, live);
    let allowed = typed::field_set(kind, &last).difference(&compared.modified).difference(&compared.added).difference(&compared.removed);
    conflicts.iter().filter(|conflict| !allowed.has(&conflict.path.0)).cloned().collect()
}

/// Keeps an existing annotation in step with what kubectl applies server-side, so that client-side apply still works.
pub(super) fn refresh(object: &mut Value, applied: &Value, who: &Manager) {
    if who.name != KUBECTL || annotation(object).is_none() {
        return;
    }
    let mut applied = applied.clone();
    if let Some(metadata) = applied.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove(ANNOTATION);
        }
    }
    let text = format!("{applied}\n");
    let Some(Value::Object(annotations)) = object.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations")) else {
        return;
    };
    annotations.insert(ANNOTATION.to_owned(), Value::from(text));
    let size: usize = annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MAX_ANNOTATIONS {
        annotations.remove(ANNOTATION);
    }
}
