//! How a migration of an instance goes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a migration of an instance goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceMigrationState {
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub start_timestamp: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub end_timestamp: Option<Time>,
    /// When the domain ran on the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_node_domain_ready_timestamp: Option<Time>,
    /// Whether the target saw the domain.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub target_node_domain_detected: Option<bool>,
    /// Where the target listens.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub target_node_address: Option<String>,
    /// The target's ports, to the kind of traffic.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-items" = serde_json::json!({"format": null})))]
    pub target_direct_migration_node_ports: BTreeMap<String, i64>,
    /// The node migrated to.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub target_node: Option<String>,
    /// The pod migrated to.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub target_pod: Option<String>,
    /// The UID of the pod that attaches volumes on the target.
    #[serde(rename = "targetAttachmentPodUID", skip_serializing_if = "crate::zero::is_empty")]
    pub target_attachment_pod_uid: Option<String>,
    /// The node migrated from.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub source_node: Option<String>,
    /// The pod migrated from.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub source_pod: Option<String>,
    /// Whether it came to an end.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub completed: Option<bool>,
    /// Whether it ended badly.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub failed: Option<bool>,
    /// Whether the migration is to be stopped.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub abort_requested: Option<bool>,
    /// How far stopping went; one of Succeeded, Failed, Aborting.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub abort_status: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub failure_reason: Option<String>,
    /// The UID of the migration.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub migration_uid: Option<String>,
    /// How it is done; one of PreCopy, PostCopy, Paused.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub mode: Option<String>,
    /// The MigrationPolicy that applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration_policy_name: Option<String>,
    /// Migration configuration: merged cluster config + policy snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration_configuration: Option<Box<VMIMConfigurationOptions>>,
    /// The cpu set aimed at: dedicated CPUs on target.
    #[serde(rename = "targetCPUSet", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-items" = serde_json::json!({"format": null})))]
    pub target_cpu_set: Vec<i64>,
    /// The node topology aimed at: JSON text.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub target_node_topology: Option<String>,
    /// The claim with TPM and NVRAM state on the source.
    #[serde(rename = "sourcePersistentStatePVCName", skip_serializing_if = "crate::zero::is_empty")]
    pub source_persistent_state_pvc_name: Option<String>,
    /// The claim with TPM and NVRAM state on the target.
    #[serde(rename = "targetPersistentStatePVCName", skip_serializing_if = "crate::zero::is_empty")]
    pub target_persistent_state_pvc_name: Option<String>,
    /// Source state: written by source handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_state: Option<Box<VirtualMachineInstanceMigrationSourceState>>,
    /// The state aimed at: written by target handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_state: Option<Box<VirtualMachineInstanceMigrationTargetState>>,
    /// Which network carries the migration; one of Pod, Migration.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub migration_network_type: Option<String>,
    /// The memory overhead of the target pod.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub target_memory_overhead: Option<Quantity>,
}

/// The migration configuration that applies to one migration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VMIMConfigurationOptions {
    /// The taint that asks for guests to leave a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_drain_taint_key: Option<String>,
    /// How many migrations may leave one node at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_outbound_migrations_per_node: Option<u32>,
    /// How many migrations may run in the cluster at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_migrations_per_cluster: Option<u32>,
    /// Whether the guest may be slowed down to let a migration finish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_auto_converge: Option<bool>,
    /// The most a migration may transfer in a second.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub bandwidth_per_migration: Option<Quantity>,
    /// Seconds granted per GiB of guest memory before a migration is given up.
    #[serde(rename = "completionTimeoutPerGiB", skip_serializing_if = "Option::is_none")]
    pub completion_timeout_per_gib: Option<i64>,
    /// The longest pause a migration may cause, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 1, "maximum" = 2_000_000))]
    pub max_downtime_ms: Option<u64>,
    /// Seconds without progress before a migration is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_timeout: Option<i64>,
    /// Seconds to wait for utility volumes to go before migrating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utility_volumes_timeout: Option<i64>,
    /// Whether guests are migrated although it may harm their data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsafe_migration_override: Option<bool>,
    /// Whether the guest may run on the target before all memory is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_post_copy: Option<bool>,
    /// Whether a slow migration may pause the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_workload_disruption: Option<bool>,
    /// Whether migration traffic is sent in the clear.
    #[serde(rename = "disableTLS", skip_serializing_if = "Option::is_none")]
    pub disable_tls: Option<bool>,
    /// The network used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Whether the target pod must get the source's SELinux level.
    #[serde(rename = "matchSELinuxLevelOnMigration", skip_serializing_if = "Option::is_none")]
    pub match_selinux_level_on_migration: Option<bool>,
    /// Settings that may change without notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experimental: Option<Box<ExperimentalMigrationOptions>>,
}

