//! The first half of a reconciliation: the instance and its storage (spec controllers §3.3).

use std::collections::BTreeMap;
use std::time::Duration;

use api::names::{self, reason};
use api::v1::values::vm_condition;
use api::v1::{VirtualMachine, VirtualMachineInstance};

use super::run_strategy::{Decision, decide};
use super::{
    Observed, RunStrategy, data_volumes, instancetypes, live_update, memory_dump, network, propagate, restart_required, revision, start,
    volumes,
};
use crate::conditions::{self, TRUE};
use crate::guarded::GuardedPatch;
use crate::metadata;
use crate::plan::{Action, ObjectRef, PlanError, kinds};

/// The API version objects are stored and preferred at.
const API_VERSION: &str = "v1";

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Sync {
    /// The writes, in order.
    pub actions: Vec<Action>,
    /// What is wrong; the actions are to be applied all the same.
    pub error: Option<PlanError>,
    /// The error leaves the status as it is.
    pub hard: bool,
    /// Look again after this long.
    pub requeue: Option<Duration>,
    /// The VM as the actions leave it, with what its status has to say about them.
    pub vm: VirtualMachine,
    /// The actions create an instance.
    pub creates: bool,
    /// The actions delete the instance.
    pub deletes: bool,
    /// The VM lost its last finalizer: it is gone.
    pub releases: bool,
    /// A failed instance is wanted back.
    pub ask_for_start: bool,
}

/// Plans what is to be done to the instance and its storage, in upstream's order.
pub fn sync(observed: &Observed<'_>) -> Sync {
    let mut plan = Sync {
        actions: Vec::new(),
        error: None,
        hard: false,
        requeue: None,
        vm: observed.vm.clone(),
        creates: false,
        deletes: false,
        releases: false,
        ask_for_start: false,
    };
    if observed.expected.unsatisfied {
        return plan;
    }
    for annotation in [names::LATEST_OBSERVED_API_VERSION_ANNOTATION, names::STORAGE_OBSERVED_API_VERSION_ANNOTATION] {
        metadata::set(&mut plan.vm.metadata.annotations, annotation, Some(API_VERSION));
    }
    if metadata::is_deleting(&observed.vm.metadata) {
        delete(observed, &mut plan);
        return plan;
    }
    metadata::add_finalizer(&mut plan.vm.metadata, names::VM_FINALIZER);
    start::persist_firmware(&mut plan.vm);
    let strategy = match RunStrategy::of(observed.vm) {
        Ok(strategy) => strategy,
        Err(error) => {
            plan.error = Some(error);
            plan.hard = true;
            return plan;
        }
    };
    let mut after = Vec::new();
    let mut references = instancetypes::sync(observed, &mut plan.vm);
    plan.error = references.error.take();
    if plan.error.is_none() && !references.rewritten {
        run(observed, &strategy, &references.leaked, &mut plan, &mut after);
        if let Some(vmi) = observed.vmi {
            require_restart(observed, vmi, &mut plan);
        }
        if !plan.creates && !plan.deletes && plan.error.is_none() {
            decorate(observed, &mut plan, &mut after);
        }
    }
    // The VM first: its finalizer has to be there before an instance is, and a changed template before it is acted upon.
    let mut actions: Vec<Action> = write(observed, &plan.vm).into_iter().collect();
    actions.append(&mut references.actions);
    actions.append(&mut plan.actions);
    actions.append(&mut after);
    plan.actions = actions;
    plan
}

/// Step 3: a VM goes after its instance; with an orphan's finalizer, without it.
fn delete(observed: &Observed<'_>, plan: &mut Sync) {
    let orphan = metadata::has_finalizer(&observed.vm.metadata, "orphan");
    match observed.vmi {
        Some(vmi) if !orphan => {
            plan.actions = start::stop(observed, vmi);
            plan.deletes = !plan.actions.is_empty();
        }
        Some(_) | None => {
            metadata::remove_finalizer(&mut plan.vm.metadata, names::VM_FINALIZER);
            plan.releases = plan.vm.metadata.finalizers.is_none();
            plan.actions.extend(write(observed, &plan.vm));
        }
    }
}

