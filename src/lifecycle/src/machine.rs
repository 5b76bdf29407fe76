//! Which stimulus is legal in which state, what it leads to and which events announce it (hypervisor.md §9.1, §14).

use crate::{
    CrashedDetail, CrashedReason, DefinedDetail, DomainState, ErrorCode, LifecycleError, LifecycleEvent, PausedReason, PmSuspendedDetail,
    ResumedDetail, RunningReason, ShutdownDetail, ShutdownReason, ShutoffReason, StartedDetail, StoppedDetail, SuspendedDetail,
    UndefinedDetail,
};

/// Whether the hypervisor has a record of the domain, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// No such domain.
    Absent,
    /// There is a record.
    Present(Record),
}

impl Presence {
    /// The record, where there is one.
    pub const fn record(self) -> Option<Record> {
        match self {
            Self::Absent => None,
            Self::Present(record) => Some(record),
        }
    }
}

/// The hypervisor's record of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// It has a configuration that outlives its process.
    pub persistent: bool,
    /// What it is doing.
    pub state: DomainState,
}

/// What is done with a crashed guest (`<on_crash>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnCrash {
    /// Its process is ended: KubeVirt's way, and libvirt's default.
    Destroy,
    /// Its process is kept for inspection.
    Preserve,
}

/// What happens to a domain: a call of the hypervisor's API, or something the guest or the host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stimulus {
    /// Call: give it a configuration.
    Define,
    /// Call: start it.
    Create {
        /// With its processors halted.
        paused: bool,
    },
    /// Host: it could not be started; nothing ever ran.
    StartFailed,
    /// Call: halt its processors.
    Suspend,
    /// Call: let its processors run again.
    Resume,
    /// Call: ask the guest to power off.
    Shutdown,
    /// Call: ask the guest to reboot.
    Reboot,
    /// Call: pull the reset line.
    Reset,
    /// Call: end its process.
    Destroy,
    /// Call: remove its configuration.
    Undefine,
    /// Guest or host: the guest powered off; its process is about to exit.
    PowerDown {
        /// Who began it.
        by: ShutdownDetail,
    },
    /// Host: the process exited after the guest powered off.
    ProcessExited,
    /// Host: the process died.
    ProcessKilled,
    /// Guest: its kernel panicked.
    Panicked(OnCrash),
    /// Guest: its kernel panicked and loaded its crash kernel.
    CrashLoaded,
    /// Host: a disk reported an error and the policy is to stop.
    IoError,
    /// Guest: the watchdog fired and its action is to pause.
    Watchdog,
    /// Guest: it suspended itself to memory.
    PmSuspend,
    /// Host: it was woken.
    PmWakeup,
}

/// One visible change: the record as `GetState` shows it when the event arrives, then the event (hypervisor.md §9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The record from now on.
    pub presence: Presence,
    /// What is announced.
    pub event: LifecycleEvent,
}

/// What a legal stimulus leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// These changes, in order, each announced.
    Changed(Vec<Step>),
    /// This record, without any announcement.
    Silent(Record),
    /// Nothing changes here; the request reached the guest, which acts on it or not.
    Delivered,
    /// It was so already.
    Unchanged,
}

/// Applies a stimulus to a domain.
///
/// # Errors
/// libvirt's code and text where the state does not allow it; nothing changed then.
pub fn apply(presence: Presence, stimulus: Stimulus) -> Result<Outcome, LifecycleError> {
    match presence {
        Presence::Absent => absent(stimulus),
        Presence::Present(record) => present(record, stimulus),
    }
}

fn absent(stimulus: Stimulus) -> Result<Outcome, LifecycleError> {
    match stimulus {
        Stimulus::Define => {
            let record = Record { persistent: true, state: DomainState::Shutoff(ShutoffReason::Unknown) };
            Ok(Outcome::Changed(vec![step(record, LifecycleEvent::Defined(DefinedDetail::Added))]))
        }
        Stimulus::Create { .. }
        | Stimulus::StartFailed
        | Stimulus::Suspend
        | Stimulus::Resume
        | Stimulus::Shutdown
        | Stimulus::Reboot
        | Stimulus::Reset
        | Stimulus::Destroy
        | Stimulus::Undefine
        | Stimulus::PowerDown { .. }
        | Stimulus::ProcessExited
        | Stimulus::ProcessKilled
        | Stimulus::Panicked(_)
        | Stimulus::CrashLoaded
        | Stimulus::IoError
        | Stimulus::Watchdog
        | Stimulus::PmSuspend
        | Stimulus::PmWakeup => Err(LifecycleError::new(ErrorCode::NO_DOMAIN, "no domain with matching name")),
    }
}

