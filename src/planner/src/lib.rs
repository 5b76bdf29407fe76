//! Reconcilers as pure functions: one module a resource, from what was observed to a plan.

pub mod conditions;
mod creation;
pub mod disruption;
pub mod evacuation;
pub mod guarded;
pub mod heartbeat;
pub mod install;
pub mod metadata;
pub mod migration;
pub mod migration_policy;
pub mod node;
pub mod ownership;
pub mod plan;
pub mod pool;
pub mod replicaset;
pub mod selector;
pub mod storage;
pub mod subresource;
pub mod vm;
pub mod vmi;
