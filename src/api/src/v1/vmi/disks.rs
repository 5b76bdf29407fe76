//! Disks, LUNs and CD-ROM drives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::FeatureState;

/// A disk, LUN or CD-ROM drive; its data is the volume of the same name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Disk {
    /// The volume it shows.
    pub name: String,
    /// A disk; the default when neither lun nor cdrom is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskTarget>,
    /// A raw SCSI device, with the guest's SCSI commands passed through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lun: Option<LunTarget>,
    /// A CD-ROM drive, possibly empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdrom: Option<CDRomTarget>,
    /// The place in the boot order, 1 first; unique among disks and interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub boot_order: Option<u64>,
    /// The serial number the guest sees.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub serial: Option<String>,
    /// Whether the disk gets an I/O thread of its own.
    #[serde(rename = "dedicatedIOThread", skip_serializing_if = "Option::is_none")]
    pub dedicated_io_thread: Option<bool>,
    /// none, writethrough or writeback; chosen by the launcher if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub cache: Option<String>,
    /// native or threads; chosen by the launcher if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub io: Option<String>,
    /// A label the guest finds in its metadata.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tag: Option<String>,
    /// The block size the guest sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<BlockSize>,
    /// Whether several guests may use the disk at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shareable: Option<bool>,
    /// What an I/O error does: stop (the default), ignore, report or enospace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_policy: Option<String>,
    /// Whether changed blocks are tracked, for backups. KubeVirt sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_block_tracking: Option<bool>,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskTarget {
    /// virtio, scsi, sata or usb; sata on amd64 and virtio elsewhere if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub bus: Option<String>,
    /// The guest may only read.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub readonly: Option<bool>,
    /// The address on the guest's PCI bus, as 0000:81:01.10.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub pci_address: Option<String>,
}

/// A raw SCSI device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LunTarget {
    /// scsi, sata or virtio.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub bus: Option<String>,
    /// The guest may only read.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub readonly: Option<bool>,
    /// Lets the guest make SCSI persistent reservations, if the cluster allows it.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub reservation: Option<bool>,
}

/// A CD-ROM drive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CDRomTarget {
    /// sata, scsi or usb; sata if unset on amd64.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub bus: Option<String>,
    /// The guest may only read; on unless set to false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly: Option<bool>,
    /// closed (the default) or open.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tray: Option<String>,
}

/// The block size the guest sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockSize {
    /// Sizes given by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomBlockSize>,
    /// Sizes taken from the volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_volume: Option<FeatureState>,
}

/// Block sizes given by hand: powers of two from 512 to 2097152.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomBlockSize {
    /// The logical block size in bytes.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub logical: Option<u64>,
    /// The physical block size in bytes.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub physical: Option<u64>,
    /// The smallest block that can be discarded, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub discard_granularity: Option<u64>,
}
