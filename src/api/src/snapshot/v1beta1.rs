//! snapshot.kubevirt.io/v1beta1: snapshots of virtual machines and their restoration.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaimSpec;
use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::kind;
use crate::v1::VirtualMachineSpec;
use crate::v1::VirtualMachineStatus;

kind!(
    /// A snapshot of a virtual machine.
    VirtualMachineSnapshot, "snapshot.kubevirt.io", "v1beta1", "virtualmachinesnapshots", NamespaceResourceScope, VirtualMachineSnapshotSpec, VirtualMachineSnapshotStatus
);
kind!(
    /// What a snapshot holds.
    VirtualMachineSnapshotContent, "snapshot.kubevirt.io", "v1beta1", "virtualmachinesnapshotcontents", NamespaceResourceScope, VirtualMachineSnapshotContentSpec, VirtualMachineSnapshotContentStatus
);
kind!(
    /// The request to bring a snapshot back.
    VirtualMachineRestore, "snapshot.kubevirt.io", "v1beta1", "virtualmachinerestores", NamespaceResourceScope, VirtualMachineRestoreSpec, VirtualMachineRestoreStatus
);

/// Virtual machine snapshot spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineSnapshotSpec {
    /// Where the data comes from: VirtualMachine in kubevirt.io.
    pub source: TypedLocalObjectReference,
    /// Deletion policy: default Delete; one of Delete, Retain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<String>,
    /// Failure deadline: default 5m; 0 = none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_deadline: Option<String>,
}

/// Virtual machine snapshot status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineSnapshotStatus {
    /// The source's UID.
    #[serde(rename = "sourceUID", skip_serializing_if = "Option::is_none")]
    pub source_uid: Option<String>,
    /// The object that holds the snapshot's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine_snapshot_content_name: Option<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub creation_time: Option<Time>,
    /// Where the object is in its life; one of InProgress, Succeeded, Failed, Deleting, Unknown.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub phase: Option<String>,
    /// Whether it can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_to_use: Option<bool>,
    /// The last error, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// What is known about the object now, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Indications: deprecated set; use sourceIndications; one of Online, NoGuestAgent, GuestAgent, QuiesceTimeout, Paused, PartialSnapshot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub indications: Vec<String>,
    /// Under what circumstances it was taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_indications: Vec<SourceIndication>,
    /// Which volumes are in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_volumes: Option<SnapshotVolumesLists>,
}

/// `error` of a VirtualMachineSnapshotStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Error {
    /// When it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// What happened, for a reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `conditions` of a VirtualMachineSnapshotStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Which kind this is; one of Ready, Progressing, Failure.
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

/// `sourceIndications` of a VirtualMachineSnapshotStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceIndication {
    /// The circumstance; one of Online, NoGuestAgent, GuestAgent, QuiesceTimeout, Paused, PartialSnapshot.
    pub indication: String,
    /// What happened, for a reader.
    pub message: String,
}

/// `snapshotVolumes` of a VirtualMachineSnapshotStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SnapshotVolumesLists {
    /// Volumes that are in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub included_volumes: Vec<String>,
    /// Volumes that are not in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub excluded_volumes: Vec<String>,
}

/// Virtual machine snapshot content spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineSnapshotContentSpec {
    /// The snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine_snapshot_name: Option<String>,
    /// Where the data comes from.
    pub source: SourceSpec,
    /// The snapshots of the volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_backups: Vec<VolumeBackup>,
}

/// `source` of a VirtualMachineSnapshotContentSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceSpec {
    /// The virtual machine as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine: Option<VirtualMachine>,
}

/// `virtualMachine` of a SourceSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachine {
    /// Labels, annotations and the name, as on any object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::preserved_metadata")]
    pub metadata: Option<Box<ObjectMeta>>,
    /// What is wanted: see its own tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Box<VirtualMachineSpec>>,
    /// True, False or Unknown: see its own tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<VirtualMachineStatus>>,
}

/// `volumeBackups` of a VirtualMachineSnapshotContentSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeBackup {
    /// The volume this is about.
    pub volume_name: String,
    /// A claim in the same namespace.
    pub persistent_volume_claim: PersistentVolumeClaim,
    /// The VolumeSnapshot used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_snapshot_name: Option<String>,
}

/// `persistentVolumeClaim` of a VolumeBackup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeClaim {
    /// Labels, annotations and the name, as on any object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::preserved_object")]
    pub metadata: Option<Box<ObjectMeta>>,
    /// What is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Box<PersistentVolumeClaimSpec>>,
}

/// Virtual machine snapshot content status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineSnapshotContentStatus {
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub creation_time: Option<Time>,
    /// Whether it can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_to_use: Option<bool>,
    /// The last error, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// The state of the VolumeSnapshots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_snapshot_status: Vec<VolumeSnapshotStatus>,
}

/// `volumeSnapshotStatus` of a VirtualMachineSnapshotContentStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSnapshotStatus {
    /// The VolumeSnapshot used.
    pub volume_snapshot_name: String,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub creation_time: Option<Time>,
    /// Whether it can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_to_use: Option<bool>,
    /// The last error, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// Virtual machine restore spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineRestoreSpec {
    /// The  aimed at: VM; may be absent → created.
    pub target: TypedLocalObjectReference,
    /// The snapshot.
    pub virtual_machine_snapshot_name: String,
    /// What is done about a target that runs; one of StopTarget, WaitGracePeriod, FailImmediate, WaitEventually.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["StopTarget", "WaitGracePeriod", "FailImmediate", "WaitEventually"]), "x-default" = "WaitGracePeriod"))]
    pub target_readiness_policy: Option<String>,
    /// Volume restore policy: default RandomizeNames; one of RandomizeNames, InPlace, PrefixTargetName.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_restore_policy: Option<String>,
    /// Volume ownership policy: default Vm; one of Vm, None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_ownership_policy: Option<String>,
    /// Names, labels and annotations of restored claims.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_restore_overrides: Vec<VolumeRestoreOverride>,
    /// Patches, in order: JSON-patch op strings for a new target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<String>,
}

/// `volumeRestoreOverrides` of a VirtualMachineRestoreSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeRestoreOverride {
    /// The volume this is about.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub volume_name: Option<String>,
    /// The restore in use.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub restore_name: Option<String>,
    /// Labels to set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations to set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Virtual machine restore status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineRestoreStatus {
    /// What was restored, a volume each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<VolumeRestore>,
    /// When it was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_time: Option<Time>,
    /// DataVolumes that had to go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub deleted_data_volumes: Vec<String>,
    /// Whether it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// What is known about the object now, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// `restores` of a VirtualMachineRestoreStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeRestore {
    /// The volume this is about.
    pub volume_name: String,
    /// A claim in the same namespace.
    pub persistent_volume_claim: String,
    /// The VolumeSnapshot used.
    pub volume_snapshot_name: String,
    /// The DataVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_volume_name: Option<String>,
}
