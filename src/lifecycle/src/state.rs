//! States and their reasons, with libvirt's numbers (hypervisor.md §3).

use crate::numbered;

numbered! {
    /// Why a domain runs.
    RunningReason {
        /// No reason known.
        Unknown = 0,
        /// Started from its configuration.
        Booted = 1,
        /// Arrived by migration.
        Migrated = 2,
        /// Restored from a file.
        Restored = 3,
        /// Restored from a snapshot.
        FromSnapshot = 4,
        /// Resumed after a pause.
        Unpaused = 5,
        /// Back after a migration was cancelled.
        MigrationCanceled = 6,
        /// Back after a save was cancelled.
        SaveCanceled = 7,
        /// Woken from a power-management suspend.
        Wakeup = 8,
        /// Resumed after a crash.
        Crashed = 9,
        /// Runs while its memory still arrives.
        Postcopy = 10,
        /// Runs, but its memory no longer arrives.
        PostcopyFailed = 11,
    }
}

numbered! {
    /// Why a domain is paused.
    PausedReason {
        /// No reason known.
        Unknown = 0,
        /// On request.
        User = 1,
        /// For a migration.
        Migration = 2,
        /// For a save.
        Save = 3,
        /// For a dump.
        Dump = 4,
        /// After an error of a disk.
        IoError = 5,
        /// By the watchdog.
        Watchdog = 6,
        /// Restored from a snapshot taken while paused.
        FromSnapshot = 7,
        /// While it shuts down.
        ShuttingDown = 8,
        /// For a snapshot.
        Snapshot = 9,
        /// After the guest crashed.
        Crashed = 10,
        /// While it starts.
        StartingUp = 11,
        /// The source of a post-copy migration.
        Postcopy = 12,
        /// A post-copy migration broke.
        PostcopyFailed = 13,
        /// The hypervisor failed to carry out a call.
        ApiError = 14,
    }
}

numbered! {
    /// Why a domain is shutting down.
    ShutdownReason {
        /// No reason known: the guest began it, or somebody asked for it.
        Unknown = 0,
        /// On request.
        User = 1,
    }
}

numbered! {
    /// Why a domain is off.
    ShutoffReason {
        /// Never ran since it was defined.
        Unknown = 0,
        /// The guest powered off.
        Shutdown = 1,
        /// Its plug was pulled.
        Destroyed = 2,
        /// The guest panicked, or its process died.
        Crashed = 3,
        /// It moved elsewhere.
        Migrated = 4,
        /// Saved to a file.
        Saved = 5,
        /// It could not be started.
        Failed = 6,
        /// Restored from a snapshot taken while off.
        FromSnapshot = 7,
        /// The hypervisor daemon lost it.
        Daemon = 8,
    }
}

numbered! {
    /// Why a domain counts as crashed.
    CrashedReason {
        /// No reason known.
        Unknown = 0,
        /// The guest's kernel panicked.
        Panicked = 1,
    }
}

/// What a domain is doing, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DomainState {
    /// The hypervisor does not know.
    NoState,
    /// The guest's processors run.
    Running(RunningReason),
    /// Runs, but waits for a resource.
    Blocked,
    /// Its process lives, its processors stand still.
    Paused(PausedReason),
    /// The guest has powered off, its process is about to exit.
    ShuttingDown(ShutdownReason),
    /// No process.
    Shutoff(ShutoffReason),
    /// The guest crashed; its process is kept for inspection, or about to go.
    Crashed(CrashedReason),
    /// The guest suspended itself to memory.
    PmSuspended,
}

impl DomainState {
    /// libvirt's numbers of the state and of its reason.
    pub const fn numbers(self) -> (i32, i32) {
        match self {
            Self::NoState => (0, 0),
            Self::Running(reason) => (1, reason.number()),
            Self::Blocked => (2, 0),
            Self::Paused(reason) => (3, reason.number()),
            Self::ShuttingDown(reason) => (4, reason.number()),
            Self::Shutoff(reason) => (5, reason.number()),
            Self::Crashed(reason) => (6, reason.number()),
            Self::PmSuspended => (7, 0),
        }
    }

    /// The state with libvirt's numbers; a reason this version does not know counts as unknown, an unknown state is none.
    pub fn from_numbers(state: i32, reason: i32) -> Option<Self> {
        Some(match state {
            0 => Self::NoState,
            1 => Self::Running(RunningReason::from_number(reason).unwrap_or(RunningReason::Unknown)),
            2 => Self::Blocked,
            3 => Self::Paused(PausedReason::from_number(reason).unwrap_or(PausedReason::Unknown)),
            4 => Self::ShuttingDown(ShutdownReason::from_number(reason).unwrap_or(ShutdownReason::Unknown)),
            5 => Self::Shutoff(ShutoffReason::from_number(reason).unwrap_or(ShutoffReason::Unknown)),
            6 => Self::Crashed(CrashedReason::from_number(reason).unwrap_or(CrashedReason::Unknown)),
            7 => Self::PmSuspended,
            _ => return None,
        })
    }

    /// Whether the domain has a process (libvirt: is active).
    pub const fn is_active(self) -> bool {
        match self {
            Self::Running(_) | Self::Blocked | Self::Paused(_) | Self::ShuttingDown(_) | Self::Crashed(_) | Self::PmSuspended => true,
            Self::NoState | Self::Shutoff(_) => false,
        }
    }
}
