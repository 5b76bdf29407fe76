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
    /// CPU and memory of the launcher pod that belong to the guest. They matter to the scheduler, not to the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// The virtual CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CPU>,
    /// The guest's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The machine type: q35, virt or s390-ccw-virtio by architecture, unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// How the guest boots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Box<Firmware>>,
    /// The guest's clock and timers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// Features of the machine. A feature that is given is on unless it says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
    /// The guest's devices.
    pub devices: Devices,
    /// How disks share I/O threads: shared, auto or supplementalPool; none if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_threads_policy: Option<String>,
    /// The pool of I/O threads, for policy supplementalPool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_threads: Option<DiskIOThreads>,
    /// The chassis entry of the SMBIOS tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chassis: Option<Chassis>,
    /// Memory encryption and attestation; one of sev, snp, tdx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_security: Option<LaunchSecurity>,
    /// Reboot restarts the guest in place; Terminate ends the instance instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["Reboot", "Terminate"])))]
    pub reboot_policy: Option<String>,
}

/// Compute resources of the launcher pod that belong to the guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceRequirements {
    /// What is set aside: `cpu` and `memory`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::quantity::map")]
    pub requests: BTreeMap<String, Quantity>,
    /// What is never exceeded: `cpu` and `memory`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::quantity::map")]
    pub limits: BTreeMap<String, Quantity>,
    /// Leaves the virtualization overhead out of the memory request.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub overcommit_guest_overhead: Option<bool>,
}

/// Number, topology, model and placement of virtual CPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CPU {
    /// Cores in a socket; 1 if unset.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub cores: Option<u32>,
    /// Sockets; 1 if unset, or what the CPU request or limit asks for. May grow while the guest runs.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub sockets: Option<u32>,
    /// How many sockets the guest may grow to without a restart.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub max_sockets: Option<u32>,
    /// Threads in a core; 1 if unset.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub threads: Option<u32>,
    /// The CPU the guest sees: a model's name, host-model (the default), or host-passthrough.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub model: Option<String>,
    /// CPU features that are forced, required, optional, disabled or forbidden.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub features: Vec<CPUFeature>,
    /// Gives every virtual CPU a physical one of its own. Needs nodes with the CPU manager on.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub dedicated_cpu_placement: Option<bool>,
    /// The guest's NUMA topology. Needs dedicated CPUs and huge pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa: Option<NUMA>,
    /// Gives the emulator a dedicated CPU of its own, one more than the guest's.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub isolate_emulator_thread: Option<bool>,
    /// Runs virtual CPUs with real-time priority. Needs dedicated CPUs and a NUMA mapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime: Option<Realtime>,
}

/// A CPU feature and whether the guest must have it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CPUFeature {
    /// The feature, as libvirt calls it.
    pub name: String,
    /// force, require (the default), optional, disable or forbid.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub policy: Option<String>,
}

/// The guest's NUMA topology.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NUMA {
    /// Copies the topology of the host CPUs the guest is pinned to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_mapping_passthrough: Option<NUMAGuestMappingPassthrough>,
}

/// Copies the host's NUMA topology into the guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NUMAGuestMappingPassthrough {}

/// Real-time scheduling of virtual CPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Realtime {
    /// Which virtual CPUs, in libvirt's notation: `0-3,^1` is 0, 2 and 3. All if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub mask: Option<String>,
}

/// Size and backing of the guest's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Backs the guest's memory with huge pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugepages: Option<Hugepages>,
    /// The memory the guest sees; the memory request, the limit or the huge page size if unset. May grow while the guest runs.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub guest: Option<Quantity>,
    /// How much memory the guest may grow to without a restart.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub max_guest: Option<Quantity>,
    /// Memory of the launcher pod set aside beside the guest's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_overhead: Option<ReservedOverhead>,
}

/// Huge pages behind the guest's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Hugepages {
    /// 2Mi or 1Gi on amd64.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub page_size: Option<String>,
}

/// Memory of the launcher pod beside the guest's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReservedOverhead {
    /// How much is added to the computed overhead.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub added_overhead: Option<Quantity>,
    /// Required or NotRequired: whether the guest's memory must be lockable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = serde_json::json!(["NotRequired", "Required"])))]
    pub mem_lock: Option<String>,
}

/// The machine type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Machine {
    /// One of the types the cluster allows, for example q35 or pc-q35-rhel9.4.0.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub r#type: Option<String>,
}

/// Boot loader, identity and tables of the guest's firmware.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Firmware {
    /// The UUID in the SMBIOS tables; random for a new virtual machine, and the same ever after.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub uuid: Option<String>,
    /// BIOS or UEFI; BIOS if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootloader: Option<Bootloader>,
    /// The serial number in the SMBIOS tables; random for a new virtual machine.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub serial: Option<String>,
    /// Boots a kernel from a container image, without a boot loader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_boot: Option<KernelBoot>,
    /// ACPI tables handed to the guest, for software licences.
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

/// Legacy BIOS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BIOS {
    /// Shows the firmware's messages on the serial console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_serial: Option<bool>,
}

/// UEFI firmware.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EFI {
    /// Starts signed boot loaders only; on unless set, and needs the `smm` feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// Keeps the firmware's variables over restarts, in a claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
}

/// Direct boot of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KernelBoot {
    /// The kernel's command line. Only together with `container`.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kernel_args: Option<String>,
    /// The image with kernel and initial ramdisk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<KernelBootContainer>,
}

/// An image with a kernel and an initial ramdisk.
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
    /// The kernel in the image, as an absolute path.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub kernel_path: Option<String>,
    /// The initial ramdisk in the image, as an absolute path.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub initrd_path: Option<String>,
}

/// ACPI tables from secret volumes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ACPI {
    /// The secret volume with the SLIC table.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub slic_name_ref: Option<String>,
    /// The secret volume with the MSDM table.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub msdm_name_ref: Option<String>,
}

/// The pool of I/O threads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskIOThreads {
    /// How many threads the pool has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supplemental_pool_thread_count: Option<u32>,
}

/// The chassis in the SMBIOS tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Chassis {
    /// The maker's name in the SMBIOS tables.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub manufacturer: Option<String>,
    /// The chassis' version.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub version: Option<String>,
    /// The chassis' serial number.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub serial: Option<String>,
    /// The asset tag.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub asset: Option<String>,
    /// The stock keeping unit in the SMBIOS tables.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub sku: Option<String>,
}

/// Memory encryption and attestation; exactly one is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LaunchSecurity {
    /// AMD SEV, or SEV-ES by its policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sev: Option<SEV>,
    /// AMD SEV-SNP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snp: Option<SEVSNP>,
    /// Intel TDX: gate WorkloadEncryptionTDX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tdx: Option<TDX>,
}

/// AMD Secure Encrypted Virtualization.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SEV {
    /// What the processor enforces for the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<SEVPolicy>,
    /// Starts the guest paused, so that its owner can attest it and inject a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation: Option<SEVAttestation>,
    /// The session blob, base64, set by the owner before launch.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub session: Option<String>,
    /// The owner's Diffie-Hellman certificate, base64, set before launch.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub dh_cert: Option<String>,
}

/// What the processor enforces for a SEV guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SEVPolicy {
    /// Encrypts the CPU state too (SEV-ES).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted_state: Option<bool>,
}

/// Attestation before the guest runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SEVAttestation {}

/// AMD SEV-SNP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SEVSNP {}

/// Intel Trust Domain Extensions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TDX {}
