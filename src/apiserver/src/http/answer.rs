//! Answers: objects, lists, tables and failures, encoded.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Accepted, Body, Encoding, Shape};
use crate::error::ApiError;
use crate::registry::{Call, Items, Object, Output};
use crate::store::Stored;
use crate::table;

/// An answer of bytes.
pub fn bytes(code: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer of plain text.
pub fn text(code: u16, body: impl Into<Bytes>) -> Response<Body> {
    bytes(code, "text/plain; charset=utf-8", body)
}

/// A stream of JSON lines.
pub fn stream(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An object, encoded.
pub fn value(code: u16, encoding: Encoding, value: &Value) -> Response<Body> {
    match encoding {
        Encoding::Json => {
            let mut body = value.to_string();
            body.push('\n');
            bytes(code, encoding.media_type(), body)
        }
        Encoding::Yaml => match serde_saphyr::to_string(value) {
            Ok(body) => bytes(code, encoding.media_type(), body),
            Err(failure) => error(Encoding::Json, &ApiError::internal(failure)),
        },
    }
}

/// A failure, encoded.
pub fn error(encoding: Encoding, error: &ApiError) -> Response<Body> {
    let mut response = value(error.code, encoding, &error.status());
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds warnings (`299 - "text"`) to an answer.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for text in warnings {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
        if let Ok(header) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(WARNING, header);
        }
    }
}

/// Encodes what a verb answered in the shape that the client accepts.
pub async fn output(call: &AnswerTo, output: Output) -> Result<Response<Body>, ApiError> {
    let accepted = call.0.accepted;
    if matches!(accepted.shape, Shape::Table(_)) && matches!(output, Output::Object(..) | Output::List(_)) {
        table::check_include(&call.0)?;
    }
    match output {
        Output::Response(response) => Ok(response),
        Output::Plain(code, object) => Ok(value(code, accepted.encoding, &object)),
        Output::Object(code, object) => object_answer(call, code, object, accepted).await,
        Output::List(items) => list_answer(call, items, accepted).await,
    }
}

/// The call that an answer is for, without its body.
pub struct AnswerTo(pub Call);

impl AnswerTo {
    async fn object(&self, object: Object) -> Result<Value, ApiError> {
        match object {
            Object::Stored(stored) => self.0.converted(&stored).await,
            Object::Value(value) => Ok(value),
        }
    }

    /// An object's metadata; the rest of a stored one is not read where that gives the same.
    async fn partial(&self, object: Object, version: &str) -> Result<Value, ApiError> {
        match object {
            Object::Stored(stored) if self.0.has_stored_metadata() => {
                let metadata: Value = serde_json::from_slice(&stored.metadata()).unwrap_or_default();
                Ok(table::partial(&json!({"metadata": metadata}), version))
            }
            other => Ok(table::partial(&self.object(other).await?, version)),
        }
    }
}

async fn object_answer(call: &AnswerTo, code: u16, object: Object, accepted: Accepted) -> Result<Response<Body>, ApiError> {
    match (accepted.shape, object) {
        (Shape::Plain, Object::Stored(stored)) if accepted.encoding == Encoding::Json && call.0.is_verbatim(&stored) => {
            Ok(bytes(code, Encoding::Json.media_type(), stored.json.clone()))
        }
        (Shape::Plain, object) => Ok(value(code, accepted.encoding, &call.object(object).await?)),
        (Shape::Partial(version), object) => Ok(value(code, accepted.encoding, &call.partial(object, version).await?)),
        (Shape::Table(version), object) => {
            let object = call.object(object).await?;
            let metadata = json!({"resourceVersion": crate::object::resource_version(&object)});
            let table = table::table(&call.0, &[object], version, true, &metadata);
            Ok(value(code, accepted.encoding, &table))
        }
        (Shape::PartialList(_), _) => Err(ApiError::new(500, "", "content is not a list")),
    }
}

async fn list_answer(call: &AnswerTo, list: Items, accepted: Accepted) -> Result<Response<Body>, ApiError> {
    let gvk = call.0.gvk();
    let custom = call.0.info.is_custom();
    let mut metadata = serde_json::Map::new();
    if custom || !list.continuation.is_empty() {
        metadata.insert("continue".into(), list.continuation.clone().into());
    }
    if let Some(remaining) = list.remaining {
        metadata.insert("remainingItemCount".into(), remaining.into());
    }
    metadata.insert("resourceVersion".into(), list.revision.to_string().into());
    let mut metadata = Value::Object(metadata);
    if accepted.shape == Shape::Plain && accepted.encoding == Encoding::Json {
        let stored: Option<Vec<&Stored>> = list
            .items
            .iter()
            .map(|item| match item {
                Object::Stored(stored) if call.0.is_verbatim(stored) => Some(stored.as_ref()),
                Object::Stored(_) | Object::Value(_) => None,
            })
            .collect();
        if let Some(stored) = stored {
            return Ok(bytes(200, Encoding::Json.media_type(), joined(call, &stored, &metadata)));
        }
    }
    if matches!(accepted.shape, Shape::Partial(_)) {
        let kind = if custom { "*unstructured.UnstructuredList".to_owned() } else { format!("*core.{}", call.0.info.list_kind) };
        let text = format!("you requested PartialObjectMetadata, but the requested object is a list ({kind})");
        return Err(ApiError::new(406, "NotAcceptable", text));
    }
    if matches!(accepted.shape, Shape::PartialList(_)) {
        metadata = json_without_empty(metadata);
    }
    let partial = match accepted.shape {
        Shape::Partial(version) | Shape::PartialList(version) => Some(version),
        Shape::Plain | Shape::Table(_) => None,
    };
    let mut objects = Vec::with_capacity(list.items.len());
    for item in list.items {
        objects.push(match partial {
            Some(version) => call.partial(item, version).await?,
            None => call.object(item).await?,
        });
    }
    let body = match accepted.shape {
        Shape::Table(version) => table::table(&call.0, &objects, version, true, &metadata),
        Shape::Partial(version) | Shape::PartialList(version) => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": metadata,
            "items": objects,
        }),
        Shape::Plain => {
            if !custom {
                for object in &mut objects {
                    crate::object::remove(object, &["kind"]);
                    crate::object::remove(object, &["apiVersion"]);
                }
            }
            json!({
                "kind": call.0.info.list_kind,
                "apiVersion": gvk.api_version(),
                "metadata": metadata,
                "items": objects,
            })
        }
    };
    Ok(value(200, accepted.encoding, &body))
}

/// List metadata of typed answers leaves out an empty token.
fn json_without_empty(mut metadata: Value) -> Value {
    if crate::object::text(&metadata, &["continue"]).is_empty() {
        crate::object::remove(&mut metadata, &["continue"]);
    }
    metadata
}

/// A list put together from stored bytes. Items of built-in kinds do not repeat their type.
fn joined(call: &AnswerTo, stored: &[&Stored], metadata: &Value) -> Vec<u8> {
    let custom = call.0.info.is_custom();
    let size: usize = stored.iter().map(|stored| stored.json.len() + 1).sum();
    let mut body = Vec::with_capacity(size + 256);
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
        json!(call.0.info.list_kind),
        json!(call.0.gvk().api_version())
    );
    body.extend_from_slice(head.as_bytes());
    for (index, stored) in stored.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        if custom {
            body.extend_from_slice(&stored.json);
        } else {
            body.push(b'{');
            body.extend_from_slice(stored.untyped());
        }
    }
    body.extend_from_slice(b"]}\n");
    body
}
