//! Reconcilers as pure functions: one module a resource, from what was observed to a plan.

pub mod install;
pub mod node;
pub mod plan;
