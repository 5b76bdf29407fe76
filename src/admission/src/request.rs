//! Who asks for what (spec/admission.md §3.1).

use std::collections::BTreeMap;

use api::config::ClusterConfig;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// An object that goes.
    Delete,
}

/// The request under judgement, as far as rules look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requester {
    /// The user's name.
    pub username: String,
    /// Further facts about the user.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The node a service account token is bound to.
pub const NODE_NAME_EXTRA: &str = "authentication.kubernetes.io/node-name";

impl Requester {
    /// A user without further facts.
    pub fn named(username: impl Into<String>) -> Self {
        Self { username: username.into(), extra: BTreeMap::new() }
    }

    /// Whether the user is that component's service account.
    pub fn is_component(&self, config: &ClusterConfig, account: &str) -> bool {
        self.username == format!("system:serviceaccount:{}:{account}", config.namespace())
    }

    /// Whether the user is one of KubeVirt's own service accounts.
    pub fn is_kubevirt(&self, config: &ClusterConfig) -> bool {
        ["kubevirt-apiserver", "kubevirt-controller", "kubevirt-handler", "kubevirt-synchronization-controller"]
            .iter()
            .any(|account| self.is_component(config, account))
    }
}
