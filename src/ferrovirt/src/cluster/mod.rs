//! The platform in one process: an embedded API server, a simulated cluster, and KubeVirt's components as its pods.
//!
//! Flow of [`Cluster::start`]: the API server with its keys and the CustomResourceDefinitions → scheduler, kubelets and
//! controllers → the objects of the installation, as an administrator would apply them → the kubelets start
//! virt-api, virt-controller and virt-handler → ready when a VirtualMachine would be accepted.
//!
//! Guarantees: no socket unless the caller serves one or asks for it; under a paused clock, with one seed, every run is the same.

mod images;
mod launchers;
mod network;
mod pki;
mod prober;
pub mod processes;
mod requests;
mod setup;
mod shell;
mod uploads;

pub use launchers::{GuestError, Launchers};
pub use requests::RequestCounts;
pub use setup::TAG;

use crate::apiserver_command;
use apiserver::auth::UserInfo;
use apiserver::env::{Entropy, Env, Now};
use apiserver::http::ApiServer;
use apiserver::serve::Pki;
use fake_hypervisor::GuestScript;
use kube::Client;
use network::ServiceDialer;
use processes::{ProcessOptions, Processes, ProcessesError};
use runtime::{Clock, MemoryNet, Net, TcpNet};
use simcluster::{Logs, NodeSpec, SimCluster, SimClusterHandle};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::DropGuard;
use uploads::{Proxy, Sites};

/// The namespace the components are installed in.
pub const NAMESPACE: &str = "kubevirt";

/// How long the components may take until a VirtualMachine would be accepted.
const STARTUP_PATIENCE: Duration = Duration::from_mins(1);

/// What kind of cluster to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes it has, `node01` and on.
    pub nodes: usize,
    /// Where timestamps come from.
    pub clock: Clock,
    /// Seed of names, UIDs and jitter.
    pub seed: u64,
    /// Keeps objects and keys in this folder.
    pub data_dir: Option<PathBuf>,
    /// Further names and addresses of the API server's certificate.
    pub server_names: Vec<String>,
    /// What guests do, unless their annotations say otherwise.
    pub guests: GuestScript,
    /// Images that cannot be pulled, as patterns with `*`.
    pub unpullable: Vec<String>,
    /// Components and launchers are processes of their own.
    pub processes: Option<ProcessOptions>,
    /// The proxy for disk images listens on this machine, not in the network of pipes.
    pub uploads_over_tcp: bool,
}

impl Options {
    /// A cluster for a spec: virtual time from a fixed beginning; call it under a paused tokio clock.
    pub fn simulated(seed: u64) -> Self {
        // The beginning is arbitrary, but always the same.
        let epoch = jiff::Timestamp::from_second(1_767_225_600).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Self { clock: Clock::virtual_from(epoch), ..Self::real(seed) }
    }

