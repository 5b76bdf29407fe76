//! The life of a migration object around the move itself (spec controllers §6.3, §6.4, §6.9).
//!
//! Flow: a new migration waits as Pending; it fails when its instance is gone or ends, when it is called off, or when another one is
//! under way; a final one is let go, and the oldest beyond [`KEPT`] are removed, as are all whose instance is gone. A migration that was handed to the nodes is not
//! decided on here.

use std::sync::Arc;

use api::names;
use api::v1::values::{migration_condition, migration_phase};
use api::v1::{
    VirtualMachineInstance, VirtualMachineInstanceMigration, VirtualMachineInstanceMigrationCondition,
    VirtualMachineInstanceMigrationPhaseTransitionTimestamp, VirtualMachineInstanceMigrationStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use crate::conditions;
use crate::guarded::GuardedPatch;
use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, Plan, Tolerate, Waiting, kinds};
use crate::vmi::Phase;

/// How many finished migrations of an instance are kept.
pub const KEPT: usize = 5;

/// The reason of its failures' events.
const FAILED: &str = "FailedMigration";

/// Everything the decision depends on.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The migration.
    pub migration: &'a VirtualMachineInstanceMigration,
    /// The instance of the name it moves.
    pub vmi: Option<&'a VirtualMachineInstance>,
    /// All migrations of that name, this one too.
    pub siblings: &'a [Arc<VirtualMachineInstanceMigration>],
    /// The present.
    pub now: &'a Time,
}

/// The phase in a migration's status; empty before anybody looked.
pub fn phase(migration: &VirtualMachineInstanceMigration) -> &str {
    migration.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether it is over, one way or the other.
pub fn is_final(migration: &VirtualMachineInstanceMigration) -> bool {
    matches!(phase(migration), migration_phase::SUCCEEDED | migration_phase::FAILED)
}

/// Plans the next step of a migration's life.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let migration = observed.migration;
    let deleting = metadata::is_deleting(&migration.metadata);
    let mut plan = Plan::default();
    let Some(vmi) = observed.vmi else {
        // It has nothing left to wait for.
        plan.actions.extend(let_go(migration));
        if !deleting {
            plan.actions.push(deletion(migration));
        }
        return plan;
    };
    if is_final(migration) {
        plan.actions.extend(let_go(migration));
        plan.actions.extend(superfluous(observed));
        return plan;
    }
    if Phase::of(vmi).is_final() {
        fail(observed, "Migration failed because vmi shutdown during migration.", &mut plan);
        return plan;
    }
    if is_handed_off(migration, vmi) {
        return plan;
    }
    if deleting {
        fail(observed, "Migration failed due to being canceled", &mut plan);
        return plan;
    }
    if phase(migration).is_empty() {
        if is_taken(observed, vmi) {
            let text = "VMI is not eligible for migration because another migration job is in progress.";
            fail(observed, text, &mut plan);
        } else {
            let mut status = migration.status.clone().unwrap_or_default();
            enter(&mut status, first_phase(migration), observed.now);
            plan.actions.push(write(migration, status));
        }
        return plan;
    }
    plan.waiting = Some(Waiting { for_what: "the target of the migration".to_owned(), since: Some(observed.now.clone()) });
    plan
}

/// Where a migration begins: one between clusters waits for its other half.
fn first_phase(migration: &VirtualMachineInstanceMigration) -> &'static str {
    if migration.spec.receive.is_some() {
        migration_phase::WAITING_FOR_SYNC
    } else if migration.spec.send_to.is_some() {
        migration_phase::SYNCHRONIZING
    } else {
        migration_phase::PENDING
    }
}

/// Whether the instance is in the hands of a migration: this one.
fn is_handed_off(migration: &VirtualMachineInstanceMigration, vmi: &VirtualMachineInstance) -> bool {
    holder(vmi).is_some_and(|uid| Some(uid) == migration.metadata.uid.as_deref())
}

fn holder(vmi: &VirtualMachineInstance) -> Option<&str> {
    vmi.status.as_ref()?.migration_state.as_ref()?.migration_uid.as_deref().filter(|uid| !uid.is_empty())
}

