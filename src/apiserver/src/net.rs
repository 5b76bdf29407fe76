//! How the server opens connections: through a dialer that is TCP in production and an in-memory pipe under virtual time.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

/// A plain byte stream; TLS is put on top by the server.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for T {}

/// An open connection.
pub type BoxStream = Box<dyn ByteStream>;

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A Service of the cluster, by one of its ports.
    Service {
        /// The Service's namespace.
        namespace: String,
        /// The Service's name.
        name: String,
        /// The Service's port number.
        port: u16,
    },
    /// A host outside of the cluster's service network.
    Host {
        /// DNS name or IP address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// Opens connections for webhooks, aggregated API servers and kubelets.
#[async_trait::async_trait]
pub trait Dial: Send + Sync {
    /// Opens a plain byte stream to the target.
    async fn dial(&self, target: &Target) -> io::Result<BoxStream>;
}

/// A dialer that reaches nothing: for servers without webhooks, aggregation or kubelets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unreachable;

#[async_trait::async_trait]
impl Dial for Unreachable {
    async fn dial(&self, target: &Target) -> io::Result<BoxStream> {
        Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("no route to {target:?}")))
    }
}

/// Dials hosts over TCP; Services have no address outside of a cluster's network, so they are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

#[async_trait::async_trait]
impl Dial for Tcp {
    async fn dial(&self, target: &Target) -> io::Result<BoxStream> {
        match target {
            Target::Host { host, port } => {
                let stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Target::Service { namespace, name, port } => {
                Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("service {namespace}/{name}:{port} has no endpoint")))
            }
        }
    }
}
