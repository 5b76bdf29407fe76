//! Moving instances off a node (spec controllers §7).
//!
//! Flow: the eviction webhook marks an instance with the node it has to leave; here a migration is made for each of them. Limits
//! are not kept here but where migrations start. Guarantees: one unfinished migration an instance; a creation that is repeated
//! meets the migration it made, because the name follows from the instance and its last migration; a migration that has not begun
//! ends when its instance does not have to leave any more.

use std::sync::Arc;

use api::config::ClusterConfig;
use api::names::{self, reason};
use api::v1::values::{eviction_strategy, migration_phase, migration_priority, vmi_condition};
use api::v1::{VirtualMachineInstance, VirtualMachineInstanceMigration};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::conditions;
use crate::metadata;
use crate::migration;
use crate::plan::{Action, ObjectRef, OnFailure, Plan, PlanError, Tolerate, event, kinds};
use crate::vmi::{Phase, PodState};

/// What the names of its migrations begin with.
const PREFIX: &str = "kubevirt-evacuation-";
/// Who asked, where it was the Descheduler.
const DESCHEDULER: &str = "descheduler";

/// An instance on the node.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The instance.
    pub vmi: Arc<VirtualMachineInstance>,
    /// All migrations of its name.
    pub migrations: Vec<Arc<VirtualMachineInstanceMigration>>,
    /// All pods it controls.
    pub pods: Vec<Arc<Pod>>,
}

/// Everything the decision depends on.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The node, with its taints.
    pub node: &'a Node,
    /// The instances on it.
    pub guests: &'a [Guest],
    /// The configuration.
    pub config: &'a ClusterConfig,
}

/// Plans the migrations off a node, and the end of those nobody needs any more.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan::default();
    let drained = is_drained(observed.node, || observed.config.migrations().node_drain_taint_key);
    for guest in observed.guests {
        if drained || is_marked(&guest.vmi) {
            if must_move(guest, observed.config) {
                match migrate(observed, guest) {
                    Ok(actions) => plan.actions.extend(actions),
                    Err(error) => plan.error = Some(error),
                }
            }
        } else {
            plan.actions.extend(cancel(observed, guest));
        }
    }
    plan
}

/// Whether a node's taint says that everybody has to go; `key` is asked for the taint's key only where there are taints.
pub fn is_drained(node: &Node, key: impl FnOnce() -> Option<String>) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let effective: Vec<&str> = taints.iter().filter(|taint| taint.effect == "NoSchedule").map(|taint| taint.key.as_str()).collect();
    !effective.is_empty() && key().is_some_and(|key| effective.contains(&key.as_str()))
}

/// Whether an instance has to leave the node it is on; a mark for another node is of a move that is done.
pub fn is_marked(vmi: &VirtualMachineInstance) -> bool {
    let Some(status) = &vmi.status else { return false };
    let marked = status.evacuation_node_name.as_deref().filter(|node| !node.is_empty());
    marked.is_some() && marked == status.node_name.as_deref()
}

fn must_move(guest: &Guest, config: &ClusterConfig) -> bool {
    let vmi = &guest.vmi;
    if Phase::of(vmi).is_final() || metadata::is_deleting(&vmi.metadata) {
        return false;
    }
    let strategy = vmi.spec.eviction_strategy.as_deref().unwrap_or_else(|| config.eviction_strategy());
    let known = vmi.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let migratable = conditions::is(known, vmi_condition::LIVE_MIGRATABLE, conditions::TRUE);
    let moves = matches!(strategy, eviction_strategy::LIVE_MIGRATE | eviction_strategy::LIVE_MIGRATE_IF_POSSIBLE);
    let moving = guest.migrations.iter().any(|migration| !migration::is_final(migration));
    let alive = guest.pods.iter().filter(|pod| !PodState::of(pod).is_down()).count();
    moves && migratable && !moving && alive <= 1
}

