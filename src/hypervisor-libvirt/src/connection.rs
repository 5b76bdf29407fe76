//! The connection that survives its daemon, and the hypervisor's calls on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use hypervisor::{
    Capabilities, Domain, DomainEvent, DomainState, DomainStats, ErrorCode, EventKind, EventStream, Hypervisor, HypervisorError,
    LifecycleEvent, Result,
};
use tokio::sync::{Notify, mpsc};

use crate::domain::LibvirtDomain;
use crate::sys::{Connection, OnClose, Sink};
use crate::{capabilities, stats};

/// Between two attempts to reach a daemon that went away (hypervisor.md §1).
const RETRY: Duration = Duration::from_millis(500);

/// What the embedded driver needs to run without a daemon, in a container: nothing but QEMU itself.
const EMBEDDED_CONFIGURATION: &str = "stdio_handler = \"file\"\nsecurity_driver = \"none\"\nnamespaces = []\ncgroup_controllers = []\n\
                                      remember_owner = 0\n";

/// libvirt as a hypervisor. Clones share the connection.
#[derive(Clone)]
pub struct Libvirt {
    shared: Arc<Shared>,
}

impl fmt::Debug for Libvirt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Libvirt").field("uri", &self.shared.uri).finish_non_exhaustive()
    }
}

impl Libvirt {
    /// Connects to a daemon, `qemu:///system` or `qemu+unix:///session?socket=/run/libvirt/virtqemud-sock`.
    ///
    /// # Errors
    /// libvirt's, when nobody listens there, the driver is not installed, or it does not let us in.
    pub async fn connect(uri: &str) -> Result<Self> {
        let lost = Arc::new(Notify::new());
        let listeners = Arc::new(Listeners::default());
        let link = Link { uri: uri.to_owned(), listeners: listeners.clone(), lost: lost.clone() };
        let (first, capabilities) = blocking({
            let link = link.clone();
            move || {
                let first = link.open()?;
                let capabilities = capabilities::read(&first.connection)?;
                let there = standings(&first.connection)?;
                // What events have told meanwhile is newer.
                let newer = std::mem::replace(&mut *listeners.known(), there);
                listeners.known().extend(newer);
                Ok((first, capabilities))
            }
        })
        .await?;
        let shared = Arc::new(Shared {
            uri: uri.to_owned(),
            capabilities: Arc::new(capabilities),
            link,
            current: Mutex::new(Arc::new(first)),
            reconnecting: Mutex::new(()),
        });
        tokio::spawn(watch(Arc::downgrade(&shared), lost));
        Ok(Self { shared })
    }

    /// Runs libvirt's QEMU driver in this process, with all its state under `root`, an absolute path. A process can have one such
    /// folder at a time. The driver's settings (`root/etc/qemu.conf`) are written where there are none.
    ///
    /// # Errors
    /// `SYSTEM_ERROR` when the folder cannot be made; libvirt's as [`Libvirt::connect`].
    pub async fn embedded(root: &Path) -> Result<Self> {
        let failed = |what: &Path, error: std::io::Error| {
            HypervisorError::new(ErrorCode::SYSTEM_ERROR, format_args!("cannot write {}: {error}", what.display()))
        };
        let folder = root.join("etc");
        let settings = folder.join("qemu.conf");
        tokio::fs::create_dir_all(&folder).await.map_err(|error| failed(&folder, error))?;
        if !tokio::fs::try_exists(&settings).await.unwrap_or(false) {
            tokio::fs::write(&settings, EMBEDDED_CONFIGURATION).await.map_err(|error| failed(&settings, error))?;
        }
        Self::connect(&format!("qemu:///embed?root={}", root.display())).await
    }
}

/// Runs what waits on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(call).await {
        Ok(answer) => answer,
        Err(error) => Err(HypervisorError::new(ErrorCode::INTERNAL_ERROR, format_args!("the call did not end: {error}"))),
    }
}

/// The domains that are there. Blocks.
fn standings(connection: &Connection) -> Result<BTreeMap<String, Standing>> {
    let standing = |domain: &crate::sys::Domain| {
        let active = match domain.state() {
            Ok((state, reason)) => DomainState::from_numbers(state, reason).is_some_and(DomainState::is_active),
            // It went since it was listed.
            Err(_) => false,
        };
        (domain.name(), Standing { defined: true, active })
    };
    Ok(connection.domains()?.iter().map(standing).collect())
}

/// Who hears of events.
#[derive(Default)]
struct Listeners {
    streams: Mutex<Vec<mpsc::UnboundedSender<DomainEvent>>>,
    /// Every domain that is there as far as events tell.
    known: Mutex<BTreeMap<String, Standing>>,
}

/// Why a domain is there: one that is neither of it is gone.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// It has a configuration.
    defined: bool,
    /// It has a process.
    active: bool,
}

impl Listeners {
    fn streams(&self) -> MutexGuard<'_, Vec<mpsc::UnboundedSender<DomainEvent>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, domain: &str, event: LifecycleEvent) {
        let mut known = self.known();
        let standing = known.entry(domain.to_owned()).or_default();
        match event {
            LifecycleEvent::Defined(_) => standing.defined = true,
            LifecycleEvent::Undefined(_) => standing.defined = false,
            LifecycleEvent::Stopped(_) => standing.active = false,
            LifecycleEvent::Started(_)
            | LifecycleEvent::Suspended(_)
            | LifecycleEvent::Resumed(_)
            | LifecycleEvent::Shutdown(_)
            | LifecycleEvent::PmSuspended(_)
            | LifecycleEvent::Crashed(_) => standing.active = true,
        }
        if !standing.defined && !standing.active {
            known.remove(domain);
        }
    }

    fn announce(&self, event: &DomainEvent) {
        if let EventKind::Lifecycle(lifecycle) = event.kind {
            self.note(&event.domain, lifecycle);
        }
        self.streams().retain(|stream| stream.send(event.clone()).is_ok());
    }
}

