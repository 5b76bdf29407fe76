//! A preference, applied: it fills what is open (spec/instancetype.md §3). Devices are in [`super::devices`].

use std::collections::BTreeMap;

use api::instancetype::v1beta1::{FeaturePreferences, FirmwarePreferences, VirtualMachinePreferenceSpec};
use api::v1::{BIOS, EFI, VirtualMachineInstanceSpec};

use super::{devices, fill, fill_text};

/// Applies a preference.
pub(super) fn apply(
    preference: &VirtualMachinePreferenceSpec,
    spec: &mut VirtualMachineInstanceSpec,
    annotations: &mut BTreeMap<String, String>,
) {
    if let Some(cpu) = preference.cpu.as_ref().filter(|c| !c.preferred_cpu_features.is_empty()) {
        let target = &mut spec.domain.cpu.get_or_insert_default().features;
        for feature in &cpu.preferred_cpu_features {
            if !target.iter().any(|f| f.name == feature.name) {
                target.push(feature.clone());
            }
        }
    }
    apply_autoattach(preference, spec);
    devices::apply(preference, spec);
    if let Some(features) = &preference.features {
        apply_features(features, spec);
    }
    if let Some(firmware) = &preference.firmware {
        apply_firmware(firmware, spec);
    }
    if let Some(machine) = preference.machine.as_ref().filter(|m| m.preferred_machine_type.is_some()) {
        fill_text(&mut spec.domain.machine.get_or_insert_default().r#type, machine.preferred_machine_type.as_ref());
    }
    if let Some(clock) = &preference.clock {
        let target = spec.domain.clock.get_or_insert_default();
        if let Some(offset) = clock.preferred_clock_offset.as_ref().filter(|_| target.utc.is_none() && target.timezone.is_none()) {
            target.utc.clone_from(&offset.utc);
            target.timezone.clone_from(&offset.timezone);
        }
        fill(&mut target.timer, clock.preferred_timer.as_ref());
    }
    fill_text(&mut spec.subdomain, preference.preferred_subdomain.as_ref());
    fill(&mut spec.termination_grace_period_seconds, preference.preferred_termination_grace_period_seconds.as_ref());
    fill_text(&mut spec.architecture, preference.preferred_architecture.as_ref());
    for (key, value) in &preference.annotations {
        annotations.entry(key.clone()).or_insert_with(|| value.clone());
    }
    fill(&mut spec.domain.launch_security, preference.preferred_launch_security.as_ref());
}

/// Which devices are attached without being asked for. The VM controller applies these before everything else.
pub fn apply_autoattach(preference: &VirtualMachinePreferenceSpec, spec: &mut VirtualMachineInstanceSpec) {
    let Some(from) = preference.devices.as_deref() else { return };
    let devices = &mut spec.domain.devices;
    for (target, preferred) in [
        (&mut devices.autoattach_graphics_device, from.preferred_autoattach_graphics_device),
        (&mut devices.autoattach_mem_balloon, from.preferred_autoattach_mem_balloon),
        (&mut devices.autoattach_pod_interface, from.preferred_autoattach_pod_interface),
        (&mut devices.autoattach_serial_console, from.preferred_autoattach_serial_console),
        (&mut devices.autoattach_input_device, from.preferred_autoattach_input_device),
    ] {
        *target = target.or(preferred);
    }
}

fn apply_features(from: &FeaturePreferences, spec: &mut VirtualMachineInstanceSpec) {
    let features = spec.domain.features.get_or_insert_default();
    if from.preferred_acpi.is_some() {
        features.acpi.clone_from(&from.preferred_acpi);
    }
    fill(&mut features.apic, from.preferred_apic.as_ref());
    fill(&mut features.kvm, from.preferred_kvm.as_ref());
    fill(&mut features.pvspinlock, from.preferred_pvspinlock.as_ref());
    fill(&mut features.smm, from.preferred_smm.as_ref());
    let Some(from) = &from.preferred_hyperv else { return };
    let hyperv = features.hyperv.get_or_insert_default();
    fill(&mut hyperv.evmcs, from.evmcs.as_ref());
    fill(&mut hyperv.frequencies, from.frequencies.as_ref());
    fill(&mut hyperv.ipi, from.ipi.as_ref());
    fill(&mut hyperv.reenlightenment, from.reenlightenment.as_ref());
    fill(&mut hyperv.relaxed, from.relaxed.as_ref());
    fill(&mut hyperv.reset, from.reset.as_ref());
    fill(&mut hyperv.runtime, from.runtime.as_ref());
    fill(&mut hyperv.spinlocks, from.spinlocks.as_ref());
    fill(&mut hyperv.synic, from.synic.as_ref());
    fill(&mut hyperv.synictimer, from.synictimer.as_ref());
    fill(&mut hyperv.tlbflush, from.tlbflush.as_ref());
    fill(&mut hyperv.vapic, from.vapic.as_ref());
    fill(&mut hyperv.vpindex, from.vpindex.as_ref());
    fill(&mut hyperv.vendorid, from.vendorid.as_ref());
}

fn apply_firmware(from: &FirmwarePreferences, spec: &mut VirtualMachineInstanceSpec) {
    let loader = spec.domain.firmware.get_or_insert_default().bootloader.get_or_insert_default();
    let open = |b: &api::v1::Bootloader| b.bios.is_none() && b.efi.is_none();
    if from.preferred_use_bios == Some(true) && open(loader) {
        loader.bios = Some(BIOS::default());
    }
    if let Some(bios) = &mut loader.bios {
        bios.use_serial = bios.use_serial.or(from.preferred_use_bios_serial);
    }
    if from.preferred_efi.is_some() && open(loader) {
        loader.efi.clone_from(&from.preferred_efi);
        return;
    }
    if from.preferred_use_efi == Some(true) && open(loader) {
        loader.efi = Some(EFI::default());
    }
    if let Some(efi) = &mut loader.efi {
        efi.secure_boot = efi.secure_boot.or(from.preferred_use_secure_boot);
    }
}