fn migrate(observed: &Observed<'_>, guest: &Guest) -> Result<[Action; 2], PlanError> {
    let vmi = &guest.vmi;
    let subject = ObjectRef::of(&kinds::VMI, &vmi.metadata);
    let last = guest.migrations.iter().max_by_key(|migration| {
        let created = migration.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, metadata::name(&migration.metadata))
    });
    let seed = format!("{}/{}", metadata::uid(&vmi.metadata), last.map(|last| metadata::uid(&last.metadata)).unwrap_or_default());
    let name = metadata::generated_name(PREFIX, &seed);
    let mut migration = VirtualMachineInstanceMigration {
        metadata: ObjectMeta { name: Some(name.clone()), namespace: vmi.metadata.namespace.clone(), ..ObjectMeta::default() },
        ..VirtualMachineInstanceMigration::default()
    };
    metadata::set(
        &mut migration.metadata.annotations,
        names::EVACUATION_MIGRATION_ANNOTATION,
        Some(metadata::name(&observed.node.metadata)),
    );
    migration.spec.vmi_name.clone_from(&vmi.metadata.name);
    let by_descheduler = metadata::annotation(&vmi.metadata, names::EVICTION_SOURCE_ANNOTATION) == Some(DESCHEDULER);
    let priority = if by_descheduler { migration_priority::SYSTEM_MAINTENANCE } else { migration_priority::SYSTEM_CRITICAL };
    migration.spec.priority = Some(priority.to_owned());
    let body = serde_json::to_value(&migration).map_err(|error| PlanError::new(reason::FAILED_CREATE, error.to_string()))?;
    let create = Action::Create {
        object: ObjectRef { name: String::new(), ..ObjectRef::of(&kinds::MIGRATION, &migration.metadata) },
        body,
        on_failure: OnFailure {
            reason: reason::FAILED_CREATE.into(),
            event: Some((subject.clone(), "Error creating a Migration: ".to_owned())),
            tolerate: Tolerate::AlreadyExists,
            ..OnFailure::default()
        },
    };
    Ok([create, Action::normal(&subject, event::SUCCESSFUL_CREATE, format!("Created Migration {name}"))])
}

