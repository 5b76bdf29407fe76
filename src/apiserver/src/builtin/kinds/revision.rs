//! `ControllerRevision`.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::builtin::gostruct;
use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError};
use crate::object;

/// Known data as clients wrote it, at most; above that the oldest answers are as for data in the usual form.
const MAX_KEPT: usize = 4096;

/// `ControllerRevision`: its data never changes.
#[derive(Debug)]
pub struct ControllerRevision;

impl ControllerRevision {
    /// Whether the data was sent as the server itself writes JSON: without spaces, members in order.
    fn is_canonical(cx: &Context<'_>) -> bool {
        if cx.content_type.contains("yaml") {
            return true;
        }
        let Ok(members) = serde_json::from_slice::<std::collections::BTreeMap<String, Box<RawValue>>>(cx.body) else { return true };
        let Some(sent) = members.get("data") else { return true };
        serde_json::from_str(sent.get()).is_ok_and(|value: Value| gostruct::canonical(&value) == sent.get())
    }
}

impl Strategy for ControllerRevision {
    fn raw_member(&self) -> Option<&'static str> {
        Some("data")
    }

    fn prepare_create(&self, cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        if !cx.dry_run && !Self::is_canonical(cx) {
            let mut uids = cx.core.spaced_revisions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if uids.len() >= MAX_KEPT {
                uids.clear();
            }
            uids.insert(object::uid(object).to_owned());
        }
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        if let Some(revision) = object::number(object, &["revision"]).filter(|revision| *revision < 0) {
            wrong.push(FieldError::invalid("revision", revision, "must be greater than or equal to 0"));
        }
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut wrong = self.validate(cx, object);
        // The original compares bytes: a patch makes them anew, so that it changes data that was sent in another form.
        let rewritten = || cx.core.spaced_revisions.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(object::uid(old));
        if object.get("data") != old.get("data") || (cx.verb == "patch" && rewritten()) {
            // The original prints the decoded object, which it never has.
            wrong.push(FieldError::invalid("data", json!({}), "field is immutable"));
        }
        wrong
    }
}
