//! update: PUT of an object, and the part that patches share.

use std::sync::Arc;

use serde_json::Value;

use super::create::{attributes, manager, match_namespace, store_new, warn};
use super::list_options::parse_revision;
use super::write_options::{WriteKind, WriteOptions};
use super::{Call, Object, Output, decode, meta, validation};
use crate::admission;
use crate::builtin::Context;
use crate::error::{ApiError, FieldError};
use crate::fieldmanager;
use crate::object;
use crate::resource::Gvk;
use crate::store::{Expect, StoreError, Stored};

/// Attempts of a write that gives no resource version, before the conflict is the client's.
const ATTEMPTS: usize = 64;

/// Serves an update request.
pub async fn update(call: &mut Call) -> Result<Output, ApiError> {
    let options = WriteOptions::parse(&call.query, WriteKind::Update)?;
    if call.name.is_empty() {
        return Err(ApiError::bad_request("name must be provided"));
    }
    let mut object = decode::body(call, options.field_validation)?;
    match_namespace(call, &mut object)?;
    check_name(&call.name, &object)?;
    let key = call.key(&call.name.clone());
    if call.core.store.get(&key).is_none() {
        let allowed = call.subresource.is_empty() && call.info.strategy().is_some_and(|s| s.create_on_update());
        if !allowed {
            return Err(ApiError::not_found(call.gr(), &call.name));
        }
        object::remove(&mut object, &["metadata", "resourceVersion"]);
        let created = store_new(call, object, &options, WriteKind::Update, Tracking::Update).await?;
        return Ok(Output::Object(201, created));
    }
    let (_, stored) = replace(call, &options, WriteKind::Update, Tracking::Update, |_, _| Ok(object.clone())).await?;
    Ok(Output::Object(200, stored))
}

/// The name in a body must be that of the path.
pub fn check_name(name: &str, object: &Value) -> Result<(), ApiError> {
    let given = object::name(object);
    if given.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if given != name {
        return Err(ApiError::bad_request(format!("the name of the object ({given}) does not match the name on the URL ({name})")));
    }
    Ok(())
}

/// How managed fields follow a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    /// As an update by this manager.
    Update,
    /// They are settled already (apply).
    Settled,
}

/// Whether anything was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The object was stored anew.
    Stored,
    /// Nothing changed.
    None,
    /// The object went away with its last finalizer.
    Removed,
}

/// Replaces an object by what `make` makes of it, with all checks; starts again when somebody else was faster and the
/// new object names no resource version.
///
/// `make` gets the object in the request's version.
pub async fn replace<F>(
    call: &mut Call,
    options: &WriteOptions,
    kind: WriteKind,
    tracking: Tracking,
    mut make: F,
) -> Result<(Change, Object), ApiError>
where
    F: FnMut(&mut Call, &Value) -> Result<Value, ApiError>,
{
    let key = call.key(&call.name.clone());
    for attempt in 1.. {
        let Some(stored) = call.core.store.get(&key) else { return Err(ApiError::not_found(call.gr(), &call.name)) };
        let old = Arc::new(call.converted(&stored).await?);
        let object = make(call, &old)?;
        // A patch carries the version of the object it was made from; an update's version is the client's own.
        let given = object::resource_version(&object);
        let pinned = !given.is_empty() && (kind == WriteKind::Update || given != object::resource_version(&old));
        match attempt_replace(call, options, kind, tracking, &stored, &old, object).await {
            Err(error) if error.is_conflict() && !pinned && attempt < ATTEMPTS && lost_race(call, &stored) => {}
            other => return other,
        }
    }
    Err(ApiError::modified(call.gr(), &call.name))
}

/// Whether the stored object moved on since this attempt began.
fn lost_race(call: &Call, seen: &Stored) -> bool {
    call.core.store.get(&seen.key).is_none_or(|now| now.revision != seen.revision)
}

async fn attempt_replace(
    call: &mut Call,
    options: &WriteOptions,
    kind: WriteKind,
    tracking: Tracking,
    stored: &Arc<Stored>,
    old: &Arc<Value>,
    mut object: Value,
) -> Result<(Change, Object), ApiError> {
    if kind == WriteKind::Update {
        check_uid(call, &object, old)?;
    }
    let revision = parse_revision(object::resource_version(&object))
        .map_err(|error| ApiError::new(500, "", error.detail))?
        .filter(|revision| *revision != 0);
    isolate(call, &mut object, old);
    if tracking == Tracking::Update {
        let who = manager(call, options, fieldmanager::Operation::Update);
        fieldmanager::track_update(Some(old.as_ref()), &mut object, &who, call.schema().as_deref());
    }
    let mut attributes =
        attributes(call, admission::Operation::Update, Some(object), Some(old.clone()), options.to_value(kind), options.dry_run);
    call.warnings.extend(call.core.admission.mutate(&mut attributes).await?);
    let mut object = attributes.object.take().unwrap_or(Value::Null);
    match revision {
        None if !call.info.strategy().is_some_and(|s| s.unconditional_update()) => {
            let wrong = FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
            let about = Gvk::new(call.info.gr.group.clone(), "", call.info.gr.resource.clone());
            return Err(ApiError::invalid(&about, &call.name, &[wrong]));
        }
        Some(revision) if revision != stored.revision => return Err(ApiError::modified(call.gr(), &call.name)),
        _ => {}
    }
    meta::keep_on_update(&mut object, old);
    isolate(call, &mut object, old);
    prepare(call, &mut object, old)?;
    validation::check_update(call, &object, old)?;
    warn(call, &object, Some(old));
    attributes.object = Some(object);
    call.warnings.extend(call.core.admission.validate(&attributes).await?);
    let object = attributes.object.take().unwrap_or(Value::Null);
    finish(call, options.dry_run, stored, old, object).await
}

