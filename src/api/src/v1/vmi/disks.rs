//! Disks, LUNs and CD-ROM drives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::FeatureState;

/// A disk, LUN or CD-ROM drive; its data is the volume of the same name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Disk {
    /// The name; other parts refer to it: must equal a volume name.
    pub name: String,
    /// The disk: default target if none of disk/lun/cdrom set; bus defaulted at VMI create: amd64 sata, arm64/s390x virtio; readonly default false (sata disk may not be readonly).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskTarget>,
    /// Lun: raw SCSI passthrough; bus scsi|sata|virtio; reservation needs persistentReservationConfiguration.enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lun: Option<LunTarget>,
    /// Cdrom: bus sata|scsi|usb (virtio rejected); readonly default true; tray default closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdrom: Option<CDRomTarget>,
    /// The place in the boot order, 1 first: ≥1, unique over disks and interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub boot_order: Option<u64>,
    /// A serial number: ≤256 chars of \[A-Za-z0-9_.+-\].
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub serial: Option<String>,
    /// Whether the disk gets an I/O thread of its own.
    #[serde(rename = "dedicatedIOThread", skip_serializing_if = "Option::is_none")]
    pub dedicated_io_thread: Option<bool>,
    /// Cache: default chosen by launcher (none when O_DIRECT works); one of none, writethrough, writeback.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub cache: Option<String>,
    /// Io: constants threads|native (CRD comment also names default).
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub io: Option<String>,
    /// A label the guest finds in its metadata: exposed in config-drive/NoCloud device metadata.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tag: Option<String>,
    /// Block size: custom logical/physical power of two 512..2Mi; or matchVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<BlockSize>,
    /// Whether several guests may use the disk at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shareable: Option<bool>,
    /// Error policy: default stop; one of stop, ignore, report, enospace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_policy: Option<String>,
    /// How changed block tracking goes: set by system when CBT is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_block_tracking: Option<bool>,
}

/// `disk` of a Disk: default target if none of disk/lun/cdrom set; bus defaulted at VMI create: amd64 sata, arm64/s390x virtio; readonly default false (sata disk may not be readonly).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskTarget {
    /// How the device is attached; one of scsi, sata, virtio, usb.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub bus: Option<String>,
    /// Whether the guest may only read.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub readonly: Option<bool>,
    /// The address on the guest's PCI bus, as 0000:81:01.10.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub pci_address: Option<String>,
}

/// `lun` of a Disk: raw SCSI passthrough; bus scsi|sata|virtio; reservation needs persistentReservationConfiguration.enabled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LunTarget {
    /// How the device is attached; one of scsi, sata, virtio, usb.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub bus: Option<String>,
    /// Whether the guest may only read.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub readonly: Option<bool>,
    /// Whether the guest may make SCSI persistent reservations.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub reservation: Option<bool>,
}

/// `cdrom` of a Disk: bus sata|scsi|usb (virtio rejected); readonly default true; tray default closed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CDRomTarget {
    /// How the device is attached; one of scsi, sata, virtio, usb.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub bus: Option<String>,
    /// Whether the guest may only read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly: Option<bool>,
    /// Whether the drive's tray is open; one of open, closed.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tray: Option<String>,
}

/// `blockSize` of a Disk: custom logical/physical power of two 512..2Mi; or matchVolume.
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

/// `custom` of a BlockSize.
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
