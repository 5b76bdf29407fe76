//! Objects that every cluster has before anybody asks.

use serde_json::{Value, json};

use crate::http::Core;
use crate::object;
use crate::resource::GroupResource;
use crate::store::{Expect, Key, StoreError};

use super::addresses::KUBERNETES;

/// Stores what is missing of the system namespaces, priority classes, bootstrap roles and the `kubernetes` Service.
pub fn bootstrap(core: &Core) {
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        let namespace = json!({
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        store(core, "", "namespaces", namespace);
    }
    for (name, value, description) in [
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        ("system-node-critical", 2_000_001_000, "Used for system critical pods that must not be moved from their current node."),
    ] {
        let class = json!({
            "kind": "PriorityClass",
            "apiVersion": "scheduling.k8s.io/v1",
            "metadata": {"name": name, "generation": 1},
            "value": value,
            "description": description,
            "preemptionPolicy": "PreemptLowerPriority",
        });
        store(core, "scheduling.k8s.io", "priorityclasses", class);
    }
    let service = json!({
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": KUBERNETES.to_string(),
            "clusterIPs": [KUBERNETES.to_string()],
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    });
    store(core, "", "services", service);
    if let Err(error) = crate::auth::rbac::bootstrap::ensure(&core.store, &core.env) {
        tracing::error!(%error, "store the bootstrap roles");
    }
}

fn store(core: &Core, group: &str, resource: &str, mut object: Value) {
    let key = Key::new(GroupResource::new(group, resource), object::namespace(&object), object::name(&object));
    object::set(&mut object, &["metadata", "uid"], core.env.entropy.uuid());
    object::set(&mut object, &["metadata", "creationTimestamp"], core.env.timestamp());
    match core.store.commit(key, Expect::Absent, Some(object)) {
        Ok(_) | Err(StoreError::Exists(_)) => {}
        Err(error) => tracing::error!(%error, resource, "store a bootstrap object"),
    }
}
