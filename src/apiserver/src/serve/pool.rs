//! Kept HTTP/1.1 connections to one TLS endpoint.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;

use super::connect::connect;
use crate::env::Env;
use crate::net::Target;

/// Connections that stay open between requests.
const MAX_IDLE: usize = 16;

/// Connections to `target`, which proves to be `server_name`.
pub struct Pool<B> {
    env: Env,
    target: Target,
    server_name: String,
    config: Arc<ClientConfig>,
    idle: Mutex<Vec<SendRequest<B>>>,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be opened; in the words of Go's client.
    Connect(String),
    /// The connection broke before the answer began.
    Unanswered(String),
}

impl Failure {
    /// The text.
    pub fn into_text(self) -> String {
        match self {
            Self::Connect(why) | Self::Unanswered(why) => why,
        }
    }
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// A pool without connections.
    pub fn new(env: Env, target: Target, server_name: String, config: Arc<ClientConfig>) -> Self {
        Self { env, target, server_name, config, idle: Mutex::default() }
    }

    /// Sends a request on a kept connection, or on a new one. What was not sent because a kept connection had ended is sent
    /// on another; what was sent and not answered is repeated once, if there is a `repeat` of it. The answer's body gives
    /// the connection back when it was read to its end.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn exchange(
        self: &Arc<Self>,
        mut request: Request<B>,
        mut repeat: Option<Request<B>>,
    ) -> Result<Response<Returning<B>>, Failure> {
        while let Some(mut sender) = self.kept().await {
            let mut error = match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.lend(sender, response)),
                Err(error) => error,
            };
            match (error.take_message(), repeat.take()) {
                (Some(unsent), again) => (request, repeat) = (unsent, again),
                (None, Some(again)) => {
                    request = again;
                    break;
                }
                (None, None) => return Err(unanswered(error.error())),
            }
        }
        self.exchange_anew(request).await
    }

    /// As [`Pool::exchange`], on a new connection: for requests that may take the connection over.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn exchange_anew(self: &Arc<Self>, request: Request<B>) -> Result<Response<Returning<B>>, Failure> {
        let mut sender = self.open().await?;
        let response = sender.send_request(request).await.map_err(|error| unanswered(&error))?;
        Ok(self.lend(sender, response))
    }

    /// A kept connection that is open, if there is one.
    async fn kept(&self) -> Option<SendRequest<B>> {
        loop {
            let mut sender = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    async fn open(&self) -> Result<SendRequest<B>, Failure> {
        let stream = connect(&self.env, &self.target, &self.server_name, self.config.clone()).await.map_err(Failure::Connect)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| Failure::Connect(error.to_string()))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection ended");
            }
        });
        Ok(sender)
    }

    fn lend(self: &Arc<Self>, sender: SendRequest<B>, response: Response<Incoming>) -> Response<Returning<B>> {
        let lent = Some((sender, self.clone()));
        response.map(|body| Returning { body, lent })
    }

    fn give(&self, sender: SendRequest<B>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push(sender);
        }
    }
}

fn unanswered(error: &hyper::Error) -> Failure {
    Failure::Unanswered(if error.is_incomplete_message() { "EOF".to_owned() } else { error.to_string() })
}

/// The body of an answer, which holds the connection until it ends.
pub struct Returning<B> {
    body: Incoming,
    lent: Option<(SendRequest<B>, Arc<Pool<B>>)>,
}

impl<B> Body for Returning<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let ended = matches!(polled, Poll::Ready(None)) || (matches!(polled, Poll::Ready(Some(Ok(_)))) && self.body.is_end_stream());
        if ended && let Some((sender, pool)) = self.lent.take() {
            pool.give(sender);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
