//! The objects a VM or VMI stands on (spec/api.md §3.6), as `objectgraph` answers them.

use std::collections::BTreeMap;

use api::names;
use api::v1::{
    AccessCredential, InstancetypeStatusRef, Network, VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceSpec,
    VirtualMachineInstanceStatus, Volume,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use crate::{metadata, selector};

/// Says of each node which kind of dependency it is: storage, network, compute or config.
pub const DEPENDENCY_LABEL: &str = "kubevirt.io/dependency-type";

/// What of the graph is asked for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectGraphOptions {
    /// Whether nodes that the root can do without are shown; absent means yes.
    pub include_optional_nodes: Option<bool>,
    /// Which nodes are shown, by their labels; the children of a node that is not shown are not shown either.
    pub label_selector: Option<LabelSelector>,
}

/// One object of the graph.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectGraphNode {
    /// Which object.
    pub object_reference: Reference,
    /// What kind of dependency it is.
    pub labels: BTreeMap<String, String>,
    /// True for what the root can do without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// What this one stands on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Self>,
}

/// Which object a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Its group, empty for the core.
    pub api_group: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace, empty where it has none.
    pub namespace: String,
}

/// What is looked up for a graph besides its root.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Launcher pods of the namespace.
    pub launchers: Vec<Pod>,
    /// Claims of the namespace that keep the root's own state.
    pub state_claims: Vec<PersistentVolumeClaim>,
}

#[derive(Clone, Copy)]
struct Kind {
    group: &'static str,
    name: &'static str,
    dependency: &'static str,
}

const fn kind(group: &'static str, name: &'static str, dependency: &'static str) -> Kind {
    Kind { group, name, dependency }
}

const INSTANCETYPES: &str = "instancetype.kubevirt.io";
const VM: Kind = kind("kubevirt.io", "VirtualMachine", "compute");
const VMI: Kind = kind("kubevirt.io", "VirtualMachineInstance", "compute");
const POD: Kind = kind("", "Pod", "compute");
const CLAIM: Kind = kind("", "PersistentVolumeClaim", "storage");
const DATA_VOLUME: Kind = kind("cdi.kubevirt.io", "DataVolume", "storage");
const REVISION: Kind = kind("apps", "ControllerRevision", "config");
const CONFIG_MAP: Kind = kind("", "ConfigMap", "config");
const SECRET: Kind = kind("", "Secret", "config");
const SERVICE_ACCOUNT: Kind = kind("", "ServiceAccount", "config");
const NETWORK: Kind = kind("k8s.cni.cncf.io", "NetworkAttachmentDefinition", "network");

fn node(kind: Kind, namespace: &str, name: &str) -> ObjectGraphNode {
    ObjectGraphNode {
        object_reference: Reference {
            api_group: kind.group.to_owned(),
            kind: kind.name.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        },
        labels: BTreeMap::from([(DEPENDENCY_LABEL.to_owned(), kind.dependency.to_owned())]),
        optional: None,
        children: Vec::new(),
    }
}

fn optional(mut node: ObjectGraphNode) -> ObjectGraphNode {
    node.optional = Some(true);
    node
}

