//! Requests to start and stop (spec controllers §3.4): only the first of the queue ever counts.

use api::v1::values::state_change;
use api::v1::{VirtualMachine, VirtualMachineInstance, VirtualMachineStateChangeRequest};

use crate::metadata;
use crate::vmi::Phase;

/// The first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// There is none, or one that nobody knows.
    None,
    /// Start an instance; perhaps paused.
    Start {
        /// The guest is not to run before it is told to.
        paused: bool,
    },
    /// Stop the instance with this UID.
    Stop {
        /// Absent in requests that never match.
        uid: Option<&'a str>,
    },
}

impl<'a> Request<'a> {
    pub(super) fn first(vm: &'a VirtualMachine) -> Self {
        let Some(request) = vm.status.as_ref().and_then(|status| status.state_change_requests.first()) else { return Self::None };
        match request.action.as_str() {
            state_change::START => Self::Start { paused: request.data.get("paused").is_some_and(|paused| paused == "true") },
            state_change::STOP => Self::Stop { uid: request.uid.as_deref() },
            _ => Self::None,
        }
    }

    /// Whether it asks to stop this very instance.
    pub(super) fn stops(self, vmi: &VirtualMachineInstance) -> bool {
        matches!(self, Self::Stop { uid: Some(uid) } if uid == metadata::uid(&vmi.metadata))
    }

    pub(super) fn is_start(self) -> bool {
        matches!(self, Self::Start { .. })
    }

    /// Whether it was fulfilled, or never can be.
    pub(super) fn is_done(self, vmi: Option<&VirtualMachineInstance>) -> bool {
        match (self, vmi) {
            (Self::None, _) | (Self::Start { .. }, None) => false,
            (Self::Start { .. }, Some(vmi)) => !metadata::is_deleting(&vmi.metadata) && !Phase::of(vmi).is_final(),
            (Self::Stop { .. }, None) => true,
            (Self::Stop { .. }, Some(vmi)) => !self.stops(vmi),
        }
    }
}

/// A request to start.
pub(super) fn start() -> VirtualMachineStateChangeRequest {
    VirtualMachineStateChangeRequest { action: state_change::START.to_owned(), ..VirtualMachineStateChangeRequest::default() }
}
