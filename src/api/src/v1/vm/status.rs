//! What is known about a virtual machine.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::ChangedBlockTrackingStatus;
use crate::v1::DataVolumeSource;
use crate::v1::Disk;
use crate::v1::PersistentVolumeClaimVolumeSource;
use crate::v1::StorageMigratedVolumeInfo;

/// What is known about a virtual machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineStatus {
    /// The snapshot that is being taken; the specification is locked meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_in_progress: Option<String>,
    /// The restore that is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_in_progress: Option<String>,
    /// Its instance exists.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub created: Option<bool>,
    /// Its instance is ready.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub ready: Option<bool>,
    /// Its state in one word, as `kubectl get vm` shows it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    #[schemars(extend("x-default" = "Stopped"))]
    pub printable_status: Option<String>,
    /// What is known about it now: Ready, Paused, Failure, RestartRequired and others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub conditions: Vec<VirtualMachineCondition>,
    /// Starts and stops that were asked for and not done yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub state_change_requests: Vec<VirtualMachineStateChangeRequest>,
    /// Volumes to plug and unplug, not done yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_requests: Vec<VirtualMachineVolumeRequest>,
    /// Which volumes can be snapshotted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub volume_snapshot_statuses: Vec<VolumeSnapshotStatus>,
    /// How often starting failed, and when the next try is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub start_failure: Option<VirtualMachineStartFailure>,
    /// The memory dump that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub memory_dump_request: Option<VirtualMachineMemoryDumpRequest>,
    /// The generation the running instance was made from.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub observed_generation: Option<i64>,
    /// The generation wanted.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub desired_generation: Option<i64>,
    /// The run strategy last acted upon.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub run_strategy: Option<String>,
    /// How a change of volumes goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_update_state: Option<VolumeUpdateState>,
    /// How changed block tracking goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub changed_block_tracking: Option<ChangedBlockTrackingStatus>,
    /// The instance type in use, and its stored revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub instancetype_ref: Option<InstancetypeStatusRef>,
    /// The preference in use, and its stored revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub preference_ref: Option<InstancetypeStatusRef>,
}

/// `conditions` of a VirtualMachineStatus: own types listed; VMI condition types are mirrored too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineCondition {
    /// Which kind this is; one of Failure, Ready, Paused, RestartRequired, ManualRecoveryRequired.
    pub r#type: String,
    /// True, False or Unknown.
    pub status: String,
    /// When the condition was last examined.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub last_probe_time: Option<Time>,
    /// When the status last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub last_transition_time: Option<Time>,
    /// A machine-readable cause, one word.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub reason: Option<String>,
    /// What happened, for a reader.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub message: Option<String>,
}

/// `stateChangeRequests` of a VirtualMachineStatus: queue driven by start/stop/restart; only \[0\] acted on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineStateChangeRequest {
    /// What is done when it triggers; one of Start, Stop.
    pub action: String,
    /// Parameters of the request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// The UID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// `volumeRequests` of a VirtualMachineStatus: legacy hotplug queue (gate HotplugVolumes).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineVolumeRequest {
    /// A volume to attach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_volume_options: Option<Box<AddVolumeOptions>>,
    /// A volume to detach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_volume_options: Option<RemoveVolumeOptions>,
}

/// `addVolumeOptions` of a VirtualMachineVolumeRequest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AddVolumeOptions {
    /// The name; other parts refer to it.
    pub name: String,
    /// The disk.
    pub disk: Disk,
    /// The volume's source.
    pub volume_source: HotplugVolumeSource,
    /// All, to try without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<String>,
}

/// `volumeSource` of a AddVolumeOptions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HotplugVolumeSource {
    /// A claim in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// A DataVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_volume: Option<DataVolumeSource>,
}

/// `removeVolumeOptions` of a VirtualMachineVolumeRequest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoveVolumeOptions {
    /// The name; other parts refer to it.
    pub name: String,
    /// All, to try without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<String>,
}

/// `volumeSnapshotStatuses` of a VirtualMachineStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSnapshotStatus {
    /// The name; other parts refer to it.
    pub name: String,
    /// Whether it is on.
    pub enabled: bool,
    /// A machine-readable cause, one word.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub reason: Option<String>,
}

/// `startFailure` of a VirtualMachineStatus: crash-loop bookkeeping.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineStartFailure {
    /// How many starts failed in a row.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub consecutive_fail_count: Option<i64>,
    /// The UID of the instance that failed last.
    #[serde(rename = "lastFailedVMIUID", skip_serializing_if = "crate::zero::is_empty")]
    pub last_failed_vmi_uid: Option<String>,
    /// When the next start is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_timestamp: Option<Time>,
}

/// `memoryDumpRequest` of a VirtualMachineStatus: set by memorydump subresource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineMemoryDumpRequest {
    /// The PersistentVolumeClaim used.
    pub claim_name: String,
    /// Where the object is in its life; one of Associating, InProgress, Unmounting, Completed, Dissociating, Failed.
    pub phase: String,
    /// Whether the dump is to be dissociated.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub remove: Option<bool>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_timestamp: Option<Time>,
    /// The file's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// What happened, for a reader.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub message: Option<String>,
}

/// `volumeUpdateState` of a VirtualMachineStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeUpdateState {
    /// How volumes move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_migration_state: Option<VolumeMigrationState>,
}

/// `volumeMigrationState` of a VolumeUpdateState.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeMigrationState {
    /// Volumes that move to another claim.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub migrated_volumes: Vec<StorageMigratedVolumeInfo>,
}

/// `instancetypeRef` of a VirtualMachineStatus: ControllerRevision snapshot of the resolved object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InstancetypeStatusRef {
    /// The name; other parts refer to it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
    /// The kind referred to.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kind: Option<String>,
    /// The stored revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_revision_ref: Option<ControllerRevisionRef>,
    /// The volume whose labels name the default.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub infer_from_volume: Option<String>,
    /// What a failed inference leads to; one of Reject, Ignore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infer_from_volume_failure_policy: Option<String>,
}

/// `controllerRevisionRef` of a InstancetypeStatusRef.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControllerRevisionRef {
    /// The name; other parts refer to it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
}
