//! The cluster's configuration, as the KubeVirt resource says it now.

use std::sync::{Arc, PoisonError, RwLock};

use api::config::ClusterConfig;
use api::v1::KubeVirt;
use runtime::Change;

use crate::stores::Stores;

/// The configuration in force; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    current: Arc<RwLock<ClusterConfig>>,
}

impl Configuration {
    /// Follows the KubeVirt resource; an unusable one leaves the configuration as it was.
    pub(crate) fn follow(stores: &Stores) -> Self {
        let current = Arc::new(RwLock::new(ClusterConfig::from_kubevirt(None)));
        let followed = Self { current: Arc::clone(&current) };
        stores.kubevirts.subscribe(move |change: &Change<'_, KubeVirt>| {
            let next =
                change.new.map_or_else(|| Ok(ClusterConfig::from_kubevirt(None)), |kubevirt| ClusterConfig::try_from_kubevirt(kubevirt));
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
