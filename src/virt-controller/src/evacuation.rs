//! The evacuation controller: observes a node, plans with `planner::evacuation`, applies (spec controllers §7).

use std::sync::Arc;
use std::time::Duration;

use api::names;
use api::v1::{VirtualMachineInstance, VirtualMachineInstanceMigration};
use k8s_openapi::api::core::v1::Node;
use planner::evacuation::{self, Guest, Observed};
use planner::metadata;
use runtime::{Change, Executor, Next, ObjectKey, WorkQueue};

use crate::controller::{Context, Shared};
use crate::stores::{BY_NODE, BY_OWNER, BY_VMI, index_key};

/// What the queue's subject is called in logs.
const KIND: &str = "Node";
/// How long changes of a node's instances are gathered.
const DELAY: Duration = Duration::from_millis(100);

/// Works until shutdown.
pub(crate) async fn run(context: &Shared, executor: Executor) {
    let queue = WorkQueue::new();
    subscribe(context, &queue);
    let shared = Arc::clone(context);
    let work = move |key: ObjectKey| {
        let (context, executor) = (Arc::clone(&shared), executor.clone());
        async move { reconcile(&context, &executor, &key).await }
    };
    queue.run(context.args.evacuation_controller_threads, context.deps.shutdown.clone(), work).await;
}

/// Which changes bring which nodes back. Instances that need not leave are the many, and bring none.
fn subscribe(context: &Shared, queue: &WorkQueue<ObjectKey>) {
    let (added, shared) = (queue.clone(), Arc::clone(context));
    context.stores.nodes.subscribe(move |change: &Change<'_, Node>| {
        let drained = |node: Option<&Arc<Node>>| node.is_some_and(|node| evacuation::is_drained(node, || taint_key(&shared)));
        if drained(change.old) != drained(change.new)
            && let Some(node) = change.new
        {
            added.add(ObjectKey::of(&node.metadata));
        }
    });
    let (added, shared) = (queue.clone(), Arc::clone(context));
    context.stores.vmis.subscribe(move |change: &Change<'_, VirtualMachineInstance>| {
        let marked = change.old.into_iter().chain(change.new).any(|vmi| evacuation::is_marked(vmi));
        let Some(node) = change.latest().and_then(|vmi| vmi.status.as_ref()?.node_name.clone()) else { return };
        if marked || is_drained(&shared, &node) {
            added.add_after(ObjectKey::new("", node), DELAY);
        }
    });
    let (added, vmis) = (queue.clone(), context.stores.vmis.clone());
    context.stores.migrations.subscribe(move |change: &Change<'_, VirtualMachineInstanceMigration>| {
        let Some(migration) = change.latest() else { return };
        let from = metadata::annotation(&migration.metadata, names::EVACUATION_MIGRATION_ANNOTATION).map(str::to_owned);
        let vmi = || vmis.named(metadata::namespace(&migration.metadata), migration.spec.vmi_name.as_deref()?);
        if let Some(node) = from.or_else(|| vmi()?.status.as_ref()?.node_name.clone()) {
            added.add_after(ObjectKey::new("", node), DELAY);
        }
    });
}

fn is_drained(context: &Context, node: &str) -> bool {
    let node = context.stores.nodes.named("", node);
    node.is_some_and(|node| evacuation::is_drained(&node, || taint_key(context)))
}

/// The key of the taint that drains a node.
fn taint_key(context: &Context) -> Option<String> {
    context.configuration.current().migrations().node_drain_taint_key
}

async fn reconcile(context: &Context, executor: &Executor, key: &ObjectKey) -> Next {
    let Some(node) = context.stores.nodes.get(key) else { return Next::Done };
    let config = context.configuration.current();
    let drained = evacuation::is_drained(&node, || config.migrations().node_drain_taint_key);
    let mut guests = Vec::new();
    for vmi in context.stores.vmis.by_index(BY_NODE, &key.name) {
        let name = index_key(metadata::namespace(&vmi.metadata), metadata::name(&vmi.metadata));
        let migrations = context.stores.migrations.by_index(BY_VMI, &name);
        if drained || evacuation::is_marked(&vmi) || !migrations.is_empty() {
            let pods = context.stores.pods.by_index(BY_OWNER, metadata::uid(&vmi.metadata));
            guests.push(Guest { vmi, migrations, pods });
        }
    }
    let plan = evacuation::plan(&Observed { node: &node, guests: &guests, config: &config });
    // One instance that cannot leave does not keep the others.
    let mut failed = plan.error.is_some();
    for actions in plan.actions.chunks(2) {
        failed |= context.apply_with(executor, KIND, key, actions).await.is_err();
    }
    if failed { Next::Retry } else { Next::Done }
}
