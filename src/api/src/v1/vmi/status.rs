//! What is known about an instance.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::ChangedBlockTrackingStatus;
use crate::v1::Machine;
use crate::v1::StorageMigratedVolumeInfo;
use crate::v1::VirtualMachineInstanceMigrationState;
use crate::v1::VolumeStatus;

/// What is known about a virtual machine instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceStatus {
    /// The node it runs on.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub node_name: Option<String>,
    /// Why it is in this phase.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub reason: Option<String>,
    /// What is known about it now: Ready, LiveMigratable, AgentConnected, Paused and others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub conditions: Vec<VirtualMachineInstanceCondition>,
    /// Pending, Scheduling, Scheduled, Running, Succeeded, Failed, WaitingForSync or Unknown.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub phase: Option<String>,
    /// When each phase was entered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phase_transition_timestamps: Vec<VirtualMachineInstancePhaseTransitionTimestamp>,
    /// The guest's interfaces with their addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub interfaces: Vec<VirtualMachineInstanceNetworkInterface>,
    /// The guest's operating system, as its agent reports it.
    #[serde(rename = "guestOSInfo", skip_serializing_if = "Option::is_none")]
    pub guest_os_info: Option<Box<VirtualMachineInstanceGuestOSInfo>>,
    /// How the current or last migration goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration_state: Option<Box<VirtualMachineInstanceMigrationState>>,
    /// Whether the storage moves too; one of BlockMigration, LiveMigration.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub migration_method: Option<String>,
    /// How migration traffic travels; one of Unix.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub migration_transport: Option<String>,
    /// The pod's quality of service class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos_class: Option<String>,
    /// The image of the launcher.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub launcher_container_image_version: Option<String>,
    /// The node it is asked to leave.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub evacuation_node_name: Option<String>,
    /// Its launcher pods by UID, with their nodes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub active_pods: BTreeMap<String, String>,
    /// What is known about each volume.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_status: Vec<VolumeStatus>,
    /// Kernel boot status: checksums deprecated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_boot_status: Option<KernelBootStatus>,
    /// `frozen` while its file systems are frozen.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub fs_freeze_status: Option<String>,
    /// Hints for a restart on another node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology_hints: Option<TopologyHints>,
    /// The stored revision of the virtual machine it was made from.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub virtual_machine_revision_name: Option<String>,
    /// The user its launcher runs as: 107, or 0 for root.
    #[serde(skip_serializing_if = "crate::zero::never", serialize_with = "crate::zero::number")]
    pub runtime_user: Option<u64>,
    /// The context ID of the guest's VSOCK device.
    #[serde(rename = "VSOCKCID", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64", "minimum" = 0, "maximum" = 4_294_967_295_u32))]
    pub vsockcid: Option<u32>,
    /// The SELinux context of its launcher.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub selinux_context: Option<String>,
    /// The machine type in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// The topology the guest runs with.
    #[serde(rename = "currentCPUTopology", skip_serializing_if = "Option::is_none")]
    pub current_cpu_topology: Option<CPUTopology>,
    /// The guest's memory: at boot, now, and asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStatus>,
    /// Volumes that move to another claim.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub migrated_volumes: Vec<StorageMigratedVolumeInfo>,
    /// How changed block tracking goes: CBT and backup progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub changed_block_tracking: Option<ChangedBlockTrackingStatus>,
}

/// `conditions` of a VirtualMachineInstanceStatus: types/reasons in 6.5; the pod type PodScheduled also appears here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceCondition {
    /// Which kind this is.
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

/// `phaseTransitionTimestamps` of a VirtualMachineInstanceStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstancePhaseTransitionTimestamp {
    /// Where the object is in its life; one of Pending, Scheduling, Scheduled, Running, Succeeded, Failed, WaitingForSync, Unknown.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub phase: Option<String>,
    /// When the phase was entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_transition_timestamp: Option<Time>,
}

/// `interfaces` of a VirtualMachineInstanceStatus: one per guest/pod NIC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceNetworkInterface {
    /// Ip address: first of ipAddresses.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub ip_address: Option<String>,
    /// The MAC address.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub mac: Option<String>,
    /// The name; other parts refer to it: network name; empty for guest-only NICs.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
    /// All addresses the guest reports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub ip_addresses: Vec<String>,
    /// The interface's name in the pod.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub pod_interface_name: Option<String>,
    /// The interface's name in the guest.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub interface_name: Option<String>,
    /// Info source: comma list of domain, guest-agent, multus-status.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub info_source: Option<String>,
    /// How many queues the interface has.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub queue_count: Option<i32>,
    /// Link state: up|down.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub link_state: Option<String>,
}

/// `guestOSInfo` of a VirtualMachineInstanceStatus: always emitted (possibly {}).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceGuestOSInfo {
    /// The name; other parts refer to it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
    /// The kernel's release.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kernel_release: Option<String>,
    /// The version.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub version: Option<String>,
    /// The name with the version.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub pretty_name: Option<String>,
    /// The version's identifier.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub version_id: Option<String>,
    /// The kernel's version.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kernel_version: Option<String>,
    /// The machine type.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub machine: Option<String>,
    /// The identifier.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub id: Option<String>,
}

/// `kernelBootStatus` of a VirtualMachineInstanceStatus: checksums deprecated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KernelBootStatus {
    /// The kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_info: Option<KernelInfo>,
    /// The initial ramdisk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrd_info: Option<InitrdInfo>,
}

/// `kernelInfo` of a KernelBootStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KernelInfo {
    /// A CRC-32 of the content.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = "int64", "minimum" = 0, "maximum" = 4_294_967_295_u32))]
    pub checksum: Option<u32>,
}

/// `initrdInfo` of a KernelBootStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InitrdInfo {
    /// A CRC-32 of the content.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = "int64", "minimum" = 0, "maximum" = 4_294_967_295_u32))]
    pub checksum: Option<u32>,
}

/// `topologyHints` of a VirtualMachineInstanceStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TopologyHints {
    /// The TSC frequency in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tsc_frequency: Option<i64>,
}

/// `currentCPUTopology` of a VirtualMachineInstanceStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CPUTopology {
    /// Cores a socket.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub cores: Option<u32>,
    /// Sockets.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub sockets: Option<u32>,
    /// Threads a core.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub threads: Option<u32>,
}

/// `memory` of a VirtualMachineInstanceStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryStatus {
    /// Memory at boot.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub guest_at_boot: Option<Quantity>,
    /// Memory now.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub guest_current: Option<Quantity>,
    /// Memory asked for.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub guest_requested: Option<Quantity>,
    /// Memory of the pod beside the guest's.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub memory_overhead: Option<Quantity>,
}
