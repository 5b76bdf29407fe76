//! The connection, the domains it knows, and how what happens to them becomes state and events.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hypervisor::{
    AgentState, Capabilities, Domain, DomainEvent, DomainState, DomainStats, ErrorCode, ErrorDomain, EventKind, EventStream, Hypervisor,
    HypervisorError, Result, SevInfo,
};
use lifecycle::{OnCrash, Outcome, Presence, Record, ShutdownDetail, ShutoffReason, Stimulus};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::agenda::{Agenda, GuestEvent};
use crate::agent::CHANNEL;
use crate::domain::FakeDomain;
use crate::guest::{Guest, Phase};
use crate::script::{AgentScript, AnnotationError, DiskFault};
use crate::{GuestScript, Host};

/// A hypervisor in this process. Cheap to make; one a launcher.
#[derive(Clone)]
pub struct FakeHypervisor {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for FakeHypervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeHypervisor").field("domains", &self.shared.lock().domains.len()).finish_non_exhaustive()
    }
}

impl FakeHypervisor {
    /// A hypervisor whose guests act by themselves, each by `script`.
    pub fn new(host: Arc<Host>, script: GuestScript) -> Self {
        Self::with(host, Ok(Arc::new(script)), true)
    }

    /// A hypervisor whose guests follow `defaults` with a pod's annotations laid over them. Where an annotation cannot be followed,
    /// every definition is refused with the reason, so that the VMI's events name it.
    pub fn annotated(host: Arc<Host>, defaults: GuestScript, annotations: &BTreeMap<String, String>) -> Self {
        Self::with(host, defaults.annotated(annotations).map(Arc::new), true)
    }

    pub(crate) fn with(host: Arc<Host>, script: std::result::Result<Arc<GuestScript>, AnnotationError>, automatic: bool) -> Self {
        let inner = Inner {
            host,
            script,
            domains: BTreeMap::new(),
            subscribers: Vec::new(),
            agenda: Agenda::default(),
            started: 0,
            automatic,
            driven: false,
        };
        Self { shared: Arc::new(Shared { inner: Mutex::new(inner), wake: Notify::new() }) }
    }
}

pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// Wakes the driver when the agenda changed, and whoever releases steps.
    pub(crate) wake: Notify,
}

impl Shared {
    /// A panic elsewhere cannot leave the record half changed: every change is made whole before anything can panic.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kinds of domains that QEMU's driver knows of.
const KINDS: &[&str] = &["qemu", "kvm", "hvf", "hyperv"];

/// A domain's record.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) uuid: Arc<str>,
    /// The configuration of the next start.
    pub(crate) inactive: Arc<domain::Domain>,
    /// The running one's; the same as the configuration until a device changes.
    pub(crate) live: Arc<domain::Domain>,
    pub(crate) record: Record,
    pub(crate) id: i32,
    pub(crate) guest: Option<Guest>,
}

pub(crate) struct Inner {
    pub(crate) host: Arc<Host>,
    script: std::result::Result<Arc<GuestScript>, AnnotationError>,
    pub(crate) domains: BTreeMap<String, Machine>,
    subscribers: Vec<mpsc::UnboundedSender<DomainEvent>>,
    pub(crate) agenda: Agenda,
    pub(crate) started: u32,
    pub(crate) automatic: bool,
    /// A task plays the agenda.
    pub(crate) driven: bool,
}

impl Inner {
    /// The script; definitions are refused where there is none, so that no domain exists then.
    pub(crate) fn script(&self) -> Result<Arc<GuestScript>> {
        self.script.clone().map_err(|error| HypervisorError::new(ErrorCode::CONFIG_UNSUPPORTED, error))
    }

    /// The record of the domain with this name and UUID.
    pub(crate) fn machine(&mut self, name: &str, uuid: &str) -> Result<&mut Machine> {
        match self.domains.get_mut(name) {
            Some(machine) if *machine.uuid == *uuid => Ok(machine),
            _ => Err(HypervisorError::no_domain(name)),
        }
    }

    pub(crate) fn announce(&mut self, domain: &str, kind: &EventKind) {
        self.subscribers.retain(|subscriber| subscriber.send(DomainEvent { domain: domain.to_owned(), kind: kind.clone() }).is_ok());
    }

