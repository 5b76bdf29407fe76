//! What a hypervisor announces.

use lifecycle::{AgentState, LifecycleEvent};

/// Something that happened to a domain. A hint to look again, never the state itself: [`crate::Domain::state`] has that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainEvent {
    /// The domain's name.
    pub domain: String,
    /// What happened.
    pub kind: EventKind,
}

/// The kinds of events a launcher listens to (hypervisor.md §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Of the domain's life.
    Lifecycle(LifecycleEvent),
    /// The guest agent came or went.
    Agent(AgentState),
    /// The guest has a device.
    DeviceAdded {
        /// The device's alias, without the prefix of user aliases.
        alias: String,
    },
    /// The guest released a device.
    DeviceRemoved {
        /// The device's alias, without the prefix of user aliases.
        alias: String,
    },
    /// A memory device has another size.
    MemoryDeviceSizeChange {
        /// The device's alias.
        alias: String,
        /// Bytes.
        bytes: u64,
    },
    /// A job ended.
    JobCompleted {
        /// What was done.
        operation: JobOperation,
        /// How it ended.
        outcome: JobOutcome,
    },
    /// The connection was lost and is back; events in between are lost. Of every domain that is there, or was there before.
    Reconnected,
}

/// What a job does (libvirt's `virDomainJobOperation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOperation {
    /// Starts the domain (1).
    Start,
    /// Takes the domain in from elsewhere (4).
    MigrationIn,
    /// Moves the domain elsewhere (5).
    MigrationOut,
    /// Dumps the guest's memory (8).
    Dump,
    /// Backs up disks (9).
    Backup,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// Done.
    Completed,
    /// It broke.
    Failed,
    /// It was called off.
    Cancelled,
}
