//! The launchers of the cluster and the guests in them; and how specs make components and guests fail.

use super::images::uid;
use fake_hypervisor::{FakeHypervisor, GuestEvent, GuestScript, Host};
use hypervisor::Hypervisor as _;
use launcher_rpc::local::LocalDirectory;
use runtime::Clock;
use simcluster::ContainerContext;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;
use virt_launcher::{Args, Deps, HostFacts, Rendezvous};

/// All launchers; clones share them.
#[derive(Clone)]
pub struct Launchers {
    host: Arc<Host>,
    guests: GuestScript,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Launchers cannot start while this is set.
    broken: bool,
    /// By node: what the node's disk keeps while its handler restarts.
    directories: BTreeMap<String, LocalDirectory>,
    /// By namespace and name of the VMI: the hypervisor of its newest launcher.
    hypervisors: BTreeMap<(String, String), (String, FakeHypervisor)>,
    /// By address: the guest that is reached there, its hypervisor and its domain's name.
    addresses: BTreeMap<String, (FakeHypervisor, String)>,
    /// By component: what ends its running processes.
    components: BTreeMap<&'static str, Vec<CancellationToken>>,
}

/// A guest cannot be made to do something.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// No launcher of that VMI runs.
    #[error("no launcher of the VMI {namespace}/{name} runs")]
    NoLauncher {
        /// The VMI's namespace.
        namespace: String,
        /// The VMI's name.
        name: String,
    },
    /// The hypervisor refused.
    #[error("the hypervisor refused")]
    Refused(#[from] hypervisor::HypervisorError),
}

impl std::fmt::Debug for Launchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launchers").finish_non_exhaustive()
    }
}

impl Launchers {
    /// No launchers; guests do what `guests` says, unless annotations say otherwise.
    pub fn new(guests: GuestScript) -> Self {
        Self { host: Arc::new(Host::default()), guests, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The launchers of a node.
    pub fn directory(&self, node: &str) -> LocalDirectory {
        self.state().directories.entry(node.to_owned()).or_default().clone()
    }

    /// What the hypervisor of every node can do.
    pub(super) fn capabilities(&self) -> Arc<hypervisor::Capabilities> {
        self.host.capabilities.clone()
    }

    /// Whether launchers fail at their start from now on.
    pub fn break_starts(&self, broken: bool) {
        self.state().broken = broken;
    }

    /// A process of a component begins: cancelled when it has to crash.
    pub(super) fn component(&self, name: &'static str) -> CancellationToken {
        let token = CancellationToken::new();
        let mut state = self.state();
        let running = state.components.entry(name).or_default();
        running.retain(|token| !token.is_cancelled());
        running.push(token.clone());
        token
    }

    /// Kills every process of a component; how many there were.
    pub fn crash_component(&self, name: &str) -> usize {
        let running = self.state().components.iter_mut().find(|(known, _)| **known == name).map(|(_, all)| std::mem::take(all));
        let running = running.unwrap_or_default();
        running.iter().for_each(CancellationToken::cancel);
        running.len()
    }

    /// Runs virt-launcher in a pod until its domain ended; the exit code.
    pub(super) async fn run(&self, args: Args, container: ContainerContext, clock: &Clock) -> i32 {
        if self.state().broken {
            container.log.print("the launcher cannot start: a fault that was asked for");
            return 1;
        }
        // What is not needed for as long as the guest runs is not kept for as long.
        let ContainerContext { pod, pod_ip, node, term, log, .. } = container;
        let annotations = pod.metadata.annotations.clone().unwrap_or_default();
        let pod = uid(&pod).to_owned();
        let hypervisor = FakeHypervisor::annotated(self.host.clone(), self.guests.clone(), &annotations);
        let key = (args.namespace.clone(), args.name.clone());
        {
            let mut state = self.state();
            state.hypervisors.insert(key.clone(), (pod.clone(), hypervisor.clone()));
            state.addresses.insert(pod_ip.clone(), (hypervisor.clone(), format!("{}_{}", args.namespace, args.name)));
        }
        // Also when the kubelet kills the process: then this future is dropped, and the guest with it.
        let _forget = Forget { launchers: self.clone(), key, pod: pod.clone(), address: pod_ip.clone() };
        let facts = HostFacts::simulated(self.host.capabilities.clone(), true);
        let deps = Deps {
            hypervisor: Arc::new(hypervisor),
            convert: facts.conversion(),
            disks: Arc::new(virt_launcher::storage::NoDisks),
            clock: clock.clone(),
            rendezvous: Rendezvous::Local(self.directory(&node).pod(&pod, vec![pod_ip.clone()])),
            stop: term,
        };
        match virt_launcher::run(&args, deps).await {
            Ok(exit) => i32::from(exit.code()),
            Err(error) => {
                log.print(&error.to_string());
                2
            }
        }
    }

    /// Connects to a port of the guest with that address.
    pub(super) fn dial(&self, address: &str, port: u16) -> Option<runtime::BoxStream> {
        let (hypervisor, domain) = self.state().addresses.get(address).cloned()?;
        let stream = hypervisor.dial(&domain, port)?;
        Some(Box::new(stream))
    }

    fn hypervisor(&self, namespace: &str, name: &str) -> Result<FakeHypervisor, GuestError> {
        let found = self.state().hypervisors.get(&(namespace.to_owned(), name.to_owned())).map(|(_, hypervisor)| hypervisor.clone());
        found.ok_or_else(|| GuestError::NoLauncher { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// Makes the guest of a VMI do something now, whatever its script says.
    ///
    /// # Errors
    /// [`GuestError`].
    pub fn inject(&self, namespace: &str, name: &str, event: &GuestEvent) -> Result<(), GuestError> {
        Ok(self.hypervisor(namespace, name)?.inject(&format!("{namespace}_{name}"), event)?)
    }

    /// The state of a VMI's domain, by libvirt's name for it.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn domain_state(&self, namespace: &str, name: &str) -> Result<String, GuestError> {
        let domain = self.hypervisor(namespace, name)?.lookup(&format!("{namespace}_{name}")).await?;
        // `Running(Booted)`: the reason is not asked for.
        let state = format!("{:?}", domain.state().await?);
        Ok(state.split('(').next().unwrap_or_default().to_owned())
    }

    /// Names of the VMIs whose launchers hold a domain.
    pub async fn domains(&self) -> Vec<String> {
        let hypervisors: Vec<_> = self.state().hypervisors.values().map(|(_, hypervisor)| hypervisor.clone()).collect();
        let mut names = Vec::new();
        for hypervisor in hypervisors {
            for domain in hypervisor.list().await.unwrap_or_default() {
                names.push(domain.name().to_owned());
            }
        }
        names
    }
}

/// Strikes a launcher out when its process is gone.
struct Forget {
    launchers: Launchers,
    key: (String, String),
    pod: String,
    address: String,
}

impl Drop for Forget {
    fn drop(&mut self) {
        let mut state = self.launchers.state();
        state.addresses.remove(&self.address);
        if state.hypervisors.get(&self.key).is_some_and(|(pod, _)| *pod == self.pod) {
            state.hypervisors.remove(&self.key);
        }
    }
}
