//! Who lets guests act: the driver by the clock, the test step by step.

use std::sync::{Arc, Weak};

use hypervisor::{BoxGuestStream, Result};
use tokio::time::Instant;

use crate::agenda::GuestEvent;
use crate::backend::Shared;
use crate::guest::Phase;
use crate::ports::{self, PortScript};
use crate::{FakeHypervisor, GuestScript, Host};

/// Bytes a port holds between guest and client.
const BUFFER: usize = 16 * 1024;

impl FakeHypervisor {
    /// A hypervisor whose guests do nothing until the handle lets them.
    pub fn step_by_step(host: Arc<Host>, script: GuestScript) -> (Self, Steps) {
        let hypervisor = Self::with(host, Ok(Arc::new(script)), false);
        let steps = Steps { shared: hypervisor.shared.clone() };
        (hypervisor, steps)
    }

    /// Makes the guest of a domain do something now, whatever its script says.
    ///
    /// # Errors
    /// `NO_DOMAIN`, or `OPERATION_INVALID` where the domain's state does not allow it.
    pub fn inject(&self, domain: &str, event: &GuestEvent) -> Result<()> {
        let done = self.shared.lock().happens(domain, event, Instant::now());
        self.drive();
        done
    }

    /// Connects to a port of a domain's guest; nothing where the guest is not up, or nothing answers there.
    pub fn dial(&self, domain: &str, port: u16) -> Option<BoxGuestStream> {
        let script = {
            let inner = self.shared.lock();
            let machine = inner.domains.get(domain)?;
            let up = machine.record.state.is_active() && machine.guest.as_ref()?.phase == Phase::Up;
            let script = inner.script().ok()?;
            script.ports.get(&port).cloned().filter(|_| up)?
        };
        Some(answering(script))
    }

    /// How many starts were tried so far, those that failed included.
    pub fn starts(&self) -> u32 {
        self.shared.lock().started
    }

    /// Sees to it that somebody plays the agenda, where there is something on it.
    pub(crate) fn drive(&self) {
        let mut inner = self.shared.lock();
        if inner.automatic && !inner.driven && inner.agenda.next_due().is_some() {
            inner.driven = true;
            tokio::spawn(play(Arc::downgrade(&self.shared)));
        }
        drop(inner);
        self.shared.wake.notify_waiters();
    }
}

/// A stream that the script answers.
pub(crate) fn answering(script: PortScript) -> BoxGuestStream {
    let (client, server) = tokio::io::duplex(BUFFER);
    tokio::spawn(async move {
        // Ends when the client goes; there is nobody left to tell.
        let _ = ports::serve(server, script).await;
    });
    Box::new(client)
}

/// Plays the agenda until it is empty, or the hypervisor is gone.
async fn play(hypervisor: Weak<Shared>) {
    loop {
        let Some(shared) = hypervisor.upgrade() else { return };
        let changed = shared.wake.notified();
        tokio::pin!(changed);
        // Registers before looking, so that no change is missed.
        changed.as_mut().enable();
        let due = {
            let mut inner = shared.lock();
            let now = Instant::now();
            while let Some((due, domain, event)) = inner.agenda.pop_due(now) {
                // The state may have moved on since the event was entered: it is void then, as a press on a dead machine's button.
                let _ = inner.happens(&domain, &event, due);
            }
            let Some(due) = inner.agenda.next_due() else {
                inner.driven = false;
                return;
            };
            due
        };
        tokio::select! {
            biased;
            () = &mut changed => {}
            () = tokio::time::sleep_until(due) => {}
        }
    }
}

/// Releases what guests are going to do, one event at a time.
#[derive(Clone)]
pub struct Steps {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steps").field("pending", &self.pending()).finish()
    }
}

impl Steps {
    /// What is waiting to be released, in order: domain and event.
    pub fn pending(&self) -> Vec<(String, GuestEvent)> {
        let inner = self.shared.lock();
        inner.agenda.entries().map(|(domain, event)| (domain.to_owned(), event.clone())).collect()
    }

    /// Lets the next event happen, if one is waiting; which.
    pub fn release(&self) -> Option<(String, GuestEvent)> {
        let mut inner = self.shared.lock();
        let (_, domain, event) = inner.agenda.pop()?;
        // Void where the state moved on since it was entered.
        let _ = inner.happens(&domain, &event, Instant::now());
        Some((domain, event))
    }

    /// Waits until an event is waiting, and lets it happen.
    pub async fn next(&self) -> (String, GuestEvent) {
        loop {
            let changed = self.shared.wake.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(step) = self.release() {
                return step;
            }
            changed.await;
        }
    }
}
