//! clone.kubevirt.io/v1beta1: copies of virtual machines.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::kind;

kind!(
    /// The request to copy a virtual machine.
    VirtualMachineClone, "clone.kubevirt.io", "v1beta1", "virtualmachineclones", NamespaceResourceScope, VirtualMachineCloneSpec, VirtualMachineCloneStatus
);

/// Virtual machine clone spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineCloneSpec {
    /// Where the data comes from: VirtualMachine or VirtualMachineSnapshot.
    pub source: TypedLocalObjectReference,
    /// The  aimed at: default VM clone-`<source>`-`<rand5>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TypedLocalObjectReference>,
    /// Which annotations are kept, as glob patterns; ! drops: glob list, ! negates; last match wins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotation_filters: Vec<String>,
    /// Which labels are kept, as glob patterns; ! drops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub label_filters: Vec<String>,
    /// What is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<VirtualMachineCloneTemplateFilters>,
    /// New mac addresses: interface name → MAC.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub new_mac_addresses: BTreeMap<String, String>,
    /// The clone's SMBIOS serial number.
    #[serde(rename = "newSMBiosSerial", skip_serializing_if = "Option::is_none")]
    pub new_smbios_serial: Option<String>,
    /// Patches, in order: JSON-patch op strings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<String>,
    /// How the clone's volumes are named; one of RandomizeNames, PrefixTargetName.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["RandomizeNames", "PrefixTargetName"])))]
    pub volume_name_policy: Option<String>,
}

/// `template` of a VirtualMachineCloneSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineCloneTemplateFilters {
    /// Which annotations are kept, as glob patterns; ! drops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotation_filters: Vec<String>,
    /// Which labels are kept, as glob patterns; ! drops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub label_filters: Vec<String>,
}

/// Virtual machine clone status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineCloneStatus {
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub creation_time: Option<Time>,
    /// Where the object is in its life; one of SnapshotInProgress, CreatingTargetVM, RestoreInProgress, Succeeded, Failed, Unknown.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub phase: Option<String>,
    /// What is known about the object now, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The snapshot in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub snapshot_name: Option<String>,
    /// The restore in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub restore_name: Option<String>,
    /// The clone's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub target_name: Option<String>,
}

/// `conditions` of a VirtualMachineCloneStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Which kind this is; one of Ready, Progressing.
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
