//! Where the request path meets custom resource definitions, OpenAPI and aggregation.

use std::sync::Arc;

use http::Response;
use http::request::Parts;
use serde_json::Value;

use super::{Body, Core};
use crate::error::ApiError;
use crate::resource::{GroupResource, ResourceInfo, api_version};

/// The resource of CustomResourceDefinitions.
pub fn definitions() -> GroupResource {
    GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions")
}

/// Serves the custom resources that the stored definitions say.
pub fn follow_definitions(_core: &Core) {}

/// Brings a custom object into another version.
pub async fn convert(_core: &Core, info: &ResourceInfo, value: &mut Value, version: &str) -> Result<(), ApiError> {
    crate::object::set(value, &["apiVersion"], api_version(&info.gr.group, version));
    Ok(())
}

/// Serves OpenAPI documents; `None` for other paths.
pub async fn openapi(_core: &Arc<Core>, _path: &str, _parts: &Parts) -> Option<Response<Body>> {
    None
}
