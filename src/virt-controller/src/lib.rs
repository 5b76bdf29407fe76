//! virt-controller: reconciles VirtualMachines, their instances, sets and pools of them, and migrations; leader-elected (spec
//! controllers §1).
//!
//! Flow: the probes answer; the lease is acquired; the caches fill; then the controllers work on their queues until the lease
//! is lost or the process is told to stop. A controller observes (caches), plans (`planner`), applies (the one executor) and
//! puts what the server answered into the caches, so that its next look sees its own writes.
//!
//! Guarantees: one instance acts at a time; a restart at any step changes nothing in the outcome, because everything that
//! matters is in the objects, and objects it creates have names that follow from what they are for.
//!
//! Errors: [`Error`]; losing the lease is one, never a demotion.

mod args;
mod coalesce;
mod configuration;
mod controller;
mod disruption;
mod evacuation;
mod fleet;
mod lookups;
mod migration;
mod nodes;
mod pool;
mod probes;
mod program;
mod replicaset;
mod stores;
mod vm;
mod vmi;

use std::sync::Arc;

use runtime::{Deps, EventRecorder, Executor, LeaderElection, LeadershipError, WriteCounts};

pub use self::args::Args;
use self::configuration::Configuration;
use self::controller::Context;
use self::fleet::Fleet;
pub use self::program::Program;
use self::stores::Stores;

/// Why virt-controller ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another instance leads.
    #[error(transparent)]
    Leadership(#[from] LeadershipError),
    /// The probes' port cannot be opened.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// What is wrong.
        #[source]
        source: std::io::Error,
    },
    /// The probes' certificate cannot be used.
    #[error("serve probes")]
    Tls(#[from] runtime::tls::TlsError),
    /// The probes' certificate is no certificate.
    #[error("serve probes")]
    Certificate(#[from] runtime::FileError),
    /// The API server does not say which kinds it has.
    #[error("discover CDI")]
    Discovery(#[source] kube::Error),
}

/// Runs until `deps.shutdown`.
///
/// # Errors
/// [`Error`].
pub async fn run(args: Args, deps: Deps) -> Result<(), Error> {
    run_counted(args, deps, WriteCounts::new()).await
}

/// As [`run`], counting writes into `counts`.
///
/// # Errors
/// [`Error`].
pub async fn run_counted(args: Args, deps: Deps, counts: WriteCounts) -> Result<(), Error> {
    // Whatever ends this run ends all of its tasks.
    let deps = Deps { shutdown: deps.shutdown.child_token(), ..deps };
    let _ends_tasks = deps.shutdown.clone().drop_guard();
    let leading = probes::Leading::default();
    probes::serve(&args, &deps, leading.clone()).await?;
    let recorder = EventRecorder::new(&deps, "virt-controller", &counts);
    let mut election = LeaderElection::new(&deps, "virt-controller", args.lease_times(), recorder.clone());
    tokio::select! {
        biased;
        () = deps.shutdown.cancelled() => return Ok(()),
        () = election.acquire() => {}
    }
    let executor = Executor::new(deps.client.clone(), recorder.for_component("virtualmachine-controller"), counts.clone());
    let stores = Stores::watch(&deps).await?;
    let configuration = Configuration::follow(&stores);
    let context = Arc::new(Context::new(&args, &deps, stores, Fleet::new(), configuration, executor));
    let work = async {
        context.stores.synced().await;
        leading.set();
        let writer =
            |component: &'static str| Executor::new(context.deps.client.clone(), recorder.for_component(component), counts.clone());
        // No machine waits for the caches of what keeps many of them.
        let fleet = async {
            context.fleet.watch(&context.deps).await;
            tokio::join!(
                replicaset::run(&context, writer("virtualmachinereplicaset-controller")),
                pool::run(&context, writer("virtualmachinepool-controller")),
                migration::run(&context, writer("virtualmachine-controller")),
                evacuation::run(&context, writer("evacuation-controller")),
                disruption::run(&context, writer("disruptionbudget-controller")),
            )
        };
        tokio::join!(vmi::run(&context), vm::run(&context), nodes::run(&context, &recorder, &counts), fleet);
    };
    let ended = tokio::select! {
        biased;
        () = deps.shutdown.cancelled() => Ok(()),
        held = election.hold() => held.map(|never| match never {}),
        () = work => Ok(()),
    };
    if ended.is_ok() {
        election.release().await;
    }
    ended.map_err(Error::from)
}
