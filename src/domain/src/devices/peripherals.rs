//! Everything small: balloon, RNG, watchdog, TPM, vsock, panic notifier, shared folders, IOMMU.

use super::Address;
use crate::element::element;
use crate::values::{Alias, OnOff, YesNo};

element! {
    /// `<memballoon>`.
    MemBalloon {
        req "@model" model: String,
        opt "@freePageReporting" free_page_reporting: OnOff,
        opt "stats" stats: Stats,
        opt "alias" alias: Alias,
        opt "address" address: Address,
        opt "driver" driver: VirtioDriver,
    }
}

element! {
    /// How often the guest reports memory statistics.
    Stats {
        /// Seconds.
        req "@period" period: u32,
    }
}

element! {
    /// What virtio devices have in common.
    VirtioDriver {
        opt "@iommu" iommu: OnOff,
    }
}

element! {
    /// `<rng>`.
    Rng {
        req "@model" model: String,
        opt "backend" backend: RngBackend,
        opt "alias" alias: Alias,
        opt "address" address: Address,
        opt "driver" driver: VirtioDriver,
    }
}

element! {
    /// The host's source of entropy.
    RngBackend {
        req "@model" model: String,
        req "$text" source: String,
    }
}

element! {
    /// `<watchdog>`.
    Watchdog {
        req "@model" model: String,
        req "@action" action: String,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

element! {
    /// `<tpm>`.
    Tpm {
        req "@model" model: String,
        req "backend" backend: TpmBackend,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

element! {
    /// The TPM's implementation.
    TpmBackend {
        req "@type" kind: String,
        req "@version" version: String,
        opt "@persistent_state" persistent_state: YesNo,
    }
}

element! {
    /// `<vsock>`.
    Vsock {
        opt "@model" model: String,
        req "cid" cid: Cid,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

element! {
    /// The guest's address on the host.
    Cid {
        req "@auto" auto: YesNo,
        opt "@address" address: u32,
    }
}

element! {
    /// `<panic>`: how the guest tells that it crashed.
    Panic {
        opt "@model" model: String,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

element! {
    /// `<filesystem>`: a shared folder.
    Filesystem {
        req "@type" kind: String,
        req "@accessMode" access_mode: String,
        opt "source" source: FilesystemSource,
        opt "target" target: FilesystemTarget,
        opt "driver" driver: FilesystemDriver,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

element! {
    /// The host's side: the socket of the daemon that serves it.
    FilesystemSource {
        req "@dir" dir: String,
        opt "@socket" socket: String,
    }
}

element! {
    /// The tag the guest mounts.
    FilesystemTarget {
        opt "@dir" dir: String,
    }
}

element! {
    /// How it is shared.
    FilesystemDriver {
        req "@type" kind: String,
        opt "@queue" queue: u32,
    }
}

element! {
    /// `<iommu>`.
    Iommu {
        req "@model" model: String,
        opt "driver" driver: IommuDriver,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

element! {
    /// The IOMMU's settings.
    IommuDriver {
        opt "@pciBus" pci_bus: String,
        opt "@accel" accel: OnOff,
        opt "@ats" ats: OnOff,
        opt "@ril" ril: OnOff,
        opt "@ssidSize" ssid_size: String,
        opt "@oas" oas: String,
    }
}
