//! What checks have in common: a domain to be, its events, and ways to say what must be so.

use std::future::Future;
use std::sync::Arc;

use futures::StreamExt;
use lifecycle::{AgentState, DomainState, ErrorCode};

use super::{Bench, Check, Guest, PATIENCE};
use crate::{Domain, EventKind, EventStream, Hypervisor, HypervisorError, Result, StartMode};

/// A check's surroundings.
pub(super) struct Case<'a> {
    pub(super) bench: &'a dyn Bench,
    pub(super) guest: Guest,
    pub(super) hypervisor: Arc<dyn Hypervisor>,
    pub(super) events: EventStream,
    pub(super) definition: domain::Domain,
}

impl<'a> Case<'a> {
    pub(super) fn new(bench: &'a dyn Bench, guest: Guest, hypervisor: Arc<dyn Hypervisor>) -> Self {
        let events = hypervisor.events();
        Self { bench, guest, hypervisor, events, definition: bench.definition(guest, "default_conformance") }
    }

    pub(super) async fn define(&mut self) -> std::result::Result<Arc<dyn Domain>, String> {
        let domain = self.hypervisor.define(&self.definition).await.map_err(|e| format!("define: {e}"))?;
        self.expect("DEFINED/ADDED").await?;
        Ok(domain)
    }

    pub(super) async fn start(&mut self) -> std::result::Result<Arc<dyn Domain>, String> {
        let domain = self.define().await?;
        domain.create(StartMode::Running).await.map_err(|e| format!("create: {e}"))?;
        self.until("STARTED/BOOTED").await?;
        Ok(domain)
    }

    /// The next event that `wanted` makes something of; others are passed over.
    pub(super) async fn find<T>(&mut self, what: &str, wanted: impl Fn(&EventKind) -> Option<T>) -> std::result::Result<T, String> {
        let found = async {
            while let Some(event) = self.events.next().await {
                if let Some(found) = wanted(&event.kind) {
                    return Ok(found);
                }
            }
            Err(format!("waiting for {what}: the event stream ended"))
        };
        tokio::time::timeout(PATIENCE, found).await.map_err(|_| format!("waiting for {what}: no event came"))?
    }

    /// The next lifecycle event; other kinds are passed over.
    pub(super) async fn next(&mut self, waiting_for: &str) -> std::result::Result<String, String> {
        self.find(waiting_for, |kind| match kind {
            EventKind::Lifecycle(event) => Some(event.to_string()),
            _ => None,
        })
        .await
    }

    pub(super) async fn expect(&mut self, expected: &str) -> Check {
        let event = self.next(expected).await?;
        if event == expected { Ok(()) } else { Err(format!("expected {expected}, got {event}")) }
    }

    /// The process was ended. It may have had the time to say that it goes, which it says of a signal.
    pub(super) async fn expect_destroyed(&mut self) -> Check {
        let event = match self.next("STOPPED/DESTROYED").await? {
            goes if goes == "SHUTDOWN/HOST" => self.next("STOPPED/DESTROYED").await?,
            event => event,
        };
        equal("event", &event.as_str(), &"STOPPED/DESTROYED")
    }

    pub(super) async fn until(&mut self, expected: &str) -> Check {
        while self.next(expected).await? != expected {}
        Ok(())
    }

    /// No lifecycle event comes any more.
    pub(super) async fn nothing(&mut self) -> Check {
        match tokio::time::timeout(self.bench.silence(), self.next("nothing")).await {
            Ok(Ok(event)) => Err(format!("unexpected {event}")),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    pub(super) async fn until_agent(&mut self, state: AgentState) -> Check {
        self.find(&format!("agent {state:?}"), |kind| (*kind == EventKind::Agent(state)).then_some(())).await
    }

    pub(super) async fn until_added(&mut self, alias: &str) -> Check {
        self.find(&format!("device {alias} added"), |kind| match kind {
            EventKind::DeviceAdded { alias: added } if added == alias => Some(()),
            _ => None,
        })
        .await
    }

    pub(super) async fn until_removed(&mut self, alias: &str) -> Check {
        self.find(&format!("device {alias} removed"), |kind| match kind {
            EventKind::DeviceRemoved { alias: removed } if removed == alias => Some(()),
            _ => None,
        })
        .await
    }

    /// Asks the guest to power off until it does: a guest that still boots does not see the button.
    pub(super) async fn press_until_shutdown(&mut self, domain: &dyn Domain) -> std::result::Result<String, String> {
        let pressed = async {
            loop {
                accepted("shutdown", domain.shutdown().await)?;
                if let Ok(event) = tokio::time::timeout(std::time::Duration::from_secs(5), self.next("SHUTDOWN")).await {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, pressed).await.map_err(|_| "the guest does not power off".to_owned())?
    }
}

pub(super) async fn state_is(domain: &dyn Domain, expected: DomainState) -> Check {
    let state = domain.state().await.map_err(|e| format!("state: {e}"))?;
    equal("state", &state, &expected)
}

pub(super) fn equal<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, expected: &T) -> Check {
    if is == expected { Ok(()) } else { Err(format!("{what} is {is:?}, not {expected:?}")) }
}

pub(super) fn holds(what: &str, is: bool) -> Check {
    if is { Ok(()) } else { Err(format!("not so: {what}")) }
}

pub(super) fn refused<T>(what: &str, result: Result<T>, code: ErrorCode) -> Check {
    match result {
        Ok(_) => Err(format!("{what} was not refused")),
        Err(error) if error.code == code => Ok(()),
        Err(error) => Err(format!("{what}: code {} instead of {}: {error}", error.code.0, code.0)),
    }
}

/// Refused with these words, besides the code.
pub(super) fn refused_with<T>(what: &str, result: Result<T>, code: ErrorCode, words: &str) -> Check {
    let Err(error) = result else { return Err(format!("{what} was not refused")) };
    holds(&format!("{what}: {error} has code {} and says {words:?}", code.0), error.code == code && error.message.contains(words))
}

pub(super) fn accepted<T>(what: &str, result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|error: HypervisorError| format!("{what}: {error}"))
}

/// Looks again and again until it is so.
pub(super) async fn eventually<F: Future<Output = std::result::Result<bool, String>>>(what: &str, mut look: impl FnMut() -> F) -> Check {
    let so = async {
        while !look().await? {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, so).await.map_err(|_| format!("never so: {what}"))?
}
