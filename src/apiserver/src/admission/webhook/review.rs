//! `AdmissionReview` v1: the question, the answer, and what may be wrong with an answer.
//!
//! Facts: `k8s.io/apiserver/pkg/admission/plugin/webhook/request/admissionreview.go`, `…/errors/statuserror.go`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::admission::Attributes;
use crate::error::{ApiError, StatusCause, StatusDetails, go_quote};
use crate::object;
use crate::resource::{Gvk, Gvr};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    kind: &'static str,
    api_version: &'static str,
    request: Asked<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    uid: &'a str,
    kind: Value,
    resource: Value,
    #[serde(skip_serializing_if = "str::is_empty")]
    sub_resource: &'a str,
    request_kind: Value,
    request_resource: Value,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_sub_resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    operation: &'static str,
    user_info: Value,
    object: Option<&'a Value>,
    old_object: Option<&'a Value>,
    dry_run: bool,
    options: &'a Value,
}

/// `{"group":…,"version":…,"kind":…}`.
pub(crate) fn kind_value(gvk: &Gvk) -> Value {
    json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind})
}

/// `{"group":…,"version":…,"resource":…}`.
pub(crate) fn resource_value(gvr: &Gvr) -> Value {
    json!({"group": gvr.group, "version": gvr.version, "resource": gvr.resource})
}

/// The review of a request, encoded.
pub(super) fn question(attributes: &Attributes, uid: &str) -> Result<Bytes, String> {
    let request = Asked {
        uid,
        kind: kind_value(&attributes.gvk),
        resource: resource_value(&attributes.gvr),
        sub_resource: &attributes.subresource,
        request_kind: kind_value(&attributes.request_kind),
        request_resource: resource_value(&attributes.request_resource),
        request_sub_resource: &attributes.subresource,
        name: &attributes.name,
        namespace: &attributes.namespace,
        operation: attributes.operation.as_str(),
        user_info: attributes.user.to_value(),
        object: attributes.object.as_ref(),
        old_object: attributes.old_object.as_deref(),
        dry_run: attributes.dry_run,
        options: &attributes.options,
    };
    let question = Question { kind: "AdmissionReview", api_version: "admission.k8s.io/v1", request };
    serde_json::to_vec(&question).map(Bytes::from).map_err(|error| error.to_string())
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reply {
    kind: String,
    api_version: String,
    response: Option<Response>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    uid: String,
    allowed: bool,
    status: Option<Value>,
    patch: Option<String>,
    patch_type: Option<String>,
    audit_annotations: Option<BTreeMap<String, String>>,
    warnings: Option<Vec<String>>,
}

/// A well-formed answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The refusal, or nothing.
    pub(super) denied: Option<Value>,
    /// A JSON patch.
    pub(super) patch: Option<Vec<u8>>,
    /// For the audit log.
    pub(super) audit: BTreeMap<String, String>,
    /// For the client.
    pub(super) warnings: Vec<String>,
}

/// Reads an answer to the question `uid`.
///
/// # Errors
/// The text after `failed calling webhook "x": `.
pub(super) fn answer(body: &[u8], uid: &str, mutating: bool) -> Result<Answer, String> {
    let reply: Reply =
        serde_json::from_slice(body).map_err(|error| format!("failed to call webhook: couldn't decode the response: {error}"))?;
    let invalid = |why: String| format!("received invalid webhook response: {why}");
    if reply.kind != "AdmissionReview" || reply.api_version != "admission.k8s.io/v1" {
        let (group, version) = reply.api_version.split_once('/').unwrap_or(("", &reply.api_version));
        let got = Gvk::new(group, version, reply.kind.as_str());
        return Err(invalid(format!("expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {got}")));
    }
    let response = reply.response.ok_or_else(|| invalid("webhook response was absent".to_owned()))?;
    if response.uid != uid {
        return Err(invalid(format!("expected response.uid={}, got {}", go_quote(uid), go_quote(&response.uid))));
    }
    let patch = response.patch.filter(|patch| !patch.is_empty());
    match (mutating, &patch, response.patch_type.as_deref()) {
        (false, Some(_), _) => return Err(invalid("validating webhook may not return response.patch".to_owned())),
        (false, None, Some(_)) => return Err(invalid("validating webhook may not return response.patchType".to_owned())),
        (true, Some(_), None) => {
            return Err(invalid("webhook returned response.patch but not response.patchType".to_owned()));
        }
        (true, None, Some(_)) => {
            return Err(invalid("webhook returned response.patchType but not response.patch".to_owned()));
        }
        (true, Some(_), Some(other)) if other != "JSONPatch" => {
            return Err(invalid(format!("webhook returned invalid response.patchType of {}", go_quote(other))));
        }
        _ => {}
    }
    let patch = match patch {
        Some(patch) => Some(STANDARD.decode(patch).map_err(|_| invalid("response.patch is not base64".to_owned()))?),
        None => None,
    };
    Ok(Answer {
        denied: (!response.allowed).then(|| response.status.unwrap_or_default()),
        patch,
        audit: response.audit_annotations.unwrap_or_default(),
        warnings: response.warnings.unwrap_or_default(),
    })
}

