//! The contract by gRPC over Unix sockets: servers, clients, and the negotiation of versions (node.md §3.1).

mod attached;
mod client;
mod directory;
mod notify;
mod path;
mod server;

use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;
use tonic::transport::{Channel, Endpoint};

pub use client::connect_launcher;
pub use directory::SocketDirectory;
pub use notify::{connect_handler, serve_handler};
pub use path::bind;
pub use server::serve_launcher;

use crate::{Result, RpcError, timeouts};

/// Versions of both services that this side knows.
const VERSIONS: &[u32] = &[1];

/// A gRPC server that could not be started, or broke.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket cannot be listened on.
    #[error("listen on {}", path.display())]
    Listen {
        /// The socket's path.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The server broke.
    #[error("serve gRPC")]
    Serve(#[from] tonic::transport::Error),
}

/// Listens on a socket, in place of one that was left behind.
fn listen(path: &Path) -> std::result::Result<UnixListener, ServeError> {
    bind(path).map_err(|source| ServeError::Listen { path: path.to_owned(), source })
}

async fn dial(path: &Path) -> Result<Channel> {
    let path = path.to_owned();
    let shown = path.display().to_string();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { path::connect(&path).await.map(TokioIo::new) }
    });
    // The authority of the address is all that is sent; the connector knows the way.
    let endpoint = Endpoint::from_static("http://localhost");
    match tokio::time::timeout(timeouts::DIAL, endpoint.connect_with_connector(connector)).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(RpcError::Unavailable(format!("dial {shown}: {}", root(&error)))),
        Err(_) => Err(RpcError::Timeout(timeouts::DIAL)),
    }
}

/// The innermost cause, which says what happened; the layers above only say where.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The highest version both sides know.
fn agree(theirs: &[u32]) -> Result<u32> {
    let common = theirs.iter().filter(|version| VERSIONS.contains(version)).max();
    common.copied().ok_or_else(|| RpcError::Unimplemented(format!("no common version: ours {VERSIONS:?}, theirs {theirs:?}")))
}

/// A refused call as an error (node.md §3.4).
fn failed(status: &tonic::Status) -> RpcError {
    let message = status.message().to_owned();
    match status.code() {
        tonic::Code::Unimplemented => RpcError::Unimplemented(message),
        tonic::Code::Cancelled | tonic::Code::Aborted => RpcError::Disconnected(message),
        tonic::Code::Unavailable => RpcError::Unavailable(message),
        tonic::Code::DeadlineExceeded => RpcError::Timeout(timeouts::LONG),
        // A stream that ends early reads as an unknown error of the transport.
        tonic::Code::Unknown if std::error::Error::source(status).is_some() => RpcError::Disconnected(message),
        _ => RpcError::Refused(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_agreed_on() {
        assert_eq!(agree(&[1, 2]), Ok(1));
        assert!(matches!(agree(&[2, 3]), Err(RpcError::Unimplemented(_))));
        assert!(matches!(agree(&[]), Err(RpcError::Unimplemented(_))));
    }
}
