//! Firmware, kernel, SMBIOS, boot menu, reboot policy, QEMU arguments. Source: spec/domain-xml.md §6.4–6.6, §6.11, §6.13.

use api::v1::{self, VirtualMachineInstance};
use domain::{
    AcpiTable, AcpiTables, Bios, BootMenu, FirmwareFeature, FirmwareFeatures, Loader, Nvram, Os, OsType, QemuArg, QemuCommandline,
    SmbiosMode, Sysinfo, YesNo,
};

use super::{Architecture, Context, ConvertError, efi};
use crate::paths::{CONTAINER_DISKS, PRIVATE};
use crate::vmi;

/// How long the boot menu of a paused guest waits, in milliseconds.
const BOOT_MENU_MILLIS: u32 = 10_000;
/// Above this verbosity the firmware's own output is kept.
const DEBUG_VERBOSITY: u64 = 5;

pub(super) fn render(vmi: &VirtualMachineInstance, cx: &Context, arch: Architecture) -> Result<Os, ConvertError> {
    let machine = vmi.spec.domain.machine.as_ref().and_then(|m| m.r#type.clone()).filter(|m| !m.is_empty());
    let mut out = Os {
        kind: OsType {
            kind: "hvm".to_owned(),
            arch: Some(arch.libvirt().to_owned()),
            machine: Some(machine.unwrap_or_else(|| arch.default_machine().to_owned())),
        },
        smbios: arch.has_smbios().then(|| SmbiosMode { mode: "sysinfo".to_owned() }),
        ..Os::default()
    };
    if vmi.spec.start_strategy.as_deref() == Some("Paused") {
        out.boot_menu = Some(BootMenu { enable: YesNo::Yes, timeout: Some(BOOT_MENU_MILLIS) });
    }
    let Some(firmware) = &vmi.spec.domain.firmware else { return Ok(out) };
    if vmi::efi(vmi).is_some() {
        self::firmware(vmi, cx, arch, &mut out)?;
    }
    let bios = firmware.bootloader.as_ref().and_then(|b| b.bios.as_ref());
    if bios.is_some_and(|b| b.use_serial == Some(true)) {
        out.bios = Some(Bios { use_serial: Some(YesNo::Yes) });
    }
    if let Some(boot) = &firmware.kernel_boot {
        kernel_boot(boot, &mut out)?;
    }
    if let Some(acpi) = &firmware.acpi {
        out.acpi = Some(acpi_tables(vmi, acpi)?);
    }
    Ok(out)
}

fn firmware(vmi: &VirtualMachineInstance, cx: &Context, arch: Architecture, out: &mut Os) -> Result<(), ConvertError> {
    let directory = if vmi::is_non_root(vmi) { format!("{PRIVATE}/libvirt/qemu/nvram") } else { "/var/lib/libvirt/qemu/nvram".to_owned() };
    let nvram = format!("{directory}/{}_VARS.fd", vmi::name(vmi));
    let secure_boot = efi::is_secure_boot(vmi);
    if cx.firmware_auto_selection && secure_boot && efi::Kind::of(vmi) == efi::Kind::Plain {
        let feature = |name: &str| FirmwareFeature { enabled: YesNo::Yes, name: name.to_owned() };
        out.firmware = Some("efi".to_owned());
        out.firmware_features = Some(FirmwareFeatures { features: vec![feature("secure-boot"), feature("enrolled-keys")] });
        out.nvram = (arch != Architecture::Arm64).then(|| Nvram { format: Some("raw".to_owned()), path: nvram, ..Nvram::default() });
        return Ok(());
    }
    let firmware = cx.efi.as_ref().ok_or_else(|| efi::missing(vmi))?;
    // What is measured at launch must not change afterwards, so there is nothing to write to.
    let stateless = matches!(efi::Kind::of(vmi), efi::Kind::Snp | efi::Kind::Tdx);
    out.loader = Some(Loader {
        readonly: Some(YesNo::Yes),
        secure: Some(firmware.secure.into()),
        kind: Some(if stateless { "rom" } else { "pflash" }.to_owned()),
        path: firmware.code.clone(),
        ..Loader::default()
    });
    out.nvram =
        firmware.vars.clone().filter(|_| !stateless).map(|template| Nvram { template: Some(template), path: nvram, ..Nvram::default() });
    Ok(())
}

fn kernel_boot(boot: &v1::KernelBoot, out: &mut Os) -> Result<(), ConvertError> {
    let artifact = |path: &Option<String>| -> Result<Option<String>, ConvertError> {
        let Some(path) = path.as_deref().filter(|p| !p.is_empty()) else { return Ok(None) };
        Ok(Some(format!("{CONTAINER_DISKS}/kernel-boot/{}", base_name(path)?)))
    };
    if let Some(container) = &boot.container {
        out.kernel = artifact(&container.kernel_path)?;
        out.initrd = artifact(&container.initrd_path)?;
    }
    out.cmdline = boot.kernel_args.clone().filter(|a| !a.is_empty());
    Ok(())
}

/// The last element of a path.
///
/// # Errors
/// [`ConvertError::UnsafeName`] when that is no name of a file.
pub(super) fn base_name(path: &str) -> Result<&str, ConvertError> {
    file_name(path.trim_end_matches('/').rsplit('/').next().unwrap_or_default())
}

/// A name that becomes part of a path, as long as it stays in its folder.
pub(super) fn file_name(name: &str) -> Result<&str, ConvertError> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return Err(ConvertError::UnsafeName(name.to_owned()));
    }
    Ok(name)
}

