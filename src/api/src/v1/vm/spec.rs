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
    /// Whether it runs. Deprecated: use `runStrategy`, which excludes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// When it runs: Always, RerunOnFailure, Once, Manual, Halted, or WaitAsReceiver for a migration from another cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_strategy: Option<String>,
    /// The instance type that gives it CPUs and memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instancetype: Option<InstancetypeMatcher>,
    /// What its operating system works best with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<PreferenceMatcher>,
    /// What its instances are made from. Labels and annotations of the template go to the instance.
    pub template: VirtualMachineInstanceTemplateSpec,
    /// DataVolumes that are created with it and go with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null, "x-items" = serde_json::json!({"nullable": true})))]
    pub data_volume_templates: Vec<DataVolumeTemplateSpec>,
    /// How changed volumes reach a running guest: Replacement (at the next restart) or Migration (at once).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_volumes_strategy: Option<String>,
}

/// A reference to an instance type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InstancetypeMatcher {
    /// The instance type. Excludes `inferFromVolume`.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
    /// VirtualMachineInstancetype or VirtualMachineClusterInstancetype (the default).
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kind: Option<String>,
    /// The stored revision to use; KubeVirt keeps it in the status if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub revision_name: Option<String>,
    /// The volume whose labels name the instance type. Replaced by the name when the object is stored.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub infer_from_volume: Option<String>,
    /// What a failed inference leads to; one of Reject, Ignore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infer_from_volume_failure_policy: Option<String>,
}

/// A reference to a preference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PreferenceMatcher {
    /// The preference. Excludes `inferFromVolume`.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
    /// VirtualMachinePreference or VirtualMachineClusterPreference (the default).
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kind: Option<String>,
    /// The stored revision to use; KubeVirt keeps it in the status if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub revision_name: Option<String>,
    /// The volume whose labels name the preference. Replaced by the name when the object is stored.
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
    /// Labels and annotations of the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::preserved_metadata")]
    pub metadata: Option<Box<ObjectMeta>>,
    /// The specification of the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Box<VirtualMachineInstanceSpec>>,
}

/// A DataVolume that is made with the virtual machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeTemplateSpec {
    /// The DataVolume's API version; not needed.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub api_version: Option<String>,
    /// DataVolume; not needed.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kind: Option<String>,
    /// The DataVolume's name, labels and annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::preserved_metadata")]
    pub metadata: Option<Box<ObjectMeta>>,
    /// Where its content comes from and how it is stored.
    pub spec: DataVolumeSpec,
    /// Not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub status: Option<DataVolumeTemplateDummyStatus>,
}

/// Not used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeTemplateDummyStatus {}
