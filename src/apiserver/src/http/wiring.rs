//! Where the request path meets OpenAPI documents.

use std::sync::Arc;

use http::Response;
use http::request::Parts;

use super::{Body, Core};

/// Serves OpenAPI documents; `None` for other paths.
pub(crate) fn openapi(core: &Arc<Core>, path: &str, parts: &Parts) -> Option<Response<Body>> {
    if !matches!(parts.method.as_str(), "GET" | "HEAD") {
        return None;
    }
    if !path.starts_with("/openapi/") {
        return None;
    }
    let response = core.openapi.serve(path, parts.uri.query(), &parts.headers, &core.aggregation.openapi_v3())?;
    Some(response.map(Body::whole))
}
