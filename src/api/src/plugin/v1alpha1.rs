//! plugin.kubevirt.io/v1alpha1: plugins that change domains and nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::kind;

kind!(
    /// A plugin that changes domains or acts on nodes.
    Plugin, "plugin.kubevirt.io", "v1alpha1", "plugins", ClusterResourceScope, PluginSpec, PluginStatus
);

/// Plugin spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginSpec {
    /// A CEL expression that must hold for the plugin to act.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub condition: Option<String>,
    /// What a failing hook leads to; one of Fail, Ignore.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub failure_strategy: Option<String>,
    /// Hooks that change the domain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domain_hooks: Vec<DomainHook>,
    /// Hooks that run on the node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_hooks: Vec<NodeHook>,
    /// MutatingAdmissionPolicies that belong to the plugin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mutating_admission_policies: Vec<AdmissionReference>,
    /// ValidatingAdmissionPolicies that belong to the plugin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validating_admission_policies: Vec<AdmissionReference>,
    /// Mutating webhooks that belong to the plugin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mutating_admission_webhooks: Vec<AdmissionReference>,
    /// Validating webhooks that belong to the plugin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validating_admission_webhooks: Vec<AdmissionReference>,
}

/// `domainHooks` of a PluginSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DomainHook {
    /// A CEL expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cel: Option<CELDomainHook>,
    /// A sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<SidecarDomainHook>,
    /// A CEL expression that must hold for the plugin to act.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub condition: Option<String>,
    /// What a failing hook leads to; one of Fail, Ignore.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub failure_strategy: Option<String>,
    /// How long a hook may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// `cel` of a DomainHook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CELDomainHook {
    /// The expression.
    #[schemars(extend("minLength" = 1))]
    pub expression: String,
}

/// `sidecar` of a DomainHook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarDomainHook {
    /// The socket's path.
    #[schemars(extend("minLength" = 1))]
    pub socket_path: String,
}

/// `nodeHooks` of a PluginSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeHook {
    /// The socket.
    #[schemars(extend("minLength" = 1))]
    pub socket: String,
    /// The hooks it may serve; one of PreVMStart, PostVMStart, PreVMStop, PostVMStop, PreMigrationSource, PreMigrationTarget, PostMigrationTarget.
    #[schemars(extend("minItems" = 1))]
    pub permitted_hooks: Vec<String>,
    /// A CEL expression that must hold for the plugin to act.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub condition: Option<String>,
    /// What a failing hook leads to; one of Fail, Ignore.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub failure_strategy: Option<String>,
    /// How long a hook may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// `mutatingAdmissionPolicies` of a PluginSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AdmissionReference {
    /// The name; other parts refer to it.
    #[schemars(extend("minLength" = 1))]
    pub name: String,
}

/// Plugin status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginStatus {}
