//! Replica sets of instances (spec controllers §4).
//!
//! Flow: the set claims instances by its selector ([`claims`]), is brought to its number ([`sync`]), and says how it stands
//! ([`status`]). Guarantees: an instance that somebody else controls is never touched; at most [`BURST`] are made or removed at a
//! time; a creation whose answer was lost is repeated under the same name.

use std::collections::BTreeSet;
use std::sync::Arc;

use admission::selector;
use api::names::{self, reason};
use api::v1::values::{replicaset_condition, vmi_condition};
use api::v1::{VirtualMachineInstance, VirtualMachineInstanceReplicaSet, VirtualMachineInstanceReplicaSetCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::json;

use crate::conditions;
use crate::metadata;
use crate::ownership;
use crate::plan::{Action, ObjectRef, OnFailure, Patch, Plan, PlanError, Tolerate, event, kinds};
use crate::vmi::Phase;

/// The most instances created or deleted at a time.
pub const BURST: usize = 250;

/// Everything a decision depends on.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The set.
    pub set: &'a VirtualMachineInstanceReplicaSet,
    /// All instances of its namespace.
    pub vmis: &'a [Arc<VirtualMachineInstance>],
    /// Names of instances whose creation was not answered: they may be there already.
    pub unanswered: &'a [String],
    /// Random; makes names that were not there before.
    pub salt: u64,
    /// The present.
    pub now: &'a Time,
}

/// What a set wants to own from now on, and no longer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Orphans taken in; only while the API server still has the set.
    pub adopt: Vec<Action>,
    /// Instances that no longer match.
    pub release: Vec<Action>,
}

/// The instances of a set, by what they count as (spec controllers §4 step 4).
#[derive(Clone, Debug, Default)]
struct Owned<'a> {
    active: Vec<&'a Arc<VirtualMachineInstance>>,
    /// Ended, or on a node that does not answer.
    finished: Vec<&'a Arc<VirtualMachineInstance>>,
}

/// Whether a set can be worked on at all.
///
/// # Errors
/// What is wrong with its selector or template; only a change of the set can cure it.
pub fn judge(set: &VirtualMachineInstanceReplicaSet) -> Result<(), String> {
    let labels = set.spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    if labels.is_empty() || set.spec.template.spec.is_none() {
        return Err("the template has no labels or no spec".to_owned());
    }
    match selector::matches(&set.spec.selector, &labels) {
        Err(error) => Err(format!("invalid selector: {error}")),
        Ok(false) => Err("the selector does not match the template's labels".to_owned()),
        Ok(true) => Ok(()),
    }
}

/// Whether the set's selector finds an object.
pub fn selects(set: &VirtualMachineInstanceReplicaSet, object: &ObjectMeta) -> bool {
    let labels = object.labels.clone().unwrap_or_default();
    selector::matches(&set.spec.selector, &labels).unwrap_or(false)
}

/// The write that notes which API version the set was seen at (spec controllers §1.5); nothing when it says so.
pub fn observed_version(set: &VirtualMachineInstanceReplicaSet) -> Option<Action> {
    let annotations = [names::LATEST_OBSERVED_API_VERSION_ANNOTATION, names::STORAGE_OBSERVED_API_VERSION_ANNOTATION];
    if annotations.iter().all(|key| metadata::annotation(&set.metadata, key) == Some("v1")) {
        return None;
    }
    let body = json!({"metadata": {"annotations": {annotations[0]: "v1", annotations[1]: "v1"}}});
    let object = ObjectRef::of(&kinds::REPLICA_SET, &set.metadata);
    Some(Action::Patch { object, subresource: None, patch: Patch::Merge(body), on_failure: OnFailure::default() })
}

/// Plans which instances are adopted and released; neither by a set that is going.
pub fn claims(observed: &Observed<'_>) -> Claims {
    let mut claims = Claims::default();
    if metadata::is_deleting(&observed.set.metadata) {
        return claims;
    }
    let (set, uid) = (ObjectRef::of(&kinds::REPLICA_SET, &observed.set.metadata), metadata::uid(&observed.set.metadata));
    for vmi in observed.vmis.iter().filter(|vmi| !metadata::is_deleting(&vmi.metadata)) {
        let ours = metadata::is_controlled_by(&vmi.metadata, uid);
        match (ours, selects(observed.set, &vmi.metadata)) {
            (true, false) => claims.release.extend(ownership::release(uid, None, &kinds::VMI, &vmi.metadata)),
            (false, true) if metadata::controller(&vmi.metadata).is_none() => {
                claims.adopt.extend(ownership::adopt(&set, &kinds::VMI, &vmi.metadata));
            }
            _ => {}
        }
    }
    claims
}

