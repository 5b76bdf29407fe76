//! delete and deletecollection.
//!
//! # Flow
//! Admission, preconditions, then one of: the object is removed; it is marked (deletion timestamp, grace period, finalizers
//! of the propagation policy) because finalizers or a grace period hold it; it is shortened when it is marked already.

use serde_json::{Value, json};

use super::create::attributes;
use super::delete_options::DeleteOptions;
use super::list::{Selection, select};
use super::list_options::ListOptions;
use super::{Call, Items, Object, Output};
use crate::admission;
use crate::builtin::Context;
use crate::error::ApiError;
use crate::object;
use crate::resource::GroupResource;
use crate::store::{Expect, StoreError, Stored};
use std::sync::Arc;

/// What a deletion did.
#[derive(Debug)]
pub enum Deleted {
    /// The object is gone; its last state.
    Gone(Value),
    /// The object is marked and waits.
    Waiting(Object),
}

/// Serves a delete request.
pub async fn delete(call: &mut Call) -> Result<Output, ApiError> {
    let options = DeleteOptions::parse(call)?;
    if let Some(text) = call.info.strategy().and_then(|strategy| strategy.delete_warning(&options)) {
        call.warn(text);
    }
    let returns_object = call.info.strategy().is_some_and(|strategy| strategy.delete_returns_object());
    match remove(call, &options).await? {
        Deleted::Waiting(object) => Ok(Output::Object(200, object)),
        Deleted::Gone(object) if returns_object => Ok(Output::Object(200, Object::Value(object))),
        Deleted::Gone(object) => {
            let mut details = json!({"name": call.name, "kind": call.info.gr.resource, "uid": object::uid(&object)});
            if !call.info.gr.group.is_empty() {
                object::set(&mut details, &["group"], call.info.gr.group.as_str());
            }
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
            Ok(Output::Plain(200, status))
        }
    }
}

/// Serves a deletecollection request: every object that the selectors match, as each is.
pub async fn delete_collection(call: &mut Call) -> Result<Output, ApiError> {
    let options = DeleteOptions::parse(call)?;
    let list = ListOptions::parse(&call.query, false)?;
    let selection = Selection::parse(call, &list)?;
    let namespace = (call.info.namespaced && !call.namespace.is_empty()).then_some(call.namespace.as_str());
    let (stored, revision) = call.core.store.list(&call.info.storage_resource(), namespace);
    let chosen = select(stored, &selection);
    let mut items = Vec::with_capacity(chosen.len());
    let (namespace, name) = (call.namespace.clone(), call.name.clone());
    for stored in chosen {
        items.push(Object::Stored(stored.clone()));
        call.namespace.clone_from(&stored.key.namespace);
        call.name.clone_from(&stored.key.name);
        match remove(call, &options).await {
            Err(error) if error.code != 404 => return Err(error),
            _ => {}
        }
    }
    call.namespace = namespace;
    call.name = name;
    Ok(Output::List(Items { items, revision, continuation: String::new(), remaining: None }))
}

/// Deletes one object, the call's.
pub async fn remove(call: &mut Call, options: &DeleteOptions) -> Result<Deleted, ApiError> {
    let key = call.key(&call.name.clone());
    let missing = |call: &Call| ApiError::not_found(call.gr(), &call.name);
    let mut admitted = false;
    loop {
        let Some(stored) = call.core.store.get(&key) else { return Err(missing(call)) };
        let old = call.converted(&stored).await?;
        if !admitted {
            admit(call, options, &old).await?;
            admitted = true;
            continue;
        }
        check_preconditions(call, options, &old)?;
        match step(call, options, &stored, &old).await {
            Err(error) if error.is_conflict() && call.core.store.get(&key).is_none_or(|now| now.revision != stored.revision) => {}
            other => return other,
        }
    }
}

async fn admit(call: &mut Call, options: &DeleteOptions, old: &Value) -> Result<(), ApiError> {
    let mut attributes =
        attributes(call, admission::Operation::Delete, None, Some(Arc::new(old.clone())), options.raw.clone(), options.dry_run);
    call.warnings.extend(call.core.admission.mutate(&mut attributes).await?);
    call.warnings.extend(call.core.admission.validate(&attributes).await?);
    Ok(())
}

fn check_preconditions(call: &Call, options: &DeleteOptions, old: &Value) -> Result<(), ApiError> {
    // The original names the kind here, not the resource.
    let about = GroupResource::new(call.info.gr.group.clone(), call.info.kind.clone());
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != object::uid(old)) {
        return Err(ApiError::conflict(
            &about,
            &call.name,
            format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
                 deleted and then recreated",
                object::uid(old)
            ),
        ));
    }
    let current = object::resource_version(old);
    if let Some(version) = options.resource_version.as_deref().filter(|version| *version != current) {
        return Err(ApiError::conflict(
            &about,
            &call.name,
            format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record \
                 ({current}). The object might have been modified"
            ),
        ));
    }
    Ok(())
}

