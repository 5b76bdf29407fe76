//! Host devices: PCI, mediated, USB.

use super::{Address, Boot};
use crate::element::element;
use crate::values::{Alias, OnOff, YesNo};

element! {
    /// `<hostdev>`.
    HostDevice {
        /// `pci`, `mdev` or `usb`.
        req "@type" kind: String,
        opt "@managed" managed: YesNo,
        opt "@mode" mode: String,
        /// `vfio-pci`, `vfio-ap`.
        opt "@model" model: String,
        opt "@display" display: OnOff,
        opt "@ramfb" ramfb: OnOff,
        req "source" source: HostDeviceSource,
        opt "boot" boot: Boot,
        opt "address" address: Address,
        opt "alias" alias: Alias,
        opt "driver" driver: HostDeviceDriver,
        opt "acpi" acpi: HostDeviceAcpi,
    }
}

element! {
    /// The device on the host.
    HostDeviceSource {
        opt "address" address: Address,
    }
}

element! {
    /// How the device is handed over.
    HostDeviceDriver {
        opt "@name" name: String,
        opt "@iommufd" iommufd: YesNo,
    }
}

element! {
    /// The guest NUMA cells of a device with its own memory.
    HostDeviceAcpi {
        opt "@nodeset" nodeset: String,
    }
}
