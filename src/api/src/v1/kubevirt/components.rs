//! Settings of components, nodes and architectures.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Feature gates and settings for development.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeveloperConfiguration {
    /// Feature gates: the feature gates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub feature_gates: Vec<String>,
    /// Disabled feature gates: turns Beta gates off; must not overlap.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disabled_feature_gates: Vec<String>,
    /// Pvc tolerate less space up to percent: default 10.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub pvc_tolerate_less_space_up_to_percent: Option<i64>,
    /// Minimum reserve pvc bytes: default 131072.
    #[serde(rename = "minimumReservePVCBytes", skip_serializing_if = "crate::zero::is_zero")]
    pub minimum_reserve_pvc_bytes: Option<u64>,
    /// Memory overcommit: default 100 (%).
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null, "minimum" = 10))]
    pub memory_overcommit: Option<i64>,
    /// Labels the target node must carry: added to every launcher pod.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selectors: BTreeMap<String, String>,
    /// Use emulation: allow TCG when no /dev/kvm.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub use_emulation: Option<bool>,
    /// Cpu allocation ratio: default 10.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub cpu_allocation_ratio: Option<i64>,
    /// The lowest TSC frequency guests are given.
    #[serde(rename = "minimumClusterTSCFrequency", skip_serializing_if = "Option::is_none")]
    pub minimum_cluster_tsc_frequency: Option<i64>,
    /// Disk verification: default 2000Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_verification: Option<DiskVerification>,
    /// Log verbosity: each default 2 when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_verbosity: Option<LogVerbosity>,
    /// Cluster profiler: enables profiler endpoints.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub cluster_profiler: Option<bool>,
}

/// `diskVerification` of a DeveloperConfiguration: default 2000Mi.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskVerification {
    /// The memory the check may use.
    #[serde(deserialize_with = "crate::quantity::one")]
    pub memory_limit: Quantity,
}

/// `logVerbosity` of a DeveloperConfiguration: each default 2 when unset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogVerbosity {
    /// Of virt-api.
    #[serde(rename = "virtAPI", skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub virt_api: Option<u64>,
    /// Of virt-controller.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub virt_controller: Option<u64>,
    /// Of virt-handler.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub virt_handler: Option<u64>,
    /// Of virt-launcher.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub virt_launcher: Option<u64>,
    /// Of virt-operator.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub virt_operator: Option<u64>,
    /// Of the synchronization controller.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub virt_synchronization_controller: Option<u64>,
    /// Of virt-handler, by node.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-items" = serde_json::json!({"format": null})))]
    pub node_verbosity: BTreeMap<String, u64>,
}

/// `network` of a KubeVirtConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkConfiguration {
    /// Default network interface: bridge (default) | masquerade.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub default_network_interface: Option<String>,
    /// Permit slirp interface: removed feature; ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permit_slirp_interface: Option<bool>,
    /// Permit bridge interface on pod network: default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permit_bridge_interface_on_pod_network: Option<bool>,
    /// Binding: plugin name → definition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub binding: BTreeMap<String, InterfaceBindingPlugin>,
}

/// `binding` of a NetworkConfiguration: plugin name → definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfaceBindingPlugin {
    /// The image of the plugin's sidecar.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub sidecar_image: Option<String>,
    /// The NetworkAttachmentDefinition the plugin needs.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub network_attachment_definition: Option<String>,
    /// How the interface is attached to the domain; one of tap, managedTap.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub domain_attachment_type: Option<String>,
    /// How the plugin behaves in a migration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration: Option<InterfaceBindingMigration>,
    /// Downward api; one of device-info.
    #[serde(rename = "downwardAPI", skip_serializing_if = "crate::zero::is_empty")]
    pub downward_api: Option<String>,
    /// Resources the plugin's sidecar takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_resource_overhead: Option<ResourceRequirementsWithoutClaims>,
}

/// `migration` of a InterfaceBindingPlugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfaceBindingMigration {
    /// The method; one of link-refresh.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub method: Option<String>,
}

/// `computeResourceOverhead` of a InterfaceBindingPlugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceRequirementsWithoutClaims {
    /// What is never exceeded, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::quantity::map")]
    pub limits: BTreeMap<String, Quantity>,
    /// What is set aside, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::quantity::map")]
    pub requests: BTreeMap<String, Quantity>,
}

/// `architectureConfiguration` of a KubeVirtConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ArchConfiguration {
    /// Amd64: default q35; globs q35*, pc-q35*; ovmf /usr/share/OVMF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amd64: Option<ArchSpecificConfiguration>,
    /// Arm64: default virt; virt*; /usr/share/AAVMF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm64: Option<ArchSpecificConfiguration>,
    /// Ppc64le: unsupported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ppc64le: Option<ArchSpecificConfiguration>,
    /// S390x: default s390-ccw-virtio; s390-ccw-virtio*.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s390x: Option<ArchSpecificConfiguration>,
    /// The architecture of a VM that names none.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub default_architecture: Option<String>,
}

