//! Changes of the template that reach a running guest (spec controllers §3.10).

use api::quantity::{Amount, amount};
use api::v1::values::vmi_condition;
use api::v1::{CPU, VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::sync::ask_for_restart;
use super::{Observed, instancetypes, template_spec};
use crate::conditions::{self, FALSE, TRUE};
use crate::plan::PlanError;

/// Applies what can be applied to `target`, in upstream's order; asks for a restart on `vm` where it cannot be.
pub(super) fn apply(observed: &Observed<'_>, vm: &mut VirtualMachine, target: &mut VirtualMachineInstance) -> Option<PlanError> {
    let step = |done: Result<(), String>, reason: &'static str, prefix: &str| {
        done.err().map(|text| PlanError::new(reason, format!("{prefix}: {text}")))
    };
    let template = match instancetypes::applied(&observed.lookups.resolved, &template_spec(vm)) {
        Ok(template) => template,
        Err(text) => return step(Err(text), "HotPlugCPUError", "Error encountered while handling CPU change request"),
    };
    step(cpu(observed, vm, &template, target), "HotPlugCPUError", "Error encountered while handling CPU change request")
        .or_else(|| {
            let done = placement(&template, target);
            step(done, "AffinityChangeError", "Error encountered while handling node affinity change request")
        })
        .or_else(|| {
            let done = tolerations(&template, target);
            step(done, "TolerationsChangeError", "Error encountered while handling tolerations change request")
        })
        .or_else(|| {
            let done = memory(observed, vm, &template, target);
            step(done, "HotPlugMemoryError", "error encountered while handling memory hotplug requests")
        })
}

fn is_migrating(vmi: &VirtualMachineInstance) -> bool {
    let state = vmi.status.as_ref().and_then(|status| status.migration_state.as_deref());
    state.is_some_and(|state| state.start_timestamp.is_some() && state.end_timestamp.is_none())
}

