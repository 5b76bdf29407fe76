//! The guest's machine: CPUs, memory, firmware, launch security.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::Clock;
use crate::v1::Devices;
use crate::v1::Features;

/// The guest's machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DomainSpec {
    /// Compute resources: memory/cpu only for scheduling; overcommitGuestOverhead (default false) leaves the virt overhead out of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// The virtual CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CPU>,
    /// The guest's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The machine type: type default per arch: amd64 q35, arm64 virt, s390x s390-ccw-virtio; must match emulatedMachines globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// How the guest boots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Box<Firmware>>,
    /// The guest's clock and timers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// Hypervisor features: every `enabled` defaults true when its object is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
    /// The guest's devices.
    pub devices: Devices,
    /// How I/O threads are shared out: unset = no iothreads; one of shared, auto, supplementalPool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_threads_policy: Option<String>,
    /// The I/O thread pool: count only with supplementalPool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_threads: Option<DiskIOThreads>,
    /// The chassis entry of the SMBIOS tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chassis: Option<Chassis>,
    /// Launch security: at most one of sev|snp|tdx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_security: Option<LaunchSecurity>,
    /// Reboot policy: gate RebootPolicy; default Reboot; Terminate ends the VMI on guest reboot.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["Reboot", "Terminate"])))]
    pub reboot_policy: Option<String>,
}

/// Compute resources of the launcher pod that belong to the guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceRequirements {
    /// What is set aside, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::quantity::map")]
    pub requests: BTreeMap<String, Quantity>,
    /// What is never exceeded, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::quantity::map")]
    pub limits: BTreeMap<String, Quantity>,
    /// Whether the virtualization overhead is left out of the memory request.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub overcommit_guest_overhead: Option<bool>,
}

/// Number, topology, model and placement of virtual CPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CPU {
    /// Cores a socket: default 1.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub cores: Option<u32>,
    /// Sockets: default 1 (or derived from cpu request/limit); live-updatable (hotplug).
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub sockets: Option<u32>,
    /// The most sockets that can be plugged: hotplug ceiling; defaulted to sockets×maxHotplugRatio (cap 512 vCPUs total) when hotplug possible.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub max_sockets: Option<u32>,
    /// Threads a core: default 1.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub threads: Option<u32>,
    /// The emulated model: named model, or host-model (default; arm64 default host-passthrough) | host-passthrough.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub model: Option<String>,
    /// Hypervisor features: policy one of force|require|optional|disable|forbid, default require.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub features: Vec<CPUFeature>,
    /// Dedicated cpu placement: pinned pCPUs; needs node label cpumanager=true, Guaranteed QoS.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub dedicated_cpu_placement: Option<bool>,
    /// NUMA topology: needs dedicated CPUs + hugepages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa: Option<NUMA>,
    /// Whether the emulator gets a CPU of its own: one additional pCPU for the emulator.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub isolate_emulator_thread: Option<bool>,
    /// Real-time settings: mask = libvirt cpu list, e.g. 0-3,^1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime: Option<Realtime>,
}

/// A CPU feature and whether the guest must have it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CPUFeature {
    /// The name; other parts refer to it.
    pub name: String,
    /// The policy.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub policy: Option<String>,
}

/// `numa` of a CPU: needs dedicated CPUs + hugepages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NUMA {
    /// Host NUMA topology is handed through to the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_mapping_passthrough: Option<NUMAGuestMappingPassthrough>,
}

/// `guestMappingPassthrough` of a NUMA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NUMAGuestMappingPassthrough {}

/// `realtime` of a CPU: mask = libvirt cpu list, e.g. 0-3,^1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Realtime {
    /// The CPUs that run in real time, as libvirt's CPU list.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub mask: Option<String>,
}

/// Size and backing of the guest's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Huge pages: 2Mi or 1Gi on x86_64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugepages: Option<Hugepages>,
    /// What the guest sees: default: memory request, then limit, then hugepage size; live-updatable upward.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub guest: Option<Quantity>,
    /// The most memory a guest may grow to: hotplug ceiling; defaulted to guest×maxHotplugRatio when hotplug possible.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub max_guest: Option<Quantity>,
    /// Reserved overhead: gate ReservedOverheadMemlock; memLock default NotRequired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_overhead: Option<ReservedOverhead>,
}

/// `hugepages` of a Memory: 2Mi or 1Gi on x86_64.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Hugepages {
    /// The size of a huge page.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub page_size: Option<String>,
}

