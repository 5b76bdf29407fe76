//! virt-handler: owns the VMIs of one node, between the API server and their launchers (node.md §1.1, §5, §6, §10, §17).
//!
//! It observes (VMIs labelled for its node, what launchers report), asks [`planner::node`] what to do, has the launchers do it, and
//! writes each VMI's status in one request, when something in it changed. A VMI has one queue: watch, reports and timers enter it,
//! and no two passes over one VMI overlap.
//!
//! Guarantees: a restart at any step changes nothing in the outcome. What must not be forgotten, which launchers there are, is written
//! down in the [`launcher_rpc::LauncherDirectory`] before they are first talked to; what a domain does is asked of its launcher; a
//! launcher that cannot be asked proves nothing. A VMI's final phase is written before the traces of its domain are removed.

mod args;
mod configuration;
mod domains;
mod heartbeat;
mod labels;
mod launchers;
mod options;
mod probes;
mod program;
mod receiver;
mod rest;
mod vmi;
mod watchdog;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::names::NODE_NAME_LABEL;
use api::v1::{KubeVirt, VirtualMachineInstance};
use hypervisor::Capabilities;
use kube::Api;
use launcher_rpc::LauncherDirectory;
use runtime::{Change, Deps, EventRecorder, Executor, ObjectKey, Reflector, Store, WorkQueue, WriteCounts};

pub use args::Args;
use configuration::Configuration;
use domains::Domains;
use heartbeat::Heartbeat;
pub use heartbeat::{AllocatablePatch, AwaitedDevices, DevicePlugins};
use launchers::Launchers;
pub use options::sync_options;
pub use program::{CAPABILITIES, Program};
use receiver::Receiver;
use vmi::Controller;
use watchdog::Watchdog;

/// The node virt-handler runs on.
#[derive(Clone)]
pub struct Host {
    /// The node's launchers.
    pub directory: Arc<dyn LauncherDirectory>,
    /// What the node's hypervisor can do.
    pub capabilities: Arc<Capabilities>,
    /// How the node's devices are offered.
    pub device_plugins: Arc<dyn DevicePlugins>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("capabilities", &self.capabilities.version).finish_non_exhaustive()
    }
}

/// Why virt-handler ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the node's hypervisor can do is not readable.
    #[error("read what the node's hypervisor can do in {}", path.display())]
    Capabilities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The node's name is not given.
    #[error("the node's name is not known: give --hostname-override or NODE_NAME")]
    NoNode,
    /// The folder for what must not be forgotten cannot be made.
    #[error("make the folder for ghost records at {}", folder.display())]
    Records {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        #[source]
        source: std::io::Error,
    },
    /// A port cannot be opened.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// What is wrong.
        #[source]
        source: std::io::Error,
    },
    /// The server's certificate cannot be used.
    #[error("serve consoles")]
    Tls(#[from] runtime::tls::TlsError),
}

/// Runs until `deps.shutdown`.
///
/// # Errors
/// [`Error`].
pub async fn run(args: Args, deps: Deps, host: Host) -> Result<(), Error> {
    run_counted(args, deps, host, WriteCounts::new()).await
}

/// As [`run`], counting writes into `counts`.
///
/// # Errors
/// [`Error`].
pub async fn run_counted(args: Args, deps: Deps, host: Host, counts: WriteCounts) -> Result<(), Error> {
    // Whatever ends this run ends all of its tasks.
    let deps = Deps { shutdown: deps.shutdown.child_token(), ..deps };
    let _ends_tasks = deps.shutdown.clone().drop_guard();
    let given = Some(args.hostname_override.clone()).filter(|name| !name.is_empty());
    let node = given.or_else(|| deps.node_name.clone()).ok_or(Error::NoNode)?;

    let recorder = EventRecorder::new(&deps, "virt-handler", &counts);
    let executor = Executor::new(deps.client.clone(), recorder.clone(), counts);
    let kubevirts: Store<KubeVirt> = Store::new();
    let configuration = Configuration::follow(&kubevirts);
    Reflector::new(Api::all(deps.client.clone()), kubevirts.clone(), &deps.entropy).spawn(deps.shutdown.clone());
    let heartbeat = Heartbeat {
        node: node.clone(),
        client: deps.client.clone(),
        clock: deps.clock.clone(),
        entropy: deps.entropy.fork("heartbeat"),
        executor: executor.clone(),
        configuration: configuration.clone(),
        capabilities: host.capabilities.clone(),
        plugins: host.device_plugins.clone(),
        max_devices: args.max_devices,
        label: args.enable_node_labeller,
    };
    heartbeat.unschedulable().await;

    let queue: WorkQueue<ObjectKey> = WorkQueue::new();
    let vmis: Store<VirtualMachineInstance> = Store::new();
    let domains = Arc::new(Domains::new(queue.clone()));
    let receiver =
        Arc::new(Receiver { domains: domains.clone(), vmis: vmis.clone(), recorder: recorder.clone(), shutdown: deps.shutdown.clone() });
    let launchers = Arc::new(Launchers::new(host.directory.clone(), receiver, &node));
    let enqueue = queue.clone();
    vmis.subscribe(move |change: &Change<'_, VirtualMachineInstance>| {
        if let Some(vmi) = change.latest() {
            enqueue.add(ObjectKey::of(&vmi.metadata));
        }
    });
    Reflector::new(Api::all(deps.client.clone()), vmis.clone(), &deps.entropy)
        .labels(&format!("{NODE_NAME_LABEL}={node}"))
        .spawn(deps.shutdown.clone());
    let watchdog = Watchdog {
        domains: domains.clone(),
        launchers: launchers.clone(),
        timeout: args.watchdog_timeout,
        resync: Duration::from_secs(args.domain_resync_period_seconds),
    };
    let controller = Arc::new(Controller {
        node: node.clone(),
        client: deps.client.clone(),
        clock: deps.clock.clone(),
        vmis: vmis.clone(),
        configuration: configuration.clone(),
        domains,
        launchers: launchers.clone(),
        executor,
        recorder: recorder.clone(),
        node_has_host_model: host.capabilities.host_model.is_some(),
        memory: Mutex::default(),
    });
    probes::serve(&args, &deps).await?;
    rest::serve(&args, &deps, rest::Served { vmis: vmis.clone(), launchers: launchers.clone(), recorder }).await?;

    let work = async {
        // What the launchers do is known before any VMI is looked at.
        tokio::join!(kubevirts.synced(), vmis.synced(), watchdog.list());
        for record in host.directory.records().await {
            queue.add(watchdog::key(&record));
        }
        let passes = {
            let controller = controller.clone();
            queue.run(args.workers, deps.shutdown.clone(), move |key| {
                let controller = controller.clone();
                async move { controller.pass(key).await }
            })
        };
        tokio::join!(passes, watchdog.run(deps.shutdown.clone()));
    };
    let work = async {
        tokio::select! {
            biased;
            () = deps.shutdown.cancelled() => {}
            () = work => {}
        }
    };
    tokio::join!(work, heartbeat.run(deps.shutdown.clone()));
    Ok(())
}
