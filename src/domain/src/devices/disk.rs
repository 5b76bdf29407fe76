//! Disks, LUNs and CD-ROMs.

use super::{Address, Boot};
use crate::element::element;
use crate::values::{Alias, OnOff, Presence};

element! {
    /// `<disk>`.
    Disk {
        /// `disk`, `lun` or `cdrom`.
        req "@device" device: String,
        opt "@snapshot" snapshot: String,
        /// Where the data is: `file`, `block`, `network`.
        req "@type" kind: String,
        opt "@model" model: String,
        req "source" source: DiskSource,
        req "target" target: DiskTarget,
        opt "serial" serial: String,
        opt "driver" driver: DiskDriver,
        opt "readonly" readonly: Presence,
        opt "auth" auth: DiskAuth,
        opt "alias" alias: Alias,
        opt "backingStore" backing_store: BackingStore,
        opt "boot" boot: Boot,
        opt "address" address: Address,
        opt "blockio" block_io: BlockIo,
        /// The share of the file system kept free, a decimal; libvirt drops it.
        opt "filesystemOverhead" filesystem_overhead: String,
        /// The capacity of the volume in bytes; libvirt drops it.
        opt "capacity" capacity: u64,
        opt "shareable" shareable: Presence,
    }
}

element! {
    /// Where a disk's data is; the same shape serves backing stores and data stores.
    DiskSource {
        opt "@dev" dev: String,
        opt "@file" file: String,
        opt "@startupPolicy" startup_policy: String,
        opt "@protocol" protocol: String,
        opt "@name" name: String,
        opt "@index" index: u32,
        opt "host" host: SourceHost,
        opt "reservations" reservations: Reservations,
        opt "slices" slices: Slices,
        opt "dataStore" data_store: Box<DataStore>,
    }
}

impl DiskSource {
    /// A file.
    pub fn file(path: impl Into<String>) -> Self {
        Self { file: Some(path.into()), ..Self::default() }
    }

    /// A block device.
    pub fn block(path: impl Into<String>) -> Self {
        Self { dev: Some(path.into()), ..Self::default() }
    }

    /// The device or file.
    pub fn path(&self) -> Option<&str> {
        self.dev.as_deref().or(self.file.as_deref())
    }
}

element! {
    /// The server of a network disk.
    SourceHost {
        req "@name" name: String,
        opt "@port" port: String,
    }
}

element! {
    /// SCSI persistent reservations, through a daemon.
    Reservations {
        opt "@managed" managed: String,
        opt "@migration" migration: String,
        opt "source" source: ReservationsSource,
    }
}

element! {
    /// The daemon's socket.
    ReservationsSource {
        req "@type" kind: String,
        opt "@path" path: String,
        opt "@mode" mode: String,
    }
}

element! {
    /// The parts of the storage that are used.
    Slices {
        list "slice" slices: Slice,
    }
}

element! {
    /// One part, in bytes.
    Slice {
        req "@type" kind: String,
        req "@offset" offset: u64,
        req "@size" size: u64,
    }
}

element! {
    /// The raw data file of a qcow2 overlay that only tracks changes.
    DataStore {
        opt "@type" kind: String,
        opt "format" format: Format,
        opt "source" source: DiskSource,
    }
}

element! {
    /// `raw` or `qcow2`.
    Format {
        req "@type" kind: String,
    }
}

impl Format {
    /// The format `kind`.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into() }
    }
}

element! {
    /// The image below a disk's own; empty when libvirt found none.
    BackingStore {
        opt "@type" kind: String,
        opt "@index" index: u32,
        opt "format" format: Format,
        opt "source" source: DiskSource,
        opt "backingStore" backing_store: Box<BackingStore>,
    }
}

element! {
    /// The guest's side of a disk.
    DiskTarget {
        opt "@bus" bus: String,
        opt "@dev" dev: String,
        /// `open` or `closed`.
        opt "@tray" tray: String,
    }
}

element! {
    /// How QEMU drives a disk.
    DiskDriver {
        opt "@cache" cache: String,
        opt "@error_policy" error_policy: String,
        /// `native`, `threads`, `io_uring`.
        opt "@io" io: String,
        req "@name" name: String,
        req "@type" kind: String,
        opt "@iothread" iothread: u32,
        opt "@queues" queues: u32,
        opt "@discard" discard: String,
        opt "@iommu" iommu: OnOff,
        opt "iothreads" iothreads: DiskIoThreads,
    }
}

element! {
    /// The I/O threads a disk's queues are spread over.
    DiskIoThreads {
        list "iothread" threads: DiskIoThread,
    }
}

element! {
    /// One I/O thread, from 1.
    DiskIoThread {
        req "@id" id: u32,
    }
}

element! {
    /// Credentials of a network disk.
    DiskAuth {
        req "@username" username: String,
        opt "secret" secret: DiskSecret,
    }
}

element! {
    /// The secret with the password.
    DiskSecret {
        req "@type" kind: String,
        opt "@usage" usage: String,
        opt "@uuid" uuid: String,
    }
}

element! {
    /// Block sizes shown to the guest, in bytes.
    BlockIo {
        opt "@logical_block_size" logical: u32,
        opt "@physical_block_size" physical: u32,
        opt "@discard_granularity" discard_granularity: u32,
    }
}
