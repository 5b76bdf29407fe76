//! The built-in kinds: which there are, their defaults and their rules. Their schemas are in [`crate::schema`].

mod addresses;
mod bootstrap;
pub mod catalog;
mod eviction;
mod gostruct;
mod kinds;
mod strategy;
mod subresource;

pub use addresses::Addresses;
pub use bootstrap::bootstrap;
pub use catalog::catalog;
pub use strategy::{Context, Strategy};
pub use subresource::{serve_subresource, serve_virtual};
