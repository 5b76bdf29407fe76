//! Bringing a pool to its number, and letting go of VMs that leave (spec controllers §5, Scale).

use std::collections::BTreeSet;

use api::names;
use api::pool::v1beta1::VirtualMachinePoolScaleInStrategy;
use api::v1::VirtualMachine;

use super::{BURST, Observed, drop_finalizer, encoded, on_failure, reason, revision, select, template};
use crate::metadata;
use crate::ownership;
use crate::plan::{Action, ObjectRef, OnFailure, Plan, PlanError, Tolerate, event, kinds};
use crate::storage::claim_name;

/// The names of the claims and DataVolumes that VMs on their way out leave behind, where the pool preserves state.
pub fn storage_needed(observed: &Observed<'_>) -> BTreeSet<String> {
    if !preserves(observed) {
        return BTreeSet::new();
    }
    leaving(observed).flat_map(|vm| storage_of(vm)).collect()
}

fn storage_of(vm: &VirtualMachine) -> BTreeSet<String> {
    let templates = vm.spec.data_volume_templates.iter().filter_map(|template| template.metadata.as_deref()?.name.clone());
    let volumes = vm.spec.template.spec.as_deref().map(|spec| spec.volumes.as_slice()).unwrap_or_default();
    templates.chain(volumes.iter().filter_map(claim_name).map(str::to_owned)).collect()
}

/// VMs that are being deleted and wait for the pool.
fn leaving<'a>(observed: &Observed<'a>) -> impl Iterator<Item = &'a std::sync::Arc<VirtualMachine>> {
    observed.owned().filter(|vm| metadata::is_deleting(&vm.metadata) && metadata::has_finalizer(&vm.metadata, names::POOL_FINALIZER))
}

/// Whether the storage of VMs that leave is kept.
fn preserves(observed: &Observed<'_>) -> bool {
    let Some(strategy) = &observed.pool.spec.scale_in_strategy else { return false };
    let opportunistic = strategy.opportunistic.as_ref().and_then(|strategy| strategy.state_preservation.as_deref());
    let proactive = strategy.proactive.as_ref().and_then(|strategy| strategy.state_preservation.as_deref());
    opportunistic.or(proactive).is_some_and(|policy| policy != "Disabled")
}

/// The writes that let VMs go that are being deleted, whoever deleted them; their storage first, where it is kept.
pub(super) fn let_go(observed: &Observed<'_>) -> Vec<Action> {
    let preserves = preserves(observed);
    let mut actions = Vec::new();
    for vm in leaving(observed) {
        if preserves {
            actions.extend(keep_storage(observed, vm));
        }
        let failure = failed_update(observed, vm, "Error removing finalizer for VM");
        actions.extend(drop_finalizer(vm).map(|action| action.otherwise(OnFailure { tolerate: Tolerate::NotFound, ..failure })));
    }
    actions
}

fn failed_update(observed: &Observed<'_>, vm: &VirtualMachine, what: &str) -> OnFailure {
    let text = format!("{what} {}: ", full_name(vm));
    on_failure(reason::SCALE_IN, "error during scale in: ", Some((observed.reference(), text)), reason::UPDATE)
}

/// The writes after which a VM owns none of its storage any more.
fn keep_storage(observed: &Observed<'_>, vm: &VirtualMachine) -> Vec<Action> {
    let uid = metadata::uid(&vm.metadata);
    let mut actions = Vec::new();
    for name in storage_of(vm) {
        let claim = observed.storage.claims.get(&name).map(|claim| (&kinds::PVC, &claim.metadata));
        let volume = observed.storage.data_volumes.get(&name).map(|volume| (&kinds::DATA_VOLUME, &volume.metadata));
        for (kind, object) in claim.into_iter().chain(volume) {
            if metadata::is_controlled_by(object, uid) {
                let failure = failed_update(observed, vm, &format!("Error removing {} owner references for VM", kind.kind));
                actions.extend(ownership::release(uid, None, kind, object).map(|action| action.otherwise(failure)));
            }
        }
    }
    actions
}

