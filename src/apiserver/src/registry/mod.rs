//! The verbs on resources, generic over (group, version, resource).
//!
//! # Flow of a write
//! [`decode`] (size, media type, kind, strict fields, pruning, defaults) → managed fields → mutating admission →
//! the kind's `prepare` rules and [`meta`] → validation (schema, CEL, kind) → validating admission → store. Updates and
//! patches run this against what is stored and start again when somebody else was faster.
//!
//! # Guarantees
//! A write that changes nothing but the resource version is not stored: it keeps its revision and nobody is woken.
//! Nothing is stored and nobody is told when any step fails or when the request is a dry run.

pub mod continuation;
pub mod create;
pub mod decode;
pub mod delete;
pub mod delete_options;
pub mod list;
pub mod list_options;
pub mod meta;
pub mod names;
pub mod patch;
pub mod scalars;
pub mod scale;
pub mod subresources;
pub mod update;
pub mod validation;
pub mod watch;
pub mod write_options;
pub mod yaml;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::auth::UserInfo;
use crate::error::ApiError;
use crate::http::{Accepted, Body, Core, Query};
use crate::resource::{GroupResource, Gvk, ResourceInfo, VersionInfo};
use crate::schema::Schema;
use crate::store::{Key, Stored};

/// One request on a resource: who asks for what.
pub struct Call {
    /// The server.
    pub core: Arc<Core>,
    /// Who asks.
    pub user: UserInfo,
    /// The resource.
    pub info: Arc<ResourceInfo>,
    /// The version in the path.
    pub version: String,
    /// `get`, `list`, `create`, ….
    pub verb: String,
    /// Namespace, empty for cluster scope and for all namespaces.
    pub namespace: String,
    /// Object, empty for a collection.
    pub name: String,
    /// Subresource.
    pub subresource: String,
    /// What follows the subresource.
    pub rest: String,
    /// The query.
    pub query: Query,
    /// Encoding and shape of the answer.
    pub accepted: Accepted,
    /// `Content-Type`, as sent.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
    /// `User-Agent`, as sent.
    pub user_agent: String,
    /// Warnings for the answer, in order.
    pub warnings: Vec<String>,
}

/// An object of an answer: as stored, or made for this request.
#[derive(Debug, Clone)]
pub enum Object {
    /// As stored, in the storage version.
    Stored(Arc<Stored>),
    /// In the version of the request.
    Value(Value),
}

/// A list of an answer.
#[derive(Debug)]
pub struct Items {
    /// The objects.
    pub items: Vec<Object>,
    /// Revision of the snapshot; 0 when the answer has none.
    pub revision: u64,
    /// Token for the next page; empty on the last.
    pub continuation: String,
    /// Objects after this page, when known.
    pub remaining: Option<u64>,
}

/// What a verb answers.
#[derive(Debug)]
pub enum Output {
    /// One object of the resource, which content negotiation may turn into a Table or metadata only.
    Object(u16, Object),
    /// A list of objects.
    List(Items),
    /// Some other object, encoded as it is.
    Plain(u16, Value),
    /// A stream or a finished answer.
    Response(http::Response<Body>),
}

impl Call {
    /// Kind in the version of the request.
    pub fn gvk(&self) -> Gvk {
        self.info.gvk(&self.version)
    }

    /// Group and resource.
    pub fn gr(&self) -> &GroupResource {
        &self.info.gr
    }

    /// Where the object is kept.
    pub fn key(&self, name: &str) -> Key {
        let namespace = if self.info.namespaced { self.namespace.clone() } else { String::new() };
        Key::new(self.info.storage_resource(), namespace, name)
    }

    /// The version's description.
    pub fn version_info(&self) -> Option<&VersionInfo> {
        self.info.version(&self.version)
    }

    /// The schema of the request's version.
    pub fn schema(&self) -> Option<Arc<Schema>> {
        self.info.schema(&self.version)
    }

    /// Whether the kind has a status subresource, so that status is not written through the object itself.
    pub fn has_status(&self) -> bool {
        match self.info.strategy() {
            Some(strategy) => strategy.has_status(),
            None => self.version_info().is_some_and(|version| version.subresource_status),
        }
    }

    /// What clients see of a stored object in the request's version.
    pub async fn converted(&self, stored: &Stored) -> Result<Value, ApiError> {
        let mut value = self.read(stored);
        convert(&self.core, &self.info, &mut value, &self.info.gr, &self.version).await?;
        Ok(value)
    }

    /// A stored object as it is read now, in the version that it is stored in.
    pub fn read(&self, stored: &Stored) -> Value {
        let mut value = stored.value();
        if !self.info.is_current(stored) {
            crate::crd::refresh(&self.info, &mut value);
        }
        value
    }

    /// Whether the stored bytes are what a client of the request's version gets.
    pub fn is_verbatim(&self, stored: &Stored) -> bool {
        self.version == self.info.storage_version() && self.info.storage_resource() == self.info.gr && self.info.is_current(stored)
    }

    /// Whether objects have the metadata they are stored with in the request's version: only a webhook may change it.
    pub fn has_stored_metadata(&self) -> bool {
        self.version == self.info.storage_version() || !matches!(self.info.source, crate::resource::Source::Crd { conversion: Some(_), .. })
    }

    /// An object in the storage version, ready to be stored.
    pub async fn to_storage(&self, mut value: Value) -> Result<Value, ApiError> {
        if self.info.storage_version() != self.version || self.info.storage_resource() != self.info.gr {
            let version = self.info.storage_version();
            convert(&self.core, &self.info, &mut value, &self.info.storage_resource(), version).await?;
            if self.info.is_custom()
                && let Some(schema) = self.info.schema(version)
            {
                crate::schema::prune(&schema, &mut value);
                crate::schema::default(&schema, &mut value);
            }
        }
        Ok(value)
    }

    /// Adds a warning to the answer, once.
    pub fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

/// Brings an object into another version of its resource, or of the resource that stores it.
///
/// # Errors
/// The conversion webhook failed.
pub async fn convert(core: &Core, info: &ResourceInfo, value: &mut Value, to: &GroupResource, version: &str) -> Result<(), ApiError> {
    match info.strategy() {
        Some(strategy) => {
            strategy.convert(value, to, version);
            Ok(())
        }
        None => crate::crd::convert(core, info, value, version).await,
    }
}
