//! The patch types of PATCH requests besides server-side apply: JSON patch, JSON merge patch, strategic merge patch.
//!
//! All three are pure: the live object and the patch in, the patched object out. Error texts and codes are
//! kube-apiserver's (`patch-json-patch-errors`, `patch-merge-patch` and `patch-strategic-pod-and-service` of the parity
//! recordings). Server-side apply is [`crate::fieldmanager::apply`].

pub mod gofmt;
pub mod gojson;
mod json;
mod merge;
mod restore;
mod strategic;
#[cfg(test)]
mod tests;

pub(crate) use json::tested_patch;
pub use json::{MAX_OPERATIONS, json_patch, json_patch_unknown_fields};
pub use merge::{merge_patch, merge_values};
pub(crate) use restore::is_text_union;
pub use strategic::strategic_merge;

use crate::error::ApiError;

/// What a PATCH body is, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// `application/json-patch+json` (RFC 6902).
    Json,
    /// `application/merge-patch+json` (RFC 7386).
    Merge,
    /// `application/strategic-merge-patch+json`, built-in kinds only.
    Strategic,
    /// `application/apply-patch+yaml`, server-side apply.
    Apply,
}

const CUSTOM: [&str; 3] = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
const BUILTIN: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

impl PatchType {
    /// The type of a request's `Content-Type`; parameters (`;charset=…`) are ignored.
    ///
    /// # Errors
    /// 415 naming the accepted types; strategic merge patch is refused for custom resources.
    pub fn of(content_type: &str, custom_resource: bool) -> Result<Self, ApiError> {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        match media {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !custom_resource => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ if custom_resource => Err(ApiError::unsupported_media_type(&CUSTOM)),
            _ => Err(ApiError::unsupported_media_type(&BUILTIN)),
        }
    }
}

/// 500 without reason: how kube-apiserver reports an error that is no API status.
pub(crate) fn plain_error(message: impl Into<String>) -> ApiError {
    ApiError::new(500, "", message)
}

/// The bare 422 that kube-apiserver gives for patches that cannot be applied.
pub(crate) fn unprocessable() -> ApiError {
    let mut error = ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request");
    error.details = Some(crate::error::StatusDetails::default());
    error
}
