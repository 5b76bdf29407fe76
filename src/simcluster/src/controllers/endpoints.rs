//! Endpoints and EndpointSlices: the addresses of the pods that a Service selects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::{existing_is_fine, work};
use crate::client::{Answer, collection_of, optional, path_of};
use crate::cluster::Shared;
use crate::labels::{Labels, contains};
use crate::pods;
use crate::queue::Queue;
use crate::store::{Key, Store, lock, spawn_watch};

/// Pause in which changes of pods are gathered into one write.
const GATHER: Duration = Duration::from_millis(10);

/// The Services with selectors of each namespace.
type Selectors = Arc<Mutex<BTreeMap<String, BTreeMap<String, Labels>>>>;

struct Controller {
    shared: Shared,
    services: Arc<Store<Service>>,
    /// What was last written for a Service.
    written: Mutex<BTreeMap<Key, Value>>,
}

fn selector(service: &Service) -> Option<&Labels> {
    service.spec.as_ref()?.selector.as_ref().filter(|selector| !selector.is_empty())
}

/// What of a pod matters to Services.
fn face(pod: &Pod) -> (Option<&Labels>, Option<&str>, bool, &str, bool) {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
    (pod.metadata.labels.as_ref(), ip, pods::is_ready(pod), pods::node(pod), pods::is_active(pod))
}

/// Starts it.
pub(crate) fn start(shared: &Shared) {
    let queue: Queue<Key> = Queue::new();
    let services = Store::<Service>::new();
    let selectors: Selectors = Arc::default();
    let (add, known) = (queue.clone(), selectors.clone());
    services.on_change(move |change| {
        let mut known = lock(&known);
        let services = known.entry(change.key.namespace.clone()).or_default();
        match change.new.and_then(|service| selector(service)) {
            Some(selector) => {
                services.insert(change.key.name.clone(), selector.clone());
            }
            None => {
                services.remove(&change.key.name);
            }
        }
        add.add(change.key.clone());
    });
    let add = queue.clone();
    shared.pods.on_change(move |change| {
        if change.old.map(|pod| face(pod)) == change.new.map(|pod| face(pod)) {
            return;
        }
        let known = lock(&selectors);
        for (name, selector) in known.get(&change.key.namespace).into_iter().flatten() {
            let selects =
                |pod: Option<&Arc<Pod>>| pod.and_then(|pod| pod.metadata.labels.as_ref()).is_some_and(|labels| contains(selector, labels));
            if selects(change.old) || selects(change.new) {
                add.add_after(Key::new(change.key.namespace.clone(), name.clone()), GATHER);
            }
        }
    });
    spawn_watch(shared.client.clone(), services.clone(), shared.stop.clone());
    let controller = Arc::new(Controller { shared: shared.clone(), services, written: Mutex::default() });
    let shared = shared.clone();
    tokio::spawn(async move {
        controller.services.synced().await;
        shared.pods.synced().await;
        work(&shared, &queue, |key: Key| {
            let controller = controller.clone();
            async move { controller.reconcile(&key).await.map(|()| None) }
        })
        .await;
    });
}

fn pod_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
            containers
                .iter()
                .flat_map(|container| container.ports.iter().flatten())
                .find(|found| found.name.as_ref() == Some(name))
                .map(|found| found.container_port)
        }
    }
}

/// Addresses by the port numbers they have.
type Groups = BTreeMap<Vec<(String, String, i32)>, Vec<(Arc<Pod>, String, bool)>>;

