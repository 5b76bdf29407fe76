//! What a preference makes of devices (spec/instancetype.md §3).

use api::instancetype::v1beta1::{DevicePreferences, VirtualMachinePreferenceSpec};
use api::v1::{Disk, DiskTarget, PanicDevice, VirtualMachineInstanceSpec};

use super::{fill, fill_text};

/// Fills what is open in devices.
pub(super) fn apply(preference: &VirtualMachinePreferenceSpec, spec: &mut VirtualMachineInstanceSpec) {
    let Some(from) = preference.devices.as_deref() else { return };
    let pod_networks: Vec<String> = spec.networks.iter().filter(|n| n.pod.is_some()).map(|n| n.name.clone()).collect();
    let devices = &mut spec.domain.devices;
    fill(&mut devices.use_virtio_transitional, from.preferred_use_virtio_transitional.as_ref());
    fill(&mut devices.block_multi_queue, from.preferred_block_multi_queue.as_ref());
    fill(&mut devices.network_interface_multiqueue, from.preferred_network_interface_multi_queue.as_ref());
    if from.preferred_disable_hotplug.is_some() {
        devices.disable_hotplug = from.preferred_disable_hotplug;
    }
    if let Some(sound) = &mut devices.sound {
        fill_text(&mut sound.model, from.preferred_sound_model.as_ref());
    }
    fill(&mut devices.rng, from.preferred_rng.as_ref());
    fill(&mut devices.tpm, from.preferred_tpm.as_ref());
    if from.preferred_video_type.is_some() {
        fill_text(&mut devices.video.get_or_insert_default().r#type, from.preferred_video_type.as_ref());
    }
    for disk in &mut devices.disks {
        apply_to_disk(from, disk);
    }
    for interface in &mut devices.interfaces {
        fill_text(&mut interface.model, from.preferred_interface_model.as_ref());
        let bound = interface.bridge.is_some()
            || interface.masquerade.is_some()
            || interface.sriov.is_some()
            || interface.slirp.is_some()
            || interface.macvtap.is_some()
            || interface.passt.is_some()
            || interface.passt_binding.is_some()
            || interface.binding.is_some();
        if !bound && pod_networks.contains(&interface.name) {
            interface.masquerade.clone_from(&from.preferred_interface_masquerade);
        }
    }
    for input in &mut devices.inputs {
        fill_text(&mut input.bus, from.preferred_input_bus.as_ref());
        if let Some(kind) = from.preferred_input_type.as_ref().filter(|_| input.r#type.is_empty()) {
            input.r#type.clone_from(kind);
        }
    }
    if let Some(model) = &from.preferred_panic_device_model {
        if devices.panic_devices.is_empty() {
            devices.panic_devices.push(PanicDevice { model: Some(model.clone()) });
        }
        for device in &mut devices.panic_devices {
            fill(&mut device.model, Some(model));
        }
    }
}

fn apply_to_disk(from: &DevicePreferences, disk: &mut Disk) {
    if disk.disk.is_none() && disk.lun.is_none() && disk.cdrom.is_none() {
        disk.disk = Some(DiskTarget::default());
    }
    if let Some(target) = &mut disk.disk {
        fill_text(&mut target.bus, from.preferred_disk_bus.as_ref());
        if target.bus.as_deref() == Some("virtio") {
            fill(&mut disk.dedicated_io_thread, from.preferred_disk_dedicated_io_thread.as_ref());
        }
        fill(&mut disk.block_size, from.preferred_disk_block_size.as_ref());
        fill_text(&mut disk.cache, from.preferred_disk_cache.as_ref());
        fill_text(&mut disk.io, from.preferred_disk_io.as_ref());
    }
    if let Some(target) = &mut disk.cdrom {
        fill_text(&mut target.bus, from.preferred_cdrom_bus.as_ref());
    }
    if let Some(target) = &mut disk.lun {
        fill_text(&mut target.bus, from.preferred_lun_bus.as_ref());
    }
}
