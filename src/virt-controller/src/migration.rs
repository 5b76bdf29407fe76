//! The migration controller: observes, plans with `planner::migration`, applies (spec controllers §6.3).

use std::sync::Arc;

use api::v1::{VirtualMachineInstance, VirtualMachineInstanceMigration};
use planner::metadata;
use planner::migration::{self, Observed};
use runtime::{Change, Executor, Next, ObjectKey, WorkQueue};

use crate::controller::{Context, Shared};
use crate::stores::{BY_VMI, index_key};

/// What the queue's subject is called in logs.
const KIND: &str = "VirtualMachineInstanceMigration";

/// Works until shutdown.
pub(crate) async fn run(context: &Shared, executor: Executor) {
    let queue = WorkQueue::new();
    subscribe(context, &queue);
    let shared = Arc::clone(context);
    let work = move |key: ObjectKey| {
        let (context, executor) = (Arc::clone(&shared), executor.clone());
        async move { reconcile(&context, &executor, &key).await }
    };
    queue.run(context.args.migration_controller_threads, context.deps.shutdown.clone(), work).await;
}

/// Which changes bring which migrations back.
fn subscribe(context: &Shared, queue: &WorkQueue<ObjectKey>) {
    let added = queue.clone();
    context.stores.migrations.subscribe(move |change: &Change<'_, VirtualMachineInstanceMigration>| {
        if let Some(migration) = change.latest() {
            added.add(ObjectKey::of(&migration.metadata));
        }
    });
    let (added, migrations) = (queue.clone(), context.stores.migrations.clone());
    context.stores.vmis.subscribe(move |change: &Change<'_, VirtualMachineInstance>| {
        let Some(vmi) = change.latest() else { return };
        let name = index_key(metadata::namespace(&vmi.metadata), metadata::name(&vmi.metadata));
        for migration in migrations.by_index(BY_VMI, &name) {
            added.add(ObjectKey::of(&migration.metadata));
        }
    });
}

async fn reconcile(context: &Context, executor: &Executor, key: &ObjectKey) -> Next {
    let Some(migration) = context.stores.migrations.get(key) else { return Next::Done };
    let vmi_name = migration.spec.vmi_name.as_deref().unwrap_or_default();
    let vmi = context.stores.vmis.named(&key.namespace, vmi_name);
    let siblings = context.stores.migrations.by_index(BY_VMI, &index_key(&key.namespace, vmi_name));
    let now = context.deps.clock.time();
    let plan = migration::plan(&Observed { migration: &migration, vmi: vmi.as_deref(), siblings: &siblings, now: &now });
    if let Some(waiting) = &plan.waiting {
        tracing::debug!(%key, waiting = waiting.for_what, "waits");
    }
    match context.apply_with(executor, KIND, key, &plan.actions).await {
        // What was written brings it back.
        Ok(_) => Next::Done,
        Err(_) => Next::Retry,
    }
}
