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
    /// Uses the transitional virtio models, for guests with old drivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_virtio_transitional: Option<bool>,
    /// Leaves out the ports that plugging needs; disks then cannot be plugged.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub disable_hotplug: Option<bool>,
    /// Disks, LUNs and CD-ROM drives. At most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null, "maxItems" = 256))]
    pub disks: Vec<Disk>,
    /// A timer that acts when the guest stops resetting it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Watchdog>,
    /// Network interfaces. At most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null, "maxItems" = 256))]
    pub interfaces: Vec<Interface>,
    /// Pointing devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub inputs: Vec<Input>,
    /// Connects the guest to the pod network when neither interfaces nor networks are given; on unless set to false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoattach_pod_interface: Option<bool>,
    /// Gives the guest a screen, for VNC; on unless set to false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoattach_graphics_device: Option<bool>,
    /// Gives the guest a serial console; on unless set to false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoattach_serial_console: Option<bool>,
    /// Logs the serial console in the pod; the cluster's default if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_serial_console: Option<bool>,
    /// Gives the guest a memory balloon; on unless set to false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoattach_mem_balloon: Option<bool>,
    /// Gives the guest a USB tablet when it has no input; off unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoattach_input_device: Option<bool>,
    /// Gives the guest a VSOCK device; off unless set.
    #[serde(rename = "autoattachVSOCK", skip_serializing_if = "Option::is_none")]
    pub autoattach_vsock: Option<bool>,
    /// Gives the guest the host's random numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rng: Option<Rng>,
    /// Gives disks a queue for each virtual CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_multi_queue: Option<bool>,
    /// Gives network interfaces a queue for each virtual CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_interface_multiqueue: Option<bool>,
    /// GPUs passed through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GPU>,
    /// Shows host metrics to the guest through a virtio-serial channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downward_metrics: Option<DownwardMetrics>,
    /// Devices that report a guest's crash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub panic_devices: Vec<PanicDevice>,
    /// Volumes shared with the guest as file systems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filesystems: Vec<Filesystem>,
    /// Host devices passed through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_devices: Vec<HostDevice>,
    /// Gives the guest four slots for a client's USB devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_passthrough: Option<ClientPassthroughDevices>,
    /// A sound card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<SoundDevice>,
    /// A trusted platform module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TPMDevice>,
    /// The graphics card; chosen by architecture and firmware if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoDevice>,
}

/// A watchdog; exactly one device is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Watchdog {
    /// The device's name.
    pub name: String,
    /// Intel 6300ESB, for x86.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub i6300esb: Option<I6300ESBWatchdog>,
    /// diag288, for s390x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diag288: Option<Diag288Watchdog>,
}

/// The Intel 6300ESB watchdog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct I6300ESBWatchdog {
    /// poweroff, reset (the default) or shutdown.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub action: Option<String>,
}

/// The diag288 watchdog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Diag288Watchdog {
    /// poweroff, reset (the default) or shutdown.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub action: Option<String>,
}

/// A pointing device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Input {
    /// usb (the default) or virtio.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub bus: Option<String>,
    /// tablet, the only one.
    pub r#type: String,
    /// The device's name.
    pub name: String,
}

/// A random number generator fed by the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rng {}

/// A GPU: a device plugin's resource, or a request of a resource claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GPU {
    /// The device's name.
    pub name: String,
    /// The device plugin's resource. Not together with a claim.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub device_name: Option<String>,
    /// The resource claim, one of `resourceClaims`.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub claim_name: Option<String>,
    /// The request inside the claim.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub request_name: Option<String>,
    /// Display settings of a virtual GPU.
    #[serde(rename = "virtualGPUOptions", skip_serializing_if = "Option::is_none")]
    pub virtual_gpu_options: Option<VGPUOptions>,
    /// A label the guest finds in its metadata.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tag: Option<String>,
}

/// Options of a virtual GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VGPUOptions {
    /// The virtual GPU's display.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<VGPUDisplayOptions>,
}

/// The display of a virtual GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VGPUDisplayOptions {
    /// Shows the virtual GPU's screen; on unless set to false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A framebuffer while the guest boots; on unless set to false.
    #[serde(rename = "ramFB", skip_serializing_if = "Option::is_none")]
    pub ram_fb: Option<FeatureState>,
}

/// A channel with host metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DownwardMetrics {}

/// A device that reports a guest's crash.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PanicDevice {
    /// hyperv, isa or pvpanic; chosen by architecture if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A volume shared with the guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Filesystem {
    /// The volume's name.
    pub name: String,
    /// Shared through virtiofs.
    pub virtiofs: FilesystemVirtiofs,
}

/// Sharing through virtiofs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FilesystemVirtiofs {}

/// A host device: a device plugin's resource, or a request of a resource claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostDevice {
    /// The device's name.
    pub name: String,
    /// The device plugin's resource. Not together with a claim.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub device_name: Option<String>,
    /// The resource claim, one of `resourceClaims`.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub claim_name: Option<String>,
    /// The request inside the claim.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub request_name: Option<String>,
    /// A label the guest finds in its metadata.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tag: Option<String>,
}

/// Slots for a client's USB devices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientPassthroughDevices {}

/// A sound card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SoundDevice {
    /// The device's name.
    pub name: String,
    /// ich9 (the default) or ac97.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub model: Option<String>,
}

/// A trusted platform module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TPMDevice {
    /// Whether the guest has it; on when given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Keeps its state over restarts, in a claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
}

/// The graphics card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoDevice {
    /// vga, cirrus, virtio, ramfb or bochs on amd64; virtio or ramfb on arm64; virtio on s390x.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub r#type: Option<String>,
}
