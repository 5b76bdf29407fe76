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
    /// The priority class of the helper pods: pod priority class, copied to launcher pod.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub priority_class_name: Option<String>,
    /// The guest's machine: CPUs, memory, firmware, devices.
    pub domain: DomainSpec,
    /// Labels a node must carry.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Scheduling preferences and demands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// The scheduler that places the pod.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub scheduler_name: Option<String>,
    /// The service account: launcher pod SA; gives no token disk by itself.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub service_account_name: Option<String>,
    /// Taints that are tolerated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub tolerations: Vec<Toleration>,
    /// How instances are spread over the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["topologyKey", "whenUnsatisfiable"])))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Eviction strategy: default from cluster config, else None; the eviction strategies; one of None, LiveMigrate, LiveMigrateIfPossible, External.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eviction_strategy: Option<String>,
    /// Start strategy: Paused = boot with vCPUs stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_strategy: Option<String>,
    /// Termination grace period seconds: unset = 30 (applied by the launcher pod renderer, not stored); 0 = kill at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
    /// The volumes concerned: exactly one source per volume; name DNS-1123 label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null, "maxItems" = 256))]
    pub volumes: Vec<Volume>,
    /// Liveness probe: failure kills the VMI; exactly one handler; cannot change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Box<Probe>>,
    /// Readiness probe: feeds the Ready condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Box<Probe>>,
    /// Hostname: guest hostname, default VMI name.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub hostname: Option<String>,
    /// Subdomain: FQDN hostname.subdomain.ns.svc.`<cluster>`.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub subdomain: Option<String>,
    /// The networks the guest's interfaces connect to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null, "maxItems" = 256))]
    pub networks: Vec<Network>,
    /// Dns policy: default ClusterFirst; None needs nameservers.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub dns_policy: Option<String>,
    /// Dns config: nameservers have leading zeros stripped on decode.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::address::dns")]
    pub dns_config: Option<PodDNSConfig>,
    /// Keys and passwords put into the guest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 256))]
    pub access_credentials: Vec<AccessCredential>,
    /// The CPU architecture: amd64|arm64|s390x; defaulted; immutable on VM.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub architecture: Option<String>,
    /// Resource claims: exactly one of the two references.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["name"])))]
    pub resource_claims: Vec<VirtualMachineInstanceResourceClaim>,
    /// Utility volumes: system-managed hotplug PVCs; gate UtilityVolumes; only KubeVirt SAs may change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "maxItems" = 256, "x-kubernetes-list-map-keys" = serde_json::json!(["name"])))]
    pub utility_volumes: Vec<UtilityVolume>,
}

/// `resourceClaims` of a VirtualMachineInstanceSpec: exactly one of the two references.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceResourceClaim {
    /// The name; other parts refer to it.
    pub name: String,
    /// An existing ResourceClaim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_claim_name: Option<String>,
    /// A template to make a ResourceClaim from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_claim_template_name: Option<String>,
}
