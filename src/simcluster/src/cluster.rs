//! Putting a cluster together and holding it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use apiserver::env::{Entropy, Env, Now, rfc3339, rfc3339_micro};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::controllers::{
    data_volumes, disruption, endpoints, ephemeral, garbage, namespace, node_lifecycle, service_account, volumes, workloads,
};
use crate::kubelet::agent::Agent;
use crate::kubelet::{Images, Logs, NodeSpec, PodNetwork, Prober};
use crate::owners::Owners;
use crate::pods;
use crate::recorder::Recorder;
use crate::scheduler::Scheduler;
use crate::storage::StorageClassSpec;
use crate::store::{Key, Store, lock, spawn_watch};

/// What all parts of a cluster share; cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) now: Now,
    pub(crate) entropy: Entropy,
    pub(crate) recorder: Recorder,
    pub(crate) logs: Logs,
    pub(crate) stop: CancellationToken,
    pub(crate) pods: Arc<Store<Pod>>,
    pub(crate) owners: Arc<Owners>,
    pub(crate) nodes: Arc<Store<Node>>,
    pub(crate) namespaces: Arc<Store<Namespace>>,
    pub(crate) claims: Arc<Store<PersistentVolumeClaim>>,
    pub(crate) volumes: Arc<Store<PersistentVolume>>,
    pub(crate) classes: Arc<Store<StorageClass>>,
}

impl Shared {
    fn new(client: Client, env: &Env, logs: Option<Logs>) -> Self {
        let pods = Store::trimmed(pods::forget_start);
        Self {
            owners: Owners::new(&pods),
            pods,
            recorder: Recorder::new(client.clone(), env.now.clone(), env.entropy.clone()),
            logs: logs.unwrap_or_else(|| Logs::new(env.now.clone())),
            client,
            now: env.now.clone(),
            entropy: env.entropy.clone(),
            stop: CancellationToken::new(),
            nodes: Store::new(),
            namespaces: Store::new(),
            claims: Store::new(),
            volumes: Store::new(),
            classes: Store::new(),
        }
    }

    /// The present, as `metav1.Time`.
    pub(crate) fn timestamp(&self) -> String {
        rfc3339(&(self.now)())
    }

    /// The present, as `metav1.MicroTime`.
    pub(crate) fn micro_timestamp(&self) -> String {
        rfc3339_micro(&(self.now)())
    }
}

/// A cluster to be started.
pub struct Builder {
    client: kube::Client,
    env: Env,
    nodes: Vec<NodeSpec>,
    images: Images,
    prober: Option<Arc<dyn Prober>>,
    container_events: bool,
    root_certificate: String,
    storage_classes: Vec<StorageClassSpec>,
    data_volumes: bool,
    upload_proxy: Option<String>,
    logs: Option<Logs>,
    network: PodNetwork,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Builder({} nodes)", self.nodes.len())
    }
}

impl Builder {
    /// The nodes that are there from the start.
    #[must_use]
    pub fn nodes(mut self, nodes: impl IntoIterator<Item = NodeSpec>) -> Self {
        self.nodes.extend(nodes);
        self
    }

    /// What images do.
    #[must_use]
    pub fn images(mut self, images: Images) -> Self {
        self.images = images;
        self
    }

    /// Who answers probes; without one they all succeed.
    #[must_use]
    pub fn prober(mut self, prober: Arc<dyn Prober>) -> Self {
        self.prober = Some(prober);
        self
    }

    /// Whether kubelets write the events Pulled, Created and Started for each container (on by default; three writes each).
    #[must_use]
    pub fn container_events(mut self, on: bool) -> Self {
        self.container_events = on;
        self
    }

    /// The PEM text of the API server's certificate authority, for the ConfigMap `kube-root-ca.crt` of every namespace.
    #[must_use]
    pub fn root_certificate(mut self, pem: impl Into<String>) -> Self {
        self.root_certificate = pem.into();
        self
    }

