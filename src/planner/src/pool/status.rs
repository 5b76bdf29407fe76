//! How a pool stands (spec controllers §5, Status).

use api::pool::v1beta1::{VirtualMachinePool, VirtualMachinePoolCondition};
use api::v1::values::{replicaset_condition, vm_condition};
use serde_json::json;

use super::{Observed, heal};
use crate::conditions;
use crate::metadata;
use crate::plan::{Action, OnFailure, Plan, PlanError};

/// Plans what the pool's status says, given what went wrong.
pub fn status(observed: &Observed<'_>, error: Option<&PlanError>) -> Plan {
    let pool = observed.pool;
    let subject = observed.reference();
    let mut plan = Plan { error: error.cloned(), requeue: heal::recheck(observed), ..Plan::default() };
    if metadata::is_deleting(&pool.metadata) {
        return plan;
    }
    let mut status = pool.status.clone().unwrap_or_default();
    let count = |count: usize| Some(i32::try_from(count).unwrap_or(i32::MAX));
    let ready = observed
        .owned()
        .filter(|vm| vm.status.as_ref().is_some_and(|status| conditions::is(&status.conditions, vm_condition::READY, conditions::TRUE)));
    status.replicas = count(observed.owned().count());
    status.ready_replicas = count(ready.count());
    status.label_selector = Some(crate::selector::text(&pool.spec.selector));
    let condition = |kind: &str, reason: &str, message: &str| VirtualMachinePoolCondition {
        r#type: kind.to_owned(),
        status: conditions::TRUE.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(observed.now.clone()),
        ..VirtualMachinePoolCondition::default()
    };
    let mut events = Vec::new();
    match error {
        None => conditions::remove(&mut status.conditions, replicaset_condition::REPLICA_FAILURE),
        Some(_) if conditions::has(&status.conditions, replicaset_condition::REPLICA_FAILURE) => {}
        Some(error) => {
            status.conditions.push(condition(replicaset_condition::REPLICA_FAILURE, &error.reason, &error.message));
            events.push(Action::warning(&subject, error.reason.clone(), error.message.clone()));
        }
    }
    let paused = pool.spec.paused == Some(true);
    if paused != conditions::has(&status.conditions, replicaset_condition::REPLICA_PAUSED) {
        if paused {
            status.conditions.push(condition(replicaset_condition::REPLICA_PAUSED, "SuccessfulPaused", "Pool controller is paused"));
            events.push(Action::normal(&subject, "SuccessfulPaused", "Pool is paused"));
        } else {
            conditions::remove(&mut status.conditions, replicaset_condition::REPLICA_PAUSED);
            events.push(Action::normal(&subject, "SuccessfulResume", "Pool is unpaused"));
        }
    }
    // A zero that is stored is no change from none.
    if json!(status) == json!(pool.status.clone().unwrap_or_default()) {
        return plan;
    }
    let body = json!(VirtualMachinePool { status: Some(status), ..pool.clone() });
    plan.actions.push(Action::Replace { object: subject, subresource: Some("status"), body, on_failure: OnFailure::default() });
    plan.actions.extend(events);
    plan
}
