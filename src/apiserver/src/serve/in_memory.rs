//! The server at the end of an in-memory pipe: HTTP/1.1 without TLS, upgrades included. For clients in this process that
//! need a connection (WebSocket) and not only a service.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::DuplexStream;
use tower::Service;

/// Bytes that either side may be ahead.
const BUFFER: usize = 64 << 10;

/// A connection to `service`. It is served until the other end is dropped.
pub fn in_memory<S, B>(service: S) -> DuplexStream
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (client, server) = tokio::io::duplex(BUFFER);
    tokio::spawn(async move {
        let connection = hyper::server::conn::http1::Builder::new()
            .auto_date_header(false)
            .serve_connection(TokioIo::new(server), TowerToHyperService::new(service))
            .with_upgrades();
        if let Err(error) = connection.await {
            tracing::debug!(%error, "in-memory connection ended");
        }
    });
    client
}