/// Reasons of `metav1.Status` that a refusal may carry.
const REASONS: [&str; 19] = [
    "Unauthorized",
    "Forbidden",
    "NotFound",
    "AlreadyExists",
    "Conflict",
    "Gone",
    "Invalid",
    "ServerTimeout",
    "StoreReadError",
    "Timeout",
    "TooManyRequests",
    "BadRequest",
    "MethodNotAllowed",
    "NotAcceptable",
    "RequestEntityTooLarge",
    "UnsupportedMediaType",
    "InternalError",
    "Expired",
    "ServiceUnavailable",
];

/// The client's error for a refusal with this `status`.
pub(super) fn refusal(webhook: &str, status: &Value) -> ApiError {
    let by = format!("admission webhook {} denied the request", go_quote(webhook));
    let (message, reason) = (object::text(status, &["message"]), object::text(status, &["reason"]));
    let message = match (message, reason) {
        ("", "") => format!("{by} without explanation"),
        ("", reason) => format!("{by}: {reason}"),
        (message, _) => format!("{by}: {message}"),
    };
    let code = object::number(status, &["code"]).and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    let reason = REASONS.iter().find(|known| **known == reason).copied().unwrap_or_default();
    let mut error = ApiError::new(code.unwrap_or(400), reason, message);
    error.details = status.get("details").filter(|d| d.is_object()).map(details);
    error
}

fn details(value: &Value) -> StatusDetails {
    let text = |value: &Value, field: &str| object::text(value, &[field]).to_owned();
    let cause = |cause: &Value| StatusCause { reason: text(cause, "reason"), message: text(cause, "message"), field: text(cause, "field") };
    StatusDetails {
        name: text(value, "name"),
        group: text(value, "group"),
        kind: text(value, "kind"),
        uid: text(value, "uid"),
        causes: object::list(value, &["causes"]).iter().map(cause).collect(),
        retry_after_seconds: object::number(value, &["retryAfterSeconds"]).and_then(|s| u32::try_from(s).ok()).unwrap_or(0),
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // Cases of a table come by value.
mod tests {
    use rstest::rstest;

    use super::*;

    fn reply(response: Value) -> Vec<u8> {
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}).to_string().into_bytes()
    }

    #[rstest]
    #[case(reply(json!({"uid": "v", "allowed": true})), true, "received invalid webhook response: expected response.uid=\"u\", got \"v\"")]
    #[case(reply(Value::Null), true, "received invalid webhook response: webhook response was absent")]
    #[case(reply(json!({"uid": "u", "allowed": true, "patch": "W10="})), true, "received invalid webhook response: webhook returned response.patch but not response.patchType")]
    #[case(reply(json!({"uid": "u", "allowed": true, "patch": "W10=", "patchType": "Merge"})), true, "received invalid webhook response: webhook returned invalid response.patchType of \"Merge\"")]
    #[case(reply(json!({"uid": "u", "allowed": true, "patch": "W10=", "patchType": "JSONPatch"})), false, "received invalid webhook response: validating webhook may not return response.patch")]
    #[case(b"{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1beta1\"}".to_vec(), true, "received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got admission.k8s.io/v1beta1, Kind=AdmissionReview")]
    fn bad_answers_are_told(#[case] body: Vec<u8>, #[case] mutating: bool, #[case] expected: &str) {
        assert_eq!(answer(&body, "u", mutating).unwrap_err(), expected);
    }

    #[rstest]
    #[case(json!({}), 400, "", "admission webhook \"w\" denied the request without explanation")]
    #[case(json!({"message": "no", "code": 200}), 400, "", "admission webhook \"w\" denied the request: no")]
    #[case(json!({"reason": "Invalid", "code": 422}), 422, "Invalid", "admission webhook \"w\" denied the request: Invalid")]
    #[case(json!({"message": "bad", "reason": "Forbidden", "code": 403}), 403, "Forbidden", "admission webhook \"w\" denied the request: bad")]
    fn refusals_read_as_those_of_kubernetes(#[case] status: Value, #[case] code: u16, #[case] reason: &str, #[case] message: &str) {
        let error = refusal("w", &status);
        assert_eq!((error.code, error.reason, error.message.as_str()), (code, reason, message));
    }
}
