//! virt-launcher: one domain of one VMI pod, on whichever hypervisor is given (node.md §1.4, §4, §7, §8).
//!
//! [`Launcher`] does what the node's handler asks, over any [`hypervisor::Hypervisor`]. [`run`] is the pod's process: it listens, waits for
//! the domain, tells the handler whatever happens to it, reacts to the pod's termination, and ends when the domain has ended.
//!
//! ```text
//! listen ──▶ wait for a domain ──▶ watch it ──▶ it ended ──▶ wait until the handler removed it ──▶ exit 0
//!               │ qemu timeout       │ told to stop: mark for graceful shutdown, start the clock
//!               ▼                    │ clock over the grace period: kill it
//!             exit 2                 └ (the handler does the rest: it asks the guest to power off)
//! ```

mod agent;
mod args;
mod commands;
mod convert;
mod device_sockets;
mod devices;
mod facts;
mod guest;
mod launcher;
pub mod monitor;
mod notifier;
mod place;
mod process;
mod program;
mod records;
mod served;
mod sev;
mod stats;
pub mod storage;
pub mod tail;
mod vsock;

pub use args::Args;
pub use convert::{Conversion, Files, HostFacts};
pub use launcher::{Identity, Launcher};
pub use place::Place;
pub use process::{Deps, Exit, Rendezvous, RunError, run};
pub use program::{BACKEND, CACHE, CAPABILITIES, GUEST, Program, ProgramError, capabilities};
