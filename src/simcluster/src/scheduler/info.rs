//! What the scheduler knows of pods and nodes: the parts it decides by, taken out of the objects once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Node, Pod, PodAffinityTerm, PodSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::labels::Labels;
use crate::quantity::{self, Amounts, amounts};
use crate::store::Key;

/// A pod, as the scheduler sees it.
#[derive(Debug)]
pub(crate) struct PodInfo {
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) pod: Arc<Pod>,
    pub(crate) labels: Labels,
    pub(crate) requests: Amounts,
    /// Host IP, protocol, port.
    pub(crate) ports: BTreeSet<(String, String, i32)>,
    /// UID of the controller.
    pub(crate) controller: Option<String>,
}

/// What a pod needs of its node: containers and sidecars together, or the largest initial step, and the overhead.
pub(crate) fn pod_requests(spec: &PodSpec) -> Amounts {
    let of = |container: &Container| amounts(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
    let mut total = Amounts::new();
    for container in &spec.containers {
        quantity::add(&mut total, &of(container));
    }
    let mut sidecars = Amounts::new();
    let mut peak = Amounts::new();
    for container in spec.init_containers.iter().flatten() {
        let mut now = sidecars.clone();
        quantity::add(&mut now, &of(container));
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.clone_from(&now);
        }
        quantity::raise(&mut peak, &now);
    }
    quantity::add(&mut total, &sidecars);
    quantity::raise(&mut total, &peak);
    quantity::add(&mut total, &amounts(spec.overhead.as_ref()));
    total
}

/// Whether a volume is a claim, or makes one.
fn is_claimed(volume: &Volume) -> bool {
    volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()
}

impl PodInfo {
    pub(crate) fn new(pod: &Arc<Pod>) -> Self {
        let meta = &pod.metadata;
        let spec = pod.spec.as_ref();
        let mut ports = BTreeSet::new();
        for container in spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten())) {
            for port in container.ports.iter().flatten() {
                if let Some(host) = port.host_port.filter(|port| *port > 0) {
                    let address = port.host_ip.clone().unwrap_or_else(|| "0.0.0.0".to_owned());
                    ports.insert((address, port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), host));
                }
            }
        }
        Self {
            key: Key::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default()),
            uid: meta.uid.clone().unwrap_or_default(),
            pod: pod.clone(),
            labels: meta.labels.clone().unwrap_or_default(),
            requests: spec.map(pod_requests).unwrap_or_default(),
            ports,
            controller: meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone()),
        }
    }

    /// A pod that has its node: of the object only what others are placed by is kept.
    pub(crate) fn placed(pod: &Arc<Pod>) -> Self {
        let info = Self::new(pod);
        let spec = pod.spec.as_ref().map(|spec| PodSpec {
            affinity: spec.affinity.clone(),
            node_name: spec.node_name.clone(),
            volumes: spec
                .volumes
                .iter()
                .flatten()
                .any(is_claimed)
                .then(|| spec.volumes.iter().flatten().filter(|volume| is_claimed(volume)).cloned().collect()),
            ..PodSpec::default()
        });
        let metadata = ObjectMeta { deletion_timestamp: pod.metadata.deletion_timestamp.clone(), ..ObjectMeta::default() };
        Self { pod: Arc::new(Pod { metadata, spec, status: None }), ..info }
    }

    pub(crate) fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    /// Terms of required pod affinity (or anti-affinity).
    pub(crate) fn required_terms(&self, anti: bool) -> &[PodAffinityTerm] {
        let Some(affinity) = self.spec().and_then(|spec| spec.affinity.as_ref()) else { return &[] };
        let terms = if anti {
            affinity.pod_anti_affinity.as_ref().and_then(|terms| terms.required_during_scheduling_ignored_during_execution.as_deref())
        } else {
            affinity.pod_affinity.as_ref().and_then(|terms| terms.required_during_scheduling_ignored_during_execution.as_deref())
        };
        terms.unwrap_or_default()
    }
}

/// A node with what runs on it.
#[derive(Debug, Default)]
pub(crate) struct NodeInfo {
    pub(crate) node: Option<Arc<Node>>,
    pub(crate) labels: Labels,
    pub(crate) allocatable: Amounts,
    pub(crate) requested: Amounts,
    pub(crate) pods: BTreeMap<Key, Arc<PodInfo>>,
    pub(crate) ports: BTreeMap<(String, String, i32), u32>,
    /// Pods by their controller.
    pub(crate) siblings: BTreeMap<String, u32>,
    /// Pods that refuse others near them.
    pub(crate) repelling: BTreeSet<Key>,
}

impl NodeInfo {
    /// Takes over a node's state.
    pub(crate) fn set_node(&mut self, node: &Arc<Node>) {
        self.labels = node.metadata.labels.clone().unwrap_or_default();
        let status = node.status.as_ref();
        self.allocatable = amounts(status.and_then(|status| status.allocatable.as_ref().or(status.capacity.as_ref())));
        self.node = Some(node.clone());
    }

    /// Counts a pod in, instead of an earlier state of it.
    pub(crate) fn add(&mut self, pod: Arc<PodInfo>) {
        self.remove(&pod.key);
        quantity::add(&mut self.requested, &pod.requests);
        for port in &pod.ports {
            *self.ports.entry(port.clone()).or_default() += 1;
        }
        if let Some(controller) = &pod.controller {
            *self.siblings.entry(controller.clone()).or_default() += 1;
        }
        if !pod.required_terms(true).is_empty() {
            self.repelling.insert(pod.key.clone());
        }
        self.pods.insert(pod.key.clone(), pod);
    }

    /// Counts a pod out; false if it was not counted.
    pub(crate) fn remove(&mut self, key: &Key) -> bool {
        let Some(pod) = self.pods.remove(key) else { return false };
        quantity::subtract(&mut self.requested, &pod.requests);
        for port in &pod.ports {
            if let Some(count) = self.ports.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    self.ports.remove(port);
                }
            }
        }
        if let Some(count) = pod.controller.as_ref().and_then(|controller| self.siblings.get_mut(controller)) {
            *count = count.saturating_sub(1);
        }
        self.repelling.remove(key);
        true
    }
}