fn conditions_of(vmi: &VirtualMachineInstance) -> &[api::v1::VirtualMachineInstanceCondition] {
    vmi.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

fn vcpus(cpu: &CPU) -> i64 {
    [cpu.sockets, cpu.cores, cpu.threads].into_iter().map(|factor| i64::from(factor.unwrap_or(1).max(1))).product()
}

fn cpu(
    observed: &Observed<'_>,
    vm: &mut VirtualMachine,
    template: &VirtualMachineInstanceSpec,
    target: &mut VirtualMachineInstance,
) -> Result<(), String> {
    let (Some(wanted), Some(current)) = (template.domain.cpu.as_ref(), target.spec.domain.cpu.clone()) else { return Ok(()) };
    let (new, old) = (wanted.sockets.unwrap_or(1), current.sockets.unwrap_or(1));
    if new == old || current.max_sockets.unwrap_or(0) == 0 {
        return Ok(());
    }
    if conditions::is(conditions_of(target), vmi_condition::HOT_VCPU_CHANGE, TRUE) {
        return Err("another CPU hotplug is in progress".to_owned());
    }
    if is_migrating(target) {
        return Err("CPU hotplug is not allowed while VMI is migrating".to_owned());
    }
    if new > current.max_sockets.unwrap_or(0) {
        ask_for_restart(observed, vm, "CPU sockets updated in template spec to a value higher than what's available");
        return Ok(());
    }
    if new < old {
        ask_for_restart(observed, vm, "Reduction of CPU socket count requires a restart");
        return Ok(());
    }
    if target.spec.architecture.as_deref() == Some("arm64") {
        ask_for_restart(observed, vm, "CPU hotplug is not supported on arm64");
        return Ok(());
    }
    let changed = CPU { sockets: Some(new), ..current.clone() };
    let added = (vcpus(&changed) - vcpus(&current)) * 1000 / observed.config.cpu_allocation_ratio().max(1);
    let asked = template.domain.resources.clone().unwrap_or_default();
    if let Some(resources) = &mut target.spec.domain.resources {
        for (map, asked) in [(&mut resources.requests, &asked.requests), (&mut resources.limits, &asked.limits)] {
            if asked.contains_key("cpu")
                && let Some(known) = map.get_mut("cpu")
            {
                *known = amount(known).plus(Amount::milli(added)).quantity();
            }
        }
    }
    target.spec.domain.cpu = Some(changed);
    Ok(())
}

fn placement(template: &VirtualMachineInstanceSpec, target: &mut VirtualMachineInstance) -> Result<(), String> {
    if template.affinity == target.spec.affinity && template.node_selector == target.spec.node_selector {
        return Ok(());
    }
    if is_migrating(target) {
        return Err("Node affinity should not be changed during VMI migration".to_owned());
    }
    target.spec.affinity.clone_from(&template.affinity);
    target.spec.node_selector.clone_from(&template.node_selector);
    Ok(())
}

fn tolerations(template: &VirtualMachineInstanceSpec, target: &mut VirtualMachineInstance) -> Result<(), String> {
    if template.tolerations == target.spec.tolerations {
        return Ok(());
    }
    if is_migrating(target) {
        return Err("Tolerations should not be changed during VMI migration".to_owned());
    }
    target.spec.tolerations.clone_from(&template.tolerations);
    Ok(())
}

fn memory(
    observed: &Observed<'_>,
    vm: &mut VirtualMachine,
    template: &VirtualMachineInstanceSpec,
    target: &mut VirtualMachineInstance,
) -> Result<(), String> {
    let Some(wanted) = template.domain.memory.as_ref().and_then(|memory| memory.guest.clone()) else { return Ok(()) };
    let Some(status) = target.status.as_ref().and_then(|status| status.memory.clone()) else { return Ok(()) };
    let Some(current) = status.guest_current.as_ref() else { return Ok(()) };
    let in_spec = target.spec.domain.memory.as_ref().and_then(|memory| memory.guest.as_ref());
    let new = amount(&wanted).value();
    if in_spec.is_some_and(|known| amount(known).value() == new) {
        return Ok(());
    }
    let failed = conditions::is(conditions_of(target), vmi_condition::HOT_MEMORY_CHANGE, FALSE);
    if failed {
        let text = "memory updated in template spec. Memory-hotplug failed and is not available for this VM configuration";
        ask_for_restart(observed, vm, text);
        return Ok(());
    }
    if !conditions::is(conditions_of(target), vmi_condition::LIVE_MIGRATABLE, TRUE) {
        let text = "memory updated in template spec. Memory-hotplug is only available for migratable VMs";
        ask_for_restart(observed, vm, text);
        return Ok(());
    }
    if conditions::is(conditions_of(target), vmi_condition::HOT_MEMORY_CHANGE, TRUE) {
        return Err("another memory hotplug is in progress".to_owned());
    }
    if is_migrating(target) {
        return Err("memory hotplug is not allowed while VMI is migrating".to_owned());
    }
    let Some(most) = target.spec.domain.memory.as_ref().and_then(|memory| memory.max_guest.clone()) else {
        ask_for_restart(observed, vm, "memory updated in template spec. Memory-hotplug is not available for this VM configuration");
        return Ok(());
    };
    if let Some(text) = unsupported(target, new, amount(&most).value()) {
        ask_for_restart(observed, vm, &format!("memory hotplug not supported, {text}"));
        return Ok(());
    }
    if status.guest_at_boot.as_ref().is_some_and(|boot| new < amount(boot).value()) {
        ask_for_restart(observed, vm, "memory updated in template spec to a value lower than what the VM started with");
        return Ok(());
    }
    grow(target, &wanted, new - amount(current).value());
    Ok(())
}

/// Why this guest's memory cannot change to `new` bytes.
fn unsupported(vmi: &VirtualMachineInstance, new: i64, most: i64) -> Option<String> {
    const ALIGNMENT: i64 = 2 * 1024 * 1024;
    let architecture = vmi.spec.architecture.as_deref().unwrap_or_default();
    if new > most {
        return Some("Guest memory is greater than the configured maxGuest memory".to_owned());
    }
    if !matches!(architecture, "amd64" | "arm64") {
        return Some(format!("Memory hotplug is not available for {architecture}"));
    }
    (new % ALIGNMENT != 0).then(|| "Guest memory must be 2Mi aligned".to_owned())
}

/// Gives the guest more memory, and its pod's resources with it.
fn grow(target: &mut VirtualMachineInstance, wanted: &Quantity, added: i64) {
    if let Some(memory) = &mut target.spec.domain.memory {
        memory.guest = Some(wanted.clone());
    }
    let Some(resources) = &mut target.spec.domain.resources else { return };
    if let Some(known) = resources.requests.get_mut("memory") {
        let grown = amount(known).plus(Amount::bytes(added));
        *known = if grown.value() < amount(wanted).value() { wanted.clone() } else { grown.quantity() };
    }
    if let Some(known) = resources.limits.get_mut("memory") {
        *known = amount(known).plus(Amount::bytes(added)).quantity();
    }
}
