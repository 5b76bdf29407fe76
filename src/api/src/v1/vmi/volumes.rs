//! Volumes: where the data of disks comes from.

use k8s_openapi::api::core::v1::DownwardAPIVolumeFile;
use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::api::core::v1::PersistentVolumeClaimVolumeSource as CoreClaimVolumeSource;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A source of data; exactly one source is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// The name; other parts refer to it.
    pub name: String,
    /// Host disk: gate HostDisk; capacity required for DiskOrCreate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_disk: Option<HostDisk>,
    /// A claim in the same namespace: hotpluggable marks it as hot(un)pluggable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// Cloud init no cloud: user data: at most one of secretRef/Base64/plain; same for network data; inline user and network data ≤2048 bytes each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_init_no_cloud: Option<CloudInitNoCloudSource>,
    /// cloud-init data on a config drive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_init_config_drive: Option<CloudInitConfigDriveSource>,
    /// Sysprep: autounattend.xml/unattend.xml in secret or configMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysprep: Option<SysprepSource>,
    /// Container disk: path default /disk (first file); imagePullSecret name; pull policy default Always for :latest/untagged else IfNotPresent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_disk: Option<ContainerDiskSource>,
    /// Ephemeral: CoW overlay above a PVC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<EphemeralVolumeSource>,
    /// Empty disk: sparse scratch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_disk: Option<EmptyDiskSource>,
    /// A DataVolume: DV name = PVC name; hotpluggable as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_volume: Option<DataVolumeSource>,
    /// A ConfigMap in the same namespace: volumeLabel e.g. cidata, config-2, OEMDRV.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// A secret in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// Downward api.
    #[serde(rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<DownwardAPIVolumeSource>,
    /// Service account: at most one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountVolumeSource>,
    /// Downward metrics: vhostmd-style disk; at most one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downward_metrics: Option<DownwardMetricsVolumeSource>,
    /// Memory dump: set by the memory-dump flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_dump: Option<MemoryDumpVolumeSource>,
    /// Container path: gate ContainerPathVolumes; absolute, no ".."; readOnly must be true; exported by virtiofs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_path: Option<ContainerPathVolumeSource>,
}

/// `hostDisk` of a Volume: gate HostDisk; capacity required for DiskOrCreate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostDisk {
    /// The path.
    pub path: String,
    /// Which kind this is; one of DiskOrCreate, Disk.
    pub r#type: String,
    /// The size.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub capacity: Option<Quantity>,
    /// Whether several instances share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
}

/// `persistentVolumeClaim` of a Volume: hotpluggable marks it as hot(un)pluggable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeClaimVolumeSource {
    /// The PersistentVolumeClaim used.
    pub claim_name: String,
    /// Whether writes are refused.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub read_only: Option<bool>,
    /// Whether it can be attached and detached while the guest runs.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub hotpluggable: Option<bool>,
}

/// `cloudInitNoCloud` of a Volume: user data: at most one of secretRef/Base64/plain; same for network data; inline user and network data ≤2048 bytes each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudInitNoCloudSource {
    /// The secret that holds the credentials: secret keys userdata / userData.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// User data, base64 encoded.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub user_data_base64: Option<String>,
    /// User data in plain text.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub user_data: Option<String>,
    /// The secret that holds the network data: keys networkdata / networkData.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_data_secret_ref: Option<LocalObjectReference>,
    /// Network data, base64 encoded.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub network_data_base64: Option<String>,
    /// Network data in plain text.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub network_data: Option<String>,
}

/// `cloudInitConfigDrive` of a Volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudInitConfigDriveSource {
    /// The secret that holds the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// User data, base64 encoded.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub user_data_base64: Option<String>,
    /// User data in plain text.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub user_data: Option<String>,
    /// The secret that holds the network data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_data_secret_ref: Option<LocalObjectReference>,
    /// Network data, base64 encoded.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub network_data_base64: Option<String>,
    /// Network data in plain text.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub network_data: Option<String>,
}

/// `sysprep` of a Volume: autounattend.xml/unattend.xml in secret or configMap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SysprepSource {
    /// A secret in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<LocalObjectReference>,
    /// A ConfigMap in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<LocalObjectReference>,
}

/// `containerDisk` of a Volume: path default /disk (first file); imagePullSecret name; pull policy default Always for :latest/untagged else IfNotPresent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerDiskSource {
    /// The container image.
    pub image: String,
    /// The secret to pull the image with.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub image_pull_secret: Option<String>,
    /// The path.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub path: Option<String>,
    /// When the image is pulled.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub image_pull_policy: Option<String>,
}

/// `ephemeral` of a Volume: CoW overlay above a PVC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EphemeralVolumeSource {
    /// A claim in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<CoreClaimVolumeSource>,
}

/// `emptyDisk` of a Volume: sparse scratch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmptyDiskSource {
    /// The size.
    #[serde(deserialize_with = "crate::quantity::one")]
    pub capacity: Quantity,
}

/// `dataVolume` of a Volume: DV name = PVC name; hotpluggable as above.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSource {
    /// The name; other parts refer to it.
    pub name: String,
    /// Whether it can be attached and detached while the guest runs.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub hotpluggable: Option<bool>,
}

/// `configMap` of a Volume: volumeLabel e.g. cidata, config-2, OEMDRV.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMapVolumeSource {
    /// The name; other parts refer to it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    #[schemars(extend("x-default" = ""))]
    pub name: Option<String>,
    /// Whether the source may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// The file system label the guest sees.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub volume_label: Option<String>,
}

/// `secret` of a Volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretVolumeSource {
    /// The secret's name.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub secret_name: Option<String>,
    /// Whether the source may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// The file system label the guest sees.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub volume_label: Option<String>,
}

/// `downwardAPI` of a Volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DownwardAPIVolumeSource {
    /// The items, each a file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub fields: Vec<DownwardAPIVolumeFile>,
    /// The file system label the guest sees.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub volume_label: Option<String>,
}

/// `serviceAccount` of a Volume: at most one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccountVolumeSource {
    /// The service account.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub service_account_name: Option<String>,
}

/// `downwardMetrics` of a Volume: vhostmd-style disk; at most one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DownwardMetricsVolumeSource {}

/// `memoryDump` of a Volume: set by the memory-dump flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryDumpVolumeSource {
    /// The PersistentVolumeClaim used.
    pub claim_name: String,
    /// Whether writes are refused.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub read_only: Option<bool>,
    /// Whether it can be attached and detached while the guest runs.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub hotpluggable: Option<bool>,
}

/// `containerPath` of a Volume: gate ContainerPathVolumes; absolute, no ".."; readOnly must be true; exported by virtiofs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPathVolumeSource {
    /// The path.
    #[schemars(extend("maxLength" = 4096, "x-kubernetes-validations" = serde_json::json!([{"rule": "self.startsWith('/')", "message": "path must be absolute"}, {"rule": "!self.contains('..')", "message": "path must not contain '..'"}])))]
    pub path: String,
    /// Whether writes are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = true, "x-kubernetes-validations" = serde_json::json!([{"rule": "self == true", "message": "readOnly must be true"}])))]
    pub read_only: Option<bool>,
}

/// `utilityVolumes` of a VirtualMachineInstanceSpec: system-managed hotplug PVCs; gate UtilityVolumes; only KubeVirt SAs may change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UtilityVolume {
    /// The name; other parts refer to it.
    pub name: String,
    /// The PersistentVolumeClaim used.
    pub claim_name: String,
    /// Whether writes are refused.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub read_only: Option<bool>,
    /// Which kind this is; one of MemoryDump, Backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
}
