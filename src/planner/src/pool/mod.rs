//! Pools of virtual machines (spec controllers §5).
//!
//! Flow: VMs that no longer match are let go ([`detach`]); then one step of what is due is planned ([`sync`]): heal, let go of VMs
//! that are being deleted, scale, update, prune; the status says how it stands ([`status`]). Guarantees: a VM's name is the pool's
//! and the lowest ordinal that is free, so that a repeated creation makes nothing twice; a VM that leaves keeps its storage where
//! the pool preserves state; no VM is restarted for an update beyond what may be unavailable, except those that are so already.

mod heal;
mod revision;
mod scale;
mod select;
mod status;
mod template;
mod update;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use admission::selector;
use api::names;
use api::pool::v1beta1::{VirtualMachinePool, VirtualMachineTemplateSpec};
use api::v1::{VirtualMachine, VirtualMachineInstance};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::guarded::GuardedPatch;
use crate::metadata;
use crate::ownership;
use crate::plan::{Action, ObjectRef, OnFailure, Plan, PlanError, Tolerate, kinds};
use crate::storage::Storage;

pub use self::revision::contents_needed;
pub use self::scale::storage_needed;
pub use self::status::status;

/// The most VMs created or deleted at a time.
pub const BURST: usize = 250;
/// How long changes are gathered before a pool is looked at.
pub const DELAY: Duration = Duration::from_secs(1);
/// How long a pool waits for VMs to become available before it looks again.
const RECHECK: Duration = Duration::from_secs(3);

/// Reasons of a pool's failures (spec observability §7).
mod reason {
    pub(super) const SCALE_OUT: &str = "FailedScaleOut";
    pub(super) const SCALE_IN: &str = "FailedScaleIn";
    pub(super) const UPDATE: &str = "FailedUpdate";
    pub(super) const PRUNE: &str = "FailedRevisionPruning";
}

/// Everything a decision depends on.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The pool.
    pub pool: &'a VirtualMachinePool,
    /// All VMs of its namespace, by name.
    pub vms: &'a [Arc<VirtualMachine>],
    /// The instances of its VMs, by name.
    pub vmis: &'a BTreeMap<String, Arc<VirtualMachineInstance>>,
    /// The revisions it owns; with their data those of [`contents_needed`].
    pub revisions: &'a [Arc<ControllerRevision>],
    /// The claims and DataVolumes of [`storage_needed`].
    pub storage: &'a Storage,
    /// How long a VM may fail before it is replaced, where the pool heals itself.
    pub heal_after: Duration,
    /// Random; decides among equals.
    pub salt: u64,
    /// The present.
    pub now: &'a Time,
}

/// Whether a pool can be worked on at all.
///
/// # Errors
/// What is wrong with its selector or template; only a change of the pool can cure it.
pub fn judge(pool: &VirtualMachinePool) -> Result<(), String> {
    let template = &pool.spec.virtual_machine_template;
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    match selector::matches(&pool.spec.selector, &labels) {
        Err(error) => Err(format!("invalid selector: {error}")),
        Ok(false) => Err("the selector does not match the template's labels".to_owned()),
        Ok(true) if template.spec.is_none() => Err("the template has no spec".to_owned()),
        Ok(true) => Ok(()),
    }
}

/// The writes that let go of VMs whose labels no longer match; they are nobody's from then on, and stay.
pub fn detach(observed: &Observed<'_>) -> Vec<Action> {
    if metadata::is_deleting(&observed.pool.metadata) {
        return Vec::new();
    }
    let uid = observed.uid();
    let strangers = observed.vms.iter().filter(|vm| metadata::is_controlled_by(&vm.metadata, uid) && !observed.selects(&vm.metadata));
    strangers.filter_map(|vm| ownership::release(uid, Some(names::POOL_FINALIZER), &kinds::VM, &vm.metadata)).collect()
}

/// The write that lets go of a deleted VM that waits for a pool which is gone, or which it was taken from.
pub fn abandon(vm: &VirtualMachine) -> Option<Action> {
    if metadata::is_deleting(&vm.metadata) { drop_finalizer(vm) } else { None }
}

/// Plans the next step: what is there to do first.
pub fn sync(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan::default();
    if metadata::is_deleting(&observed.pool.metadata) {
        dissolve(observed, &mut plan);
        return plan;
    }
    // A deletion ends, whatever else is held up.
    plan.actions.extend(scale::let_go(observed));
    if observed.pool.spec.paused == Some(true) {
        return plan;
    }
    plan.actions.extend(hold(observed.pool));
    let failing = heal::plan(observed);
    if !failing.is_empty() {
        // Who goes is known; who comes instead is decided when they are gone.
        plan.actions.extend(failing);
        return plan;
    }
    if let Err(error) = scale::plan(observed, &mut plan) {
        plan.error = Some(error);
        return plan;
    }
    if !plan.is_quiet() || observed.difference() != 0 {
        return plan;
    }
    match update::plan(observed, &mut plan) {
        Err(error) => plan.error = Some(error),
        Ok(update::Outcome::Stable) if plan.is_quiet() => plan.actions.extend(revision::prune(observed)),
        Ok(_) => {}
    }
    plan
}