fn present(record: Record, stimulus: Stimulus) -> Result<Outcome, LifecycleError> {
    let state = record.state;
    match stimulus {
        Stimulus::Define => {
            // Of a transient domain too, which only now gets a configuration.
            Ok(Outcome::Changed(vec![step(Record { persistent: true, state }, LifecycleEvent::Defined(DefinedDetail::Updated))]))
        }
        Stimulus::Undefine => undefine(record),
        Stimulus::Create { paused } => create(record, paused),
        Stimulus::StartFailed if state.is_active() => Err(already_running()),
        Stimulus::StartFailed => Ok(Outcome::Silent(Record { state: DomainState::Shutoff(ShutoffReason::Failed), ..record })),
        Stimulus::Suspend
        | Stimulus::Resume
        | Stimulus::Shutdown
        | Stimulus::Reboot
        | Stimulus::Reset
        | Stimulus::Destroy
        | Stimulus::PowerDown { .. }
        | Stimulus::ProcessExited
        | Stimulus::ProcessKilled
        | Stimulus::Panicked(_)
        | Stimulus::CrashLoaded
        | Stimulus::IoError
        | Stimulus::Watchdog
        | Stimulus::PmSuspend
        | Stimulus::PmWakeup => {
            if state.is_active() {
                active(record, stimulus)
            } else {
                Err(not_running())
            }
        }
    }
}

fn create(record: Record, paused: bool) -> Result<Outcome, LifecycleError> {
    if record.state.is_active() {
        return Err(already_running());
    }
    let running = Record { state: DomainState::Running(RunningReason::Booted), ..record };
    let started = LifecycleEvent::Started(StartedDetail::Booted);
    if paused {
        let halted = Record { state: DomainState::Paused(PausedReason::User), ..record };
        return Ok(Outcome::Changed(vec![step(halted, started), step(halted, LifecycleEvent::Suspended(SuspendedDetail::Paused))]));
    }
    Ok(Outcome::Changed(vec![step(running, LifecycleEvent::Resumed(ResumedDetail::Unpaused)), step(running, started)]))
}

fn undefine(record: Record) -> Result<Outcome, LifecycleError> {
    if !record.persistent {
        return Err(LifecycleError::invalid("cannot undefine transient domain"));
    }
    let presence = if record.state.is_active() { Presence::Present(Record { persistent: false, ..record }) } else { Presence::Absent };
    Ok(Outcome::Changed(vec![Step { presence, event: LifecycleEvent::Undefined(UndefinedDetail::Removed) }]))
}