/// How to connect.
#[derive(Clone)]
struct Link {
    uri: String,
    listeners: Arc<Listeners>,
    lost: Arc<Notify>,
}

/// A connection, and whether it broke.
pub(crate) struct Open {
    pub(crate) connection: Connection,
    broken: Arc<AtomicBool>,
}

impl Link {
    fn open(&self) -> Result<Open> {
        let broken = Arc::new(AtomicBool::new(false));
        let listeners = self.listeners.clone();
        let sink: Sink = Arc::new(move |event| listeners.announce(&event));
        let (flag, lost) = (broken.clone(), self.lost.clone());
        let on_close: OnClose = Arc::new(move || {
            flag.store(true, Ordering::SeqCst);
            lost.notify_one();
        });
        Ok(Open { connection: Connection::open(&self.uri, &sink, &on_close)?, broken })
    }
}

pub(crate) struct Shared {
    uri: String,
    capabilities: Arc<Capabilities>,
    link: Link,
    current: Mutex<Arc<Open>>,
    /// One attempt at a time.
    reconnecting: Mutex<()>,
}

impl Shared {
    fn current(&self) -> Arc<Open> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connection; replaced first when it broke. Blocks.
    pub(crate) fn connection(&self) -> Result<Arc<Open>> {
        let current = self.current();
        if !current.broken.load(Ordering::SeqCst) {
            return Ok(current);
        }
        drop(current);
        self.reconnect()
    }

    /// Notes a connection that does not work any more, judged by the error of a call; the next call finds another one.
    pub(crate) fn judge(&self, open: &Open, error: &HypervisorError) {
        if error.is_connection_lost() && !open.connection.is_alive() && !open.broken.swap(true, Ordering::SeqCst) {
            self.link.lost.notify_one();
        }
    }

    /// Connects anew, and announces every domain. Blocks.
    fn reconnect(&self) -> Result<Arc<Open>> {
        let _one = self.reconnecting.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current();
        if !current.broken.load(Ordering::SeqCst) {
            return Ok(current);
        }
        let open = Arc::new(self.link.open()?);
        let there = standings(&open.connection)?;
        // Events of the new connection may come before this, which does no harm: they are about what is so now.
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = open.clone();
        let count = there.len();
        let mut names: BTreeSet<String> = there.keys().cloned().collect();
        names.extend(std::mem::replace(&mut *self.link.listeners.known(), there).into_keys());
        for domain in names {
            self.link.listeners.announce(&DomainEvent { domain, kind: EventKind::Reconnected });
        }
        tracing::info!(uri = %self.uri, domains = count, "connected to libvirt again");
        Ok(open)
    }

    /// Runs a call of libvirt's on a thread where it may wait.
    pub(crate) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.clone();
        blocking(move || {
            let open = shared.connection()?;
            let answer = call(&open.connection);
            if let Err(error) = &answer {
                shared.judge(&open, error);
            }
            answer
        })
        .await
    }
}

/// Replaces the connection whenever it breaks, so that events come again though nobody calls.
async fn watch(shared: Weak<Shared>, lost: Arc<Notify>) {
    loop {
        tokio::select! {
            biased;
            () = lost.notified() => {}
            // Whether somebody still needs the connection.
            () = tokio::time::sleep(RETRY * 20) => {}
        }
        loop {
            let Some(shared) = shared.upgrade() else { return };
            if !shared.current().broken.load(Ordering::SeqCst) {
                break;
            }
            let attempt = blocking(move || shared.reconnect().map(drop)).await;
            let Err(error) = attempt else { break };
            tracing::debug!(%error, "libvirt is still away");
            tokio::time::sleep(RETRY).await;
        }
    }
}

#[async_trait]
impl Hypervisor for Libvirt {
    fn capabilities(&self) -> Arc<Capabilities> {
        self.shared.capabilities.clone()
    }

    fn events(&self) -> EventStream {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.shared.link.listeners.streams().push(sender);
        Box::pin(futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|event| (event, receiver)) }))
    }

    async fn define(&self, domain: &domain::Domain) -> Result<Arc<dyn Domain>> {
        let xml = domain.to_xml();
        let (name, uuid) = self
            .shared
            .call(move |connection| {
                let domain = connection.define(&xml)?;
                Ok((domain.name(), domain.uuid()?))
            })
            .await?;
        Ok(Arc::new(LibvirtDomain::new(self.shared.clone(), name, uuid)))
    }

    async fn lookup(&self, name: &str) -> Result<Arc<dyn Domain>> {
        let wanted = name.to_owned();
        let (name, uuid) = self
            .shared
            .call(move |connection| {
                let domain = connection.lookup(&wanted)?;
                Ok((domain.name(), domain.uuid()?))
            })
            .await?;
        Ok(Arc::new(LibvirtDomain::new(self.shared.clone(), name, uuid)))
    }

    async fn list(&self) -> Result<Vec<Arc<dyn Domain>>> {
        let mut found = self
            .shared
            .call(|connection| connection.domains()?.iter().map(|domain| Ok((domain.name(), domain.uuid()?))).collect::<Result<Vec<_>>>())
            .await?;
        found.sort();
        let handle = |(name, uuid)| -> Arc<dyn Domain> { Arc::new(LibvirtDomain::new(self.shared.clone(), name, uuid)) };
        Ok(found.into_iter().map(handle).collect())
    }

    async fn stats(&self) -> Result<Vec<DomainStats>> {
        self.shared.call(|connection| Ok(connection.stats()?.iter().map(stats::read).collect())).await
    }
}
