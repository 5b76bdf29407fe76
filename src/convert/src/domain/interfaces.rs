//! Network interfaces. Source: spec/domain-xml.md §9.

use std::collections::BTreeMap;

use api::config::ClusterConfig;
use api::v1::{self, VirtualMachineInstance};
use domain::{
    Address, Alias, Boot, Interface, InterfaceAcpi, InterfaceBackend, InterfaceDriver, InterfaceModel, InterfaceSource, LinkState, Mac,
    PortForward, PortRange, Rom, YesNo,
};

use super::cpu::Topology;
use super::security::virtio_iommu;
use super::{Architecture, Context, ConvertError};
use crate::paths::SHARE;
use crate::settings::Settings;
use crate::vmi;

const TAP: &str = "tap";
/// Ports Istio's proxy keeps for itself.
const ISTIO_PORTS: [u16; 10] = [15000, 15001, 15004, 15006, 15008, 15009, 15020, 15021, 15053, 15090];

/// How each interface is attached to the guest, by name; interfaces that something else attaches are absent.
pub fn attachments(vmi: &VirtualMachineInstance, config: &ClusterConfig) -> BTreeMap<String, String> {
    let settings = Settings::new(config);
    let mut attachments = BTreeMap::new();
    for interface in &vmi.spec.domain.devices.interfaces {
        let attachment = if interface.masquerade.is_some() || interface.bridge.is_some() {
            Some(TAP)
        } else {
            interface.binding.as_ref().and_then(|b| settings.binding(&b.name)).and_then(|p| p.domain_attachment_type.as_deref())
        };
        if let Some(attachment) = attachment.filter(|a| !a.is_empty()) {
            let attachment = if attachment == "managedTap" { TAP } else { attachment };
            attachments.insert(interface.name.clone(), attachment.to_owned());
        }
    }
    attachments
}

pub(super) fn render(
    vmi: &VirtualMachineInstance,
    cx: &Context,
    arch: Architecture,
    topology: &Topology,
) -> Result<Vec<Interface>, ConvertError> {
    let mut out = Vec::new();
    for spec in vmi::interfaces(vmi) {
        if vmi::network(vmi, &spec.name).is_none() {
            return Err(ConvertError::NetworkNotFound(spec.name.clone()));
        }
        let tap = cx.interface_attachments.get(&spec.name).is_some_and(|a| a == TAP);
        if spec.sriov.is_some() || (spec.binding.is_some() && !tap) {
            continue;
        }
        let mut interface = common(vmi, arch, topology, spec)?;
        if spec.passt_binding.is_some() {
            passt(vmi, spec, &mut interface)?;
        } else if tap {
            self::tap(vmi, arch, spec, &mut interface);
        }
        out.push(interface);
    }
    Ok(out)
}

fn common(vmi: &VirtualMachineInstance, arch: Architecture, topology: &Topology, spec: &v1::Interface) -> Result<Interface, ConvertError> {
    let model = spec.model.as_deref().filter(|m| !m.is_empty()).unwrap_or("virtio");
    let mut out = Interface { alias: Some(Alias::user(&spec.name)), ..Interface::default() };
    if model == "virtio" {
        out.model = Some(InterfaceModel { kind: arch.virtio_model(vmi).to_owned() });
        let multi_queue = vmi.spec.domain.devices.network_interface_multiqueue == Some(true);
        let iommu = virtio_iommu(vmi);
        if multi_queue || iommu.is_some() {
            let queues = multi_queue.then(|| vmi::nic_queues(topology.vcpus()));
            out.driver = Some(InterfaceDriver { name: Some("vhost".to_owned()), queues, iommu });
        }
    } else {
        out.model = Some(InterfaceModel { kind: model.to_owned() });
    }
    if let Some(address) = spec.pci_address.as_deref().filter(|a| !a.is_empty()) {
        let what = || format!("interface {}", spec.name);
        out.address = Some(Address::pci(address).map_err(|source| ConvertError::PciAddress { what: what(), source })?);
    }
    out.acpi = spec.acpi_index.and_then(|i| u32::try_from(i).ok()).filter(|i| *i > 0).map(|index| InterfaceAcpi { index });
    out.mac = spec.mac_address.clone().filter(|m| !m.is_empty()).map(|address| Mac { address });
    Ok(out)
}

fn tap(vmi: &VirtualMachineInstance, arch: Architecture, spec: &v1::Interface, out: &mut Interface) {
    "ethernet".clone_into(&mut out.kind);
    out.boot = spec.boot_order.and_then(|o| u32::try_from(o).ok()).map(Boot::new);
    // A boot ROM is of use only to boot from; encrypted guests cannot run it.
    if arch.tunes_roms() && (out.boot.is_none() || virtio_iommu(vmi).is_some()) {
        out.rom = Some(Rom { enabled: Some(YesNo::No), ..Rom::default() });
    }
    if spec.state.as_deref() == Some("down") {
        out.link = Some(LinkState { state: "down".to_owned() });
    }
}

fn passt(vmi: &VirtualMachineInstance, spec: &v1::Interface, out: &mut Interface) -> Result<(), ConvertError> {
    let status = vmi.status.as_ref().and_then(|s| s.interfaces.iter().find(|i| i.name.as_deref() == Some(&spec.name)));
    let device = status.and_then(|s| s.pod_interface_name.clone()).filter(|n| !n.is_empty());
    let device = device.ok_or_else(|| ConvertError::PodInterfaceUnknown(spec.name.clone()))?;
    "vhostuser".clone_into(&mut out.kind);
    out.source = InterfaceSource { dev: Some(device), ..InterfaceSource::default() };
    out.backend = Some(InterfaceBackend { kind: Some("passt".to_owned()), log_file: Some(format!("{SHARE}/passt.log")) });
    out.port_forwards = port_forwards(vmi, spec);
    Ok(())
}

fn port_forwards(vmi: &VirtualMachineInstance, spec: &v1::Interface) -> Vec<PortForward> {
    let istio = vmi::annotation(vmi, "sidecar.istio.io/inject").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let of = |protocol: &str| {
        spec.ports
            .iter()
            .filter(|p| match p.protocol.as_deref().filter(|p| !p.is_empty()) {
                Some(asked) => asked.eq_ignore_ascii_case(protocol),
                None => protocol == "tcp",
            })
            .filter_map(|p| u16::try_from(p.port).ok())
            .map(|start| PortRange { start, ..PortRange::default() })
            .collect::<Vec<_>>()
    };
    let mut tcp: Vec<PortRange> = if istio {
        ISTIO_PORTS.iter().map(|start| PortRange { start: *start, exclude: Some(YesNo::Yes), ..PortRange::default() }).collect()
    } else {
        Vec::new()
    };
    tcp.extend(of("tcp"));
    let udp = of("udp");
    let forward = |proto: &str, ranges| PortForward { proto: proto.to_owned(), ranges, ..PortForward::default() };
    if tcp.is_empty() && udp.is_empty() {
        return vec![forward("tcp", Vec::new()), forward("udp", Vec::new())];
    }
    [("tcp", tcp), ("udp", udp)].into_iter().filter(|(_, ranges)| !ranges.is_empty()).map(|(p, ranges)| forward(p, ranges)).collect()
}
