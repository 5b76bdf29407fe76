//! The objects of an installation, as data: what an administrator applies, or `ferrovirt up` applies to its own cluster.
//!
//! Flow: [`Installation`] (names, images, trust) → [`objects`] (everything but the CustomResourceDefinitions, which the
//! `api` crate makes from the types), ordered so that applying them front to back never refers to something missing.
//!
//! Guarantees: pure and deterministic; the same input gives the same list. Names, rules and shapes are those of
//! spec/operator.md §11 and spec/rbac.md §2–4.

mod policies;
mod rbac;
mod users;
mod webhooks;
mod workloads;

use serde_json::{Value, json};

/// What an installation depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The namespace of the components, `kubevirt` by convention.
    pub namespace: String,
    /// Registry prefix of the component images, without a trailing slash; empty for bare names.
    pub registry: String,
    /// Tag of the component images.
    pub tag: String,
    /// Replicas of virt-api and virt-controller (spec/operator.md §14).
    pub replicas: u32,
    /// PEM bundle that the webhooks and API services are verified with; as `ca-bundle` of ConfigMap `kubevirt-ca` too.
    pub ca_bundle: String,
    /// TLS secrets by name: certificate chain and key, PEM (spec/operator.md §12.1).
    pub secrets: Vec<TlsSecret>,
    /// Where the infrastructure may run: any node, instead of the control plane's only (spec/operator.md §14).
    pub infra_anywhere: bool,
}

/// A certificate that a component mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSecret {
    /// Name of the Secret.
    pub name: String,
    /// Certificate chain, PEM.
    pub certificate: String,
    /// Private key, PEM.
    pub key: String,
}

impl Installation {
    /// The image reference of a component.
    pub fn image(&self, component: &str) -> String {
        if self.registry.is_empty() { format!("{component}:{}", self.tag) } else { format!("{}/{component}:{}", self.registry, self.tag) }
    }
}

/// Every object of the installation in an order that can be applied front to back.
///
/// The CustomResourceDefinitions come before these; the last object is the KubeVirt resource itself.
pub fn objects(installation: &Installation) -> Vec<Value> {
    let mut all = vec![namespace(installation), priority_class()];
    all.extend(workloads::service_accounts(installation));
    all.extend(rbac::objects(installation));
    all.extend(users::objects());
    all.push(ca_config_map(installation));
    all.extend(installation.secrets.iter().map(|secret| tls_secret(installation, secret)));
    all.push(kubevirt(installation));
    all.extend(workloads::services(installation));
    all.extend(workloads::objects(installation));
    all.extend(webhooks::objects(installation));
    all.extend(policies::objects(installation));
    all
}

/// Labels of every object that belongs to an installation (spec/operator.md §10).
fn managed() -> Value {
    json!({"app.kubernetes.io/managed-by": "virt-operator", "app.kubernetes.io/component": "kubevirt"})
}

fn namespace(installation: &Installation) -> Value {
    // Launcher pods of privileged features live in users' namespaces; the components' own namespace needs host paths.
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": installation.namespace, "labels": {"kubevirt.io": "", "pod-security.kubernetes.io/enforce": "privileged"}},
    })
}

fn priority_class() -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": "kubevirt-cluster-critical"},
        "value": 1_000_000_000, "globalDefault": false,
        "description": "Components of the virtualization platform.",
    })
}

fn ca_config_map(installation: &Installation) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "kubevirt-ca", "namespace": installation.namespace, "labels": managed()},
        "data": {"ca-bundle": installation.ca_bundle},
    })
}

fn tls_secret(installation: &Installation, secret: &TlsSecret) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": secret.name, "namespace": installation.namespace, "labels": managed()},
        "stringData": {"tls.crt": secret.certificate, "tls.key": secret.key},
    })
}

fn kubevirt(installation: &Installation) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "KubeVirt",
        "metadata": {"name": "kubevirt", "namespace": installation.namespace},
        "spec": {
            "certificateRotateStrategy": {},
            "configuration": {"developerConfiguration": {"featureGates": []}},
            "customizeComponents": {},
            "imagePullPolicy": "IfNotPresent",
            "workloadUpdateStrategy": {},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation() -> Installation {
        Installation {
            namespace: "kubevirt".into(),
            registry: "quay.io/ferrovirt".into(),
            tag: "v1".into(),
            replicas: 2,
            ca_bundle: "PEM".into(),
            secrets: vec![TlsSecret { name: "kubevirt-virt-api-certs".into(), certificate: "c".into(), key: "k".into() }],
            infra_anywhere: false,
        }
    }

    #[test]
    fn every_object_is_named_once() {
        let mut seen = std::collections::BTreeSet::new();
        for object in objects(&installation()) {
            let id = format!("{} {} {}", object["kind"], object["metadata"]["namespace"], object["metadata"]["name"]);
            assert!(object["metadata"]["name"].is_string(), "{object} has no name");
            assert!(seen.insert(id.clone()), "{id} comes twice");
        }
    }

    #[test]
    fn bindings_refer_to_roles_and_accounts_of_the_installation() {
        let all = objects(&installation());
        let names = |kind: &str| -> Vec<String> {
            all.iter().filter(|o| o["kind"] == kind).filter_map(|o| o["metadata"]["name"].as_str().map(String::from)).collect()
        };
        let (roles, cluster_roles, accounts) = (names("Role"), names("ClusterRole"), names("ServiceAccount"));
        for binding in all.iter().filter(|o| o["kind"] == "RoleBinding" || o["kind"] == "ClusterRoleBinding") {
            let role = binding["roleRef"]["name"].as_str().unwrap().to_owned();
            let known = if binding["roleRef"]["kind"] == "Role" { &roles } else { &cluster_roles };
            assert!(known.contains(&role) || role.starts_with("system:") || role.starts_with("extension-"), "{role} is unknown");
            for subject in binding["subjects"].as_array().unwrap().iter().filter(|s| s["kind"] == "ServiceAccount") {
                assert!(accounts.contains(&subject["name"].as_str().unwrap().to_owned()), "{subject} is unknown");
            }
        }
    }

    #[test]
    fn deployed_containers_name_their_images() {
        let all = objects(&installation());
        let image = |name: &str| {
            let workload = all.iter().find(|o| o["metadata"]["name"] == name && o["spec"]["template"].is_object()).unwrap();
            workload["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
        };
        assert_eq!(image("virt-api"), "quay.io/ferrovirt/virt-api:v1");
        assert_eq!(image("virt-controller"), "quay.io/ferrovirt/virt-controller:v1");
        assert_eq!(image("virt-handler"), "quay.io/ferrovirt/virt-handler:v1");
    }
}
