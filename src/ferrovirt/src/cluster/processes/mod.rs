//! Components and launchers as processes of their own, under a simulated kubelet.
//!
//! A pod whose program is one of ours becomes a real process: with the pod's command line and environment, its volumes as files below
//! a folder of its own, a kubeconfig with its service account's token, and an address of its own in 127.0.0.0/8. Handlers and launchers
//! meet at the sockets in the pods' folders, as on a node.
//!
//! ```text
//! FOLDER/NODE/var/lib/kubelet/pods/UID/volumes/…          the pod's volumes, as a kubelet lays them out
//!                                     /etc-hosts
//!                                     /containers/NAME/root   what the process takes for `/`: volumes are linked where they are mounted
//! ```
//!
//! Guarantees: a process ends with its container, whatever it started ends with it, and all end with this one; folders go with their
//! pods, the last of them when the cluster stops. What a container has and a process here has not, is a file system and a network of
//! its own: it is told where to look and at which address to listen by [`runtime::process::Options`].

mod child;
mod machine;
mod mounts;

pub use machine::{Machine, MachineError, MachineOptions};
pub(super) use mounts::is_launcher;

use super::requests::{self, RequestCounts};
use apiserver::auth::UserInfo;
use apiserver::http::ApiServer;
use apiserver::resource::GroupResource;
use apiserver::store::Key;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;
use simcluster::{ContainerContext, Exit, PodNetwork};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use virt_handler::DevicePlugins as _;

/// The programs that are processes; everything else in a pod is no program of ours.
pub const PROGRAMS: [&str; 5] = ["virt-api", "virt-controller", "virt-handler", "virt-launcher", "virt-launcher-monitor"];

/// The port that every component listens at, by which a cluster claims its addresses.
const PORT: u16 = 8443;
/// Addresses a node has, as a power of two: more than it has room for pods.
const NODE_BITS: u32 = 8;
/// How many nodes the addresses suffice for.
pub const MAX_NODES: usize = 1 << (16 - NODE_BITS);
/// How often folders are looked over for pods that are gone.
const SWEEP: Duration = Duration::from_secs(1);
/// Devices of each kind that a node offers.
const DEVICES: u32 = 1000;
/// Between two tries of what failed.
const RETRY: Duration = Duration::from_millis(100);
/// The exit code of a container that could not be started.
const NOT_STARTED: i32 = 128;

/// How components become processes.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// The URL at which the API will be served.
    pub url: String,
    /// The folder with the programs; without one this program plays them all.
    pub programs: Option<PathBuf>,
    /// Guests are real, and run on this machine.
    pub machine: Option<MachineOptions>,
}