/// The deletions of evacuations from this node that have not begun.
fn cancel(observed: &Observed<'_>, guest: &Guest) -> Vec<Action> {
    let subject = ObjectRef::of(&kinds::VMI, &guest.vmi.metadata);
    let from_here = |migration: &&Arc<VirtualMachineInstanceMigration>| {
        let node = metadata::annotation(&migration.metadata, names::EVACUATION_MIGRATION_ANNOTATION);
        let begun = !matches!(migration::phase(migration), "" | migration_phase::PENDING);
        node == Some(metadata::name(&observed.node.metadata)) && !begun && !metadata::is_deleting(&migration.metadata)
    };
    let unwanted = guest.migrations.iter().filter(from_here);
    unwanted
        .flat_map(|migration| {
            let name = metadata::name(&migration.metadata);
            let delete = Action::Delete {
                object: ObjectRef::of(&kinds::MIGRATION, &migration.metadata),
                grace_seconds: None,
                propagation: None,
                on_failure: OnFailure {
                    reason: reason::FAILED_DELETE.into(),
                    event: Some((subject.clone(), format!("Error deleting Migration {name}: "))),
                    tolerate: Tolerate::NotFound,
                    ..OnFailure::default()
                },
            };
            [delete, Action::normal(&subject, event::SUCCESSFUL_DELETE, format!("Deleted Migration {name}"))]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::v1::KubeVirt;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn guest(change: &Value) -> Guest {
        let mut vmi = json!({
            "metadata": {"name": "vm", "namespace": "ns", "uid": "u"},
            "spec": {"evictionStrategy": "LiveMigrate"},
            "status": {
                "phase": "Running", "nodeName": "n1", "evacuationNodeName": "n1",
                "conditions": [{"type": "LiveMigratable", "status": "True"}],
            },
        });
        json_patch::merge(&mut vmi, change);
        Guest { vmi: Arc::new(serde_json::from_value(vmi).unwrap()), migrations: vec![], pods: vec![pod("Running")] }
    }

    fn pod(phase: &str) -> Arc<Pod> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"phase": phase}})).unwrap())
    }

    fn migration(name: &str, phase: &str) -> Arc<VirtualMachineInstanceMigration> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "uid": name, "annotations": {names::EVACUATION_MIGRATION_ANNOTATION: "n1"}},
                "spec": {"vmiName": "vm"}, "status": {"phase": phase},
            }))
            .unwrap(),
        )
    }

    fn planned(node: &Value, guest: Guest) -> Vec<String> {
        let node: Node = serde_json::from_value(node.clone()).unwrap();
        let config = ClusterConfig::from_kubevirt(None::<&KubeVirt>);
        let plan = plan(&Observed { node: &node, guests: &[guest], config: &config });
        plan.actions.iter().filter(|action| action.object().is_some()).map(|action| action.verb().to_owned()).collect()
    }

    fn node() -> Value {
        json!({"metadata": {"name": "n1"}})
    }

    #[rstest]
    #[case::marked(json!({}), true)]
    #[case::not_marked(json!({"status": {"evacuationNodeName": null}}), false)]
    #[case::moved_already(json!({"status": {"nodeName": "n2"}}), false)]
    #[case::cannot_move(json!({"status": {"conditions": []}}), false)]
    #[case::if_possible(json!({"spec": {"evictionStrategy": "LiveMigrateIfPossible"}}), true)]
    #[case::external(json!({"spec": {"evictionStrategy": "External"}}), false)]
    #[case::as_the_cluster_has_it(json!({"spec": {"evictionStrategy": null}}), false)]
    #[case::ended(json!({"status": {"phase": "Succeeded"}}), false)]
    #[case::going(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), false)]
    fn who_moves(#[case] change: Value, #[case] moves: bool) {
        assert_eq!(planned(&node(), guest(&change)) == ["create"], moves);
    }

    #[test]
    fn a_drained_node_is_left_by_all() {
        let tainted =
            |effect: &str| json!({"metadata": {"name": "n1"}, "spec": {"taints": [{"key": "kubevirt.io/drain", "effect": effect}]}});
        let unmarked = || guest(&json!({"status": {"evacuationNodeName": null}}));
        assert_eq!(planned(&tainted("NoSchedule"), unmarked()), ["create"]);
        assert_eq!(planned(&tainted("NoExecute"), unmarked()), Vec::<String>::new());
    }

    #[rstest]
    #[case::on_its_way("Pending", 0)]
    #[case::running("Running", 0)]
    #[case::failed("Failed", 1)]
    #[case::done("Succeeded", 1)]
    fn one_migration_at_a_time(#[case] phase: &str, #[case] creations: usize) {
        let guest = Guest { migrations: vec![migration("m", phase)], ..guest(&json!({})) };
        assert_eq!(planned(&node(), guest).len(), creations);
    }

    #[test]
    fn two_pods_wait() {
        let two = |phase: &str| Guest { pods: vec![pod("Running"), pod(phase)], ..guest(&json!({})) };
        assert_eq!(planned(&node(), two("Pending")), Vec::<String>::new());
        assert_eq!(planned(&node(), two("Failed")), ["create"]);
    }

    #[rstest]
    #[case("", true)]
    #[case("Pending", true)]
    #[case("Scheduling", false)]
    #[case("Succeeded", false)]
    fn what_has_not_begun_is_called_off(#[case] phase: &str, #[case] called_off: bool) {
        let guest = Guest { migrations: vec![migration("m", phase)], ..guest(&json!({"status": {"evacuationNodeName": null}})) };
        assert_eq!(planned(&node(), guest) == ["delete"], called_off);
    }

    #[test]
    fn a_name_follows_from_the_last_migration() {
        let name = |guest: Guest| {
            let node: Node = serde_json::from_value(node()).unwrap();
            let config = ClusterConfig::from_kubevirt(None::<&KubeVirt>);
            let plan = plan(&Observed { node: &node, guests: &[guest], config: &config });
            match plan.actions.first() {
                Some(Action::Create { body, .. }) => body["metadata"]["name"].clone(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(name(guest(&json!({}))), name(guest(&json!({}))));
        assert_ne!(name(guest(&json!({}))), name(Guest { migrations: vec![migration("m", "Failed")], ..guest(&json!({})) }));
    }
}
