//! Events and their details, with libvirt's numbers (hypervisor.md §4).

use std::fmt;

use crate::numbered;

numbered! {
    /// How a domain came to be defined.
    DefinedDetail {
        /// It is new.
        Added = 0,
        /// Its configuration changed.
        Updated = 1,
        /// It has a new name.
        Renamed = 2,
        /// A snapshot brought the configuration back.
        FromSnapshot = 3,
    }
}

numbered! {
    /// How a domain's configuration went.
    UndefinedDetail {
        /// It was removed.
        Removed = 0,
        /// It has a new name.
        Renamed = 1,
    }
}

numbered! {
    /// How a domain started.
    StartedDetail {
        /// From its configuration.
        Booted = 0,
        /// By an incoming migration.
        Migrated = 1,
        /// From a file.
        Restored = 2,
        /// From a snapshot.
        FromSnapshot = 3,
        /// From a power-management suspend.
        Wakeup = 4,
        /// After the hypervisor daemon restarted.
        Recovered = 5,
    }
}

numbered! {
    /// Why a domain was suspended.
    SuspendedDetail {
        /// On request.
        Paused = 0,
        /// For a migration.
        Migrated = 1,
        /// After an error of a disk.
        IoError = 2,
        /// By the watchdog.
        Watchdog = 3,
        /// Restored paused.
        Restored = 4,
        /// Restored paused from a snapshot.
        FromSnapshot = 5,
        /// The hypervisor failed to carry out a call.
        ApiError = 6,
        /// It is the source of a post-copy migration now.
        Postcopy = 7,
        /// A post-copy migration broke.
        PostcopyFailed = 8,
    }
}

numbered! {
    /// Why a domain was resumed.
    ResumedDetail {
        /// On request, or because it starts.
        Unpaused = 0,
        /// A migration arrived, or was called off.
        Migrated = 1,
        /// From a snapshot.
        FromSnapshot = 2,
        /// It runs while its memory still arrives.
        Postcopy = 3,
        /// It runs, but its memory no longer arrives.
        PostcopyFailed = 4,
    }
}

numbered! {
    /// Why a domain stopped.
    StoppedDetail {
        /// The guest powered off.
        Shutdown = 0,
        /// Its plug was pulled.
        Destroyed = 1,
        /// The guest crashed.
        Crashed = 2,
        /// It moved elsewhere.
        Migrated = 3,
        /// Saved to a file.
        Saved = 4,
        /// Its process died.
        Failed = 5,
        /// A snapshot taken while off was restored.
        FromSnapshot = 6,
    }
}

numbered! {
    /// Who began a power-down.
    ShutdownDetail {
        /// Not known.
        Finished = 0,
        /// The guest.
        Guest = 1,
        /// The host, for instance by a signal to the process.
        Host = 2,
    }
}

numbered! {
    /// Where a guest suspended itself to.
    PmSuspendedDetail {
        /// To memory.
        Memory = 0,
        /// To disk.
        Disk = 1,
    }
}

numbered! {
    /// How a guest crashed.
    CrashedDetail {
        /// Its kernel panicked.
        Panicked = 0,
        /// Its kernel panicked and loaded its crash kernel.
        Crashloaded = 1,
    }
}

numbered! {
    /// State of the guest agent's channel.
    AgentState {
        /// The agent listens.
        Connected = 1,
        /// Nobody listens.
        Disconnected = 2,
    }
}

/// A lifecycle event of a domain, as libvirt announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LifecycleEvent {
    /// It has a (new) configuration.
    Defined(DefinedDetail),
    /// Its configuration went.
    Undefined(UndefinedDetail),
    /// It has a process.
    Started(StartedDetail),
    /// Its processors stand still.
    Suspended(SuspendedDetail),
    /// Its processors run again.
    Resumed(ResumedDetail),
    /// It has no process any more.
    Stopped(StoppedDetail),
    /// The guest powered off; the process still exists.
    Shutdown(ShutdownDetail),
    /// The guest suspended itself.
    PmSuspended(PmSuspendedDetail),
    /// The guest crashed.
    Crashed(CrashedDetail),
}

impl LifecycleEvent {
    /// libvirt's numbers of the event and of its detail.
    pub const fn numbers(self) -> (i32, i32) {
        match self {
            Self::Defined(detail) => (0, detail.number()),
            Self::Undefined(detail) => (1, detail.number()),
            Self::Started(detail) => (2, detail.number()),
            Self::Suspended(detail) => (3, detail.number()),
            Self::Resumed(detail) => (4, detail.number()),
            Self::Stopped(detail) => (5, detail.number()),
            Self::Shutdown(detail) => (6, detail.number()),
            Self::PmSuspended(detail) => (7, detail.number()),
            Self::Crashed(detail) => (8, detail.number()),
        }
    }

    /// The event with libvirt's numbers, if this version knows both.
    pub fn from_numbers(event: i32, detail: i32) -> Option<Self> {
        match event {
            0 => DefinedDetail::from_number(detail).map(Self::Defined),
            1 => UndefinedDetail::from_number(detail).map(Self::Undefined),
            2 => StartedDetail::from_number(detail).map(Self::Started),
            3 => SuspendedDetail::from_number(detail).map(Self::Suspended),
            4 => ResumedDetail::from_number(detail).map(Self::Resumed),
            5 => StoppedDetail::from_number(detail).map(Self::Stopped),
            6 => ShutdownDetail::from_number(detail).map(Self::Shutdown),
            7 => PmSuspendedDetail::from_number(detail).map(Self::PmSuspended),
            8 => CrashedDetail::from_number(detail).map(Self::Crashed),
            _ => None,
        }
    }
}

/// `EVENT/DETAIL`, as the golden traces write it (hypervisor.md §14).
impl fmt::Display for LifecycleEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (event, detail) = match self {
            Self::Defined(detail) => ("DEFINED", format!("{detail:?}")),
            Self::Undefined(detail) => ("UNDEFINED", format!("{detail:?}")),
            Self::Started(detail) => ("STARTED", format!("{detail:?}")),
            Self::Suspended(detail) => ("SUSPENDED", format!("{detail:?}")),
            Self::Resumed(detail) => ("RESUMED", format!("{detail:?}")),
            Self::Stopped(detail) => ("STOPPED", format!("{detail:?}")),
            Self::Shutdown(detail) => ("SHUTDOWN", format!("{detail:?}")),
            Self::PmSuspended(detail) => ("PMSUSPENDED", format!("{detail:?}")),
            Self::Crashed(detail) => ("CRASHED", format!("{detail:?}")),
        };
        write!(f, "{event}/{}", detail.to_uppercase())
    }
}
