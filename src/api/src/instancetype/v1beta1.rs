//! instancetype.kubevirt.io/v1beta1: instance types and preferences.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::kind;
use crate::v1::DiskIOThreads;
use crate::v1::GPU;
use crate::v1::HostDevice;
use crate::v1::Hugepages;
use crate::v1::LaunchSecurity;
use crate::v1::NUMA;
use crate::v1::Realtime;

pub use super::preference::*;

kind!(
    /// A namespaced instance type: CPUs, memory and devices a virtual machine can refer to.
    VirtualMachineInstancetype, "instancetype.kubevirt.io", "v1beta1", "virtualmachineinstancetypes", NamespaceResourceScope, VirtualMachineInstancetypeSpec
);
kind!(
    /// A cluster-wide instance type.
    VirtualMachineClusterInstancetype, "instancetype.kubevirt.io", "v1beta1", "virtualmachineclusterinstancetypes", ClusterResourceScope, VirtualMachineInstancetypeSpec
);
kind!(
    /// A namespaced preference.
    VirtualMachinePreference, "instancetype.kubevirt.io", "v1beta1", "virtualmachinepreferences", NamespaceResourceScope, VirtualMachinePreferenceSpec
);
kind!(
    /// A cluster-wide preference.
    VirtualMachineClusterPreference, "instancetype.kubevirt.io", "v1beta1", "virtualmachineclusterpreferences", ClusterResourceScope, VirtualMachinePreferenceSpec
);

/// Virtual machine instancetype spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstancetypeSpec {
    /// Labels a node must carry.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// The scheduler that places the pod.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub scheduler_name: Option<String>,
    /// The virtual CPUs.
    pub cpu: CPUInstancetype,
    /// The guest's memory.
    pub memory: MemoryInstancetype,
    /// GPUs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GPU>,
    /// Host devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_devices: Vec<HostDevice>,
    /// How I/O threads are shared out; one of shared, auto, supplementalPool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_threads_policy: Option<String>,
    /// The I/O thread pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_threads: Option<DiskIOThreads>,
    /// Launch security: deprecated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_security: Option<LaunchSecurity>,
    /// Annotations to set: applied to the VMI.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// `cpu` of a VirtualMachineInstancetypeSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CPUInstancetype {
    /// What the guest sees: vCPU count; topology from preference (default sockets).
    pub guest: u32,
    /// The emulated model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether CPUs are pinned.
    #[serde(rename = "dedicatedCPUPlacement", skip_serializing_if = "Option::is_none")]
    pub dedicated_cpu_placement: Option<bool>,
    /// NUMA topology.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa: Option<NUMA>,
    /// Whether the emulator gets a CPU of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolate_emulator_thread: Option<bool>,
    /// Real-time settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime: Option<Realtime>,
    /// The most sockets that can be plugged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sockets: Option<u32>,
}

/// `memory` of a VirtualMachineInstancetypeSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryInstancetype {
    /// What the guest sees.
    #[serde(deserialize_with = "crate::quantity::one")]
    pub guest: Quantity,
    /// Huge pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugepages: Option<Hugepages>,
    /// Overcommit percent: request = guest×(100−n)/100; excludes hugepages.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null, "minimum" = 0, "maximum" = 100))]
    pub overcommit_percent: Option<i64>,
    /// The most memory a guest may grow to.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub max_guest: Option<Quantity>,
}
