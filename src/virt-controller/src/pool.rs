//! The pool controller: observes, plans with `planner::pool`, applies (spec controllers §5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::names;
use api::pool::v1beta1::VirtualMachinePool;
use api::v1::{VirtualMachine, VirtualMachineInstance};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use planner::metadata;
use planner::plan::{Action, kinds};
use planner::pool::{DELAY, Observed, abandon, contents_needed, detach, judge, status, storage_needed, sync};
use planner::storage::Storage;
use runtime::{Change, Executor, Failed, Next, ObjectKey, WorkQueue};

use crate::controller::{Context, Shared, told};
use crate::stores::BY_OWNER;

/// What the queue's subject is called in logs.
const KIND: &str = "VirtualMachinePool";
/// How long a VM may fail before it is replaced, unless the pool says.
const HEAL_AFTER: Duration = Duration::from_mins(5);

/// What there is to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    /// A pool.
    Pool(ObjectKey),
    /// A deleted VM that waits for a pool it does not belong to any more.
    Stray(ObjectKey),
}

/// What the workers share.
struct Controller {
    context: Shared,
    executor: Executor,
}

/// Works until shutdown.
pub(crate) async fn run(context: &Shared, executor: Executor) {
    let queue = WorkQueue::new();
    subscribe(context, &queue);
    let controller = Arc::new(Controller { context: Arc::clone(context), executor });
    let work = move |task: Task| {
        let controller = Arc::clone(&controller);
        async move {
            match task {
                Task::Pool(key) => controller.reconcile(&key).await,
                Task::Stray(key) => controller.let_go(&key).await,
            }
        }
    };
    queue.run(context.args.pool_controller_threads, context.deps.shutdown.clone(), work).await;
}

/// Which changes bring which pools back.
fn subscribe(context: &Shared, queue: &WorkQueue<Task>) {
    let added = queue.clone();
    context.fleet.pools.subscribe(move |change: &Change<'_, VirtualMachinePool>| {
        if let Some(pool) = change.latest() {
            added.add_after(Task::Pool(ObjectKey::of(&pool.metadata)), DELAY);
        }
    });
    let added = queue.clone();
    context.stores.vms.subscribe(move |change: &Change<'_, VirtualMachine>| {
        for vm in change.old.into_iter().chain(change.new) {
            if let Some(key) = pool_of(&vm.metadata) {
                added.add_after(Task::Pool(key), DELAY);
            }
        }
        let deleted = change.new.filter(|vm| metadata::is_deleting(&vm.metadata));
        if let Some(vm) = deleted.filter(|vm| metadata::has_finalizer(&vm.metadata, names::POOL_FINALIZER)) {
            added.add_after(Task::Stray(ObjectKey::of(&vm.metadata)), DELAY);
        }
    });
    let (added, vms) = (queue.clone(), context.stores.vms.clone());
    context.stores.vmis.subscribe(move |change: &Change<'_, VirtualMachineInstance>| {
        let Some(vmi) = change.latest() else { return };
        let Some(owner) = metadata::controller(&vmi.metadata).filter(|owner| owner.kind == kinds::VM.kind) else { return };
        let vm = vms.named(metadata::namespace(&vmi.metadata), &owner.name);
        if let Some(key) = vm.and_then(|vm| pool_of(&vm.metadata)) {
            added.add_after(Task::Pool(key), DELAY);
        }
    });
}

/// The pool that controls a VM, by name.
fn pool_of(vm: &ObjectMeta) -> Option<ObjectKey> {
    let owner = metadata::controller(vm).filter(|owner| owner.kind == KIND)?;
    Some(ObjectKey::new(metadata::namespace(vm), owner.name.clone()))
}

impl Controller {
    async fn reconcile(&self, key: &ObjectKey) -> Next {
        let context = &self.context;
        let Some(pool) = context.fleet.pools.get(key) else { return Next::Done };
        if let (Err(reason), false) = (judge(&pool), metadata::is_deleting(&pool.metadata)) {
            // Only a change of the pool helps.
            tracing::warn!(%key, reason, "pool cannot be reconciled");
            return Next::Done;
        }
        let vms = context.stores.vms.in_namespace(&key.namespace);
        let vmis = instances(context, &pool, &vms);
        let known = context.stores.revisions.by_index(BY_OWNER, metadata::uid(&pool.metadata));
        let (unread, none) = (known.clone(), Storage::default());
        let (salt, now) = (context.deps.entropy.next_u64(), context.deps.clock.time());
        let observed = Observed {
            pool: &pool,
            vms: &vms,
            vmis: &vmis,
            revisions: &unread,
            storage: &none,
            heal_after: heal_after(&pool),
            salt,
            now: &now,
        };
        let detached = detach(&observed);
        if !detached.is_empty() {
            return self.apply(key, &detached).await.map_or(Next::Retry, |()| Next::After(DELAY));
        }
        let Ok(revisions) = self.read(key, known, &observed).await else { return Next::Retry };
        let names: Vec<String> = storage_needed(&observed).into_iter().collect();
        let storage = context.storage(&key.namespace, &key.name, &[], &names);
        self.act(key, &Observed { revisions: &revisions, storage: &storage, ..observed }).await
    }

