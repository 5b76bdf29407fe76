//! PCI placement: on the root complex, or near NUMA cells. Source: spec/domain-xml.md §14.3, §14.5.

use std::collections::BTreeMap;

use api::v1::VirtualMachineInstance;
use domain::{Address, Controller, ControllerTarget, Devices, Domain, HostDevice};

use super::hotplug_ports::on_root_complex;
use super::{Architecture, Context, ConvertError, numa};
use crate::vmi;

/// Gives devices addresses where the VMI or the cluster asks for a place.
pub(super) fn adjust(vmi: &VirtualMachineInstance, cx: &Context, arch: Architecture, out: &mut Domain) -> Result<(), ConvertError> {
    if !arch.has_pcie() {
        return Ok(());
    }
    if cx.pci_numa_placement && vmi::has_dedicated_cpus(vmi) {
        let strict = numa::is_passed_through(vmi);
        let before = out.devices.clone();
        if let Err(error) = near_cells(cx, out, strict) {
            if strict {
                return Err(error);
            }
            // Placement is a wish here: what cannot be placed well is left to libvirt.
            out.devices = before;
        }
    }
    if on_root_complex(vmi) { root_complex(&mut out.devices) } else { Ok(()) }
}

/// The address of every device that takes a slot of its own, in the order in which slots are given out. Devices with an
/// address of another kind are left out.
pub(super) fn pci_devices(devices: &mut Devices) -> Vec<&mut Option<Address>> {
    let Devices { interfaces, host_devices, controllers, disks, inputs, watchdogs, rng, mem_balloon, .. } = devices;
    let root = |c: &Controller| c.kind == "pci" && matches!(c.model.as_deref(), Some("pci-root" | "pcie-root" | "pcie-expander-bus"));
    interfaces
        .iter_mut()
        .map(|i| &mut i.address)
        .chain(host_devices.iter_mut().filter(|h| h.kind == "pci").map(|h| &mut h.address))
        .chain(controllers.iter_mut().filter(|c| !root(c)).map(|c| &mut c.address))
        .chain(disks.iter_mut().filter(|d| d.target.bus.as_deref() == Some("virtio")).map(|d| &mut d.address))
        .chain(inputs.iter_mut().filter(|i| i.bus == "virtio").map(|i| &mut i.address))
        .chain(watchdogs.iter_mut().map(|w| &mut w.address))
        .chain(rng.iter_mut().map(|r| &mut r.address))
        .chain(mem_balloon.iter_mut().map(|b| &mut b.address))
        .filter(|a| a.as_ref().and_then(|a| a.kind.as_deref()).is_none_or(|kind| kind.is_empty() || kind == "pci"))
        .collect()
}

/// §14.5: a slot of bus 0 for every device without an address.
fn root_complex(devices: &mut Devices) -> Result<(), ConvertError> {
    const FIRST_SLOT: u32 = 0x02;
    const SLOTS: u32 = 0x20;
    /// What q35 itself puts on the bus.
    const TAKEN: [u32; 2] = [0x1b, 0x1f];
    let mut slots = (FIRST_SLOT..SLOTS).filter(|s| !TAKEN.contains(s));
    for address in pci_devices(devices) {
        if address.as_ref().is_some_and(|a| a.domain.is_some()) {
            continue;
        }
        let slot = slots.next().ok_or(ConvertError::RootBusFull)?;
        let text = |t: &str| Some(t.to_owned());
        *address = Some(Address {
            kind: text("pci"),
            domain: text("0x0000"),
            bus: text("0x00"),
            slot: Some(format!("0x{slot:02x}")),
            function: text("0x0"),
            ..Address::default()
        });
    }
    Ok(())
}

/// `dddd:bb:ss.f` of a host device's source.
fn source_address(device: &HostDevice) -> Option<String> {
    let address = device.source.address.as_ref()?;
    let digits = |part: &Option<String>| Some(part.as_deref()?.trim_start_matches("0x").to_owned());
    Some(format!("{}:{}:{}.{}", digits(&address.domain)?, digits(&address.bus)?, digits(&address.slot)?, digits(&address.function)?))
}

/// §14.3: an expander bus for every guest cell with devices, and a root port on it for each of them.
fn near_cells(cx: &Context, out: &mut Domain, strict: bool) -> Result<(), ConvertError> {
    let cells = guest_cells(cx, out);
    let mut groups: BTreeMap<u32, Vec<(String, usize)>> = BTreeMap::new();
    for (index, device) in out.devices.host_devices.iter().enumerate() {
        if device.kind != "pci" || device.address.is_some() {
            continue;
        }
        let Some(source) = source_address(device) else { continue };
        match cx.pci_numa_nodes.get(&source).and_then(|node| cells.get(node)) {
            Some(cell) => groups.entry(*cell).or_default().push((source, index)),
            None if strict => return Err(ConvertError::Unplaceable(source)),
            None => {}
        }
    }
    let mut index = out.devices.controllers.iter().map(|c| c.index).max().unwrap_or_default();
    let mut created = 0_u32;
    for (cell, mut devices) in groups {
        devices.sort();
        created += 1 + devices.len() as u32;
        // An expander claims the bus numbers of its ports, from the top.
        let bus_nr = 256_u32.checked_sub(created).filter(|b| *b > 0).ok_or(ConvertError::BusNumbersExhausted)?;
        index += 1;
        let expander = index;
        let mut controller = Controller { index, ..Controller::new("pci", "pcie-expander-bus") };
        controller.target = Some(ControllerTarget { bus_nr: Some(bus_nr.to_string()), node: Some(cell), ..ControllerTarget::default() });
        out.devices.controllers.push(controller);
        for (slot, (_, device)) in devices.into_iter().enumerate() {
            index += 1;
            let address = |bus: u32, slot: usize| Address {
                kind: Some("pci".to_owned()),
                domain: Some("0x0000".to_owned()),
                bus: Some(bus.to_string()),
                slot: Some(format!("0x{slot:02x}")),
                function: Some("0x0".to_owned()),
                ..Address::default()
            };
            let mut port = Controller { index, ..Controller::new("pci", "pcie-root-port") };
            port.address = Some(address(expander, slot));
            out.devices.controllers.push(port);
            if let Some(device) = out.devices.host_devices.get_mut(device) {
                device.address = Some(address(index, 0));
            }
        }
    }
    Ok(())
}