    /// A cluster on the machine's clock.
    pub fn real(seed: u64) -> Self {
        Self {
            nodes: 2,
            clock: Clock::system(),
            seed,
            data_dir: None,
            server_names: Vec::new(),
            guests: GuestScript::default(),
            unpullable: Vec::new(),
            processes: None,
            uploads_over_tcp: false,
        }
    }
}

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The API server's keys or data folder.
    #[error(transparent)]
    ApiServer(#[from] apiserver_command::Error),
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] crate::endpoint::EndpointError),
    /// Components cannot be processes here.
    #[error(transparent)]
    Processes(#[from] ProcessesError),
    /// Uploads of disk images.
    #[error("listening for uploads")]
    Uploads(#[source] std::io::Error),
    /// It could not be put together.
    #[error("putting the API server together")]
    Build(#[from] apiserver::http::BuildError),
    /// The components' certificates.
    #[error("issuing the components' certificates")]
    Certificates(#[from] runtime::tls::TlsError),
    /// An object of the installation was refused.
    #[error("applying {object}")]
    Apply {
        /// Kind and name.
        object: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// The components did not come up in time.
    #[error("{component} is not ready after {}s", STARTUP_PATIENCE.as_secs())]
    NotReady {
        /// The one that is late.
        component: String,
    },
}

/// A running cluster.
pub struct Cluster {
    server: ApiServer,
    simulation: SimClusterHandle,
    launchers: Launchers,
    counts: RequestCounts,
    processes: Option<Arc<Processes>>,
    clock: Clock,
    pki: Pki,
    now: Now,
    net: MemoryNet,
    /// Uploads are served as long as it is there.
    _uploads: DropGuard,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts a cluster and waits until it accepts VirtualMachines.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let cluster = Self::boot(options).await?;
        cluster.ready().await?;
        Ok(cluster)
    }

    /// Starts a cluster; its API answers, its components come up.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn boot(options: Options) -> Result<Self, StartError> {
        let clock = options.clock.clone();
        let now: Now = {
            let clock = clock.clone();
            Arc::new(move || clock.now())
        };
        if options.processes.is_some() && options.nodes > processes::MAX_NODES {
            return Err(ProcessesError::Nodes(options.nodes).into());
        }
        let net = MemoryNet::new();
        let pods: Arc<dyn Net> = if options.processes.is_some() { Arc::new(TcpNet::default()) } else { Arc::new(net.clone()) };
        let dialer = ServiceDialer::new(pods.clone());
        let env = Env { now: now.clone(), entropy: Entropy::from_seed(options.seed), dialer: Arc::new(dialer.clone()) };
        let pki = crate::endpoint::keys(options.data_dir.as_deref(), &now, &options.server_names)?;
        let sites = Sites {
            pods_are_tcp: options.processes.is_some(),
            users: if options.uploads_over_tcp { Arc::new(TcpNet::default()) } else { Arc::new(net.clone()) },
            users_are_tcp: options.uploads_over_tcp,
            pods: pods.clone(),
        };
        let uploads = Proxy::bind(&sites).await?;
        let store = apiserver_command::store(options.data_dir.as_deref())?;
        let logs = Logs::new(now.clone());
        let server = ApiServer::builder(env.clone())
            .store(store.clone())
            .pki(&pki)
            .kubelet(Arc::new(logs.clone()))
            .definitions(&setup::definitions())
            .build()?;
        dialer.use_store(store.clone());
        let conditions = server.clone();
        tokio::spawn(async move { conditions.run().await });
        tokio::spawn(apiserver::admission::quota::run(store));

        let counts = RequestCounts::default();
        let admin = requests::client(&server, &counts, UserInfo::admin());
        let launchers = Launchers::new(options.guests.clone());
        let processes = match options.processes {
            Some(how) => Some(Processes::new(how, &pki.ca.cert_pem, &server, &counts, options.guests.boot_time).await?),
            None => None,
        };
        let guests = launchers.clone();
        net.answer_with(move |address, port| guests.dial(address, port));
        let around = images::Surroundings {
            server: server.clone(),
            counts: counts.clone(),
            clock: clock.clone(),
            entropy: runtime::Entropy::from_seed(options.seed.wrapping_add(1)),
            net: net.clone(),
            launchers: launchers.clone(),
            processes: processes.clone(),
        };
        let images = images::all(&around, &options.unpullable);
        let prober = Arc::new(prober::NetworkProber { env: env.clone() });
        let simulator = requests::client(
            &server,
            &counts,
            UserInfo::new("system:kube-controller-manager", &["system:masters", "system:authenticated"]),
        );
        let nodes = (1..=options.nodes).map(|index| NodeSpec::new(format!("node{index:02}")));
        let mut builder = SimCluster::builder(simulator, env)
            .nodes(nodes)
            .images(images)
            .prober(prober)
            .logs(logs)
            .container_events(false)
            .data_volumes(true)
            .upload_proxy(uploads.url());
        if let Some(processes) = &processes {
            builder = builder.pod_network(processes.network()).root_certificate(&pki.ca.cert_pem);
        }
        let simulation = builder.start();
        let tokens = runtime::Entropy::from_seed(options.seed.wrapping_add(2));
        let uploads = uploads::start(uploads, &sites, admin.clone(), &pki, &clock, tokens).await?;
        let cluster = Self { server, simulation, launchers, counts, processes, clock, pki, now, net, _uploads: uploads };
        let emulated = cluster.processes.as_ref().is_some_and(|processes| processes.machine().is_some());
        setup::install(&admin, &cluster.clock, emulated).await?;
        Ok(cluster)
    }

    /// Waits until VirtualMachines are accepted.
    ///
    /// # Errors
    /// [`StartError::NotReady`].
    pub async fn ready(&self) -> Result<(), StartError> {
        setup::wait_ready(&self.client()).await
    }

    /// Everything stops; the answer comes when nothing runs any more.
    pub async fn stop(self) {
        self.simulation.stop();
        // Tasks see the stop when they are polled next.
        tokio::task::yield_now().await;
        if let Some(processes) = &self.processes {
            processes.stop().await;
        }
    }

    /// The processes of components and launchers, where they are some.
    pub fn processes(&self) -> Option<&Processes> {
        self.processes.as_deref()
    }

    /// The API server.
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// The cluster's keys.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The clock for timestamps.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The clock, as the API server takes it.
    pub fn now(&self) -> &Now {
        &self.now
    }

    /// The network of pods, where they are no processes.
    pub fn network(&self) -> &MemoryNet {
        &self.net
    }

    /// The namespace of the components.
    pub fn namespace(&self) -> &str {
        NAMESPACE
    }

    /// A client with the administrator's rights; no socket, no TLS.
    pub fn client(&self) -> Client {
        requests::client(&self.server, &self.counts, UserInfo::admin())
    }

    /// A client with somebody's rights.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Client {
        requests::client(&self.server, &self.counts, UserInfo::new(user, groups))
    }

    /// How many requests each component made.
    pub fn requests(&self) -> &RequestCounts {
        &self.counts
    }

    /// The simulated nodes and their pods: for faults.
    pub fn simulation(&self) -> &SimClusterHandle {
        &self.simulation
    }

    /// The launchers and their guests: for faults.
    pub fn launchers(&self) -> &Launchers {
        &self.launchers
    }
}
