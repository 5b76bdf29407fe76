//! Annotations of the network and storage side. Source: spec/pod.md §2, §9.1.

use std::collections::BTreeMap;

use api::config::ClusterConfig;
use api::v1::VirtualMachineInstance;
use serde::Serialize;
use serde_json::json;

use super::{Context, PodError};
use crate::settings::Settings;
use crate::vmi;

/// A network Multus is to attach; its fields in the order in which clients see them.
#[derive(Serialize)]
struct NetworkElement<'a> {
    name: &'a str,
    namespace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(rename = "cni-args", skip_serializing_if = "Option::is_none")]
    arguments: Option<BTreeMap<&'static str, &'a str>>,
}

/// Multus networks, Istio's redirection.
///
/// # Errors
/// [`PodError::BindingNotRegistered`].
pub fn network_annotations(vmi: &VirtualMachineInstance, cx: &Context<'_>) -> Result<BTreeMap<String, String>, PodError> {
    let settings = Settings::new(cx.config);
    let mut annotations = BTreeMap::new();
    let mut networks = Vec::new();
    for interface in vmi::interfaces(vmi) {
        let multus = vmi::network(vmi, &interface.name).and_then(|n| n.multus.as_ref());
        if let Some(multus) = multus.filter(|m| m.default != Some(true)) {
            let (namespace, name) = multus.network_name.split_once('/').unwrap_or((vmi::namespace(vmi), &multus.network_name));
            let element = NetworkElement {
                name,
                namespace,
                mac: interface.mac_address.as_deref().filter(|m| !m.is_empty()),
                interface: Some(vmi::pod_interface_name(&interface.name)),
                arguments: None,
            };
            networks.push((position(vmi, &interface.name), element));
        }
        if let Some(plugin) = &interface.binding {
            let registered = settings.binding(&plugin.name).ok_or_else(|| PodError::BindingNotRegistered(plugin.name.clone()))?;
            if let Some(definition) = registered.network_attachment_definition.as_deref().filter(|d| !d.is_empty()) {
                let (namespace, name) = definition.split_once('/').unwrap_or((vmi::namespace(vmi), definition));
                let arguments = Some(BTreeMap::from([("logicNetworkName", interface.name.as_str())]));
                let element = NetworkElement { name, namespace, mac: None, interface: None, arguments };
                networks.push((position(vmi, &interface.name), element));
            }
        }
    }
    networks.sort_by_key(|(place, _)| *place);
    if !networks.is_empty() {
        let list: Vec<_> = networks.into_iter().map(|(_, element)| element).collect();
        // Texts and maps of them: there is nothing that cannot be written.
        annotations.insert("k8s.v1.cni.cncf.io/networks".to_owned(), serde_json::to_string(&list).unwrap_or_default());
    }
    if let Some(multus) = vmi.spec.networks.iter().find_map(|n| n.multus.as_ref().filter(|m| m.default == Some(true))) {
        annotations.insert("v1.multus-cni.io/default-network".to_owned(), multus.network_name.clone());
    }
    if vmi::interfaces(vmi).any(|i| i.masquerade.is_some()) {
        for key in ["traffic.sidecar.istio.io/kubevirtInterfaces", "istio.io/reroute-virtual-interfaces"] {
            annotations.insert(key.to_owned(), "k6t-eth0".to_owned());
        }
    }
    Ok(annotations)
}

fn position(vmi: &VirtualMachineInstance, network: &str) -> usize {
    vmi.spec.networks.iter().position(|n| n.name == network).unwrap_or(usize::MAX)
}

/// Velero's hooks, which freeze the guest's file systems around a backup; the VMI, else the KubeVirt resource, can opt out.
pub fn storage_annotations(vmi: &VirtualMachineInstance, config: &ClusterConfig) -> BTreeMap<String, String> {
    const SKIP: &str = "kubevirt.io/skip-backup-hooks";
    let skip = vmi::annotation(vmi, SKIP).or_else(|| config.annotation(SKIP));
    if skip.is_some_and(parses_true) {
        return BTreeMap::new();
    }
    let command = |action: &str| json!(["/usr/bin/virt-freezer", action, "--name", vmi::name(vmi), "--namespace", vmi::namespace(vmi)]);
    // The spaces after the commas are upstream's, and visible.
    let text = |action: &str| {
        let words: Vec<String> = command(action).as_array().into_iter().flatten().map(ToString::to_string).collect();
        format!("[{}]", words.join(", "))
    };
    [
        ("pre.hook.backup.velero.io/container", "compute".to_owned()),
        ("pre.hook.backup.velero.io/command", text("--freeze")),
        ("pre.hook.backup.velero.io/timeout", "60s".to_owned()),
        ("post.hook.backup.velero.io/container", "compute".to_owned()),
        ("post.hook.backup.velero.io/command", text("--unfreeze")),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// Whether a text is one of Go's spellings of true.
pub(crate) fn parses_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}
