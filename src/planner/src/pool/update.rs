//! Bringing a changed template to VMs and their instances (spec controllers §5, Update).

use std::sync::Arc;

use api::names;
use api::pool::v1beta1::VirtualMachinePoolSelectionPolicy;
use api::v1::values::{vm_condition, vmi_condition};
use api::v1::{VirtualMachine, VirtualMachineInstance};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::revision::{self, Recorded, recorded};
use super::{Observed, RECHECK, encoded, on_failure, ordinal, reason, select, template};
use crate::conditions;
use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, Plan, PlanError, Propagation, Tolerate, event, kinds};
use crate::vmi::Phase;

/// How the pool stands after its updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every VM is as the template wants it.
    Stable,
    /// VMs are being changed.
    Changing,
}

/// What an instance needs to be as its VM wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drift {
    None,
    /// It says the same under another name.
    Relabel,
    Restart,
    /// Its storage is made from another template.
    Recreate,
}

/// Plans what a changed template leads to.
pub(super) fn plan(observed: &Observed<'_>, plan: &mut Plan) -> Result<Outcome, PlanError> {
    let strategy = observed.pool.spec.update_strategy.clone().unwrap_or_default();
    if strategy.unmanaged.is_some() {
        return Ok(Outcome::Stable);
    }
    let policy = strategy.proactive.and_then(|proactive| proactive.selection_policy);
    let selectors = policy.as_ref().and_then(|policy| policy.selectors.as_ref());
    let chosen = select::matching(observed.members().collect(), selectors)
        .map_err(|error| failed(format!("failed to filter VMs based on ordered policies: {error}")))?;
    let (outdated, current): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|vm| is_outdated(observed, vm));
    renew(observed, &outdated, plan)?;
    if strategy.opportunistic.is_none() {
        restart(observed, current, policy.as_ref(), plan)?;
    }
    Ok(if outdated.is_empty() { Outcome::Stable } else { Outcome::Changing })
}

fn failed(text: impl Into<String>) -> PlanError {
    PlanError::new(reason::UPDATE, text)
}

/// Whether a VM was made from another template than the present one.
fn is_outdated(observed: &Observed<'_>, vm: &VirtualMachine) -> bool {
    match revision::label(&vm.metadata).map(|name| recorded(observed, name)) {
        None | Some(Recorded::Missing) => true,
        Some(Recorded::Unread) => false,
        Some(Recorded::Spec(spec)) => &spec.virtual_machine_template != observed.template(),
    }
}

/// The writes that make VMs what the template says now.
fn renew(observed: &Observed<'_>, outdated: &[&Arc<VirtualMachine>], plan: &mut Plan) -> Result<(), PlanError> {
    const FAILURE: &str = "error during VM update: ";
    if outdated.is_empty() {
        return Ok(());
    }
    plan.actions.extend(revision::ensure(observed, on_failure(reason::UPDATE, FAILURE, None, ""))?);
    for vm in outdated {
        let (namespace, name) = (metadata::namespace(&vm.metadata), metadata::name(&vm.metadata));
        let Some(ordinal) = ordinal(name) else {
            return Err(failed(format!("{FAILURE}the name of VM {namespace}/{name} does not end in a number")));
        };
        let body = encoded(&template::updated(observed, ordinal, vm), reason::UPDATE)?;
        let event = Some((observed.reference(), format!("Error updating virtual machine {namespace}/{name}: ")));
        let on_failure = on_failure(reason::UPDATE, FAILURE, event, reason::UPDATE);
        plan.actions.push(Action::Replace { object: ObjectRef::of(&kinds::VM, &vm.metadata), subresource: None, body, on_failure });
        let text = format!("Updated VM {namespace}/{name}");
        plan.actions.push(Action::normal(&observed.reference(), event::SUCCESSFUL_UPDATE, text));
    }
    Ok(())
}

/// The writes that bring instances of up-to-date VMs up to date: those of VMs that are not ready at once, the others as many at a
/// time as may be unavailable.
fn restart(
    observed: &Observed<'_>,
    mut current: Vec<&Arc<VirtualMachine>>,
    policy: Option<&VirtualMachinePoolSelectionPolicy>,
    plan: &mut Plan,
) -> Result<(), PlanError> {
    let instance = |vm: &VirtualMachine| observed.vmis.get(metadata::name(&vm.metadata));
    let unavailable = current.iter().filter(|vm| !instance(vm).is_some_and(|vmi| is_available(vmi))).count();
    let mut budget = max_unavailable(observed)?.saturating_sub(unavailable);
    if let Some(policy) = policy {
        select::sort(&mut current, policy.sort_policy.as_deref(), observed.salt);
    }
    let (ready, unready): (Vec<_>, Vec<_>) = current.into_iter().partition(|vm| is_ready(vm));
    for (vm, limited) in unready.into_iter().map(|vm| (vm, false)).chain(ready.into_iter().map(|vm| (vm, true))) {
        let Some(vmi) = instance(vm).filter(|vmi| !metadata::is_deleting(&vmi.metadata)) else { continue };
        let drift = drift(observed, vm, vmi);
        if drift == Drift::None {
            continue;
        }
        // A new label makes nobody unavailable.
        if limited && drift != Drift::Relabel {
            if budget == 0 {
                plan.requeue_after(RECHECK);
                continue;
            }
            budget -= 1;
        }
        plan.actions.extend(remedy(observed, vm, vmi, drift));
    }
    Ok(())
}

