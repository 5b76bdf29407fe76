//! Keys, the TLS listener and the kubeconfig: how the tower service is reached over a network.

pub mod connect;
mod in_memory;
mod kubeconfig;
mod listener;
pub mod pki;
pub mod pool;
mod target;
pub mod tls;

pub use in_memory::in_memory;
pub use kubeconfig::{kubeconfig, kubeconfig_for};
pub use listener::{Accept, Limits, Listener};
pub use pki::{Identity, Pki, PkiError};
pub use tls::{Trust, client_config, server_config};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
