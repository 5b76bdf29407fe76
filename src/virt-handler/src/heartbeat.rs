//! The node's sign of life, its labels and its devices (node.md §10.1, §11, §12).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::names;
use async_trait::async_trait;
use hypervisor::Capabilities;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use planner::plan::{Action, ObjectRef, OnFailure, Patch, kinds};
use runtime::{Clock, Entropy, Executor};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::configuration::Configuration;
use crate::labels;

/// Between two signs of life, stretched by up to [`JITTER`].
const INTERVAL: Duration = Duration::from_mins(1);
const JITTER: f64 = 1.2;
/// Between two looks at the labels.
const LABELS: Duration = Duration::from_mins(3);
/// Between two tries of what failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long the last word may take.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Offers the node's devices to its kubelet.
#[async_trait]
pub trait DevicePlugins: Send + Sync {
    /// Offers so many devices of each resource; answers once the kubelet knows of them.
    ///
    /// # Errors
    /// What is wrong, in words; it is tried again.
    async fn register(&self, devices: &BTreeMap<String, u32>) -> Result<(), String>;
}

/// Offers devices by writing them into the node's status: for simulated kubelets, which have no device plugin API.
#[derive(Clone)]
pub struct AllocatablePatch {
    client: kube::Client,
    node: String,
}

impl std::fmt::Debug for AllocatablePatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AllocatablePatch").field("node", &self.node).finish_non_exhaustive()
    }
}

impl AllocatablePatch {
    /// Writes through `client`, which may write the status of nodes.
    pub fn new(client: kube::Client, node: &str) -> Self {
        Self { client, node: node.to_owned() }
    }
}

#[async_trait]
impl DevicePlugins for AllocatablePatch {
    async fn register(&self, devices: &BTreeMap<String, u32>) -> Result<(), String> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let amounts: BTreeMap<&String, String> = devices.iter().map(|(name, count)| (name, count.to_string())).collect();
        let patch = json!({"status": {"capacity": amounts, "allocatable": amounts}});
        let (params, patch) = (kube::api::PatchParams::default(), kube::api::Patch::Merge(patch));
        nodes.patch_status(&self.node, &params, &patch).await.map(drop).map_err(|error| error.to_string())
    }
}

/// Devices that the node offers without this process: it waits until the kubelet knows of them.
#[derive(Clone)]
pub struct AwaitedDevices {
    client: kube::Client,
    node: String,
}

impl std::fmt::Debug for AwaitedDevices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwaitedDevices").field("node", &self.node).finish_non_exhaustive()
    }
}

impl AwaitedDevices {
    /// Looks through `client`, which may read nodes.
    pub fn new(client: kube::Client, node: &str) -> Self {
        Self { client, node: node.to_owned() }
    }
}

#[async_trait]
impl DevicePlugins for AwaitedDevices {
    async fn register(&self, devices: &BTreeMap<String, u32>) -> Result<(), String> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = nodes.get(&self.node).await.map_err(|error| error.to_string())?;
        let offered = node.status.and_then(|status| status.allocatable).unwrap_or_default();
        let missing: Vec<&str> = devices.keys().filter(|name| !offered.contains_key(*name)).map(String::as_str).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("node {} does not offer {}", self.node, missing.join(", "))) }
    }
}

/// Says that the node is alive.
pub(crate) struct Heartbeat {
    pub(crate) node: String,
    pub(crate) client: kube::Client,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) executor: Executor,
    pub(crate) configuration: Configuration,
    pub(crate) capabilities: Arc<Capabilities>,
    pub(crate) plugins: Arc<dyn DevicePlugins>,
    pub(crate) max_devices: u32,
    pub(crate) label: bool,
}

impl Heartbeat {
    /// The node takes no guests: said before anything else, and last of all.
    pub(crate) async fn unschedulable(&self) -> bool {
        self.patch(json!({"metadata": {"labels": {names::NODE_SCHEDULABLE_LABEL: "false"}}})).await
    }

