//! `status.interfaces` (node.md §16.7).

use api::v1::{VirtualMachineInstance, VirtualMachineInstanceNetworkInterface as Entry};

use super::{Domain, GuestNic, Nic};

const FROM_DOMAIN: &str = "domain";
const FROM_AGENT: &str = "guest-agent";
const FROM_MULTUS: &str = "multus-status";
/// Interfaces only the guest knows about that are reported at most.
const UNMATCHED: usize = 10;
/// The pod's own interface.
const POD_INTERFACE: &str = "eth0";

/// The interfaces as they are now: those of the domain, the primary one first, then those only the guest knows, then those only Multus
/// knows. `pod_ips` are the pod's addresses, which the guest on the pod network answers to.
pub fn compute(vmi: &VirtualMachineInstance, domain: &Domain, pod_ips: &[String]) -> Vec<Entry> {
    let known = vmi.status.as_ref().map(|status| status.interfaces.as_slice()).unwrap_or_default();
    let primary = primary_network(vmi);
    let mut entries: Vec<Entry> = domain.nics.iter().map(|nic| of_domain(vmi, nic, primary, pod_ips, known)).collect();
    let mut unmatched = Vec::new();
    for guest in &domain.guest_nics {
        let same = |entry: &&mut Entry| entry.mac.as_deref().is_some_and(|mac| mac.eq_ignore_ascii_case(&guest.mac));
        match entries.iter_mut().find(same) {
            Some(entry) => merge(vmi, entry, guest),
            None => unmatched.push(of_guest(guest)),
        }
    }
    entries.sort_by_key(|entry| entry.name.as_deref() != primary);
    unmatched.truncate(UNMATCHED);
    entries.extend(unmatched);
    for old in known.iter().filter(|old| has_source(old, FROM_MULTUS)) {
        match entries.iter_mut().find(|entry| entry.name == old.name) {
            Some(entry) => add_source(entry, FROM_MULTUS),
            None => entries.push(Entry { info_source: Some(FROM_MULTUS.to_owned()), ..old.clone() }),
        }
    }
    entries
}

/// The name of the pod network, or of what stands in for it.
fn primary_network(vmi: &VirtualMachineInstance) -> Option<&str> {
    let pod = vmi.spec.networks.iter().find(|network| network.pod.is_some());
    let default = || vmi.spec.networks.iter().find(|n| n.multus.as_ref().is_some_and(|multus| multus.default == Some(true)));
    pod.or_else(default).map(|network| network.name.as_str())
}

fn of_domain(vmi: &VirtualMachineInstance, nic: &Nic, primary: Option<&str>, pod_ips: &[String], known: &[Entry]) -> Entry {
    let is_primary = primary == Some(nic.network.as_str());
    let old = known.iter().find(|entry| entry.name.as_deref() == Some(&nic.network));
    let pod_interface = old.and_then(|entry| entry.pod_interface_name.clone());
    let has_binding = vmi.spec.domain.devices.interfaces.iter().any(|interface| interface.name == nic.network);
    let ips = if is_primary && has_binding { pod_ips.to_vec() } else { Vec::new() };
    Entry {
        ip_address: ips.first().cloned(),
        ip_addresses: ips,
        mac: Some(nic.mac.clone()).filter(|mac| !mac.is_empty()),
        name: Some(nic.network.clone()).filter(|name| !name.is_empty()),
        pod_interface_name: pod_interface.or_else(|| is_primary.then(|| POD_INTERFACE.to_owned())),
        interface_name: None,
        info_source: Some(FROM_DOMAIN.to_owned()),
        queue_count: Some(nic.queues.unwrap_or(1)),
        link_state: Some(if nic.link_down { "down" } else { "up" }.to_owned()),
    }
}

fn of_guest(guest: &GuestNic) -> Entry {
    Entry {
        ip_address: guest.ips.first().cloned(),
        ip_addresses: guest.ips.clone(),
        mac: Some(guest.mac.clone()).filter(|mac| !mac.is_empty()),
        interface_name: Some(guest.name.clone()),
        info_source: Some(FROM_AGENT.to_owned()),
        ..Entry::default()
    }
}

