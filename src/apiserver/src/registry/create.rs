//! create: POST to a collection.

use serde_json::Value;

use super::update::Tracking;
use super::write_options::{WriteKind, WriteOptions, manager_of};
use super::{Call, Object, Output, decode, meta, validation};
use crate::admission;
use crate::builtin::Context;
use crate::error::ApiError;
use crate::fieldmanager;
use crate::object;
use crate::store::{Expect, StoreError};

/// Attempts at a free generated name.
const NAME_ATTEMPTS: usize = 8;

/// Serves a create request.
pub async fn create(call: &mut Call) -> Result<Output, ApiError> {
    if matches!(call.info.source, crate::resource::Source::Crd { terminating: true, .. }) {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(ApiError::forbidden(call.gr(), "", why));
    }
    let options = WriteOptions::parse(&call.query, WriteKind::Create)?;
    let object = decode::body(call, options.field_validation)?;
    let created = store_new(call, object, &options, WriteKind::Create, Tracking::Update).await?;
    Ok(Output::Object(201, created))
}

/// The manager of a write.
pub fn manager(call: &Call, options: &WriteOptions, operation: fieldmanager::Operation) -> fieldmanager::Manager {
    let name = if options.field_manager.is_empty() { manager_of(&call.user_agent) } else { options.field_manager.clone() };
    let tracked = match call.subresource.as_str() {
        "status" if call.info.is_custom() => fieldmanager::Tracked::only(&["status"]),
        "status" => fieldmanager::Tracked::except(&["spec"]),
        _ if call.has_status() => fieldmanager::Tracked::except(&["status"]),
        _ => fieldmanager::Tracked::All,
    };
    fieldmanager::Manager {
        name,
        operation,
        api_version: call.gvk().api_version(),
        subresource: call.subresource.clone(),
        // The original's scale handler gives no time.
        time: if call.subresource == "scale" { String::new() } else { call.core.env.timestamp() },
        tracked,
    }
}

