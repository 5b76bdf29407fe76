//! The TLS listener: HTTP/1.1 and HTTP/2 on any source of connections.
//!
//! Flow: accept → handshake (bounded in time) → serve requests, each carrying the peer's certificate as
//! [`PeerCert`] → on stop, no new connections, open requests get a grace period, then connections are dropped.
//!
//! Guarantees: a client that sends its handshake or its headers slowly, or leaves, costs one task until a time limit;
//! an error of one connection ends that connection only.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use super::target::Escaping;
use crate::auth::PeerCert;
use crate::env::Now;
use crate::net::BoxStream;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where connections come from: a TCP socket, or a channel of in-memory pipes.
#[async_trait::async_trait]
pub trait Accept: Send {
    /// The next connection, or `None` when there will be no more.
    async fn accept(&mut self) -> io::Result<Option<BoxStream>>;
}

#[async_trait::async_trait]
impl Accept for TcpListener {
    async fn accept(&mut self) -> io::Result<Option<BoxStream>> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(Some(Box::new(stream)))
    }
}

#[async_trait::async_trait]
impl Accept for mpsc::Receiver<BoxStream> {
    async fn accept(&mut self) -> io::Result<Option<BoxStream>> {
        Ok(self.recv().await)
    }
}

/// Limits of a listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A handshake that takes longer is ended.
    pub handshake: Duration,
    /// Headers of a request that take longer to arrive end the connection (HTTP/1.1; `ReadHeaderTimeout`).
    pub headers: Duration,
    /// Bytes of all headers of a request (Go's `DefaultMaxHeaderBytes`).
    pub header_bytes: u32,
    /// Bytes of path and query of a request; hyper itself ends connections of requests beyond 65,534.
    pub uri_bytes: usize,
    /// Requests at a time on one HTTP/2 connection (kube-apiserver's `--http2-max-streams-per-connection`).
    pub streams: u32,
    /// How often an HTTP/2 client is asked whether it is still there; clients that left without a word would else keep
    /// their watches.
    pub ping: Option<Duration>,
    /// How long open requests may take after a stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            headers: Duration::from_secs(32),
            header_bytes: 1 << 20,
            uri_bytes: 65_000,
            streams: 1000,
            ping: Some(Duration::from_secs(30)),
            drain: Duration::from_secs(2),
        }
    }
}

/// A TLS listener; made by [`Listener::new`], run by [`Listener::run`].
pub struct Listener {
    tls: Arc<ServerConfig>,
    now: Now,
    limits: Limits,
}

impl Listener {
    /// A listener with this TLS configuration ([`super::server_config`]).
    pub fn new(tls: Arc<ServerConfig>, now: Now, limits: Limits) -> Self {
        Self { tls, now, limits }
    }

    /// Serves connections until `stop` is cancelled or `source` ends, then drains.
    ///
    /// # Errors
    /// None of a connection; an accept error is waited out (a process may be out of file descriptors for a while).
    pub async fn run<A, S, B>(self, mut source: A, service: S, stop: CancellationToken)
    where
        A: Accept,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let acceptor = TlsAcceptor::from(self.tls.clone());
        let connection = Arc::new(Connection { acceptor, now: self.now, limits: self.limits.clone(), stop: stop.clone() });
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = tasks.join_next() => continue,
                accepted = source.accept() => accepted,
            };
            match accepted {
                Ok(Some(stream)) => {
                    tasks.spawn(connection.clone().serve(stream, service.clone()));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        let drain = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain, drain).await.is_err() {
            tasks.shutdown().await;
        }
    }
}

struct Connection {
    acceptor: TlsAcceptor,
    now: Now,
    limits: Limits,
    stop: CancellationToken,
}

impl Connection {
    async fn serve<S, B>(self: Arc<Self>, stream: BoxStream, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let handshake = tokio::time::timeout(self.limits.handshake, self.acceptor.accept(stream));
        let stream = match handshake.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake error"),
            Err(_) => return tracing::debug!("TLS handshake timed out"),
        };
        let peer = stream.get_ref().1.peer_certificates().and_then(|chain| {
            let chain: Vec<_> = chain.iter().map(|c| c.clone().into_owned()).collect();
            PeerCert::new(chain)
        });

        let multiplexed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = if multiplexed { Escaping::none(stream) } else { Escaping::new(stream) };

        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.headers)
            .max_buf_size(self.limits.header_bytes as usize)
            .auto_date_header(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(self.limits.header_bytes)
            .max_concurrent_streams(self.limits.streams)
            .initial_stream_window_size(256 << 10)
            .initial_connection_window_size(1 << 20)
            .keep_alive_interval(self.limits.ping)
            .keep_alive_timeout(self.limits.handshake)
            .auto_date_header(false);

        let this = self.clone();
        let handler = hyper::service::service_fn(move |request| this.clone().answer(request, peer.clone(), service.clone()));
        let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), handler);
        tokio::pin!(served);
        let result = tokio::select! {
            biased;
            result = served.as_mut() => result,
            () = self.stop.cancelled() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(error, "connection ended");
        }
    }

    async fn answer<S, B>(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: Option<PeerCert>,
        service: S,
    ) -> Result<Response<UnsyncBoxBody<Bytes, BoxError>>, Infallible>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let length = request.uri().path_and_query().map_or(0, |p| p.as_str().len());
        let mut response = if length > self.limits.uri_bytes {
            let mut response = Response::new(Full::default().map_err(|never: Infallible| match never {}).boxed_unsync());
            *response.status_mut() = StatusCode::URI_TOO_LONG;
            response
        } else {
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            service.oneshot(request).await?.map(|body| body.map_err(Into::into).boxed_unsync())
        };
        if let Ok(date) = HeaderValue::from_str(&(self.now)().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
            response.headers_mut().entry(DATE).or_insert(date);
        }
        Ok(response)
    }
}
