//! The disruption budget controller: removes the budgets that older versions made for instances (spec controllers §8).

use std::sync::Arc;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use planner::disruption;
use runtime::{Change, Executor, Next, ObjectKey, WorkQueue};

use crate::controller::Shared;

/// What the queue's subject is called in logs.
const KIND: &str = "PodDisruptionBudget";

/// Works until shutdown.
pub(crate) async fn run(context: &Shared, executor: Executor) {
    let queue = WorkQueue::new();
    let added = queue.clone();
    context.fleet.budgets.subscribe(move |change: &Change<'_, PodDisruptionBudget>| {
        if let Some(budget) = change.new.filter(|budget| !disruption::plan(budget).is_quiet()) {
            added.add(ObjectKey::of(&budget.metadata));
        }
    });
    let shared = Arc::clone(context);
    let work = move |key: ObjectKey| {
        let (context, executor) = (Arc::clone(&shared), executor.clone());
        async move {
            let Some(budget) = context.fleet.budgets.get(&key) else { return Next::Done };
            let plan = disruption::plan(&budget);
            match context.apply_with(&executor, KIND, &key, &plan.actions).await {
                Ok(_) => Next::Done,
                Err(_) => Next::Retry,
            }
        }
    };
    queue.run(context.args.disruption_budget_controller_threads, context.deps.shutdown.clone(), work).await;
}