/// The graph of a VM: its instance and pod, types, credentials, volumes, networks.
///
/// # Errors
/// What is not there yet though the graph would show it.
pub fn of_vm(vm: &VirtualMachine, around: &Surroundings, options: &ObjectGraphOptions) -> Result<ObjectGraphNode, String> {
    let (namespace, name) = (metadata::namespace(&vm.metadata), metadata::name(&vm.metadata));
    let status = vm.status.clone().unwrap_or_default();
    let mut root = node(VM, namespace, name);
    if status.created == Some(true) {
        let mut instance = node(VMI, namespace, name);
        instance.children.extend(launcher(around, namespace, name));
        root.children.push(instance);
    }
    if let Some(matcher) = &vm.spec.instancetype {
        let kinds = ("VirtualMachineClusterInstancetype", "VirtualMachineInstancetype");
        let asked = Asked { kind: matcher.kind.as_deref(), name: matcher.name.as_deref(), revision: matcher.revision_name.as_deref() };
        root.children.extend(asked.nodes(kinds, status.instancetype_ref.as_ref(), namespace));
    }
    if let Some(matcher) = &vm.spec.preference {
        let kinds = ("VirtualMachineClusterPreference", "VirtualMachinePreference");
        let asked = Asked { kind: matcher.kind.as_deref(), name: matcher.name.as_deref(), revision: matcher.revision_name.as_deref() };
        root.children.extend(asked.nodes(kinds, status.preference_ref.as_ref(), namespace));
    }
    let spec = vm.spec.template.spec.as_deref().cloned().unwrap_or_default();
    let mut instance = VirtualMachineInstance { spec, ..VirtualMachineInstance::default() };
    if let Some(tracking) = status.changed_block_tracking {
        instance.status =
            Some(VirtualMachineInstanceStatus { changed_block_tracking: Some(tracking), ..VirtualMachineInstanceStatus::default() });
    }
    let claim = if convert::vmi::needs_backend_storage(&instance) {
        let missing = "failed to get backend volume (no backend PVC when there should be one), VM might still be provisioning. \
                       Proceeding with the remaining volumes";
        Some(newest(&around.state_claims).ok_or_else(|| missing.to_owned())?)
    } else {
        None
    };
    root.children.extend(of_spec(&instance.spec, claim, namespace));
    root.children = shown(root.children, options);
    Ok(root)
}

/// The graph of a VMI: its pod, credentials, volumes, networks.
pub fn of_vmi(vmi: &VirtualMachineInstance, around: &Surroundings, options: &ObjectGraphOptions) -> ObjectGraphNode {
    let (namespace, name) = (metadata::namespace(&vmi.metadata), metadata::name(&vmi.metadata));
    let mut root = node(VMI, namespace, name);
    root.children.extend(launcher(around, namespace, name));
    let own_state = || {
        let volumes = vmi.status.iter().flat_map(|status| &status.volume_status);
        let prefix = names::PERSISTENT_STATE_CLAIM_PREFIX;
        volumes
            .filter(|volume| volume.name.starts_with(prefix))
            .find_map(|volume| volume.persistent_volume_claim_info.as_ref()?.claim_name.as_deref())
    };
    let claim = convert::vmi::needs_backend_storage(vmi).then(own_state).flatten();
    root.children.extend(of_spec(&vmi.spec, claim, namespace));
    root.children = shown(root.children, options);
    root
}

/// The newest claim that is not about to go.
fn newest(claims: &[PersistentVolumeClaim]) -> Option<&str> {
    let alive = claims.iter().filter(|claim| !metadata::is_deleting(&claim.metadata));
    alive.max_by_key(|claim| claim.metadata.creation_timestamp.as_ref().map(|time| time.0)).map(|claim| metadata::name(&claim.metadata))
}

fn launcher(around: &Surroundings, namespace: &str, name: &str) -> Option<ObjectGraphNode> {
    let pod = around.launchers.iter().find(|pod| {
        let owned = pod.metadata.owner_references.iter().flatten().any(|o| o.kind == "VirtualMachineInstance" && o.name == name);
        owned || metadata::annotation(&pod.metadata, names::DOMAIN_ANNOTATION) == Some(name)
    })?;
    Some(node(POD, namespace, metadata::name(&pod.metadata)))
}

/// A matcher, of either sort.
struct Asked<'a> {
    kind: Option<&'a str>,
    name: Option<&'a str>,
    revision: Option<&'a str>,
}

impl Asked<'_> {
    /// The type and the revision in use; `kinds` are the cluster's and the namespace's.
    fn nodes(&self, kinds: (&'static str, &'static str), used: Option<&InstancetypeStatusRef>, namespace: &str) -> Vec<ObjectGraphNode> {
        let mut nodes = Vec::new();
        let name = self.name.unwrap_or_default();
        let asked = self.kind.unwrap_or_default().to_lowercase();
        for (known, namespace) in [(kinds.0, ""), (kinds.1, namespace)] {
            if asked.trim_end_matches('s') == known.to_lowercase() {
                nodes.push(optional(node(kind(INSTANCETYPES, known, "config"), namespace, name)));
            }
        }
        // Before the status says what is in use, the revision that is asked for counts.
        let revision = match used {
            Some(used) => used.controller_revision_ref.as_ref().and_then(|revision| revision.name.as_deref()),
            None => self.revision.filter(|name| !name.is_empty()),
        };
        nodes.extend(revision.map(|revision| node(REVISION, namespace, revision)));
        nodes
    }
}

