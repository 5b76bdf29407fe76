//! Connections to the launchers of this node, one a VMI, and what is known about how they can be reached (node.md §2.3, §2.4).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::v1::VirtualMachineInstance;
use launcher_rpc::{GhostRecord, Launcher, LauncherDirectory, Notify, Presence, Result, RpcError, timeouts};
use planner::node;
use tokio::time::Instant;

/// A pod that is here and whose launcher does not listen has this long.
const NOT_LISTENING: Duration = Duration::from_mins(3);
/// A pod that should be here and is not has this long: the kubelet may only just be making it.
const NOT_HERE: Duration = Duration::from_secs(10);

/// The launchers.
pub(crate) struct Launchers {
    pub(crate) directory: Arc<dyn LauncherDirectory>,
    notify: Arc<dyn Notify>,
    node: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the VMI's UID.
    clients: BTreeMap<String, Client>,
    /// Since when a launcher is waited for, by the VMI's UID.
    awaited: BTreeMap<String, Instant>,
}

#[derive(Clone)]
struct Client {
    launcher: Arc<dyn Launcher>,
    pod_uid: String,
}

/// Whose launcher is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
}

impl Launchers {
    pub(crate) fn new(directory: Arc<dyn LauncherDirectory>, notify: Arc<dyn Notify>, node: &str) -> Self {
        Self { directory, notify, node: node.to_owned(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pod of the launcher of this incarnation: the one connected to, else the one written down, else those the VMI names.
    pub(crate) async fn pods(&self, owner: Owner<'_>, vmi: Option<&VirtualMachineInstance>) -> Vec<String> {
        if let Some(client) = self.state().clients.get(owner.uid) {
            return vec![client.pod_uid.clone()];
        }
        if let Some(record) = self.record(owner).await {
            return vec![record.pod_uid];
        }
        let status = vmi.and_then(|vmi| vmi.status.as_ref());
        let pods = status.map(|status| &status.active_pods);
        let ours = pods.into_iter().flatten().filter(|(_, node)| **node == self.node);
        ours.map(|(pod, _)| pod.clone()).collect()
    }

    /// How far the launcher of this incarnation can be reached.
    pub(crate) async fn observe(&self, owner: Owner<'_>, vmi: Option<&VirtualMachineInstance>) -> node::Launcher {
        let known = self.holds(owner).await;
        let (mut ready, mut waiting) = (0_u32, false);
        for pod in self.pods(owner, vmi).await {
            match self.directory.presence(&pod).await {
                Presence::Ready => ready += 1,
                Presence::NotListening => waiting = true,
                Presence::Unresponsive => return node::Launcher::GONE,
                Presence::Gone => {}
            }
        }
        match ready {
            1 => {
                self.state().awaited.remove(owner.uid);
                return node::Launcher::FINE;
            }
            // Wait until only one exists.
            2.. => return node::Launcher::AWAITED,
            0 => {}
        }
        if known {
            return node::Launcher::GONE;
        }
        let now = Instant::now();
        let since = *self.state().awaited.entry(owner.uid.to_owned()).or_insert(now);
        let patience = if waiting { NOT_LISTENING } else { NOT_HERE };
        if now.duration_since(since) >= patience { node::Launcher::GONE } else { node::Launcher::AWAITED }
    }

    /// A connection to the launcher of this incarnation, over which it reaches us too.
    pub(crate) async fn connect(&self, owner: Owner<'_>, vmi: Option<&VirtualMachineInstance>) -> Result<Arc<dyn Launcher>> {
        if let Some(client) = self.state().clients.get(owner.uid) {
            return Ok(client.launcher.clone());
        }
        let mut ready = Vec::new();
        for pod in self.pods(owner, vmi).await {
            if self.directory.presence(&pod).await == Presence::Ready {
                ready.push(pod);
            }
        }
        let pod_uid = match ready.len() {
            1 => ready.remove(0),
            0 => return Err(RpcError::Unavailable(format!("No command socket found for vmi {}", owner.uid))),
            _ => return Err(RpcError::Unavailable(format!("Found multiple pods with active command sockets for vmi {}", owner.uid))),
        };
        // Written down first: a handler that dies between the two must know whom to look for.
        let record = GhostRecord {
            namespace: owner.namespace.to_owned(),
            name: owner.name.to_owned(),
            uid: owner.uid.to_owned(),
            pod_uid: pod_uid.clone(),
        };
        let known = self.record(owner).await.is_some();
        self.directory.add_record(record).await?;
        let connected = async {
            let launcher = self.directory.connect(&pod_uid).await?;
            self.directory.attach(&pod_uid, self.notify.clone()).await?;
            Ok(launcher)
        };
        let launcher = match connected.await {
            Ok(launcher) => launcher,
            Err(error) => {
                // A launcher that was never reached is nothing to remember.
                if !known {
                    self.directory.remove_record(owner.namespace, owner.name, owner.uid).await;
                }
                return Err(error);
            }
        };
        self.state().clients.insert(owner.uid.to_owned(), Client { launcher: launcher.clone(), pod_uid });
        Ok(launcher)
    }

    /// Whether anything of this incarnation is still held.
    pub(crate) async fn holds(&self, owner: Owner<'_>) -> bool {
        let connected = self.state().clients.contains_key(owner.uid);
        connected || self.record(owner).await.is_some()
    }

    /// What is written down about this incarnation.
    async fn record(&self, owner: Owner<'_>) -> Option<GhostRecord> {
        let record = self.directory.record(owner.namespace, owner.name).await;
        record.filter(|record| record.uid == owner.uid)
    }

    /// Gives up the connection, for another try.
    pub(crate) fn disconnect(&self, uid: &str) {
        self.state().clients.remove(uid);
    }

    /// Is done with the launcher of this incarnation.
    pub(crate) async fn close(&self, owner: Owner<'_>) {
        {
            let mut state = self.state();
            state.clients.remove(owner.uid);
            state.awaited.remove(owner.uid);
        }
        self.directory.remove_record(owner.namespace, owner.name, owner.uid).await;
    }
}

/// Bounds a call.
pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or(Err(RpcError::Timeout(limit)))
}

/// Bounds a command.
pub(crate) async fn command<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    within(timeouts::LONG, call).await
}

/// Bounds a query.
pub(crate) async fn query<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    within(timeouts::SHORT, call).await
}

/// A disconnect while both sides tear down is no error (node.md §3.4).
pub(crate) fn torn_down(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if error.is_disconnected() => Ok(()),
        done => done,
    }
}
