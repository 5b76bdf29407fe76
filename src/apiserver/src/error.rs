//! Failures as clients see them: `metav1.Status` with the reasons and texts of `k8s.io/apimachinery/pkg/api/errors`,
//! and field errors as `k8s.io/apimachinery/pkg/util/validation/field` prints them.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::resource::{GroupResource, Gvk};

/// A failed request: the fields of a `metav1.Status` whose `status` is `Failure`.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// `metav1.StatusReason`, empty when unknown.
    pub reason: &'static str,
    /// The text for humans.
    pub message: String,
    /// What it was about.
    pub details: Option<StatusDetails>,
    /// Seconds for the `Retry-After` header.
    pub retry_after: Option<u32>,
}

/// `metav1.StatusDetails`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusDetails {
    /// Name of the object.
    pub name: String,
    /// API group.
    pub group: String,
    /// Resource (or kind, for invalid objects).
    pub kind: String,
    /// UID of the object.
    pub uid: String,
    /// Causes, in order.
    pub causes: Vec<StatusCause>,
    /// Seconds to wait before a retry; 0 when not said.
    pub retry_after_seconds: u32,
}

/// `metav1.StatusCause`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusCause {
    /// `metav1.CauseType`.
    pub reason: String,
    /// The text for humans.
    pub message: String,
    /// The field it is about.
    pub field: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl ApiError {
    /// A failure with nothing but code, reason and message.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, retry_after: None }
    }

    fn about(mut self, gr: &GroupResource, name: &str) -> Self {
        self.details =
            Some(StatusDetails { name: name.to_owned(), group: gr.group.clone(), kind: gr.resource.clone(), ..StatusDetails::default() });
        self
    }

    /// 404: the object does not exist.
    pub fn not_found(gr: &GroupResource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{gr} {name:?} not found")).about(gr, name)
    }

    /// 409: an object of that name exists.
    pub fn already_exists(gr: &GroupResource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{gr} {name:?} already exists")).about(gr, name)
    }

    /// 409: the object changed, or a precondition does not hold.
    pub fn conflict(gr: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {gr} {name:?}: {why}")).about(gr, name)
    }

    /// 409: the object was modified since the client read it.
    pub fn modified(gr: &GroupResource, name: &str) -> Self {
        Self::conflict(gr, name, "the object has been modified; please apply your changes to the latest version and try again")
    }

    /// 422: the object breaks rules of its kind. Equal messages are said once, as the aggregate does.
    pub fn invalid(gvk: &Gvk, name: &str, errors: &[FieldError]) -> Self {
        let kind = if gvk.group.is_empty() { gvk.kind.clone() } else { format!("{}.{}", gvk.kind, gvk.group) };
        let mut texts: Vec<String> = Vec::new();
        for error in errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let why = match texts.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = if why.is_empty() { format!("{kind} {name:?} is invalid") } else { format!("{kind} {name:?} is invalid: {why}") };
        let mut error = Self::new(422, "Invalid", message);
        error.details = Some(StatusDetails {
            name: name.to_owned(),
            group: gvk.group.clone(),
            kind: gvk.kind.clone(),
            causes: errors.iter().map(FieldError::cause).collect(),
            ..StatusDetails::default()
        });
        error
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 403 by the authorizer, which composed the whole reason: `User "u" cannot get resource "pods" in API group ""…`.
    pub fn forbidden(gr: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        let message = if gr.resource.is_empty() {
            format!("forbidden: {why}")
        } else if name.is_empty() {
            format!("{gr} is forbidden: {why}")
        } else {
            format!("{gr} {name:?} is forbidden: {why}")
        };
        Self::new(403, "Forbidden", message).about(gr, name)
    }

    /// 403 with the message as given.
    pub fn forbidden_msg(message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 410 `Expired`: the resource version or continue token is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 410 `Gone`.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(410, "Gone", message)
    }

    /// 410: a watch or list from a revision that has been compacted.
    pub fn too_old_resource_version(asked: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    /// 405: the resource does not do this.
    pub fn method_not_supported(gr: &GroupResource, action: &str) -> Self {
        let mut error = Self::new(405, "MethodNotAllowed", format!("{action} is not supported on resources of kind {:?}", gr.to_string()));
        error.details = Some(StatusDetails { group: gr.group.clone(), kind: gr.resource.clone(), ..StatusDetails::default() });
        error
    }

    /// 415.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!("the body of the request was in an unknown format - accepted media types include: {}", accepted.join(", ")),
        )
    }

    /// 406.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        Self::new(406, "NotAcceptable", format!("only the following media types are accepted: {}", accepted.join(", ")))
    }

    /// 413: the body is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity is too large: limit is {limit}"))
    }

    /// 500.
    pub fn internal(why: impl fmt::Display) -> Self {
        let why = why.to_string();
        let mut error = Self::new(500, "InternalError", format!("Internal error occurred: {why}"));
        error.details =
            Some(StatusDetails { causes: vec![StatusCause { message: why, ..StatusCause::default() }], ..StatusDetails::default() });
        error
    }

    /// 504, with the seconds after which a retry makes sense.
    pub fn timeout(message: impl fmt::Display, retry_after: u32) -> Self {
        let mut error = Self::new(504, "Timeout", format!("Timeout: {message}"));
        error.details = Some(StatusDetails { retry_after_seconds: retry_after, ..StatusDetails::default() });
        error.retry_after = (retry_after > 0).then_some(retry_after);
        error
    }

    /// 429, with the seconds after which a retry makes sense.
    pub fn too_many_requests(message: impl Into<String>, retry_after: u32) -> Self {
        let mut error = Self::new(429, "TooManyRequests", message);
        error.details = Some(StatusDetails { retry_after_seconds: retry_after, ..StatusDetails::default() });
        error.retry_after = (retry_after > 0).then_some(retry_after);
        error
    }

    /// 503.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 404 for a resource that is not served.
    pub fn unknown_resource() -> Self {
        let mut error = Self::new(404, "NotFound", "the server could not find the requested resource");
        error.details = Some(StatusDetails::default());
        error
    }

    /// A failure reported by some other server, for a status code that says it all (`NewGenericServerResponse`).
    pub fn generic_server_response(code: u16, verb: &str, gr: &GroupResource, name: &str, server_message: &str) -> Self {
        let (reason, message) = match code {
            409 if verb == "post" => ("AlreadyExists", "the server reported a conflict".to_owned()),
            409 => ("Conflict", "the server reported a conflict".to_owned()),
            404 => ("NotFound", "the server could not find the requested resource".to_owned()),
            400 => ("BadRequest", "the server rejected our request for an unknown reason".to_owned()),
            401 => ("Unauthorized", "the server has asked for the client to provide credentials".to_owned()),
            403 => ("Forbidden", server_message.to_owned()),
            405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource".to_owned()),
            422 => ("Invalid", "the server rejected our request due to an error in our request".to_owned()),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned()),
            504 => (
                "Timeout",
                "the server was unable to return a response in the time allotted, but may still be processing the request".to_owned(),
            ),
            429 => ("TooManyRequests", "the server has received too many requests and has asked us to try again later".to_owned()),
            500.. => ("InternalError", format!("an error on the server ({server_message:?}) has prevented the request from succeeding")),
            _ => ("", format!("the server responded with the status code {code} but did not return more information")),
        };
        let message = match (gr.resource.is_empty(), name.is_empty()) {
            (true, _) => message,
            (false, true) => format!("{message} ({verb} {gr})"),
            (false, false) => format!("{message} ({verb} {gr} {name})"),
        };
        let mut error = Self::new(code, reason, message).about(gr, name);
        if let Some(details) = &mut error.details
            && !server_message.is_empty()
        {
            details.causes.push(StatusCause {
                reason: "UnexpectedServerResponse".into(),
                message: server_message.to_owned(),
                field: String::new(),
            });
        }
        error
    }

    /// Whether this is a conflict that a retry on the latest version may solve.
    pub fn is_conflict(&self) -> bool {
        self.code == 409 && self.reason == "Conflict"
    }

    /// The `metav1.Status` object.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if let Some(map) = status.as_object_mut() {
            if !self.reason.is_empty() {
                map.insert("reason".into(), self.reason.into());
            }
            if let Some(details) = &self.details {
                map.insert("details".into(), details.to_value());
            }
        }
        status
    }
}

