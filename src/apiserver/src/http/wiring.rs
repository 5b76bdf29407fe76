//! Where the request path meets OpenAPI documents.

use std::sync::Arc;

use http::Response;
use http::request::Parts;

use super::{Body, Core};

/// Serves OpenAPI documents; `None` for other paths.
pub(crate) async fn openapi(_core: &Arc<Core>, _path: &str, _parts: &Parts) -> Option<Response<Body>> {
    None
}
