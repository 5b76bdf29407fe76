//! An in-process hypervisor with libvirt's semantics and scripted guests, on tokio's time (hypervisor.md §9-§14).
//!
//! Make one [`FakeHypervisor`] a launcher from a [`Host`] and a [`GuestScript`]. The state machine is the one in `lifecycle`, the
//! same the real backend uses; what this crate adds is the guest: it boots, obeys or ignores the power button, powers itself off,
//! panics, its process dies, its agent connects, its serial console talks back.
//!
//! Two modes. *Automatic*: guests act when their time comes, by tokio's clock, so that a paused clock runs them in no time.
//! *Step by step* ([`FakeHypervisor::step_by_step`]): nothing a guest does happens until the [`Steps`] handle releases it.
//!
//! No file, no socket, no wall clock, no randomness: the same script gives the same events at the same times.

mod agenda;
mod agent;
mod backend;
mod console;
mod control;
mod devices;
mod domain;
mod guest;
mod host;
mod ports;
mod rfb;
mod screen;
mod script;

pub use agenda::GuestEvent;
pub use backend::FakeHypervisor;
pub use control::Steps;
pub use host::Host;
pub use ports::PortScript;
pub use script::{AgentScript, AnnotationError, DiskFault, Failures, GuestScript, PREFIX};