impl Controller {
    fn groups(&self, key: &Key, service: &Service, selector: &Labels) -> Groups {
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        let publish = service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true);
        let mut groups = Groups::new();
        for pod in self.shared.pods.in_namespace(&key.namespace) {
            let selected = pod.metadata.labels.as_ref().is_some_and(|labels| contains(selector, labels));
            let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
            let Some(ip) = ip.filter(|_| selected && !pods::is_terminal(&pod)) else { continue };
            let named: Vec<(String, String, i32)> = ports
                .iter()
                .filter_map(|port| {
                    let number = pod_port(&pod, port)?;
                    Some((port.name.clone().unwrap_or_default(), port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), number))
                })
                .collect();
            let ready = publish || (pods::is_ready(&pod) && pods::is_active(&pod));
            groups.entry(named).or_default().push((pod, ip, ready));
        }
        groups
    }

    async fn reconcile(&self, key: &Key) -> Answer<()> {
        let service = self.services.get(key);
        let Some((service, selector)) = service.as_ref().and_then(|service| selector(service).map(|selector| (service, selector))) else {
            lock(&self.written).remove(key);
            return Ok(());
        };
        if service.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let groups = self.groups(key, service, selector);
        let fingerprint =
            json!({"endpoints": subsets(&groups), "ports": service.spec.as_ref().map(|spec| &spec.ports), "uid": service.metadata.uid});
        if lock(&self.written).get(key) == Some(&fingerprint) {
            return Ok(());
        }
        self.endpoints(key, service, &groups).await?;
        self.slices(key, service, &groups).await?;
        lock(&self.written).insert(key.clone(), fingerprint);
        Ok(())
    }

    async fn endpoints(&self, key: &Key, service: &Service, groups: &Groups) -> Answer<()> {
        let path = path_of::<Endpoints>(&key.namespace, &key.name);
        let labels = service.metadata.labels.clone().unwrap_or_default();
        let object = json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": key.name, "namespace": key.namespace, "labels": labels},
            "subsets": subsets(groups)
        });
        let body = json!({"metadata": {"labels": labels}, "subsets": subsets(groups)});
        if optional(self.shared.client.merge(&path, &body).await)?.is_none() {
            existing_is_fine(self.shared.client.create(&collection_of::<Endpoints>(&key.namespace), &object).await)?;
        }
        Ok(())
    }

    /// One slice a group of ports; those no longer needed are deleted.
    async fn slices(&self, key: &Key, service: &Service, groups: &Groups) -> Answer<()> {
        let base = collection_of::<EndpointSlice>(&key.namespace);
        let listed: Value = self.shared.client.get(&format!("{base}?labelSelector=kubernetes.io/service-name={}", key.name)).await?;
        let mut stale: BTreeMap<String, String> = listed["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|slice| slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io")
            .filter_map(|slice| {
                let meta = &slice["metadata"];
                Some((meta["name"].as_str()?.to_owned(), meta["uid"].as_str().unwrap_or_default().to_owned()))
            })
            .collect();
        let empty = Groups::from([(Vec::new(), Vec::new())]);
        let groups = if groups.is_empty() { &empty } else { groups };
        for (index, (ports, members)) in groups.iter().enumerate() {
            let name = format!("{}-{index}", key.name);
            let ports: Vec<Value> =
                ports.iter().map(|(name, protocol, port)| json!({"name": name, "protocol": protocol, "port": port})).collect();
            let endpoints: Vec<Value> = members
                .iter()
                .map(|(pod, ip, ready)| {
                    let terminating = pod.metadata.deletion_timestamp.is_some();
                    json!({
                        "addresses": [ip],
                        "conditions": {"ready": ready, "serving": pods::is_ready(pod), "terminating": terminating},
                        "nodeName": pods::node(pod), "targetRef": target(pod)
                    })
                })
                .collect();
            let owner = json!([{
                "apiVersion": "v1", "kind": "Service", "name": key.name, "uid": service.metadata.uid, "controller": true,
                "blockOwnerDeletion": true
            }]);
            if stale.remove(&name).is_some() {
                let body = json!({"endpoints": endpoints, "ports": ports, "metadata": {"ownerReferences": owner}});
                self.shared.client.merge(&format!("{base}/{name}"), &body).await?;
            } else {
                let slice = json!({
                    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                    "metadata": {
                        "name": name, "namespace": key.namespace, "ownerReferences": owner,
                        "labels": {
                            "kubernetes.io/service-name": key.name,
                            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"
                        }
                    },
                    "endpoints": endpoints, "ports": ports
                });
                existing_is_fine(self.shared.client.create(&base, &slice).await)?;
            }
        }
        for (name, uid) in stale {
            self.shared.client.delete(&format!("{base}/{name}"), &uid, None, None).await?;
        }
        Ok(())
    }
}

fn target(pod: &Pod) -> Value {
    json!({"kind": "Pod", "namespace": pod.metadata.namespace, "name": pod.metadata.name, "uid": pod.metadata.uid})
}

fn subsets(groups: &Groups) -> Value {
    let list: Vec<Value> = groups
        .iter()
        .map(|(ports, members)| {
            let addresses = |wanted: bool| -> Value {
                let mut seen = BTreeSet::new();
                let list: Vec<Value> = members
                    .iter()
                    .filter(|(pod, ip, ready)| *ready == wanted && (wanted || pods::is_active(pod)) && seen.insert(ip.clone()))
                    .map(|(pod, ip, _)| json!({"ip": ip, "nodeName": pods::node(pod), "targetRef": target(pod)}))
                    .collect();
                if list.is_empty() { Value::Null } else { Value::from(list) }
            };
            let ports: Vec<Value> = ports
                .iter()
                .map(|(name, protocol, port)| {
                    let mut entry = json!({"port": port, "protocol": protocol});
                    if !name.is_empty() {
                        entry["name"] = json!(name);
                    }
                    entry
                })
                .collect();
            let mut subset = json!({"ports": ports});
            for (name, value) in [("addresses", addresses(true)), ("notReadyAddresses", addresses(false))] {
                if !value.is_null() {
                    subset[name] = value;
                }
            }
            subset
        })
        .filter(|subset| subset.get("addresses").is_some() || subset.get("notReadyAddresses").is_some())
        .collect();
    if list.is_empty() { Value::Null } else { Value::from(list) }
}