fn of_spec(spec: &VirtualMachineInstanceSpec, state_claim: Option<&str>, namespace: &str) -> Vec<ObjectGraphNode> {
    let mut nodes: Vec<_> = spec.access_credentials.iter().filter_map(|access| secret_of(access, namespace)).collect();
    nodes.extend(spec.volumes.iter().flat_map(|volume| of_volume(volume, namespace)));
    nodes.extend(state_claim.map(|claim| node(CLAIM, namespace, claim)));
    nodes.extend(spec.networks.iter().filter_map(|network| of_network(network, namespace)));
    nodes
}

fn secret_of(access: &AccessCredential, namespace: &str) -> Option<ObjectGraphNode> {
    let keys = access.ssh_public_key.as_ref().and_then(|keys| keys.source.secret.as_ref());
    let password = access.user_password.as_ref().and_then(|password| password.source.secret.as_ref());
    keys.or(password).map(|secret| node(SECRET, namespace, &secret.secret_name))
}

fn of_volume(volume: &Volume, namespace: &str) -> Vec<ObjectGraphNode> {
    let one = |kind: Kind, name: Option<&str>| vec![node(kind, namespace, name.unwrap_or_default())];
    let secrets = |references: [Option<&str>; 2]| references.into_iter().flatten().map(|name| node(SECRET, namespace, name)).collect();
    if let Some(source) = &volume.data_volume {
        let mut data_volume = node(DATA_VOLUME, namespace, &source.name);
        data_volume.children.push(node(CLAIM, namespace, &source.name));
        return vec![data_volume];
    }
    if let Some(source) = &volume.persistent_volume_claim {
        return one(CLAIM, Some(&source.claim_name));
    }
    if let Some(source) = &volume.config_map {
        return one(CONFIG_MAP, source.name.as_deref());
    }
    if let Some(source) = &volume.secret {
        return one(SECRET, source.secret_name.as_deref());
    }
    if let Some(source) = &volume.service_account {
        return one(SERVICE_ACCOUNT, source.service_account_name.as_deref());
    }
    if let Some(source) = &volume.cloud_init_no_cloud {
        let of = [&source.secret_ref, &source.network_data_secret_ref];
        return secrets(of.map(|reference| reference.as_ref().map(|reference| reference.name.as_str())));
    }
    if let Some(source) = &volume.cloud_init_config_drive {
        let of = [&source.secret_ref, &source.network_data_secret_ref];
        return secrets(of.map(|reference| reference.as_ref().map(|reference| reference.name.as_str())));
    }
    Vec::new()
}

fn of_network(network: &Network, namespace: &str) -> Option<ObjectGraphNode> {
    let name = network.multus.as_ref().map(|multus| multus.network_name.as_str()).filter(|name| !name.is_empty())?;
    // More than one slash is no namespace and name; it is shown as it is.
    let (namespace, name) = name.split_once('/').filter(|(_, name)| !name.contains('/')).unwrap_or((namespace, name));
    Some(optional(node(NETWORK, namespace, name)))
}

