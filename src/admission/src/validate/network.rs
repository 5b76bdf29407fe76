//! Interfaces and networks (spec/admission.md §5.4).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::config::ClusterConfig;
use api::v1::{Interface, Network, PortRange, VirtualMachineInstanceSpec};

use super::dra;
use super::spec::SpecContext;
use crate::{CauseKind, Causes, text};

/// N50-N52: bindings that are gone. New objects only, and nothing else is looked at if one is used.
pub(super) fn discontinued_bindings(cx: &SpecContext<'_>, causes: &mut Causes) {
    for (i, interface) in cx.spec.domain.devices.interfaces.iter().enumerate() {
        let field = cx.domain(&format!("devices.interfaces[{i}]"));
        if interface.slirp.is_some() {
            causes.invalid(format!("{field}.slirp"), "Slirp interface support has been discontinued since v1.3");
        }
        if interface.passt.is_some() {
            causes.invalid(format!("{field}.passt"), "Passt network binding has been discontinued since v1.3");
        }
        if interface.macvtap.is_some() {
            causes.invalid(format!("{field}.macvtap"), "Macvtap network binding has been discontinued since v1.3");
        }
    }
}

/// What keeps a guest with this specification from being created, as controllers check once more before they create it: clients of
/// an older cluster may have stored what is no longer there (spec controllers §3.4).
pub fn refused_at_creation(spec: &VirtualMachineInstanceSpec, config: &ClusterConfig) -> Causes {
    let mut causes = Causes::default();
    discontinued_bindings(&SpecContext { base: "spec", spec, config }, &mut causes);
    causes
}

/// X1: gates of removed bindings that are still listed, with the binding in use.
pub(super) fn discontinued_gates(cx: &SpecContext<'_>, causes: &mut Causes) {
    let interfaces = &cx.spec.domain.devices.interfaces;
    for (gate, used) in
        [("Passt", interfaces.iter().any(|i| i.passt.is_some())), ("Macvtap", interfaces.iter().any(|i| i.macvtap.is_some()))]
    {
        if used && cx.config.gate_listed(gate) {
            let message =
                format!("{gate} network binding is discontinued since v1.3. Please refer to Kubevirt user guide for alternatives.");
            causes.not_supported("", message);
        }
    }
}

/// N1-N49.
pub(super) fn validate(cx: &SpecContext<'_>, causes: &mut Causes) {
    networks(cx, causes);
    states(cx, causes);
    bindings(cx, causes);
    unique_networks(cx, causes);
    claims(cx, causes);
    pairs(cx, causes);
    for (i, interface) in cx.spec.domain.devices.interfaces.iter().enumerate() {
        let field = cx.domain(&format!("devices.interfaces[{i}]"));
        if !text::is_interface_name(&interface.name) {
            let message = "Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)";
            causes.invalid(format!("{field}.name"), message);
        }
        addresses(&field, interface, causes);
        ports(cx, &field, interface, on_pod_network(cx, interface), causes);
        dhcp(cx, &field, interface, causes);
    }
}

fn interface_at(cx: &SpecContext<'_>, i: usize) -> String {
    cx.domain(&format!("devices.interfaces[{i}]"))
}

/// N1-N6.
fn networks(cx: &SpecContext<'_>, causes: &mut Causes) {
    let list = &cx.spec.networks;
    let at = cx.at("networks");
    let pods = list.iter().filter(|n| n.pod.is_some()).count();
    let defaults = list.iter().filter(|n| n.multus.as_ref().is_some_and(|m| m.default == Some(true))).count();
    if pods > 1 {
        let field = cx.at("interfaces");
        causes.duplicate(&field, format!("more than one interface is connected to a pod network in {field}"));
    }
    if defaults > 1 {
        causes.invalid(&at, "Multus CNI should only have one default network");
    }
    if pods > 0 && defaults > 0 {
        causes.invalid(&at, "Pod network cannot be defined when Multus default network is defined");
    }
    for (i, network) in list.iter().enumerate() {
        let types = [network.pod.is_some(), network.multus.is_some(), network.resource_claim.is_some()];
        match types.iter().filter(|t| **t).count() {
            0 => causes.required(format!("{at}[{i}]"), "should have a network type"),
            1 => {}
            _ => causes.required(format!("{at}[{i}]"), "should have only one network type"),
        }
    }
    if let Some(i) = list.iter().position(|n| n.multus.as_ref().is_some_and(|m| m.network_name.is_empty())) {
        causes.required(format!("{at}[{i}]"), "CNI delegating plugin must have a networkName");
    }
}

