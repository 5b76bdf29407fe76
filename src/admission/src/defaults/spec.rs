//! Defaults of a specification that a VirtualMachine's template and an instance share (spec/admission.md §4.2, MVI3-MVI12).

use std::collections::BTreeSet;

use api::config::ClusterConfig;
use api::quantity::{self, Amount};
use api::v1::{
    Disk, Interface, InterfaceBridge, InterfaceMasquerade, Memory, Network, PodNetwork, ResourceRequirements, VirtualMachineInstanceSpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::text;
use crate::Denial;

/// Architecture, machine type, CPU request, guest memory, CPU topology, pull policies, eviction strategy, default network, and a
/// disk for every volume.
///
/// # Errors
/// The cluster's default network cannot be used.
pub fn set_spec_defaults(spec: &mut VirtualMachineInstanceSpec, config: &ClusterConfig) -> Result<(), Denial> {
    if text(spec.architecture.as_ref()).is_empty() {
        spec.architecture = Some(config.default_architecture().to_owned());
    }
    let machine = spec.domain.machine.get_or_insert_default();
    if text(machine.r#type.as_ref()).is_empty() {
        machine.r#type = Some(config.machine_type(text(spec.architecture.as_ref())));
    }
    cpu_request(spec, config);
    guest_memory(spec);
    cpu_topology(spec);
    for volume in &mut spec.volumes {
        if let Some(disk) = &mut volume.container_disk
            && text(disk.image_pull_policy.as_ref()).is_empty()
        {
            disk.image_pull_policy = Some(pull_policy(&disk.image).to_owned());
        }
    }
    if spec.eviction_strategy.is_none() {
        spec.eviction_strategy = Some(config.eviction_strategy().to_owned());
    }
    attach_default_network(spec, config)?;
    attach_disks(spec);
    Ok(())
}

/// A resource's amount; nothing where it is not given.
pub(crate) fn resource(of: &std::collections::BTreeMap<String, Quantity>, name: &str) -> Amount {
    of.get(name).map(quantity::amount).unwrap_or_default()
}

fn cpu_request(spec: &mut VirtualMachineInstanceSpec, config: &ClusterConfig) {
    let dedicated = spec.domain.cpu.as_ref().is_some_and(|c| c.dedicated_cpu_placement == Some(true));
    let resources = spec.domain.resources.get_or_insert_with(ResourceRequirements::default);
    let limit = resource(&resources.limits, "cpu");
    if !limit.is_zero() && resource(&resources.requests, "cpu").is_zero() {
        resources.requests.insert("cpu".into(), limit.quantity());
    }
    let default = config.cpu_request();
    if quantity::amount(&default).milli_value() != 100 && !resources.requests.contains_key("cpu") && !dedicated {
        resources.requests.insert("cpu".into(), default);
    }
}

fn guest_memory(spec: &mut VirtualMachineInstanceSpec) {
    let resources = spec.domain.resources.clone().unwrap_or_default();
    let memory = spec.domain.memory.get_or_insert_with(Memory::default);
    if memory.guest.is_some() {
        return;
    }
    let pages = memory.hugepages.as_ref().and_then(|h| h.page_size.as_deref()).and_then(quantity::parse).unwrap_or_default();
    memory.guest = [resource(&resources.requests, "memory"), resource(&resources.limits, "memory"), pages]
        .into_iter()
        .find(|a| !a.is_zero())
        .map(Amount::quantity);
}

fn cpu_topology(spec: &mut VirtualMachineInstanceSpec) {
    let resources = spec.domain.resources.clone().unwrap_or_default();
    let cpu = spec.domain.cpu.get_or_insert_default();
    let set = |n: Option<u32>| n.unwrap_or_default() != 0;
    if set(cpu.sockets) || set(cpu.cores) || set(cpu.threads) {
        return;
    }
    let given = resources.limits.get("cpu").or(resources.requests.get("cpu")).map(quantity::amount);
    cpu.sockets = Some(given.map_or(1, |a| u32::try_from(a.value()).unwrap_or(u32::MAX)));
    cpu.cores = Some(1);
    cpu.threads = Some(1);
}

fn pull_policy(image: &str) -> &'static str {
    if image.ends_with(":latest") || !image.contains([':', '@']) { "Always" } else { "IfNotPresent" }
}

/// MVI11: the cluster's default network, where nothing else is asked for.
pub(crate) fn attach_default_network(spec: &mut VirtualMachineInstanceSpec, config: &ClusterConfig) -> Result<(), Denial> {
    let devices = &mut spec.domain.devices;
    if devices.autoattach_pod_interface == Some(false) || !spec.networks.is_empty() || !devices.interfaces.is_empty() {
        return Ok(());
    }
    let mut interface = Interface { name: "default".into(), ..Interface::default() };
    match config.default_network_interface() {
        "bridge" if !config.permits_bridge_on_pod_network() => {
            return Err(Denial::bad_request("bridge interface is not enabled in kubevirt-config"));
        }
        "bridge" => interface.bridge = Some(InterfaceBridge {}),
        "masquerade" => interface.masquerade = Some(InterfaceMasquerade {}),
        "slirp" => return Err(Denial::bad_request("slirp interface is deprecated as of v1.3")),
        _ => {}
    }
    devices.interfaces.push(interface);
    spec.networks.push(Network { name: "default".into(), pod: Some(PodNetwork::default()), ..Network::default() });
    Ok(())
}

/// MVI12: a disk for every volume that has neither disk nor file system.
pub(crate) fn attach_disks(spec: &mut VirtualMachineInstanceSpec) {
    let devices = &mut spec.domain.devices;
    let shown: BTreeSet<String> =
        devices.disks.iter().map(|d| &d.name).chain(devices.filesystems.iter().map(|f| &f.name)).cloned().collect();
    for volume in &spec.volumes {
        if !shown.contains(&volume.name) {
            devices.disks.push(Disk { name: volume.name.clone(), ..Disk::default() });
        }
    }
}

/// Whether a guest can have PCIe devices plugged while it runs (§4.2.1).
pub fn pcie_hotplug_capable(spec: &VirtualMachineInstanceSpec) -> bool {
    let fits = ["amd64", "arm64", ""].contains(&text(spec.architecture.as_ref()));
    let machine = spec.domain.machine.as_ref().map(|m| text(m.r#type.as_ref()));
    fits && machine.is_none_or(|m| m.contains("q35") || m.starts_with("virt"))
}
