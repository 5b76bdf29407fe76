//! patch: JSON patch, merge patch, strategic merge patch, server-side apply.

use serde_json::Value;

use super::create::{manager, match_namespace, store_new};
use super::decode::{self, BODY_LIMIT, Decoded};
use super::update::{Tracking, check_name, replace};
use super::write_options::{FieldValidation, WriteKind, WriteOptions};
use super::{Call, Output};
use crate::error::{ApiError, FieldError};
use crate::fieldmanager::{self, Operation};
use crate::object;
use crate::patch::{self, PatchType};

/// Serves a patch request.
pub async fn patch(call: &mut Call) -> Result<Output, ApiError> {
    if call.name.is_empty() {
        return Err(ApiError::bad_request("name must be provided"));
    }
    let kind = PatchType::of(&call.content_type, call.info.is_custom())?;
    let options = WriteOptions::parse(&call.query, WriteKind::Patch { apply: kind == PatchType::Apply })?;
    if call.body.len() > BODY_LIMIT {
        return Err(ApiError::too_large(BODY_LIMIT));
    }
    match kind {
        PatchType::Apply => apply(call, &options).await,
        _ => change(call, &options, kind).await,
    }
}

/// The changed object of a JSON, merge or strategic merge patch, decoded again as if it had been sent.
pub fn changed(call: &mut Call, kind: PatchType, validation: FieldValidation, old: &Value) -> Result<Value, ApiError> {
    let body = call.body.clone();
    let strict = match kind {
        PatchType::Json => patch::json_patch_unknown_fields(&body),
        PatchType::Merge | PatchType::Strategic => repeated(&body),
        PatchType::Apply => Vec::new(),
    };
    let mut patched = patched(call, kind, old)?;
    // A custom resource's version is checked with its other fields, not while decoding.
    let expected = call.gvk().api_version();
    let given = object::text(&patched, &["apiVersion"]).to_owned();
    let moved = call.info.is_custom() && given != expected;
    if moved {
        object::set(&mut patched, &["apiVersion"], expected);
    }
    let decoded = Decoded { value: patched, strict };
    let result = decode::finish(&call.info.clone(), &call.version.clone(), decoded, validation, &mut call.warnings);
    let mut object = match result {
        Ok(object) => object,
        // The refusal quotes the whole object, which decoding took apart.
        Err(error) => return Err(undecodable(&self::patched(call, kind, old)?.to_string(), &error)),
    };
    if moved {
        object::set(&mut object, &["apiVersion"], given);
    }
    Ok(object)
}

fn patched(call: &Call, kind: PatchType, old: &Value) -> Result<Value, ApiError> {
    let body = &call.body;
    match kind {
        PatchType::Json => patch::json_patch(old, body),
        PatchType::Merge => patch::merge_patch(old, body),
        PatchType::Strategic => {
            let parsed = patch::gojson::parse(body).map_err(|why| ApiError::bad_request(format!("error decoding patch: {why}")))?;
            patch::strategic_merge(old, &parsed, call.schema().as_deref())
        }
        PatchType::Apply => Err(ApiError::internal("an apply is not a change")),
    }
}

fn repeated(body: &[u8]) -> Vec<String> {
    decode::parse(body, false).map(|decoded| decoded.strict).unwrap_or_default()
}

/// A patched object that does not decode is reported as a bad patch.
fn undecodable(text: &str, error: &ApiError) -> ApiError {
    let Some((_, why)) = error.message.split_once(" cannot be handled as a ") else { return error.clone() };
    let why = why.split_once(": ").map_or(why, |(_, why)| why);
    let wrong = FieldError::invalid("patch", text, why);
    ApiError::invalid(&crate::resource::Gvk::default(), "", &[wrong])
}

async fn change(call: &mut Call, options: &WriteOptions, kind: PatchType) -> Result<Output, ApiError> {
    let validation = options.field_validation;
    let name = call.name.clone();
    let (_, object) = replace(call, options, WriteKind::Patch { apply: false }, Tracking::Update, |call, old| {
        let mut object = changed(call, kind, validation, old)?;
        match_namespace(call, &mut object)?;
        check_name(&name, &object)?;
        Ok(object)
    })
    .await?;
    Ok(Output::Object(200, object))
}

async fn apply(call: &mut Call, options: &WriteOptions) -> Result<Output, ApiError> {
    let decoded = decode::parse(&call.body, true)
        .map_err(|why| ApiError::bad_request(format!("error decoding YAML: error converting YAML to JSON: {why}")))?;
    let mut applied = decoded.value;
    if options.field_validation == FieldValidation::Strict && !decoded.strict.is_empty() {
        return Err(ApiError::bad_request(format!("error strict decoding YAML: {}", decoded.strict.join(", "))));
    }
    if options.field_validation == FieldValidation::Warn {
        for text in decoded.strict {
            call.warn(text);
        }
    }
    if !applied.is_object() {
        return Err(ApiError::bad_request("error decoding YAML: the patch is not an object"));
    }
    let who = manager(call, options, Operation::Apply);
    let force = options.force.unwrap_or(false);
    let kind = WriteKind::Patch { apply: true };
    if object::name(&applied).is_empty() {
        object::set(&mut applied, &["metadata", "name"], call.name.as_str());
    }
    let key = call.key(&call.name.clone());
    loop {
        if call.core.store.get(&key).is_none() {
            if !call.subresource.is_empty() {
                return Err(ApiError::not_found(call.gr(), &call.name));
            }
            if !object::uid(&applied).is_empty() {
                return Err(uid_of_absent(call, &applied));
            }
            let object = fieldmanager::apply(None, &applied, &who, force, call.schema().as_deref())?;
            let object = complete(call, object)?;
            match store_new(call, object, options, kind, Tracking::Settled).await {
                // Somebody else created it meanwhile: apply to that.
                Err(error) if error.reason == "AlreadyExists" && !options.dry_run => {}
                other => return other.map(|object| Output::Object(201, object)),
            }
        }
        let replaced = replace(call, options, kind, Tracking::Settled, |call, old| {
            let mut object = fieldmanager::apply(Some(old), &applied, &who, force, call.schema().as_deref())?;
            let version = object::resource_version(&applied);
            if !version.is_empty() {
                object::set(&mut object, &["metadata", "resourceVersion"], version);
            }
            complete(call, object)
        })
        .await;
        match replaced {
            // Somebody else removed it meanwhile: create it.
            Err(error) if error.code == 404 && call.subresource.is_empty() => {}
            other => return other.map(|(_, object)| Output::Object(200, object)),
        }
    }
}

fn uid_of_absent(call: &Call, applied: &Value) -> ApiError {
    ApiError::conflict(
        call.gr(),
        &call.name,
        format!("uid mismatch: the provided object specified uid {}, and no existing object was found", object::uid(applied)),
    )
}

/// Checks name and namespace of an applied object, and fills in defaults.
fn complete(call: &mut Call, object: Value) -> Result<Value, ApiError> {
    let mut object = object;
    match_namespace(call, &mut object)?;
    check_name(&call.name, &object)?;
    let decoded = Decoded { value: object, strict: Vec::new() };
    decode::finish(&call.info.clone(), &call.version.clone(), decoded, FieldValidation::Ignore, &mut call.warnings)
}
