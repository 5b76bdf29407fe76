//! Discovery documents: what groups, versions and resources there are, and whether the server is well.
//!
//! Documents are built when first asked for and kept until the set of resources changes. The aggregated form carries an
//! `ETag`; a client that has it gets 304.

mod documents;
mod health;
mod openid;

pub use documents::version_rank;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Response;
use http::header::{ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::request::Parts;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::http::negotiate::media_ranges;
use crate::http::{Body, Core, Encoding, RequestInfo, answer, wiring};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Documents by path and form, for one version of the registry.
#[derive(Debug, Default)]
pub struct Cache(Mutex<((u64, u64), BTreeMap<String, Document>)>);

#[derive(Debug, Clone)]
struct Document {
    json: Bytes,
    etag: String,
}

/// Serves requests outside of resources.
///
/// # Errors
/// 406 when the client accepts nothing that is offered.
pub fn serve(core: &Arc<Core>, request: &RequestInfo, parts: &Parts) -> Result<Response<Body>, ApiError> {
    if let Some(response) = wiring::openapi(core, &request.path, parts) {
        return Ok(response);
    }
    let read = matches!(parts.method.as_str(), "GET" | "HEAD");
    let path = request.path.trim_end_matches('/');
    if let Some(response) = health::serve(core, path, read, parts.uri.query()) {
        return Ok(response);
    }
    if let Some(response) = openid::serve(core, path, read) {
        return Ok(response);
    }
    if path == "/apis" || path == "/api" {
        let aggregated = media_ranges(&parts.headers).into_iter().find_map(|range| {
            let json = matches!(range.media.as_str(), "application/json" | "*/*" | "application/*");
            match range.parameter("as") {
                Some("APIGroupDiscoveryList") if json && range.parameter("v") == Some("v2") => Some(true),
                None if json || range.media == "application/yaml" => Some(false),
                _ => None,
            }
        });
        if aggregated == Some(true) {
            return Ok(aggregated_document(core, path, parts));
        }
    }
    let encoding = match crate::http::negotiate::negotiate(&parts.headers) {
        Ok(accepted) => accepted.encoding,
        Err(error) if path.starts_with("/api") => return Err(error),
        Err(_) => Encoding::Json,
    };
    match documents::plain(core, path) {
        Some(_) if !read && path != "/api" && path != "/apis" => Ok(method_not_allowed()),
        Some(document) => Ok(answer::value(200, encoding, &document)),
        None if path.starts_with("/api/") => Err(ApiError::unknown_resource()),
        None => Ok(answer::text(404, "404 page not found\n")),
    }
}

fn method_not_allowed() -> Response<Body> {
    answer::bytes(405, "application/json", "405: Method Not Allowed")
}

fn aggregated_document(core: &Core, path: &str, parts: &Parts) -> Response<Body> {
    let document = {
        let mut cache = core.discovery.0.lock().unwrap_or_else(PoisonError::into_inner);
        let version = (core.resources.version(), core.aggregation.version());
        if cache.0 != version {
            *cache = (version, BTreeMap::new());
        }
        cache
            .1
            .entry(path.to_owned())
            .or_insert_with(|| {
                let json = documents::aggregated(core, path == "/api").to_string();
                let etag = format!("{:X}", Sha256::digest(&json));
                Document { json: Bytes::from(json), etag: format!("\"{etag}\"") }
            })
            .clone()
    };
    let known = parts.headers.get_all(IF_NONE_MATCH).iter().any(|value| value.as_bytes() == document.etag.as_bytes());
    let mut response = if known { answer::bytes(304, AGGREGATED, Bytes::new()) } else { answer::bytes(200, AGGREGATED, document.json) };
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}
