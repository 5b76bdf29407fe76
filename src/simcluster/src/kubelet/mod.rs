//! Kubelets: nodes that run pods in this process.

pub(crate) mod agent;
mod environment;
mod images;
mod logs;
mod node;
mod probe;
mod slot;
mod status;
mod worker;

pub use agent::PodNetwork;
pub use images::{ContainerContext, Exit, Images, Program, ReadySetter};
pub use logs::{LogLine, LogReader, LogSink, Logs};
pub use node::NodeSpec;
pub use probe::{ProbeKind, Prober};