    /// Where containers print to: the value that the API server has as its kubelet.
    #[must_use]
    pub fn logs(mut self, logs: Logs) -> Self {
        self.logs = Some(logs);
        self
    }

    /// Where pods get their addresses from, instead of [`PodNetwork::default`].
    #[must_use]
    pub fn pod_network(mut self, network: PodNetwork) -> Self {
        self.network = network;
        self
    }

    /// The storage classes that are there from the start, instead of [`StorageClassSpec::defaults`].
    #[must_use]
    pub fn storage_classes(mut self, classes: impl IntoIterator<Item = StorageClassSpec>) -> Self {
        self.storage_classes = classes.into_iter().collect();
        self
    }

    /// Whether DataVolumes are filled (off by default); the API server has to know them: [`crate::data_volume_definitions`].
    #[must_use]
    pub fn data_volumes(mut self, on: bool) -> Self {
        self.data_volumes = on;
        self
    }

    /// Where disk images are uploaded to, for the configuration that users look up.
    #[must_use]
    pub fn upload_proxy(mut self, url: impl Into<String>) -> Self {
        self.upload_proxy = Some(url.into());
        self
    }

    /// Starts everything; returns at once.
    pub fn start(self) -> SimClusterHandle {
        let Self {
            client,
            env,
            nodes,
            images,
            prober,
            container_events,
            root_certificate,
            storage_classes,
            data_volumes,
            upload_proxy,
            logs,
            network,
        } = self;
        let shared = Shared::new(Client(client), &env, logs);
        let inner = Arc::new(Inner {
            registered: watch::Sender::new(0),
            agents: Mutex::default(),
            images,
            prober,
            container_events,
            network,
            shared: shared.clone(),
        });
        let counting = inner.clone();
        shared.nodes.on_change(move |_| counting.registered.send_modify(|count| *count += 1));
        let scheduler = Scheduler::new(&shared);
        let listener = inner.clone();
        shared.pods.on_change(move |change| match (change.old, change.new) {
            (_, Some(pod)) => {
                if let Some(agent) = listener.agent(pods::node(pod)) {
                    agent.pod_changed(pod);
                }
            }
            (Some(pod), None) => {
                if let Some(agent) = listener.agent(pods::node(pod)) {
                    agent.pod_gone(change.key, pod.metadata.uid.as_deref().unwrap_or_default());
                }
            }
            (None, None) => {}
        });
        namespace::start(&shared);
        node_lifecycle::start(&shared);
        workloads::start(&shared);
        endpoints::start(&shared);
        ephemeral::start(&shared);
        disruption::start(&shared);
        volumes::start(&shared, storage_classes);
        if data_volumes {
            data_volumes::start(&shared, upload_proxy);
        }
        service_account::start(&shared, root_certificate);
        for node in nodes {
            inner.add_node(node);
        }
        spawn_watch(shared.client.clone(), shared.namespaces.clone(), shared.stop.clone());
        spawn_watch(shared.client.clone(), shared.classes.clone(), shared.stop.clone());
        spawn_watch(shared.client.clone(), shared.volumes.clone(), shared.stop.clone());
        spawn_watch(shared.client.clone(), shared.claims.clone(), shared.stop.clone());
        spawn_watch(shared.client.clone(), shared.nodes.clone(), shared.stop.clone());
        spawn_watch(shared.client.clone(), shared.pods.clone(), shared.stop.clone());
        let ready = shared.clone();
        tokio::spawn(async move {
            // Decisions need a picture of everything they depend on.
            ready.nodes.synced().await;
            ready.pods.synced().await;
            ready.claims.synced().await;
            ready.volumes.synced().await;
            ready.classes.synced().await;
            ready.namespaces.synced().await;
            scheduler.run().await;
        });
        tokio::spawn(garbage::run(shared));
        SimClusterHandle { inner }
    }
}