/// Steps 8 and 9: storage, then what the run strategy says.
fn run(observed: &Observed<'_>, strategy: &RunStrategy, leaked: &BTreeMap<String, String>, plan: &mut Sync, after: &mut Vec<Action>) {
    let immediate = metadata::annotation(&observed.vm.metadata, names::IMMEDIATE_DATA_VOLUME_CREATION_ANNOTATION) != Some("false");
    let mut templates = None;
    if immediate {
        let mut ensured = data_volumes::ensure(observed, "Error encountered while creating DataVolumes: ");
        after.append(&mut ensured.actions);
        plan.error = ensured.error.take();
        if plan.error.is_some() || (!ensured.ready && *strategy != RunStrategy::Halted) {
            return;
        }
        templates = Some(ensured);
    }
    match decide(observed, strategy) {
        Decision::Leave => {}
        Decision::Wait(left) => plan.requeue = Some(left),
        Decision::Refuse(error) => plan.error = Some(error),
        Decision::Stop { ask_for_start } => {
            let Some(vmi) = observed.vmi else { return };
            plan.actions = start::stop(observed, vmi);
            plan.deletes = !plan.actions.is_empty();
            plan.ask_for_start = ask_for_start;
            clear_restart(&mut plan.vm);
        }
        Decision::Become(strategy) => {
            plan.vm.spec.running = None;
            plan.vm.spec.run_strategy = Some(strategy.as_str().to_owned());
        }
        Decision::Unhalt => {
            if plan.vm.spec.run_strategy.is_some() {
                plan.vm.spec.run_strategy = Some(RunStrategy::Always.as_str().to_owned());
            } else {
                plan.vm.spec.running = Some(true);
            }
            // Upstream reports this although nothing failed; the retry it causes starts the instance.
            plan.error = Some(PlanError::new(reason::FAILED_CREATE, format!("{}<nil>", start::FAILURE)));
        }
        Decision::Start => {
            let ensured = templates.unwrap_or_else(|| {
                let mut ensured = data_volumes::ensure(observed, start::FAILURE);
                after.append(&mut ensured.actions);
                ensured
            });
            plan.error.clone_from(&ensured.error);
            let stored = observed.vm.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            if plan.error.is_some() || !ensured.ready || conditions::is(stored, vm_condition::MANUAL_RECOVERY_REQUIRED, TRUE) {
                return;
            }
            clear_restart(&mut plan.vm);
            // As it is stored, but for what was just recorded.
            let mut vm = VirtualMachine { status: plan.vm.status.clone(), ..observed.vm.clone() };
            if !leaked.is_empty() {
                let annotations = &mut vm.spec.template.metadata.get_or_insert_default().annotations;
                annotations.get_or_insert_default().extend(leaked.clone());
            }
            match start::start(observed, &vm, strategy) {
                Ok(actions) => {
                    plan.actions = actions;
                    plan.creates = true;
                }
                Err(refused) => {
                    after.extend(refused.event.map(|text| Action::warning(&observed.reference(), reason::FAILED_CREATE, text)));
                    plan.error = Some(refused.error);
                }
            }
        }
    }
}

fn clear_restart(vm: &mut VirtualMachine) {
    if let Some(status) = &mut vm.status {
        conditions::remove(&mut status.conditions, vm_condition::RESTART_REQUIRED);
    }
}

/// Sets the condition that asks for a restart.
pub(super) fn ask_for_restart(observed: &Observed<'_>, vm: &mut VirtualMachine, message: &str) {
    let condition = conditions::vm(vm_condition::RESTART_REQUIRED, TRUE, "", message, &observed.now);
    conditions::update(&mut vm.status.get_or_insert_default().conditions, condition);
}

/// Step 10.
fn require_restart(observed: &Observed<'_>, vmi: &VirtualMachineInstance, plan: &mut Sync) {
    match restart_required::evaluate(observed, vmi, &plan.vm) {
        None => {}
        Some(true) => ask_for_restart(observed, &mut plan.vm, "a non-live-updatable field was changed in the template spec"),
        Some(false) => clear_restart(&mut plan.vm),
    }
}

