//! Eviction, devices, Grace, sound, and the rest of a specification's rules (spec/admission.md §5.9, §5.11).

use api::names;

use super::spec::SpecContext;
use crate::{CauseKind, Causes, text};

/// E1, G1, H1, GR1-GR7, SO1, SO2.
pub(super) fn eviction_and_devices(cx: &SpecContext<'_>, causes: &mut Causes) {
    let strategy = cx.spec.eviction_strategy.as_deref().unwrap_or_else(|| cx.config.eviction_strategy());
    if !["None", "LiveMigrate", "LiveMigrateIfPossible", "External"].contains(&strategy) {
        let field = cx.at("evictionStrategy");
        let message = format!("{field} is set with an unrecognized option: {strategy}");
        causes.invalid(field, message);
    }
    let devices = &cx.spec.domain.devices;
    let displays = devices.gpus.iter().filter_map(|g| g.virtual_gpu_options.as_ref()?.display.as_ref());
    let ramfb = displays.filter(|d| d.enabled.unwrap_or(true) && d.ram_fb.as_ref().is_none_or(|r| r.enabled.unwrap_or(true))).count();
    if ramfb > 1 {
        causes.invalid(cx.at("GPUs"), "configuring multiple displays with ramfb is not valid ");
    }
    if !devices.host_devices.is_empty() && !cx.config.gate("HostDevices") {
        causes.invalid(cx.at("HostDevices"), "Host Devices feature gate is not enabled in kubevirt-config");
    }
    grace(cx, causes);
    if let Some(sound) = &devices.sound {
        if !["", "ich9", "ac97"].contains(&sound.model.as_deref().unwrap_or_default()) {
            causes.invalid(cx.at("Sound"), "Sound device type is not supported. Options: 'ich9' or 'ac97'");
        }
        if sound.name.is_empty() {
            causes.invalid(cx.at("Sound"), "Sound device requires a name field.");
        }
    }
}

/// NVIDIA's PCI vendor.
const NVIDIA: &str = "10DE";

/// NVIDIA Grace GPUs, by PCI device.
const GRACE: &[&str] = &["2342", "2348", "2941"];

/// What a permitted PCI device may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Selected {
    /// A Grace GPU.
    Grace,
    /// Any device of NVIDIA's.
    AnyOfNvidia,
    Other,
}

/// Reads `vendor:device`.
fn selected(selector: &str) -> Selected {
    let part = |text: &str| {
        let text = text.trim().to_uppercase();
        text.strip_prefix("0X").map(str::to_owned).unwrap_or(text)
    };
    match selector.split(':').map(part).collect::<Vec<_>>().as_slice() {
        [vendor, device] if vendor == NVIDIA && device == "*" => Selected::AnyOfNvidia,
        [vendor, device] if vendor == NVIDIA && GRACE.contains(&device.as_str()) => Selected::Grace,
        _ => Selected::Other,
    }
}

/// The devices of a specification that permitted PCI devices back, with their field and resource.
fn pci_devices<'a>(cx: &'a SpecContext<'_>, wanted: Selected) -> Vec<(String, &'a str)> {
    let permitted = cx.config.configuration().permitted_host_devices.as_ref().map(|p| p.pci_host_devices.as_slice()).unwrap_or_default();
    let kind = |resource: &str| {
        let found = permitted.iter().rfind(|d| d.resource_name == resource && !d.pci_vendor_selector.is_empty());
        found.map(|d| selected(&d.pci_vendor_selector))
    };
    let devices = &cx.spec.domain.devices;
    let gpus = devices.gpus.iter().enumerate().map(|(i, g)| ("gpus", i, g.device_name.as_deref()));
    let hosts = devices.host_devices.iter().enumerate().map(|(i, h)| ("hostDevices", i, h.device_name.as_deref()));
    gpus.chain(hosts)
        .filter_map(|(list, i, name)| {
            let name = name.filter(|n| !n.is_empty())?;
            (kind(name) == Some(wanted)).then(|| (cx.domain(&format!("devices.{list}[{i}].deviceName")), name))
        })
        .collect()
}

