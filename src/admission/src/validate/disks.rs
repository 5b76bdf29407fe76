//! Disks, boot loader and kernel boot (spec/admission.md §5.7). The doubled paths are upstream's.

use std::collections::BTreeMap;

use api::v1::{BlockSize, Disk, Firmware};

use super::spec::SpecContext;
use crate::{Causes, text};

/// The bus of a disk's target, and the target's name.
pub(super) fn target(disk: &Disk) -> Option<(&'static str, &str)> {
    let found = if let Some(t) = &disk.disk {
        ("disk", &t.bus)
    } else if let Some(t) = &disk.lun {
        ("lun", &t.bus)
    } else {
        ("cdrom", &disk.cdrom.as_ref()?.bus)
    };
    Some((found.0, found.1.as_deref().unwrap_or_default()))
}

/// ST1-ST23 on the disks of that path.
pub(super) fn validate(base: &str, disks: &[Disk], causes: &mut Causes) {
    let mut named: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, disk) in disks.iter().enumerate() {
        let field = format!("{base}[{i}]");
        let earlier = named.entry(&disk.name).or_default();
        for (n, j) in earlier.iter().enumerate() {
            if causes.is_full() {
                // One cause for each pair: there may be more of them than anybody has time for.
                causes.count(earlier.len() - n);
                break;
            }
            causes.invalid(format!("{field}.name"), format!("{field} and {base}[{j}] must not have the same Name."));
        }
        earlier.push(i);
        let targets = [disk.disk.is_some(), disk.lun.is_some(), disk.cdrom.is_some()];
        if targets.iter().filter(|t| **t).count() > 1 {
            causes.invalid(&field, format!("{field} can only have a single target type defined"));
        }
        pci_address(base, i, disk, causes);
        if disk.boot_order.is_some_and(|o| o < 1) {
            causes.invalid(format!("{field}.bootOrder"), format!("{field} must have a boot order > 0, if supplied"));
        }
        bus(&field, disk, causes);
        io_thread(base, i, disk, causes);
        serial(&field, disk, causes);
        modes(base, i, disk, causes);
        for error in text::dns_label(&disk.name) {
            causes.invalid(format!("{base}.domain.devices.disks[{i}].name"), error);
        }
        if let Some(size) = &disk.block_size {
            block_size(&field, size, target(disk).map_or("", |(_, bus)| bus), causes);
        }
    }
}

/// ST3, ST4.
fn pci_address(base: &str, i: usize, disk: &Disk, causes: &mut Causes) {
    let Some(target) = &disk.disk else { return };
    let Some(address) = target.pci_address.as_deref().filter(|a| !a.is_empty()) else { return };
    let path = format!("{base}.domain.devices.disks.disk[{i}]");
    if target.bus.as_deref() != Some("virtio") {
        let message = format!("disk {path}.name - setting a PCI address is only possible with bus type virtio.");
        causes.invalid(format!("{path}.pciAddress"), message);
    }
    if !text::is_pci_address(address) {
        causes.invalid(format!("{path}.pciAddress"), format!("disk {path}.name has malformed PCI address ({address})."));
    }
}

/// ST6-ST9.
fn bus(field: &str, disk: &Disk, causes: &mut Causes) {
    let Some((kind, bus)) = target(disk) else { return };
    let at = format!("{field}.{kind}.bus");
    match (kind, bus) {
        (_, "ide") => causes.invalid(at, "IDE bus is not supported"),
        ("cdrom", "virtio") => causes.invalid(at, "Bus type virtio is invalid for CD-ROM device"),
        ("disk", "sata") if disk.disk.as_ref().is_some_and(|d| d.readonly == Some(true)) => {
            causes.invalid(at, "sata hard-disks do not support read-only.");
        }
        (_, "" | "virtio" | "scsi" | "sata" | "usb") => {}
        _ => {
            let message = format!("{field} is set with an unrecognized bus {bus}, must be one of: [virtio scsi sata usb]");
            causes.invalid(at, message);
        }
    }
}

/// ST10.
fn io_thread(base: &str, i: usize, disk: &Disk, causes: &mut Causes) {
    let bus = target(disk).map_or("", |(_, bus)| bus);
    if disk.dedicated_io_thread == Some(true) && !["", "virtio"].contains(&bus) {
        let message = format!("IOThreads are not supported for disks on a {bus} bus");
        causes.not_supported(format!("{base}.domain.devices.disks[{i}]"), message);
    }
}

/// ST11, ST12.
fn serial(field: &str, disk: &Disk, causes: &mut Causes) {
    let Some(serial) = disk.serial.as_deref().filter(|s| !s.is_empty()) else { return };
    if !text::is_serial(serial) {
        let message = format!("{field} must be made up of the following characters [A-Za-z0-9_.+-], if specified");
        causes.invalid(format!("{field}.serial"), message);
    }
    if serial.chars().count() > 256 {
        causes.invalid(format!("{field}.serial"), format!("{field} must be less than or equal to 256 in length, if specified"));
    }
}

