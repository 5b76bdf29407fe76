//! Which EFI firmware a guest boots. Source: spec/domain-xml.md §6.5.

use std::collections::BTreeSet;

use api::v1::VirtualMachineInstance;

use super::{Architecture, ConvertError};
use crate::vmi;

/// The files of a firmware, and how the guest gets at them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EfiFirmware {
    /// The code.
    pub code: String,
    /// The template of the variables; firmware in a ROM has none, all other is in flash memory.
    pub vars: Option<String>,
    /// Whether only the firmware may write its variables.
    pub secure: bool,
}

/// What the firmware must know of confidential computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Plain,
    /// AMD SEV or SEV-ES.
    Sev,
    /// AMD SEV-SNP.
    Snp,
    /// Intel TDX.
    Tdx,
}

impl Kind {
    /// What the VMI needs.
    pub fn of(vmi: &VirtualMachineInstance) -> Self {
        match &vmi.spec.domain.launch_security {
            Some(security) if security.snp.is_some() => Self::Snp,
            Some(security) if security.sev.is_some() => Self::Sev,
            Some(security) if security.tdx.is_some() => Self::Tdx,
            _ => Self::Plain,
        }
    }
}

/// Whether the VMI boots by EFI with secure boot, which is EFI's default.
pub fn is_secure_boot(vmi: &VirtualMachineInstance) -> bool {
    vmi::efi(vmi).is_some_and(|e| vmi::unless_off(e.secure_boot))
}

/// The firmware of a VMI that boots by EFI: `None` for one that does not, or where libvirt is to choose.
///
/// `directory` is where firmware lies, `present` the names of the files in it.
///
/// # Errors
/// [`ConvertError::EfiMissing`] when a file is missing, or there is no such firmware.
pub fn firmware(
    vmi: &VirtualMachineInstance,
    arch: Architecture,
    directory: &str,
    present: &BTreeSet<String>,
    auto_selection: bool,
) -> Result<Option<EfiFirmware>, ConvertError> {
    const SECURE: &str = "OVMF_CODE.secboot.fd";
    let (secure_boot, kind) = (is_secure_boot(vmi), Kind::of(vmi));
    if vmi::efi(vmi).is_none() || (auto_selection && secure_boot && kind == Kind::Plain) {
        return Ok(None);
    }
    let (code, vars, secure) = match (kind, secure_boot, arch) {
        (Kind::Plain, false, Architecture::Arm64) => ("AAVMF_CODE.fd", Some("AAVMF_VARS.fd"), false),
        (Kind::Plain, true, Architecture::Arm64) | (Kind::Sev | Kind::Snp, true, _) => return Err(missing(vmi)),
        (Kind::Plain, false, _) => (if present.contains(SECURE) { SECURE } else { "OVMF_CODE.fd" }, Some("OVMF_VARS.fd"), false),
        (Kind::Plain, true, _) => (SECURE, Some("OVMF_VARS.secboot.fd"), true),
        (Kind::Sev, false, _) => ("OVMF_CODE.cc.fd", Some("OVMF_VARS.fd"), false),
        (Kind::Snp, false, _) => ("OVMF.amdsev.fd", None, false),
        (Kind::Tdx, false, _) => ("OVMF.inteltdx.fd", None, false),
        (Kind::Tdx, true, _) => ("OVMF.inteltdx.secboot.fd", None, false),
    };
    if ![Some(code), vars].into_iter().flatten().all(|f| present.contains(f)) {
        return Err(missing(vmi));
    }
    let path = |file: &str| format!("{directory}/{file}");
    Ok(Some(EfiFirmware { code: path(code), vars: vars.map(path), secure }))
}

/// The error for firmware that is not there.
pub(super) fn missing(vmi: &VirtualMachineInstance) -> ConvertError {
    let kind = match Kind::of(vmi) {
        Kind::Plain => "",
        Kind::Sev => ", SEV",
        Kind::Snp => ", SNP",
        Kind::Tdx => ", TDX",
    };
    ConvertError::EfiMissing { secure_boot: is_secure_boot(vmi), kind }
}
