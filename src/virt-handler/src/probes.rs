//! The probes of the process: `/healthz` over TLS (spec/observability.md §4).

use runtime::Deps;
use runtime::health::Probes;
use runtime::tls::{ClientAuth, TlsServer};

use crate::rest::CERTIFICATE;
use crate::{Args, Error};

/// Serves until shutdown; over TLS when there is a certificate.
pub(crate) async fn serve(args: &Args, deps: &Deps) -> Result<(), Error> {
    let address = format!("{}:{}", args.listen, args.port);
    let listener = match deps.net.listen(&address).await {
        Ok(listener) => listener,
        Err(source) => return Err(Error::Listen { address, source }),
    };
    let identity = deps.files.identity(CERTIFICATE).ok();
    let tls = identity.map(|identity| TlsServer::new(&identity, &ClientAuth::None, &["http/1.1"], &deps.clock)).transpose()?;
    let probes = Probes::new().healthz(deps.client.clone());
    tokio::spawn(probes.serve(listener, tls, deps.shutdown.clone()));
    Ok(())
}
