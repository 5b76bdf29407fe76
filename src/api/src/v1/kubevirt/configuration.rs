//! KubeVirt's behaviour, cluster wide.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::ArchConfiguration;
use crate::v1::DeveloperConfiguration;
use crate::v1::MediatedDevicesConfiguration;
use crate::v1::NetworkConfiguration;
use crate::v1::PermittedHostDevices;
use crate::v1::ReloadableComponentConfiguration;
use crate::v1::SMBiosConfiguration;
use crate::v1::SeccompConfiguration;
use crate::v1::SupportContainerResources;
use crate::v1::TLSConfiguration;

/// KubeVirt's behaviour, cluster wide.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeVirtConfiguration {
    /// Cpu model: cluster default CPU model.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub cpu_model: Option<String>,
    /// Cpu request: default 100m.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub cpu_request: Option<Quantity>,
    /// Feature gates and settings for development.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub developer_configuration: Option<Box<DeveloperConfiguration>>,
    /// Machine types allowed, as glob patterns: deprecated → architectureConfiguration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub emulated_machines: Vec<String>,
    /// When the image is pulled: workload pods; default IfNotPresent.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub image_pull_policy: Option<String>,
    /// Defaults of live migrations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrations: Option<Box<MigrationConfiguration>>,
    /// The default machine type: deprecated → architectureConfiguration.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub machine_type: Option<String>,
    /// The default network binding, and binding plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkConfiguration>,
    /// The folder with the UEFI firmware: deprecated.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub ovmf_path: Option<String>,
    /// Selinux launcher type: launcher SELinux type override.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub selinux_launcher_type: Option<String>,
    /// Default runtime class: launcher pod runtimeClassName.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub default_runtime_class: Option<String>,
    /// Smbios: defaults manufacturer KubeVirt, product None, family KubeVirt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smbios: Option<SMBiosConfiguration>,
    /// Defaults by CPU architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture_configuration: Option<Box<ArchConfiguration>>,
    /// What a node drain does to guests that say nothing: None (the default), LiveMigrate, LiveMigrateIfPossible or External.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eviction_strategy: Option<String>,
    /// Additional guest memory overhead ratio: decimal text multiplier ≥1.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_guest_memory_overhead_ratio: Option<String>,
    /// Support container resources: map list by type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = serde_json::json!(["type"])))]
    pub support_container_resources: Vec<SupportContainerResources>,
    /// Supported guest agent versions: deprecated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub supported_guest_agent_versions: Vec<String>,
    /// Mem balloon stats period: default 10 s; 0 off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_balloon_stats_period: Option<u32>,
    /// Host devices that guests may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permitted_host_devices: Option<PermittedHostDevices>,
    /// Mediated devices to configure on nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mediated_devices_configuration: Option<MediatedDevicesConfiguration>,
    /// Min cpu model: deprecated.
    #[serde(rename = "minCPUModel", skip_serializing_if = "crate::zero::is_empty")]
    pub min_cpu_model: Option<String>,
    /// Obsolete cpu models: model → true hides it from node labels.
    #[serde(rename = "obsoleteCPUModels", skip_serializing_if = "BTreeMap::is_empty")]
    pub obsolete_cpu_models: BTreeMap<String, bool>,
    /// Virtual machine instances per node: virt-handler --max-devices; default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub virtual_machine_instances_per_node: Option<i64>,
    /// Api configuration: defaults qps 200 burst 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_configuration: Option<ReloadableComponentConfiguration>,
    /// Webhook configuration: 200/400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_configuration: Option<ReloadableComponentConfiguration>,
    /// Controller configuration: 200/400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_configuration: Option<ReloadableComponentConfiguration>,
    /// Handler configuration: 50/100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler_configuration: Option<ReloadableComponentConfiguration>,
    /// Tls configuration: default TLS1.2; ciphers is a set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_configuration: Option<TLSConfiguration>,
    /// The launcher's seccomp profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp_configuration: Option<SeccompConfiguration>,
    /// Vm state storage class: for backend-storage PVCs.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub vm_state_storage_class: Option<String>,
    /// Defaults for all guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine_options: Option<VirtualMachineOptions>,
    /// Ksm configuration: empty selector = every node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ksm_configuration: Option<KSMConfiguration>,
    /// Auto cpu limit namespace label selector: adds cpu limits in matching namespaces.
    #[serde(rename = "autoCPULimitNamespaceLabelSelector", skip_serializing_if = "Option::is_none")]
    pub auto_cpu_limit_namespace_label_selector: Option<LabelSelector>,
    /// Live update configuration: ratio default 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_update_configuration: Option<LiveUpdateConfiguration>,
    /// LiveUpdate (the default) applies what can be changed to running guests; Stage waits for a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["Stage", "LiveUpdate"]), "nullable" = true))]
    pub vm_rollout_strategy: Option<String>,
    /// Common instancetypes deployment: default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub common_instancetypes_deployment: Option<CommonInstancetypesDeployment>,
    /// Virt template deployment: default true when gate Template on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub virt_template_deployment: Option<VirtTemplateDeployment>,
    /// Instancetype: default reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub instancetype: Option<InstancetypeConfiguration>,
    /// Hypervisors: default kvm; gate ConfigurableHypervisor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 1))]
    pub hypervisors: Vec<HypervisorConfiguration>,
    /// Which guests have changed blocks tracked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub changed_block_tracking_label_selectors: Option<ChangedBlockTrackingSelectors>,
    /// Persistent reservation configuration: default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub persistent_reservation_configuration: Option<PersistentReservationConfiguration>,
    /// Confidential computing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub confidential_compute: Option<ConfidentialComputeConfiguration>,
    /// Role aggregation strategy: default AggregateToDefault; one of AggregateToDefault, Manual.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["AggregateToDefault", "Manual"])))]
    pub role_aggregation_strategy: Option<String>,
}

