//! The kubelet of one node: registers it, keeps its lease, and gives each pod its worker.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::images::Images;
use super::node::NodeSpec;
use super::probe::Prober;
use super::worker::Worker;
use crate::client::{collection, collection_of, path_of};
use crate::cluster::Shared;
use crate::pods;
use crate::recorder::Source;
use crate::store::{Key, lock};

/// What the node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything works.
    Running,
    /// Containers run, kubelet does not.
    Frozen,
    /// Power failure.
    Off,
}

struct Worked {
    uid: String,
    /// Tells workers of one pod apart.
    run: u64,
    updates: watch::Sender<Option<Arc<Pod>>>,
}

#[derive(Default)]
struct State {
    workers: BTreeMap<Key, Worked>,
    used: BTreeSet<u32>,
    next: u32,
    runs: u64,
}

/// One node's kubelet.
pub(crate) struct Agent {
    pub(crate) shared: Shared,
    pub(crate) name: String,
    pub(crate) host_ip: String,
    pub(crate) images: Images,
    pub(crate) prober: Option<Arc<dyn Prober>>,
    pub(crate) container_events: bool,
    pub(crate) spec: NodeSpec,
    network: PodNetwork,
    index: u32,
    mode: watch::Sender<Mode>,
    state: Mutex<State>,
    source: Source,
}

/// Where pods get their addresses from: each node has a range, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodNetwork {
    /// The first node's range begins here.
    pub base: Ipv4Addr,
    /// Addresses a node has, as a power of two.
    pub bits: u32,
}

impl Default for PodNetwork {
    /// 10.0.0.0/8, of which each node has a `/18`.
    fn default() -> Self {
        Self { base: Ipv4Addr::new(10, 0, 0, 0), bits: 14 }
    }
}

/// `a.b.c.d`.
fn address(number: u32) -> String {
    Ipv4Addr::from(number).to_string()
}

/// How often a node says that it lives.
pub(crate) const LEASE_PERIOD: Duration = Duration::from_secs(10);
const STATUS_PERIOD: Duration = Duration::from_mins(5);

