//! Schemas of fields whose Rust type says more than the CRD may: metadata inside templates keeps unknown fields.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Metadata of a template: any object, or null.
pub(crate) fn preserved_metadata(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true})
}

/// Metadata of an embedded object: any object.
pub(crate) fn preserved_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
