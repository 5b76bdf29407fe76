//! The harness of the specs and suites: a world of its own for every scenario, manifests, waiting, and the record of what
//! happened.

pub mod desk;
pub mod manifest;
pub mod parity;
pub mod trace;
pub mod wait;
pub mod watching;
pub mod webhook;
pub mod world;
