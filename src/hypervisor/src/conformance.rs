//! The suite every backend passes, the fake and the real one (hypervisor.md §9.1, §14): what a launcher may rely on.
//!
//! A backend's tests implement [`Bench`] and call [`run`]; it answers with one [`Verdict`] a check. Checks wait on events, for at most
//! [`PATIENCE`] of tokio's time, so that the fake runs them on a paused clock in no time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use lifecycle::{DomainState, ErrorCode, PausedReason, RunningReason, ShutoffReason};

use crate::{Domain, EventKind, EventStream, Hypervisor, HypervisorError, RebootMode, StartMode, View};

/// How long a check waits for an event.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The guest a check needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// Boots, and powers off when asked.
    Obedient,
    /// Boots, and ignores the power button.
    Deaf,
    /// Boots, and powers itself off.
    PowersOff,
    /// Boots, and its process dies.
    Dies,
    /// Boots, and its kernel panics.
    Panics,
    /// Cannot be started.
    Stillborn,
    /// Boots, and its agent connects.
    WithAgent,
}

/// A backend under test.
#[async_trait]
pub trait Bench: Sync {
    /// A connection without domains whose guest is as asked; `None` where the backend cannot script it, the check is skipped then.
    async fn connect(&self, guest: Guest) -> Option<Arc<dyn Hypervisor>>;

    /// A small definition with this name that the backend can start.
    fn definition(&self, name: &str) -> domain::Domain;
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The check's name.
    pub check: &'static str,
    /// What happened.
    pub result: Finding,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it must be.
    Conforms,
    /// The backend cannot make the guest the check needs.
    Skipped,
    /// Not as it must be: how.
    Deviates(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Finding::Conforms => write!(f, "{}: conforms", self.check),
            Finding::Skipped => write!(f, "{}: skipped", self.check),
            Finding::Deviates(how) => write!(f, "{}: {how}", self.check),
        }
    }
}

type Check = Result<(), String>;

/// Runs every check, each on a connection of its own.
pub async fn run(bench: &dyn Bench) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    macro_rules! check {
        ($guest:ident, $name:ident) => {
            let result = match bench.connect(Guest::$guest).await {
                None => Finding::Skipped,
                Some(hypervisor) => match $name(Case::new(bench, hypervisor)).await {
                    Ok(()) => Finding::Conforms,
                    Err(how) => Finding::Deviates(how),
                },
            };
            verdicts.push(Verdict { check: stringify!($name), result });
        };
    }
    check!(Obedient, defines_and_finds);
    check!(Obedient, refuses_a_name_of_another_uuid);
    check!(Obedient, starts_cold);
    check!(Obedient, starts_paused);
    check!(Obedient, refuses_what_needs_a_process);
    check!(Obedient, suspends_and_resumes);
    check!(Obedient, shuts_down_when_the_guest_wants);
    check!(Deaf, outlives_a_shutdown_the_guest_ignores);
    check!(Deaf, destroys);
    check!(Obedient, refuses_a_shutdown_while_paused);
    check!(Obedient, vanishes_when_undefined_while_running);
    check!(Obedient, resets_and_reboots_in_place);
    check!(PowersOff, announces_a_power_off);
    check!(Dies, announces_the_death_of_a_process);
    check!(Panics, announces_a_panic);
    check!(Stillborn, says_failed_when_it_cannot_start);
    check!(Obedient, refuses_the_agent_while_it_is_away);
    check!(WithAgent, answers_the_agents_ping);
    check!(Obedient, has_no_job);
    verdicts
}

struct Case {
    hypervisor: Arc<dyn Hypervisor>,
    events: EventStream,
    definition: domain::Domain,
}

impl Case {
    fn new(bench: &dyn Bench, hypervisor: Arc<dyn Hypervisor>) -> Self {
        let events = hypervisor.events();
        Self { hypervisor, events, definition: bench.definition("default_conformance") }
    }

    async fn define(&mut self) -> Result<Arc<dyn Domain>, String> {
        let domain = self.hypervisor.define(&self.definition).await.map_err(|e| format!("define: {e}"))?;
        self.expect("DEFINED/ADDED").await?;
        Ok(domain)
    }

    async fn start(&mut self) -> Result<Arc<dyn Domain>, String> {
        let domain = self.define().await?;
        domain.create(StartMode::Running).await.map_err(|e| format!("create: {e}"))?;
        self.until("STARTED/BOOTED").await?;
        Ok(domain)
    }

    /// The next lifecycle event; other kinds are passed over.
    async fn next(&mut self) -> Result<String, String> {
        let next = async {
            while let Some(event) = self.events.next().await {
                if let EventKind::Lifecycle(lifecycle) = event.kind {
                    return Ok(lifecycle.to_string());
                }
            }
            Err("the event stream ended".to_owned())
        };
        tokio::time::timeout(PATIENCE, next).await.map_err(|_| "no event came".to_owned())?
    }

    async fn expect(&mut self, expected: &str) -> Check {
        let event = self.next().await.map_err(|how| format!("waiting for {expected}: {how}"))?;
        if event == expected { Ok(()) } else { Err(format!("expected {expected}, got {event}")) }
    }

