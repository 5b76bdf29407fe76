//! The cluster's configuration, as the KubeVirt resource says it now.

use std::sync::{Arc, PoisonError, RwLock};

use api::config::ClusterConfig;
use api::v1::KubeVirt;
use runtime::{Change, Store};

/// The configuration in force; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    current: Arc<RwLock<ClusterConfig>>,
}

impl Configuration {
    /// Follows the KubeVirt resource; an unusable one leaves the configuration as it was.
    pub(crate) fn follow(kubevirts: &Store<KubeVirt>) -> Self {
        let current = Arc::new(RwLock::new(ClusterConfig::from_kubevirt(None)));
        let followed = Self { current: Arc::clone(&current) };
        kubevirts.subscribe(move |change: &Change<'_, KubeVirt>| {
            let next = match change.new {
                Some(kubevirt) => ClusterConfig::try_from_kubevirt(kubevirt),
                None => Ok(ClusterConfig::from_kubevirt(None)),
            };
            match next {
                Ok(next) => *current.write().unwrap_or_else(PoisonError::into_inner) = next,
                Err(error) => tracing::warn!(%error, "the configuration stays as it was"),
            }
        });
        followed
    }

    /// The configuration now.
    pub(crate) fn current(&self) -> ClusterConfig {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