/// Why nothing can be a process here.
#[derive(Debug, thiserror::Error)]
pub enum ProcessesError {
    /// There is nowhere to put files.
    #[error("making a folder for the pods")]
    Folder(#[source] io::Error),
    /// Pods cannot have addresses.
    #[error("finding addresses for pods: listening at 127.0.0.0/8, port {PORT}")]
    Addresses(#[source] io::Error),
    /// A program is not there.
    #[error("the program {} cannot be run", path.display())]
    Program {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// This machine cannot run guests.
    #[error("guests cannot run on this machine")]
    Machine(#[from] MachineError),
    /// More nodes than there are addresses for.
    #[error("{0} nodes are too many for processes: there are addresses for {MAX_NODES}")]
    Nodes(usize),
}

/// The addresses of a cluster's pods: one of the /16 of 127.0.0.0/8, kept by listening in it.
#[derive(Debug)]
struct Addresses {
    base: Ipv4Addr,
    _claim: TcpListener,
}

impl Addresses {
    fn claim() -> io::Result<Self> {
        let mut refused = None;
        for second in 1..=254 {
            match TcpListener::bind((Ipv4Addr::new(127, second, 0, 1), PORT)) {
                Ok(claim) => return Ok(Self { base: Ipv4Addr::new(127, second, 0, 0), _claim: claim }),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    }
}

/// A pod whose folder is there.
struct Known {
    key: Key,
    folder: PathBuf,
    /// Processes it has.
    running: usize,
}

/// What the processes of a cluster share.
pub struct Processes {
    folder: tempfile::TempDir,
    addresses: Addresses,
    options: ProcessOptions,
    /// PEM.
    authority: String,
    server: ApiServer,
    kubelet: kube::Client,
    boot_time: Duration,
    machine: Option<Machine>,
    pods: Mutex<BTreeMap<String, Known>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl std::fmt::Debug for Processes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processes").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl Processes {
    /// Claims a folder and addresses; nothing runs yet. Guests boot for `boot_time` unless their annotations say otherwise.
    ///
    /// # Errors
    /// [`ProcessesError`].
    pub async fn new(
        options: ProcessOptions,
        authority: &str,
        server: &ApiServer,
        counts: &RequestCounts,
        boot_time: Duration,
    ) -> Result<Arc<Self>, ProcessesError> {
        // Real guests need the launcher's programs only, which are looked for elsewhere too.
        let wanted = options.programs.iter().filter(|_| options.machine.is_none());
        for program in wanted.flat_map(|folder| PROGRAMS.map(|name| folder.join(name))) {
            std::fs::metadata(&program).map_err(|source| ProcessesError::Program { path: program.clone(), source })?;
        }
        let folder = tempfile::Builder::new().prefix("ferrovirt-").tempdir().map_err(ProcessesError::Folder)?;
        let machine = match &options.machine {
            None => None,
            Some(options) => Some(Machine::prepare(options.clone(), folder.path()).await?),
        };
        let kubelet = UserInfo::new("system:kubelet", &["system:masters", "system:authenticated"]);
        let processes = Arc::new(Self {
            folder,
            addresses: Addresses::claim().map_err(ProcessesError::Addresses)?,
            options,
            authority: authority.to_owned(),
            server: server.clone(),
            kubelet: requests::client(server, counts, kubelet),
            boot_time,
            machine,
            pods: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let sweeper = Arc::clone(&processes);
        processes.tasks.spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = sweeper.stop.cancelled() => return,
                    () = tokio::time::sleep(SWEEP) => sweeper.sweep(),
                }
            }
        });
        Ok(processes)
    }

    /// Where pods get their addresses from.
    pub fn network(&self) -> PodNetwork {
        PodNetwork { base: self.addresses.base, bits: NODE_BITS }
    }

    /// The folder of everything that processes see.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether a container is a process. Only real guests have a console that could be followed.
    pub fn runs(&self, container: &ContainerContext) -> bool {
        let name = program(container);
        PROGRAMS.contains(&name) || (name == "virt-tail" && self.machine.is_some())
    }

    /// The machine, where it runs guests.
    pub fn machine(&self) -> Option<&Machine> {
        self.machine.as_ref()
    }

    /// Runs a container until it ends; dropped, it is killed.
    pub async fn run(self: Arc<Self>, container: ContainerContext) -> Exit {
        if program(&container) == "virt-handler" {
            if let Some(Err(error)) = self.machine.as_ref().map(|machine| machine.tell(&self.folder().join(&container.node))) {
                container.log.print(&runtime::process::chain(&error));
            }
            self.tasks.spawn(Arc::clone(&self).offer_devices(container.node.clone()));
        }
        match child::start(&self, &container).await {
            Ok(ended) => ended.await,
            Err(error) => {
                let message = runtime::process::chain(&error);
                container.log.print(&message);
                Exit { code: NOT_STARTED, message }
            }
        }
    }

    /// Ends every process and removes the folder; the answer comes when nothing is left.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(machine) = &self.machine {
            machine.close();
        }
        if let Err(error) = std::fs::remove_dir_all(self.folder()) {
            tracing::warn!(%error, folder = %self.folder().display(), "the pods' folder stays");
        }
    }

    /// Offers the devices that a node's device plugins would: they are the kubelet's side of virt-handler.
    async fn offer_devices(self: Arc<Self>, node: String) {
        let devices = [api::names::KVM_DEVICE, api::names::TUN_DEVICE, api::names::VHOST_NET_DEVICE];
        let devices = devices.map(|name| (name.to_owned(), DEVICES)).into();
        let node = virt_handler::AllocatablePatch::new(self.kubelet.clone(), &node);
        let offered = async {
            while let Err(error) = node.register(&devices).await {
                tracing::debug!(error, "the node's devices are not offered yet");
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = offered => {}
        }
    }

    fn pods(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of a pod, which gets another process.
    fn enter(&self, pod: &Pod, node: &str) -> PathBuf {
        let uid = pod.uid().unwrap_or_default();
        let folder = self.folder().join(node).join("var/lib/kubelet/pods").join(&uid);
        let gr = GroupResource { group: String::new(), resource: "pods".to_owned() };
        let key = Key::new(gr, pod.namespace().unwrap_or_default(), pod.name_any());
        let mut pods = self.pods();
        let known = pods.entry(uid).or_insert(Known { key, folder, running: 0 });
        known.running += 1;
        known.folder.clone()
    }

    /// A process of a pod has ended. The folder of one that runs only once goes with it.
    fn leave(&self, pod: &Pod) {
        let uid = pod.uid().unwrap_or_default();
        let once = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) == Some("Never");
        let mut pods = self.pods();
        let Some(known) = pods.get_mut(&uid) else { return };
        known.running -= 1;
        if known.running == 0 && once {
            remove(&known.folder);
            pods.remove(&uid);
        }
    }

    /// Removes folders of pods that are gone.
    fn sweep(&self) {
        self.pods().retain(|uid, known| {
            let there = self.server.store().get(&known.key).is_some_and(|pod| {
                let object = pod.value();
                object.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid)
            });
            let stays = there || known.running > 0;
            if !stays {
                remove(&known.folder);
            }
            stays
        });
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "the pod's folder stays");
    }
}

/// The name of a container's program.
fn program(container: &ContainerContext) -> &str {
    let path = container.args.first().map(String::as_str).unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}
