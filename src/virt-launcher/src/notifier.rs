//! From the hypervisor's events to the handler's knowledge (node.md §4).
//!
//! Events are hints: every report is made of what the hypervisor says now. One task, so that reports leave in the order of the events.

use std::sync::{Arc, Weak};

use futures::StreamExt;
use hypervisor::{AgentState, EventKind, EventStream, HypervisorError, View};
use launcher_rpc::{
    DomainChange, DomainEvent, DomainFacts, DomainObject, DomainStatus, Notify, ObjectMetadata, Result, RpcError, Severity, VmiEvent,
};
use lifecycle::{CrashedDetail, DefinedDetail, LifecycleEvent, StartedDetail, StoppedDetail};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::agent::Poller;
use crate::facts::{NON_EXISTENT, facts, status_words};
use crate::launcher::{Inner, refused};

/// What the process needs to know of the domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// A domain was seen.
    pub(crate) seen: bool,
    /// It has a process now.
    pub(crate) active: bool,
    /// It had one before.
    pub(crate) was_active: bool,
    /// The handler was told that the domain is gone.
    pub(crate) gone_told: bool,
}

/// The loop's own memory.
pub(crate) struct Notifier {
    launcher: Weak<Inner>,
    handler: Arc<dyn Notify>,
    progress: watch::Sender<Progress>,
    poller: Option<Poller>,
    agent_connected: bool,
    panicked: bool,
    panics: u32,
}

impl Inner {
    /// The domain as it is now; none where it does not exist.
    pub(crate) async fn report(&self) -> Result<Option<DomainObject>> {
        let (object, _) = self.observe().await.map_err(|error| refused(&error))?;
        Ok((object.status.reason != NON_EXISTENT.1).then_some(object))
    }

    /// The domain as it is now, gone or not, and whether it has a process.
    async fn observe(&self) -> std::result::Result<(DomainObject, bool), HypervisorError> {
        let records = self.records.snapshot();
        let mut object = DomainObject {
            metadata: ObjectMetadata {
                name: self.identity.name.clone(),
                namespace: self.identity.namespace.clone(),
                uid: self.identity.uid.clone(),
                deletion_timestamp: None,
            },
            spec: DomainFacts { name: self.domain_name.clone(), records: records.clone(), ..DomainFacts::default() },
            status: DomainStatus { status: NON_EXISTENT.0.into(), reason: NON_EXISTENT.1.into(), ..DomainStatus::default() },
        };
        let domain = match self.hypervisor.lookup(&self.domain_name).await {
            Err(error) if error.is_no_domain() => return Ok((object, false)),
            found => found?,
        };
        let state = match domain.state().await {
            Err(error) if error.is_no_domain() => return Ok((object, false)),
            state => state?,
        };
        let (status, reason) = status_words(state);
        object.status.status = status.into();
        object.status.reason = reason.into();
        match domain.description(View::Live).await {
            Ok(description) => object.spec = facts(&description, records),
            // Normal while a domain comes or goes: the report has no description then.
            Err(error) if error.is_no_domain() || error.code == hypervisor::ErrorCode::OPERATION_INVALID => {}
            Err(error) => return Err(error),
        }
        let state_of_agent = self.state();
        object.status.interfaces = state_of_agent.agent.interfaces();
        object.status.os_info = state_of_agent.agent.os();
        object.status.fs_freeze_status.clone_from(&state_of_agent.agent.frozen);
        Ok((object, state.is_active()))
    }

    fn event(&self, severity: Severity, reason: &str, message: String) -> VmiEvent {
        VmiEvent {
            namespace: self.identity.namespace.clone(),
            name: self.identity.name.clone(),
            uid: self.identity.uid.clone(),
            severity,
            reason: reason.to_owned(),
            message,
        }
    }
}

impl Notifier {
    pub(crate) fn new(launcher: &Arc<Inner>, handler: Arc<dyn Notify>, progress: watch::Sender<Progress>) -> Self {
        Self { launcher: Arc::downgrade(launcher), handler, progress, poller: None, agent_connected: false, panicked: false, panics: 0 }
    }

