//! What a cluster does besides its API: scheduler, kubelets, garbage collection, namespaces, workloads, storage.
//!
//! [`SimCluster::builder`] takes a client of any API server. Pods run in this process: [`Images`] says which images are
//! programs; all others are a pause that ends on SIGTERM. Time is tokio's and the injected clock's, randomness is
//! injected, order is the API server's: runs under a paused clock repeat exactly.
//!
//! Parts: [`scheduler`](self) (one for the cluster), kubelets (one a node), controllers. Each kind of object is watched
//! once and decoded once; listeners fill indexes and queues, so the cost of an event does not grow with the cluster.

mod client;
mod cluster;
mod controllers;
mod discovery;
mod kubelet;
mod labels;
mod owners;
mod pods;
mod quantity;
mod queue;
mod recorder;
mod scheduler;
mod storage;
mod store;
#[cfg(test)]
mod tests;

pub use cluster::{Builder, SimCluster, SimClusterHandle, UnknownNode};
pub use controllers::data_volumes::{data_volume_definitions, data_volume_roles};
pub use kubelet::{
    ContainerContext, Exit, Images, LogLine, LogReader, LogSink, Logs, NodeSpec, PodNetwork, ProbeKind, Prober, Program, ReadySetter,
};
pub use storage::StorageClassSpec;
