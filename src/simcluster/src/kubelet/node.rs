//! What a node is like.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;
use serde_json::{Value, json};

/// A node to simulate.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Its name.
    pub name: String,
    /// Labels besides those that every node has.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Resources, as quantities; `cpu`, `memory`, `pods` and `ephemeral-storage` have defaults.
    pub capacity: BTreeMap<String, String>,
    /// What of the capacity pods may have, where it is less.
    pub allocatable: BTreeMap<String, String>,
}

impl NodeSpec {
    /// A node with 16 CPUs, 64 GiB of memory and room for 110 pods.
    pub fn new(name: impl Into<String>) -> Self {
        let capacity = [("cpu", "16"), ("memory", "64Gi"), ("ephemeral-storage", "200Gi"), ("pods", "110")];
        Self {
            name: name.into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            taints: Vec::new(),
            capacity: capacity.into_iter().map(|(name, amount)| (name.to_owned(), amount.to_owned())).collect(),
            allocatable: BTreeMap::new(),
        }
    }

    /// With a label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With so much of a resource.
    #[must_use]
    pub fn capacity(mut self, name: &str, amount: &str) -> Self {
        self.capacity.insert(name.to_owned(), amount.to_owned());
        self
    }

    /// With a taint.
    #[must_use]
    pub fn taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        self.taints.push(Taint {
            key: key.to_owned(),
            value: Some(value.to_owned()).filter(|value| !value.is_empty()),
            effect: effect.to_owned(),
            time_added: None,
        });
        self
    }

    pub(super) fn object(&self, host_ip: &str, now: &str) -> Value {
        let mut labels = BTreeMap::from([
            ("beta.kubernetes.io/arch".to_owned(), "amd64".to_owned()),
            ("beta.kubernetes.io/os".to_owned(), "linux".to_owned()),
            ("kubernetes.io/arch".to_owned(), "amd64".to_owned()),
            ("kubernetes.io/os".to_owned(), "linux".to_owned()),
            ("kubernetes.io/hostname".to_owned(), self.name.clone()),
        ]);
        labels.extend(self.labels.clone());
        let mut allocatable = self.capacity.clone();
        allocatable.extend(self.allocatable.clone());
        let healthy = |kind: &str, reason: &str, message: &str| {
            json!({
                "type": kind, "status": if kind == "Ready" { "True" } else { "False" }, "reason": reason, "message": message,
                "lastHeartbeatTime": now, "lastTransitionTime": now
            })
        };
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": labels, "annotations": self.annotations},
            "spec": {"taints": self.taints, "providerID": format!("sim://{}", self.name)},
            "status": {
                "capacity": self.capacity, "allocatable": allocatable,
                "addresses": [{"type": "InternalIP", "address": host_ip}, {"type": "Hostname", "address": self.name}],
                "conditions": [
                    healthy("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                    healthy("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                    healthy("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                    healthy("Ready", "KubeletReady", "kubelet is posting ready status"),
                ],
                "nodeInfo": {
                    "architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.34.0",
                    "kubeProxyVersion": "", "kernelVersion": "6.12.0", "osImage": "Simulated Linux",
                    "containerRuntimeVersion": "containerd://2.1.0", "machineID": self.name, "systemUUID": self.name,
                    "bootID": self.name
                },
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}
            }
        })
    }
}