fn is_default(network: &Network) -> bool {
    network.pod.is_some() || network.multus.as_ref().is_some_and(|m| m.default == Some(true))
}

/// N7-N10.
fn states(cx: &SpecContext<'_>, causes: &mut Causes) {
    let default = cx.spec.networks.iter().find(|n| is_default(n)).map(|n| n.name.as_str());
    for (i, interface) in cx.spec.domain.devices.interfaces.iter().enumerate() {
        let field = format!("{}.state", interface_at(cx, i));
        let state = interface.state.as_deref().unwrap_or_default();
        let name = &interface.name;
        if !["", "absent", "down", "up"].contains(&state) {
            causes.invalid(&field, format!("logical {name} interface state value is unsupported: {state}"));
        }
        if interface.sriov.is_some() && ["up", "down"].contains(&state) {
            causes.invalid(&field, format!("{name:?} interface's state {state:?} is not supported for SR-IOV NICs"));
        }
        if state == "absent" && interface.bridge.is_none() {
            causes.invalid(&field, format!("{name:?} interface's state {state:?} is supported only for bridge binding"));
        }
        if state == "absent" && default == Some(name.as_str()) {
            causes.invalid(&field, format!("{name:?} interface's state {state:?} is not supported on default networks"));
        }
    }
}

/// N11-N16.
fn bindings(cx: &SpecContext<'_>, causes: &mut Causes) {
    for (i, interface) in cx.spec.domain.devices.interfaces.iter().enumerate() {
        let base = interface_at(cx, i);
        let name = format!("{base}.name");
        let methods = [
            interface.bridge.is_some(),
            interface.masquerade.is_some(),
            interface.sriov.is_some(),
            interface.passt_binding.is_some(),
            interface.binding.is_some(),
        ];
        if methods.iter().filter(|m| **m).count() != 1 {
            let message = format!("logical {} interface must have exactly one binding method or binding plugin", interface.name);
            causes.invalid(&base, message);
        }
        let on_pod = on_pod_network(cx, interface);
        if interface.masquerade.is_some() {
            if !on_pod {
                causes.invalid(&name, "Masquerade interface only implemented with pod network");
            }
            if interface.mac_address.as_deref() == Some("02:00:00:00:00:00") {
                let message = "The requested MAC address is reserved for the in-pod bridge. Please choose another one.";
                causes.invalid(format!("{base}.macAddress"), message);
            }
        }
        if interface.bridge.is_some() && on_pod && !cx.config.permits_bridge_on_pod_network() {
            causes.invalid(&name, "Bridge on pod network configuration is not enabled under kubevirt-config");
        }
        if interface.passt_binding.is_some() {
            if !cx.config.gate("PasstBinding") {
                causes.invalid(&name, "PasstBinding feature gate is not enabled");
            }
            if !on_pod {
                causes.invalid(&name, "PasstBinding interface only implemented with pod network");
            }
        }
    }
}

/// Whether an interface is on a pod network. Of networks with one name, the last counts.
fn on_pod_network(cx: &SpecContext<'_>, interface: &Interface) -> bool {
    cx.spec.networks.iter().rfind(|n| n.name == interface.name).is_some_and(|n| n.pod.is_some())
}

/// N17.
fn unique_networks(cx: &SpecContext<'_>, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for (i, network) in cx.spec.networks.iter().enumerate() {
        if !seen.insert(&network.name) {
            let message = format!("Network with name {:?} already exists, every network must have a unique name", network.name);
            causes.duplicate(cx.at(&format!("networks[{i}].name")), message);
        }
    }
}

