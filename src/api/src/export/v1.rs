//! export.kubevirt.io/v1: volumes and virtual machines served for download.

use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::kind;

kind!(
    /// The request to serve volumes for download.
    VirtualMachineExport, "export.kubevirt.io", "v1", "virtualmachineexports", NamespaceResourceScope, VirtualMachineExportSpec, VirtualMachineExportStatus
);

/// Virtual machine export spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineExportSpec {
    /// Where the data comes from: core PersistentVolumeClaim, VirtualMachine, VirtualMachineSnapshot, VirtualMachineBackup.
    pub source: TypedLocalObjectReference,
    /// The secret with the access token: default generated name; key token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<String>,
    /// How long it is kept: default 2h from creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_duration: Option<String>,
}

/// Virtual machine export status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineExportStatus {
    /// Where the object is in its life; one of Pending, Ready, Terminated, Skipped.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub phase: Option<String>,
    /// Where the export is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<Box<VirtualMachineExportLinks>>,
    /// The secret with the access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<String>,
    /// When the export ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_expiration_time: Option<Time>,
    /// The Service that serves it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub service_name: Option<String>,
    /// The virtual machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine_name: Option<String>,
    /// What is known about the object now, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// `links` of a VirtualMachineExportStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineExportLinks {
    /// Inside the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal: Option<VirtualMachineExportLink>,
    /// From outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<VirtualMachineExportLink>,
}

/// `internal` of a VirtualMachineExportLinks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineExportLink {
    /// Cert: PEM bundle.
    pub cert: String,
    /// The volumes concerned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["name"])))]
    pub volumes: Vec<VirtualMachineExportVolume>,
    /// Backups served.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["name"])))]
    pub backups: Vec<VirtualMachineExportBackup>,
    /// Manifests served.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["type"])))]
    pub manifests: Vec<VirtualMachineExportManifest>,
}

/// `volumes` of a VirtualMachineExportLink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineExportVolume {
    /// The name; other parts refer to it.
    pub name: String,
    /// The formats it is served in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["format"])))]
    pub formats: Vec<VirtualMachineExportVolumeFormat>,
}

/// `formats` of a VirtualMachineExportVolume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineExportVolumeFormat {
    /// The format; one of raw, gzip, dir, tar.gz.
    pub format: String,
    /// Where it is found.
    pub url: String,
}

/// `backups` of a VirtualMachineExportLink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineExportBackup {
    /// The name; other parts refer to it.
    pub name: String,
    /// The end points.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["endpoint"])))]
    pub endpoints: Vec<VirtualMachineExportBackupEndpoint>,
}

/// `endpoints` of a VirtualMachineExportBackup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineExportBackupEndpoint {
    /// The end point; one of map, data.
    pub endpoint: String,
    /// Where it is found.
    pub url: String,
}

/// `manifests` of a VirtualMachineExportLink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineExportManifest {
    /// Which kind this is; one of all, auth-header-secret, oci.
    pub r#type: String,
    /// Where it is found.
    pub url: String,
}

/// `conditions` of a VirtualMachineExportStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Which kind this is; one of Ready, PVCReady, VolumesCreated, OCIReady.
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
