//! Network interfaces.

use super::{Address, Boot};
use crate::element::element;
use crate::values::{Alias, OnOff, YesNo};

element! {
    /// `<interface>`.
    Interface {
        /// `ethernet`, `vhostuser`, `bridge`, …
        req "@type" kind: String,
        opt "@trustGuestRxFilters" trust_guest_rx_filters: YesNo,
        opt "address" address: Address,
        req "source" source: InterfaceSource,
        opt "target" target: InterfaceTarget,
        opt "model" model: InterfaceModel,
        opt "mac" mac: Mac,
        opt "mtu" mtu: Mtu,
        opt "boot" boot: Boot,
        opt "link" link: LinkState,
        opt "filterref" filter_ref: FilterRef,
        opt "alias" alias: Alias,
        opt "driver" driver: InterfaceDriver,
        opt "rom" rom: Rom,
        opt "acpi" acpi: InterfaceAcpi,
        opt "backend" backend: InterfaceBackend,
        list "portForward" port_forwards: PortForward,
    }
}

element! {
    /// The host's side.
    InterfaceSource {
        opt "@network" network: String,
        opt "@type" kind: String,
        opt "@path" path: String,
        opt "@dev" dev: String,
        opt "@bridge" bridge: String,
        opt "@mode" mode: String,
        opt "address" address: Address,
    }
}

element! {
    /// The tap device; `managed="no"` when it is not libvirt's to create.
    InterfaceTarget {
        req "@dev" dev: String,
        opt "@managed" managed: YesNo,
    }
}

element! {
    /// The NIC model.
    InterfaceModel {
        req "@type" kind: String,
    }
}

element! {
    /// The MAC address.
    Mac {
        req "@address" address: String,
    }
}

element! {
    /// The MTU in bytes.
    Mtu {
        req "@size" size: u32,
    }
}

element! {
    /// `up` or `down`.
    LinkState {
        req "@state" state: String,
    }
}

element! {
    /// A network filter.
    FilterRef {
        req "@filter" filter: String,
    }
}

element! {
    /// How QEMU drives a NIC.
    InterfaceDriver {
        opt "@name" name: String,
        opt "@queues" queues: u32,
        opt "@iommu" iommu: OnOff,
    }
}

element! {
    /// Whether the NIC brings a boot ROM.
    Rom {
        opt "@enabled" enabled: YesNo,
        opt "@bar" bar: String,
        opt "@file" file: String,
    }
}

element! {
    /// The index that gives the NIC its name in the guest.
    InterfaceAcpi {
        req "@index" index: u32,
    }
}

element! {
    /// A user-space network process.
    InterfaceBackend {
        opt "@type" kind: String,
        opt "@logFile" log_file: String,
    }
}

element! {
    /// Ports forwarded to the guest.
    PortForward {
        /// `tcp` or `udp`.
        req "@proto" proto: String,
        opt "@address" address: String,
        opt "@dev" dev: String,
        list "range" ranges: PortRange,
    }
}

element! {
    /// A port, or a range of them.
    PortRange {
        req "@start" start: u16,
        opt "@end" end: u16,
        opt "@to" to: u16,
        opt "@exclude" exclude: YesNo,
    }
}