impl StatusDetails {
    /// The object on the wire, without empty members.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (key, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            if !text.is_empty() {
                map.insert(key.into(), text.as_str().into());
            }
        }
        if !self.causes.is_empty() {
            map.insert("causes".into(), self.causes.iter().map(StatusCause::to_value).collect());
        }
        if self.retry_after_seconds > 0 {
            map.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        Value::Object(map)
    }
}

impl StatusCause {
    fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (key, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                map.insert(key.into(), text.as_str().into());
            }
        }
        Value::Object(map)
    }
}

/// `field.ErrorType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldErrorKind {
    /// A value is needed.
    Required,
    /// The value breaks a rule.
    Invalid,
    /// The value is not one of a list.
    NotSupported,
    /// The value occurs twice.
    Duplicate,
    /// The value must not be there.
    Forbidden,
    /// The value is too long.
    TooLong,
    /// There are too many values.
    TooMany,
    /// The value has the wrong type.
    TypeInvalid,
    /// The value names something that does not exist.
    NotFound,
    /// The rule could not be evaluated.
    Internal,
}

impl FieldErrorKind {
    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }

    fn cause(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
        }
    }
}

/// `field.Error`: one broken rule; its `Display` is what the real server prints.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// Which kind of rule.
    pub kind: FieldErrorKind,
    /// Path of the field, `spec.containers[0].name`.
    pub field: String,
    /// The value found; `None` prints none.
    pub bad_value: Option<Value>,
    /// What the rule says.
    pub detail: String,
}

