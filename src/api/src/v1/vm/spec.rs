//! The specification of a virtual machine.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cdi::DataVolumeSpec;
use crate::v1::VirtualMachineInstanceSpec;

/// A virtual machine: when it runs, and the template of its instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineSpec {
    /// Running: deprecated; excludes runStrategy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// Run strategy: ; one of Always, Halted, Manual, RerunOnFailure, Once, WaitAsReceiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_strategy: Option<String>,
    /// Instancetype: kind default VirtualMachineClusterInstancetype; inferFromVolume is resolved and removed at admission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instancetype: Option<InstancetypeMatcher>,
    /// Preference: kind default VirtualMachineClusterPreference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<PreferenceMatcher>,
    /// What is made: metadata (labels/annotations go to the VMI; preserve-unknown, nullable) + spec.
    pub template: VirtualMachineInstanceTemplateSpec,
    /// Data volume templates: apiVersion?, kind?, metadata (preserve-unknown, nullable; name required by webhook) + spec; created by controller and owned by the VM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null, "x-items" = serde_json::json!({"nullable": true})))]
    pub data_volume_templates: Vec<DataVolumeTemplateSpec>,
    /// Update volumes strategy: default Replacement (needs restart); Migration = live volume migration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_volumes_strategy: Option<String>,
}

/// `instancetype` of a VirtualMachineSpec: kind default VirtualMachineClusterInstancetype; inferFromVolume is resolved and removed at admission.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InstancetypeMatcher {
    /// The name; other parts refer to it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
    /// The kind referred to.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kind: Option<String>,
    /// The ControllerRevision to use instead of the live object.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub revision_name: Option<String>,
    /// The volume whose labels name the default.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub infer_from_volume: Option<String>,
    /// What a failed inference leads to; one of Reject, Ignore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infer_from_volume_failure_policy: Option<String>,
}

/// `preference` of a VirtualMachineSpec: kind default VirtualMachineClusterPreference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PreferenceMatcher {
    /// The name; other parts refer to it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
    /// The kind referred to.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kind: Option<String>,
    /// The ControllerRevision to use instead of the live object.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub revision_name: Option<String>,
    /// The volume whose labels name the default.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub infer_from_volume: Option<String>,
    /// What a failed inference leads to; one of Reject, Ignore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infer_from_volume_failure_policy: Option<String>,
}

/// The template of an instance: labels, annotations and spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceTemplateSpec {
    /// Labels, annotations and the name, as on any object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::preserved_metadata")]
    pub metadata: Option<Box<ObjectMeta>>,
    /// What is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Box<VirtualMachineInstanceSpec>>,
}

/// A DataVolume that is made with the virtual machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeTemplateSpec {
    /// Api version: of the DataVolume; informational.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub api_version: Option<String>,
    /// The kind referred to: of the DataVolume; informational.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kind: Option<String>,
    /// Labels, annotations and the name, as on any object: name, labels and annotations of the DataVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::preserved_metadata")]
    pub metadata: Option<Box<ObjectMeta>>,
    /// What is wanted.
    pub spec: DataVolumeSpec,
    /// True, False or Unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub status: Option<DataVolumeTemplateDummyStatus>,
}

/// `status` of a DataVolumeTemplateSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeTemplateDummyStatus {}
