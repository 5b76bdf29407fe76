//! The interfaces a VMI reports, as far as its pod tells (spec controllers §2.12).

use std::collections::BTreeMap;

use api::v1::{Network, VirtualMachineInstance, VirtualMachineInstanceNetworkInterface};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::metadata;

/// Where Multus writes what it attached.
const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";
/// The source of what is known from there.
const MULTUS_STATUS: &str = "multus-status";
/// The pod's interface when nothing else is said.
const PRIMARY: &str = "eth0";

#[derive(Debug, Deserialize)]
struct Attachment {
    #[serde(default)]
    interface: String,
    #[serde(default)]
    default: bool,
}

fn attachments(pod: &Pod) -> Vec<Attachment> {
    let text = metadata::annotation(&pod.metadata, NETWORK_STATUS).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

fn is_primary(network: &Network) -> bool {
    network.pod.is_some() || network.multus.as_ref().is_some_and(|multus| multus.default == Some(true))
}

/// The name of a secondary network's interface in the pod.
fn hashed_name(network: &str) -> String {
    let digest = Sha256::digest(network.as_bytes());
    let hex = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("pod{}", hex.chars().take(11).collect::<String>())
}

/// Whether the pod names its secondary interfaces by ordinal, as older versions did.
fn is_ordinal(attachments: &[Attachment]) -> bool {
    attachments.iter().any(|attachment| {
        attachment
            .interface
            .strip_prefix("net")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// The interfaces' status: the primary first, the others in the order of the spec, then what is known from elsewhere.
pub(super) fn status(vmi: &VirtualMachineInstance, pod: &Pod) -> Vec<VirtualMachineInstanceNetworkInterface> {
    let known = vmi.status.as_ref().map(|status| status.interfaces.as_slice()).unwrap_or_default();
    let attachments = attachments(pod);
    let names = pod_names(vmi, &attachments);
    let mut reported = Vec::new();
    for network in vmi.spec.networks.iter().filter(|network| is_primary(network)) {
        let mut interface = entry(known, &network.name);
        let chosen = attachments.iter().find(|attachment| attachment.default).map(|attachment| attachment.interface.as_str());
        interface.pod_interface_name = Some(chosen.filter(|name| !name.is_empty()).unwrap_or(PRIMARY).to_owned());
        reported.push(interface);
    }
    for network in vmi.spec.networks.iter().filter(|network| !is_primary(network) && network.multus.is_some()) {
        let name = names.get(network.name.as_str());
        let attached = name.is_some_and(|name| attachments.iter().any(|attachment| attachment.interface == **name));
        if attached {
            let mut interface = entry(known, &network.name);
            interface.info_source = Some(with_source(interface.info_source.as_deref()));
            interface.pod_interface_name = name.cloned();
            reported.push(interface);
        } else if let Some(mut interface) = known.iter().find(|known| known.name.as_deref() == Some(&network.name)).cloned() {
            interface.info_source = without_source(interface.info_source.as_deref());
            reported.push(interface);
        }
    }
    for interface in known {
        if !reported.iter().any(|listed| listed.name == interface.name && listed.mac == interface.mac) {
            reported.push(interface.clone());
        }
    }
    reported
}

fn pod_names<'a>(vmi: &'a VirtualMachineInstance, attachments: &[Attachment]) -> BTreeMap<&'a str, String> {
    let ordinal = is_ordinal(attachments);
    let secondary = vmi.spec.networks.iter().filter(|network| !is_primary(network) && network.multus.is_some());
    secondary
        .enumerate()
        .map(|(position, network)| {
            let name = if ordinal { format!("net{}", position + 1) } else { hashed_name(&network.name) };
            (network.name.as_str(), name)
        })
        .collect()
}

fn entry(known: &[VirtualMachineInstanceNetworkInterface], name: &str) -> VirtualMachineInstanceNetworkInterface {
    known.iter().find(|known| known.name.as_deref() == Some(name)).cloned().unwrap_or_else(|| VirtualMachineInstanceNetworkInterface {
        name: Some(name.to_owned()),
        ..VirtualMachineInstanceNetworkInterface::default()
    })
}

fn sources(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|source| !source.is_empty()).collect()
}

fn with_source(text: Option<&str>) -> String {
    let mut sources = sources(text);
    if !sources.contains(&MULTUS_STATUS) {
        sources.push(MULTUS_STATUS);
    }
    sources.join(", ")
}

fn without_source(text: Option<&str>) -> Option<String> {
    let sources: Vec<&str> = sources(text).into_iter().filter(|source| *source != MULTUS_STATUS).collect();
    (!sources.is_empty()).then(|| sources.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_come_and_go() {
        assert_eq!(with_source(Some("domain, guest-agent")), "domain, guest-agent, multus-status");
        assert_eq!(with_source(Some("multus-status")), "multus-status");
        assert_eq!(without_source(Some("domain, multus-status")).as_deref(), Some("domain"));
        assert_eq!(without_source(Some("multus-status")), None);
    }

    #[test]
    fn interface_names() {
        assert_eq!(hashed_name("blue"), "pod16477688c0e");
        let attached = |name: &str| Attachment { interface: name.to_owned(), default: false };
        assert!(is_ordinal(&[attached("eth0"), attached("net1")]));
        assert!(!is_ordinal(&[attached("network"), attached("net")]));
    }
}
