//! Free PCI slots for devices to come. Source: spec/domain-xml.md §13.
//!
//! A q35 or virt machine takes a new PCI device only on a free root port. The launcher defines the domain with placeholder
//! interfaces, reads it back, drops them, and so is left with the ports libvirt made for them; then it adds more ports, and
//! forbids hotplug on ports in use.

use api::v1::VirtualMachineInstance;
use domain::{Address, Alias, Controller, ControllerTarget, Domain, Interface, InterfaceModel, InterfaceTarget, OnOff, YesNo};

use super::Architecture;
use super::placement::pci_devices;
use crate::vmi;

/// The interfaces a guest has room for unless it says otherwise.
const DEFAULT_INTERFACE_SLOTS: usize = 4;
/// Above this memory a guest is large, and has more ports.
const LARGE_GUEST_BYTES: u64 = 2 << 30;
/// The highest index of a PCI controller.
const MAX_CONTROLLER_INDEX: u32 = 31;

/// Whether the guest's machine needs ports for hotplug at all.
pub fn has_ports(arch: Architecture, domain: &Domain) -> bool {
    let machine = domain.os.kind.machine.as_deref();
    arch.has_pcie() && machine.is_none_or(|m| m.contains("q35") || m.starts_with("virt"))
}

/// Whether the VMI wants its devices on the root complex.
pub(super) fn on_root_complex(vmi: &VirtualMachineInstance) -> bool {
    vmi::annotation(vmi, "kubevirt.io/placePCIDevicesOnRootComplex") == Some("true")
}

/// How many placeholder interfaces to define.
pub fn placeholder_count(vmi: &VirtualMachineInstance, domain: &Domain) -> usize {
    let interfaces = domain.devices.interfaces.len();
    if let Some(slots) = vmi::annotation(vmi, "kubevirt.io/pci-interface-slot-count").and_then(|n| n.parse::<usize>().ok()) {
        return slots.saturating_sub(interfaces);
    }
    if on_root_complex(vmi) || interfaces == 0 { 0 } else { DEFAULT_INTERFACE_SLOTS.saturating_sub(interfaces) }
}

/// How many ports to add besides those of the placeholders. `domain` is as it was converted, before it was defined.
pub fn extra_port_count(vmi: &VirtualMachineInstance, domain: &Domain) -> usize {
    if on_root_complex(vmi) {
        return 0;
    }
    let boot_memory = domain.memory.to_bytes().unwrap_or_default();
    let (total, least) = if boot_memory > LARGE_GUEST_BYTES { (16_usize, 6) } else { (8, 3) };
    let used = pci_devices(&mut domain.devices.clone()).len();
    let free = total.saturating_sub(used).max(least);
    free.saturating_sub(placeholder_count(vmi, domain))
}

/// The interfaces that hold slots free, to be defined with the domain and dropped from what is read back.
pub fn placeholders(vmi: &VirtualMachineInstance, arch: Architecture, domain: &Domain) -> Vec<Interface> {
    (0..placeholder_count(vmi, domain))
        .map(|i| Interface {
            kind: "ethernet".to_owned(),
            target: Some(InterfaceTarget { dev: format!("placeholder-{i}"), managed: Some(YesNo::No) }),
            model: Some(InterfaceModel { kind: arch.virtio_model(vmi).to_owned() }),
            alias: Some(Alias::plain(format!("placeholder-{i}"))),
            ..Interface::default()
        })
        .collect()
}

/// Lays devices that libvirt read back over a domain. With placeholders the domain keeps its own interfaces, without their
/// addresses, so that they get slots the fixed devices leave; else it takes all.
pub fn adopt(domain: &mut Domain, read_back: Domain, had_placeholders: bool) {
    let interfaces = std::mem::take(&mut domain.devices.interfaces);
    domain.devices = read_back.devices;
    if had_placeholders {
        domain.devices.interfaces = interfaces;
    }
}