/// One attempt against one stored revision.
async fn step(call: &mut Call, options: &DeleteOptions, stored: &Arc<Stored>, old: &Value) -> Result<Deleted, ApiError> {
    let strategy = call.info.strategy();
    let grace = strategy.and_then(|strategy| strategy.grace_period(&Context::of(call), old, options.grace_period));
    let default = strategy.and_then(|strategy| strategy.default_propagation(&call.version));
    let finalizers = options.finalizers(old, default);
    let changed_finalizers = finalizers.iter().map(String::as_str).ne(object::finalizers(old));
    let marked = object::is_terminating(old);
    let graceful = grace.is_some_and(|seconds| seconds > 0);
    let held = !finalizers.is_empty() || strategy.is_some_and(|strategy| strategy.holds(old));
    if !held && !graceful {
        let graceful_kind = grace.is_some();
        let over = marked && object::number(old, &["metadata", "deletionGracePeriodSeconds"]) == Some(0);
        if !graceful_kind || over {
            return gone(call, options, stored, old).await;
        }
        // A kind with grace periods is marked even when there is none, and then goes.
        let mut last = old.clone();
        mark(call, &mut last, 0);
        if !marked && object::number(old, &["metadata", "generation"]).is_some_and(|generation| generation > 0) {
            super::meta::raise_generation(&mut last, old);
        }
        if options.dry_run {
            return Ok(Deleted::Gone(last));
        }
        let value = call.to_storage(last.clone()).await?;
        let marked = call
            .core
            .store
            .commit(stored.key.clone(), Expect::Revision(stored.revision), Some(value))
            .map_err(|error| failed(call, &error))?;
        return gone(call, options, &marked, &last).await;
    }
    let mut object = old.clone();
    if finalizers.is_empty() {
        object::remove(&mut object, &["metadata", "finalizers"]);
    } else {
        object::set(&mut object, &["metadata", "finalizers"], json!(finalizers));
    }
    let grace = grace.unwrap_or(0);
    if marked {
        let left = object::number(old, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
        // A second deletion may shorten the grace period, never lengthen it; without one it changes nothing.
        if options.grace_period.is_some() && grace < left {
            mark(call, &mut object, grace);
        } else if !changed_finalizers {
            return Ok(Deleted::Waiting(Object::Stored(stored.clone())));
        }
    } else {
        mark(call, &mut object, grace);
        if object::number(old, &["metadata", "generation"]).is_some_and(|generation| generation > 0) {
            super::meta::raise_generation(&mut object, old);
        }
        if let Some(strategy) = strategy {
            strategy.prepare_delete(&mut object);
        }
    }
    if options.dry_run {
        return Ok(Deleted::Waiting(Object::Value(object)));
    }
    let value = call.to_storage(object).await?;
    match call.core.store.commit(stored.key.clone(), Expect::Revision(stored.revision), Some(value)) {
        Ok(stored) => {
            call.core.written(call, &stored).await?;
            Ok(Deleted::Waiting(Object::Stored(stored)))
        }
        Err(error) => Err(failed(call, &error)),
    }
}

/// Sets the time at which the grace period ends.
fn mark(call: &Call, object: &mut Value, grace: i64) {
    let now = (call.core.env.now)();
    let end = now.checked_add(jiff::SignedDuration::from_secs(grace)).unwrap_or(now);
    object::set(object, &["metadata", "deletionTimestamp"], crate::env::rfc3339(&end));
    object::set(object, &["metadata", "deletionGracePeriodSeconds"], grace);
}

async fn gone(call: &mut Call, options: &DeleteOptions, stored: &Arc<Stored>, old: &Value) -> Result<Deleted, ApiError> {
    if options.dry_run {
        return Ok(Deleted::Gone(old.clone()));
    }
    match call.core.store.commit(stored.key.clone(), Expect::Revision(stored.revision), None) {
        Ok(stored) => {
            call.core.written(call, &stored).await?;
            Ok(Deleted::Gone(old.clone()))
        }
        Err(error) => Err(failed(call, &error)),
    }
}

fn failed(call: &Call, error: &StoreError) -> ApiError {
    match error {
        StoreError::Missing => ApiError::not_found(call.gr(), &call.name),
        StoreError::Changed(_) => ApiError::modified(call.gr(), &call.name),
        error => ApiError::internal(error),
    }
}