/// Checks that a body's namespace is that of the path, and sets it.
pub fn match_namespace(call: &Call, object: &mut Value) -> Result<(), ApiError> {
    let wanted = if call.info.namespaced { call.namespace.as_str() } else { "" };
    let given = object::namespace(object).to_owned();
    if given == wanted {
        return Ok(());
    }
    if given.is_empty() && !wanted.is_empty() {
        object::set(object, &["metadata", "namespace"], wanted);
        return Ok(());
    }
    if wanted.is_empty() {
        // A cluster-scoped kind loses a namespace by mistake of the client; validation then says so.
        object::remove(object, &["metadata", "namespace"]);
        return Ok(());
    }
    Err(ApiError::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

/// Admission attributes of this call.
pub fn attributes(
    call: &Call,
    operation: admission::Operation,
    object: Option<Value>,
    old: Option<std::sync::Arc<Value>>,
    options: Value,
    dry_run: bool,
) -> admission::Attributes {
    let name = match object.as_ref() {
        Some(object) if call.name.is_empty() => object::name(object).to_owned(),
        _ => call.name.clone(),
    };
    admission::Attributes::new(
        call.user.clone(),
        operation,
        call.gvk(),
        call.info.gvr(&call.version),
        call.subresource.clone(),
        if call.info.namespaced { call.namespace.clone() } else { String::new() },
        name,
        object,
        old,
        options,
        dry_run,
    )
}

/// Stores a new object after all checks.
pub async fn store_new(
    call: &mut Call,
    mut object: Value,
    options: &WriteOptions,
    kind: WriteKind,
    tracking: Tracking,
) -> Result<Object, ApiError> {
    if !object::resource_version(&object).is_empty() {
        return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    match_namespace(call, &mut object)?;
    if !call.name.is_empty() && object::name(&object).is_empty() {
        object::set(&mut object, &["metadata", "name"], call.name.as_str());
    }
    // Kinds that are compiled in decide themselves what of a status a client may bring.
    if call.has_status() && call.info.is_custom() {
        object::remove(&mut object, &["status"]);
    }
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        object::remove(&mut object, &["metadata", key]);
    }
    // Admission and rules of the kind see the object as it will be, but for what the server sets.
    if tracking == Tracking::Update {
        let who = manager(call, options, fieldmanager::Operation::Update);
        fieldmanager::track_update(None, &mut object, &who, call.schema().as_deref());
    }
    let mut attributes = attributes(call, admission::Operation::Create, Some(object), None, options.to_value(kind), options.dry_run);
    call.warnings.extend(call.core.admission.mutate(&mut attributes).await?);
    let mut object = attributes.object.take().unwrap_or(Value::Null);
    meta::fill_new(&call.core.env, &mut object, if call.info.namespaced { &call.namespace } else { "" });
    let generated = object::name(&object).is_empty() && !object::text(&object, &["metadata", "generateName"]).is_empty();
    let base = generated.then(|| object.clone());
    for attempt in 1.. {
        if let Some(base) = base.as_ref().filter(|_| attempt > 1) {
            object = base.clone();
        }
        meta::generate_name(&call.core.env, &mut object);
        prepare(call, &mut object)?;
        validation::check_new(call, &object)?;
        warn(call, &object, None);
        let mut seen = std::mem::replace(&mut attributes.name, object::name(&object).to_owned());
        attributes.object = Some(object);
        let warnings = call.core.admission.validate(&attributes).await?;
        std::mem::swap(&mut attributes.name, &mut seen);
        call.warnings.extend(warnings);
        object = attributes.object.take().unwrap_or(Value::Null);
        if let Some(strategy) = call.info.strategy() {
            strategy.complete(&mut object);
        }
        let name = object::name(&object).to_owned();
        match commit_new(call, &name, object, options.dry_run).await {
            Err(error) if generated && error.reason == "AlreadyExists" => {
                if attempt == NAME_ATTEMPTS {
                    return Err(generate_exhausted(call, &name));
                }
                object = Value::Null;
            }
            other => return other,
        }
    }
    Err(ApiError::internal("no attempt was made"))
}

fn generate_exhausted(call: &Call, name: &str) -> ApiError {
    let mut error = ApiError::already_exists(call.gr(), name);
    error.retry_after = Some(1);
    error
}

/// The kind's own preparation of a new object.
fn prepare(call: &Call, object: &mut Value) -> Result<(), ApiError> {
    let strategy = call.info.strategy();
    if strategy.is_none_or(|strategy| strategy.has_generation()) {
        object::set(object, &["metadata", "generation"], 1);
    } else {
        object::remove(object, &["metadata", "generation"]);
    }
    strategy.map_or(Ok(()), |strategy| strategy.prepare_create(&Context::of(call), object))
}

/// Warnings of the kind.
pub fn warn(call: &mut Call, object: &Value, old: Option<&Value>) {
    let texts = match call.info.strategy() {
        Some(strategy) => strategy.warnings(&Context::of(call), object, old),
        None => meta::finalizer_warnings(object, old),
    };
    for text in texts {
        call.warn(text);
    }
}

async fn commit_new(call: &Call, name: &str, object: Value, dry_run: bool) -> Result<Object, ApiError> {
    let key = call.key(name);
    let exists = |terminating: bool| {
        let mut error = ApiError::already_exists(call.gr(), name);
        if terminating {
            error.message = format!("object is being deleted: {}", error.message);
        }
        error
    };
    if dry_run {
        return match call.core.store.get(&key) {
            Some(stored) => Err(exists(object::is_terminating(&stored.value()))),
            None => Ok(Object::Value(object)),
        };
    }
    let stored = call.to_storage(object).await?;
    match call.core.store.commit(key.clone(), Expect::Absent, Some(stored)) {
        Ok(stored) => {
            call.core.written(call, &stored).await?;
            Ok(Object::Stored(stored))
        }
        Err(StoreError::Exists(_)) => {
            let terminating = call.core.store.get(&key).is_some_and(|stored| object::is_terminating(&stored.value()));
            Err(exists(terminating))
        }
        Err(error) => Err(ApiError::internal(error)),
    }
}
