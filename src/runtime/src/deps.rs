//! What every component is handed by the process that hosts it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{Clock, Entropy, Files, Net};

/// The outside world of a component; cheap to clone.
#[derive(Clone)]
pub struct Deps {
    /// The Kubernetes API.
    pub client: kube::Client,
    /// Where timestamps come from.
    pub clock: Clock,
    /// Where random values come from.
    pub entropy: Entropy,
    /// How to listen and dial.
    pub net: Arc<dyn Net>,
    /// Mounted files: certificates, mostly (`/etc/virt-api/certificates/tls.crt`).
    pub files: Files,
    /// Cancelled when the component has to stop.
    pub shutdown: CancellationToken,
    /// The pod's name: the identity in leases.
    pub pod_name: String,
    /// The namespace KubeVirt is installed in.
    pub namespace: String,
    /// The node the component runs on, where that matters.
    pub node_name: Option<String>,
    /// The address others reach the component at.
    pub pod_ip: Option<String>,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps")
            .field("pod_name", &self.pod_name)
            .field("namespace", &self.namespace)
            .field("node_name", &self.node_name)
            .field("pod_ip", &self.pod_ip)
            .finish_non_exhaustive()
    }
}
