//! All rules of an object together: metadata, schema, CEL, and the kind's own.

use serde_json::Value;

use super::{Call, meta};
use crate::builtin::Context;
use crate::cel;
use crate::error::{ApiError, FieldError, FieldErrorKind};
use crate::object;
use crate::resource::Gvk;
use crate::schema;
use crate::schema::path::NIL;

/// Checks a new object.
///
/// # Errors
/// 422 with every broken rule.
pub fn check_new(call: &Call, object: &Value) -> Result<(), ApiError> {
    let rule = call.info.strategy().map_or_else(Default::default, crate::builtin::Strategy::name_rule);
    let mut wrong = custom_type(call, object);
    wrong.extend(meta::validate_new(object, call.info.namespaced, rule));
    finish(call, object, None, wrong)
}

/// Checks an updated object.
///
/// # Errors
/// 422 with every broken rule.
pub fn check_update(call: &Call, object: &Value, old: &Value) -> Result<(), ApiError> {
    let mut wrong = custom_type(call, object);
    let metadata = meta::validate_update(object, old);
    // The original checks metadata once for all kinds and once in the kind's rules; its causes show both.
    wrong.extend(metadata.clone());
    wrong.extend(metadata);
    if call.info.is_custom() {
        meta::validate_common(object, &mut wrong);
    }
    finish(call, object, Some(old), wrong)
}

fn custom_type(call: &Call, object: &Value) -> Vec<FieldError> {
    let kind = object::kind(object);
    if call.info.is_custom() && kind != call.info.kind {
        return vec![FieldError::invalid("kind", kind, format!("must be {}", call.info.kind))];
    }
    let (version, expected) = (object::text(object, &["apiVersion"]), call.gvk().api_version());
    if call.info.is_custom() && version != expected {
        return vec![FieldError::invalid("apiVersion", version, format!("must be {expected}"))];
    }
    Vec::new()
}

fn finish(call: &Call, object: &Value, old: Option<&Value>, mut wrong: Vec<FieldError>) -> Result<(), ApiError> {
    match call.info.strategy() {
        Some(strategy) => {
            let context = Context::of(call);
            wrong.extend(match old {
                None => strategy.validate(&context, object),
                Some(old) => strategy.validate_update(&context, object, old),
            });
        }
        None => wrong.extend(custom(call, object, old, &wrong)),
    }
    if wrong.is_empty() {
        return Ok(());
    }
    // Events of both groups are checked by the rules of the one that stores them.
    let group = call.info.storage_resource().group;
    let gvk = Gvk { group, kind: object::kind(object).to_owned(), ..call.gvk() };
    Err(ApiError::invalid(&gvk, object::name(object), &wrong))
}

fn custom(call: &Call, object: &Value, old: Option<&Value>, before: &[FieldError]) -> Vec<FieldError> {
    let Some(schema) = call.schema() else { return Vec::new() };
    let scale = call.version_info().and_then(|version| version.subresource_scale.as_ref());
    let mut wrong = match old {
        Some(old) if call.subresource == "status" => schema::custom::validate_status(&schema, scale, object, old),
        _ => schema::custom::validate_object(&schema, scale, object, old),
    };
    let hidden =
        before.iter().any(|error| matches!(error.kind, FieldErrorKind::Required | FieldErrorKind::TooLong | FieldErrorKind::NotSupported));
    if hidden && schema.subtree.rules && !wrong.iter().any(|error| error.field == NIL) {
        let rules = cel::rules::validate(&schema, object, old).len();
        wrong.truncate(wrong.len().saturating_sub(rules));
        wrong.push(FieldError::invalid(
            NIL,
            Value::Null,
            "some validation rules were not checked because the object was invalid; correct the existing errors to \
             complete validation",
        ));
    }
    wrong
}
