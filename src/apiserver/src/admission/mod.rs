//! Admission: what may be added to an object, and whether it may be stored, before anybody sees it.
//!
//! # Flow
//! [`Chain::mutate`]: built-in plugins, then mutating policies and mutating webhooks one after the other; when a later one
//! changes the object, the built-in plugins and those with `reinvocationPolicy: IfNeeded` see it once more.
//! [`Chain::validate`]: built-in plugins, validating policies, validating webhooks (all at once), and the resource quota
//! last, since it books what is about to be stored.
//!
//! # Guarantees
//! Plugins run in the order of kube-apiserver. Webhooks are dialled through the injected connector and timed by tokio's
//! clock, so a run on a paused clock is repeatable.

mod limit_ranger;
mod matching;
mod namespace_lifecycle;
mod nodes;
mod pod_defaults;
pub mod pod_security;
mod policy;
mod priority;
pub mod quantity;
pub mod quota;
mod service_account;
mod storage;
pub mod validation;
pub mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::auth::{Authorizer, UserInfo};
use crate::env::Env;
use crate::error::ApiError;
use crate::object;
use crate::resource::{GroupResource, Gvk, Gvr, Registry};
use crate::store::{Key, Store};

/// A text for a `Warning` header.
pub type Warning = String;

/// What is done to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It is new.
    Create,
    /// It replaces another.
    Update,
    /// It goes away.
    Delete,
    /// A subresource is connected to (`exec`, `proxy`).
    Connect,
}

impl Operation {
    /// As in webhook rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// One object on its way into the store, as plugins see it.
#[derive(Debug, Clone)]
pub struct Attributes {
    /// Who asks.
    pub user: UserInfo,
    /// For what.
    pub operation: Operation,
    /// Kind of the object.
    pub gvk: Gvk,
    /// Resource in the path.
    pub gvr: Gvr,
    /// Subresource, empty for the resource itself.
    pub subresource: String,
    /// Namespace, empty for cluster scope.
    pub namespace: String,
    /// Name; may be empty while a name is still to be generated.
    pub name: String,
    /// The new object; none for a deletion.
    pub object: Option<Value>,
    /// The object as stored; none for a creation.
    pub old_object: Option<Arc<Value>>,
    /// `CreateOptions`, `UpdateOptions`, `DeleteOptions`.
    pub options: Value,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// Kind in the request, when it was converted for a plugin; else as `gvk`.
    pub request_kind: Gvk,
    /// Resource in the request; else as `gvr`.
    pub request_resource: Gvr,
}

impl Attributes {
    /// Attributes of a request that nothing was converted for.
    #[allow(clippy::too_many_arguments)] // A record; every caller has all of it at hand.
    pub fn new(
        user: UserInfo,
        operation: Operation,
        gvk: Gvk,
        gvr: Gvr,
        subresource: String,
        namespace: String,
        name: String,
        object: Option<Value>,
        old_object: Option<Arc<Value>>,
        options: Value,
        dry_run: bool,
    ) -> Self {
        let (request_kind, request_resource) = (gvk.clone(), gvr.clone());
        Self {
            user,
            operation,
            gvk,
            gvr,
            subresource,
            namespace,
            name,
            object,
            old_object,
            options,
            dry_run,
            request_kind,
            request_resource,
        }
    }

    /// Group and resource.
    pub fn gr(&self) -> GroupResource {
        self.gvr.group_resource()
    }

    /// Whether this is about the resource itself.
    fn is(&self, group: &str, resource: &str) -> bool {
        self.gvr.group == group && self.gvr.resource == resource && self.subresource.is_empty()
    }

    /// 403 by a plugin.
    fn forbidden(&self, why: impl fmt::Display) -> ApiError {
        ApiError::forbidden(&self.gr(), self.shown_name(), why)
    }

    /// The name for messages: that of the object, or the prefix of one to be generated.
    fn shown_name(&self) -> &str {
        let of = |path: &[&str]| self.object.as_ref().map_or("", |o| object::text(o, path));
        [self.name.as_str(), of(&["metadata", "name"]), of(&["metadata", "generateName"]), "Unknown"]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default()
    }
}

/// The plugins of a server; clones share their caches.
#[derive(Clone)]
pub struct Chain {
    env: Env,
    store: Store,
    registry: Registry,
    authorizer: Authorizer,
    webhooks: Arc<webhook::Webhooks>,
    policies: Arc<policy::Policies>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chain")
    }
}

impl Chain {
    /// The plugins that are on by default in kube-apiserver.
    pub fn new(env: Env, store: Store, registry: Registry, authorizer: Authorizer) -> Self {
        Self {
            webhooks: Arc::new(webhook::Webhooks::new(env.clone(), store.clone())),
            policies: Arc::default(),
            env,
            store,
            registry,
            authorizer,
        }
    }

    /// The client of all webhooks, for those of conversion.
    pub fn webhook_client(&self) -> &webhook::client::Client {
        self.webhooks.client()
    }

    /// Lets plugins, policies and webhooks change the object.
    ///
    /// # Errors
    /// A plugin or webhook refuses, a policy fails, or a webhook that must answer does not.
    pub async fn mutate(&self, attributes: &mut Attributes) -> Result<Vec<Warning>, ApiError> {
        self.mutate_in_tree(attributes)?;
        let mut warnings = Vec::new();
        if matching::is_exempt(attributes) {
            return Ok(warnings);
        }
        let mut policies = policy::mutating::Run::first(self, attributes)?;
        webhook::mutate(self, attributes, &mut policies, &mut warnings).await?;
        Ok(warnings)
    }

    /// Asks plugins, policies and webhooks whether the object may be stored as it is.
    ///
    /// # Errors
    /// One of them refuses, or a webhook that must answer does not.
    pub async fn validate(&self, attributes: &Attributes) -> Result<Vec<Warning>, ApiError> {
        let mut warnings = Vec::new();
        limit_ranger::validate(self, attributes)?;
        pod_security::validate(self, attributes, &mut warnings)?;
        priority::validate(self, attributes)?;
        storage::validate(self, attributes)?;
        if !matching::is_exempt(attributes) {
            policy::validate(self, attributes, &mut warnings)?;
            webhook::validate(self, attributes, &mut warnings).await?;
        }
        quota::validate(self, attributes)?;
        Ok(warnings)
    }

    /// The built-in plugins that change objects; also run again after a webhook changed one.
    fn mutate_in_tree(&self, attributes: &mut Attributes) -> Result<(), ApiError> {
        namespace_lifecycle::admit(self, attributes)?;
        limit_ranger::admit(self, attributes);
        service_account::admit(self, attributes)?;
        nodes::admit(attributes);
        priority::admit(self, attributes)?;
        pod_defaults::admit(attributes);
        storage::admit(self, attributes);
        Ok(())
    }

    /// A stored object.
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = Key::new(GroupResource::new(group, resource), namespace, name);
        self.store.get(&key).map(|stored| stored.value())
    }

    /// All stored objects of a resource, of one namespace or of all.
    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Value> {
        self.store.list(&GroupResource::new(group, resource), namespace).0.iter().map(|stored| stored.value()).collect()
    }

    /// The labels of a namespace; `None` when it does not exist.
    fn namespace_labels(&self, name: &str) -> Option<BTreeMap<String, String>> {
        self.store.get(&Key::new(GroupResource::new("", "namespaces"), "", name)).map(|stored| stored.labels.clone())
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // Cases of a table come by value.
mod tests;
