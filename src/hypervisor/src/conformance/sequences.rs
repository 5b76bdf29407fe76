//! Any sequence of calls, and what can be observed of it: two backends that conform observe the same.

use std::fmt;
use std::sync::Arc;

use futures::StreamExt;
use lifecycle::{LifecycleEvent, ShutdownDetail};

use super::PATIENCE;
use crate::{Domain, EventKind, Hypervisor, RebootMode, Result, StartMode};

/// One call. The guest is one that reacts to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Gives the domain its configuration.
    Define,
    /// Starts it.
    Create,
    /// Starts it with its processors halted.
    CreatePaused,
    /// Halts its processors.
    Suspend,
    /// Lets them run.
    Resume,
    /// Presses the power button.
    Shutdown,
    /// Asks for a reboot by the power button.
    Reboot,
    /// Asks the agent, which is not there, for a reboot.
    RebootByAgent,
    /// Pulls the reset line.
    Reset,
    /// Ends its process.
    Destroy,
    /// Removes its configuration.
    Undefine,
    /// Sets the number of its processors.
    SetVcpus(u32),
    /// Ends a job it does not have.
    AbortJob,
}

impl Call {
    /// Every call.
    pub const ALL: &'static [Self] = &[
        Self::Define,
        Self::Create,
        Self::CreatePaused,
        Self::Suspend,
        Self::Resume,
        Self::Shutdown,
        Self::Reboot,
        Self::RebootByAgent,
        Self::Reset,
        Self::Destroy,
        Self::Undefine,
        Self::SetVcpus(1),
        Self::SetVcpus(9),
        Self::AbortJob,
    ];
}

/// What was observed: after each call its answer, the domain's state and what is listed; in the end all lifecycle events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// One line a call.
    pub calls: Vec<String>,
    /// `EVENT/DETAIL` in order.
    pub events: Vec<String>,
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.calls.iter().try_for_each(|call| writeln!(f, "{call}"))?;
        write!(f, "events: {}", self.events.join(", "))
    }
}

/// Plays calls on a hypervisor without domains, and leaves none behind.
///
/// `definition` is the domain's; `sentinel` another's, whose coming and going marks the end of the events.
///
/// # Errors
/// What went wrong besides the calls themselves.
pub async fn play(
    hypervisor: &dyn Hypervisor,
    definition: &domain::Domain,
    sentinel: &domain::Domain,
    calls: &[Call],
) -> std::result::Result<Observation, String> {
    let mut stream = hypervisor.events();
    let mut observation = Observation::default();
    let name = definition.name.as_str();
    let mut handle: Option<Arc<dyn Domain>> = None;
    for call in calls {
        let answer = match (call, &handle) {
            (Call::Define, _) => hypervisor.define(definition).await.map(|domain| handle = Some(domain)),
            (_, None) => hypervisor.lookup(name).await.map(drop),
            (call, Some(domain)) => make(*call, &**domain).await,
        };
        let state = match hypervisor.lookup(name).await {
            Err(error) => format!("{}", error.code.0),
            Ok(domain) => match domain.state().await {
                Ok(state) => format!("{state:?}"),
                Err(error) => format!("{}", error.code.0),
            },
        };
        let answer = answer.map_or_else(|error| format!("{} {}", error.code.0, error.message), |()| "ok".to_owned());
        observation.calls.push(format!("{call:?}: {answer} -> {state}"));
    }
    if let Ok(domain) = hypervisor.lookup(name).await {
        // One of them does not apply, depending on what the calls left.
        let _ = domain.destroy().await;
        let _ = domain.undefine().await;
    }
    let mark = hypervisor.define(sentinel).await.map_err(|error| format!("sentinel: {error}"))?;
    mark.undefine().await.map_err(|error| format!("sentinel: {error}"))?;
    let listen = async {
        while let Some(event) = stream.next().await {
            match event.kind {
                EventKind::Lifecycle(LifecycleEvent::Undefined(_)) if event.domain == sentinel.name => return Ok(()),
                EventKind::Lifecycle(_) if event.domain == sentinel.name => {}
                // A process that is ended may have had the time to say that it goes; or not.
                EventKind::Lifecycle(LifecycleEvent::Shutdown(ShutdownDetail::Host)) => {}
                EventKind::Lifecycle(event) => observation.events.push(event.to_string()),
                _ => {}
            }
        }
        Err("the event stream ended".to_owned())
    };
    tokio::time::timeout(PATIENCE, listen).await.map_err(|_| "the sentinel's event did not come".to_owned())??;
    Ok(observation)
}

async fn make(call: Call, domain: &dyn Domain) -> Result<()> {
    match call {
        // Made by the caller.
        Call::Define => Ok(()),
        Call::Create => domain.create(StartMode::Running).await,
        Call::CreatePaused => domain.create(StartMode::Paused).await,
        Call::Suspend => domain.suspend().await,
        Call::Resume => domain.resume().await,
        Call::Shutdown => domain.shutdown().await,
        Call::Reboot => domain.reboot(RebootMode::AcpiPowerButton).await,
        Call::RebootByAgent => domain.reboot(RebootMode::GuestAgent).await,
        Call::Reset => domain.reset().await,
        Call::Destroy => domain.destroy().await,
        Call::Undefine => domain.undefine().await,
        Call::SetVcpus(count) => domain.set_vcpus(count).await,
        Call::AbortJob => domain.abort_job().await,
    }
}
