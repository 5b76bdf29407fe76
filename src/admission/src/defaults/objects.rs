//! Defaults of the parts of an instance that are given (spec/admission.md §4.2.3, §4.2.5).

use api::v1::{
    BIOS, Bootloader, CDRomTarget, Diag288Watchdog, Disk, DiskTarget, FeatureHyperv, FeatureState, Features, Firmware, I6300ESBWatchdog,
    Probe, Timer, VirtualMachineInstanceSpec,
};

use super::text;

/// A feature that is given is on unless it says otherwise.
fn on(enabled: &mut Option<bool>) {
    enabled.get_or_insert(true);
}

fn state_on(state: &mut Option<FeatureState>) {
    if let Some(state) = state {
        on(&mut state.enabled);
    }
}

/// Firmware identity, features, timers, disks, inputs and probes.
pub(super) fn set_object_defaults(spec: &mut VirtualMachineInstanceSpec, uuid: &mut dyn FnMut() -> String) {
    let domain = &mut spec.domain;
    let firmware = domain.firmware.get_or_insert_with(Box::<Firmware>::default);
    if text(firmware.uuid.as_ref()).is_empty() {
        firmware.uuid = Some(uuid());
    }
    let features = domain.features.get_or_insert_with(Features::default);
    on(&mut features.acpi.get_or_insert_default().enabled);
    set_features(features);
    if let Some(timer) = domain.clock.as_mut().and_then(|c| c.timer.as_mut()) {
        set_timers(timer);
    }
    for disk in &mut domain.devices.disks {
        set_disk(disk);
    }
    for gpu in &mut domain.devices.gpus {
        let display = gpu.virtual_gpu_options.as_mut().and_then(|o| o.display.as_mut());
        if let Some(display) = display {
            state_on(&mut display.ram_fb);
        }
    }
    for input in &mut domain.devices.inputs {
        if text(input.bus.as_ref()).is_empty() {
            input.bus = Some("usb".into());
        }
        if input.r#type.is_empty() {
            input.r#type = "tablet".into();
        }
    }
    for probe in [&mut spec.liveness_probe, &mut spec.readiness_probe].into_iter().flatten() {
        set_probe(probe);
    }
}

fn set_features(features: &mut Features) {
    if let Some(apic) = &mut features.apic {
        on(&mut apic.enabled);
    }
    state_on(&mut features.smm);
    state_on(&mut features.pvspinlock);
    if let Some(hyperv) = &mut features.hyperv {
        set_hyperv(hyperv);
    }
}

fn set_hyperv(hyperv: &mut FeatureHyperv) {
    for state in [
        &mut hyperv.relaxed,
        &mut hyperv.vapic,
        &mut hyperv.vpindex,
        &mut hyperv.runtime,
        &mut hyperv.synic,
        &mut hyperv.reset,
        &mut hyperv.frequencies,
        &mut hyperv.reenlightenment,
        &mut hyperv.ipi,
        &mut hyperv.evmcs,
    ] {
        state_on(state);
    }
    if let Some(timer) = &mut hyperv.synictimer {
        on(&mut timer.enabled);
        state_on(&mut timer.direct);
    }
    if let Some(flush) = &mut hyperv.tlbflush {
        on(&mut flush.enabled);
        state_on(&mut flush.direct);
        state_on(&mut flush.extended);
    }
    if let Some(vendor) = &mut hyperv.vendorid {
        on(&mut vendor.enabled);
    }
    if let Some(spinlocks) = &mut hyperv.spinlocks {
        on(&mut spinlocks.enabled);
        if spinlocks.enabled == Some(true) && spinlocks.spinlocks.is_none() {
            spinlocks.spinlocks = Some(4096);
        }
    }
}

fn set_timers(timer: &mut Timer) {
    let present = [
        timer.hpet.as_mut().map(|t| &mut t.present),
        timer.kvm.as_mut().map(|t| &mut t.present),
        timer.pit.as_mut().map(|t| &mut t.present),
        timer.rtc.as_mut().map(|t| &mut t.present),
        timer.hyperv.as_mut().map(|t| &mut t.present),
    ];
    for present in present.into_iter().flatten() {
        on(present);
    }
}

fn set_disk(disk: &mut Disk) {
    if disk.disk.is_none() && disk.lun.is_none() && disk.cdrom.is_none() {
        disk.disk = Some(DiskTarget::default());
    }
    if let Some(CDRomTarget { readonly, tray, .. }) = &mut disk.cdrom {
        on(readonly);
        if text(tray.as_ref()).is_empty() {
            *tray = Some("closed".into());
        }
    }
    if let Some(size) = &mut disk.block_size {
        state_on(&mut size.match_volume);
    }
}

fn set_probe(probe: &mut Probe) {
    for (value, default) in [
        (&mut probe.timeout_seconds, 1),
        (&mut probe.period_seconds, 10),
        (&mut probe.success_threshold, 1),
        (&mut probe.failure_threshold, 3),
    ] {
        if value.unwrap_or_default() < 1 {
            *value = Some(default);
        }
    }
}

/// What differs by architecture: disk buses, the watchdog, and arm64's CPU and firmware.
pub(super) fn set_architecture_defaults(spec: &mut VirtualMachineInstanceSpec) {
    let architecture = text(spec.architecture.as_ref()).to_owned();
    let bus = if ["arm64", "s390x"].contains(&architecture.as_str()) { "virtio" } else { "sata" };
    let domain = &mut spec.domain;
    for disk in &mut domain.devices.disks {
        let buses =
            [disk.disk.as_mut().map(|t| &mut t.bus), disk.cdrom.as_mut().map(|t| &mut t.bus), disk.lun.as_mut().map(|t| &mut t.bus)];
        for slot in buses.into_iter().flatten() {
            if text(slot.as_ref()).is_empty() {
                *slot = Some(bus.to_owned());
            }
        }
    }
    match (architecture.as_str(), &mut domain.devices.watchdog) {
        ("arm64", _) => {
            let cpu = domain.cpu.get_or_insert_default();
            if text(cpu.model.as_ref()).is_empty() {
                cpu.model = Some("host-passthrough".into());
            }
            let firmware = domain.firmware.get_or_insert_default();
            let loader = firmware.bootloader.get_or_insert_with(|| Bootloader { efi: Some(api::v1::EFI::default()), bios: None::<BIOS> });
            if let Some(efi) = &mut loader.efi {
                efi.secure_boot.get_or_insert(false);
            }
        }
        ("s390x", Some(watchdog)) => {
            let device = watchdog.diag288.get_or_insert_with(Diag288Watchdog::default);
            if text(device.action.as_ref()).is_empty() {
                device.action = Some("reset".into());
            }
        }
        (_, Some(watchdog)) => {
            let device = watchdog.i6300esb.get_or_insert_with(I6300ESBWatchdog::default);
            if text(device.action.as_ref()).is_empty() {
                device.action = Some("reset".into());
            }
        }
        _ => {}
    }
}
