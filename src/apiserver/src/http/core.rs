//! The state that all requests share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::admission::Chain;
use crate::aggregation::Aggregator;
use crate::auth::service_account::ServiceAccountTokens;
use crate::auth::{Authentication, Authorizer};
use crate::env::Env;
use crate::error::ApiError;
use crate::registry::Call;
use crate::resource::{GroupResource, Registry};
use crate::store::{Store, Stored};

/// What kubelets answer through the API server: logs, and connections into pods.
#[async_trait::async_trait]
pub trait Kubelet: Send + Sync {
    /// The log of a container as a body; `query` is the request's (`container`, `follow`, `tailLines`, …).
    async fn logs(&self, node: &str, namespace: &str, pod: &str, query: &super::Query) -> Result<http::Response<super::Body>, ApiError>;
}

/// The server's state.
pub struct Core {
    /// Clock, randomness, connections.
    pub env: Env,
    /// All objects.
    pub store: Store,
    /// All resources.
    pub resources: Registry,
    /// Who asks.
    pub authentication: Authentication,
    /// Makes service-account tokens.
    pub tokens: Option<Arc<ServiceAccountTokens>>,
    /// May they.
    pub authorizer: Authorizer,
    /// Admission plugins, webhooks and policies.
    pub admission: Chain,
    /// Reaches kubelets.
    pub kubelet: Option<Arc<dyn Kubelet>>,
    /// Discovery documents, rebuilt when resources change.
    pub discovery: crate::discovery::Cache,
    /// OpenAPI documents, rebuilt when resources change.
    pub openapi: crate::openapi::OpenApi,
    /// Aggregated API servers.
    pub aggregation: Aggregator,
    /// Addresses and node ports of Services.
    pub service_addresses: crate::builtin::Addresses,
    /// UIDs of ControllerRevisions whose data was not sent in the form that the server writes.
    pub(crate) spaced_revisions: Mutex<std::collections::BTreeSet<String>>,
    /// Revision of the definitions that [`Core::resources`] reflects.
    pub(crate) definitions: Mutex<u64>,
    /// Selectable fields that the store computes, by custom resource.
    pub(crate) indexed: Mutex<BTreeMap<GroupResource, Vec<String>>>,
}

/// A selectable field's name and value; missing ones are empty.
fn field(value: &serde_json::Value, path: &str) -> (String, String) {
    let name = path.trim_start_matches('.');
    let parts: Vec<&str> = name.split('.').collect();
    let text = match crate::object::at(value, &parts) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    (name.to_owned(), text)
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Core({:?})", self.store)
    }
}

impl Core {
    /// Waits until a commit cannot be lost, then lets those follow it who must before the client knows.
    pub async fn written(&self, call: &Call, stored: &Stored) -> Result<(), ApiError> {
        self.store.durable(stored.revision).await.map_err(ApiError::internal)?;
        match (call.info.gr.group.as_str(), call.info.gr.resource.as_str()) {
            ("apiextensions.k8s.io", _) => self.follow_definitions(),
            ("rbac.authorization.k8s.io", "clusterroles") => {
                crate::auth::rbac::aggregation::aggregate(&self.store).map_err(ApiError::internal)?;
            }
            _ => {}
        }
        // The last object of a deleted definition takes the definition with it.
        if matches!(call.info.source, crate::resource::Source::Crd { terminating: true, .. }) {
            self.definitions_changed();
        }
        Ok(())
    }

    /// Makes the store compute the selectable fields of custom resources.
    fn index_custom_fields(&self) {
        let mut indexed = self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
        for info in self.resources.all().iter().filter(|info| info.is_custom()) {
            let mut paths: Vec<String> = info.versions.iter().flat_map(|v| v.selectable_fields.clone()).collect();
            paths.sort();
            paths.dedup();
            if indexed.get(&info.gr) == Some(&paths) || (paths.is_empty() && !indexed.contains_key(&info.gr)) {
                continue;
            }
            indexed.insert(info.gr.clone(), paths.clone());
            self.store.set_indexer(&info.gr, Arc::new(move |value| paths.iter().map(|path| field(value, path)).collect()));
        }
    }

    /// Looks at the definitions again although none was written.
    fn definitions_changed(&self) {
        *self.definitions.lock().unwrap_or_else(PoisonError::into_inner) = 0;
        self.follow_definitions();
    }

    /// Serves the custom resources that the stored definitions say.
    pub fn follow_definitions(&self) {
        let gr = crate::crd::definitions();
        let mut seen = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != self.store.last_write(&gr) {
            crate::crd::follow(&self.store, &self.resources, &self.env);
            *seen = self.store.last_write(&gr);
            self.index_custom_fields();
        }
    }
}
