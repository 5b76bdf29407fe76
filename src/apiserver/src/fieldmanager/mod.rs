//! Who owns which field: `metadata.managedFields`, and server-side apply.
//!
//! A port of the rules of `structured-merge-diff` and of kube-apiserver's handlers around it, measured by the `apply-*`
//! parity recordings. Two operations:
//!
//! - [`track_update`] after every create, update and patch: the writer owns what it changed, all others lose that.
//! - [`apply`]: the applier owns exactly what it sent. What it sent before and no longer sends is removed unless somebody
//!   else owns it. A change of a field that others own is a conflict, unless forced.
//!
//! Guarantees: an object without owners stays without until it is applied to; times change only with owners or content;
//! metadata that the server itself writes belongs to nobody.

mod check;
mod last_applied;
mod managed;
pub mod set;
#[cfg(test)]
mod tests;
mod typed;

use serde_json::{Map, Value};

pub use managed::Operation;
use managed::{Entry, Identity, Managed};
pub use set::{FieldSet, Path, PathElement};
use typed::{Comparison, Type};

use crate::error::{ApiError, StatusCause, StatusDetails};
use crate::patch::plain_error;
use crate::resource::parse_api_version;
use crate::schema::Schema;

/// Owner of what was there before an object without owners was applied to.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Which fields a request can own at all: those that its endpoint writes (`ResetFields` upstream).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tracked {
    /// Every field.
    #[default]
    All,
    /// None of these and what is below them: `status` for the main endpoint of a kind with `/status`.
    Except(FieldSet),
    /// Only these and what is below them: `status` for `/status` of a custom resource.
    Only(FieldSet),
}

impl Tracked {
    /// All but the given top-level fields.
    pub fn except(fields: &[&str]) -> Self {
        Self::Except(FieldSet::of_fields(fields.iter().map(std::slice::from_ref)))
    }

    /// Only the given top-level fields.
    pub fn only(fields: &[&str]) -> Self {
        Self::Only(FieldSet::of_fields(fields.iter().map(std::slice::from_ref)))
    }

    fn keep(&self, set: FieldSet) -> FieldSet {
        match self {
            Self::All => set,
            Self::Except(fields) => set.recursive_difference(fields),
            Self::Only(fields) => set.restricted_to(fields),
        }
    }
}

/// Who writes, and how.
#[derive(Debug, Clone)]
pub struct Manager {
    /// The `fieldManager` of the request, else the user agent up to its first slash; empty is `unknown`.
    pub name: String,
    /// Whether this is an apply.
    pub operation: Operation,
    /// `apiVersion` of the request's objects.
    pub api_version: String,
    /// Subresource written; empty for the main endpoint.
    pub subresource: String,
    /// Now, RFC 3339 with seconds.
    pub time: String,
    /// What this endpoint can own.
    pub tracked: Tracked,
}

impl Manager {
    fn identity(&self, operation: Operation) -> Identity {
        Identity::new(&self.name, operation, &self.api_version, &self.subresource)
    }
}

fn managed_fields(object: &Value) -> Option<&Value> {
    object.get("metadata").and_then(|metadata| metadata.get("managedFields"))
}

fn take_managed_fields(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata").and_then(Value::as_object_mut).and_then(|metadata| metadata.remove("managedFields"))
}

fn put_managed_fields(object: &mut Value, managed: &Managed) {
    if managed.0.is_empty() {
        take_managed_fields(object);
        return;
    }
    if let Some(fields) = object.as_object_mut() {
        let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("managedFields".to_owned(), managed.encode());
        }
    }
}

/// An empty list, or a list of one empty entry: the request to forget all owners.
fn is_reset(list: Option<&Value>) -> bool {
    match list.and_then(Value::as_array).map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(only)]) => only.values().all(Value::is_null),
        _ => false,
    }
}

