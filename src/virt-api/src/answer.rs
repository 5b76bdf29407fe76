//! Answers: Status objects, plain text, JSON.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use planner::subresource::Refusal;
use serde_json::{Value, json};

/// What every handler returns.
pub type Answer = Response<Full<Bytes>>;

/// A body with its type.
pub fn with(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// No body.
pub fn empty(code: StatusCode) -> Answer {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = code;
    response
}

/// Plain text.
pub fn text(code: StatusCode, body: impl Into<Bytes>) -> Answer {
    with(code, "text/plain", body)
}

/// JSON, 200.
pub fn json(body: &Value) -> Answer {
    with(StatusCode::OK, "application/json", body.to_string())
}

/// A refusal as `metav1.Status`, as PUT handlers answer (spec/api.md §2.3).
pub fn status(refusal: &Refusal) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": refusal.message, "reason": refusal.reason, "code": refusal.code,
    });
    with(StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), "application/json", body.to_string())
}

/// A refusal as plain text with 500, as GET handlers of JSON answer (spec/api.md §2.3).
pub fn read_failure(refusal: &Refusal) -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, refusal.message.clone())
}

/// 500 with what the API server said.
pub fn internal(error: &kube::Error) -> Refusal {
    Refusal::internal(refusal(error).message)
}

/// The refusal behind an error of the Kubernetes API.
pub fn refusal(error: &kube::Error) -> Refusal {
    match error {
        kube::Error::Api(status) => Refusal { code: status.code, reason: reason(status.code), message: status.message.clone() },
        other => Refusal::internal(other),
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        _ => "InternalError",
    }
}