impl<'a> Owned<'a> {
    fn of(observed: &Observed<'a>) -> Self {
        let uid = metadata::uid(&observed.set.metadata);
        let mut owned = Self::default();
        for vmi in observed.vmis.iter().filter(|vmi| !metadata::is_deleting(&vmi.metadata)) {
            if metadata::is_controlled_by(&vmi.metadata, uid) && selects(observed.set, &vmi.metadata) {
                let unknown = conditions::is_because(conditions_of(vmi), vmi_condition::READY, conditions::FALSE, reason::POD_TERMINATING);
                if Phase::of(vmi).is_final() || unknown { owned.finished.push(vmi) } else { owned.active.push(vmi) }
            }
        }
        owned
    }
}

fn conditions_of(vmi: &VirtualMachineInstance) -> &[api::v1::VirtualMachineInstanceCondition] {
    vmi.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

fn is_ready(vmi: &VirtualMachineInstance) -> bool {
    conditions::is(conditions_of(vmi), vmi_condition::READY, conditions::TRUE)
}

fn wanted(set: &VirtualMachineInstanceReplicaSet) -> usize {
    usize::try_from(set.spec.replicas.unwrap_or(1)).unwrap_or(0)
}

/// Plans the creations and deletions that bring the set to its number, and removes what ended; nothing while it is paused or going.
pub fn sync(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan::default();
    if observed.set.spec.paused == Some(true) || metadata::is_deleting(&observed.set.metadata) {
        return plan;
    }
    let owned = Owned::of(observed);
    let wanted = wanted(observed.set);
    if owned.active.len() < wanted {
        match creations(observed, (wanted - owned.active.len()).min(BURST)) {
            Ok(actions) => plan.actions.extend(actions),
            Err(error) => {
                plan.error = Some(error);
                return plan;
            }
        }
    }
    let excess = owned.active.len().saturating_sub(wanted).min(BURST);
    for vmi in dispensable_first(owned.active).into_iter().take(excess) {
        let text = format!("Stopped the virtual machine by deleting the virtual machine instance {}", metadata::uid(&vmi.metadata));
        plan.actions.extend(deletion(observed, vmi, "Error deleting virtual machine instance", text));
    }
    for vmi in owned.finished.iter().take(BURST) {
        let text = format!("Deleted finished virtual machine: {}", metadata::uid(&vmi.metadata));
        plan.actions.extend(deletion(observed, vmi, "Error deleting finished virtual machine", text));
    }
    plan
}

/// How far an instance is on its way.
fn rank(phase: Phase) -> u8 {
    match phase {
        Phase::Unset | Phase::Pending | Phase::WaitingForSync => 0,
        Phase::Scheduling => 1,
        Phase::Scheduled => 2,
        Phase::Running | Phase::Unknown | Phase::Succeeded | Phase::Failed => 3,
    }
}

/// What serves least goes first: not ready before ready, young before old.
fn dispensable_first(mut vmis: Vec<&Arc<VirtualMachineInstance>>) -> Vec<&Arc<VirtualMachineInstance>> {
    vmis.sort_by_key(|vmi| {
        let age = vmi.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (is_ready(vmi), rank(Phase::of(vmi)), std::cmp::Reverse(age))
    });
    vmis
}

fn deletion(observed: &Observed<'_>, vmi: &VirtualMachineInstance, failure: &str, text: String) -> [Action; 2] {
    let subject = ObjectRef::of(&kinds::REPLICA_SET, &observed.set.metadata);
    let on_failure = OnFailure {
        reason: reason::FAILED_DELETE.into(),
        event: Some((subject.clone(), format!("{failure} {}: ", metadata::name(&vmi.metadata)))),
        tolerate: Tolerate::NotFound,
        ..OnFailure::default()
    };
    let object = ObjectRef::of(&kinds::VMI, &vmi.metadata);
    [
        Action::Delete { object, grace_seconds: None, propagation: None, on_failure },
        Action::normal(&subject, event::SUCCESSFUL_DELETE, text),
    ]
}

/// The creations of so many instances, each with its event.
fn creations(observed: &Observed<'_>, count: usize) -> Result<Vec<Action>, PlanError> {
    let set = observed.set;
    let subject = ObjectRef::of(&kinds::REPLICA_SET, &set.metadata);
    let taken: BTreeSet<&str> = observed.vmis.iter().map(|vmi| metadata::name(&vmi.metadata)).collect();
    let template = set.spec.template.metadata.as_deref();
    let mut actions = Vec::new();
    for name in fresh_names(observed, &taken, count) {
        let vmi = VirtualMachineInstance {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: set.metadata.namespace.clone(),
                labels: template.and_then(|metadata| metadata.labels.clone()),
                annotations: template.and_then(|metadata| metadata.annotations.clone()),
                owner_references: Some(vec![subject.controller_reference()]),
                ..ObjectMeta::default()
            },
            spec: set.spec.template.spec.as_deref().cloned().unwrap_or_default(),
            status: None,
        };
        let body = serde_json::to_value(&vmi).map_err(|error| PlanError::new(reason::FAILED_CREATE, error.to_string()))?;
        actions.push(Action::Create {
            object: ObjectRef { name: String::new(), ..ObjectRef::of(&kinds::VMI, &vmi.metadata) },
            body,
            on_failure: OnFailure {
                reason: reason::FAILED_CREATE.into(),
                event: Some((subject.clone(), "Error creating virtual machine instance: ".to_owned())),
                tolerate: Tolerate::AlreadyExists,
                ..OnFailure::default()
            },
        });
        let text = format!("Started the virtual machine by creating the new virtual machine instance {name}");
        actions.push(Action::normal(&subject, event::SUCCESSFUL_CREATE, text));
    }
    Ok(actions)
}

