//! Connections that the server opens: the injected dialer, TLS on top, failures in the words of Go's HTTP client.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::go_error_text;
use crate::env::Env;
use crate::net::{BoxStream, Target};

/// Opens a connection to `target` and proves that the other side is `server_name`.
///
/// # Errors
/// What Go's client says: `dial tcp HOST:PORT: connect: connection refused`, `tls: failed to verify certificate: …`.
pub async fn connect(env: &Env, target: &Target, server_name: &str, config: Arc<ClientConfig>) -> Result<TlsStream<BoxStream>, String> {
    let stream = env.dialer.dial(target).await.map_err(|error| dial_error(target, &error))?;
    let name = ServerName::try_from(server_name.to_owned())
        .map_err(|_| format!("tls: either ServerName or InsecureSkipVerify must be specified for {server_name}"))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => go_error_text(tls, server_name),
            None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
            None => error.to_string(),
        }
    })
}

fn dial_error(target: &Target, error: &io::Error) -> String {
    let (host, port) = match target {
        Target::Service { namespace, name, port } => (format!("{name}.{namespace}.svc"), *port),
        Target::Host { host, port } => (host.clone(), *port),
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "connect: no route to host".to_owned(),
        io::ErrorKind::NotFound => format!("lookup {host}: no such host"),
        _ => error.to_string(),
    };
    format!("dial tcp {host}:{port}: {why}")
}
