//! Controllers; the rest is left to libvirt. Source: spec/domain-xml.md §7.

use api::v1::{self, VirtualMachineInstance};
use domain::{Controller, ControllerDriver, Devices, PciHole64};

use super::cpu::Topology;
use super::disks::{bus_of, is_on_bus};
use super::iothreads::IoThreads;
use super::security::virtio_iommu;
use super::{Architecture, Context};
use crate::vmi;

pub(super) fn render(
    vmi: &VirtualMachineInstance,
    cx: &Context,
    arch: Architecture,
    topology: &Topology,
    threads: Option<&IoThreads>,
    out: &mut Devices,
) {
    let spec = &vmi.spec.domain.devices;
    let iommu = virtio_iommu(vmi);
    out.controllers.push(Controller::new("usb", if needs_usb(vmi, cx, arch) { "qemu-xhci" } else { "none" }));
    if spec.disable_hotplug != Some(true) || spec.disks.iter().any(|d| is_on_bus(d, "scsi")) {
        let model = if arch == Architecture::S390x { "virtio-scsi" } else { arch.virtio_model(vmi) };
        let mut controller = Controller::new("scsi", model);
        let thread = threads.and_then(|t| t.of_scsi_controller(&spec.disks));
        if thread.is_some() || iommu.is_some() {
            controller.driver = Some(ControllerDriver { iothread: thread, queues: thread.map(|_| topology.vcpus()), iommu });
        }
        out.controllers.push(controller);
    }
    let without_hole = vmi::annotation(vmi, "kubevirt.io/disablePCIHole64").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    if arch == Architecture::Amd64 && without_hole {
        let mut controller = Controller::new("pci", "pcie-root");
        controller.pci_hole64 = Some(PciHole64 { unit: Some("KiB".to_owned()), value: 0 });
        out.controllers.push(controller);
    }
    if vmi::unless_off(spec.autoattach_serial_console) {
        let mut controller = Controller::new("virtio-serial", arch.virtio_model(vmi));
        controller.driver = iommu.map(|iommu| ControllerDriver { iommu: Some(iommu), ..ControllerDriver::default() });
        out.controllers.push(controller);
    }
}

fn needs_usb(vmi: &VirtualMachineInstance, cx: &Context, arch: Architecture) -> bool {
    let spec = &vmi.spec.domain.devices;
    match arch {
        Architecture::Arm64 => true,
        Architecture::S390x => false,
        Architecture::Amd64 => {
            let usb_input = |i: &v1::Input| matches!(i.bus.as_deref(), None | Some("" | "usb"));
            spec.inputs.iter().any(usb_input)
                || spec.disks.iter().any(|d| d.disk.is_some() && bus_of(d) == "usb")
                || spec.client_passthrough.is_some()
                || cx.host_devices.iter().any(|d| d.kind == "usb")
        }
    }
}
