//! The specification of an instance.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Affinity;
use k8s_openapi::api::core::v1::PodDNSConfig;
use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::AccessCredential;
use crate::v1::DomainSpec;
use crate::v1::Network;
use crate::v1::Probe;
use crate::v1::UtilityVolume;
use crate::v1::Volume;

/// What a running virtual machine is made of, and where it may run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceSpec {
    /// The priority class of the launcher pod.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub priority_class_name: Option<String>,
    /// The guest's machine: CPUs, memory, firmware, devices.
    pub domain: DomainSpec,
    /// Labels the node must carry.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Where the launcher pod may and should be scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// The scheduler that places the launcher pod; the cluster's default if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub scheduler_name: Option<String>,
    /// The service account of the launcher pod. The guest gets a token only through a `serviceAccount` volume.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub service_account_name: Option<String>,
    /// Taints the launcher pod tolerates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub tolerations: Vec<Toleration>,
    /// How launcher pods are spread over zones and nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["topologyKey", "whenUnsatisfiable"])))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// What a node drain does: None shuts the guest down, LiveMigrate moves it and otherwise blocks, LiveMigrateIfPossible moves it if it can, External leaves it to another controller. The cluster's default is used if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eviction_strategy: Option<String>,
    /// Paused starts the guest with its CPUs stopped; unset starts it running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_strategy: Option<String>,
    /// Seconds the guest has to shut down before it is switched off: 30 if unset, 0 for at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
    /// Sources of data for disks and file systems, by name. At most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null, "maxItems" = 256))]
    pub volumes: Vec<Volume>,
    /// Tells whether the guest works; a guest that fails is ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Box<Probe>>,
    /// Tells whether the guest serves; it decides the Ready condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Box<Probe>>,
    /// The guest's host name; the instance's name if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub hostname: Option<String>,
    /// Makes the guest's full name `hostname.subdomain.namespace.svc.<cluster domain>`.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub subdomain: Option<String>,
    /// The networks the guest's interfaces connect to, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null, "maxItems" = 256))]
    pub networks: Vec<Network>,
    /// How the guest resolves names: ClusterFirst if unset; None needs name servers in `dnsConfig`.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub dns_policy: Option<String>,
    /// Name servers, search domains and resolver options.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::address::dns")]
    pub dns_config: Option<PodDNSConfig>,
    /// SSH keys and passwords that are put into the guest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 256))]
    pub access_credentials: Vec<AccessCredential>,
    /// amd64, arm64 or s390x; the cluster's default if unset. It cannot change later.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub architecture: Option<String>,
    /// Dynamic resource claims whose devices the guest may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["name"])))]
    pub resource_claims: Vec<VirtualMachineInstanceResourceClaim>,
    /// Claims KubeVirt attaches for its own work (memory dumps, backups). Only KubeVirt changes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "maxItems" = 256, "x-kubernetes-list-map-keys" = serde_json::json!(["name"])))]
    pub utility_volumes: Vec<UtilityVolume>,
}

/// A dynamic resource claim, existing or made from a template; exactly one of both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceResourceClaim {
    /// The name devices refer to.
    pub name: String,
    /// An existing ResourceClaim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_claim_name: Option<String>,
    /// A template to make a ResourceClaim from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_claim_template_name: Option<String>,
}
