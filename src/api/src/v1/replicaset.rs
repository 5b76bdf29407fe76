//! Replica sets and presets of instances.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::DomainSpec;
use crate::v1::VirtualMachineInstanceTemplateSpec;

/// Virtual machine instance replica set spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceReplicaSetSpec {
    /// How many there are to be: default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Which objects are meant, by label.
    pub selector: LabelSelector,
    /// What is made.
    pub template: VirtualMachineInstanceTemplateSpec,
    /// Whether the controller holds still: stops reconciling, sets ReplicaPaused.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub paused: Option<bool>,
}

/// Virtual machine instance replica set status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceReplicaSetStatus {
    /// How many there are to be.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub replicas: Option<i32>,
    /// How many are ready.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub ready_replicas: Option<i32>,
    /// What is known about the object now, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub conditions: Vec<VirtualMachineInstanceReplicaSetCondition>,
    /// The selector in text form.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub label_selector: Option<String>,
}

/// `conditions` of a VirtualMachineInstanceReplicaSetStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceReplicaSetCondition {
    /// Which kind this is; one of ReplicaFailure, ReplicaPaused.
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

/// Virtual machine instance preset spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstancePresetSpec {
    /// Which objects are meant, by label: matched against VMI labels at create.
    pub selector: LabelSelector,
    /// The guest's machine: CPUs, memory, firmware, devices: merged into matching VMIs unless conflicting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Box<DomainSpec>>,
}
