//! Controllers and buses.

use super::Address;
use crate::element::element;
use crate::values::{Alias, OnOff};

element! {
    /// `<controller>`.
    Controller {
        /// `usb`, `scsi`, `virtio-serial`, `pci`, `sata`, …
        req "@type" kind: String,
        req "@index" index: u32,
        opt "@model" model: String,
        opt "@ports" ports: u32,
        opt "driver" driver: ControllerDriver,
        opt "alias" alias: Alias,
        opt "address" address: Address,
        opt "pcihole64" pci_hole64: PciHole64,
        opt "model" model_name: ControllerModelName,
        opt "target" target: ControllerTarget,
    }
}

impl Controller {
    /// A controller of `kind` with index 0.
    pub fn new(kind: &str, model: &str) -> Self {
        Self { kind: kind.to_owned(), model: Some(model.to_owned()), ..Self::default() }
    }
}

element! {
    /// How QEMU drives a controller.
    ControllerDriver {
        opt "@iothread" iothread: u32,
        opt "@queues" queues: u32,
        opt "@iommu" iommu: OnOff,
    }
}

element! {
    /// The size of the 64-bit PCI hole.
    PciHole64 {
        opt "@unit" unit: String,
        req "$text" value: u64,
    }
}

element! {
    /// The device libvirt chose for a PCI controller.
    ControllerModelName {
        req "@name" name: String,
    }
}

element! {
    /// A PCI controller's place.
    ControllerTarget {
        opt "@chassis" chassis: String,
        opt "@port" port: String,
        opt "@hotplug" hotplug: OnOff,
        opt "@busNr" bus_nr: String,
        opt "node" node: u32,
    }
}
