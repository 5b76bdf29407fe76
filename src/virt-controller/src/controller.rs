//! What the controllers share: caches, queues, the executor, and how a plan is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use api::v1::Volume;
use planner::plan::{Action, PlanError};
use planner::storage::{Storage, claim_name};
use planner::vmi::Settings;
use runtime::{Answer, Deps, Executor, Failed, Guard, ObjectKey, Store, WorkQueue};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Args;
use crate::coalesce::{Coalesce, Drafts};
use crate::configuration::Configuration;
use crate::fleet::Fleet;
use crate::stores::{BY_STATE, Stores, index_key};

/// Everything a controller works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) args: Args,
    pub(crate) deps: Deps,
    pub(crate) settings: Settings,
    pub(crate) stores: Stores,
    pub(crate) fleet: Fleet,
    pub(crate) configuration: Configuration,
    pub(crate) vms: WorkQueue<ObjectKey>,
    pub(crate) vmis: WorkQueue<ObjectKey>,
    pub(crate) nodes: WorkQueue<ObjectKey>,
    pub(crate) held_vms: Coalesce,
    pub(crate) held_vmis: Coalesce,
    pub(crate) drafts: Drafts,
    executor: Executor,
    /// Objects whose fields did not test as this program would write them: their patches test the version instead.
    by_version: Mutex<BTreeSet<(String, ObjectKey)>>,
}

impl Context {
    pub(crate) fn new(args: &Args, deps: &Deps, stores: Stores, fleet: Fleet, configuration: Configuration, executor: Executor) -> Self {
        Self {
            args: args.clone(),
            deps: deps.clone(),
            settings: args.settings(),
            stores,
            fleet,
            configuration,
            vms: WorkQueue::new(),
            vmis: WorkQueue::new(),
            nodes: WorkQueue::new(),
            held_vms: Coalesce::default(),
            held_vmis: Coalesce::default(),
            drafts: Drafts::default(),
            executor,
            by_version: Mutex::default(),
        }
    }

    /// Applies actions about an object and takes the answers into the caches.
    pub(crate) async fn apply(&self, kind: &str, key: &ObjectKey, actions: &[Action]) -> Result<Vec<Answer>, Failed> {
        self.apply_with(&self.executor, kind, key, actions).await
    }

    /// As [`Context::apply`], through a controller's own executor: events then name that controller.
    pub(crate) async fn apply_with(
        &self,
        executor: &Executor,
        kind: &str,
        key: &ObjectKey,
        actions: &[Action],
    ) -> Result<Vec<Answer>, Failed> {
        if actions.is_empty() {
            return Ok(Vec::new());
        }
        let subject = (kind.to_owned(), key.clone());
        let strict = self.by_version.lock().unwrap_or_else(PoisonError::into_inner).remove(&subject);
        let guard = if strict { Guard::Version } else { Guard::Fields };
        let applied = executor.apply_guarded(actions, guard).await;
        for answer in &applied.answers {
            self.remember(answer);
        }
        match applied.failure {
            None => Ok(applied.answers),
            Some(failure) => {
                if failure.error.is_conflict() {
                    self.by_version.lock().unwrap_or_else(PoisonError::into_inner).insert(subject);
                }
                tracing::debug!(%key, kind, error = failure.message, "write failed");
                Err(failure)
            }
        }
    }

    /// Takes what the server answered into the cache of its kind.
    fn remember(&self, answer: &Answer) {
        let value = &answer.value;
        match value["kind"].as_str().unwrap_or_default() {
            "VirtualMachine" => record(&self.stores.vms, value),
            "VirtualMachineInstance" => record(&self.stores.vmis, value),
            "VirtualMachineInstanceMigration" => record(&self.stores.migrations, value),
            "VirtualMachineInstanceReplicaSet" => record(&self.fleet.replica_sets, value),
            "VirtualMachinePool" => record(&self.fleet.pools, value),
            "Pod" => record(&self.stores.pods, value),
            "PersistentVolumeClaim" => record(&self.stores.claims, value),
            "DataVolume" => record(&self.stores.data_volumes, value),
            "ControllerRevision" => record(&self.stores.revisions, value),
            // A Status, or a kind without a cache.
            _ => {}
        }
    }

    /// The claims and DataVolumes that volumes and names refer to, and the claim of the guest's own state.
    pub(crate) fn storage(&self, namespace: &str, name: &str, volumes: &[&[Volume]], names: &[String]) -> Storage {
        let mut storage = Storage::default();
        let referred = volumes.iter().flat_map(|volumes| volumes.iter()).filter_map(claim_name).map(str::to_owned);
        let wanted: BTreeSet<String> = referred.chain(names.iter().cloned()).collect();
        for name in wanted {
            if let Some(claim) = self.stores.claims.named(namespace, &name) {
                let owner = planner::metadata::controller(&claim.metadata).filter(|owner| owner.kind == "DataVolume");
                if let Some(volume) = owner.and_then(|owner| self.stores.data_volumes.named(namespace, &owner.name)) {
                    storage.data_volumes.insert(planner::metadata::name(&volume.metadata).to_owned(), volume);
                }
                storage.claims.insert(name.clone(), claim);
            }
            if let Some(volume) = self.stores.data_volumes.named(namespace, &name) {
                storage.data_volumes.insert(name, volume);
            }
        }
        for claim in self.stores.claims.by_index(BY_STATE, &index_key(namespace, name)) {
            storage.claims.insert(planner::metadata::name(&claim.metadata).to_owned(), claim);
        }
        storage
    }

    /// What the namespace says about its pods.
    pub(crate) fn namespace(&self, name: &str) -> convert::pod::Namespace {
        let labels: BTreeMap<String, String> =
            self.stores.namespaces.named("", name).and_then(|namespace| namespace.metadata.labels.clone()).unwrap_or_default();
        let quotas = self.stores.quotas.in_namespace(name);
        let limits = |resource: &str| {
            quotas.iter().any(|quota| {
                let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
                hard.is_some_and(|hard| hard.contains_key(resource))
            })
        };
        convert::pod::Namespace { labels, memory_limits_required: limits("limits.memory"), cpu_limits_required: limits("limits.cpu") }
    }
}

/// What a failed write is to its object: an error for its conditions, or nothing to tell but to try again.
pub(crate) fn told(failure: &Failed) -> Option<PlanError> {
    (!failure.reason.is_empty()).then(|| PlanError::new(failure.reason.clone(), failure.message.clone()))
}

fn record<K>(store: &Store<K>, value: &Value)
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone,
{
    match serde_json::from_value(value.clone()) {
        Ok(object) => store.record_write(object),
        // The watch will bring it.
        Err(error) => tracing::debug!(%error, "answer not understood"),
    }
}

/// The shared context of the workers.
pub(crate) type Shared = Arc<Context>;
