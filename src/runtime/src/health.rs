//! The small HTTPS server every component has for its probes and metrics (spec observability §4).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use crate::net::{BoxStream, Listener};
use crate::tls::TlsServer;

type Route = Arc<dyn Fn() -> BoxFuture<'static, Response<Full<Bytes>>> + Send + Sync>;

/// GET routes without parameters.
#[derive(Clone, Default)]
pub struct Probes {
    routes: BTreeMap<&'static str, Route>,
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.routes.keys()).finish()
    }
}

/// A JSON answer.
pub fn json(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    answer(status, "application/json", body.to_string())
}

/// A plain text answer.
pub fn text(status: StatusCode, body: impl Into<String>) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", body.into())
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

impl Probes {
    /// No routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers GET `path` with what `handler` returns.
    #[must_use]
    pub fn route<F>(mut self, path: &'static str, handler: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        self.routes.insert(path, Arc::new(move || Box::pin(handler())));
        self
    }

    /// Answers GET `/healthz`: whether the API server answers (spec controllers §1.1).
    #[must_use]
    pub fn healthz(self, client: kube::Client) -> Self {
        self.route("/healthz", move || {
            let client = client.clone();
            async move {
                match client.apiserver_version().await {
                    Ok(_) => json(StatusCode::OK, &serde_json::json!({"apiserver": {"connectivity": "ok"}})),
                    Err(error) => json(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        &serde_json::json!({"apiserver": {"connectivity": "failed", "error": error.to_string()}}),
                    ),
                }
            }
        })
    }

    /// Serves HTTP/1.1 until `shutdown`; over TLS when `tls` is given.
    pub async fn serve(self, mut listener: Box<dyn Listener>, tls: Option<TlsServer>, shutdown: CancellationToken) {
        loop {
            let stream = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => continue,
                    Err(error) => {
                        tracing::warn!(%error, "accept failed");
                        return;
                    }
                },
            };
            let (probes, tls, shutdown) = (self.clone(), tls.clone(), shutdown.clone());
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {}
                    () = probes.connection(stream, tls) => {}
                }
            });
        }
    }

    async fn connection(self, stream: BoxStream, tls: Option<TlsServer>) {
        let stream = match tls {
            None => stream,
            Some(tls) => match tls.accept(stream).await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%error, "TLS handshake failed");
                    return;
                }
            },
        };
        let service = service_fn(move |request: Request<Incoming>| {
            let route = self.routes.get(request.uri().path()).cloned();
            async move {
                Ok::<_, Infallible>(match route {
                    Some(route) => route().await,
                    None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
                })
            }
        });
        let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        if let Err(error) = served {
            tracing::debug!(%error, "connection ended");
        }
    }
}
