//! The guest inside a running domain.

use lifecycle::AgentState;
use tokio::time::Instant;

use crate::agent::Agent;
use crate::console::Console;

/// What the guest's operating system is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not up yet; it does not see the power button.
    Booting,
    /// Up.
    Up,
    /// Told to power off, or doing so by itself.
    PoweringOff,
    /// Off; its process is about to exit.
    Off,
}

/// A guest from the start of its process to its end.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) phase: Phase,
    pub(crate) agent: Agent,
    pub(crate) console: Console,
    /// Requests to power off it saw.
    pub(crate) requests: u32,
    /// How often it came up.
    pub(crate) boots: u32,
    /// Resumes until its disk has space again, while that failed.
    pub(crate) out_of_space: Option<u32>,
    /// When its process started.
    pub(crate) started: Instant,
}

impl Guest {
    pub(crate) fn new(host: &str, started: Instant) -> Self {
        Self {
            phase: Phase::Booting,
            agent: Agent::default(),
            console: Console::new(host),
            requests: 0,
            boots: 0,
            out_of_space: None,
            started,
        }
    }

    /// The state of its agent's channel.
    pub(crate) fn channel(&self) -> AgentState {
        if self.agent.connected { AgentState::Connected } else { AgentState::Disconnected }
    }
}