    /// Flow: offers the devices, labels the node, says that it takes guests, then says so again every minute.
    ///
    /// Guarantees: a node whose devices are not known to its kubelet takes no guests; the labels are written only when they change.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let work = async {
            let mut offered = self.devices();
            while let Err(error) = self.plugins.register(&offered).await {
                tracing::warn!(%error, "the devices could not be offered");
                tokio::time::sleep(RETRY).await;
            }
            let beats = async {
                loop {
                    // Feature gates come and go.
                    let devices = self.devices();
                    if devices != offered {
                        match self.plugins.register(&devices).await {
                            Ok(()) => offered = devices,
                            Err(error) => tracing::warn!(%error, "the devices could not be offered"),
                        }
                    }
                    let delay = if self.beat().await { self.entropy.jitter(INTERVAL, JITTER) } else { RETRY };
                    tokio::time::sleep(delay).await;
                }
            };
            let labels = async {
                loop {
                    let labelled = !self.label || self.update_labels().await;
                    let delay = if labelled { self.entropy.jitter(LABELS, JITTER) } else { RETRY };
                    tokio::time::sleep(delay).await;
                }
            };
            tokio::join!(labels, beats);
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = work => {}
        }
        // Nobody may be there to listen: then the missing heartbeat says it.
        let _ = tokio::time::timeout(LAST_WORD, self.unschedulable()).await;
    }

    /// The device plugins that are always there (node.md §11.1); others go with their feature gates.
    fn devices(&self) -> BTreeMap<String, u32> {
        let config = self.configuration.current();
        let mut devices: BTreeMap<String, u32> =
            [names::TUN_DEVICE, names::VHOST_NET_DEVICE].into_iter().map(|name| (name.to_owned(), self.max_devices)).collect();
        for (name, offered) in [
            (names::KVM_DEVICE, self.capabilities.kvm),
            (names::VHOST_VSOCK_DEVICE, config.gate("VSOCK")),
            (names::SEV_DEVICE, self.capabilities.sev && config.gate("WorkloadEncryptionSEV")),
        ] {
            if offered {
                devices.insert(name.to_owned(), self.max_devices);
            }
        }
        devices
    }

    async fn beat(&self) -> bool {
        // The timestamp is JSON text itself, as upstream marshals it (node.md §10.1).
        let now = format!("\"{}\"", self.clock.time().0);
        // Pinning of CPUs is the kubelet's secret; a simulated one has none.
        let labels = json!({
            names::NODE_SCHEDULABLE_LABEL: "true",
            names::CPU_MANAGER_LABEL: "false",
            names::CPU_MANAGER_K_LABEL: "false",
        });
        self.patch(json!({"metadata": {"labels": labels, "annotations": {names::HEARTBEAT_ANNOTATION: now}}})).await
    }

    async fn update_labels(&self) -> bool {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = match nodes.get(&self.node).await {
            Ok(node) => node,
            Err(error) => {
                tracing::warn!(%error, "the node's labels are not known");
                return false;
            }
        };
        let skip = node.metadata.annotations.unwrap_or_default().contains_key(names::LABELLER_SKIP_NODE_ANNOTATION);
        if skip {
            return true;
        }
        let wanted = labels::compute(&self.capabilities, &self.configuration.current());
        let changes = labels::changes(&node.metadata.labels.unwrap_or_default(), &wanted);
        changes.is_empty() || self.patch(json!({"metadata": {"labels": changes}})).await
    }

    async fn patch(&self, patch: Value) -> bool {
        let action = Action::Patch {
            object: ObjectRef::new(&kinds::NODE, None, &self.node),
            subresource: None,
            patch: Patch::Merge(patch),
            on_failure: OnFailure::default(),
        };
        match self.executor.apply(&[action]).await.failure {
            None => true,
            Some(failed) => {
                tracing::warn!(error = failed.message, "the node could not be written");
                false
            }
        }
    }
}
