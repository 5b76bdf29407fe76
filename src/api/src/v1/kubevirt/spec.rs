//! The KubeVirt resource: what is installed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Affinity;
use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::api::core::v1::Toleration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::KubeVirtConfiguration;

/// What of KubeVirt is installed, and how it behaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeVirtSpec {
    /// Image tag: default operator tag.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub image_tag: Option<String>,
    /// Image registry: default operator registry.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub image_registry: Option<String>,
    /// When the components' images are pulled.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub image_pull_policy: Option<String>,
    /// Secrets to pull images with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Monitor namespace: default: first existing well-known Prometheus namespace.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub monitor_namespace: Option<String>,
    /// Where the ServiceMonitor is put.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub service_monitor_namespace: Option<String>,
    /// Monitor account: default prometheus-k8s.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub monitor_account: Option<String>,
    /// How running guests get a new launcher after an update; not at all if empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_update_strategy: Option<KubeVirtWorkloadUpdateStrategy>,
    /// RemoveWorkloads (the default) or BlockUninstallIfWorkloadsExist.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub uninstall_strategy: Option<String>,
    /// How certificates are renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_rotate_strategy: Option<KubeVirtCertificateRotateStrategy>,
    /// Product version: label app.kubernetes.io/version.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub product_version: Option<String>,
    /// Product name: label app.kubernetes.io/part-of.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub product_name: Option<String>,
    /// Product component: label app.kubernetes.io/component, default kubevirt.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub product_component: Option<String>,
    /// Synchronization port: default 9185.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub synchronization_port: Option<String>,
    /// How KubeVirt behaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Box<KubeVirtConfiguration>>,
    /// Where virt-api, virt-controller and their like run, and how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infra: Option<ComponentConfig>,
    /// Where virt-handler runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workloads: Option<ComponentConfig>,
    /// Patches and flags for the components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customize_components: Option<CustomizeComponents>,
}

/// `workloadUpdateStrategy` of a KubeVirtSpec: no methods = off; batch defaults 10 per 1m; LiveMigrate preferred over Evict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeVirtWorkloadUpdateStrategy {
    /// How running guests get a new launcher; one of LiveMigrate, Evict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workload_update_methods: Vec<String>,
    /// How many guests are evicted at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub batch_eviction_size: Option<i64>,
    /// The pause between evictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_eviction_interval: Option<String>,
}

/// `certificateRotateStrategy` of a KubeVirtSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeVirtCertificateRotateStrategy {
    /// Certificates KubeVirt signs itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<Box<KubeVirtSelfSignConfiguration>>,
}

/// `selfSigned` of a KubeVirtCertificateRotateStrategy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeVirtSelfSignConfiguration {
    /// Ca rotate interval: deprecated → ca.duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_rotate_interval: Option<String>,
    /// Cert rotate interval: deprecated → server.duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_rotate_interval: Option<String>,
    /// Ca overlap interval: deprecated → ca.renewBefore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_overlap_interval: Option<String>,
    /// The certificate authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<CertConfig>,
    /// The serving certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<CertConfig>,
}

/// `ca` of a KubeVirtSelfSignConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertConfig {
    /// How long a certificate is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// How long before its end it is renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<String>,
}

/// `infra` of a KubeVirtSpec: placement for api/controller/operator-managed deployments; replicas default 2.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentConfig {
    /// On which nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_placement: Option<Box<NodePlacement>>,
    /// How many there are to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub replicas: Option<u8>,
}

/// `nodePlacement` of a ComponentConfig.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePlacement {
    /// Labels a node must carry.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Scheduling preferences and demands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Taints that are tolerated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub tolerations: Vec<Toleration>,
}

/// `customizeComponents` of a KubeVirtSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomizeComponents {
    /// Patches, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<CustomizeComponentsPatch>,
    /// Command line flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Flags>,
}

/// `patches` of a CustomizeComponents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomizeComponentsPatch {
    /// The name of the resource.
    #[schemars(extend("minLength" = 1))]
    pub resource_name: String,
    /// The kind of the resource.
    #[schemars(extend("minLength" = 1))]
    pub resource_type: String,
    /// The patch.
    pub patch: String,
    /// Which kind this is; one of json, merge, strategic.
    pub r#type: String,
}

/// `flags` of a CustomizeComponents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Flags {
    /// Of virt-api.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub api: BTreeMap<String, String>,
    /// Of virt-controller.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub controller: BTreeMap<String, String>,
    /// Of virt-handler.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub handler: BTreeMap<String, String>,
}