    async fn until(&mut self, expected: &str) -> Check {
        loop {
            let event = self.next().await.map_err(|how| format!("waiting for {expected}: {how}"))?;
            if event == expected {
                return Ok(());
            }
        }
    }

    async fn until_agent(&mut self) -> Check {
        let connected = async {
            while let Some(event) = self.events.next().await {
                if event.kind == EventKind::Agent(lifecycle::AgentState::Connected) {
                    return Ok(());
                }
            }
            Err("the event stream ended".to_owned())
        };
        tokio::time::timeout(PATIENCE, connected).await.map_err(|_| "the agent did not connect".to_owned())?
    }
}

async fn state_is(domain: &dyn Domain, expected: DomainState) -> Check {
    let state = domain.state().await.map_err(|e| format!("state: {e}"))?;
    if state == expected { Ok(()) } else { Err(format!("state is {state:?}, not {expected:?}")) }
}

fn refused<T>(what: &str, result: Result<T, HypervisorError>, code: ErrorCode) -> Check {
    match result {
        Ok(_) => Err(format!("{what} was not refused")),
        Err(error) if error.code == code => Ok(()),
        Err(error) => Err(format!("{what}: code {} instead of {}: {error}", error.code.0, code.0)),
    }
}

fn accepted<T>(what: &str, result: Result<T, HypervisorError>) -> Check {
    result.map(drop).map_err(|e| format!("{what}: {e}"))
}

async fn defines_and_finds(mut case: Case) -> Check {
    refused("lookup of nothing", case.hypervisor.lookup("default_conformance").await, ErrorCode::NO_DOMAIN)?;
    let domain = case.define().await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Unknown)).await?;
    let found = case.hypervisor.lookup("default_conformance").await.map_err(|e| e.to_string())?;
    if found.uuid() != domain.uuid() {
        return Err(format!("lookup found UUID {}, defined was {}", found.uuid(), domain.uuid()));
    }
    accepted("second define", case.hypervisor.define(&case.definition).await)?;
    case.expect("DEFINED/UPDATED").await?;
    accepted("description", domain.description(View::Inactive).await)?;
    accepted("undefine", domain.undefine().await)?;
    case.expect("UNDEFINED/REMOVED").await?;
    refused("state of the undefined", domain.state().await, ErrorCode::NO_DOMAIN)?;
    let left = case.hypervisor.list().await.map_err(|e| e.to_string())?;
    if left.is_empty() { Ok(()) } else { Err(format!("{} domains are left", left.len())) }
}

async fn refuses_a_name_of_another_uuid(mut case: Case) -> Check {
    case.define().await?;
    let mut other = case.definition.clone();
    other.uuid = Some("00000000-1111-2222-3333-444444444444".to_owned());
    refused("define", case.hypervisor.define(&other).await, ErrorCode::OPERATION_FAILED)
}

async fn starts_cold(mut case: Case) -> Check {
    let domain = case.define().await?;
    accepted("create", domain.create(StartMode::Running).await)?;
    case.expect("RESUMED/UNPAUSED").await?;
    case.expect("STARTED/BOOTED").await?;
    state_is(&*domain, DomainState::Running(RunningReason::Booted)).await?;
    refused("second create", domain.create(StartMode::Running).await, ErrorCode::OPERATION_INVALID)
}

async fn starts_paused(mut case: Case) -> Check {
    let domain = case.define().await?;
    accepted("create", domain.create(StartMode::Paused).await)?;
    case.expect("STARTED/BOOTED").await?;
    case.expect("SUSPENDED/PAUSED").await?;
    state_is(&*domain, DomainState::Paused(PausedReason::User)).await
}

async fn refuses_what_needs_a_process(mut case: Case) -> Check {
    let domain = case.define().await?;
    let invalid = ErrorCode::OPERATION_INVALID;
    refused("suspend", domain.suspend().await, invalid)?;
    refused("resume", domain.resume().await, invalid)?;
    refused("shutdown", domain.shutdown().await, invalid)?;
    refused("destroy", domain.destroy().await, invalid)?;
    refused("reset", domain.reset().await, invalid)?;
    refused("reboot", domain.reboot(RebootMode::AcpiPowerButton).await, invalid)?;
    refused("screenshot", domain.screenshot().await, invalid)?;
    refused("agent command", domain.agent_command(r#"{"execute":"guest-ping"}"#).await, invalid)
}

async fn suspends_and_resumes(mut case: Case) -> Check {
    let domain = case.start().await?;
    refused("resume of the running", domain.resume().await, ErrorCode::OPERATION_INVALID)?;
    accepted("suspend", domain.suspend().await)?;
    case.expect("SUSPENDED/PAUSED").await?;
    state_is(&*domain, DomainState::Paused(PausedReason::User)).await?;
    accepted("suspend of the paused", domain.suspend().await)?;
    accepted("resume", domain.resume().await)?;
    case.expect("RESUMED/UNPAUSED").await?;
    state_is(&*domain, DomainState::Running(RunningReason::Unpaused)).await
}

async fn shuts_down_when_the_guest_wants(mut case: Case) -> Check {
    let domain = case.start().await?;
    accepted("shutdown", domain.shutdown().await)?;
    let event = case.next().await?;
    if event != "SHUTDOWN/GUEST" && event != "SHUTDOWN/HOST" {
        return Err(format!("expected SHUTDOWN, got {event}"));
    }
    case.expect("STOPPED/SHUTDOWN").await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Shutdown)).await?;
    accepted("undefine", domain.undefine().await)?;
    case.expect("UNDEFINED/REMOVED").await
}

