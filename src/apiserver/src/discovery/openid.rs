//! How others can check service-account tokens: OpenID discovery of their issuer.
//!
//! Facts: `kubernetes/pkg/routes/openidmetadata.go` (paths, media types, caching).

use http::Response;
use http::header::{CACHE_CONTROL, HeaderValue};

use crate::auth::service_account::JWKS_PATH;
use crate::http::{Body, Core, answer};

const CONFIGURATION_PATH: &str = "/.well-known/openid-configuration";

/// Answers the paths of the issuer's documents; `None` for others, and for all when the server issues no tokens.
pub fn serve(core: &Core, path: &str, read: bool) -> Option<Response<Body>> {
    let tokens = core.tokens.as_ref()?;
    let (media_type, document) = match path {
        CONFIGURATION_PATH => ("application/json", tokens.openid_configuration()),
        JWKS_PATH => ("application/jwk-set+json", tokens.jwks()),
        _ => return None,
    };
    if !read {
        return Some(answer::bytes(405, "application/json", "405: Method Not Allowed"));
    }
    let mut response = answer::bytes(200, media_type, document.to_string());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    Some(response)
}
