//! The I/O kit: clock, connectors, watches and stores, plan executor, work queues, leader election, events, TLS, health.
//!
//! Everything here runs on one thread under tokio's paused clock: time is tokio's, timestamps and random values are
//! injected, nothing blocks (DESIGN, invariant 6).

mod clock;
mod datagrams;
mod deps;
mod entropy;
mod events;
mod executor;
mod expectations;
mod files;
pub mod health;
mod leader;
pub mod net;
pub mod process;
mod queue;
mod reflector;
mod store;
pub mod tls;

pub use self::clock::{Clock, whole_seconds};
pub use self::deps::Deps;
pub use self::entropy::Entropy;
pub use self::events::EventRecorder;
pub use self::executor::{Answer, Applied, Executor, Failed, Guard, WriteCounts, WriteError};
pub use self::expectations::{EXPECTATION_TIMEOUT, Expectations};
pub use self::files::{FileError, Files};
pub use self::leader::{LeaderElection, LeadershipError, LeaseTimes};
pub use self::net::{BoxStream, Listener, MemoryNet, Net, Stream, TcpNet};
pub use self::queue::{BASE_DELAY, MAX_DELAY, Next, QueueCounters, WorkQueue, retry_delay};
pub use self::reflector::Reflector;
pub use self::store::{Change, ObjectKey, Store};
