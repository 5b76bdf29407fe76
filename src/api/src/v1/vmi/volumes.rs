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
    /// The name disks and file systems refer to; a DNS label, unique.
    pub name: String,
    /// A disk image on the node. Needs gate HostDisk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_disk: Option<HostDisk>,
    /// A claim in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// cloud-init data on a NoCloud medium.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_init_no_cloud: Option<CloudInitNoCloudSource>,
    /// cloud-init data on a config drive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_init_config_drive: Option<CloudInitConfigDriveSource>,
    /// A Windows answer file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysprep: Option<SysprepSource>,
    /// A disk image in a container image; changes are lost when the guest ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_disk: Option<ContainerDiskSource>,
    /// A claim that is read; changes go to a temporary layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<EphemeralVolumeSource>,
    /// An empty disk; it is gone when the guest ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_disk: Option<EmptyDiskSource>,
    /// A DataVolume in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_volume: Option<DataVolumeSource>,
    /// A ConfigMap, as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// A secret, as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// Labels, annotations and other facts about the pod, as files.
    #[serde(rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<DownwardAPIVolumeSource>,
    /// A service account's token, as files; at most one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountVolumeSource>,
    /// Host metrics on a small disk; at most one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downward_metrics: Option<DownwardMetricsVolumeSource>,
    /// A claim a memory dump goes to. KubeVirt sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_dump: Option<MemoryDumpVolumeSource>,
    /// A folder of the launcher's container, shared read-only through virtiofs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_path: Option<ContainerPathVolumeSource>,
}

/// A disk image on the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostDisk {
    /// The image's path on the node.
    pub path: String,
    /// Disk (must exist) or DiskOrCreate.
    pub r#type: String,
    /// The size of an image that is created.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub capacity: Option<Quantity>,
    /// Several guests may use the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
}

/// A claim in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeClaimVolumeSource {
    /// The claim.
    pub claim_name: String,
    /// Whether writes are refused.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub read_only: Option<bool>,
    /// Whether it can be attached and detached while the guest runs.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub hotpluggable: Option<bool>,
}

/// cloud-init data on a NoCloud medium; each of user and network data from one source, at most 2048 bytes inline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudInitNoCloudSource {
    /// A secret with key `userdata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// User data, base64 encoded.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub user_data_base64: Option<String>,
    /// User data in plain text.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub user_data: Option<String>,
    /// A secret with key `networkdata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_data_secret_ref: Option<LocalObjectReference>,
    /// Network data, base64 encoded.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub network_data_base64: Option<String>,
    /// Network data in plain text.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub network_data: Option<String>,
}

/// cloud-init data on a config drive; each of user and network data from one source, at most 2048 bytes inline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudInitConfigDriveSource {
    /// A secret with key `userdata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// User data, base64 encoded.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub user_data_base64: Option<String>,
    /// User data in plain text.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub user_data: Option<String>,
    /// A secret with key `networkdata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_data_secret_ref: Option<LocalObjectReference>,
    /// Network data, base64 encoded.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub network_data_base64: Option<String>,
    /// Network data in plain text.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub network_data: Option<String>,
}

/// A Windows answer file, `autounattend.xml` or `unattend.xml`.
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

/// A disk image in a container image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerDiskSource {
    /// The container image.
    pub image: String,
    /// The secret to pull the image with.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub image_pull_secret: Option<String>,
    /// The image file; the first in `/disk` if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub path: Option<String>,
    /// Always, IfNotPresent or Never; Always for untagged and `latest` images if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub image_pull_policy: Option<String>,
}

/// A claim that is read, with a temporary layer above.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EphemeralVolumeSource {
    /// A claim in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<CoreClaimVolumeSource>,
}

/// An empty disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmptyDiskSource {
    /// The size.
    #[serde(deserialize_with = "crate::quantity::one")]
    pub capacity: Quantity,
}

/// A DataVolume in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSource {
    /// The DataVolume, and the claim of the same name.
    pub name: String,
    /// Whether it can be attached and detached while the guest runs.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub hotpluggable: Option<bool>,
}

/// A ConfigMap as files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMapVolumeSource {
    /// The ConfigMap.
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

/// A secret as files.
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

/// Facts about the pod as files.
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

/// A service account's token as files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccountVolumeSource {
    /// The service account.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub service_account_name: Option<String>,
}

/// Host metrics on a small disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DownwardMetricsVolumeSource {}

/// A claim for a memory dump.
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

/// A folder of the launcher's container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPathVolumeSource {
    /// The folder; absolute, without `..`.
    // CE1, CE2 of spec/admission.md §16.3.
    #[schemars(extend("maxLength" = 4096, "x-kubernetes-validations" = serde_json::json!([{"rule": "self.startsWith('/')", "message": "path must be absolute (start with '/')"}, {"rule": "!self.contains('..')", "message": "path must not contain '..'"}])))]
    pub path: String,
    /// Must be true.
    // CE3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = true, "x-kubernetes-validations" = serde_json::json!([{"rule": "self == true", "message": "readOnly must be true, write access is not supported"}])))]
    pub read_only: Option<bool>,
}

/// A claim KubeVirt attaches for its own work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UtilityVolume {
    /// The volume's name.
    pub name: String,
    /// The PersistentVolumeClaim used.
    pub claim_name: String,
    /// Whether writes are refused.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub read_only: Option<bool>,
    /// MemoryDump or Backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
}