/// Refuses names that would lead out of the folders they name files in; the API refuses them before.
pub(super) fn check_names(vmi: &VirtualMachineInstance) -> Result<(), ConvertError> {
    let devices = &vmi.spec.domain.devices;
    let volumes = vmi.spec.volumes.iter().map(|v| v.name.as_str());
    let disks = devices.disks.iter().map(|d| d.name.as_str());
    let folders = devices.filesystems.iter().map(|f| f.name.as_str());
    let own = [vmi::name(vmi), vmi::namespace(vmi)];
    own.into_iter().chain(volumes).chain(disks).chain(folders).try_for_each(|name| file_name(name).map(drop))
}

fn acpi_tables(vmi: &VirtualMachineInstance, acpi: &v1::ACPI) -> Result<AcpiTables, ConvertError> {
    let mut tables = Vec::new();
    for (kind, volume) in [("slic", &acpi.slic_name_ref), ("msdm", &acpi.msdm_name_ref)] {
        let Some(name) = volume.as_deref().filter(|v| !v.is_empty()) else { continue };
        let volume = vmi::volume(vmi, name).ok_or_else(|| ConvertError::AcpiVolumeNotFound(name.to_owned()))?;
        if volume.secret.is_none() {
            return Err(ConvertError::AcpiVolumeNotSecret(name.to_owned()));
        }
        tables.push(AcpiTable { kind: kind.to_owned(), path: format!("{PRIVATE}/secret/{name}/{kind}.bin") });
    }
    if tables.is_empty() { Err(ConvertError::AcpiWithoutTables) } else { Ok(AcpiTables { tables }) }
}

pub(super) fn sysinfo(vmi: &VirtualMachineInstance, cx: &Context) -> Sysinfo {
    let mut out = Sysinfo { kind: "smbios".to_owned(), ..Sysinfo::default() };
    if let Some(firmware) = &vmi.spec.domain.firmware {
        out.system.push("uuid", firmware.uuid.clone().unwrap_or_default());
        if let Some(serial) = firmware.serial.as_ref().filter(|s| !s.is_empty()) {
            out.system.push("serial", serial);
        }
    }
    if let Some(smbios) = &cx.smbios {
        for (name, value) in [
            ("manufacturer", &smbios.manufacturer),
            ("family", &smbios.family),
            ("product", &smbios.product),
            ("sku", &smbios.sku),
            ("version", &smbios.version),
        ] {
            out.system.push(name, value);
        }
    }
    if let Some(chassis) = &vmi.spec.domain.chassis {
        for (name, value) in [
            ("manufacturer", &chassis.manufacturer),
            ("version", &chassis.version),
            ("serial", &chassis.serial),
            ("asset", &chassis.asset),
            ("sku", &chassis.sku),
        ] {
            out.chassis.push(name, value.clone().unwrap_or_default());
        }
    }
    out
}

pub(super) fn on_reboot(vmi: &VirtualMachineInstance) -> Option<String> {
    let action = match vmi.spec.domain.reboot_policy.as_deref()? {
        "Terminate" => "destroy",
        "Reboot" => "restart",
        _ => return None,
    };
    Some(action.to_owned())
}

pub(super) fn qemu_commandline(vmi: &VirtualMachineInstance, cx: &Context, arch: Architecture) -> Option<QemuCommandline> {
    let mut args = Vec::new();
    if vmi::annotation(vmi, "kubevirt.io/ignitiondata").is_some_and(|data| data.contains("ignition")) {
        let file = format!("{}/{}/{}/data.ign", cx.ignition_directory, vmi::namespace(vmi), vmi::name(vmi));
        args.extend(["-fw_cfg".to_owned(), format!("name=opt/com.coreos/config,file={file}")]);
    }
    if arch == Architecture::Amd64 && cx.verbosity > DEBUG_VERBOSITY {
        args.extend([
            "-chardev".to_owned(),
            format!("file,id=firmwarelog,path={PRIVATE}/QEMUSeaBiosDebugPipe"),
            "-device".to_owned(),
            "isa-debugcon,iobase=0x402,chardev=firmwarelog".to_owned(),
        ]);
    }
    (!args.is_empty()).then(|| QemuCommandline { env: Vec::new(), args: args.into_iter().map(|value| QemuArg { value }).collect() })
}
