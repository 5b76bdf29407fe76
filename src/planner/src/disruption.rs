//! Disruption budgets of instances (spec controllers §8).
//!
//! Guests are protected from evictions by the webhook of `pods/eviction` alone. Older versions made a PodDisruptionBudget for each
//! instance, which would only be in the way: those left behind are removed.

use api::names::reason;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, Plan, Tolerate, event, kinds};

/// Plans what becomes of a budget: one that an instance controls is deleted, any other is somebody's own.
pub fn plan(budget: &PodDisruptionBudget) -> Plan {
    let mut plan = Plan::default();
    let owner = metadata::controller(&budget.metadata).filter(|owner| owner.kind == kinds::VMI.kind);
    let Some(owner) = owner.filter(|_| !metadata::is_deleting(&budget.metadata)) else { return plan };
    let name = metadata::name(&budget.metadata);
    let subject =
        ObjectRef { uid: Some(owner.uid.clone()), ..ObjectRef::new(&kinds::VMI, budget.metadata.namespace.as_deref(), &owner.name) };
    plan.actions.push(Action::Delete {
        object: ObjectRef::of(&kinds::DISRUPTION_BUDGET, &budget.metadata),
        grace_seconds: None,
        propagation: None,
        on_failure: OnFailure {
            reason: reason::FAILED_DELETE.into(),
            event: Some((subject.clone(), format!("Error deleting pod disruption budget {name}: "))),
            tolerate: Tolerate::NotFound,
            ..OnFailure::default()
        },
    });
    plan.actions.push(Action::normal(&subject, event::SUCCESSFUL_DELETE, format!("Deleted PodDisruptionBudget {name}")));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn owner(kind: &str, controller: bool) -> Value {
        json!([{"apiVersion": "kubevirt.io/v1", "kind": kind, "name": "vm", "uid": "u", "controller": controller}])
    }

    #[rstest]
    #[case::of_an_instance(json!({"ownerReferences": owner("VirtualMachineInstance", true)}), true)]
    #[case::of_a_replica_set(json!({"ownerReferences": owner("VirtualMachineInstanceReplicaSet", true)}), false)]
    #[case::owned_but_not_controlled(json!({"ownerReferences": owner("VirtualMachineInstance", false)}), false)]
    #[case::of_nobody(json!({}), false)]
    #[case::going(json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": owner("VirtualMachineInstance", true)}), false)]
    fn only_those_of_instances_go(#[case] metadata: Value, #[case] goes: bool) {
        let mut budget: PodDisruptionBudget = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        budget.metadata.name = Some("kubevirt-disruption-budget-x".to_owned());
        assert_eq!(!plan(&budget).is_quiet(), goes);
    }
}
