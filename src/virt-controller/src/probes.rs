//! Probes: `/healthz`, `/leader`, `/metrics` (spec controllers §1.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use runtime::health::{Probes, json, text};
use runtime::process::chain;
use runtime::tls::{ClientAuth, TlsServer};
use runtime::{Deps, FileError};

use crate::{Args, Error};

/// Whether this instance leads and its caches are filled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leading(Arc<AtomicBool>);

impl Leading {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves the probes until shutdown; over TLS when there is a certificate.
pub(crate) async fn serve(args: &Args, deps: &Deps, leading: Leading) -> Result<(), Error> {
    let address = format!("{}:{}", args.listen, args.port);
    let listener = match deps.net.listen(&address).await {
        Ok(listener) => listener,
        Err(source) => return Err(Error::Listen { address, source }),
    };
    let metrics = leading.clone();
    let probes = Probes::new()
        .healthz(deps.client.clone())
        .route("/leader", move || {
            let leader = leading.get().to_string();
            async move { json(StatusCode::OK, &serde_json::json!({"apiserver": {"leader": leader}})) }
        })
        .route("/metrics", move || {
            let leads = u8::from(metrics.get());
            let body = format!(
                "# TYPE kubevirt_virt_controller_leading_status gauge\nkubevirt_virt_controller_leading_status {leads}\n\
                 # TYPE kubevirt_virt_controller_ready_status gauge\nkubevirt_virt_controller_ready_status 1\n"
            );
            async move { text(StatusCode::OK, body) }
        });
    let tls = tls(args, deps)?;
    tokio::spawn(probes.serve(listener, tls, deps.shutdown.clone()));
    Ok(())
}

fn tls(args: &Args, deps: &Deps) -> Result<Option<TlsServer>, Error> {
    let identity = match deps.files.identity(&args.prom_cert_file, &args.prom_key_file) {
        Ok(identity) => identity,
        Err(error @ FileError::Read { .. }) => {
            let error = chain(&error);
            tracing::warn!(error, "no certificate: probes are served without TLS");
            return Ok(None);
        }
        Err(error @ FileError::Tls { .. }) => return Err(error.into()),
    };
    let server = TlsServer::new(&identity, &ClientAuth::None, &["http/1.1"], &deps.clock)?;
    let (certificate, key) = (args.prom_cert_file.clone(), args.prom_key_file.clone());
    tokio::spawn(deps.files.clone().keep_fresh(identity, certificate, key, deps.shutdown.clone()));
    Ok(Some(server))
}
