//! Commands and streams for virt-api (node.md §17): HTTP/1.1 over mutual TLS.

mod commands;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::v1::VirtualMachineInstance;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use planner::metadata;
use runtime::net::BoxStream;
use runtime::tls::{ClientAuth, Identity, TlsServer};
use runtime::{Clock, Deps, EventRecorder, Store};
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::launchers::{Launchers, Owner};
use crate::{Args, Error};

/// Whom the server talks to: the name in virt-api's certificate.
const CLIENT: &str = "kubevirt.io:system:client:virt-handler";
/// How long a connection may be idle before a request.
const IDLE: Duration = Duration::from_mins(1);

/// What the server answers from.
pub(crate) struct Served {
    pub(crate) vmis: Store<VirtualMachineInstance>,
    pub(crate) launchers: Arc<Launchers>,
    pub(crate) recorder: EventRecorder,
}

/// What handlers share.
#[derive(Clone)]
struct State {
    served: Arc<Served>,
    /// The stream that is open, by socket and UID: a new one ends it.
    open: Arc<Mutex<BTreeMap<(&'static str, String), CancellationToken>>>,
    /// Slots for USB devices that are taken, by UID.
    usb: Arc<Mutex<BTreeSet<(String, u32)>>>,
    /// Who we are, for guests that speak TLS on VSOCK.
    identity: Identity,
    clock: Clock,
    shutdown: CancellationToken,
}

/// Why a request is refused.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl State {
    /// A VMI of this node.
    fn vmi(&self, namespace: &str, name: &str) -> Result<Arc<VirtualMachineInstance>, Refused> {
        let vmi = self.served.vmis.named(namespace, name);
        vmi.ok_or_else(|| Refused(StatusCode::NOT_FOUND, format!("VMI {namespace}/{name} not found")))
    }
}

fn owner(vmi: &VirtualMachineInstance) -> Owner<'_> {
    Owner { namespace: metadata::namespace(&vmi.metadata), name: metadata::name(&vmi.metadata), uid: metadata::uid(&vmi.metadata) }
}

/// The routes.
fn router(state: State) -> Router {
    let base = "/v1/namespaces/{namespace}/virtualmachineinstances/{name}";
    let path = |verb: &str| format!("{base}/{verb}");
    Router::new()
        .route(&path("console"), get(streams::console))
        .route(&path("vnc"), get(streams::vnc))
        .route(&path("vnc/screenshot"), get(commands::screenshot))
        .route(&path("usbredir"), get(streams::usb_redirection))
        .route(&path("vsock"), get(streams::vsock))
        .route(&path("sev/fetchcertchain"), get(commands::sev_cert_chain))
        .route(&path("sev/querylaunchmeasurement"), get(commands::sev_measurement))
        .route(&path("sev/injectlaunchsecret"), put(commands::sev_secret))
        .route(&path("domainstate"), get(commands::domain_state))
        .route(&path("pause"), put(commands::pause))
        .route(&path("unpause"), put(commands::unpause))
        .route(&path("reset"), put(commands::reset))
        .route(&path("softreboot"), put(commands::soft_reboot))
        .route(&path("freeze"), put(commands::freeze))
        .route(&path("unfreeze"), put(commands::unfreeze))
        .route(&path("guestosinfo"), get(commands::guest_info))
        .route(&path("userlist"), get(commands::users))
        .route(&path("filesystemlist"), get(commands::filesystems))
        .with_state(state)
}

/// Serves until shutdown. Without a certificate nothing is served: who may command guests must show who he is.
pub(crate) async fn serve(args: &Args, deps: &Deps, served: Served) -> Result<(), Error> {
    let identity = match deps.files.identity(&args.tls_cert_file, &args.tls_key_file) {
        Ok(identity) => identity,
        Err(error) => {
            tracing::warn!(%error, "no certificate: consoles and commands are not served");
            return Ok(());
        }
    };
    let address = format!("{}:{}", args.listen, args.console_server_port);
    let mut listener = match deps.net.listen(&address).await {
        Ok(listener) => listener,
        Err(source) => return Err(Error::Listen { address, source }),
    };
    let (certificate, key) = (args.tls_cert_file.clone(), args.tls_key_file.clone());
    tokio::spawn(deps.files.clone().keep_fresh(identity.clone(), certificate, key, deps.shutdown.clone()));
    let (deps, configmap, any_name) = (deps.clone(), args.ca_configmap_name.clone(), args.externally_managed);
    let state = State {
        served: Arc::new(served),
        open: Arc::default(),
        usb: Arc::default(),
        identity: identity.clone(),
        clock: deps.clock.clone(),
        shutdown: deps.shutdown.clone(),
    };
    let router = router(state);
    tokio::spawn(async move {
        loop {
            let stream = tokio::select! {
                biased;
                () = deps.shutdown.cancelled() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => continue,
                    Err(error) => {
                        tracing::error!(%error, "consoles and commands are served no longer");
                        return;
                    }
                },
            };
            let (deps, identity, configmap, router) = (deps.clone(), identity.clone(), configmap.clone(), router.clone());
            tokio::spawn(async move {
                let shutdown = deps.shutdown.clone();
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {}
                    () = connection(deps, identity, configmap, any_name, stream, router) => {}
                }
            });
        }
    });
    Ok(())
}

async fn connection(deps: Deps, identity: Identity, configmap: String, any_name: bool, stream: BoxStream, router: Router) {
    let accepted = async {
        // Read each time: the authorities rotate.
        let authorities = authorities(&deps, &configmap).await?;
        let auth = ClientAuth::Required(authorities);
        let tls = TlsServer::new(&identity, &auth, &["http/1.1"], &deps.clock).map_err(|error| error.to_string())?;
        let stream = tls.accept_stream(stream).await.map_err(|error| error.to_string())?;
        let peer = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let name = peer.and_then(|certificate| common_name(certificate));
        if any_name || name.as_deref() == Some(CLIENT) {
            Ok(stream)
        } else {
            Err(format!("the client is {}, not {CLIENT}", name.unwrap_or_default()))
        }
    };
    let stream = match accepted.await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(error, "connection refused");
            return;
        }
    };
    let service = TowerToHyperService::new(router);
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(IDLE);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
        tracing::debug!(%error, "connection ended");
    }
}

/// The authorities that clients' certificates are checked against.
async fn authorities(deps: &Deps, configmap: &str) -> Result<String, String> {
    let maps: Api<ConfigMap> = Api::namespaced(deps.client.clone(), &deps.namespace);
    let map = maps.get(configmap).await.map_err(|error| error.to_string())?;
    let bundle = map.data.and_then(|mut data| data.remove("ca-bundle"));
    bundle.ok_or_else(|| format!("ConfigMap {configmap} has no ca-bundle"))
}

fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}