struct Inner {
    shared: Shared,
    /// Counts changes of nodes.
    registered: watch::Sender<u64>,
    agents: Mutex<BTreeMap<String, Arc<Agent>>>,
    images: Images,
    prober: Option<Arc<dyn Prober>>,
    container_events: bool,
    network: PodNetwork,
}

impl Inner {
    fn agent(&self, node: &str) -> Option<Arc<Agent>> {
        if node.is_empty() {
            return None;
        }
        lock(&self.agents).get(node).cloned()
    }

    fn add_node(&self, spec: NodeSpec) {
        let mut agents = lock(&self.agents);
        if agents.contains_key(&spec.name) {
            return;
        }
        let index = u32::try_from(agents.len()).unwrap_or(u32::MAX);
        let name = spec.name.clone();
        let agent = Agent::new(&self.shared, spec, (index, self.network), self.images.clone(), self.prober.clone(), self.container_events);
        agents.insert(name, agent.clone());
        drop(agents);
        tokio::spawn(agent.run());
    }
}

/// A running cluster. Dropping all handles does not stop it; [`SimClusterHandle::stop`] does.
#[derive(Clone)]
pub struct SimClusterHandle {
    inner: Arc<Inner>,
}

impl fmt::Debug for SimClusterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimClusterHandle")
    }
}

/// There is no node of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no simulated node {0:?}")]
pub struct UnknownNode(pub String);

impl SimClusterHandle {
    fn agent(&self, node: &str) -> Result<Arc<Agent>, UnknownNode> {
        self.inner.agent(node).ok_or_else(|| UnknownNode(node.to_owned()))
    }

    /// Waits until all nodes are registered and can take pods.
    pub async fn ready(&self) {
        let mut changes = self.inner.registered.subscribe();
        loop {
            let waiting = self.node_names().into_iter().any(|name| {
                let node = self.inner.shared.nodes.get(&Key::new("", name));
                node.is_none_or(|node| {
                    let tainted = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
                    let not_ready = tainted.into_iter().any(|taint| taint.key == "node.kubernetes.io/not-ready");
                    not_ready || node.status.as_ref().is_none_or(|status| status.capacity.is_none())
                })
            });
            if !waiting || changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Adds a node; nothing happens if there is one of that name.
    pub fn add_node(&self, spec: NodeSpec) {
        self.inner.add_node(spec);
    }

    /// The names of all nodes.
    pub fn node_names(&self) -> Vec<String> {
        lock(&self.inner.agents).keys().cloned().collect()
    }

    /// Power failure: all containers of the node are gone at once and nothing says so.
    pub fn kill_node(&self, node: &str) -> Result<(), UnknownNode> {
        self.agent(node)?.kill();
        Ok(())
    }

    /// The node's kubelet stops; containers go on, but nobody reports or obeys.
    pub fn stop_kubelet(&self, node: &str) -> Result<(), UnknownNode> {
        self.agent(node)?.freeze();
        Ok(())
    }

    /// The node comes back after [`SimClusterHandle::kill_node`] or [`SimClusterHandle::stop_kubelet`].
    pub fn restart(&self, node: &str) -> Result<(), UnknownNode> {
        self.agent(node)?.revive();
        Ok(())
    }

    /// What containers printed.
    pub fn logs(&self) -> &Logs {
        &self.inner.shared.logs
    }

    /// Ends all parts of the cluster; containers are dropped.
    pub fn stop(&self) {
        self.inner.shared.stop.cancel();
    }
}

/// A simulated cluster around an API server.
#[derive(Debug)]
pub struct SimCluster;

impl SimCluster {
    /// A cluster that works through `client` (any API server) with the clock and randomness of `env`.
    pub fn builder(client: kube::Client, env: Env) -> Builder {
        Builder {
            client,
            env,
            nodes: Vec::new(),
            images: Images::new(),
            prober: None,
            container_events: true,
            root_certificate: String::new(),
            storage_classes: StorageClassSpec::defaults(),
            data_volumes: false,
            upload_proxy: None,
            logs: None,
            network: PodNetwork::default(),
        }
    }
}
