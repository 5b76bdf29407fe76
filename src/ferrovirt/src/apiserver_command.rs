//! `ferrovirt apiserver`: the embedded API server alone.

use crate::cli::Apiserver;
use crate::endpoint::{Endpoint, EndpointError, keys, write_kubeconfig};
use apiserver::env::{Entropy, Env};
use apiserver::http::ApiServer;
use apiserver::net::{BoxStream, Dial, Target};
use apiserver::store::Store;
use runtime::Clock;
use std::io;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its address, keys or kubeconfig.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Its data folder.
    #[error("cannot open the data folder {folder}")]
    Data {
        /// The folder.
        folder: String,
        /// Why.
        source: apiserver::store::PersistError,
    },
    /// Its keys are of no use.
    #[error("putting the API server together")]
    Build(#[from] apiserver::http::BuildError),
}

/// Reaches webhooks and aggregated servers by address; without a cluster there are no Services behind names.
struct Tcp;

#[async_trait::async_trait]
impl Dial for Tcp {
    async fn dial(&self, target: &Target) -> io::Result<BoxStream> {
        let (host, port) = match target {
            Target::Host { host, port } => (host.clone(), *port),
            Target::Service { namespace, name, port } => (format!("{name}.{namespace}.svc"), *port),
        };
        let stream = tokio::net::TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// The server's store: in memory, or in the folder.
///
/// # Errors
/// [`Error::Data`].
pub fn store(data_dir: Option<&std::path::Path>) -> Result<Store, Error> {
    match data_dir {
        None => Ok(Store::new()),
        Some(folder) => Store::open(&folder.join("objects")).map_err(|source| Error::Data { folder: folder.display().to_string(), source }),
    }
}

/// Serves until `stop`.
///
/// # Errors
/// [`Error`], when it cannot start.
pub async fn run(args: &Apiserver, seed: u64, stop: CancellationToken) -> Result<(), Error> {
    let endpoint = Endpoint::bind(&args.listen).await?;
    let clock = Clock::system();
    let env = Env { now: Arc::new(move || clock.now()), entropy: Entropy::from_seed(seed), dialer: Arc::new(Tcp) };
    let pki = keys(args.data_dir.as_deref(), &env.now, &endpoint.names())?;
    let server = ApiServer::builder(env.clone()).store(store(args.data_dir.as_deref())?).pki(&pki).build()?;
    let url = endpoint.url();
    let background = server.clone();
    let upkeep = tokio::spawn(async move { background.run().await });
    let serving = endpoint.serve(&server, &pki, &env.now, stop)?;
    write_kubeconfig(&args.kubeconfig, &pki, &url)?;
    eprintln!("serving the Kubernetes API at {url}\nkubeconfig: {}", args.kubeconfig.display());
    // It ends when told to; a panic inside has been reported by the runtime.
    let _ = serving.await;
    upkeep.abort();
    Ok(())
}