/// Whether another migration that is not over has the instance.
fn is_taken(observed: &Observed<'_>, vmi: &VirtualMachineInstance) -> bool {
    let Some(holder) = holder(vmi) else { return false };
    let other = observed.siblings.iter().find(|sibling| sibling.metadata.uid.as_deref() == Some(holder));
    other.is_some_and(|other| !is_final(other) && other.metadata.uid != observed.migration.metadata.uid)
}

/// Enters a phase; the first time counts (spec controllers §1.5).
fn enter(status: &mut VirtualMachineInstanceMigrationStatus, phase: &str, now: &Time) {
    status.phase = Some(phase.to_owned());
    if !status.phase_transition_timestamps.iter().any(|known| known.phase.as_deref() == Some(phase)) {
        status.phase_transition_timestamps.push(VirtualMachineInstanceMigrationPhaseTransitionTimestamp {
            phase: Some(phase.to_owned()),
            phase_transition_timestamp: Some(now.clone()),
        });
    }
}

fn fail(observed: &Observed<'_>, text: &str, plan: &mut Plan) {
    let migration = observed.migration;
    let mut status = migration.status.clone().unwrap_or_default();
    let abort = migration_condition::MIGRATION_ABORT_REQUESTED;
    if metadata::is_deleting(&migration.metadata) && !conditions::has(&status.conditions, abort) {
        status.conditions.push(VirtualMachineInstanceMigrationCondition {
            r#type: abort.to_owned(),
            status: conditions::TRUE.to_owned(),
            last_transition_time: Some(observed.now.clone()),
            ..VirtualMachineInstanceMigrationCondition::default()
        });
    }
    enter(&mut status, migration_phase::FAILED, observed.now);
    plan.actions.push(write(migration, status));
    plan.actions.push(Action::warning(&ObjectRef::of(&kinds::MIGRATION, &migration.metadata), FAILED, text));
}

fn write(migration: &VirtualMachineInstanceMigration, status: VirtualMachineInstanceMigrationStatus) -> Action {
    let body = json!(VirtualMachineInstanceMigration { status: Some(status), ..migration.clone() });
    let object = ObjectRef::of(&kinds::MIGRATION, &migration.metadata);
    Action::Replace { object, subresource: Some("status"), body, on_failure: OnFailure::default() }
}

/// The write that takes the finalizer away.
fn let_go(migration: &VirtualMachineInstanceMigration) -> Option<Action> {
    let mut kept = migration.metadata.clone();
    metadata::remove_finalizer(&mut kept, names::MIGRATION_FINALIZER);
    let mut patch = GuardedPatch::default();
    patch.change("/metadata/finalizers", &migration.metadata.finalizers, &kept.finalizers);
    let tolerant = OnFailure { tolerate: Tolerate::NotFound, ..OnFailure::default() };
    Some(patch.into_action(ObjectRef::of(&kinds::MIGRATION, &migration.metadata))?.otherwise(tolerant))
}

fn deletion(migration: &VirtualMachineInstanceMigration) -> Action {
    Action::Delete {
        object: ObjectRef::of(&kinds::MIGRATION, &migration.metadata),
        grace_seconds: None,
        propagation: None,
        on_failure: OnFailure { tolerate: Tolerate::NotFound, ..OnFailure::default() },
    }
}

/// The deletions of finished migrations beyond those that are kept, oldest first; each takes its pod that is of no use with it.
fn superfluous(observed: &Observed<'_>) -> Vec<Action> {
    let mut finished: Vec<&Arc<VirtualMachineInstanceMigration>> =
        observed.siblings.iter().filter(|migration| is_final(migration) && !metadata::is_deleting(&migration.metadata)).collect();
    finished.sort_by_key(|migration| {
        let created = migration.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, metadata::name(&migration.metadata).to_owned())
    });
    let excess = finished.len().saturating_sub(KEPT);
    finished.into_iter().take(excess).flat_map(|migration| defunct_pod(migration).into_iter().chain([deletion(migration)])).collect()
}

