//! How far an installation is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far an installation is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeVirtStatus {
    /// Where the object is in its life; one of Deploying, Deployed, Deleting, Deleted.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub phase: Option<String>,
    /// What is known about the object now, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub conditions: Vec<KubeVirtCondition>,
    /// The operator's version.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub operator_version: Option<String>,
    /// The kube virt registry aimed at.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub target_kube_virt_registry: Option<String>,
    /// The kube virt version aimed at.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub target_kube_virt_version: Option<String>,
    /// The deployment config aimed at.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub target_deployment_config: Option<String>,
    /// The deployment id aimed at.
    #[serde(rename = "targetDeploymentID", skip_serializing_if = "crate::zero::is_empty")]
    pub target_deployment_id: Option<String>,
    /// The kube virt registry in place.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub observed_kube_virt_registry: Option<String>,
    /// The kube virt version in place.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub observed_kube_virt_version: Option<String>,
    /// The deployment config in place.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub observed_deployment_config: Option<String>,
    /// The deployment id in place.
    #[serde(rename = "observedDeploymentID", skip_serializing_if = "crate::zero::is_empty")]
    pub observed_deployment_id: Option<String>,
    /// Outdated virtual machine instance workloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub outdated_virtual_machine_instance_workloads: Option<i64>,
    /// The generation in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The architecture of a VM that names none: arch of control plane.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub default_architecture: Option<String>,
    /// Generations: operator bookkeeping.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generations: Vec<GenerationStatus>,
    /// Where the synchronization controller listens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub synchronization_addresses: Vec<String>,
}

/// `conditions` of a KubeVirtStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeVirtCondition {
    /// Which kind this is; one of Synchronized, Created, Available, Progressing, Degraded.
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

/// `generations` of a KubeVirtStatus: operator bookkeeping.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GenerationStatus {
    /// The API group.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// The namespace referred to.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub namespace: Option<String>,
    /// The name; other parts refer to it.
    pub name: String,
    /// The generation seen last.
    pub last_generation: i64,
    /// The content's hash.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub hash: Option<String>,
}