fn is_ready(vm: &VirtualMachine) -> bool {
    vm.status.as_ref().is_some_and(|status| conditions::is(&status.conditions, vm_condition::READY, conditions::TRUE))
}

fn is_available(vmi: &VirtualMachineInstance) -> bool {
    let known = vmi.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    !metadata::is_deleting(&vmi.metadata)
        && Phase::of(vmi) == Phase::Running
        && conditions::is(known, vmi_condition::READY, conditions::TRUE)
}

/// How many VMs may be unavailable: at least one; all, unless the pool says otherwise.
fn max_unavailable(observed: &Observed<'_>) -> Result<usize, PlanError> {
    let replicas = usize::try_from(observed.wanted()).unwrap_or(0);
    let most = match &observed.pool.spec.max_unavailable {
        None => replicas,
        Some(IntOrString::Int(count)) => usize::try_from(*count).unwrap_or(0),
        Some(IntOrString::String(text)) => {
            let percentage: usize = text
                .trim_end_matches('%')
                .parse()
                .map_err(|error| failed(format!("error during VMI update: invalid maxUnavailable percentage: {text:?}: {error}")))?;
            replicas.saturating_mul(percentage) / 100
        }
    };
    Ok(most.max(1))
}

/// What an instance needs, by the specs that its VM and it were made from.
fn drift(observed: &Observed<'_>, vm: &VirtualMachine, vmi: &VirtualMachineInstance) -> Drift {
    let Some(wanted) = revision::label(&vm.metadata) else { return Drift::None };
    // Nobody knows what it was made from.
    let Some(made_from) = revision::label(&vmi.metadata) else { return Drift::Restart };
    if wanted == made_from {
        return Drift::None;
    }
    let (wanted, made_from) = match (recorded(observed, wanted), recorded(observed, made_from)) {
        (Recorded::Missing | Recorded::Unread, _) | (_, Recorded::Unread) => return Drift::None,
        (_, Recorded::Missing) => return Drift::Restart,
        (Recorded::Spec(wanted), Recorded::Spec(made_from)) => (wanted, made_from),
    };
    let (wanted, made_from) = (wanted.virtual_machine_template.spec, made_from.virtual_machine_template.spec);
    let (wanted, made_from) = (wanted.unwrap_or_default(), made_from.unwrap_or_default());
    if wanted.data_volume_templates != made_from.data_volume_templates {
        Drift::Recreate
    } else if wanted.template != made_from.template {
        Drift::Restart
    } else {
        Drift::Relabel
    }
}

fn remedy(observed: &Observed<'_>, vm: &VirtualMachine, vmi: &VirtualMachineInstance, drift: Drift) -> Vec<Action> {
    let full_name = super::scale::full_name(vm);
    let failure = || OnFailure {
        tolerate: Tolerate::NotFound,
        ..on_failure(
            reason::UPDATE,
            "error during VMI update: ",
            Some((observed.reference(), format!("Error updating resource {full_name}: "))),
            reason::UPDATE,
        )
    };
    let instance = ObjectRef::of(&kinds::VMI, &vmi.metadata);
    let (object, propagation) = match drift {
        Drift::None => return Vec::new(),
        Drift::Relabel => {
            let path = format!("/metadata/labels/{}", names::VM_POOL_REVISION_NAME_LABEL.replace('/', "~1"));
            let (old, new) = (revision::label(&vmi.metadata), revision::label(&vm.metadata));
            let operations = vec![json!({"op": "test", "path": path, "value": old}), json!({"op": "replace", "path": path, "value": new})];
            return vec![Action::json_patch(instance, operations).otherwise(failure())];
        }
        Drift::Restart => (instance, None),
        Drift::Recreate => (ObjectRef::of(&kinds::VM, &vm.metadata), Some(Propagation::Foreground)),
    };
    let text = format!("Successfully updated resource {full_name}");
    vec![
        Action::Delete { object, grace_seconds: None, propagation, on_failure: failure() },
        Action::normal(&observed.reference(), event::SUCCESSFUL_DELETE, text),
    ]
}