/// `reservedOverhead` of a Memory: gate ReservedOverheadMemlock; memLock default NotRequired.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReservedOverhead {
    /// Memory added to the pod beside the guest's.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub added_overhead: Option<Quantity>,
    /// Whether the guest's memory must be lockable; one of Required, NotRequired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["NotRequired", "Required"])))]
    pub mem_lock: Option<String>,
}

/// `machine` of a DomainSpec: type default per arch: amd64 q35, arm64 virt, s390x s390-ccw-virtio; must match emulatedMachines globs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Machine {
    /// Which kind this is.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub r#type: Option<String>,
}

/// Boot loader, identity and tables of the guest's firmware.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Firmware {
    /// The virtual machine's UUID: SMBIOS UUID; defaulted at VM create (random; legacy = deterministic from name).
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub uuid: Option<String>,
    /// Bootloader: bios default; efi.secureBoot default true (needs features.smm), efi.persistent default false (NVRAM kept in state PVC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootloader: Option<Bootloader>,
    /// A serial number: SMBIOS system serial; defaulted to random UUID at VM create.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub serial: Option<String>,
    /// Kernel boot: direct kernel boot; kernelArgs alone is rejected; pull policy defaulted like containerDisk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_boot: Option<KernelBoot>,
    /// Acpi: names of secret-type volumes holding SLIC / MSDM tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acpi: Option<ACPI>,
}

/// BIOS or UEFI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Bootloader {
    /// Legacy BIOS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bios: Option<BIOS>,
    /// UEFI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efi: Option<EFI>,
}

/// `bios` of a Bootloader.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BIOS {
    /// Whether the firmware writes to the serial console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_serial: Option<bool>,
}

/// `efi` of a Bootloader.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EFI {
    /// Whether only signed boot loaders start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// Whether the state survives a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
}

/// `kernelBoot` of a Firmware: direct kernel boot; kernelArgs alone is rejected; pull policy defaulted like containerDisk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KernelBoot {
    /// The kernel's command line.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kernel_args: Option<String>,
    /// The image with kernel and initrd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<KernelBootContainer>,
}

/// `container` of a KernelBoot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KernelBootContainer {
    /// The container image.
    pub image: String,
    /// The secret to pull the image with.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub image_pull_secret: Option<String>,
    /// When the image is pulled.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub image_pull_policy: Option<String>,
    /// The kernel inside the image.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kernel_path: Option<String>,
    /// The initrd inside the image.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub initrd_path: Option<String>,
}

/// `acpi` of a Firmware: names of secret-type volumes holding SLIC / MSDM tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ACPI {
    /// The volume with the SLIC table.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub slic_name_ref: Option<String>,
    /// The volume with the MSDM table.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub msdm_name_ref: Option<String>,
}

/// `ioThreads` of a DomainSpec: count only with supplementalPool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskIOThreads {
    /// How many I/O threads the pool has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supplemental_pool_thread_count: Option<u32>,
}

/// `chassis` of a DomainSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Chassis {
    /// The maker's name in the SMBIOS tables.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub manufacturer: Option<String>,
    /// The version.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub version: Option<String>,
    /// A serial number.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub serial: Option<String>,
    /// The asset tag.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub asset: Option<String>,
    /// The stock keeping unit in the SMBIOS tables.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub sku: Option<String>,
}

/// `launchSecurity` of a DomainSpec: at most one of sev|snp|tdx.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LaunchSecurity {
    /// Sev: gate WorkloadEncryptionSEV; policy.encryptedState=SEV-ES; attestation makes guest start paused; session/dhCert set via sev/setupsession.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sev: Option<SEV>,
    /// AMD SEV-SNP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snp: Option<SEVSNP>,
    /// Intel TDX: gate WorkloadEncryptionTDX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tdx: Option<TDX>,
}

/// `sev` of a LaunchSecurity: gate WorkloadEncryptionSEV; policy.encryptedState=SEV-ES; attestation makes guest start paused; session/dhCert set via sev/setupsession.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SEV {
    /// The policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<SEVPolicy>,
    /// Attestation settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation: Option<SEVAttestation>,
    /// The session blob of the guest's owner.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub session: Option<String>,
    /// The Diffie-Hellman certificate of the guest's owner.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub dh_cert: Option<String>,
}

/// `policy` of a SEV.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SEVPolicy {
    /// Whether the CPU state is encrypted too (SEV-ES).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted_state: Option<bool>,
}

/// `attestation` of a SEV.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SEVAttestation {}

/// `snp` of a LaunchSecurity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SEVSNP {}

/// `tdx` of a LaunchSecurity: gate WorkloadEncryptionTDX.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TDX {}
