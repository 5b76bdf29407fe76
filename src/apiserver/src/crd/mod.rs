//! CustomResourceDefinitions: from the object to resources that the server serves.
//!
//! # Flow
//! A definition is written like any object, with the rules of [`CustomResourceDefinition`] (defaults, validation,
//! stored versions). Right after the commit, before the client has its answer, [`follow`] settles what controllers do in
//! a real cluster: names are accepted or conflict ([`status`]), the definition is established, its resource is served
//! (`serve`), and a deleted definition takes its objects with it. So a `create` that was answered is served.
//!
//! # Guarantees
//! `follow` is idempotent and writes only what changes; definitions that did not change since they were last read are
//! not parsed again.

mod convert;
mod follow;
pub mod names;
mod serve;
mod shipped;
pub mod status;
mod strategy;
#[cfg(test)]
mod tests;
mod validation;

pub use convert::{convert, refresh};
pub use follow::follow;
pub use serve::{resource_info, version_order};
pub use shipped::Definitions;
pub use strategy::CustomResourceDefinition;
pub use validation::{validate, validate_update};

use crate::resource::GroupResource;

/// `customresourcedefinitions.apiextensions.k8s.io`.
pub fn definitions() -> GroupResource {
    GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions")
}

/// Holds a deleted definition until its objects are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