/// GR1-GR7.
fn grace(cx: &SpecContext<'_>, causes: &mut Causes) {
    let gate = cx.config.gate("GraceIOVirtualization");
    if gate {
        for (field, name) in pci_devices(cx, Selected::AnyOfNvidia) {
            let message = format!("GraceIOVirtualization requires an exact pciVendorSelector for NVIDIA PCI host device resource {name:?}");
            causes.invalid(field, message);
        }
    }
    let found = pci_devices(cx, Selected::Grace);
    if found.is_empty() {
        return;
    }
    if !gate {
        for (field, name) in found {
            let message = format!("GraceIOVirtualization feature gate must be enabled for NVIDIA Grace GPU passthrough resource {name:?}");
            causes.invalid(field, message);
        }
        return;
    }
    if cx.architecture() != "arm64" {
        causes.invalid(cx.at("architecture"), "GraceIOVirtualization requires arm64 architecture");
    }
    let machine = cx.spec.domain.machine.as_ref().and_then(|m| m.r#type.clone()).filter(|t| !t.is_empty());
    if !machine.unwrap_or_else(|| cx.config.machine_type(cx.architecture())).starts_with("virt") {
        causes.invalid(cx.domain("machine.type"), "GraceIOVirtualization requires \"virt\" machine type");
    }
    if cx.spec.domain.cpu.as_ref().is_none_or(|c| c.dedicated_cpu_placement != Some(true)) {
        causes.required(cx.domain("cpu.dedicatedCpuPlacement"), "GraceIOVirtualization requires dedicated CPU placement");
    }
    for gate in ["PCINUMAAwareTopology", "IOMMUFD"] {
        if !cx.config.gate(gate) {
            let message = format!("{gate} feature gate must be enabled when GraceIOVirtualization is used");
            causes.invalid(cx.domain("devices"), message);
        }
    }
}

/// GR8, GR9: annotations that Grace GPUs do not go with.
pub(super) fn grace_annotations(
    cx: &SpecContext<'_>,
    metadata: &str,
    annotations: &std::collections::BTreeMap<String, String>,
    causes: &mut Causes,
) {
    if pci_devices(cx, Selected::Grace).is_empty() {
        return;
    }
    for (name, message) in [
        (
            names::PLACE_PCI_DEVICES_ON_ROOT_COMPLEX_ANNOTATION,
            "GraceIOVirtualization is not compatible with placing PCI devices on the root complex",
        ),
        (names::DISABLE_PCI_HOLE64_ANNOTATION, "GraceIOVirtualization requires the 64-bit PCI hole"),
    ] {
        if annotations.get(name).is_some_and(|v| v == "true") {
            causes.invalid(format!("{metadata}.annotations[{name}]"), message);
        }
    }
}

/// VS1, PR1, DM1, FS1, VD1, PD1, PD2, RB1, RO1, SA1, SA2.
pub(super) fn validate(cx: &SpecContext<'_>, causes: &mut Causes) {
    let devices = &cx.spec.domain.devices;
    if devices.autoattach_vsock == Some(true) && !cx.config.gate("VSOCK") {
        causes.invalid(cx.domain("devices.autoattachVSOCK"), "VSOCK feature gate is not enabled in kubevirt-config");
    }
    let reserves = devices.disks.iter().any(|d| d.lun.as_ref().is_some_and(|l| l.reservation == Some(true)));
    if reserves && !cx.config.persistent_reservation() {
        causes.invalid(cx.domain("devices.disks.luns.reservation"), "persistent reservation is not enabled in kubevirt config");
    }
    if devices.downward_metrics.is_some() && !cx.config.gate("DownwardMetrics") {
        let message = "downwardMetrics virtio serial is not allowed: DownwardMetrics feature gate is not enabled";
        causes.invalid(cx.domain("devices.downwardMetrics"), message);
    }
    let storage_shares = devices.filesystems.iter().filter_map(|f| cx.volume(&f.name));
    for volume in storage_shares {
        let storage = volume.persistent_volume_claim.is_some() || volume.data_volume.is_some();
        if storage && !cx.config.gate("EnableVirtioFsStorageVolumes") {
            causes.invalid(cx.domain("devices.filesystems"), "virtiofs is not allowed: virtiofs feature gate is not enabled for PVC");
        }
    }
    if devices.video.is_some() && devices.autoattach_graphics_device == Some(false) {
        causes.invalid(cx.at("video"), "Video configuration is not allowed when autoattachGraphicsDevice is set to false");
    }
    panic_devices(cx, causes);
    if cx.spec.domain.reboot_policy.is_some() && !cx.config.gate("RebootPolicy") {
        let message = "RebootPolicy is specified but the RebootPolicy feature gate is not enabled";
        causes.invalid(cx.domain("rebootPolicy"), message);
    }
    let overhead = cx.spec.domain.memory.as_ref().is_some_and(|m| m.reserved_overhead.is_some());
    if overhead && !cx.config.gate("ReservedOverheadMemlock") {
        let message = "Reserved overhead memlock feature gate is not enabled in kubevirt-config";
        causes.invalid(cx.domain("memory.reservedOverhead"), message);
    }
    service_account(cx, causes);
}

/// PD1, PD2.
fn panic_devices(cx: &SpecContext<'_>, causes: &mut Causes) {
    let devices = &cx.spec.domain.devices.panic_devices;
    let field = cx.domain("devices.panicDevices");
    if !devices.is_empty() && cx.architecture() == "s390x" {
        causes.invalid(&field, "custom panic devices are not supported on s390x architecture");
    }
    for (i, device) in devices.iter().enumerate() {
        if let Some(model) = device.model.as_deref().filter(|m| !["hyperv", "isa", "pvpanic"].contains(m)) {
            causes.invalid(format!("{field}[{i}].model"), format!("invalid PanicDeviceModel({model})"));
        }
    }
}

/// SA1, SA2.
fn service_account(cx: &SpecContext<'_>, causes: &mut Causes) {
    let Some(name) = cx.spec.service_account_name.as_deref().filter(|n| !n.is_empty()) else { return };
    let field = cx.at("serviceAccountName");
    let errors = text::dns_subdomain(name);
    if !errors.is_empty() {
        causes.add(CauseKind::Invalid, &field, format!("{field} is not a valid service account name: {}", errors.join("; ")));
    }
    let other = cx.spec.volumes.iter().filter_map(|v| v.service_account.as_ref()?.service_account_name.as_deref());
    if let Some(other) = other.into_iter().find(|o| *o != name) {
        let message =
            format!("spec.serviceAccountName {name:?} and serviceAccount volume {other:?} must reference the same service account");
        causes.invalid(field, message);
    }
}
