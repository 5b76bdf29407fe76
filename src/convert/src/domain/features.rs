//! Hypervisor features. Source: spec/domain-xml.md §6.8.

use api::v1::{self, VirtualMachineInstance};
use domain::{Features, Hyperv, KvmFeatures, Presence, Smm, Spinlocks, State, Stimer, TlbFlush, VendorId};

use super::Architecture;
use crate::vmi;

pub(super) fn render(vmi: &VirtualMachineInstance, arch: Architecture) -> Features {
    let mut out = Features::default();
    let Some(spec) = &vmi.spec.domain.features else { return out };
    let on = vmi::unless_off;
    if spec.acpi.as_ref().is_none_or(|a| on(a.enabled)) {
        out.acpi = Some(Presence {});
    }
    if spec.apic.as_ref().is_some_and(|a| on(a.enabled)) {
        out.apic = Some(Presence {});
    }
    if vmi::is_on(spec.smm.as_ref()) {
        out.smm = Some(Smm::default());
    }
    if let Some(hyperv) = &spec.hyperv {
        out.hyperv = Some(enlightenments(hyperv));
    } else if spec.hyperv_passthrough.as_ref().is_some_and(|h| h.enabled == Some(true)) {
        out.hyperv = Some(Hyperv { mode: Some("passthrough".to_owned()), ..Hyperv::default() });
    }
    if let Some(kvm) = &spec.kvm {
        out.kvm = Some(KvmFeatures { hidden: Some(State::new(kvm.hidden == Some(true))), hint_dedicated: None });
    }
    out.pv_spinlock = spec.pvspinlock.as_ref().map(|p| State::new(on(p.enabled)));
    if vmi::is_tdx(vmi) && arch == Architecture::Amd64 {
        out.pmu = Some(State::new(false));
    }
    if arch.has_vmport() {
        out.vmport = Some(State::new(false));
    }
    out
}

fn enlightenments(spec: &v1::FeatureHyperv) -> Hyperv {
    let state = |s: &Option<v1::FeatureState>| s.as_ref().map(|s| State::new(vmi::unless_off(s.enabled)));
    let on = |enabled: Option<bool>| vmi::unless_off(enabled).into();
    Hyperv {
        mode: None,
        relaxed: state(&spec.relaxed),
        vapic: state(&spec.vapic),
        spinlocks: spec.spinlocks.as_ref().map(|s| Spinlocks { state: on(s.enabled), retries: s.spinlocks }),
        vpindex: state(&spec.vpindex),
        runtime: state(&spec.runtime),
        synic: state(&spec.synic),
        stimer: spec.synictimer.as_ref().map(|s| Stimer { state: on(s.enabled), direct: state(&s.direct) }),
        reset: state(&spec.reset),
        vendor_id: spec.vendorid.as_ref().map(|v| VendorId { state: on(v.enabled), value: v.vendorid.clone().filter(|id| !id.is_empty()) }),
        frequencies: state(&spec.frequencies),
        reenlightenment: state(&spec.reenlightenment),
        tlbflush: spec.tlbflush.as_ref().map(|t| TlbFlush { state: on(t.enabled), direct: state(&t.direct), extended: state(&t.extended) }),
        ipi: state(&spec.ipi),
        evmcs: state(&spec.evmcs),
    }
}