/// N18-N24.
fn claims(cx: &SpecContext<'_>, causes: &mut Causes) {
    let at = cx.at("networks");
    if !cx.spec.networks.iter().any(|n| n.resource_claim.is_some()) {
        return;
    }
    if !cx.config.gate("NetworkDevicesWithDRA") {
        causes.invalid(at, "vmi.spec.networks contains DRA networks but NetworkDevicesWithDRA feature gate is not enabled");
        return;
    }
    if cx.spec.networks.iter().any(|n| n.multus.is_some()) {
        causes.invalid(at, "mixing Multus and DRA resourceClaim networks in the same VMI is not supported");
        return;
    }
    let declared: BTreeSet<&str> = cx.spec.resource_claims.iter().map(|c| c.name.as_str()).collect();
    let first = dra::network_pairs(cx);
    for (i, network) in cx.spec.networks.iter().enumerate() {
        let Some(claim) = &network.resource_claim else { continue };
        let field = format!("{at}[{i}]");
        let interface = cx.spec.domain.devices.interfaces.iter().find(|x| x.name == network.name);
        if interface.is_some_and(|x| x.sriov.is_none() && x.binding.is_none()) {
            let message = format!("DRA network {:?} requires an SR-IOV or binding plugin interface", network.name);
            causes.invalid(cx.domain("devices.interfaces"), message);
        }
        let name = claim.claim_name.as_deref().unwrap_or_default();
        let request = claim.request_name.as_deref().unwrap_or_default();
        if name.is_empty() {
            causes.required(format!("{field}.resourceClaim.claimName"), "claimName is required for DRA network");
        }
        if request.is_empty() {
            causes.required(format!("{field}.resourceClaim.requestName"), "requestName is required for DRA network");
        }
        if name.is_empty() || request.is_empty() {
            continue;
        }
        if !declared.contains(name) {
            let message = format!("network references resourceClaim {name:?} which is not defined in spec.resourceClaims");
            causes.add(CauseKind::NotFound, format!("{field}.resourceClaim.claimName"), message);
        }
        let key = format!("{name}/{request}");
        if first.get(&key).is_some_and(|j| *j != i) {
            causes.duplicate(field, format!("duplicate claimName/requestName combination {key:?}"));
        }
    }
}

/// N25-N27: interfaces and networks belong together by name.
fn pairs(cx: &SpecContext<'_>, causes: &mut Causes) {
    let interfaces = &cx.spec.domain.devices.interfaces;
    let names: BTreeSet<&str> = interfaces.iter().map(|x| x.name.as_str()).collect();
    for (i, network) in cx.spec.networks.iter().enumerate() {
        if !names.contains(network.name.as_str()) {
            let field = cx.at(&format!("networks[{i}].name"));
            let message = format!("{field} '{}' not found.", network.name);
            causes.required(field, message);
        }
    }
    let mut seen = BTreeSet::new();
    for (i, interface) in interfaces.iter().enumerate() {
        let field = format!("{}.name", interface_at(cx, i));
        if !seen.insert(&interface.name) {
            causes.duplicate(&field, "Only one interface can be connected to one specific network");
        }
    }
    for (i, interface) in interfaces.iter().enumerate() {
        let field = format!("{}.name", interface_at(cx, i));
        if cx.network(&interface.name).is_none() {
            causes.invalid(&field, format!("{field} '{}' not found.", interface.name));
        }
    }
}

