//! Hyper-V dependencies and rules by architecture, for new instances (spec/admission.md §5.12, HV and AR).

use api::v1::{FeatureState, VirtualMachineInstanceSpec};

use crate::Causes;

/// The path upstream builds by extending one that is complete already.
const HYPERV: &str = "spec.domain.features.hyperv.domain.features.hyperv";

/// HV1-HV8.
pub(super) fn hyperv(spec: &VirtualMachineInstanceSpec, causes: &mut Causes) {
    let Some(features) = &spec.domain.features else { return };
    let Some(hyperv) = &features.hyperv else { return };
    let own = |s: &Option<FeatureState>| s.as_ref().and_then(|s| s.enabled) == Some(true);
    let flush = hyperv.tlbflush.as_ref().and_then(|s| s.enabled) == Some(true);
    let timer = hyperv.synictimer.as_ref().and_then(|s| s.enabled) == Some(true);
    let (vapic, vpindex, synic) = (own(&hyperv.vapic), own(&hyperv.vpindex), own(&hyperv.synic));
    for (feature, enabled, needed, fulfilled) in [
        ("evmcs", own(&hyperv.evmcs), "vapic", vapic),
        ("ipi", own(&hyperv.ipi), "vpindex", vpindex),
        ("tlbflush", flush, "vpindex", vpindex),
        ("synictimer", timer, "synic", synic),
        ("synic", synic, "vpindex", vpindex),
    ] {
        if enabled && !fulfilled {
            let field = format!("{HYPERV}.{feature}");
            let message = format!("'{field}' requires '{HYPERV}.{needed}', which was disabled.");
            causes.invalid(field, message);
        }
    }
    if hyperv.evmcs.as_ref().is_some_and(|e| e.enabled != Some(false)) {
        let cpu_features = spec.domain.cpu.as_ref().map(|c| c.features.as_slice()).unwrap_or_default();
        if cpu_features.is_empty() {
            causes.required("spec.domain.cpu.features", "vmx cpu feature is required when evmcs is set");
        }
        for (i, feature) in cpu_features.iter().enumerate() {
            if feature.name == "vmx" && feature.policy.as_deref() != Some("require") {
                let message = "vmx cpu feature has to be set to require policy";
                causes.invalid(format!("spec.domain.cpu.features[{i}].policy"), message);
            }
        }
    }
    if features.hyperv_passthrough.is_some() {
        let message =
            "Cannot explicitly set hyperV features if HypervPassthrough is being used. Please use either HyperV or HypervPassthrough.";
        causes.invalid("spec.domain.features.hyperv", message);
    }
}

/// AR1-AR11.
pub(super) fn validate(spec: &VirtualMachineInstanceSpec, causes: &mut Causes) {
    let devices = &spec.domain.devices;
    let watchdog = devices.watchdog.as_ref();
    let architecture = spec.architecture.as_deref().unwrap_or_default();
    let video = |models: &[&str], causes: &mut Causes| {
        if let Some(model) = devices.video.as_ref().map(|v| v.r#type.as_deref().unwrap_or_default())
            && !models.contains(&model)
        {
            let message = format!("video model '{model}' is not supported on {architecture} architecture");
            causes.not_supported("spec.domain.devices.video.type", message);
        }
    };
    match architecture {
        "amd64" => {
            if watchdog.is_some_and(|w| w.i6300esb.is_none() || w.diag288.is_some()) {
                causes.not_supported("spec.domain.devices.watchdog", "amd64 only supports I6300ESB watchdog device");
            }
            video(&["vga", "cirrus", "virtio", "ramfb", "bochs"], causes);
        }
        "s390x" => {
            if watchdog.is_some_and(|w| w.diag288.is_none() || w.i6300esb.is_some()) {
                causes.not_supported("spec.domain.devices.watchdog", "s390x only supports Diag288 watchdog device");
            }
            video(&["virtio"], causes);
        }
        "arm64" => {
            arm64(spec, causes);
            video(&["virtio", "ramfb"], causes);
        }
        other => causes.invalid("spec.architecture", format!("unsupported architecture: {other}")),
    }
}

/// AR5-AR9.
fn arm64(spec: &VirtualMachineInstanceSpec, causes: &mut Causes) {
    let devices = &spec.domain.devices;
    let loader = spec.domain.firmware.as_ref().and_then(|f| f.bootloader.as_ref());
    if loader.is_some_and(|b| b.bios.is_some()) {
        let message = "Arm64 does not support bios boot, please change to uefi boot";
        causes.not_supported("spec.domain.firmware.bootloader.bios", message);
    }
    let model = spec.domain.cpu.as_ref().and_then(|c| c.model.as_deref()).unwrap_or_default();
    if !["", "host-passthrough"].contains(&model) {
        causes.not_supported("spec.domain.cpu.model", "currently, host-passthrough is the only model supported on Arm64");
    }
    for (i, disk) in devices.disks.iter().enumerate() {
        let buses = [
            ("disk", disk.disk.as_ref().map(|t| &t.bus)),
            ("cdrom", disk.cdrom.as_ref().map(|t| &t.bus)),
            ("lun", disk.lun.as_ref().map(|t| &t.bus)),
        ];
        for (kind, bus) in buses {
            if bus.is_some_and(|b| !["", "virtio", "scsi"].contains(&b.as_deref().unwrap_or_default())) {
                let message = "Arm64 not support this disk bus type, please use virtio or scsi";
                causes.not_supported(format!("spec.domain.devices.disks[{i}].{kind}.bus"), message);
            }
        }
    }
    if devices.watchdog.is_some() {
        causes.not_supported("spec.domain.devices.watchdog", "Arm64 not support Watchdog device");
    }
    if devices.sound.is_some() {
        causes.not_supported("spec.domain.devices.sound", "Arm64 not support sound device");
    }
}
