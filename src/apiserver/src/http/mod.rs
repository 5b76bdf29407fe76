//! HTTP: requests in, encoded answers out.

pub mod answer;
mod body;
mod core;
pub mod negotiate;
mod path;
pub mod protobuf;
mod server;
#[cfg(test)]
mod tests;
pub(crate) mod wiring;

pub use body::Body;
pub use core::{Core, Kubelet};
pub use negotiate::{Accepted, Encoding, Shape};
pub use path::{Query, RequestInfo, decode};
pub use server::{ApiServer, BuildError, Builder, Client};