/// The writes that let a pool go that is being deleted: its VMs no longer wait for it, and go with it as the deletion says.
fn dissolve(observed: &Observed<'_>, plan: &mut Plan) {
    let uid = observed.uid();
    let ours = |vm: &&Arc<VirtualMachine>| {
        metadata::is_controlled_by(&vm.metadata, uid) || (observed.selects(&vm.metadata) && metadata::controller(&vm.metadata).is_none())
    };
    plan.actions.extend(observed.vms.iter().filter(ours).filter_map(|vm| drop_finalizer(vm)));
    let mut kept = observed.pool.metadata.clone();
    metadata::remove_finalizer(&mut kept, names::POOL_FINALIZER);
    let mut patch = GuardedPatch::default();
    patch.change("/metadata/finalizers", &observed.pool.metadata.finalizers, &kept.finalizers);
    let tolerant = OnFailure { tolerate: Tolerate::NotFound, ..OnFailure::default() };
    plan.actions.extend(patch.into_action(observed.reference()).map(|action| action.otherwise(tolerant)));
}

/// The write that makes the pool wait for its clean-up when it is deleted.
fn hold(pool: &VirtualMachinePool) -> Option<Action> {
    let mut held = pool.metadata.clone();
    metadata::add_finalizer(&mut held, names::POOL_FINALIZER);
    let mut patch = GuardedPatch::default();
    patch.change("/metadata/finalizers", &pool.metadata.finalizers, &held.finalizers);
    patch.into_action(ObjectRef::of(&kinds::POOL, &pool.metadata))
}

fn drop_finalizer(vm: &VirtualMachine) -> Option<Action> {
    let mut kept = vm.metadata.clone();
    metadata::remove_finalizer(&mut kept, names::POOL_FINALIZER);
    let mut patch = GuardedPatch::default();
    patch.change("/metadata/finalizers", &vm.metadata.finalizers, &kept.finalizers);
    let tolerant = OnFailure { tolerate: Tolerate::NotFound, ..OnFailure::default() };
    Some(patch.into_action(ObjectRef::of(&kinds::VM, &vm.metadata))?.otherwise(tolerant))
}

/// A failure as a condition shows it, with an event of its own before the one the condition brings.
fn on_failure(reason: &'static str, prefix: &str, event: Option<(ObjectRef, String)>, event_reason: &'static str) -> OnFailure {
    OnFailure { reason: reason.into(), prefix: prefix.to_owned(), event, event_reason: event_reason.into(), ..OnFailure::default() }
}

fn encoded<T: serde::Serialize>(object: &T, reason: &'static str) -> Result<serde_json::Value, PlanError> {
    serde_json::to_value(object).map_err(|error| PlanError::new(reason, error.to_string()))
}

/// The number at the end of a VM's name.
fn ordinal(name: &str) -> Option<u64> {
    name.rsplit('-').next()?.parse().ok()
}

impl<'a> Observed<'a> {
    fn uid(&self) -> &'a str {
        metadata::uid(&self.pool.metadata)
    }

    fn reference(&self) -> ObjectRef {
        ObjectRef::of(&kinds::POOL, &self.pool.metadata)
    }

    fn template(&self) -> &'a VirtualMachineTemplateSpec {
        &self.pool.spec.virtual_machine_template
    }

    fn selects(&self, object: &ObjectMeta) -> bool {
        selector::matches(&self.pool.spec.selector, &object.labels.clone().unwrap_or_default()).unwrap_or(false)
    }

    /// The pool's VMs, those being deleted too.
    fn owned(&self) -> impl Iterator<Item = &'a Arc<VirtualMachine>> + use<'a, '_> {
        self.vms.iter().filter(|vm| metadata::is_controlled_by(&vm.metadata, self.uid()) && self.selects(&vm.metadata))
    }

    /// The pool's VMs that stay.
    fn members(&self) -> impl Iterator<Item = &'a Arc<VirtualMachine>> + use<'a, '_> {
        self.owned().filter(|vm| !metadata::is_deleting(&vm.metadata))
    }

    fn wanted(&self) -> i64 {
        i64::from(self.pool.spec.replicas.unwrap_or(1)).max(0)
    }

    /// How many VMs too many there are, those being deleted included; negative when some are missing.
    fn difference(&self) -> i64 {
        i64::try_from(self.owned().count()).unwrap_or(i64::MAX) - self.wanted()
    }
}

#[cfg(test)]
mod tests;