async fn outlives_a_shutdown_the_guest_ignores(mut case: Case) -> Check {
    let domain = case.start().await?;
    accepted("shutdown", domain.shutdown().await)?;
    accepted("second shutdown", domain.shutdown().await)?;
    state_is(&*domain, DomainState::Running(RunningReason::Booted)).await?;
    match case.next().await {
        Ok(event) => Err(format!("unexpected {event}")),
        Err(_) => state_is(&*domain, DomainState::Running(RunningReason::Booted)).await,
    }
}

async fn destroys(mut case: Case) -> Check {
    let domain = case.start().await?;
    accepted("destroy", domain.destroy().await)?;
    case.expect("STOPPED/DESTROYED").await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Destroyed)).await?;
    refused("second destroy", domain.destroy().await, ErrorCode::OPERATION_INVALID)
}

async fn refuses_a_shutdown_while_paused(mut case: Case) -> Check {
    let domain = case.start().await?;
    accepted("suspend", domain.suspend().await)?;
    refused("shutdown", domain.shutdown().await, ErrorCode::OPERATION_INVALID)
}

async fn vanishes_when_undefined_while_running(mut case: Case) -> Check {
    let domain = case.start().await?;
    accepted("undefine", domain.undefine().await)?;
    case.expect("UNDEFINED/REMOVED").await?;
    state_is(&*domain, DomainState::Running(RunningReason::Booted)).await?;
    accepted("destroy", domain.destroy().await)?;
    case.expect("STOPPED/DESTROYED").await?;
    refused("lookup", case.hypervisor.lookup("default_conformance").await, ErrorCode::NO_DOMAIN)
}

async fn resets_and_reboots_in_place(mut case: Case) -> Check {
    let domain = case.start().await?;
    accepted("reset", domain.reset().await)?;
    state_is(&*domain, DomainState::Running(RunningReason::Booted)).await?;
    accepted("reboot", domain.reboot(RebootMode::AcpiPowerButton).await)?;
    state_is(&*domain, DomainState::Running(RunningReason::Booted)).await
}

async fn announces_a_power_off(mut case: Case) -> Check {
    let domain = case.start().await?;
    case.expect("SHUTDOWN/GUEST").await?;
    case.expect("STOPPED/SHUTDOWN").await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Shutdown)).await
}

async fn announces_the_death_of_a_process(mut case: Case) -> Check {
    let domain = case.start().await?;
    case.expect("STOPPED/FAILED").await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Crashed)).await
}

async fn announces_a_panic(mut case: Case) -> Check {
    let domain = case.start().await?;
    case.expect("CRASHED/PANICKED").await?;
    case.expect("STOPPED/CRASHED").await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Crashed)).await
}

async fn says_failed_when_it_cannot_start(mut case: Case) -> Check {
    let domain = case.define().await?;
    if domain.create(StartMode::Running).await.is_ok() {
        return Err("create succeeded".to_owned());
    }
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Failed)).await
}

async fn refuses_the_agent_while_it_is_away(mut case: Case) -> Check {
    let domain = case.start().await?;
    let unresponsive = ErrorCode::AGENT_UNRESPONSIVE;
    refused("ping", domain.agent_command(r#"{"execute":"guest-ping"}"#).await, unresponsive)?;
    refused("guest info", domain.guest_info().await, unresponsive)?;
    refused("freeze", domain.fs_freeze().await, unresponsive)?;
    refused("set time", domain.set_time(0, 0).await, unresponsive)?;
    refused("reboot by the agent", domain.reboot(RebootMode::GuestAgent).await, unresponsive)
}

async fn answers_the_agents_ping(mut case: Case) -> Check {
    let domain = case.start().await?;
    case.until_agent().await?;
    let answer = domain.agent_command(r#"{"execute":"guest-ping"}"#).await.map_err(|e| e.to_string())?;
    if !answer.contains("\"return\"") {
        return Err(format!("answer is {answer}"));
    }
    let frozen = domain.fs_freeze().await.map_err(|e| format!("freeze: {e}"))?;
    let thawed = domain.fs_thaw().await.map_err(|e| format!("thaw: {e}"))?;
    if frozen == thawed && frozen > 0 { Ok(()) } else { Err(format!("froze {frozen}, thawed {thawed}")) }
}

async fn has_no_job(mut case: Case) -> Check {
    let domain = case.start().await?;
    let job = domain.job_info().await.map_err(|e| format!("job info: {e}"))?;
    if job.operation.is_some() {
        return Err(format!("job {job:?}"));
    }
    refused("abort of no job", domain.abort_job().await, ErrorCode::OPERATION_INVALID)
}