fn check_uid(call: &Call, object: &Value, old: &Value) -> Result<(), ApiError> {
    let (wanted, uid) = (object::uid(object), object::uid(old));
    if wanted.is_empty() || wanted == uid {
        return Ok(());
    }
    let gr = call.gr();
    let group = if call.info.is_custom() { format!("{}/", gr.group) } else { String::new() };
    let place = if call.info.namespaced { format!("{}/{}", call.namespace, call.name) } else { call.name.clone() };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{group}{}/{place}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}",
        gr.resource
    );
    Err(ApiError::conflict(gr, &call.name, why))
}

/// Keeps apart what is written through the object and what through its status.
fn isolate(call: &Call, object: &mut Value, old: &Value) {
    match call.subresource.as_str() {
        "status" if call.info.is_custom() => {
            let status = object::remove(object, &["status"]);
            let managed = object::at(object, &["metadata", "managedFields"]).cloned();
            let version = object::at(object, &["metadata", "resourceVersion"]).cloned();
            let mut base = old.clone();
            for (path, value) in [(["metadata", "managedFields"], managed), (["metadata", "resourceVersion"], version)] {
                match value {
                    Some(value) => object::set(&mut base, &path, value),
                    None => {
                        object::remove(&mut base, &path);
                    }
                }
            }
            match status {
                Some(status) => object::set(&mut base, &["status"], status),
                None => {
                    object::remove(&mut base, &["status"]);
                }
            }
            *object = base;
        }
        "" | "scale" if call.has_status() => object::copy(object, old, &["status"]),
        _ => {}
    }
}

/// Generation and the kind's own preparation of an update.
fn prepare(call: &Call, object: &mut Value, old: &Value) -> Result<(), ApiError> {
    if let Some(strategy) = call.info.strategy() {
        strategy.prepare_update(&Context::of(call), object, old)?;
        // A binding is the scheduler's decision, not a change of what is wanted.
        if strategy.has_generation() && call.subresource != "binding" && object.get("spec") != old.get("spec") {
            meta::raise_generation(object, old);
        }
        return Ok(());
    }
    let has_status = call.has_status();
    let matters = |(key, _): &(&String, &Value)| *key != "metadata" && !(has_status && *key == "status");
    let same =
        |value: &Value| value.as_object().into_iter().flatten().filter(matters).eq(old.as_object().into_iter().flatten().filter(matters));
    if call.subresource != "status" && !same(object) {
        meta::raise_generation(object, old);
    }
    Ok(())
}

fn is_stored_as_now(call: &Call, stored: &Stored) -> bool {
    let as_now = |value: &Value| object::text(value, &["apiVersion"]) == call.info.gvk(call.info.storage_version()).api_version();
    !call.info.is_custom() || (call.info.is_current(stored) && as_now(&stored.value()))
}

/// Stores the result, unless nothing changed; removes an object whose last finalizer went.
async fn finish(
    call: &mut Call,
    dry_run: bool,
    stored: &Arc<Stored>,
    old: &Value,
    mut object: Value,
) -> Result<(Change, Object), ApiError> {
    object::set(&mut object, &["metadata", "resourceVersion"], stored.revision.to_string());
    if let Some(strategy) = call.info.strategy() {
        strategy.complete(&mut object);
    }
    let ends = object::is_terminating(&object)
        && object::finalizers(&object).is_empty()
        && object::number(&object, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
        && call.info.strategy().is_none_or(|strategy| strategy.may_end(&object));
    if dry_run {
        return Ok((Change::None, Object::Value(object)));
    }
    if ends {
        return match call.core.store.commit(stored.key.clone(), Expect::Revision(stored.revision), None) {
            Ok(gone) => {
                call.core.written(call, &gone).await?;
                Ok((Change::Removed, Object::Value(object)))
            }
            Err(StoreError::Missing) => Err(ApiError::not_found(call.gr(), &call.name)),
            Err(StoreError::Changed(_)) => Err(ApiError::modified(call.gr(), &call.name)),
            Err(error) => Err(ApiError::internal(error)),
        };
    }
    // A write that changes nothing still moves an object to how it is stored now: so storage is migrated.
    if object::same_but_version(&object, old) && is_stored_as_now(call, stored) {
        return Ok((Change::None, Object::Stored(stored.clone())));
    }
    let value = call.to_storage(object).await?;
    match call.core.store.commit(stored.key.clone(), Expect::Revision(stored.revision), Some(value)) {
        Ok(stored) => {
            call.core.written(call, &stored).await?;
            Ok((Change::Stored, Object::Stored(stored)))
        }
        Err(StoreError::Missing) => Err(ApiError::not_found(call.gr(), &call.name)),
        Err(StoreError::Changed(_)) => Err(ApiError::modified(call.gr(), &call.name)),
        Err(error) => Err(ApiError::internal(error)),
    }
}