/// Plans the creations or deletions that bring the pool to its number.
pub(super) fn plan(observed: &Observed<'_>, plan: &mut Plan) -> Result<(), PlanError> {
    let difference = observed.difference();
    let count = usize::try_from(difference.unsigned_abs()).unwrap_or(BURST);
    if difference < 0 { out(observed, count.min(BURST), plan) } else { inwards(observed, count, plan) }
}

fn out(observed: &Observed<'_>, count: usize, plan: &mut Plan) -> Result<(), PlanError> {
    let failed = |error: PlanError| PlanError::new(reason::SCALE_OUT, format!("error during scale out: {}", error.message));
    let failure = on_failure(reason::SCALE_OUT, "error during scale out: ", None, "");
    plan.actions.extend(revision::ensure(observed, failure).map_err(failed)?);
    let taken: BTreeSet<&str> = observed.vms.iter().map(|vm| metadata::name(&vm.metadata)).collect();
    let base = metadata::name(&observed.pool.metadata);
    let free = (0_u64..).map(|ordinal| (ordinal, format!("{base}-{ordinal}"))).filter(|(_, name)| !taken.contains(name.as_str()));
    for (ordinal, name) in free.take(count) {
        let vm = template::vm(observed, ordinal, &name);
        let event = Some((observed.reference(), "Error creating VM: ".to_owned()));
        plan.actions.push(Action::Create {
            object: ObjectRef { name: String::new(), ..ObjectRef::of(&kinds::VM, &vm.metadata) },
            body: encoded(&vm, reason::SCALE_OUT)?,
            on_failure: OnFailure {
                // One that came into being meanwhile has the name: the next look takes another.
                tolerate: Tolerate::AlreadyExists,
                ..on_failure(reason::SCALE_OUT, "error during scale out: ", event, names::reason::FAILED_CREATE)
            },
        });
        plan.actions.push(Action::normal(&observed.reference(), event::SUCCESSFUL_CREATE, format!("Created VM {}", full_name(&vm))));
    }
    Ok(())
}

/// Scales in, unless that is left to others; VMs being deleted count.
fn inwards(observed: &Observed<'_>, excess: usize, plan: &mut Plan) -> Result<(), PlanError> {
    let strategy = observed.pool.spec.scale_in_strategy.clone().unwrap_or_default();
    let VirtualMachinePoolScaleInStrategy { unmanaged, opportunistic, proactive } = strategy;
    if unmanaged.is_some() || opportunistic.is_some() {
        return Ok(());
    }
    let going = observed.owned().count() - observed.members().count();
    let count = excess.saturating_sub(going).min(BURST);
    if count == 0 {
        return Ok(());
    }
    let policy = proactive.and_then(|proactive| proactive.selection_policy).unwrap_or_default();
    let failed = |error: String| PlanError::new(reason::SCALE_IN, format!("error during scale in: {error}"));
    let mut candidates: Vec<_> = select::matching(observed.members().collect(), policy.selectors.as_ref()).map_err(failed)?;
    select::sort(&mut candidates, policy.sort_policy.as_deref(), observed.salt);
    plan.actions.extend(candidates.into_iter().take(count).flat_map(|vm| deletion(observed, vm)));
    Ok(())
}

/// The deletion of a VM of the pool. What holds it is taken away once the deletion is under way.
pub(super) fn deletion(observed: &Observed<'_>, vm: &VirtualMachine) -> [Action; 2] {
    let event = Some((observed.reference(), format!("Error deleting virtual machine {}: ", full_name(vm))));
    let on_failure = OnFailure {
        tolerate: Tolerate::NotFound,
        ..on_failure(reason::SCALE_IN, "error during scale in: ", event, names::reason::FAILED_DELETE)
    };
    let text = format!("Deleted VM {} with uid {} from pool", full_name(vm), metadata::uid(&vm.metadata));
    [
        Action::Delete { object: ObjectRef::of(&kinds::VM, &vm.metadata), grace_seconds: None, propagation: None, on_failure },
        Action::normal(&observed.reference(), event::SUCCESSFUL_DELETE, text),
    ]
}

/// `namespace/name`.
pub(super) fn full_name(vm: &VirtualMachine) -> String {
    format!("{}/{}", metadata::namespace(&vm.metadata), metadata::name(&vm.metadata))
}