/// ST13-ST15.
fn modes(base: &str, i: usize, disk: &Disk, causes: &mut Causes) {
    let field = format!("{base}[{i}]");
    if let Some(cache) = disk.cache.as_deref().filter(|c| !["", "none", "writethrough", "writeback"].contains(c)) {
        let at = format!("{field}.cache");
        let message = format!("{at} has invalid value {cache}");
        causes.invalid(at, message);
    }
    if disk.io.as_deref().is_some_and(|m| !["", "native", "threads"].contains(&m)) {
        let message = format!("Disk IO mode for {base} is not supported. Supported modes are: native, threads.");
        causes.not_supported(format!("{base}.domain.devices.disks[{i}].io"), message);
    }
    if let Some(policy) = disk.error_policy.as_deref().filter(|p| !["stop", "ignore", "report", "enospace"].contains(p)) {
        let at = format!("{field}.errorPolicy");
        let message = format!("{at} has invalid value \"{policy}\"");
        causes.invalid(at, message);
    }
}

/// ST17-ST23.
fn block_size(field: &str, size: &BlockSize, bus: &str, causes: &mut Causes) {
    let Some(custom) = &size.custom else { return };
    let at = format!("{field}.blockSize");
    if size.match_volume.as_ref().is_some_and(|m| m.enabled.unwrap_or(true)) {
        causes.invalid(at, "Block size matching can't be enabled together with a custom value");
        return;
    }
    let (logical, physical) = (custom.logical.unwrap_or_default(), custom.physical.unwrap_or_default());
    let discard = custom.discard_granularity;
    if logical > physical {
        let message = format!("Logical size {logical} must be the same or less than the physical size of {physical}");
        causes.invalid(format!("{at}.custom.logical"), message);
    } else if bus == "sata" && logical != 512 {
        causes.invalid(format!("{at}.custom.logical"), format!("Logical size {logical} must be 512 for SATA devices"));
    } else if let Some(granularity) = discard.filter(|d| logical != 0 && d % logical != 0) {
        let message = format!("Discard granularity {granularity} must be multiples of logical size {logical}");
        causes.invalid(format!("{at}.custom.discardGranularity"), message);
    } else {
        for (name, n) in [("logical", logical), ("physical", physical)] {
            let at = format!("{at}.custom.{name}");
            if n < 512 {
                causes.invalid(at, format!("Provided size of {n} is less than the supported minimum size of 512"));
            } else if n > 2_097_152 {
                causes.invalid(at, format!("Provided size of {n} is greater than the supported maximum size of 2097152"));
            } else if !n.is_power_of_two() {
                causes.invalid(at, format!("Provided size of {n} is not a power of 2"));
            }
        }
    }
}

/// F1, K1-K5.
pub(super) fn firmware(base: &str, firmware: Option<&Firmware>, causes: &mut Causes) {
    let Some(firmware) = firmware else { return };
    if firmware.bootloader.as_ref().is_some_and(|b| b.efi.is_some() && b.bios.is_some()) {
        let at = format!("{base}.bootloader");
        let message = format!("{at} has both EFI and BIOS configured, but they are mutually exclusive.");
        causes.invalid(at, message);
    }
    let Some(kernel) = &firmware.kernel_boot else { return };
    let at = format!("{base}.kernelBoot");
    let Some(container) = &kernel.container else {
        if kernel.kernel_args.as_deref().is_some_and(|a| !a.is_empty()) {
            causes.invalid(format!("{at}.kernelArgs"), "kernel arguments cannot be provided without an external kernel");
        }
        return;
    };
    let at = format!("{at}.container");
    if container.image.is_empty() {
        causes.required(format!("{at}.image"), format!("{at} must be defined with an image"));
    }
    let kernel_path = container.kernel_path.as_deref().unwrap_or_default();
    let initrd_path = container.initrd_path.as_deref().unwrap_or_default();
    if kernel_path.is_empty() && initrd_path.is_empty() {
        causes.required(&at, format!("{at} must be defined with at least one of the following: kernelPath, initrdPath"));
    }
    for (name, path) in [("kernelPath", kernel_path), ("initrdPath", initrd_path)] {
        if path.is_empty() {
            continue;
        }
        if let Err(why) = text::absolute_file(path) {
            let at = format!("{at}.{name}");
            let message = format!("{at} {why}");
            causes.invalid(at, message);
        }
    }
}

/// Whether System Management Mode is on.
pub(super) fn smm(cx: &SpecContext<'_>) -> bool {
    let smm = cx.spec.domain.features.as_ref().and_then(|f| f.smm.as_ref());
    smm.is_some_and(|s| s.enabled.unwrap_or(true))
}

/// F2: UEFI secure boot needs System Management Mode.
pub(super) fn secure_boot(cx: &SpecContext<'_>, causes: &mut Causes) {
    let efi = cx.spec.domain.firmware.as_ref().and_then(|f| f.bootloader.as_ref()).and_then(|b| b.efi.as_ref());
    let tdx = cx.spec.domain.launch_security.as_ref().is_some_and(|l| l.tdx.is_some());
    if efi.is_some_and(|e| e.secure_boot.unwrap_or(true)) && !smm(cx) && !tdx {
        let field = cx.at("domain");
        let message = format!("{field} has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled.");
        causes.invalid(field, message);
    }
}