/// Steps 5, 12 and 13: what changes on a living instance, and what follows from it to the VM.
fn decorate(observed: &Observed<'_>, plan: &mut Sync, after: &mut Vec<Action>) {
    let mut vmi_changes = GuardedPatch::default();
    let mut target = observed.vmi.cloned();
    if let (Some(vmi), Some(target)) = (observed.vmi, &mut target)
        && let Some(generation) = revision::newer_generation(observed, vmi)
    {
        metadata::set(&mut target.metadata.annotations, names::VM_GENERATION_ANNOTATION, Some(&generation));
    }
    network::sync(observed, &mut plan.vm, target.as_mut());
    volumes::apply_requests(observed, &mut plan.vm, after);
    if let Some(target) = &mut target {
        volumes::hotplug(observed, &plan.vm, target);
    }
    if let Err(error) = memory_dump::apply(observed, &mut plan.vm, target.as_mut(), after) {
        plan.error = Some(error);
    }
    if let Some(target) = &mut target {
        propagate::metadata(observed, &plan.vm, target);
        propagate::pci_topology(target, &mut plan.vm);
        let restart = plan.vm.status.as_ref().is_some_and(|status| conditions::has(&status.conditions, vm_condition::RESTART_REQUIRED));
        if observed.config.live_update() && !restart && plan.error.is_none() {
            plan.error = live_update::apply(observed, &mut plan.vm, target);
        }
    }
    if let (Some(vmi), Some(target)) = (observed.vmi, target) {
        vmi_changes.change("/metadata/labels", &vmi.metadata.labels, &target.metadata.labels);
        vmi_changes.change("/metadata/annotations", &vmi.metadata.annotations, &target.metadata.annotations);
        change_spec(&mut vmi_changes, "/spec", &vmi.spec, &target.spec);
        after.extend(vmi_changes.into_action(ObjectRef::of(&kinds::VMI, &vmi.metadata)));
    }
}

/// Changes of a specification, as deep as they are independent of each other.
fn change_spec(
    changes: &mut GuardedPatch,
    prefix: &str,
    old: &api::v1::VirtualMachineInstanceSpec,
    new: &api::v1::VirtualMachineInstanceSpec,
) {
    if old == new {
        return;
    }
    let mut outer = (old.clone(), new.clone());
    for spec in [&mut outer.0, &mut outer.1] {
        spec.domain = api::v1::DomainSpec::default();
    }
    changes.change_fields(prefix, &outer.0, &outer.1);
    let domain = format!("{prefix}/domain");
    let mut inner = (old.domain.clone(), new.domain.clone());
    for spec in [&mut inner.0, &mut inner.1] {
        spec.devices = api::v1::Devices::default();
    }
    changes.change_fields(&domain, &inner.0, &inner.1);
    changes.change_fields(&format!("{domain}/devices"), &old.domain.devices, &new.domain.devices);
}

/// The write that makes the stored VM the one planned, status aside.
fn write(observed: &Observed<'_>, next: &VirtualMachine) -> Option<Action> {
    let old = observed.vm;
    let mut patch = GuardedPatch::default();
    patch.change("/metadata/finalizers", &old.metadata.finalizers, &next.metadata.finalizers);
    patch.change("/metadata/annotations", &old.metadata.annotations, &next.metadata.annotations);
    patch.change("/spec/instancetype", &old.spec.instancetype, &next.spec.instancetype);
    patch.change("/spec/preference", &old.spec.preference, &next.spec.preference);
    patch.change("/spec/running", &old.spec.running, &next.spec.running);
    patch.change("/spec/runStrategy", &old.spec.run_strategy, &next.spec.run_strategy);
    let template = (&old.spec.template, &next.spec.template);
    match (&template.0.metadata, &template.1.metadata) {
        (Some(old), Some(new)) => patch.change("/spec/template/metadata/annotations", &old.annotations, &new.annotations),
        (old, new) => patch.change("/spec/template/metadata", old, new),
    }
    match (&template.0.spec, &template.1.spec) {
        (Some(old), Some(new)) => change_spec(&mut patch, "/spec/template/spec", old, new),
        (old, new) => patch.change("/spec/template/spec", old, new),
    }
    patch.into_action(observed.reference())
}