    fn define(&mut self, definition: &domain::Domain) -> Result<Arc<str>> {
        self.script()?;
        let name = definition.name.as_str();
        if name.is_empty() {
            return Err(HypervisorError {
                code: ErrorCode::NO_NAME,
                domain: ErrorDomain::DOMAIN,
                message: "missing name information".to_owned(),
            });
        }
        if name.contains('/') {
            return Err(xml_error(ErrorCode::XML_ERROR, format_args!("name {name} cannot contain '/'")));
        }
        if definition.kind.is_empty() {
            return Err(xml_error(ErrorCode::INTERNAL_ERROR, "missing domain type attribute"));
        }
        if !KINDS.contains(&definition.kind.as_str()) {
            return Err(xml_error(ErrorCode::CONFIG_UNSUPPORTED, format_args!("invalid domain type {}", definition.kind)));
        }
        if definition.uuid.as_ref().is_some_and(|uuid| uuid::Uuid::parse_str(uuid).is_err()) {
            return Err(xml_error(ErrorCode::INTERNAL_ERROR, "malformed uuid element"));
        }
        if definition.kind == "kvm" && !self.host.capabilities.kvm {
            return Err(HypervisorError::new(ErrorCode::CONFIG_UNSUPPORTED, "the host does not support virt type 'kvm'"));
        }
        let mut configuration = definition.clone();
        let uuid: Arc<str> = configuration
            .uuid
            .get_or_insert_with(|| uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string())
            .as_str()
            .into();
        if let Some(machine) = &mut configuration.os.kind.machine {
            *machine = self.host.canonical_machine(machine).to_owned();
        }
        for (action, default) in [
            (&mut configuration.on_poweroff, "destroy"),
            (&mut configuration.on_reboot, "restart"),
            (&mut configuration.on_crash, "destroy"),
        ] {
            action.get_or_insert_with(|| default.to_owned());
        }
        if configuration.current_memory.is_none() {
            configuration.current_memory = Some(configuration.memory.clone());
        }
        let configuration = Arc::new(configuration);
        match self.domains.get_mut(name) {
            Some(machine) if machine.uuid == uuid => {
                if machine.guest.is_none() {
                    machine.live = configuration.clone();
                }
                machine.inactive = configuration.clone();
            }
            Some(machine) => {
                let uuid = &machine.uuid;
                return Err(HypervisorError::new(
                    ErrorCode::OPERATION_FAILED,
                    format_args!("domain '{name}' already exists with uuid {uuid}"),
                ));
            }
            None => {}
        }
        if !self.domains.contains_key(name) {
            let machine = Machine {
                uuid: uuid.clone(),
                inactive: configuration.clone(),
                live: configuration,
                record: Record { persistent: false, state: DomainState::Shutoff(ShutoffReason::Unknown) },
                id: -1,
                guest: None,
            };
            self.domains.insert(name.to_owned(), machine);
        }
        self.stimulate(name, Stimulus::Define)?;
        Ok(uuid)
    }

    /// Starts a domain, or fails to as the script says.
    pub(crate) fn create(&mut self, name: &str, paused: bool, now: Instant) -> Result<()> {
        let script = self.script()?;
        let Some(machine) = self.domains.get_mut(name) else { return Err(HypervisorError::no_domain(name)) };
        // Legal at all? A refusal must not count as a start.
        lifecycle::apply(Presence::Present(machine.record), Stimulus::Create { paused })?;
        let attempt = self.started;
        self.started += 1;
        if script.start_fails.hits(attempt) {
            self.stimulate(name, Stimulus::StartFailed)?;
            return Err(HypervisorError::new(ErrorCode::INTERNAL_ERROR, &script.start_error));
        }
        machine.live = machine.inactive.clone();
        alias_disks(&mut machine.live);
        machine.id = i32::try_from(self.started).unwrap_or(i32::MAX);
        let host = name.split_once('_').map_or(name, |(_, host)| host);
        machine.guest = Some(Guest::new(host, now));
        self.stimulate(name, Stimulus::Create { paused })?;
        if self.automatic && script.boot_time.is_zero() && !paused {
            self.happens(name, &GuestEvent::Boots, now)
        } else {
            self.agenda.enter(now + script.boot_time, name, GuestEvent::Boots);
            if paused {
                self.agenda.halt(name, now);
            }
            Ok(())
        }
    }

    /// Applies a stimulus by the state machine, sets the record and announces each step.
    pub(crate) fn stimulate(&mut self, name: &str, stimulus: Stimulus) -> Result<Outcome> {
        let Some(machine) = self.domains.get(name) else { return Err(HypervisorError::no_domain(name)) };
        // A record under construction is not one yet.
        let presence = if stimulus == Stimulus::Define && !machine.record.persistent && machine.guest.is_none() {
            Presence::Absent
        } else {
            Presence::Present(machine.record)
        };
        let outcome = lifecycle::apply(presence, stimulus)?;
        match &outcome {
            Outcome::Changed(steps) => {
                for step in steps {
                    self.set(name, step.presence);
                    self.announce(name, &EventKind::Lifecycle(step.event));
                }
            }
            Outcome::Silent(record) => self.set(name, Presence::Present(*record)),
            Outcome::Delivered | Outcome::Unchanged => {}
        }
        Ok(outcome)
    }

