//! The listener: TLS, HTTP/1.1, and which part answers a path.

use crate::answer::{self, Answer};
use crate::authorize::{Attributes, FrontProxy, authorize};
use crate::context::Context;
use crate::node::NodeClient;
use crate::{Args, Error, discovery, guestfs, subresources, webhooks};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use planner::subresource::Refusal;
use runtime::tls::{ClientAuth, TlsServer};
use runtime::{BoxStream, Deps};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How long a client may take to send its headers.
const HEADER_PATIENCE: Duration = Duration::from_secs(32);

/// Everything a connection needs.
struct Server {
    context: Context,
    front_proxy: FrontProxy,
    tls: TlsServer,
}

/// Starts, then serves until shutdown.
pub async fn run(args: Args, deps: Deps) -> Result<(), Error> {
    let identity = deps.files.identity(&args.tls_cert_file, &args.tls_key_file)?;
    let handler_identity = deps.files.identity(&args.handler_cert_file, &args.handler_key_file)?;
    let front_proxy = FrontProxy::read(&deps.client).await.map_err(Error::FrontProxy)?;
    // The availability probe of the aggregator comes without a certificate, so one is asked for but not required.
    let clients = if front_proxy.authorities.is_empty() { ClientAuth::None } else { ClientAuth::Optional(front_proxy.authorities.clone()) };
    let tls = TlsServer::new(&identity, &clients, &["http/1.1"], &deps.clock)?;
    for (identity, certificate, key) in
        [(identity, args.tls_cert_file, args.tls_key_file), (handler_identity.clone(), args.handler_cert_file, args.handler_key_file)]
    {
        tokio::spawn(deps.files.clone().keep_fresh(identity, certificate, key, deps.shutdown.clone()));
    }
    let nodes = NodeClient::new(deps.clone(), handler_identity, args.console_server_port, args.ca_configmap_name);
    let context = Context::new(deps.clone(), nodes);
    context.ready().await;
    let mut listener = deps.net.listen(&format!("{}:{}", args.listen, args.port)).await.map_err(Error::Listen)?;
    tracing::info!(address = listener.local_addr(), "virt-api serves");
    let server = Arc::new(Server { context, front_proxy, tls });
    loop {
        let stream = tokio::select! {
            biased;
            () = deps.shutdown.cancelled() => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    continue;
                }
            },
        };
        let (server, shutdown) = (Arc::clone(&server), deps.shutdown.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = server.connection(stream) => {}
            }
        });
    }
}

impl Server {
    async fn connection(self: Arc<Self>, stream: BoxStream) {
        let stream = match self.tls.accept_stream(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "TLS handshake failed");
                return;
            }
        };
        let names = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| common_names(leaf));
        let names = Arc::new(names);
        let service = service_fn(move |request: Request<Incoming>| {
            let (server, names) = (Arc::clone(&self), Arc::clone(&names));
            async move { Ok::<_, Infallible>(server.answer(request, names.as_deref()).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_PATIENCE)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "connection ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>, common_names: Option<&[String]>) -> Answer {
        let path = request.uri().path().to_owned();
        if webhooks::is_hook(&path) {
            return webhooks::handle(&self.context, &path, request).await;
        }
        if let Some(document) = discovery::document(&path) {
            return answer::json(&document);
        }
        let base = format!("/apis/{}/", discovery::GROUP);
        let service =
            path.strip_prefix(&base).and_then(|rest| rest.split_once('/')).filter(|(version, _)| discovery::VERSIONS.contains(version));
        match service {
            Some((_, "version")) => return answer::json(&discovery::version()),
            Some((_, "guestfs")) => return guestfs::info(self.context.kubevirt().as_deref()),
            Some((_, "healthz")) => return self.health().await,
            Some((_, profiler)) if profiler.ends_with("-cluster-profiler") => return self.profile(profiler),
            None if path == "/healthz" => return self.health().await,
            None => return answer::text(StatusCode::NOT_FOUND, "404: Page Not Found"),
            Some(_) => {}
        }
        let authorized = async {
            let caller = self.front_proxy.caller(common_names, request.headers())?;
            let wanted = Attributes::parse(request.method(), &path)?;
            authorize(&self.context.deps.client, caller, &wanted).await?;
            Ok::<_, crate::authorize::Unauthorized>(wanted)
        };
        match authorized.await {
            Ok(wanted) => subresources::handle(&self.context, &wanted, request).await,
            Err(refused) => answer::text(StatusCode::from_u16(refused.code).unwrap_or(StatusCode::UNAUTHORIZED), refused.message),
        }
    }

    /// The profiler of the cluster, behind its switch (spec/api.md §2.1); this server collects no profiles.
    fn profile(&self, verb: &str) -> Answer {
        let developer = self.context.config().configuration().developer_configuration.clone().unwrap_or_default();
        let what = match verb {
            "start-cluster-profiler" => "start profiler",
            "stop-cluster-profiler" => "stop profiler",
            "dump-cluster-profiler" => "dump profiler results",
            _ => return answer::text(StatusCode::NOT_FOUND, "404: Page Not Found"),
        };
        if developer.cluster_profiler == Some(true) {
            return answer::text(StatusCode::NOT_IMPLEMENTED, format!("Unable to {what}: not supported by this server"));
        }
        answer::text(StatusCode::FORBIDDEN, format!("Unable to {what}. \"ClusterProfiler\" feature gate must be enabled"))
    }

    /// Whether the API server answers (spec/api.md §2.1).
    async fn health(&self) -> Answer {
        match self.context.deps.client.apiserver_version().await {
            Ok(version) => {
                let revision = self.context.config().resource_version().to_owned();
                answer::json(
                    &json!({"apiserver": {"connectivity": "ok", "version": version.git_version}, "config-resource-version": revision}),
                )
            }
            Err(error) => {
                let refusal = Refusal::internal(&error);
                answer::with(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "application/json",
                    json!({"apiserver": {"connectivity": "failed", "error": refusal.message}}).to_string(),
                )
            }
        }
    }
}

/// The common names in a certificate's subject.
fn common_names(certificate: &[u8]) -> Vec<String> {
    match x509_parser::parse_x509_certificate(certificate) {
        Ok((_, parsed)) => parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect(),
        Err(_) => Vec::new(),
    }
}