/// `experimental` of a VMIMConfigurationOptions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentalMigrationOptions {
    /// How a stalled migration is recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_detector: Option<StallDetectorOptions>,
    /// Downtime tuning: defaults 150 ms, 7 steps, after iteration 3, 10 s apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime_tuning: Option<DowntimeTuningOptions>,
    /// How migration traffic is compressed; one of none, zstd.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["none", "zstd"])))]
    pub compression: Option<String>,
}

/// `stallDetector` of a ExperimentalMigrationOptions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StallDetectorOptions {
    /// Stall margin: default 4 (percent).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0, "maximum" = 100))]
    pub stall_margin: Option<i64>,
    /// Ewma alpha: default 0.4.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub ewma_alpha: Option<Quantity>,
    /// Stall progress timeout: default 40 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0))]
    pub stall_progress_timeout: Option<i64>,
    /// Switchover timeout: default 60 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0))]
    pub switchover_timeout: Option<i64>,
    /// Precopy possible factor: default 1.5.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub precopy_possible_factor: Option<Quantity>,
    /// Patience window decay factor: default 0.5.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub patience_window_decay_factor: Option<Quantity>,
    /// Search local minima: default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_local_minima: Option<bool>,
    /// Completion timeout factor: default 2.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub completion_timeout_factor: Option<Quantity>,
}

/// `downtimeTuning` of a ExperimentalMigrationOptions: defaults 150 ms, 7 steps, after iteration 3, 10 s apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DowntimeTuningOptions {
    /// Initial ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 1))]
    pub initial_ms: Option<i64>,
    /// Steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 1))]
    pub steps: Option<i32>,
    /// Start after iteration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 1))]
    pub start_after_iteration: Option<i64>,
    /// Cooldown seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 1))]
    pub cooldown_seconds: Option<i32>,
}

/// `sourceState` of a VirtualMachineInstanceMigrationState: written by source handler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceMigrationSourceState {
    /// The node.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub node: Option<String>,
    /// The pod.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub pod: Option<String>,
    /// The UID of the migration.
    #[serde(rename = "migrationUID", skip_serializing_if = "crate::zero::is_empty")]
    pub migration_uid: Option<String>,
    /// The libvirt domain's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<String>,
    /// The namespace of the instance the domain belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_namespace: Option<String>,
    /// Where the synchronization controller listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_address: Option<String>,
    /// The claim with TPM and NVRAM state.
    #[serde(rename = "persistentStatePVCName", skip_serializing_if = "Option::is_none")]
    pub persistent_state_pvc_name: Option<String>,
    /// The SELinux context of the launcher.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub selinux_context: Option<String>,
    /// The UID of the instance.
    #[serde(rename = "virtualMachineInstanceUID", skip_serializing_if = "Option::is_none")]
    pub virtual_machine_instance_uid: Option<String>,
    /// Labels the target node must carry.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selectors: BTreeMap<String, String>,
}

/// `targetState` of a VirtualMachineInstanceMigrationState: written by target handler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceMigrationTargetState {
    /// The node.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub node: Option<String>,
    /// The pod.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub pod: Option<String>,
    /// The UID of the migration.
    #[serde(rename = "migrationUID", skip_serializing_if = "crate::zero::is_empty")]
    pub migration_uid: Option<String>,
    /// The libvirt domain's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<String>,
    /// The namespace of the instance the domain belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_namespace: Option<String>,
    /// Where the synchronization controller listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_address: Option<String>,
    /// The claim with TPM and NVRAM state.
    #[serde(rename = "persistentStatePVCName", skip_serializing_if = "Option::is_none")]
    pub persistent_state_pvc_name: Option<String>,
    /// The SELinux context of the launcher.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub selinux_context: Option<String>,
    /// The UID of the instance.
    #[serde(rename = "virtualMachineInstanceUID", skip_serializing_if = "Option::is_none")]
    pub virtual_machine_instance_uid: Option<String>,
    /// When the domain ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_ready_timestamp: Option<Time>,
    /// Whether the domain was seen.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub domain_detected: Option<bool>,
    /// Where the node listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_address: Option<String>,
    /// The target's ports, to the kind of traffic.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-items" = serde_json::json!({"format": null})))]
    pub direct_migration_node_ports: BTreeMap<String, i64>,
    /// The UID of the pod that attaches volumes.
    #[serde(rename = "attachmentPodUID", skip_serializing_if = "Option::is_none")]
    pub attachment_pod_uid: Option<String>,
    /// Dedicated CPUs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-items" = serde_json::json!({"format": null})))]
    pub cpu_set: Vec<i64>,
    /// The node's topology as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_topology: Option<String>,
}