    fn set(&mut self, name: &str, presence: Presence) {
        let now = Instant::now();
        let Some(machine) = self.domains.get_mut(name) else { return };
        let was = machine.record.state;
        let is = presence.record().map(|record| record.state);
        if was.is_active() && !is.is_some_and(DomainState::is_active) {
            // The agent goes with its process, which nobody announces.
            self.agenda.forget(name);
            if let Some(machine) = self.domains.get_mut(name) {
                machine.guest = None;
                machine.live = machine.inactive.clone();
                machine.id = -1;
            }
        }
        match presence {
            Presence::Absent => {
                self.domains.remove(name);
            }
            Presence::Present(record) => {
                if let Some(machine) = self.domains.get_mut(name) {
                    machine.record = record;
                }
                let halted = |state| matches!(state, DomainState::Paused(_) | DomainState::PmSuspended);
                match (halted(was), halted(record.state)) {
                    (false, true) => self.agenda.halt(name, now),
                    (true, false) => self.agenda.go_on(name, now),
                    (false, false) | (true, true) => {}
                }
            }
        }
    }

    /// Takes the agent away, and says so, where it was there.
    fn disconnect_agent(&mut self, name: &str) {
        let Some(guest) = self.domains.get_mut(name).and_then(|machine| machine.guest.as_mut()) else { return };
        if std::mem::take(&mut guest.agent.connected) {
            guest.agent.frozen = false;
            self.announce(name, &EventKind::Agent(AgentState::Disconnected));
        }
    }

    /// Lets a guest do something now.
    pub(crate) fn happens(&mut self, name: &str, event: &GuestEvent, now: Instant) -> Result<()> {
        let script = self.script()?;
        let Some(machine) = self.domains.get_mut(name) else { return Err(HypervisorError::no_domain(name)) };
        let Some(guest) = machine.guest.as_mut() else { return Err(not_running()) };
        match event {
            GuestEvent::Boots => {
                guest.phase = Phase::Up;
                guest.boots += 1;
                guest.console.boot(script.serial.as_deref());
                let first = guest.boots == 1;
                let has_channel = has_agent_channel(&machine.live);
                let mut enter = |after: Option<std::time::Duration>, event| {
                    if let Some(after) = after {
                        self.agenda.enter(now + after, name, event);
                    }
                };
                if let (AgentScript::ConnectsAfter(after), true) = (script.agent, has_channel) {
                    enter(Some(after), GuestEvent::AgentConnects);
                }
                enter(script.io_error.map(|fault: DiskFault| fault.after), GuestEvent::RunsOutOfSpace);
                enter(script.reboot_after.filter(|_| first), GuestEvent::Reboots);
                enter(script.power_off_after, GuestEvent::PowersOff);
                enter(script.panic_after, GuestEvent::Panics);
                enter(script.crash_after, GuestEvent::ProcessDies);
            }
            GuestEvent::AgentConnects => {
                if !guest.agent.connected {
                    guest.agent.connected = true;
                    self.announce(name, &EventKind::Agent(AgentState::Connected));
                }
            }
            GuestEvent::AgentDisconnects => self.disconnect_agent(name),
            GuestEvent::PowersOff => self.power_off(name, now)?,
            GuestEvent::Reboots => {
                if machine.live.on_reboot.as_deref() == Some("destroy") {
                    self.power_off(name, now)?;
                } else {
                    self.boot_again(name, now)?;
                }
            }
            GuestEvent::Panics => {
                let on_crash = match machine.live.on_crash.as_deref() {
                    Some("preserve") => OnCrash::Preserve,
                    _ => OnCrash::Destroy,
                };
                self.stimulate(name, Stimulus::Panicked(on_crash))?;
            }
            GuestEvent::RunsOutOfSpace => {
                guest.out_of_space.get_or_insert(script.io_error.map_or(1, |fault| fault.resumes));
                self.stimulate(name, Stimulus::IoError)?;
            }
            GuestEvent::ReleasesDevice { alias } => {
                crate::devices::remove_device(Arc::make_mut(&mut machine.live), alias);
                self.announce(name, &EventKind::DeviceRemoved { alias: alias.clone() });
            }
            GuestEvent::ProcessExits => {
                self.stimulate(name, Stimulus::ProcessExited)?;
            }
            GuestEvent::ProcessDies => {
                self.stimulate(name, Stimulus::ProcessKilled)?;
            }
        }
        Ok(())
    }

