//! The replica set controller: observes, plans with `planner::replicaset`, applies (spec controllers §4).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::v1::{VirtualMachineInstance, VirtualMachineInstanceReplicaSet};
use kube::api::Api;
use planner::metadata;
use planner::plan::{Action, kinds};
use planner::replicaset::{self, Observed, claims, judge, observed_version, selects, status, sync};
use runtime::{Change, Executor, Failed, Next, ObjectKey, WorkQueue};

use crate::controller::{Shared, told};

/// What the queue's subject is called in logs.
const KIND: &str = "VirtualMachineInstanceReplicaSet";
/// How long changes of its instances are gathered before a set is looked at.
const DELAY: Duration = Duration::from_millis(100);

/// What the workers share.
struct Controller {
    context: Shared,
    executor: Executor,
    /// Names of instances that may have been created, by set.
    unanswered: Mutex<BTreeMap<ObjectKey, Vec<String>>>,
}

/// Works until shutdown.
pub(crate) async fn run(context: &Shared, executor: Executor) {
    let queue = WorkQueue::new();
    subscribe(context, &queue);
    let controller = Arc::new(Controller { context: Arc::clone(context), executor, unanswered: Mutex::default() });
    let work = move |key: ObjectKey| {
        let controller = Arc::clone(&controller);
        async move { controller.reconcile(&key).await }
    };
    queue.run(context.args.rs_controller_threads, context.deps.shutdown.clone(), work).await;
}

/// Which changes bring which sets back.
fn subscribe(context: &Shared, queue: &WorkQueue<ObjectKey>) {
    let added = queue.clone();
    context.fleet.replica_sets.subscribe(move |change: &Change<'_, VirtualMachineInstanceReplicaSet>| {
        if let Some(set) = change.latest() {
            added.add(ObjectKey::of(&set.metadata));
        }
    });
    let (added, sets) = (queue.clone(), context.fleet.replica_sets.clone());
    context.stores.vmis.subscribe(move |change: &Change<'_, VirtualMachineInstance>| {
        for vmi in change.old.into_iter().chain(change.new) {
            let namespace = metadata::namespace(&vmi.metadata);
            match metadata::controller(&vmi.metadata) {
                Some(owner) if owner.kind == KIND => added.add_after(ObjectKey::new(namespace, owner.name.clone()), DELAY),
                Some(_) => {}
                // Nobody's: whoever selects it may take it in.
                None => {
                    for set in sets.in_namespace(namespace).iter().filter(|set| selects(set, &vmi.metadata)) {
                        added.add_after(ObjectKey::of(&set.metadata), DELAY);
                    }
                }
            }
        }
    });
}

impl Controller {
    async fn reconcile(&self, key: &ObjectKey) -> Next {
        let Some(set) = self.context.fleet.replica_sets.get(key) else {
            self.unanswered(|all| all.remove(key));
            return Next::Done;
        };
        if let Some(action) = observed_version(&set) {
            return self.apply(key, &[action]).await.map_or(Next::Retry, |()| Next::Done);
        }
        if let Err(reason) = judge(&set) {
            // Only a change of the set helps.
            tracing::warn!(%key, reason, "replica set cannot be reconciled");
            return Next::Done;
        }
        let vmis = self.context.stores.vmis.in_namespace(&key.namespace);
        let unanswered = self.unanswered(|all| all.get(key).cloned()).unwrap_or_default();
        let (salt, now) = (self.context.deps.entropy.next_u64(), self.context.deps.clock.time());
        let observed = Observed { set: &set, vmis: &vmis, unanswered: &unanswered, salt, now: &now };
        let claims = claims(&observed);
        if !claims.adopt.is_empty() || !claims.release.is_empty() {
            return self.claim(key, &set, claims).await;
        }
        self.scale(key, &observed).await
    }

    /// Takes instances in and lets them go. A set that is gone adopts nobody: a cache may be behind, and an instance with an owner
    /// that is gone would be collected as garbage.
    async fn claim(&self, key: &ObjectKey, set: &VirtualMachineInstanceReplicaSet, claims: replicaset::Claims) -> Next {
        let mut actions = claims.release;
        if !claims.adopt.is_empty() {
            let api: Api<VirtualMachineInstanceReplicaSet> = Api::namespaced(self.context.deps.client.clone(), &key.namespace);
            match api.get_opt(&key.name).await {
                Ok(Some(live)) if live.metadata.uid == set.metadata.uid && !metadata::is_deleting(&live.metadata) => {
                    actions.extend(claims.adopt);
                }
                // The watch will tell.
                Ok(_) => return Next::Done,
                Err(_) => return Next::Retry,
            }
        }
        // What was written brings the set back.
        self.apply(key, &actions).await.map_or(Next::Retry, |()| Next::Done)
    }

    async fn scale(&self, key: &ObjectKey, observed: &Observed<'_>) -> Next {
        let plan = sync(observed);
        let mut error = plan.error;
        match self.apply(key, &plan.actions).await {
            Ok(()) => {
                self.unanswered(|all| all.remove(key));
                if !plan.actions.is_empty() {
                    // The instances that come and go bring the set back, and what there is to say is said then.
                    return Next::Done;
                }
            }
            Err(failure) => {
                self.note(key, observed, &plan.actions, &failure);
                match told(&failure) {
                    Some(told) => error = Some(told),
                    None => return Next::Retry,
                }
            }
        }
        let plan = status(observed, error.as_ref());
        if self.apply(key, &plan.actions).await.is_err() || plan.error.is_some() {
            return Next::Retry;
        }
        Next::Done
    }

    /// Remembers a creation that was not answered, or by a server in trouble: it may have happened.
    fn note(&self, key: &ObjectKey, observed: &Observed<'_>, actions: &[Action], failure: &Failed) {
        let Some(Action::Create { body, .. }) = actions.get(failure.action) else { return };
        if let (Some(name), true) = (body["metadata"]["name"].as_str(), failure.error.status().is_none_or(|code| code >= 500)) {
            let mut names = observed.unanswered.to_vec();
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
            self.unanswered(|all| all.insert(key.clone(), names));
        }
    }

    fn unanswered<T>(&self, act: impl FnOnce(&mut BTreeMap<ObjectKey, Vec<String>>) -> T) -> T {
        act(&mut self.unanswered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn apply(&self, key: &ObjectKey, actions: &[Action]) -> Result<(), Failed> {
        self.context.apply_with(&self.executor, kinds::REPLICA_SET.kind, key, actions).await.map(drop)
    }
}