/// Adds `count` root ports, and forbids hotplug on the ports that hold fixed devices.
pub fn add_ports(domain: &mut Domain, count: usize) {
    let controllers = &domain.devices.controllers;
    let last = controllers.iter().filter(|c| c.kind == "pci").map(|c| c.index).max();
    let first = last.map_or(0, |i| i + 1);
    for index in (first..=MAX_CONTROLLER_INDEX).take(count) {
        domain.devices.controllers.push(Controller { index, ..Controller::new("pci", "pcie-root-port") });
    }
    let buses = fixed_buses(domain);
    for port in domain.devices.controllers.iter_mut().filter(|c| c.kind == "pci" && c.model.as_deref() == Some("pcie-root-port")) {
        let Some(bus) = port.target.as_ref().and_then(|t| t.bus_nr.as_deref()).and_then(number) else { continue };
        if buses.contains(&bus) {
            port.target.get_or_insert_with(ControllerTarget::default).hotplug = Some(OnOff::Off);
        }
    }
}

/// The buses of devices that stay as long as the guest.
fn fixed_buses(domain: &Domain) -> Vec<u32> {
    let mut devices = domain.devices.clone();
    devices.interfaces.clear();
    let bus = |address: &Option<Address>| address.as_ref().and_then(|a| a.bus.as_deref()).and_then(number);
    let mut buses: Vec<u32> = devices.memories.iter().filter_map(|m| bus(&m.address)).collect();
    buses.extend(pci_devices(&mut devices).iter().filter_map(|a| bus(a)));
    buses
}

/// A bus number, as libvirt writes it.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::{Devices, Memory};
    use rstest::rstest;

    use super::*;

    /// spec/domain-xml.md §11.3; the count of PCI devices is made up by controllers.
    #[rstest]
    #[case(1, 512 << 20, 6, None, 3, 0)]
    #[case(1, 2 << 30, 6, None, 3, 0)]
    #[case(1, 4 << 30, 6, None, 3, 7)]
    #[case(0, 1 << 30, 4, None, 0, 4)]
    #[case(5, 4 << 30, 12, None, 0, 6)]
    #[case(1, 1 << 30, 6, Some(("kubevirt.io/pci-interface-slot-count", "9")), 8, 0)]
    #[case(2, 8 << 30, 8, Some(("kubevirt.io/placePCIDevicesOnRootComplex", "true")), 0, 0)]
    fn worked_examples(
        #[case] interfaces: usize,
        #[case] memory: u64,
        #[case] devices: usize,
        #[case] annotation: Option<(&str, &str)>,
        #[case] placeholders: usize,
        #[case] extra: usize,
    ) {
        let mut vmi = VirtualMachineInstance::default();
        vmi.metadata.annotations = annotation.map(|(k, v)| BTreeMap::from([(k.to_owned(), v.to_owned())]));
        let domain = Domain {
            memory: Memory::bytes(memory),
            devices: Devices {
                interfaces: vec![Interface::default(); interfaces],
                controllers: vec![Controller::new("scsi", "x"); devices - interfaces],
                ..Devices::default()
            },
            ..Domain::default()
        };
        assert_eq!((placeholder_count(&vmi, &domain), extra_port_count(&vmi, &domain)), (placeholders, extra));
    }

    #[test]
    fn ports_in_use_take_no_hotplug() {
        let mut domain = Domain::default();
        let mut used = Controller { index: 1, ..Controller::new("pci", "pcie-root-port") };
        used.target = Some(ControllerTarget { bus_nr: Some("0x01".into()), ..ControllerTarget::default() });
        let mut rng = domain::Rng { model: "virtio".into(), ..domain::Rng::default() };
        rng.address = Some(Address { kind: Some("pci".into()), bus: Some("0x01".into()), ..Address::default() });
        domain.devices = Devices { controllers: vec![used], rng: Some(rng), ..Devices::default() };
        add_ports(&mut domain, 40);
        let ports = &domain.devices.controllers;
        assert_eq!(ports[0].target.as_ref().unwrap().hotplug, Some(OnOff::Off));
        assert_eq!((ports.len(), ports.last().unwrap().index), (31, 31));
        assert!(ports[1].target.is_none());
    }
}
