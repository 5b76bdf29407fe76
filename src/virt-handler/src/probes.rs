//! The probes of the process: `/healthz` over TLS (spec/observability.md §4).

use runtime::Deps;
use runtime::health::Probes;
use runtime::tls::{ClientAuth, TlsServer};

use crate::{Args, Error};

/// Serves until shutdown; over TLS when there is a certificate.
pub(crate) async fn serve(args: &Args, deps: &Deps) -> Result<(), Error> {
    let address = format!("{}:{}", args.listen, args.port);
    let listener = match deps.net.listen(&address).await {
        Ok(listener) => listener,
        Err(source) => return Err(Error::Listen { address, source }),
    };
    let identity = deps.files.identity(&args.tls_cert_file, &args.tls_key_file).ok();
    if let Some(identity) = &identity {
        let (certificate, key) = (args.tls_cert_file.clone(), args.tls_key_file.clone());
        tokio::spawn(deps.files.clone().keep_fresh(identity.clone(), certificate, key, deps.shutdown.clone()));
    }
    let tls = identity.map(|identity| TlsServer::new(&identity, &ClientAuth::None, &["http/1.1"], &deps.clock)).transpose()?;
    let probes = Probes::new().healthz(deps.client.clone());
    tokio::spawn(probes.serve(listener, tls, deps.shutdown.clone()));
    Ok(())
}
