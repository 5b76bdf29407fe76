//! Which handler serves a request on a resource.

use super::{Call, Output, create, delete, list, patch, scale, update, watch};
use crate::builtin;
use crate::error::{ApiError, StatusDetails};

/// Serves a request on a resource; also returns the warnings of the answer.
pub async fn serve(mut call: Call) -> Result<(Output, Vec<String>), (ApiError, Vec<String>)> {
    if call.verb == "watch" {
        let warnings = call.warnings.clone();
        return watch::watch(call).map_err(|error| (error, warnings));
    }
    let result = match call.subresource.as_str() {
        _ if !is_routed(&call) => Err(not_allowed()),
        "" => object(&mut call).await,
        "status" if call.has_status() => status(&mut call).await,
        "scale" => scale::serve(&mut call).await,
        _ if call.info.is_custom() => Err(ApiError::not_found(&call.info.gr, &call.name)),
        _ => builtin::serve_subresource(&mut call).await,
    };
    let warnings = std::mem::take(&mut call.warnings);
    match result {
        Ok(output) => Ok((output, warnings)),
        Err(error) => Err((error, warnings)),
    }
}

/// Whether a built-in resource has the method at this path; custom ones take what comes and say what is missing.
fn is_routed(call: &Call) -> bool {
    if call.info.is_custom() {
        return true;
    }
    let verb = call.verb.as_str();
    if call.subresource.is_empty() {
        return match verb {
            "create" | "deletecollection" | "list" => call.name.is_empty(),
            "get" | "update" | "patch" | "delete" => !call.name.is_empty(),
            _ => false,
        };
    }
    let subresource =
        builtin::catalog::entry_of(call.gr()).and_then(|entry| entry.subresources.iter().find(|sub| sub.name == call.subresource));
    // One that does not exist is not found, whatever the method.
    subresource.is_none_or(|sub| sub.verbs.contains(&verb))
}

async fn object(call: &mut Call) -> Result<Output, ApiError> {
    if let Some(output) = builtin::serve_virtual(call).await? {
        return Ok(output);
    }
    if !call.info.verbs.is_empty() && !call.info.verbs.contains(&call.verb) {
        return Err(not_allowed());
    }
    match call.verb.as_str() {
        "get" => list::get(call).await,
        "list" => list::list(call).await,
        "create" => create::create(call).await,
        "update" => update::update(call).await,
        "patch" => patch::patch(call).await,
        "delete" => delete::delete(call).await,
        "deletecollection" => delete::delete_collection(call).await,
        verb => Err(ApiError::method_not_supported(call.gr(), verb)),
    }
}

/// 405 of a path that lacks the method altogether.
pub fn not_allowed() -> ApiError {
    let mut error = ApiError::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    error.details = Some(StatusDetails::default());
    error
}

async fn status(call: &mut Call) -> Result<Output, ApiError> {
    match call.verb.as_str() {
        "get" => list::get(call).await,
        "update" => update::update(call).await,
        "patch" => patch::patch(call).await,
        verb => Err(ApiError::method_not_supported(call.gr(), verb)),
    }
}