impl FieldError {
    /// A missing value.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind: FieldErrorKind::Required, field: field.into(), bad_value: None, detail: detail.into() }
    }

    /// A value that breaks a rule.
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self { kind: FieldErrorKind::Invalid, field: field.into(), bad_value: Some(value.into()), detail: detail.into() }
    }

    /// A value of the wrong type; `value` is usually the type's name.
    pub fn type_invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self { kind: FieldErrorKind::TypeInvalid, field: field.into(), bad_value: Some(value.into()), detail: detail.into() }
    }

    /// A value that is none of `supported`, which are printed in the order given.
    pub fn not_supported(field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = if list.is_empty() { String::new() } else { format!("supported values: {}", list.join(", ")) };
        Self { kind: FieldErrorKind::NotSupported, field: field.into(), bad_value: Some(value.into()), detail }
    }

    /// A value that must be unique and is not.
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { kind: FieldErrorKind::Duplicate, field: field.into(), bad_value: Some(value.into()), detail: String::new() }
    }

    /// A value that must not be there, or must not change.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind: FieldErrorKind::Forbidden, field: field.into(), bad_value: None, detail: detail.into() }
    }

    /// A value longer than `max` bytes.
    pub fn too_long(field: impl Into<String>, max: usize) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        Self { kind: FieldErrorKind::TooLong, field: field.into(), bad_value: None, detail: format!("may not be more than {max} {unit}") }
    }

    /// More values than `max`.
    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self {
            kind: FieldErrorKind::TooMany,
            field: field.into(),
            bad_value: Some(actual.into()),
            detail: format!("must have at most {max} {unit}"),
        }
    }

    /// A value that names something that does not exist.
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { kind: FieldErrorKind::NotFound, field: field.into(), bad_value: Some(value.into()), detail: String::new() }
    }

    /// A rule that could not be evaluated.
    pub fn internal(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind: FieldErrorKind::Internal, field: field.into(), bad_value: None, detail: detail.into() }
    }

    /// The text without the field, as causes carry it.
    pub fn body(&self) -> String {
        let kind = self.kind.text();
        let mut text = match (self.kind, &self.bad_value) {
            (FieldErrorKind::Required | FieldErrorKind::Forbidden | FieldErrorKind::TooLong | FieldErrorKind::Internal, _) | (_, None) => {
                kind.to_owned()
            }
            (_, Some(Value::String(s))) => format!("{kind}: {}", go_quote(s)),
            (_, Some(Value::Object(map))) if map.len() == 1 && map.contains_key(PRINTED) => {
                format!("{kind}: {}", map.get(PRINTED).and_then(Value::as_str).unwrap_or_default())
            }
            (_, Some(value)) => format!("{kind}: {value}"),
        };
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }

    /// The cause in a `metav1.Status`.
    pub fn cause(&self) -> StatusCause {
        StatusCause { reason: self.kind.cause().to_owned(), message: self.body(), field: self.field.clone() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// Marks a bad value that is text to print as it is.
const PRINTED: &str = "\u{0}printed";

/// A bad value that is printed as given, for structures whose members the original prints in the order of their Go type.
pub fn printed(text: impl Into<String>) -> Value {
    json!({ PRINTED: text.into() })
}

/// A string as Go's `%q` prints it: printable characters stay, others are escaped.
pub fn go_quote(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> GroupResource {
        GroupResource::new("", "pods")
    }

    #[test]
    fn texts_are_those_of_kubernetes() {
        assert_eq!(ApiError::not_found(&pods(), "a").message, "pods \"a\" not found");
        assert_eq!(
            ApiError::already_exists(&GroupResource::new("apps", "deployments"), "a").message,
            "deployments.apps \"a\" already exists"
        );
        let gvk = Gvk::new("apps", "v1", "Deployment");
        let one = FieldError::invalid("spec.replicas", -1, "must be greater than or equal to 0");
        assert_eq!(
            ApiError::invalid(&gvk, "d", std::slice::from_ref(&one)).message,
            "Deployment.apps \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        );
        let two = FieldError::required("spec.selector", "");
        assert_eq!(
            ApiError::invalid(&gvk, "d", &[one.clone(), two, one]).message,
            "Deployment.apps \"d\" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to 0, \
             spec.selector: Required value]"
        );
    }

    #[test]
    fn field_errors_print_values_as_go_does() {
        assert_eq!(FieldError::invalid("a", Value::Null, "x").body(), "Invalid value: null: x");
        assert_eq!(FieldError::invalid("a", "b\"c", "").body(), "Invalid value: \"b\\\"c\"");
        assert_eq!(FieldError::not_supported("a", "b", &["x", "y"]).body(), "Unsupported value: \"b\": supported values: \"x\", \"y\"");
        assert_eq!(FieldError::too_many("a", 5, 4).to_string(), "a: Too many: 5: must have at most 4 items");
    }
}