/// `amd64` of a ArchConfiguration: default q35; globs q35*, pc-q35*; ovmf /usr/share/OVMF.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ArchSpecificConfiguration {
    /// The folder with the UEFI firmware.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub ovmf_path: Option<String>,
    /// Machine types allowed, as glob patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emulated_machines: Vec<String>,
    /// The default machine type.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub machine_type: Option<String>,
}

/// `permittedHostDevices` of a KubeVirtConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PermittedHostDevices {
    /// PCI devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pci_host_devices: Vec<PciHostDevice>,
    /// Mediated devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mediated_devices: Vec<MediatedHostDevice>,
    /// USB devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub usb: Vec<USBHostDevice>,
}

/// `pciHostDevices` of a PermittedHostDevices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PciHostDevice {
    /// Vendor and product in hexadecimal, as 10DE:1EB8.
    pub pci_vendor_selector: String,
    /// The name of the resource.
    pub resource_name: String,
    /// Whether another device plugin advertises the resource.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub external_resource_provider: Option<bool>,
}

/// `mediatedDevices` of a PermittedHostDevices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MediatedHostDevice {
    /// The mediated device's type name.
    pub mdev_name_selector: String,
    /// The name of the resource.
    pub resource_name: String,
    /// Whether another device plugin advertises the resource.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub external_resource_provider: Option<bool>,
}

/// `usb` of a PermittedHostDevices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct USBHostDevice {
    /// The name of the resource.
    pub resource_name: String,
    /// What is selected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub selectors: Vec<USBSelector>,
    /// Whether another device plugin advertises the resource.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub external_resource_provider: Option<bool>,
}

/// `selectors` of a USBHostDevice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct USBSelector {
    /// The vendor's identifier.
    pub vendor: String,
    /// The product.
    pub product: String,
}

/// `mediatedDevicesConfiguration` of a KubeVirtConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MediatedDevicesConfiguration {
    /// Mediated device types to configure; the former spelling: deprecated spelling.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mediated_devices_types: Vec<String>,
    /// Mediated device types to configure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mediated_device_types: Vec<String>,
    /// Types by node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_mediated_device_types: Vec<NodeMediatedDeviceTypesConfig>,
    /// Whether it is on: default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// `nodeMediatedDeviceTypes` of a MediatedDevicesConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeMediatedDeviceTypesConfig {
    /// Labels a node must carry.
    pub node_selector: BTreeMap<String, String>,
    /// Mediated device types to configure; the former spelling.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mediated_devices_types: Vec<String>,
    /// Mediated device types to configure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mediated_device_types: Vec<String>,
}

/// `apiConfiguration` of a KubeVirtConfiguration: defaults qps 200 burst 400.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReloadableComponentConfiguration {
    /// The client to the API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest_client: Option<RESTClientConfiguration>,
}

/// `restClient` of a ReloadableComponentConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RESTClientConfiguration {
    /// How many requests are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limiter: Option<RateLimiter>,
}

/// `rateLimiter` of a RESTClientConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimiter {
    /// A token bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_bucket_rate_limiter: Option<TokenBucketRateLimiter>,
}

/// `tokenBucketRateLimiter` of a RateLimiter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenBucketRateLimiter {
    /// Requests a second.
    pub qps: f32,
    /// Requests at once.
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub burst: i64,
}

/// `seccompConfiguration` of a KubeVirtConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompConfiguration {
    /// The profile of launcher pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine_instance_profile: Option<VirtualMachineInstanceProfile>,
}

/// `virtualMachineInstanceProfile` of a SeccompConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceProfile {
    /// The profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_profile: Option<CustomProfile>,
}

/// `customProfile` of a VirtualMachineInstanceProfile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomProfile {
    /// A profile on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub localhost_profile: Option<String>,
    /// The container runtime's profile.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub runtime_default_profile: Option<bool>,
}

/// `smbios` of a KubeVirtConfiguration: defaults manufacturer KubeVirt, product None, family KubeVirt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SMBiosConfiguration {
    /// The maker's name in the SMBIOS tables.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub manufacturer: Option<String>,
    /// The product.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub product: Option<String>,
    /// The version.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub version: Option<String>,
    /// The stock keeping unit in the SMBIOS tables.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub sku: Option<String>,
    /// The product family in the SMBIOS tables.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub family: Option<String>,
}

/// `supportContainerResources` of a KubeVirtConfiguration: map list by type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SupportContainerResources {
    /// Which kind this is; one of hotplug-disk, container-disk, virtiofs, sidecar, vmexport, guest-console-log.
    pub r#type: String,
    /// Compute resources.
    pub resources: ResourceRequirementsWithoutClaims,
}

/// `tlsConfiguration` of a KubeVirtConfiguration: default TLS1.2; ciphers is a set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TLSConfiguration {
    /// The lowest TLS version spoken; one of VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13.
    #[serde(rename = "minTLSVersion", skip_serializing_if = "crate::zero::is_empty")]
    #[schemars(extend("enum" = serde_json::json!(["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"])))]
    pub min_tls_version: Option<String>,
    /// The TLS 1.2 cipher suites allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub ciphers: Vec<String>,
}