    async fn act(&self, key: &ObjectKey, observed: &Observed<'_>) -> Next {
        let plan = sync(observed);
        let mut error = plan.error;
        match self.apply(key, &plan.actions).await {
            // There may be a next step; what there is to say is said when there is none.
            Ok(()) if error.is_none() && !plan.actions.is_empty() => return Next::After(DELAY),
            Ok(()) => {}
            // Of a revision whose pool is gone and back, or a creation that was not answered.
            Err(failure) if failure.error.is_conflict() || failure.error.status() == Some(409) => return Next::Retry,
            Err(failure) => match told(&failure) {
                Some(told) => error = Some(told),
                None => return Next::Retry,
            },
        }
        let said = status(observed, error.as_ref());
        if self.apply(key, &said.actions).await.is_err() || said.error.is_some() {
            return Next::Retry;
        }
        plan.requeue.into_iter().chain(said.requeue).min().map_or(Next::Done, Next::After)
    }

    /// The pool's revisions, with the recorded specs that decide about updates.
    async fn read(
        &self,
        key: &ObjectKey,
        mut known: Vec<Arc<ControllerRevision>>,
        observed: &Observed<'_>,
    ) -> Result<Vec<Arc<ControllerRevision>>, kube::Error> {
        let api: Api<ControllerRevision> = Api::namespaced(self.context.deps.client.clone(), &key.namespace);
        for name in contents_needed(observed) {
            if let Some(revision) = known.iter_mut().find(|revision| metadata::name(&revision.metadata) == name)
                && let Some(read) = api.get_opt(&name).await?
            {
                *revision = Arc::new(read);
            }
        }
        Ok(known)
    }

    /// Lets a deleted VM go whose pool is gone, or which was taken from it. Not on the word of a cache: a pool that is only not known
    /// yet decides what becomes of its VM's storage.
    async fn let_go(&self, key: &ObjectKey) -> Next {
        let Some(vm) = self.context.stores.vms.get(key) else { return Next::Done };
        if let Some(pool) = pool_of(&vm.metadata) {
            let owner = metadata::controller(&vm.metadata).map(|owner| owner.uid.clone());
            if self.context.fleet.pools.get(&pool).is_some_and(|known| known.metadata.uid == owner) {
                return Next::Done;
            }
            let api: Api<VirtualMachinePool> = Api::namespaced(self.context.deps.client.clone(), &key.namespace);
            match api.get_opt(&pool.name).await {
                Ok(Some(live)) if live.metadata.uid == owner => return Next::Done,
                Ok(_) => {}
                Err(_) => return Next::Retry,
            }
        }
        let actions: Vec<Action> = abandon(&vm).into_iter().collect();
        self.context.apply_with(&self.executor, kinds::VM.kind, key, &actions).await.map_or(Next::Retry, |_| Next::Done)
    }

    async fn apply(&self, key: &ObjectKey, actions: &[Action]) -> Result<(), Failed> {
        self.context.apply_with(&self.executor, KIND, key, actions).await.map(drop)
    }
}

/// The instances of the pool's VMs, by name.
fn instances(context: &Context, pool: &VirtualMachinePool, vms: &[Arc<VirtualMachine>]) -> BTreeMap<String, Arc<VirtualMachineInstance>> {
    let ours = vms.iter().filter(|vm| metadata::is_controlled_by(&vm.metadata, metadata::uid(&pool.metadata)));
    ours.filter_map(|vm| {
        let name = metadata::name(&vm.metadata);
        let vmi = context.stores.vmis.named(metadata::namespace(&vm.metadata), name)?;
        metadata::is_controlled_by(&vmi.metadata, metadata::uid(&vm.metadata)).then(|| (name.to_owned(), vmi))
    })
    .collect()
}

fn heal_after(pool: &VirtualMachinePool) -> Duration {
    let given = pool.spec.autohealing.as_ref().and_then(|healing| healing.min_failing_to_start_duration.as_deref());
    given.and_then(|text| runtime::process::duration(text).ok()).unwrap_or(HEAL_AFTER)
}
