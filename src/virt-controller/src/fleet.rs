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
    /// Starts filling the caches.
    pub(crate) fn watch(deps: &Deps) -> Self {
        let fleet = Self { replica_sets: Store::new(), pools: Store::new(), budgets: Store::projected(trim_budget) };
        fill(deps, Api::all(deps.client.clone()), &fleet.replica_sets, None);
        fill(deps, Api::all(deps.client.clone()), &fleet.pools, None);
        fill(deps, Api::all(deps.client.clone()), &fleet.budgets, None);
        fleet
    }

    /// Waits until all caches are complete.
    pub(crate) async fn synced(&self) {
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
