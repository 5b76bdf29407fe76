//! The state machine of one libvirt domain: what it is, what may be asked of it, what it answers, and which events follow.
//!
//! Every backend uses it, the real and the fake one, so that they cannot drift apart (hypervisor.md §3, §4, §9.1, §14).
//!
//! ```text
//!            define              create                     power down            process exits
//!  (absent) ───────▶ Shutoff ───────────────▶ Running ───────────────▶ ShuttingDown ─────────────▶ Shutoff/Shutdown
//!      ▲               │  ▲   create paused     │  ▲ resume
//!      │   undefine    │  │ ────────────▶ Paused ◀┘ suspend, I/O error, watchdog
//!      └───────────────┘  │                  │
//!                         └── destroy ◀──────┴── from every active state: Shutoff/Destroyed
//!                         └── process killed:      Shutoff/Crashed (STOPPED/FAILED)
//!                         └── panic, on_crash destroy: Crashed/Panicked, then Shutoff/Crashed
//! ```
//!
//! The happy path: a domain is defined (`DEFINED/ADDED`, Shutoff), created (`STARTED/BOOTED`, Running), asked to shut down
//! (nothing changes until the guest acts), powers down (`SHUTDOWN/GUEST`, ShuttingDown), its process exits
//! (`STOPPED/SHUTDOWN`, Shutoff) and it is undefined (`UNDEFINED/REMOVED`, absent).
//!
//! Failures land in Shutoff with a reason that says so: Failed (it never started), Crashed (its process died or the guest
//! panicked), Destroyed (somebody pulled the plug). A transient domain, one undefined while active, has no record left once it stops.
//! An operation that a state does not allow changes nothing and answers with libvirt's code and text.

mod error;
mod event;
mod machine;
mod state;

pub use error::{ErrorCode, ErrorDomain, LifecycleError};
pub use event::{
    AgentState, CrashedDetail, DefinedDetail, LifecycleEvent, PmSuspendedDetail, ResumedDetail, ShutdownDetail, StartedDetail,
    StoppedDetail, SuspendedDetail, UndefinedDetail,
};
pub use machine::{OnCrash, Outcome, Presence, Record, Step, Stimulus, apply};
pub use state::{CrashedReason, DomainState, PausedReason, RunningReason, ShutdownReason, ShutoffReason};

/// Declares an enum whose variants carry libvirt's numbers, with the way back from a number.
macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum $name {
            $($(#[$vmeta])* $variant = $number,)+
        }

        impl $name {
            /// Every value, in the order of libvirt's numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// libvirt's number.
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The value with libvirt's number, if this version knows it.
            pub const fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use numbered;