/// What the server itself writes.
fn server_written() -> FieldSet {
    FieldSet::of_fields([
        &["apiVersion"][..],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}

/// Sets `metadata.managedFields` of `new` after a create (`live` is `None`), update or patch.
///
/// Flow: owners are those that `new` carries (a client may edit them; never through a subresource), else those of `live`;
/// an object without owners stays so. The fields that differ go to the writer and are taken from everybody else; removed
/// ones are taken from all. More than ten update entries are merged into `ancient-changes`. If neither content nor owners
/// changed, the times of `live` stay.
pub fn track_update(live: Option<&Value>, new: &mut Value, who: &Manager, schema: Option<&Schema>) {
    let sent = take_managed_fields(new);
    let mut managed = match live {
        _ if who.subresource.is_empty() && is_reset(sent.as_ref()) => Managed::default(),
        Some(live) if !who.subresource.is_empty() => Managed::decode(managed_fields(live)).unwrap_or_default(),
        _ => match Managed::decode(sent.as_ref()) {
            Ok(managed) if !managed.0.is_empty() => managed,
            _ => Managed::decode(live.and_then(managed_fields)).unwrap_or_default(),
        },
    };
    if live.is_some() && managed.0.is_empty() {
        return;
    }
    let nothing = Value::Object(Map::new());
    own_changes(&mut managed, live.unwrap_or(&nothing), new, who, &who.identity(Operation::Update), schema);
    managed.cap_updates();
    if let Some(live) = live
        && let Ok(before) = Managed::decode(managed_fields(live))
        && managed.same_owners(&before)
        && same_but_owners(live, new)
    {
        managed = before;
    }
    put_managed_fields(new, &managed);
}

/// Gives `writer` what differs between `live` and `new`, and takes it from the others.
fn own_changes(managed: &mut Managed, live: &Value, new: &Value, who: &Manager, writer: &Identity, schema: Option<&Schema>) {
    let all = Comparison::between(Type::of(schema), live, new);
    let compared = all.map(|set| who.tracked.keep(set));
    let changed = compared.changed();
    for entry in managed.0.values_mut() {
        entry.set.subtract(&changed);
        entry.set.subtract(&compared.removed);
    }
    managed.drop_empty();
    let own = changed.difference(&server_written());
    if own.is_empty() {
        return;
    }
    if let Some(entry) = managed.0.get_mut(writer) {
        entry.set.extend(&own);
        entry.api_version.clone_from(&who.api_version);
        entry.time.clone_from(&who.time);
    } else {
        let entry = Entry { set: own, api_version: who.api_version.clone(), time: who.time.clone() };
        managed.0.insert(writer.clone(), entry);
    }
}

/// Equality of everything but `metadata.managedFields` (and the revision, which a write changes anyway).
fn same_but_owners(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return a == b };
    let ignored = |name: &str| matches!(name, "managedFields" | "resourceVersion");
    let same_metadata = |a: Option<&Value>, b: Option<&Value>| {
        let (a, b) = (a.and_then(Value::as_object), b.and_then(Value::as_object));
        let fields = |map: Option<&Map<String, Value>>| map.map_or(0, |map| map.keys().filter(|name| !ignored(name)).count());
        fields(a) == fields(b)
            && a.into_iter().flatten().filter(|(name, _)| !ignored(name)).all(|(name, value)| b.and_then(|b| b.get(name)) == Some(value))
    };
    a.len() == b.len()
        && a.iter().all(|(name, value)| match name.as_str() {
            "metadata" => same_metadata(Some(value), b.get("metadata")),
            _ => b.get(name) == Some(value),
        })
}

/// Applies a configuration (server-side apply); the result carries `metadata.managedFields`.
///
/// `live` is `None` when the object is created by this. A result equal to `live` means that nothing changed.
///
/// # Errors
/// 400 for another kind or version and for `managedFields` in the configuration; 500 (as upstream) when it does not fit the
/// schema; 409 with one cause a field for conflicts.
pub fn apply(live: Option<&Value>, applied: &Value, who: &Manager, force: bool, schema: Option<&Schema>) -> Result<Value, ApiError> {
    let text = |name: &str| applied.get(name).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (group, short) = parse_api_version(version).unwrap_or(("", version));
    let gvk = format!("{group}/{short}, Kind={kind}");
    let expected_kind = live.and_then(|live| live.get("kind")).and_then(Value::as_str);
    if version != who.api_version || kind.is_empty() || expected_kind.is_some_and(|expected| expected != kind) {
        return Err(ApiError::bad_request(format!("invalid object type: {gvk}")));
    }
    let mut managed =
        Managed::decode(live.and_then(managed_fields)).map_err(|why| plain_error(format!("failed to decode managed fields: {why}")))?;
    if managed_fields(applied).is_some_and(|list| !list.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let metadata = |name: &str| applied.get("metadata").and_then(|metadata| metadata.get(name)).and_then(Value::as_str).unwrap_or_default();
    check::check(Type::of(schema), applied).map_err(|why| {
        plain_error(format!("failed to create typed patch object ({}/{}; {gvk}): {why}", metadata("namespace"), metadata("name")))
    })?;
    let bare_live = live.map(|live| {
        let mut live = live.clone();
        take_managed_fields(&mut live);
        live
    });
    let nothing = Value::Object(Map::new());
    let before = bare_live.as_ref().unwrap_or(&nothing);
    if managed.0.is_empty() && bare_live.is_some() {
        let first = Manager { name: BEFORE_FIRST_APPLY.to_owned(), operation: Operation::Update, ..who.clone() };
        let identity = first.identity(Operation::Update);
        own_changes(&mut managed, &nothing, before, &first, &identity, schema);
    }
    let attempt = |force| merge_applied(before, applied, managed.clone(), who, force, schema);
    let (mut object, managed) = match attempt(force) {
        Ok(done) => done,
        Err(conflicts) => {
            let left = last_applied::remaining_conflicts(before, &conflicts, who, schema);
            if !left.is_empty() {
                return Err(conflict_error(&left));
            }
            match attempt(true) {
                Ok(done) => done,
                Err(conflicts) => return Err(conflict_error(&conflicts)),
            }
        }
    };
    last_applied::refresh(&mut object, applied, who);
    if let Some(live) = live
        && let Ok(before) = Managed::decode(managed_fields(live))
        && managed.same_owners(&before)
        && same_but_owners(live, &object)
    {
        return Ok(live.clone());
    }
    put_managed_fields(&mut object, &managed);
    Ok(object)
}

/// Lays a configuration over an object without regard to who owns what, as mutating policies do.
///
/// # Errors
/// It does not fit the schema, or would replace a list or object that is one value.
pub(crate) fn overlay(live: &Value, configuration: &Value, schema: Option<&Schema>) -> Result<Value, String> {
    let kind = Type::of(schema);
    check::check(kind, configuration).map_err(|why| format!("failed to convert patch object to typed object: {why}"))?;
    let atomics = typed::atomics(kind, configuration);
    if !atomics.is_empty() {
        return Err(format!("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}", atomics.join(", ")));
    }
    Ok(typed::merge(kind, Some(live), Some(configuration)).unwrap_or_default())
}

/// A field that somebody else owns and the configuration would change.
#[derive(Debug, Clone)]
pub(crate) struct Conflict {
    owner: Identity,
    path: Path,
}

/// The merge itself: `Ok` with object and owners, or the conflicts.
fn merge_applied(
    live: &Value,
    applied: &Value,
    mut managed: Managed,
    who: &Manager,
    force: bool,
    schema: Option<&Schema>,
) -> Result<(Value, Managed), Vec<Conflict>> {
    let kind = Type::of(schema);
    let own_identity = who.identity(Operation::Apply);
    let empty = || Value::Object(Map::new());
    let merged = typed::merge(kind, Some(live), Some(applied)).unwrap_or_else(empty);
    let last = managed.0.remove(&own_identity).map(|entry| entry.set).unwrap_or_default();
    let set = who.tracked.keep(typed::field_set(kind, applied));
    let own = Entry { set, api_version: who.api_version.clone(), time: who.time.clone() };
    managed.0.insert(own_identity.clone(), own);
    let object = prune(kind, merged, &last, &managed);

    let compared = Comparison::between(kind, live, &object).map(|set| who.tracked.keep(set));
    let changed = compared.changed();
    let mut conflicts = Vec::new();
    for (identity, entry) in managed.0.iter_mut().filter(|(identity, _)| **identity != own_identity) {
        let contested = entry.set.intersection(&changed);
        if !force {
            conflicts.extend(contested.paths().into_iter().map(|path| Conflict { owner: identity.clone(), path }));
        }
        entry.set.subtract(&contested);
        entry.set.subtract(&compared.removed);
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    if let Some(entry) = managed.0.get_mut(&own_identity) {
        entry.set = entry.set.difference(&server_written());
    }
    managed.drop_empty();
    Ok((object, managed))
}

/// Removes what the applier owned before and nobody owns now.
///
/// Fields that others own are put back, and so are fields that the applier never owned but that hang below a removed one.
fn prune(kind: Type<'_>, merged: Value, last: &FieldSet, managed: &Managed) -> Value {
    if last.is_empty() {
        return merged;
    }
    let empty = || Value::Object(Map::new());
    let without = |set: &FieldSet| typed::remove(kind, &merged, set).unwrap_or_else(empty);
    let named = |set: &FieldSet| typed::with_named_parents(kind, set);
    let last = named(last);
    let all = named(&typed::field_set(kind, &merged));
    let mut owned = FieldSet::new();
    for entry in managed.0.values() {
        owned.extend(&entry.set);
    }
    let bare = without(&last);
    let kept = named(&typed::field_set(kind, &bare)).union(&named(&owned));
    let with_owned = without(&all.difference(&kept));
    let left = named(&typed::field_set(kind, &with_owned));
    without(&all.difference(&left).intersection(&last))
}

fn conflict_error(conflicts: &[Conflict]) -> ApiError {
    let message = if let [only] = conflicts {
        format!("Apply failed with 1 conflict: conflict with {}: {}", only.owner.describe(), only.path)
    } else {
        let mut lines = Vec::new();
        let mut owner = None;
        // Conflicts come grouped by owner, owners in order.
        for conflict in conflicts {
            if owner != Some(&conflict.owner) {
                lines.push(format!("conflicts with {}:", conflict.owner.describe()));
                owner = Some(&conflict.owner);
            }
            lines.push(format!("- {}", conflict.path));
        }
        format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
    };
    let causes = conflicts
        .iter()
        .map(|conflict| StatusCause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {}", conflict.owner.describe()),
            field: conflict.path.to_string(),
        })
        .collect();
    let mut error = ApiError::new(409, "Conflict", message);
    error.details = Some(StatusDetails { causes, ..StatusDetails::default() });
    error
}
