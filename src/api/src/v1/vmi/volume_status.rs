//! What is known about the volumes of an instance.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `volumeStatus` of a VirtualMachineInstanceStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeStatus {
    /// The name; other parts refer to it.
    pub name: String,
    /// The  aimed at: guest device, e.g. vda; required, may be "".
    pub target: String,
    /// Where the object is in its life.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub phase: Option<String>,
    /// A machine-readable cause, one word.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub reason: Option<String>,
    /// What happened, for a reader.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub message: Option<String>,
    /// Facts about the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_info: Option<PersistentVolumeClaimInfo>,
    /// How attaching goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hotplug_volume: Option<HotplugVolumeStatus>,
    /// The size in bytes.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub size: Option<i64>,
    /// How the memory dump goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_dump_volume: Option<DomainMemoryDumpInfo>,
    /// Facts about the container disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_disk_volume: Option<ContainerDiskInfo>,
}

/// `persistentVolumeClaimInfo` of a VolumeStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeClaimInfo {
    /// The PersistentVolumeClaim used.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub claim_name: Option<String>,
    /// How the claim may be mounted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_modes: Vec<String>,
    /// Filesystem or Block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_mode: Option<String>,
    /// The size.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::quantity::map")]
    pub capacity: BTreeMap<String, Quantity>,
    /// What is set aside, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::quantity::map")]
    pub requests: BTreeMap<String, Quantity>,
    /// Whether the space is set aside.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub preallocated: Option<bool>,
    /// Filesystem overhead: fraction text, pattern 0(.ddd)|1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^(0(?:\\.\\d{1,3})?|1)$"))]
    pub filesystem_overhead: Option<String>,
}

/// `hotplugVolume` of a VolumeStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HotplugVolumeStatus {
    /// The pod that attaches the volume.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub attach_pod_name: Option<String>,
    /// The UID of the pod that attaches the volume.
    #[serde(rename = "attachPodUID", skip_serializing_if = "crate::zero::is_empty")]
    pub attach_pod_uid: Option<String>,
}

/// `memoryDumpVolume` of a VolumeStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DomainMemoryDumpInfo {
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_timestamp: Option<Time>,
    /// The PersistentVolumeClaim used.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub claim_name: Option<String>,
    /// The file written.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub target_file_name: Option<String>,
}

/// `containerDiskVolume` of a VolumeStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerDiskInfo {
    /// A CRC-32 of the content.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = "int64", "minimum" = 0, "maximum" = 4_294_967_295_u32))]
    pub checksum: Option<u32>,
}

/// `migratedVolumes` of a VirtualMachineInstanceStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageMigratedVolumeInfo {
    /// The volume this is about.
    pub volume_name: String,
    /// The claim moved from.
    #[serde(rename = "sourcePVCInfo", skip_serializing_if = "Option::is_none")]
    pub source_pvc_info: Option<PersistentVolumeClaimInfo>,
    /// The claim moved to.
    #[serde(rename = "destinationPVCInfo", skip_serializing_if = "Option::is_none")]
    pub destination_pvc_info: Option<PersistentVolumeClaimInfo>,
}

/// `changedBlockTracking` of a VirtualMachineInstanceStatus: CBT and backup progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChangedBlockTrackingStatus {
    /// The state; one of PendingRestart, Initializing, Enabled, Disabled, IncrementalBackupFeatureGateDisabled.
    pub state: String,
    /// The backup in progress or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub backup_status: Option<Box<VirtualMachineInstanceBackupStatus>>,
}

/// `backupStatus` of a ChangedBlockTrackingStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceBackupStatus {
    /// The name of the backup.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub backup_name: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_timestamp: Option<Time>,
    /// Whether it came to an end.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub completed: Option<bool>,
    /// Whether it ended badly.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub failed: Option<bool>,
    /// What the backup reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_msg: Option<String>,
    /// The checkpoint a backup made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_name: Option<String>,
    /// The volumes concerned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VirtualMachineInstanceBackupVolumeInfo>,
    /// Whether the guest's file systems were frozen.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub quiesce_status: Option<String>,
}

/// `volumes` of a VirtualMachineInstanceBackupStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceBackupVolumeInfo {
    /// The volume this is about.
    pub volume_name: String,
}