/// Guest cells by host cell: as memory is bound, else as vCPUs are pinned. A host cell that several guest cells share says
/// nothing.
fn guest_cells(cx: &Context, out: &Domain) -> BTreeMap<u32, u32> {
    let mut cells: BTreeMap<u32, Option<u32>> = BTreeMap::new();
    let mut note = |host: u32, guest: u32| {
        cells.entry(host).and_modify(|g| *g = g.filter(|g| *g == guest)).or_insert(Some(guest));
    };
    let nodes = out.numa_tune.iter().flat_map(|t| &t.nodes);
    for node in nodes {
        if let Ok(host) = node.nodeset.parse() {
            note(host, node.cell);
        }
    }
    if out.numa_tune.is_none() {
        for cell in out.cpu.numa.iter().flat_map(|n| &n.cells) {
            let vcpus = super::parse_cpu_list(cell.cpus.as_deref().unwrap_or_default()).unwrap_or_default();
            for pin in out.cpu_tune.iter().flat_map(|t| &t.vcpu_pins).filter(|p| vcpus.contains(&p.vcpu)) {
                let cpu: Option<u32> = pin.cpuset.parse().ok();
                let host = cx.topology.cells.iter().find(|h| h.cpus.iter().any(|c| Some(c.id) == cpu));
                if let Some(host) = host {
                    note(host.id, cell.id);
                }
            }
        }
    }
    cells.into_iter().filter_map(|(host, guest)| Some((host, guest?))).collect()
}

#[cfg(test)]
mod tests {
    use domain::{HostDeviceSource, MemNode, NumaTune};

    use super::*;

    fn device(source: &str) -> HostDevice {
        HostDevice {
            kind: "pci".into(),
            source: HostDeviceSource { address: Some(Address::pci(source).unwrap()) },
            ..HostDevice::default()
        }
    }

    /// Index, model and bus number of a controller.
    type Port = (u32, String, Option<String>);

    fn place(sources: &[(&str, u32)]) -> (Vec<Port>, Vec<String>) {
        let mut cx = Context::default();
        let mut out = Domain { numa_tune: Some(NumaTune::default()), ..Domain::default() };
        for (source, node) in sources {
            cx.pci_numa_nodes.insert((*source).to_owned(), *node);
            out.devices.host_devices.push(device(source));
        }
        let nodes = [0, 1].map(|n| MemNode { cell: n, mode: "strict".into(), nodeset: n.to_string() });
        out.numa_tune.as_mut().unwrap().nodes = nodes.to_vec();
        near_cells(&cx, &mut out, true).unwrap();
        let controllers = out.devices.controllers.iter();
        (
            controllers.map(|c| (c.index, c.model.clone().unwrap(), c.target.as_ref().and_then(|t| t.bus_nr.clone()))).collect(),
            out.devices.host_devices.iter().map(|d| d.address.as_ref().unwrap().bus.clone().unwrap()).collect(),
        )
    }

    /// spec/domain-xml.md §11.6.
    #[test]
    fn expanders_are_numbered_from_the_top() {
        let expander = |index, bus: &str| (index, "pcie-expander-bus".to_owned(), Some(bus.to_owned()));
        let port = |index| (index, "pcie-root-port".to_owned(), None);
        let two_cells = place(&[("0000:3b:00.0", 0), ("0000:65:00.0", 1)]);
        assert_eq!(two_cells, (vec![expander(1, "254"), port(2), expander(3, "252"), port(4)], vec!["2".to_owned(), "4".to_owned()]));
        let one_cell = place(&[("0000:65:00.0", 0), ("0000:3b:00.0", 0)]);
        assert_eq!(one_cell, (vec![expander(1, "253"), port(2), port(3)], vec!["3".to_owned(), "2".to_owned()]));
    }

    #[test]
    fn what_cannot_be_placed_is_an_error_only_when_asked_for() {
        let cx = Context::default();
        let mut out = Domain::default();
        out.devices.host_devices.push(device("0000:3b:00.0"));
        assert_eq!(near_cells(&cx, &mut out, true), Err(ConvertError::Unplaceable("0000:3b:00.0".to_owned())));
        assert_eq!(near_cells(&cx, &mut out, false), Ok(()));
    }

    #[test]
    fn the_root_bus_has_twenty_eight_slots() {
        let mut devices = Devices { controllers: vec![Controller::new("scsi", "x"); 28], ..Devices::default() };
        root_complex(&mut devices).unwrap();
        let slots: Vec<_> = devices.controllers.iter().map(|c| c.address.as_ref().unwrap().slot.clone().unwrap()).collect();
        assert_eq!((slots[0].as_str(), slots[25].as_str(), slots[27].as_str()), ("0x02", "0x1c", "0x1e"));
        devices.controllers.push(Controller::new("scsi", "x"));
        devices.controllers.iter_mut().for_each(|c| c.address = None);
        assert_eq!(root_complex(&mut devices), Err(ConvertError::RootBusFull));
    }
}
