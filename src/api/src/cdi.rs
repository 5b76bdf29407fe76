//! The parts of CDI's DataVolume that a virtual machine embeds.

use k8s_openapi::api::core::v1::PersistentVolumeClaimSpec;
use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::api::core::v1::TypedObjectReference;
use k8s_openapi::api::core::v1::VolumeResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a disk's content comes from and how it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSpec {
    /// Where the data comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<DataVolumeSource>>,
    /// An object that names the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<DataVolumeSourceRef>,
    /// A claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc: Option<Box<PersistentVolumeClaimSpec>>,
    /// What storage is asked for; access mode and volume mode may be left to the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Box<StorageSpec>>,
    /// The priority class of the helper pods.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub priority_class_name: Option<String>,
    /// What the data is; one of kubevirt, archive.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    #[schemars(extend("enum" = serde_json::json!(["kubevirt", "archive"])))]
    pub content_type: Option<String>,
    /// Stages of a warm import.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub checkpoints: Vec<DataVolumeCheckpoint>,
    /// Whether the current checkpoint is the last.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub final_checkpoint: Option<bool>,
    /// Whether the space is set aside at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preallocation: Option<bool>,
}

/// `source` of a DataVolumeSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSource {
    /// From an HTTP server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<DataVolumeSourceHTTP>,
    /// From an S3 bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<DataVolumeSourceS3>,
    /// From Google Cloud Storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcs: Option<DataVolumeSourceGCS>,
    /// From a container registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<DataVolumeSourceRegistry>,
    /// A claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc: Option<DataVolumeSourcePVC>,
    /// Uploaded by a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<DataVolumeSourceUpload>,
    /// An empty disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blank: Option<DataVolumeBlankImage>,
    /// From oVirt's image I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imageio: Option<DataVolumeSourceImageIO>,
    /// From VMware through VDDK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vddk: Option<Box<DataVolumeSourceVDDK>>,
    /// From a VolumeSnapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<DataVolumeSourceSnapshot>,
}

/// `http` of a DataVolumeSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSourceHTTP {
    /// Where it is found.
    pub url: String,
    /// The secret that holds the credentials.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub secret_ref: Option<String>,
    /// A ConfigMap with the certificate authority to trust.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub cert_config_map: Option<String>,
    /// HTTP headers to send.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub extra_headers: Vec<String>,
    /// Secrets with HTTP headers to send.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub secret_extra_headers: Vec<String>,
}

/// `s3` of a DataVolumeSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSourceS3 {
    /// Where it is found.
    pub url: String,
    /// The secret that holds the credentials.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub secret_ref: Option<String>,
    /// A ConfigMap with the certificate authority to trust.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub cert_config_map: Option<String>,
}

/// `gcs` of a DataVolumeSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSourceGCS {
    /// Where it is found.
    pub url: String,
    /// The secret that holds the credentials.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub secret_ref: Option<String>,
}

/// `registry` of a DataVolumeSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSourceRegistry {
    /// Where it is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// An image stream instead of a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_stream: Option<String>,
    /// Who pulls the image; one of pod, node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_method: Option<String>,
    /// The secret that holds the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<String>,
    /// A ConfigMap with the certificate authority to trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_config_map: Option<String>,
    /// Which platform's image is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformOptions>,
}

/// `platform` of a DataVolumeSourceRegistry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlatformOptions {
    /// The CPU architecture.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub architecture: Option<String>,
}

/// `pvc` of a DataVolumeSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSourcePVC {
    /// The namespace referred to.
    pub namespace: String,
    /// The name; other parts refer to it.
    pub name: String,
}

/// `upload` of a DataVolumeSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSourceUpload {}

/// `blank` of a DataVolumeSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeBlankImage {}

/// `imageio` of a DataVolumeSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSourceImageIO {
    /// Where it is found.
    pub url: String,
    /// The disk's identifier.
    pub disk_id: String,
    /// The secret that holds the credentials.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub secret_ref: Option<String>,
    /// A ConfigMap with the certificate authority to trust.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub cert_config_map: Option<String>,
    /// Whether certificates are not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

/// `vddk` of a DataVolumeSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSourceVDDK {
    /// Where it is found.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub url: Option<String>,
    /// The virtual machine's UUID.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub uuid: Option<String>,
    /// The backing file.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub backing_file: Option<String>,
    /// The server certificate's thumbprint.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub thumbprint: Option<String>,
    /// The secret that holds the credentials.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub secret_ref: Option<String>,
    /// The image with the VDDK library.
    #[serde(rename = "initImageURL", skip_serializing_if = "crate::zero::is_empty")]
    pub init_image_url: Option<String>,
    /// A ConfigMap with further arguments.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub extra_args: Option<String>,
}

/// `snapshot` of a DataVolumeSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSourceSnapshot {
    /// The namespace referred to.
    pub namespace: String,
    /// The name; other parts refer to it.
    pub name: String,
}

/// `sourceRef` of a DataVolumeSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeSourceRef {
    /// The kind referred to.
    pub kind: String,
    /// The namespace referred to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name; other parts refer to it.
    pub name: String,
}

/// `storage` of a DataVolumeSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageSpec {
    /// How the claim may be mounted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub access_modes: Vec<String>,
    /// Which objects are meant, by label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Compute resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<VolumeResourceRequirements>,
    /// The volume this is about.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub volume_name: Option<String>,
    /// The storage class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// Filesystem or Block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_mode: Option<String>,
    /// An object to fill the claim from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source: Option<TypedLocalObjectReference>,
    /// An object to fill the claim from, of any kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source_ref: Option<TypedObjectReference>,
}

/// `checkpoints` of a DataVolumeSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeCheckpoint {
    /// The checkpoint before.
    pub previous: String,
    /// The checkpoint now.
    pub current: String,
}
