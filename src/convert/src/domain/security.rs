//! Confidential guests. Source: spec/domain-xml.md §6.10, §6.12.

use api::v1::VirtualMachineInstance;
use domain::{Iommufd, LaunchSecurity, OnOff, QuoteGenerationService, YesNo};

use super::Architecture;
use crate::vmi;

/// No debugging of the guest by the host; always asked for.
const SEV_NO_DEBUG: u32 = 1;
/// Registers are encrypted too.
const SEV_ENCRYPTED_STATE: u32 = 1 << 2;
/// SMT is allowed, and the bit that must be set.
const SNP_POLICY: u32 = 1 << 16 | 1 << 17;

pub(super) fn render(vmi: &VirtualMachineInstance, arch: Architecture) -> Option<LaunchSecurity> {
    let spec = vmi.spec.domain.launch_security.as_ref().filter(|_| arch == Architecture::Amd64)?;
    let text = |t: &Option<String>| t.clone().filter(|t| !t.is_empty());
    if let Some(sev) = &spec.sev {
        let encrypted = sev.policy.as_ref().is_some_and(|p| p.encrypted_state == Some(true));
        let policy = if encrypted { SEV_NO_DEBUG | SEV_ENCRYPTED_STATE } else { SEV_NO_DEBUG };
        return Some(LaunchSecurity {
            kind: "sev".to_owned(),
            policy: Some(format!("0x{policy:x}")),
            dh_cert: text(&sev.dh_cert),
            session: text(&sev.session),
            ..LaunchSecurity::default()
        });
    }
    if spec.snp.is_some() {
        return Some(LaunchSecurity { kind: "sev-snp".to_owned(), policy: Some(format!("0x{SNP_POLICY:x}")), ..LaunchSecurity::default() });
    }
    spec.tdx.as_ref().map(|_| LaunchSecurity {
        kind: "tdx".to_owned(),
        quote_generation_service: Some(QuoteGenerationService {
            path: vmi::annotation(vmi, "kubevirt.io/qgs-socket-path").filter(|p| !p.is_empty()).map(ToOwned::to_owned),
        }),
        ..LaunchSecurity::default()
    })
}

/// Whether virtio devices must go through an IOMMU because memory is encrypted; trust domains need it not.
pub(super) fn virtio_iommu(vmi: &VirtualMachineInstance) -> Option<OnOff> {
    (vmi::is_sev(vmi) || vmi::is_secure_execution(vmi)).then_some(OnOff::On)
}

pub(super) fn iommufd() -> Iommufd {
    Iommufd { enabled: YesNo::Yes, fd_group: Some("iommu".to_owned()) }
}