/// Lays what the agent says over what the domain says.
fn merge(vmi: &VirtualMachineInstance, entry: &mut Entry, guest: &GuestNic) {
    let spec = vmi.spec.domain.devices.interfaces.iter().find(|nic| Some(nic.name.as_str()) == entry.name.as_deref());
    let masqueraded = spec.is_some_and(|nic| nic.masquerade.is_some());
    let told: Vec<&String> = guest.ips.iter().filter(|ip| !(masqueraded && is_link_local(ip))).collect();
    let mut ips = Vec::new();
    for is_v6 in [false, true] {
        let of_family = |ip: &&String| ip.contains(':') == is_v6;
        let from_pod: Vec<String> = entry.ip_addresses.iter().filter(of_family).cloned().collect();
        let from_guest: Vec<String> = told.iter().copied().filter(of_family).cloned().collect();
        // The pod's address is the one others reach; a guest without an address of the family does not answer to it.
        match (from_pod.is_empty(), from_guest.is_empty()) {
            (_, true) => {}
            (true, false) => ips.extend(from_guest),
            (false, false) => ips.extend(from_pod),
        }
    }
    entry.ip_address = ips.first().cloned();
    entry.ip_addresses = ips;
    entry.interface_name = Some(guest.name.clone());
    add_source(entry, FROM_AGENT);
}

fn is_link_local(ip: &str) -> bool {
    ip.starts_with("169.254.") || ip.to_ascii_lowercase().starts_with("fe80:")
}

fn has_source(entry: &Entry, source: &str) -> bool {
    entry.info_source.as_deref().is_some_and(|sources| sources.split(", ").any(|found| found == source))
}

fn add_source(entry: &mut Entry, source: &str) {
    if has_source(entry, source) {
        return;
    }
    entry.info_source = Some(match entry.info_source.as_deref() {
        None | Some("") => source.to_owned(),
        Some(sources) => format!("{sources}, {source}"),
    });
}

#[cfg(test)]
mod tests {
    use api::v1::{Interface, InterfaceMasquerade, Network, PodNetwork};

    use super::*;

    fn vmi() -> VirtualMachineInstance {
        let mut vmi = VirtualMachineInstance::default();
        let masquerade = Some(InterfaceMasquerade {});
        vmi.spec.domain.devices.interfaces = vec![Interface { name: "default".to_owned(), masquerade, ..Interface::default() }];
        vmi.spec.networks = vec![Network { name: "default".to_owned(), pod: Some(PodNetwork::default()), ..Network::default() }];
        vmi
    }

    fn nic(network: &str, mac: &str) -> Nic {
        Nic { network: network.to_owned(), mac: mac.to_owned(), ..Nic::default() }
    }

    fn line(entry: &Entry) -> String {
        format!(
            "{} {} {} [{}]",
            entry.name.as_deref().unwrap_or("-"),
            entry.interface_name.as_deref().unwrap_or("-"),
            entry.ip_addresses.join(" "),
            entry.info_source.as_deref().unwrap_or("-")
        )
    }

    #[test]
    fn the_primary_comes_first_with_the_pods_addresses() {
        let domain = Domain { nics: vec![nic("extra", "02::2"), nic("default", "02::1")], ..Domain::default() };
        let lines: Vec<String> = compute(&vmi(), &domain, &["10.0.0.9".to_owned()]).iter().map(line).collect();
        assert_eq!(lines, ["default - 10.0.0.9 [domain]", "extra -  [domain]"]);
    }

    #[test]
    fn the_agent_adds_names_and_what_only_the_guest_knows() {
        let guest = |name: &str, mac: &str, ips: &[&str]| GuestNic {
            name: name.to_owned(),
            mac: mac.to_owned(),
            ips: ips.iter().map(|ip| (*ip).to_owned()).collect(),
        };
        let domain = Domain {
            nics: vec![nic("default", "02:00:00:00:00:AA")],
            guest_nics: vec![guest("eth0", "02:00:00:00:00:aa", &["10.0.2.2", "fe80::1"]), guest("docker0", "02:42", &["172.17.0.1"])],
            ..Domain::default()
        };
        let pod = ["10.0.0.9".to_owned(), "fd00::9".to_owned()];
        let lines: Vec<String> = compute(&vmi(), &domain, &pod).iter().map(line).collect();
        assert_eq!(lines, ["default eth0 10.0.0.9 [domain, guest-agent]", "- docker0 172.17.0.1 [guest-agent]"]);
    }

    #[test]
    fn what_multus_knows_stays() {
        let mut vmi = vmi();
        let multus = |name: &str| Entry {
            name: Some(name.to_owned()),
            pod_interface_name: Some("pod123".to_owned()),
            info_source: Some("domain, multus-status".to_owned()),
            ..Entry::default()
        };
        vmi.status.get_or_insert_default().interfaces = vec![multus("default"), multus("later")];
        let domain = Domain { nics: vec![nic("default", "02::1")], ..Domain::default() };
        let entries = compute(&vmi, &domain, &[]);
        let lines: Vec<String> = entries.iter().map(line).collect();
        assert_eq!(lines, ["default -  [domain, multus-status]", "later -  [multus-status]"]);
        assert_eq!(entries[0].pod_interface_name.as_deref(), Some("pod123"));
    }
}