    /// Runs until the events end or the launcher is gone.
    pub(crate) async fn run(mut self, mut events: EventStream) {
        loop {
            let Some(launcher) = self.launcher.upgrade() else { return };
            let due = self.poller.as_ref().and_then(Poller::due);
            let poll = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) if event.domain == launcher.domain_name => self.happened(&launcher, event.kind).await,
                    Some(_) => {}
                    None => return,
                },
                // Before the first event there is nothing to report about.
                () = launcher.records.changed(), if self.progress.borrow().seen => {
                    self.tell(&launcher, DomainChange::Modified, false).await;
                }
                () = poll => self.poll(&launcher).await,
            }
        }
    }

    async fn happened(&mut self, launcher: &Inner, kind: EventKind) {
        self.progress.send_if_modified(|progress| !std::mem::replace(&mut progress.seen, true));
        let change = match &kind {
            EventKind::Lifecycle(LifecycleEvent::Defined(DefinedDetail::Added) | LifecycleEvent::Started(StartedDetail::Migrated)) => {
                DomainChange::Added
            }
            EventKind::Lifecycle(_)
            | EventKind::Agent(_)
            | EventKind::DeviceAdded { .. }
            | EventKind::DeviceRemoved { .. }
            | EventKind::MemoryDeviceSizeChange { .. }
            | EventKind::JobCompleted { .. }
            | EventKind::Reconnected => DomainChange::Modified,
        };
        let mut may_be_gone = false;
        match kind {
            EventKind::Lifecycle(event) => match event {
                LifecycleEvent::Undefined(_) => may_be_gone = true,
                LifecycleEvent::Stopped(detail) => {
                    may_be_gone = detail != StoppedDetail::Migrated;
                    self.stop_polling(launcher);
                }
                LifecycleEvent::Suspended(_) => self.poller = None,
                LifecycleEvent::Resumed(_) => {
                    if self.agent_connected {
                        self.poller = Some(Poller::new(Instant::now()));
                    }
                }
                LifecycleEvent::Crashed(detail) => self.panic(launcher, detail).await,
                LifecycleEvent::Defined(_) | LifecycleEvent::Started(_) | LifecycleEvent::Shutdown(_) | LifecycleEvent::PmSuspended(_) => {}
            },
            EventKind::Agent(AgentState::Connected) => {
                self.agent_connected = true;
                self.poller = Some(Poller::new(Instant::now()));
            }
            EventKind::Agent(AgentState::Disconnected) => self.stop_polling(launcher),
            EventKind::DeviceAdded { .. }
            | EventKind::DeviceRemoved { .. }
            | EventKind::MemoryDeviceSizeChange { .. }
            | EventKind::JobCompleted { .. }
            | EventKind::Reconnected => {}
        }
        self.tell(launcher, change, may_be_gone).await;
    }

    fn stop_polling(&mut self, launcher: &Inner) {
        self.agent_connected = false;
        self.poller = None;
        launcher.state().agent = crate::agent::AgentStore::default();
    }

    async fn poll(&mut self, launcher: &Inner) {
        let Some(poller) = &mut self.poller else { return };
        let Ok(Some(domain)) = launcher.domain().await else {
            self.poller = None;
            return;
        };
        let news = poller.ask(&*domain, Instant::now(), |learned| launcher.state().agent.learn(learned)).await;
        if news {
            self.tell(launcher, DomainChange::Modified, false).await;
        }
    }

    /// Reports the domain as it is now.
    async fn tell(&mut self, launcher: &Inner, change: DomainChange, may_be_gone: bool) {
        // This report carries what changed in the records so far.
        launcher.records.reported();
        let (mut domain, active) = match launcher.observe().await {
            Ok(observed) => observed,
            Err(error) => {
                tracing::warn!(%error, "the domain's state is not known: nothing is reported");
                return;
            }
        };
        domain.status.panic_count = self.panics;
        if domain.status.reason == "IOError" {
            self.disk_errors(launcher, &domain).await;
        }
        let gone = may_be_gone && domain.status.reason == NON_EXISTENT.1;
        if gone {
            domain.metadata.deletion_timestamp = Some(launcher.timestamp());
        }
        self.progress.send_if_modified(|progress| {
            let before = *progress;
            progress.active = active;
            progress.was_active |= active;
            *progress != before
        });
        match self.handler.handle_domain_event(DomainEvent { change, domain }).await {
            Ok(()) if gone => {
                self.progress.send_if_modified(|progress| !std::mem::replace(&mut progress.gone_told, true));
            }
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "the handler could not be told"),
        }
    }

    async fn panic(&mut self, launcher: &Inner, detail: CrashedDetail) {
        let repeated = match detail {
            CrashedDetail::Panicked => std::mem::replace(&mut self.panicked, true),
            CrashedDetail::Crashloaded => false,
        };
        if repeated {
            return;
        }
        self.panics += 1;
        let message = "GuestPanicked: (details unavailable)".to_owned();
        self.record(launcher.event(Severity::Warning, "GuestPanicked", message)).await;
    }

    async fn disk_errors(&self, launcher: &Inner, domain: &DomainObject) {
        let Ok(Some(found)) = launcher.domain().await else { return };
        for error in found.disk_errors().await.unwrap_or_default() {
            let volume = domain.spec.disks.iter().find(|disk| disk.target == error.target);
            let volume = volume.map_or(error.target.as_str(), |disk| disk.alias.as_str());
            let message = if error.no_space {
                format!("VM Paused due to not enough space on volume: {volume}")
            } else {
                format!("VM Paused due to IO error at the volume: {volume}")
            };
            self.record(launcher.event(Severity::Warning, "IOerror", message)).await;
        }
    }

    async fn record(&self, event: VmiEvent) {
        match self.handler.handle_k8s_event(event).await {
            Ok(()) | Err(RpcError::Unimplemented(_)) => {}
            Err(error) => tracing::warn!(%error, "the handler did not take an event"),
        }
    }
}