/// Defaults of live migrations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationConfiguration {
    /// The taint that asks for guests to leave a node: default kubevirt.io/drain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_drain_taint_key: Option<String>,
    /// How many migrations may leave one node at once: default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_outbound_migrations_per_node: Option<u32>,
    /// How many migrations may run in the cluster at once: default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_migrations_per_cluster: Option<u32>,
    /// Whether the guest may be slowed down to let a migration finish: default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_auto_converge: Option<bool>,
    /// The most a migration may transfer in a second: per second; default 0 = unlimited.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub bandwidth_per_migration: Option<Quantity>,
    /// Seconds granted per GiB of guest memory before a migration is given up: default 150 s.
    #[serde(rename = "completionTimeoutPerGiB", skip_serializing_if = "Option::is_none")]
    pub completion_timeout_per_gib: Option<i64>,
    /// The longest pause a migration may cause, in milliseconds: default 900.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 1, "maximum" = 2_000_000))]
    pub max_downtime_ms: Option<u64>,
    /// Seconds without progress before a migration is given up: default 150 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_timeout: Option<i64>,
    /// Seconds to wait for utility volumes to go before migrating: default 150 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utility_volumes_timeout: Option<i64>,
    /// Whether guests are migrated although it may harm their data: default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsafe_migration_override: Option<bool>,
    /// Whether the guest may run on the target before all memory is there: default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_post_copy: Option<bool>,
    /// Whether a slow migration may pause the guest: default = allowPostCopy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_workload_disruption: Option<bool>,
    /// Whether migration traffic is sent in the clear: default false.
    #[serde(rename = "disableTLS", skip_serializing_if = "Option::is_none")]
    pub disable_tls: Option<bool>,
    /// The network used: NAD name in install namespace; default pod network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Whether the target pod must get the source's SELinux level: default false.
    #[serde(rename = "matchSELinuxLevelOnMigration", skip_serializing_if = "Option::is_none")]
    pub match_selinux_level_on_migration: Option<bool>,
}

/// `virtualMachineOptions` of a KubeVirtConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineOptions {
    /// Free pages are not handed back to the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_free_page_reporting: Option<DisableFreePageReporting>,
    /// The serial console is not logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_serial_console_log: Option<DisableSerialConsoleLog>,
}

/// `disableFreePageReporting` of a VirtualMachineOptions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DisableFreePageReporting {}

/// `disableSerialConsoleLog` of a VirtualMachineOptions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DisableSerialConsoleLog {}

/// `ksmConfiguration` of a KubeVirtConfiguration: empty selector = every node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KSMConfiguration {
    /// Which nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_label_selector: Option<LabelSelector>,
}

/// `liveUpdateConfiguration` of a KubeVirtConfiguration: ratio default 4.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveUpdateConfiguration {
    /// How many times its size a guest may grow.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub max_hotplug_ratio: Option<u32>,
    /// The most sockets a guest may grow to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cpu_sockets: Option<u32>,
    /// The most memory a guest may grow to.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub max_guest: Option<Quantity>,
}

/// `commonInstancetypesDeployment` of a KubeVirtConfiguration: default true.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CommonInstancetypesDeployment {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub enabled: Option<bool>,
}

/// `virtTemplateDeployment` of a KubeVirtConfiguration: default true when gate Template on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtTemplateDeployment {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub enabled: Option<bool>,
}

/// `instancetype` of a KubeVirtConfiguration: default reference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InstancetypeConfiguration {
    /// What becomes of a reference once it is resolved; one of reference, expand, expandAll.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["reference", "expand", "expandAll"]), "nullable" = true))]
    pub reference_policy: Option<String>,
}

/// `hypervisors` of a KubeVirtConfiguration: default kvm; gate ConfigurableHypervisor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HypervisorConfiguration {
    /// The name; other parts refer to it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    #[schemars(extend("enum" = serde_json::json!(["kvm", "hyperv-direct"])))]
    pub name: Option<String>,
}

/// `changedBlockTrackingLabelSelectors` of a KubeVirtConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChangedBlockTrackingSelectors {
    /// Which namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_label_selector: Option<LabelSelector>,
    /// Which virtual machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine_label_selector: Option<LabelSelector>,
}

/// `persistentReservationConfiguration` of a KubeVirtConfiguration: default false.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentReservationConfiguration {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub enabled: Option<bool>,
}

/// `confidentialCompute` of a KubeVirtConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfidentialComputeConfiguration {
    /// Intel TDX.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub tdx: Option<TDXConfiguration>,
}

/// `tdx` of a ConfidentialComputeConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TDXConfiguration {
    /// Attestation settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation: Option<TDXAttestationConfiguration>,
}

/// `attestation` of a TDXConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TDXAttestationConfiguration {
    /// Whether guests without attestation are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = false))]
    pub enforced: Option<bool>,
    /// The quote generation service's socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "/var/run/tdx-qgs/qgs.socket"))]
    pub qgs_socket_path: Option<String>,
}
