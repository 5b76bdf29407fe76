//! What virt-controller knows of what keeps many instances, and of what guards them.

use api::pool::v1beta1::VirtualMachinePool;
use api::v1::VirtualMachineInstanceReplicaSet;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::Api;
use runtime::{Deps, Store};

use crate::stores::fill;

/// The caches.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) replica_sets: Store<VirtualMachineInstanceReplicaSet>,
    pub(crate) pools: Store<VirtualMachinePool>,
    pub(crate) budgets: Store<PodDisruptionBudget>,
}

impl Fleet {
    /// Caches that nobody fills yet.
    pub(crate) fn new() -> Self {
        Self { replica_sets: Store::new(), pools: Store::new(), budgets: Store::projected(trim_budget) }
    }

    /// Fills the caches and waits until they are complete.
    pub(crate) async fn watch(&self, deps: &Deps) {
        fill(deps, Api::all(deps.client.clone()), &self.replica_sets, None);
        fill(deps, Api::all(deps.client.clone()), &self.pools, None);
        fill(deps, Api::all(deps.client.clone()), &self.budgets, None);
        self.replica_sets.synced().await;
        self.pools.synced().await;
        self.budgets.synced().await;
    }
}

/// Keeps the metadata.
fn trim_budget(budget: &mut PodDisruptionBudget) {
    budget.spec = None;
    budget.status = None;
}
