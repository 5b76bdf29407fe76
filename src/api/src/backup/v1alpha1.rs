//! backup.kubevirt.io/v1alpha1: full and incremental backups.

use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition as MetaCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::kind;

kind!(
    /// A backup of a virtual machine.
    VirtualMachineBackup, "backup.kubevirt.io", "v1alpha1", "virtualmachinebackups", NamespaceResourceScope, VirtualMachineBackupSpec, VirtualMachineBackupStatus
);
kind!(
    /// Remembers the last checkpoint of a virtual machine.
    VirtualMachineBackupTracker, "backup.kubevirt.io", "v1alpha1", "virtualmachinebackuptrackers", NamespaceResourceScope, VirtualMachineBackupTrackerSpec, VirtualMachineBackupTrackerStatus
);

/// Virtual machine backup spec.
// CE4-CE6 of spec/admission.md §16.3; of its source, CE7-CE10.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = serde_json::json!([{"rule": "self == oldSelf", "message": "spec is immutable after creation"}, {"rule": "has(self.pvcName) && self.pvcName != \"\"", "message": "pvcName is required"}, {"rule": "!has(self.mode) || self.mode != 'Pull' || (has(self.tokenSecretRef) && self.tokenSecretRef != \"\")", "message": "tokenSecretRef is required when mode is Pull"}])))]
pub struct VirtualMachineBackupSpec {
    /// Where the data comes from: kubevirt.io VirtualMachine or backup.kubevirt.io VirtualMachineBackupTracker.
    #[schemars(extend("x-kubernetes-validations" = serde_json::json!([{"rule": "has(self.apiGroup)", "message": "apiGroup is required"}, {"rule": "!has(self.apiGroup) || self.apiGroup == 'kubevirt.io' || self.apiGroup == 'backup.kubevirt.io'", "message": "apiGroup must be kubevirt.io or backup.kubevirt.io"}, {"rule": "!has(self.apiGroup) || (self.apiGroup == 'kubevirt.io' && self.kind == 'VirtualMachine') || (self.apiGroup == 'backup.kubevirt.io' && self.kind == 'VirtualMachineBackupTracker')", "message": "kind must be VirtualMachine for kubevirt.io or VirtualMachineBackupTracker for backup.kubevirt.io"}, {"rule": "self.name != ''", "message": "name is required"}])))]
    pub source: TypedLocalObjectReference,
    /// How it is done: default Push; one of Push, Pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["Push", "Pull"])))]
    pub mode: Option<String>,
    /// Pvc name: required by CEL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc_name: Option<String>,
    /// Whether the guest's file systems are not frozen.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub skip_quiesce: Option<bool>,
    /// Whether everything is copied.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub force_full_backup: Option<bool>,
    /// The secret with the access token: required by CEL for Pull.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub token_secret_ref: Option<String>,
    /// How long it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_duration: Option<String>,
}

/// Virtual machine backup status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineBackupStatus {
    /// Which kind this is; one of Full, Incremental.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub r#type: Option<String>,
    /// What is known about the object now, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["type"])))]
    pub conditions: Vec<MetaCondition>,
    /// The checkpoint a backup made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_name: Option<String>,
    /// The certificate of the end points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_cert: Option<String>,
    /// Volumes that are in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub included_volumes: Vec<BackupVolumeInfo>,
    /// The UID of the export.
    #[serde(rename = "exportUID", skip_serializing_if = "Option::is_none")]
    pub export_uid: Option<String>,
}

/// `includedVolumes` of a VirtualMachineBackupStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupVolumeInfo {
    /// The volume this is about.
    pub volume_name: String,
    /// Where the data is served.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub data_endpoint: Option<String>,
    /// Where the map of changed blocks is served.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub map_endpoint: Option<String>,
}

/// Virtual machine backup tracker spec.
// CE11 of spec/admission.md §16.3; of its source, CE12-CE14.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = serde_json::json!([{"rule": "self == oldSelf", "message": "spec is immutable after creation"}])))]
pub struct VirtualMachineBackupTrackerSpec {
    /// Where the data comes from.
    #[schemars(extend("x-kubernetes-validations" = serde_json::json!([{"rule": "has(self.apiGroup) && self.apiGroup == 'kubevirt.io'", "message": "apiGroup must be kubevirt.io"}, {"rule": "self.kind == 'VirtualMachine'", "message": "kind must be VirtualMachine"}, {"rule": "self.name != ''", "message": "name is required"}])))]
    pub source: TypedLocalObjectReference,
}

/// Virtual machine backup tracker status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineBackupTrackerStatus {
    /// The last checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_checkpoint: Option<BackupCheckpoint>,
    /// Whether the checkpoint must be defined again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_redefinition_required: Option<bool>,
}

/// `latestCheckpoint` of a VirtualMachineBackupTrackerStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupCheckpoint {
    /// The name; other parts refer to it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<Time>,
    /// The volumes concerned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<BackupVolumeInfo>,
}

/// Backup options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupOptions {
    /// The name of the backup.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub backup_name: Option<String>,
    /// What to do; one of Start, Abort, Export.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub cmd: Option<String>,
    /// How it is done; one of Push, Pull.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub mode: Option<String>,
    /// When the backup began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_start_time: Option<Time>,
    /// The checkpoint to start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incremental: Option<String>,
    /// Where the backup is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_path: Option<String>,
    /// Whether the guest's file systems are not frozen.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub skip_quiesce: Option<bool>,
    /// The export server's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_server_addr: Option<String>,
    /// The export server's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_server_name: Option<String>,
    /// The client's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_key: Option<String>,
    /// The client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_cert: Option<String>,
    /// The authority to trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<String>,
}
