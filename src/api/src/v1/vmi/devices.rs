//! The guest's devices other than disks and interfaces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::Disk;
use crate::v1::FeatureState;
use crate::v1::Interface;

/// The guest's devices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Devices {
    /// Use virtio transitional: use virtio 0.9/1.0 transitional models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_virtio_transitional: Option<bool>,
    /// Disable hotplug: no hotplug controllers/ports; then disk hotplug rejected.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub disable_hotplug: Option<bool>,
    /// Disks, LUNs and CD-ROM drives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null, "maxItems" = 256))]
    pub disks: Vec<Disk>,
    /// Watchdog: exactly one device; action default reset; diag288 only s390x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Watchdog>,
    /// Network interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null, "maxItems" = 256))]
    pub interfaces: Vec<Interface>,
    /// Inputs: bus default usb, type default tablet at VMI create.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub inputs: Vec<Input>,
    /// Autoattach pod interface: default true ⇒ adds "default" pod network when networks and interfaces are both empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoattach_pod_interface: Option<bool>,
    /// Autoattach graphics device: default true; false disables VNC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoattach_graphics_device: Option<bool>,
    /// Autoattach serial console: default true; false disables console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoattach_serial_console: Option<bool>,
    /// Log serial console: default from cluster (on unless virtualMachineOptions.disableSerialConsoleLog).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_serial_console: Option<bool>,
    /// Autoattach mem balloon: default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoattach_mem_balloon: Option<bool>,
    /// Autoattach input device: default false; adds a usb tablet when no input present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoattach_input_device: Option<bool>,
    /// Autoattach vsock: default false; gate VSOCK.
    #[serde(rename = "autoattachVSOCK", skip_serializing_if = "Option::is_none")]
    pub autoattach_vsock: Option<bool>,
    /// Rng: host-backed virtio-rng.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rng: Option<Rng>,
    /// Whether disks get one queue a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_multi_queue: Option<bool>,
    /// Network interface multiqueue: queues = vCPU count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_interface_multiqueue: Option<bool>,
    /// GPUs: claimName/requestName = DRA: entry of spec.resourceClaims and request inside that claim.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GPU>,
    /// Downward metrics: virtio-serial metrics channel; gate DownwardMetrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downward_metrics: Option<DownwardMetrics>,
    /// Devices that report a guest's crash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub panic_devices: Vec<PanicDevice>,
    /// Filesystems: virtiofs shares.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filesystems: Vec<Filesystem>,
    /// Host devices: gate HostDevices, or DRA claim fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_devices: Vec<HostDevice>,
    /// Client passthrough: enables 4 USB redirection slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_passthrough: Option<ClientPassthroughDevices>,
    /// Sound: model ich9 (default) | ac97.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<SoundDevice>,
    /// Tpm: enabled default true; persistent default false (state PVC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TPMDevice>,
    /// Video: type amd64 vga|cirrus|virtio|ramfb|bochs, arm64 virtio|ramfb, s390x virtio; unset: vga (BIOS) / bochs (EFI) on amd64, virtio elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoDevice>,
}

/// `watchdog` of a Devices: exactly one device; action default reset; diag288 only s390x.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Watchdog {
    /// The name; other parts refer to it.
    pub name: String,
    /// Intel 6300ESB, for x86.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub i6300esb: Option<I6300ESBWatchdog>,
    /// diag288, for s390x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diag288: Option<Diag288Watchdog>,
}

/// `i6300esb` of a Watchdog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct I6300ESBWatchdog {
    /// What is done when it triggers; one of poweroff, reset, shutdown.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub action: Option<String>,
}

/// `diag288` of a Watchdog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Diag288Watchdog {
    /// What is done when it triggers; one of poweroff, reset, shutdown.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub action: Option<String>,
}

/// `inputs` of a Devices: bus default usb, type default tablet at VMI create.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Input {
    /// How the device is attached; one of usb, virtio.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub bus: Option<String>,
    /// Which kind this is; one of tablet, keyboard.
    pub r#type: String,
    /// The name; other parts refer to it.
    pub name: String,
}

/// `rng` of a Devices: host-backed virtio-rng.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rng {}

/// `gpus` of a Devices: claimName/requestName = DRA: entry of spec.resourceClaims and request inside that claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GPU {
    /// The name; other parts refer to it.
    pub name: String,
    /// The device plugin resource: device-plugin resource name (excludes claim fields).
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub device_name: Option<String>,
    /// The PersistentVolumeClaim used.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub claim_name: Option<String>,
    /// The request inside the resource claim.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub request_name: Option<String>,
    /// Display settings of a virtual GPU.
    #[serde(rename = "virtualGPUOptions", skip_serializing_if = "Option::is_none")]
    pub virtual_gpu_options: Option<VGPUOptions>,
    /// A label the guest finds in its metadata.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tag: Option<String>,
}

/// `virtualGPUOptions` of a GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VGPUOptions {
    /// Display: both default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<VGPUDisplayOptions>,
}

/// `display` of a VGPUOptions: both default true.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VGPUDisplayOptions {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A boot-time framebuffer.
    #[serde(rename = "ramFB", skip_serializing_if = "Option::is_none")]
    pub ram_fb: Option<FeatureState>,
}

/// `downwardMetrics` of a Devices: virtio-serial metrics channel; gate DownwardMetrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DownwardMetrics {}

/// `panicDevices` of a Devices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PanicDevice {
    /// The emulated model; one of hyperv, isa, pvpanic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// `filesystems` of a Devices: virtiofs shares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Filesystem {
    /// The name; other parts refer to it.
    pub name: String,
    /// Shared through virtiofs.
    pub virtiofs: FilesystemVirtiofs,
}

/// `virtiofs` of a Filesystem.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FilesystemVirtiofs {}

/// `hostDevices` of a Devices: gate HostDevices, or DRA claim fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostDevice {
    /// The name; other parts refer to it.
    pub name: String,
    /// The device plugin resource.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub device_name: Option<String>,
    /// The PersistentVolumeClaim used.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub claim_name: Option<String>,
    /// The request inside the resource claim.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub request_name: Option<String>,
    /// A label the guest finds in its metadata.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tag: Option<String>,
}

/// `clientPassthrough` of a Devices: enables 4 USB redirection slots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientPassthroughDevices {}

/// `sound` of a Devices: model ich9 (default) | ac97.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SoundDevice {
    /// The name; other parts refer to it.
    pub name: String,
    /// The emulated model.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub model: Option<String>,
}

/// `tpm` of a Devices: enabled default true; persistent default false (state PVC).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TPMDevice {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether the state survives a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
}

/// `video` of a Devices: type amd64 vga|cirrus|virtio|ramfb|bochs, arm64 virtio|ramfb, s390x virtio; unset: vga (BIOS) / bochs (EFI) on amd64, virtio elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoDevice {
    /// Which kind this is.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub r#type: Option<String>,
}
