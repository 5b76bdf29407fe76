//! A component as a process of its own: logging, the Kubernetes API by kubeconfig or service account, signals.

use std::env;
use std::io;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{Clock, Deps, Entropy, Files, TcpNet};

/// Why a process could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is neither a kubeconfig nor a service account, or it is of no use.
    #[error("finding the Kubernetes API")]
    Config(#[from] kube::config::InferConfigError),
    /// The client could not be made.
    #[error("connecting to the Kubernetes API")]
    Client(#[from] kube::Error),
    /// Signals cannot be caught.
    #[error("catching signals")]
    Signals(#[from] io::Error),
}

/// The log level that `-v N` means: upstream's 2 is the usual amount.
pub fn level(verbosity: u8) -> &'static str {
    match verbosity {
        0 | 1 => "warn",
        2 | 3 => "info",
        4 | 5 => "debug",
        _ => "trace",
    }
}

/// Surroundings on the machine's clock, network and files; `shutdown` comes with SIGTERM or SIGINT.
///
/// The namespace is that of the service account, else `$POD_NAMESPACE`, else `kubevirt`.
///
/// # Errors
/// [`ProcessError`].
pub async fn deps() -> Result<Deps, ProcessError> {
    let config = kube::Config::infer().await?;
    let namespace = env::var("POD_NAMESPACE").ok().filter(|name| !name.is_empty());
    let in_cluster = config.default_namespace.clone();
    let namespace = namespace.unwrap_or_else(|| if in_cluster == "default" { "kubevirt".to_owned() } else { in_cluster });
    let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    Ok(Deps {
        client: kube::Client::try_from(config)?,
        clock: Clock::system(),
        entropy: Entropy::system(),
        net: Arc::new(TcpNet),
        files: Files::Disk,
        shutdown: interrupted()?,
        pod_name: text("POD_NAME").or_else(|| text("HOSTNAME")).unwrap_or_else(|| "localhost".to_owned()),
        namespace,
        node_name: text("NODE_NAME"),
        pod_ip: text("MY_POD_IP"),
    })
}

/// Cancelled by SIGTERM or SIGINT.
fn interrupted() -> io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let ours = token.clone();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ours.cancel();
    });
    Ok(token)
}