impl Agent {
    pub(crate) fn new(
        shared: &Shared,
        spec: NodeSpec,
        (index, network): (u32, PodNetwork),
        images: Images,
        prober: Option<Arc<dyn Prober>>,
        container_events: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: shared.clone(),
            name: spec.name.clone(),
            // 192.168.0.0/16 for nodes, from .0.10 on.
            host_ip: address(0xC0A8_000A + index),
            images,
            prober,
            container_events,
            source: Source { component: "kubelet".to_owned(), host: spec.name.clone() },
            spec,
            network,
            index,
            mode: watch::Sender::new(Mode::Running),
            state: Mutex::default(),
        })
    }

    pub(crate) fn mode(&self) -> watch::Receiver<Mode> {
        self.mode.subscribe()
    }

    /// Records an event about a pod.
    pub(crate) async fn tell(&self, pod: &Pod, kind: &str, reason: &str, message: &str) {
        self.shared.recorder.record(&self.source, pod, kind, reason, message).await;
    }

    /// A fresh container ID.
    pub(crate) fn container_id(&self) -> String {
        let entropy = &self.shared.entropy;
        format!("containerd://{:016x}{:016x}{:016x}{:016x}", entropy.next_u64(), entropy.next_u64(), entropy.next_u64(), entropy.next_u64())
    }

    /// An address for a pod: the node's own in its network, else the next free one of the node's range.
    pub(crate) fn pod_ip(&self, pod: &Pod) -> String {
        if pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true) {
            return self.host_ip.clone();
        }
        let mut state = lock(&self.state);
        let size = 1_u32 << self.network.bits;
        for _ in 0..size {
            // The first two addresses of a range are the network's and the gateway's.
            let candidate = 2 + state.next % (size - 3);
            state.next = state.next.wrapping_add(1);
            if state.used.insert(candidate) {
                return address(self.first_address() + candidate);
            }
        }
        String::new()
    }

    /// A pod of this node changed.
    pub(crate) fn pod_changed(self: &Arc<Self>, pod: &Arc<Pod>) {
        if *self.mode.borrow() == Mode::Off {
            return;
        }
        let key = Key::of(pod.as_ref());
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let mut state = lock(&self.state);
        if let Some(worked) = state.workers.get(&key) {
            if worked.uid == uid {
                worked.updates.send_replace(Some(pod.clone()));
                return;
            }
            // Another pod of that name: the old one is gone.
            worked.updates.send_replace(None);
        }
        let ended = pods::is_terminal(pod) && pod.metadata.deletion_timestamp.is_none();
        if ended {
            return;
        }
        let (sender, receiver) = watch::channel(Some(pod.clone()));
        state.runs += 1;
        let run = state.runs;
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).and_then(|ip| self.own_number(ip));
        state.used.extend(address);
        state.workers.insert(key, Worked { uid, run, updates: sender });
        drop(state);
        tokio::spawn(Worker::new(self.clone(), run, pod.clone(), receiver).run());
    }

    /// A pod of this node was removed from the API.
    pub(crate) fn pod_gone(&self, key: &Key, uid: &str) {
        if *self.mode.borrow() == Mode::Off {
            return;
        }
        let state = lock(&self.state);
        if let Some(worked) = state.workers.get(key)
            && worked.uid == uid
        {
            worked.updates.send_replace(None);
        }
        drop(state);
        self.shared.logs.forget(key);
    }

    /// The place of an address in the node's range.
    fn own_number(&self, ip: &str) -> Option<u32> {
        let ip: Ipv4Addr = ip.parse().ok()?;
        let number = u32::from(ip).checked_sub(self.first_address())?;
        (number < 1 << self.network.bits).then_some(number)
    }

    fn first_address(&self) -> u32 {
        u32::from(self.network.base) + (self.index << self.network.bits)
    }

    /// A worker is done; its address is free unless another worker has taken the pod over.
    pub(crate) fn release(&self, key: &Key, run: u64, pod_ip: &str) {
        let mut state = lock(&self.state);
        match state.workers.get(key) {
            Some(worked) if worked.run != run => return,
            _ => state.workers.remove(key),
        };
        if let Some(number) = self.own_number(pod_ip) {
            state.used.remove(&number);
        }
    }

    /// Power failure: containers are gone, nothing is written.
    pub(crate) fn kill(&self) {
        self.mode.send_replace(Mode::Off);
        for worked in std::mem::take(&mut lock(&self.state).workers).into_values() {
            worked.updates.send_replace(None);
        }
    }

    /// Kubelet stops; containers go on.
    pub(crate) fn freeze(&self) {
        self.mode.send_if_modified(|mode| {
            let running = *mode == Mode::Running;
            if running {
                *mode = Mode::Frozen;
            }
            running
        });
    }

    /// The node (or its kubelet) comes back, and looks at what it should run.
    pub(crate) fn revive(self: &Arc<Self>) {
        self.mode.send_replace(Mode::Running);
        for pod in self.shared.pods.all() {
            if pods::node(&pod) == self.name {
                self.pod_changed(&pod);
            }
        }
        let gone: Vec<(Key, String)> = lock(&self.state).workers.iter().map(|(key, worked)| (key.clone(), worked.uid.clone())).collect();
        for (key, uid) in gone {
            let there = self.shared.pods.get(&key).is_some_and(|pod| pod.metadata.uid.as_deref() == Some(&*uid));
            if !there {
                self.pod_gone(&key, &uid);
            }
        }
    }

    /// Registers the node, then keeps saying that it lives.
    pub(crate) async fn run(self: Arc<Self>) {
        let stop: CancellationToken = self.shared.stop.clone();
        let mut mode = self.mode();
        let mut since_status = Duration::ZERO;
        let mut known = false;
        loop {
            let now = *mode.borrow_and_update();
            if now == Mode::Running {
                if !known || since_status >= STATUS_PERIOD {
                    known = self.report().await;
                    since_status = Duration::ZERO;
                }
                self.renew().await;
            } else {
                // After a failure the first thing is to say that all is well again.
                known = false;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = mode.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LEASE_PERIOD) => since_status += LEASE_PERIOD,
            }
        }
    }

    /// Writes the node's state, creating the node if need be; false to try again.
    async fn report(&self) -> bool {
        let now = self.shared.timestamp();
        let node = self.spec.object(&self.host_ip, &now);
        let path = path_of::<Node>("", &self.name);
        let status = json!({"status": node["status"]});
        match self.shared.client.strategic(&format!("{path}/status"), &status).await {
            Ok(_) => true,
            Err(error) if error.is_not_found() => {
                if let Err(error) = self.shared.client.create(&collection_of::<Node>(""), &node).await {
                    tracing::debug!(%error, node = self.name, "node not registered");
                    return false;
                }
                self.shared.client.strategic(&format!("{path}/status"), &status).await.is_ok()
            }
            Err(error) => {
                tracing::debug!(%error, node = self.name, "node status not written");
                false
            }
        }
    }

    async fn renew(&self) {
        let time = self.shared.micro_timestamp();
        let path = collection("coordination.k8s.io", "v1", "leases", "kube-node-lease");
        let body = json!({"spec": {"renewTime": time}});
        let answer = self.shared.client.merge(&format!("{path}/{}", self.name), &body).await;
        if answer.is_err_and(|error| error.is_not_found()) {
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": self.name, "namespace": "kube-node-lease"},
                "spec": {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": time}
            });
            if let Err(error) = self.shared.client.create(&path, &lease).await {
                tracing::debug!(%error, node = self.name, "lease not created");
            }
        }
    }
}