/// N29-N32.
fn addresses(field: &str, interface: &Interface, causes: &mut Causes) {
    const MODELS: &[&str] = &["e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "virtio"];
    if let Some(model) = interface.model.as_deref().filter(|m| !m.is_empty() && !MODELS.contains(m)) {
        causes.not_supported(format!("{field}.model"), format!("interface {field}.name uses model {model} that is not supported."));
    }
    if let Some(mac) = interface.mac_address.as_deref().filter(|m| !m.is_empty()) {
        let at = format!("{field}.macAddress");
        match text::mac_length(mac) {
            None => causes.invalid(at, format!("interface {field}.name has malformed MAC address ({mac}).")),
            Some(n) if n > 6 => causes.invalid(at, format!("interface {field}.name has too long MAC address ({mac}).")),
            Some(_) => {}
        }
    }
    if let Some(address) = interface.pci_address.as_deref().filter(|a| !a.is_empty() && !text::is_pci_address(a)) {
        causes.invalid(format!("{field}.pciAddress"), format!("interface {field}.name has malformed PCI address ({address})."));
    }
}

/// N33-N46.
fn ports(cx: &SpecContext<'_>, field: &str, interface: &Interface, on_pod_network: bool, causes: &mut Causes) {
    if on_pod_network {
        let mut names = BTreeSet::new();
        for (p, port) in interface.ports.iter().enumerate() {
            let at = format!("{field}.ports[{p}]");
            let name = port.name.as_deref().unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            if !names.insert(name) {
                causes.duplicate(format!("{at}.name"), format!("Duplicate name of the port: {name}"));
            }
            if !text::is_port_name(name) {
                causes.invalid(format!("{at}.name"), format!("Invalid name of the port: {name}"));
            }
        }
        for (p, port) in interface.ports.iter().enumerate() {
            let at = format!("{field}.ports[{p}]");
            if port.port == 0 {
                causes.required(format!("{at}.port"), "Port field is mandatory.");
            } else if !(1..65536).contains(&port.port) {
                causes.invalid(format!("{at}.port"), "Port field must be in range 0 < x < 65536.");
            }
            if !["", "TCP", "UDP"].contains(&port.protocol.as_deref().unwrap_or_default()) {
                causes.invalid(format!("{at}.protocol"), "Unknown protocol, only TCP or UDP allowed");
            }
        }
    }
    if interface.port_ranges.is_empty() {
        return;
    }
    let name = format!("{field}.name");
    if !cx.config.gate("PortRangesSpec") {
        causes.invalid(&name, "portRanges is specified on interface but the PortRangesSpec feature gate is not enabled");
        return;
    }
    if !on_pod_network {
        return;
    }
    if !interface.ports.is_empty() {
        causes.invalid(&name, "Cannot define both ports and portRanges on interface");
    }
    if interface.masquerade.is_none() {
        causes.invalid(&name, "portRanges are only supported on masquerade interfaces");
    }
    ranges(&format!("{field}.portRanges"), &interface.port_ranges, causes);
}

/// N41-N46.
fn ranges(field: &str, ranges: &[PortRange], causes: &mut Causes) {
    if ranges.len() > 10 {
        causes.invalid(field, "No more than 10 portRanges are allowed");
        return;
    }
    let is_port = |n: i32| (1..65536).contains(&n);
    let mut by_protocol: BTreeMap<&str, Vec<(i32, i32)>> = BTreeMap::new();
    for (r, range) in ranges.iter().enumerate() {
        let at = format!("{field}[{r}]");
        if !["TCP", "UDP"].contains(&range.protocol.as_str()) {
            causes.invalid(format!("{at}.protocol"), "Unknown protocol, only TCP or UDP allowed");
        } else if !is_port(range.start) {
            causes.invalid(format!("{at}.start"), "Start must be a valid port number, 0 < x < 65536");
        } else if !is_port(range.end) {
            causes.invalid(format!("{at}.end"), "End must be a valid port number, 0 < x < 65536");
        } else if range.start > range.end {
            causes.invalid(format!("{at}.start"), "Start must be less than or equal to end");
        } else {
            by_protocol.entry(&range.protocol).or_default().push((range.start, range.end));
        }
    }
    for (protocol, mut list) in by_protocol {
        list.sort_unstable();
        for (a, b) in list.iter().zip(list.iter().skip(1)) {
            if b.0 <= a.1 {
                causes.invalid(field, format!("{protocol} portRanges [{}-{}] and [{}-{}] overlap", a.0, a.1, b.0, b.1));
            }
        }
    }
}

/// N47-N49.
fn dhcp(cx: &SpecContext<'_>, field: &str, interface: &Interface, causes: &mut Causes) {
    let Some(options) = &interface.dhcp_options else { return };
    let mut seen = BTreeSet::new();
    if options.private_options.iter().any(|o| !seen.insert(o.option)) {
        causes.invalid(cx.base, "Found Duplicates: you have provided duplicate DHCPPrivateOptions");
    }
    for _ in options.private_options.iter().filter(|o| !(224..=254).contains(&o.option)) {
        causes.invalid(cx.base, "provided DHCPPrivateOptions are out of range, must be in range 224 to 254");
    }
    for (k, server) in options.ntp_servers.iter().enumerate() {
        if !is_ipv4(server) {
            causes.invalid(format!("{field}.dhcpOptions.ntpServers[{k}]"), "NTP servers must be a list of valid IPv4 addresses.");
        }
    }
}

/// Whether Go reads a text as an IPv4 address; the IPv6 form of one counts.
fn is_ipv4(text: &str) -> bool {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => true,
        Ok(IpAddr::V6(address)) => address.to_ipv4_mapped().is_some(),
        Err(_) => false,
    }
}
