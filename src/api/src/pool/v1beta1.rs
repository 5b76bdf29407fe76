//! pool.kubevirt.io/v1beta1: pools of virtual machines.

use k8s_openapi::api::core::v1::NodeSelectorRequirement;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::kind;
use crate::v1::VirtualMachineSpec;

kind!(
    /// Keeps a number of virtual machines made from one template.
    VirtualMachinePool, "pool.kubevirt.io", "v1beta1", "virtualmachinepools", NamespaceResourceScope, VirtualMachinePoolSpec, VirtualMachinePoolStatus
);

/// Virtual machine pool spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolSpec {
    /// How many there are to be: default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0))]
    pub replicas: Option<i32>,
    /// Which objects are meant, by label.
    pub selector: LabelSelector,
    /// Virtual machine template: metadata (preserve-unknown) + spec.
    pub virtual_machine_template: VirtualMachineTemplateSpec,
    /// Whether the controller holds still.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub paused: Option<bool>,
    /// Name generation: appends the ordinal to configMap/secret names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_generation: Option<VirtualMachinePoolNameGeneration>,
    /// Max unavailable: int or percent; default 100%.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// How VMs are taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_in_strategy: Option<VirtualMachinePoolScaleInStrategy>,
    /// How a changed template reaches VMs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<VirtualMachinePoolUpdateStrategy>,
    /// Autohealing: defaults 3 failures, 5m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autohealing: Option<VirtualMachinePoolAutohealingStrategy>,
}

/// `virtualMachineTemplate` of a VirtualMachinePoolSpec: metadata (preserve-unknown) + spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineTemplateSpec {
    /// Labels, annotations and the name, as on any object: labels and annotations of every VM made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::preserved_metadata")]
    pub metadata: Option<Box<ObjectMeta>>,
    /// What is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Box<VirtualMachineSpec>>,
}

/// `nameGeneration` of a VirtualMachinePoolSpec: appends the ordinal to configMap/secret names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolNameGeneration {
    /// Whether ConfigMap names get the VM's index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_index_to_config_map_refs: Option<bool>,
    /// Whether secret names get the VM's index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_index_to_secret_refs: Option<bool>,
}

/// `scaleInStrategy` of a VirtualMachinePoolSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolScaleInStrategy {
    /// Nothing is done by the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmanaged: Option<VirtualMachinePoolUnmanagedStrategy>,
    /// Done when there is an occasion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opportunistic: Option<VirtualMachinePoolOpportunisticScaleInStrategy>,
    /// Proactive: default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proactive: Option<VirtualMachinePoolProactiveScaleInStrategy>,
}

/// `unmanaged` of a VirtualMachinePoolScaleInStrategy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolUnmanagedStrategy {}

/// `opportunistic` of a VirtualMachinePoolScaleInStrategy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolOpportunisticScaleInStrategy {
    /// What is kept of the state of a VM that goes; one of Disabled, Offline, Online.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["Disabled", "Offline", "Online"])))]
    pub state_preservation: Option<String>,
}

/// `proactive` of a VirtualMachinePoolScaleInStrategy: default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolProactiveScaleInStrategy {
    /// Which VMs are picked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection_policy: Option<VirtualMachinePoolSelectionPolicy>,
    /// What is kept of the state of a VM that goes; one of Disabled, Offline, Online.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["Disabled", "Offline", "Online"])))]
    pub state_preservation: Option<String>,
}

/// `selectionPolicy` of a VirtualMachinePoolProactiveScaleInStrategy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolSelectionPolicy {
    /// Sort policy: default Random; one of AscendingOrder, DescendingOrder, Newest, Oldest, Random.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["AscendingOrder", "DescendingOrder", "Newest", "Oldest", "Random"])))]
    pub sort_policy: Option<String>,
    /// What is selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selectors: Option<VirtualMachinePoolSelectors>,
}

/// `selectors` of a VirtualMachinePoolSelectionPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolSelectors {
    /// The selector in text form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Nodes whose VMs are picked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub node_selector_requirement_matcher: Option<Vec<NodeSelectorRequirement>>,
}

/// `updateStrategy` of a VirtualMachinePoolSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolUpdateStrategy {
    /// Nothing is done by the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmanaged: Option<VirtualMachinePoolUnmanagedStrategy>,
    /// Done when there is an occasion: VM updated, VMI at next restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opportunistic: Option<VirtualMachineOpportunisticUpdateStrategy>,
    /// Proactive: default; also restarts VMIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proactive: Option<VirtualMachinePoolProactiveUpdateStrategy>,
}

/// `opportunistic` of a VirtualMachinePoolUpdateStrategy: VM updated, VMI at next restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineOpportunisticUpdateStrategy {}

/// `proactive` of a VirtualMachinePoolUpdateStrategy: default; also restarts VMIs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolProactiveUpdateStrategy {
    /// Which VMs are picked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection_policy: Option<VirtualMachinePoolSelectionPolicy>,
}

/// `autohealing` of a VirtualMachinePoolSpec: defaults 3 failures, 5m.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolAutohealingStrategy {
    /// How many failed starts make a VM be replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 1))]
    pub start_up_failure_threshold: Option<u32>,
    /// How long a VM must fail before it is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_failing_to_start_duration: Option<String>,
}

/// Virtual machine pool status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolStatus {
    /// How many there are to be.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub replicas: Option<i32>,
    /// How many are ready.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub ready_replicas: Option<i32>,
    /// What is known about the object now, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<VirtualMachinePoolCondition>,
    /// The selector in text form.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub label_selector: Option<String>,
}

/// `conditions` of a VirtualMachinePoolStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePoolCondition {
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
