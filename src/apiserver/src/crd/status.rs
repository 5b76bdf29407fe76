//! Names and conditions of a definition: what the naming and establishing controllers decide, as a pure function.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::error::go_quote;
use crate::object;

/// Names in use in an API group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Plural, singular and short names.
    pub resources: BTreeSet<String>,
    /// Kinds and list kinds.
    pub kinds: BTreeSet<String>,
}

impl Taken {
    /// Adds the accepted names of a definition.
    pub fn add(&mut self, accepted: &Value) {
        for key in ["plural", "singular"] {
            self.add_resource(object::text(accepted, &[key]));
        }
        for name in object::strings(accepted, &["shortNames"]) {
            self.add_resource(name);
        }
        for key in ["kind", "listKind"] {
            self.add_kind(object::text(accepted, &[key]));
        }
    }

    /// Adds a resource name.
    pub fn add_resource(&mut self, name: &str) {
        if !name.is_empty() {
            self.resources.insert(name.to_owned());
        }
    }

    /// Adds a kind.
    pub fn add_kind(&mut self, name: &str) {
        if !name.is_empty() {
            self.kinds.insert(name.to_owned());
        }
    }
}

/// A condition without its time: type, status, reason, message.
pub type Condition<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Set by the request that deletes a definition.
pub const DELETION_PENDING: Condition<'static> = (
    "Terminating",
    "True",
    "InstanceDeletionPending",
    "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
);
/// Set while objects of a deleted definition are left.
pub const DELETION_IN_PROGRESS: Condition<'static> =
    ("Terminating", "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress");
/// Set when a deleted definition stays for finalizers of others.
pub const DELETION_COMPLETED: Condition<'static> = ("Terminating", "False", "InstanceDeletionCompleted", "removed all instances");

/// A condition by type.
pub fn condition<'a>(definition: &'a Value, kind: &str) -> Option<&'a Value> {
    object::list(definition, &["status", "conditions"]).iter().find(|one| object::text(one, &["type"]) == kind)
}

/// Whether a condition is `True`.
pub fn is_true(definition: &Value, kind: &str) -> bool {
    condition(definition, kind).is_some_and(|one| object::text(one, &["status"]) == "True")
}

/// Sets a condition; its time changes with its status only.
pub fn set_condition(definition: &mut Value, now: &str, (kind, status, reason, message): Condition<'_>) {
    let time = match condition(definition, kind) {
        Some(one) if object::text(one, &["status"]) == status => one.get("lastTransitionTime").cloned().unwrap_or_else(|| now.into()),
        _ => now.into(),
    };
    let new = json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": time});
    let mut list = object::list(definition, &["status", "conditions"]).to_vec();
    match list.iter_mut().find(|one| object::text(one, &["type"]) == kind) {
        Some(one) => *one = new,
        None => list.push(new),
    }
    object::set(definition, &["status", "conditions"], list);
}

fn in_use(name: &str) -> String {
    format!("{} is already in use", go_quote(name))
}

/// Accepts the names that are free, and establishes the definition when all are.
///
/// Names once accepted stay until all new ones are free; a definition once established stays so.
pub fn settle(definition: &mut Value, taken: &Taken, now: &str) {
    let requested = object::at(definition, &["spec", "names"]).cloned().unwrap_or_default();
    let mut accepted = object::at(definition, &["status", "acceptedNames"]).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut conflict: Option<(&str, String)> = None;
    let one = |key: &str, used: &BTreeSet<String>, accepted: &mut Map<String, Value>| {
        let (want, have) = (object::text(&requested, &[key]), accepted.get(key).and_then(Value::as_str));
        if want != have.unwrap_or_default() && used.contains(want) {
            return Some(in_use(want));
        }
        if !want.is_empty() {
            accepted.insert(key.to_owned(), want.into());
        }
        None
    };
    for (key, reason) in [("plural", "PluralConflict"), ("singular", "SingularConflict")] {
        if let Some(text) = one(key, &taken.resources, &mut accepted) {
            conflict = Some((reason, text));
        }
    }
    if let Some(text) = short_names(&requested, &mut accepted, taken) {
        conflict = Some(("ShortNamesConflict", text));
    }
    for (key, reason) in [("kind", "KindConflict"), ("listKind", "ListKindConflict")] {
        if let Some(text) = one(key, &taken.kinds, &mut accepted) {
            conflict = Some((reason, text));
        }
    }
    match requested.get("categories").filter(|list| list.as_array().is_some_and(|list| !list.is_empty())) {
        Some(categories) => accepted.insert("categories".to_owned(), categories.clone()),
        None => accepted.remove("categories"),
    };
    for key in ["kind", "plural"] {
        accepted.entry(key).or_insert_with(|| "".into());
    }
    object::set(definition, &["status", "acceptedNames"], Value::Object(accepted));
    let free = conflict.is_none();
    match &conflict {
        None => set_condition(definition, now, ("NamesAccepted", "True", "NoConflicts", "no conflicts found")),
        Some((reason, text)) => set_condition(definition, now, ("NamesAccepted", "False", reason, text)),
    }
    if free && !is_true(definition, "Established") {
        let accepted = "the initial names have been accepted";
        set_condition(definition, now, ("Established", "True", "InitialNamesAccepted", accepted));
    } else if condition(definition, "Established").is_none() {
        set_condition(definition, now, ("Established", "False", "NotAccepted", "not all names are accepted"));
    }
    approval(definition, now);
}

fn short_names(requested: &Value, accepted: &mut Map<String, Value>, taken: &Taken) -> Option<String> {
    let want = object::strings(requested, &["shortNames"]);
    let have: Vec<String> = accepted
        .get("shortNames")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let used: Vec<String> = want
        .iter()
        .filter(|name| !have.iter().any(|ours| ours == *name) && taken.resources.contains(**name))
        .map(|name| in_use(name))
        .collect();
    if used.is_empty() {
        if want.is_empty() {
            accepted.remove("shortNames");
        } else {
            accepted.insert("shortNames".to_owned(), json!(want));
        }
        return None;
    }
    Some(if used.len() == 1 { used.concat() } else { format!("[{}]", used.join(", ")) })
}

/// Groups of the Kubernetes community need an approval.
pub(super) fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|suffix| group == *suffix || group.strip_suffix(suffix).is_some_and(|prefix| prefix.ends_with('.')))
}

/// The annotation that says so.
pub(super) const APPROVED: &str = "api-approved.kubernetes.io";

fn approval(definition: &mut Value, now: &str) {
    if !is_protected(object::text(definition, &["spec", "group"])) {
        return;
    }
    let text = object::text(definition, &["metadata", "annotations", APPROVED]).to_owned();
    let kind = "KubernetesAPIApprovalPolicyConformant";
    if text.is_empty() {
        let message = format!(
            "protected groups must have approval annotation \"{APPROVED}\", see \
             https://github.com/kubernetes/enhancements/pull/1111"
        );
        set_condition(definition, now, (kind, "False", "MissingAnnotation", &message));
    } else if text.starts_with("unapproved") {
        let message = format!("not approved: {}", go_quote(&text));
        set_condition(definition, now, (kind, "False", "UnapprovedAnnotation", &message));
    } else {
        set_condition(definition, now, (kind, "True", "ApprovedAnnotation", &format!("approved in {text}")));
    }
}
