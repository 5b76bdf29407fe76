//! Enlightenments that need each other (spec/admission.md §4.2.4).

use api::v1::{CPUFeature, FeatureHyperv, FeatureState, VirtualMachineInstanceSpec};

/// Switches a requirement on if nothing is said about it; `false` if it is explicitly off.
fn require(requirement: &mut Option<FeatureState>) -> bool {
    let state = requirement.get_or_insert_default();
    *state.enabled.get_or_insert(true)
}

/// Adds what enabled enlightenments need. A requirement that is explicitly off stops the walk; the validator then says so.
pub(super) fn set_dependencies(spec: &mut VirtualMachineInstanceSpec) {
    let Some(hyperv) = spec.domain.features.as_mut().and_then(|f| f.hyperv.as_mut()) else { return };
    if !set_requirements(hyperv) {
        return;
    }
    if hyperv.evmcs.as_ref().is_some_and(|e| e.enabled != Some(false)) {
        let cpu = spec.domain.cpu.get_or_insert_default();
        match cpu.features.iter_mut().find(|f| f.name == "vmx") {
            Some(vmx) => vmx.policy = Some("require".into()),
            None => cpu.features.push(CPUFeature { name: "vmx".into(), policy: Some("require".into()) }),
        }
    }
}

fn set_requirements(hyperv: &mut FeatureHyperv) -> bool {
    let own = |state: &Option<FeatureState>| state.as_ref().and_then(|s| s.enabled) == Some(true);
    if own(&hyperv.evmcs) && !require(&mut hyperv.vapic) {
        return false;
    }
    if own(&hyperv.ipi) && !require(&mut hyperv.vpindex) {
        return false;
    }
    if hyperv.tlbflush.as_ref().and_then(|s| s.enabled) == Some(true) && !require(&mut hyperv.vpindex) {
        return false;
    }
    if hyperv.synictimer.as_ref().and_then(|s| s.enabled) == Some(true) && !require(&mut hyperv.synic) {
        return false;
    }
    !own(&hyperv.synic) || require(&mut hyperv.vpindex)
}