fn shown(nodes: Vec<ObjectGraphNode>, options: &ObjectGraphOptions) -> Vec<ObjectGraphNode> {
    let without_optional = options.include_optional_nodes == Some(false);
    let wanted = |node: &ObjectGraphNode| {
        let selected = options.label_selector.as_ref().is_none_or(|selector| selector::matches(selector, &node.labels));
        selected && !(without_optional && node.optional == Some(true))
    };
    let filtered = nodes.into_iter().filter(wanted).map(|node| {
        let children = shown(node.children, options);
        ObjectGraphNode { children, ..node }
    });
    filtered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn names(nodes: &[ObjectGraphNode]) -> Vec<String> {
        let text = |node: &ObjectGraphNode| {
            let reference = &node.object_reference;
            let children = if node.children.is_empty() { String::new() } else { format!(" > {}", names(&node.children).join(", ")) };
            format!("{} {}/{}{children}", reference.kind, reference.namespace, reference.name)
        };
        nodes.iter().map(text).collect()
    }

    fn vm() -> VirtualMachine {
        serde_json::from_value(json!({
            "metadata": {"name": "vm", "namespace": "ns"},
            "spec": {
                "instancetype": {"kind": "VirtualMachineClusterInstancetype", "name": "small"},
                "preference": {"kind": "VirtualMachinePreference", "name": "fedora", "revisionName": "fedora-1"},
                "template": {"spec": {
                    "domain": {"devices": {}},
                    "accessCredentials": [{"sshPublicKey": {"source": {"secret": {"secretName": "keys"}}, "propagationMethod": {}}}],
                    "networks": [{"name": "a", "multus": {"networkName": "other/blue"}}, {"name": "b", "pod": {}}],
                    "volumes": [
                        {"name": "root", "dataVolume": {"name": "disk"}},
                        {"name": "init", "cloudInitNoCloud": {"secretRef": {"name": "user"}, "networkDataSecretRef": {"name": "net"}}},
                        {"name": "image", "containerDisk": {"image": "x"}},
                    ],
                }},
            },
            "status": {"created": true, "instancetypeRef": {"name": "small", "controllerRevisionRef": {"name": "small-1"}}},
        }))
        .unwrap()
    }

    fn around() -> Surroundings {
        let pod = |name: &str, of: &str| -> Pod {
            let owner = json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": of, "uid": "u"});
            serde_json::from_value(json!({"metadata": {"name": name, "ownerReferences": [owner]}})).unwrap()
        };
        Surroundings { launchers: vec![pod("launcher-other", "other"), pod("launcher-vm", "vm")], state_claims: Vec::new() }
    }

    #[test]
    fn a_vm_stands_on_all_it_names() {
        let graph = of_vm(&vm(), &around(), &ObjectGraphOptions::default()).unwrap();
        assert_eq!(
            names(&graph.children),
            [
                "VirtualMachineInstance ns/vm > Pod ns/launcher-vm",
                "VirtualMachineClusterInstancetype /small",
                "ControllerRevision ns/small-1",
                "VirtualMachinePreference ns/fedora",
                "ControllerRevision ns/fedora-1",
                "Secret ns/keys",
                "DataVolume ns/disk > PersistentVolumeClaim ns/disk",
                "Secret ns/user",
                "Secret ns/net",
                "NetworkAttachmentDefinition other/blue",
            ]
        );
        let first = serde_json::to_value(&graph.children[1]).unwrap();
        let reference =
            json!({"apiGroup": "instancetype.kubevirt.io", "kind": "VirtualMachineClusterInstancetype", "name": "small", "namespace": ""});
        assert_eq!(first, json!({"objectReference": reference, "labels": {DEPENDENCY_LABEL: "config"}, "optional": true}));
    }

    #[test]
    fn optional_nodes_and_labels_choose() {
        let options = |value: Value| -> ObjectGraphOptions { serde_json::from_value(value).unwrap() };
        let graph = of_vm(&vm(), &around(), &options(json!({"includeOptionalNodes": false}))).unwrap();
        assert!(graph.children.iter().all(|node| node.optional.is_none()));
        let storage = json!({"labelSelector": {"matchLabels": {DEPENDENCY_LABEL: "storage"}}});
        let graph = of_vm(&vm(), &around(), &options(storage)).unwrap();
        assert_eq!(names(&graph.children), ["DataVolume ns/disk > PersistentVolumeClaim ns/disk"]);
    }

    #[test]
    fn own_state_is_a_claim_once_it_is_there() {
        let mut vm = vm();
        vm.spec.template.spec.as_deref_mut().unwrap().domain.devices.tpm = serde_json::from_value(json!({"persistent": true})).unwrap();
        let mut around = around();
        let missing = of_vm(&vm, &around, &ObjectGraphOptions::default()).unwrap_err();
        assert!(missing.contains("no backend PVC when there should be one"), "{missing}");
        let claim = json!({"metadata": {"name": "persistent-state-for-vm", "creationTimestamp": "2026-01-01T00:00:00Z"}});
        around.state_claims.push(serde_json::from_value(claim).unwrap());
        let graph = of_vm(&vm, &around, &ObjectGraphOptions::default()).unwrap();
        assert!(names(&graph.children).contains(&"PersistentVolumeClaim ns/persistent-state-for-vm".to_owned()));
    }
}