/// The deletion of the pod a finished migration left behind: the target of one that failed, the source of one that succeeded.
fn defunct_pod(migration: &VirtualMachineInstanceMigration) -> Option<Action> {
    let state = migration.status.as_ref()?.migration_state.as_ref()?;
    let pod = if phase(migration) == migration_phase::FAILED { &state.target_pod } else { &state.source_pod };
    let pod = pod.as_deref().filter(|pod| !pod.is_empty())?;
    Some(Action::Delete {
        object: ObjectRef::new(&kinds::POD, migration.metadata.namespace.as_deref(), pod),
        grace_seconds: None,
        propagation: None,
        on_failure: OnFailure { tolerate: Tolerate::NotFound, ..OnFailure::default() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::Value;

    fn migration(name: &str, phase: &str, deleting: bool) -> VirtualMachineInstanceMigration {
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "ns", "uid": name, "finalizers": [names::MIGRATION_FINALIZER],
                "creationTimestamp": format!("2026-01-01T00:00:{:02}Z", name.len()),
                "deletionTimestamp": deleting.then_some("2026-01-01T00:01:00Z"),
            },
            "spec": {"vmiName": "vm"}, "status": {"phase": phase},
        }))
        .unwrap()
    }

    fn vmi(phase: &str, holder: Option<&str>) -> VirtualMachineInstance {
        let state = holder.map(|uid| json!({"migrationUid": uid}));
        serde_json::from_value(json!({"metadata": {"name": "vm"}, "status": {"phase": phase, "migrationState": state}})).unwrap()
    }

    fn planned(migration: &VirtualMachineInstanceMigration, vmi: Option<&VirtualMachineInstance>, siblings: &[&str]) -> Vec<String> {
        let now = Time("2026-01-01T00:10:00Z".parse().unwrap());
        let siblings: Vec<_> = siblings.iter().map(|name| Arc::new(self::migration(name, "Failed", false))).collect();
        let plan = plan(&Observed { migration, vmi, siblings: &siblings, now: &now });
        plan.actions
            .iter()
            .map(|action| match action {
                Action::Replace { body, .. } => format!("phase {}", body["status"]["phase"].as_str().unwrap_or_default()),
                Action::Event { message, .. } => message.clone(),
                other => format!("{} {}", other.verb(), other.object().map(|object| object.name.clone()).unwrap_or_default()),
            })
            .collect()
    }

    #[rstest]
    #[case::new("", false, Some(("Running", None)), &["phase Pending"])]
    #[case::waits("Pending", false, Some(("Running", None)), &[])]
    #[case::called_off("Pending", true, Some(("Running", None)), &["phase Failed", "Migration failed due to being canceled"])]
    #[case::instance_ended("Pending", false, Some(("Failed", None)), &["phase Failed", "Migration failed because vmi shutdown during migration."])]
    #[case::instance_gone("Pending", false, None, &["patch m", "delete m"])]
    #[case::instance_gone_and_going("Pending", true, None, &["patch m"])]
    #[case::under_way("Running", true, Some(("Running", Some("m"))), &[])]
    #[case::after_another_one_that_is_gone("", false, Some(("Running", Some("x"))), &["phase Pending"])]
    #[case::over("Succeeded", false, Some(("Running", None)), &["patch m"])]
    #[case::over_and_instance_gone("Failed", true, None, &["patch m"])]
    fn steps(#[case] phase: &str, #[case] deleting: bool, #[case] of: Option<(&str, Option<&str>)>, #[case] wanted: &[&str]) {
        let vmi = of.map(|(phase, holder)| vmi(phase, holder));
        assert_eq!(planned(&migration("m", phase, deleting), vmi.as_ref(), &[]), wanted);
    }

    #[test]
    fn the_oldest_beyond_five_go() {
        let mut last = migration("fffffff", "Failed", false);
        last.metadata.finalizers = None;
        let names = ["ccc", "a", "bb", "ffffff", "dddd", "eeeee", "fffffff"];
        let vmi = vmi("Running", None);
        assert_eq!(planned(&last, Some(&vmi), &names), ["delete a", "delete bb"]);
        assert_eq!(planned(&last, Some(&vmi), &names[2..]), Vec::<String>::new());
    }

    #[test]
    fn a_finished_migration_takes_its_pod_with_it() {
        let mut old = migration("a", "Failed", false);
        let state: Value = json!({"targetPod": "target", "sourcePod": "source"});
        if let Some(status) = &mut old.status {
            status.migration_state = Some(Box::new(serde_json::from_value(state).unwrap()));
        }
        assert_eq!(defunct_pod(&old).and_then(|action| action.object().map(|object| object.name.clone())).as_deref(), Some("target"));
    }
}