/// A stimulus that needs a process, on a domain that has one.
fn active(record: Record, stimulus: Stimulus) -> Result<Outcome, LifecycleError> {
    let running = matches!(record.state, DomainState::Running(_) | DomainState::Blocked);
    let to = |state, event| Ok(Outcome::Changed(vec![step(Record { state, ..record }, event)]));
    match stimulus {
        Stimulus::Suspend => match record.state {
            DomainState::Running(_) | DomainState::Blocked => {
                to(DomainState::Paused(PausedReason::User), LifecycleEvent::Suspended(SuspendedDetail::Paused))
            }
            DomainState::Paused(_) => Ok(Outcome::Unchanged),
            DomainState::PmSuspended => Err(LifecycleError::invalid("domain is pmsuspended")),
            DomainState::ShuttingDown(_) | DomainState::Crashed(_) | DomainState::NoState | DomainState::Shutoff(_) => Err(not_running()),
        },
        Stimulus::Resume => match record.state {
            DomainState::Paused(_) => to(DomainState::Running(RunningReason::Unpaused), LifecycleEvent::Resumed(ResumedDetail::Unpaused)),
            DomainState::Running(_) | DomainState::Blocked => Err(already_running()),
            DomainState::PmSuspended => Err(LifecycleError::invalid("domain is pmsuspended")),
            DomainState::ShuttingDown(_) | DomainState::Crashed(_) | DomainState::NoState | DomainState::Shutoff(_) => Err(not_running()),
        },
        Stimulus::Shutdown => match record.state {
            DomainState::Running(_) | DomainState::Blocked => Ok(Outcome::Delivered),
            DomainState::ShuttingDown(_) => Ok(Outcome::Unchanged),
            DomainState::Paused(_)
            | DomainState::Crashed(_)
            | DomainState::PmSuspended
            | DomainState::NoState
            | DomainState::Shutoff(_) => Err(not_running()),
        },
        // Of a halted guest too, which sees the button, or the reset, once it runs again.
        Stimulus::Reboot | Stimulus::Reset if running || matches!(record.state, DomainState::Paused(_)) => Ok(Outcome::Delivered),
        Stimulus::Reset if matches!(record.state, DomainState::ShuttingDown(_)) => Ok(Outcome::Unchanged),
        Stimulus::Destroy => Ok(Outcome::Changed(vec![stopped(record, ShutoffReason::Destroyed, StoppedDetail::Destroyed)])),
        Stimulus::PowerDown { by } if running => to(DomainState::ShuttingDown(ShutdownReason::Unknown), LifecycleEvent::Shutdown(by)),
        Stimulus::ProcessExited if matches!(record.state, DomainState::ShuttingDown(_)) => {
            Ok(Outcome::Changed(vec![stopped(record, ShutoffReason::Shutdown, StoppedDetail::Shutdown)]))
        }
        // A process that ends without the guest having powered off died.
        Stimulus::ProcessExited | Stimulus::ProcessKilled => {
            Ok(Outcome::Changed(vec![stopped(record, ShutoffReason::Crashed, StoppedDetail::Failed)]))
        }
        Stimulus::Panicked(on_crash) if running => {
            let crashed = Record { state: DomainState::Crashed(CrashedReason::Panicked), ..record };
            let panicked = step(crashed, LifecycleEvent::Crashed(CrashedDetail::Panicked));
            Ok(Outcome::Changed(match on_crash {
                OnCrash::Preserve => vec![panicked],
                OnCrash::Destroy => vec![panicked, stopped(crashed, ShutoffReason::Crashed, StoppedDetail::Crashed)],
            }))
        }
        Stimulus::CrashLoaded if running => to(record.state, LifecycleEvent::Crashed(CrashedDetail::Crashloaded)),
        Stimulus::IoError if running => to(DomainState::Paused(PausedReason::IoError), LifecycleEvent::Suspended(SuspendedDetail::IoError)),
        Stimulus::Watchdog if running => {
            to(DomainState::Paused(PausedReason::Watchdog), LifecycleEvent::Suspended(SuspendedDetail::Watchdog))
        }
        Stimulus::PmSuspend if running => to(DomainState::PmSuspended, LifecycleEvent::PmSuspended(PmSuspendedDetail::Memory)),
        Stimulus::PmWakeup if record.state == DomainState::PmSuspended => {
            to(DomainState::Running(RunningReason::Wakeup), LifecycleEvent::Started(StartedDetail::Wakeup))
        }
        Stimulus::Reboot
        | Stimulus::Reset
        | Stimulus::PowerDown { .. }
        | Stimulus::Panicked(_)
        | Stimulus::CrashLoaded
        | Stimulus::IoError
        | Stimulus::Watchdog
        | Stimulus::PmSuspend
        | Stimulus::PmWakeup
        | Stimulus::Define
        | Stimulus::Create { .. }
        | Stimulus::StartFailed
        | Stimulus::Undefine => Err(not_running()),
    }
}

fn step(record: Record, event: LifecycleEvent) -> Step {
    Step { presence: Presence::Present(record), event }
}

/// The end of the process: a persistent domain is off, of a transient one nothing remains.
fn stopped(record: Record, reason: ShutoffReason, detail: StoppedDetail) -> Step {
    let presence =
        if record.persistent { Presence::Present(Record { state: DomainState::Shutoff(reason), ..record }) } else { Presence::Absent };
    Step { presence, event: LifecycleEvent::Stopped(detail) }
}

fn not_running() -> LifecycleError {
    LifecycleError::invalid("domain is not running")
}

fn already_running() -> LifecycleError {
    LifecycleError::invalid("domain is already running")
}
