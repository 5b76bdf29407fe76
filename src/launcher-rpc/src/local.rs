//! Handler and launchers in one process: the objects themselves are handed over.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{BoxPipe, DomainEvent, GhostRecord, Launcher, LauncherDirectory, Notify, Presence, Result, RpcError, VmiEvent, timeouts};

/// Opens the sockets of a guest.
#[async_trait]
pub trait Sockets: Send + Sync {
    /// Opens one of [`crate::sockets`].
    async fn open(&self, socket: &str) -> io::Result<BoxPipe>;
}

/// The launchers of one simulated node. Clones share it; keep one a node for as long as the node exists.
#[derive(Clone, Default)]
pub struct LocalDirectory {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for LocalDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalDirectory").field("pods", &self.state().pods.keys().collect::<Vec<_>>()).finish()
    }
}

#[derive(Default)]
struct State {
    pods: BTreeMap<String, Slot>,
    records: BTreeMap<(String, String), GhostRecord>,
}

struct Slot {
    listening: Option<Listening>,
    unresponsive: bool,
    addresses: Vec<String>,
    notify: watch::Sender<Option<Arc<dyn Notify>>>,
}

#[derive(Clone)]
struct Listening {
    launcher: Arc<dyn Launcher>,
    sockets: Arc<dyn Sockets>,
}

impl LocalDirectory {
    /// A node without pods.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pod with these addresses is here now; it is gone when the answer is dropped.
    #[must_use]
    pub fn pod(&self, pod_uid: &str, addresses: Vec<String>) -> LocalPod {
        let (notify, _) = watch::channel(None);
        self.state().pods.insert(pod_uid.to_owned(), Slot { listening: None, unresponsive: false, addresses, notify });
        LocalPod { directory: self.clone(), pod_uid: pod_uid.to_owned() }
    }

    fn listening(&self, pod_uid: &str) -> Result<Listening> {
        let state = self.state();
        let slot = state.pods.get(pod_uid).and_then(|slot| slot.listening.clone());
        slot.ok_or_else(|| RpcError::Unavailable(format!("no launcher listens in pod {pod_uid}")))
    }
}

#[async_trait]
impl LauncherDirectory for LocalDirectory {
    async fn presence(&self, pod_uid: &str) -> Presence {
        match self.state().pods.get(pod_uid) {
            None => Presence::Gone,
            Some(slot) if slot.unresponsive => Presence::Unresponsive,
            Some(Slot { listening: None, .. }) => Presence::NotListening,
            Some(Slot { listening: Some(_), .. }) => Presence::Ready,
        }
    }

    async fn connect(&self, pod_uid: &str) -> Result<Arc<dyn Launcher>> {
        self.listening(pod_uid).map(|listening| listening.launcher)
    }

    async fn attach(&self, pod_uid: &str, notify: Arc<dyn Notify>) -> Result<()> {
        match self.state().pods.get(pod_uid) {
            Some(slot) => {
                slot.notify.send_replace(Some(notify));
                Ok(())
            }
            None => Err(RpcError::Unavailable(format!("there is no pod {pod_uid} on this node"))),
        }
    }

    async fn mark_unresponsive(&self, pod_uid: &str) {
        if let Some(slot) = self.state().pods.get_mut(pod_uid) {
            slot.unresponsive = true;
        }
    }

    async fn addresses(&self, pod_uid: &str) -> Vec<String> {
        self.state().pods.get(pod_uid).map(|slot| slot.addresses.clone()).unwrap_or_default()
    }

    async fn open(&self, pod_uid: &str, _vmi_uid: &str, socket: &str) -> io::Result<BoxPipe> {
        let listening = self.listening(pod_uid).map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
        listening.sockets.open(socket).await
    }

    async fn add_record(&self, record: GhostRecord) -> Result<()> {
        let mut state = self.state();
        let key = (record.namespace.clone(), record.name.clone());
        match state.records.get(&key) {
            Some(known) if *known != record => Err(RpcError::Refused(format!(
                "can not add ghost record when entry already exists with differing UID: {}/{}",
                record.namespace, record.name
            ))),
            Some(_) => Ok(()),
            None => {
                state.records.insert(key, record);
                Ok(())
            }
        }
    }

    async fn remove_record(&self, namespace: &str, name: &str, uid: &str) {
        let mut state = self.state();
        let key = (namespace.to_owned(), name.to_owned());
        if state.records.get(&key).is_some_and(|record| record.uid == uid) {
            state.records.remove(&key);
        }
    }

    async fn record(&self, namespace: &str, name: &str) -> Option<GhostRecord> {
        self.state().records.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    async fn records(&self) -> Vec<GhostRecord> {
        self.state().records.values().cloned().collect()
    }
}

/// A launcher's place in the directory; the pod is gone when it is dropped.
#[derive(Debug)]
pub struct LocalPod {
    directory: LocalDirectory,
    pod_uid: String,
}

impl LocalPod {
    /// The launcher listens from now on.
    pub fn listen(&self, launcher: Arc<dyn Launcher>, sockets: Arc<dyn Sockets>) {
        if let Some(slot) = self.directory.state().pods.get_mut(&self.pod_uid) {
            slot.listening = Some(Listening { launcher, sockets });
        }
    }

    /// The launcher listens no longer.
    pub fn close(&self) {
        if let Some(slot) = self.directory.state().pods.get_mut(&self.pod_uid) {
            slot.listening = None;
        }
    }

    /// The node's handler, whichever it is at the time of a call.
    pub fn handler(&self) -> Arc<dyn Notify> {
        let handler = self.directory.state().pods.get(&self.pod_uid).map(|slot| slot.notify.subscribe());
        Arc::new(AttachedHandler { handler: handler.unwrap_or_else(|| watch::channel(None).1) })
    }
}

impl Drop for LocalPod {
    fn drop(&mut self) {
        self.directory.state().pods.remove(&self.pod_uid);
    }
}

/// Tells the handler that is attached, retrying while there is none (node.md §3.5).
struct AttachedHandler {
    handler: watch::Receiver<Option<Arc<dyn Notify>>>,
}

impl AttachedHandler {
    async fn deliver<F>(&self, send: impl Fn(Arc<dyn Notify>) -> F + Send) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send,
    {
        let deadline = Instant::now() + timeouts::NOTIFY_TOTAL;
        let mut attached = self.handler.clone();
        loop {
            let handler = attached.borrow_and_update().clone();
            let failure = match handler {
                Some(handler) => match send(handler).await {
                    Err(error) if error.is_transient() => error,
                    done => return done,
                },
                None => RpcError::Unavailable("no handler is attached".to_owned()),
            };
            let retry = (Instant::now() + timeouts::NOTIFY_RETRY).min(deadline);
            tokio::select! {
                biased;
                changed = attached.changed() => if changed.is_err() { return Err(failure) },
                () = tokio::time::sleep_until(retry) => if retry >= deadline { return Err(failure) },
            }
        }
    }
}

#[async_trait]
impl Notify for AttachedHandler {
    async fn handle_domain_event(&self, event: DomainEvent) -> Result<()> {
        self.deliver(|handler| {
            let event = event.clone();
            async move { handler.handle_domain_event(event).await }
        })
        .await
    }

    async fn handle_k8s_event(&self, event: VmiEvent) -> Result<()> {
        self.deliver(|handler| {
            let event = event.clone();
            async move { handler.handle_k8s_event(event).await }
        })
        .await
    }
}
