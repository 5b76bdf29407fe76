//! Confidential guests (spec/admission.md §5.10).

use super::disks::smm;
use super::spec::SpecContext;
use crate::{CauseKind, Causes};

/// LS1-LS9.
pub(super) fn validate(cx: &SpecContext<'_>, causes: &mut Causes) {
    let Some(security) = &cx.spec.domain.launch_security else { return };
    let field = cx.at("launchSecurity");
    let architecture = cx.spec.architecture.as_deref().unwrap_or_default();
    match architecture {
        "amd64" => {}
        "s390x" => return,
        other => {
            causes.invalid(cx.at("architecture"), format!("No launchSecurity support for architecture: {other}"));
            return;
        }
    }
    let name = match (security.sev.is_some(), security.snp.is_some(), security.tdx.is_some()) {
        (true, false, false) => "SEV",
        (false, true, false) => "SNP",
        (false, false, true) => "TDX",
        _ => {
            causes.add(CauseKind::Forbidden, field, "One and only one launchSecurity type can be set");
            return;
        }
    };
    let gate = if name == "TDX" { "WorkloadEncryptionTDX" } else { "WorkloadEncryptionSEV" };
    if !cx.config.gate(gate) {
        causes.invalid(field, format!("{gate} feature gate is not enabled in kubevirt-config"));
        return;
    }
    if name == "TDX" && smm(cx) {
        causes.invalid(&field, "TDX does not work along with SMM");
    }
    let efi = cx.spec.domain.firmware.as_ref().and_then(|f| f.bootloader.as_ref()).and_then(|b| b.efi.as_ref());
    match efi {
        None => causes.invalid(&field, format!("{name} requires OVMF (UEFI)")),
        Some(efi) => {
            if name != "TDX" && efi.secure_boot.unwrap_or(true) {
                causes.invalid(&field, format!("{name} does not work along with SecureBoot"));
            }
            if name != "SEV" && efi.persistent == Some(true) {
                causes.invalid(&field, format!("{name} does not work along with Persistent EFI variables"));
            }
        }
    }
    let attested = security.sev.as_ref().is_some_and(|s| s.attestation.is_some());
    if attested && cx.spec.start_strategy.as_deref() != Some("Paused") {
        causes.invalid(&field, "SEV attestation requires VMI StartStrategy 'Paused'");
    }
    for interface in cx.spec.domain.devices.interfaces.iter().filter(|i| i.boot_order.is_some()) {
        causes.invalid(&field, format!("{name} does not work with bootable NICs: {}", interface.name));
    }
}