    fn power_off(&mut self, name: &str, now: Instant) -> Result<()> {
        let exit_delay = self.script()?.exit_delay;
        self.disconnect_agent(name);
        if let Some(guest) = self.domains.get_mut(name).and_then(|machine| machine.guest.as_mut()) {
            guest.phase = Phase::Off;
            guest.console.halt();
        }
        self.stimulate(name, Stimulus::PowerDown { by: ShutdownDetail::Guest })?;
        self.agenda.forget(name);
        self.agenda.enter(now + exit_delay, name, GuestEvent::ProcessExits);
        Ok(())
    }

    /// The guest starts over inside its process.
    pub(crate) fn boot_again(&mut self, name: &str, now: Instant) -> Result<()> {
        let boot_time = self.script()?.boot_time;
        self.disconnect_agent(name);
        if let Some(guest) = self.domains.get_mut(name).and_then(|machine| machine.guest.as_mut()) {
            guest.phase = Phase::Booting;
            guest.requests = 0;
            guest.console.halt();
        }
        self.agenda.forget(name);
        self.agenda.enter(now + boot_time, name, GuestEvent::Boots);
        Ok(())
    }
}

/// An error of whoever reads the XML, not of the driver.
fn xml_error(code: ErrorCode, message: impl fmt::Display) -> HypervisorError {
    HypervisorError { domain: ErrorDomain::DOMAIN, ..HypervisorError::new(code, message) }
}

/// Gives each disk of a domain that starts the alias libvirt would.
fn alias_disks(live: &mut Arc<domain::Domain>) {
    if live.devices.disks.iter().all(|disk| disk.alias.is_some()) {
        return;
    }
    for (index, disk) in Arc::make_mut(live).devices.disks.iter_mut().enumerate() {
        let bus = disk.target.bus.as_deref().unwrap_or("virtio");
        let name = if bus == "virtio" { format!("virtio-disk{index}") } else { format!("{bus}0-0-{index}") };
        disk.alias.get_or_insert_with(|| domain::Alias::plain(name));
    }
}

pub(crate) fn not_running() -> HypervisorError {
    HypervisorError::new(ErrorCode::OPERATION_INVALID, "domain is not running")
}

/// Whether the domain has a channel for an agent.
pub(crate) fn has_agent_channel(domain: &domain::Domain) -> bool {
    domain.devices.channels.iter().any(is_agent_channel)
}

pub(crate) fn is_agent_channel(channel: &domain::Channel) -> bool {
    channel.target.as_ref().is_some_and(|target| target.name.as_deref() == Some(CHANNEL))
}

#[async_trait]
impl Hypervisor for FakeHypervisor {
    fn capabilities(&self) -> Arc<Capabilities> {
        self.shared.lock().host.capabilities.clone()
    }

    fn events(&self) -> EventStream {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.shared.lock().subscribers.push(sender);
        Box::pin(futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|event| (event, receiver)) }))
    }

    async fn define(&self, domain: &domain::Domain) -> Result<Arc<dyn Domain>> {
        let uuid = self.shared.lock().define(domain)?;
        Ok(Arc::new(FakeDomain::new(self.clone(), &domain.name, uuid)))
    }

    async fn lookup(&self, name: &str) -> Result<Arc<dyn Domain>> {
        let uuid = self.shared.lock().domains.get(name).map(|machine| machine.uuid.clone());
        let uuid = uuid.ok_or_else(|| HypervisorError::no_domain(name))?;
        Ok(Arc::new(FakeDomain::new(self.clone(), name, uuid)))
    }

    async fn list(&self) -> Result<Vec<Arc<dyn Domain>>> {
        let inner = self.shared.lock();
        let handle = |(name, machine): (&String, &Machine)| -> Arc<dyn Domain> {
            Arc::new(FakeDomain::new(self.clone(), name, machine.uuid.clone()))
        };
        Ok(inner.domains.iter().map(handle).collect())
    }

    async fn sev_info(&self) -> Result<SevInfo> {
        if !self.shared.lock().host.capabilities.sev {
            return Err(HypervisorError::new(ErrorCode::NO_SUPPORT, "virNodeGetSEVInfo"));
        }
        Ok(SevInfo { pdh: BASE64_STANDARD.encode("fake platform key"), cert_chain: BASE64_STANDARD.encode("fake certificates") })
    }

    async fn stats(&self) -> Result<Vec<DomainStats>> {
        let now = Instant::now();
        let inner = self.shared.lock();
        Ok(inner.domains.iter().filter_map(|(name, machine)| crate::domain::stats(name, machine, now)).collect())
    }
}
