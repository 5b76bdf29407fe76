//! Subresources and resources that are not stored as they are sent.

use crate::error::ApiError;
use crate::registry::{Call, Output};

/// Serves a subresource that is neither status nor scale.
pub async fn serve_subresource(call: &mut Call) -> Result<Output, ApiError> {
    Err(ApiError::not_found(&call.info.gr, &call.name))
}

/// Serves resources that are questions rather than objects; `None` for all others.
pub async fn serve_virtual(_call: &mut Call) -> Result<Option<Output>, ApiError> {
    Ok(None)
}
