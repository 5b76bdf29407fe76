//! Preferences: what a guest operating system works best with.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::BlockSize;
use crate::v1::CPUFeature;
use crate::v1::ClockOffsetUTC;
use crate::v1::EFI;
use crate::v1::FeatureAPIC;
use crate::v1::FeatureHyperv;
use crate::v1::FeatureKVM;
use crate::v1::FeatureState;
use crate::v1::InterfaceMasquerade;
use crate::v1::LaunchSecurity;
use crate::v1::Rng;
use crate::v1::TPMDevice;
use crate::v1::Timer;
use crate::v1::VGPUOptions;

/// Virtual machine preference spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachinePreferenceSpec {
    /// The guest's clock and timers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockPreferences>,
    /// The virtual CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CPUPreferences>,
    /// The guest's devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Box<DevicePreferences>>,
    /// Hypervisor features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<FeaturePreferences>,
    /// How the guest boots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<FirmwarePreferences>,
    /// The machine type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachinePreferences>,
    /// The volumes concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<VolumePreferences>,
    /// Preferred subdomain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_subdomain: Option<String>,
    /// Preferred termination grace period seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_termination_grace_period_seconds: Option<i64>,
    /// Requirements: rejected at VM admission when unmet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements: Option<PreferenceRequirements>,
    /// Annotations to set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Prefer spread socket to core ratio: deprecated; default 2.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub prefer_spread_socket_to_core_ratio: Option<u32>,
    /// Preferred architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_architecture: Option<String>,
    /// Preferred launch security.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_launch_security: Option<LaunchSecurity>,
}

/// `clock` of a VirtualMachinePreferenceSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClockPreferences {
    /// Preferred clock offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_clock_offset: Option<ClockOffset>,
    /// Preferred timer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_timer: Option<Timer>,
}

/// `preferredClockOffset` of a ClockPreferences.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClockOffset {
    /// Utc: one of utc/timezone; with offsetSeconds set, guest clock changes survive reboot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utc: Option<ClockOffsetUTC>,
    /// Timezone: IANA name, e.g. Europe/Oslo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// `cpu` of a VirtualMachinePreferenceSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CPUPreferences {
    /// Preferred cpu topology: default sockets; prefer* spellings deprecated.
    #[serde(rename = "preferredCPUTopology", skip_serializing_if = "Option::is_none")]
    pub preferred_cpu_topology: Option<String>,
    /// Spread options: across default SocketsCores; ratio default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread_options: Option<SpreadOptions>,
    /// Preferred cpu features.
    #[serde(rename = "preferredCPUFeatures", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub preferred_cpu_features: Vec<CPUFeature>,
}

/// `spreadOptions` of a CPUPreferences: across default SocketsCores; ratio default 2.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SpreadOptions {
    /// Between which levels CPUs are spread; one of SocketsCoresThreads, SocketsCores, CoresThreads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub across: Option<String>,
    /// The ratio between the levels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<u32>,
}

/// `devices` of a VirtualMachinePreferenceSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DevicePreferences {
    /// Preferred autoattach graphics device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_autoattach_graphics_device: Option<bool>,
    /// Preferred autoattach mem balloon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_autoattach_mem_balloon: Option<bool>,
    /// Preferred autoattach pod interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_autoattach_pod_interface: Option<bool>,
    /// Preferred autoattach serial console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_autoattach_serial_console: Option<bool>,
    /// Preferred autoattach input device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_autoattach_input_device: Option<bool>,
    /// Preferred disable hotplug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_disable_hotplug: Option<bool>,
    /// Preferred virtual gpu options.
    #[serde(rename = "preferredVirtualGPUOptions", skip_serializing_if = "Option::is_none")]
    pub preferred_virtual_gpu_options: Option<VGPUOptions>,
    /// Preferred sound model.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_sound_model: Option<String>,
    /// Preferred use virtio transitional.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_use_virtio_transitional: Option<bool>,
    /// Preferred input bus; one of usb, virtio.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_input_bus: Option<String>,
    /// Preferred input type; one of tablet, keyboard.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_input_type: Option<String>,
    /// Preferred disk bus; one of scsi, sata, virtio, usb.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_disk_bus: Option<String>,
    /// Preferred lun bus; one of scsi, sata, virtio, usb.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_lun_bus: Option<String>,
    /// Preferred cdrom bus; one of scsi, sata, virtio, usb.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_cdrom_bus: Option<String>,
    /// Preferred disk dedicated io thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_disk_dedicated_io_thread: Option<bool>,
    /// Preferred disk cache; one of none, writethrough, writeback.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_disk_cache: Option<String>,
    /// Preferred disk io; one of threads, native.
    #[serde(rename = "preferredDiskIO", skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_disk_io: Option<String>,
    /// Preferred disk block size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_disk_block_size: Option<BlockSize>,
    /// Preferred interface model.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_interface_model: Option<String>,
    /// Preferred rng.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_rng: Option<Rng>,
    /// Preferred block multi queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_block_multi_queue: Option<bool>,
    /// Preferred network interface multi queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_network_interface_multi_queue: Option<bool>,
    /// Preferred tpm.
    #[serde(rename = "preferredTPM", skip_serializing_if = "Option::is_none")]
    pub preferred_tpm: Option<TPMDevice>,
    /// Preferred interface masquerade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_interface_masquerade: Option<InterfaceMasquerade>,
    /// Preferred panic device model; one of hyperv, isa, pvpanic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_panic_device_model: Option<String>,
    /// Preferred video type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_video_type: Option<String>,
}

/// `features` of a VirtualMachinePreferenceSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FeaturePreferences {
    /// Preferred acpi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_acpi: Option<FeatureState>,
    /// Preferred apic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_apic: Option<FeatureAPIC>,
    /// Preferred hyperv.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_hyperv: Option<FeatureHyperv>,
    /// Preferred kvm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_kvm: Option<FeatureKVM>,
    /// Preferred pvspinlock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_pvspinlock: Option<FeatureState>,
    /// Preferred smm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_smm: Option<FeatureState>,
}

/// `firmware` of a VirtualMachinePreferenceSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FirmwarePreferences {
    /// Preferred use bios.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_use_bios: Option<bool>,
    /// Preferred use bios serial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_use_bios_serial: Option<bool>,
    /// Preferred use efi: deprecated → preferredEfi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_use_efi: Option<bool>,
    /// Preferred use secure boot: deprecated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_use_secure_boot: Option<bool>,
    /// Preferred efi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_efi: Option<EFI>,
}

/// `machine` of a VirtualMachinePreferenceSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MachinePreferences {
    /// Preferred machine type.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_machine_type: Option<String>,
}

/// `volumes` of a VirtualMachinePreferenceSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumePreferences {
    /// Preferred storage class name.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub preferred_storage_class_name: Option<String>,
}

/// `requirements` of a VirtualMachinePreferenceSpec: rejected at VM admission when unmet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PreferenceRequirements {
    /// The virtual CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CPUPreferenceRequirement>,
    /// The guest's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryPreferenceRequirement>,
    /// The CPU architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

/// `cpu` of a PreferenceRequirements.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CPUPreferenceRequirement {
    /// What the guest sees.
    pub guest: u32,
}

/// `memory` of a PreferenceRequirements.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryPreferenceRequirement {
    /// What the guest sees.
    #[serde(deserialize_with = "crate::quantity::one")]
    pub guest: Quantity,
}