/// Names for new instances: first those that may be there already, then new ones, made as `generateName` makes them from the
/// template's name, else its `generateName`, else the set's name.
fn fresh_names(observed: &Observed<'_>, taken: &BTreeSet<&str>, count: usize) -> Vec<String> {
    let template = observed.set.spec.template.metadata.as_deref();
    let filled = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let base = template
        .and_then(|metadata| filled(metadata.name.as_ref()).or_else(|| filled(metadata.generate_name.as_ref())))
        .unwrap_or_else(|| metadata::name(&observed.set.metadata).to_owned());
    let mut names: Vec<String> = Vec::new();
    let repeated = observed.unanswered.iter().cloned();
    let new = (0_u64..).map(|index| metadata::generated_name(&base, &format!("{}/{index}", observed.salt)));
    for name in repeated.chain(new) {
        if names.len() == count {
            break;
        }
        if !taken.contains(name.as_str()) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Plans what the set's status says, given what went wrong.
pub fn status(observed: &Observed<'_>, error: Option<&PlanError>) -> Plan {
    let set = observed.set;
    let owned = Owned::of(observed);
    let subject = ObjectRef::of(&kinds::REPLICA_SET, &set.metadata);
    let mut status = set.status.clone().unwrap_or_default();
    let count = |count: usize| Some(i32::try_from(count).unwrap_or(i32::MAX));
    status.replicas = count(owned.active.len());
    status.ready_replicas = count(owned.active.iter().filter(|vmi| is_ready(vmi)).count());
    status.label_selector = Some(crate::selector::text(&set.spec.selector));
    let mut events = Vec::new();
    let paused = set.spec.paused == Some(true);
    if paused != conditions::has(&status.conditions, replicaset_condition::REPLICA_PAUSED) {
        if paused {
            status.conditions.push(condition(observed, replicaset_condition::REPLICA_PAUSED, "Paused", "Controller got paused"));
            events.push(Action::normal(&subject, "SuccessfulPaused", "Paused"));
        } else {
            conditions::remove(&mut status.conditions, replicaset_condition::REPLICA_PAUSED);
            events.push(Action::normal(&subject, "SuccessfulResumed", "Resumed"));
        }
    }
    match error {
        None => conditions::remove(&mut status.conditions, replicaset_condition::REPLICA_FAILURE),
        Some(_) if conditions::has(&status.conditions, replicaset_condition::REPLICA_FAILURE) => {}
        Some(error) => {
            status.conditions.push(condition(observed, replicaset_condition::REPLICA_FAILURE, &error.reason, &error.message));
        }
    }
    let mut plan = Plan { error: error.cloned(), ..Plan::default() };
    // A zero that is stored is no change from none.
    if json!(status) == json!(set.status.clone().unwrap_or_default()) {
        return plan;
    }
    let body = json!(VirtualMachineInstanceReplicaSet { status: Some(status), ..set.clone() });
    plan.actions.push(Action::Replace { object: subject, subresource: Some("status"), body, on_failure: OnFailure::default() });
    plan.actions.extend(events);
    plan
}

fn condition(observed: &Observed<'_>, kind: &str, reason: &str, message: &str) -> VirtualMachineInstanceReplicaSetCondition {
    VirtualMachineInstanceReplicaSetCondition {
        r#type: kind.to_owned(),
        status: conditions::TRUE.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(observed.now.clone()),
        ..VirtualMachineInstanceReplicaSetCondition::default()
    }
}

#[cfg(test)]
mod tests;
