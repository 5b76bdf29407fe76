//! Parameters of operations.

use serde_json::{Value, json};

/// A query parameter as documents write it.
fn query(name: &str, kind: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": kind, "uniqueItems": true},
    })
}

fn dry_run() -> Value {
    query(
        "dryRun",
        "string",
        "When present, indicates that modifications should not be persisted. An invalid or unrecognized dryRun directive \
         will result in an error response and no further processing of the request. Valid values are: - All: all dry run \
         stages will be processed",
    )
}

fn field_manager(patch: bool) -> Value {
    let mut description = "fieldManager is a name associated with the actor or entity that is making these changes. The \
                           value must be less than or 128 characters long, and only contain printable characters, as \
                           defined by https://golang.org/pkg/unicode/#IsPrint."
        .to_owned();
    if patch {
        description.push_str(
            " This field is required for apply requests (application/apply-patch) but optional for non-apply patch types \
             (JsonPatch, MergePatch, StrategicMergePatch).",
        );
    }
    query("fieldManager", "string", &description)
}

fn field_validation() -> Value {
    query(
        "fieldValidation",
        "string",
        "fieldValidation instructs the server on how to handle objects in the request (POST/PUT/PATCH) containing unknown \
         or duplicate fields. Valid values are: - Ignore: This will ignore any unknown fields that are silently dropped \
         from the object, and will ignore all but the last duplicate field that the decoder encounters. This is the \
         default behavior prior to v1.23. - Warn: This will send a warning via the standard warning response header for \
         each unknown field that is dropped from the object, and for each duplicate field that is encountered. The \
         request will still succeed if there are no other errors, and will only persist the last of any duplicate fields. \
         This is the default in v1.23+ - Strict: This will fail the request with a BadRequest error if any unknown fields \
         would be dropped from the object, or if any duplicate fields are present. The error returned from the server \
         will contain all unknown and duplicate fields encountered.",
    )
}

/// Of create and update.
pub(super) fn write() -> Value {
    json!([dry_run(), field_manager(false), field_validation()])
}

/// Of patch.
pub(super) fn patch() -> Value {
    let force = query(
        "force",
        "boolean",
        "Force is going to \"force\" Apply requests. It means user will re-acquire conflicting fields owned by other \
         people. Force flag must be unset for non-apply patch requests.",
    );
    json!([dry_run(), field_manager(true), field_validation(), force])
}

/// Of delete.
pub(super) fn delete() -> Value {
    json!([
        dry_run(),
        query("gracePeriodSeconds", "integer", "Seconds before the object is deleted; 0 deletes at once."),
        query("orphanDependents", "boolean", "Deprecated, use propagationPolicy."),
        query("propagationPolicy", "string", "What happens to dependents: Orphan, Background or Foreground."),
    ])
}

/// Of lists and watches.
pub(super) fn list() -> Value {
    json!([
        query("allowWatchBookmarks", "boolean", "Asks a watch for BOOKMARK events."),
        query("continue", "string", "Goes on with a list where a page ended."),
        query("fieldSelector", "string", "Restricts objects by their fields."),
        query("labelSelector", "string", "Restricts objects by their labels."),
        query("limit", "integer", "Most objects of a page."),
        query("resourceVersion", "string", "From which version to serve."),
        query("resourceVersionMatch", "string", "How resourceVersion is applied to lists."),
        query("sendInitialEvents", "boolean", "Lets a watch begin with the objects that there are."),
        query("timeoutSeconds", "integer", "Ends the call after this many seconds."),
        query("watch", "boolean", "Asks for changes instead of a list."),
    ])
}

/// Of every path, with those in braces.
pub(super) fn path(name: Option<&str>, namespaced: bool) -> Value {
    let mut list = Vec::new();
    let in_path = |name: &str, description: &str| {
        json!({
            "name": name,
            "in": "path",
            "description": description,
            "required": true,
            "schema": {"type": "string", "uniqueItems": true},
        })
    };
    if let Some(kind) = name {
        list.push(in_path("name", &format!("name of the {kind}")));
    }
    if namespaced {
        list.push(in_path("namespace", "object name and auth scope, such as for teams and projects"));
    }
    list.push(query("pretty", "string", "If 'true', then the output is pretty printed."));
    Value::Array(list)
}
