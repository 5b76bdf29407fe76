//! Port forwarding: a WebSocket on one side, a port of the guest on the other (spec/api.md §4).

use crate::answer::Answer;
use crate::authorize::Attributes;
use crate::context::Context;
use base64::Engine as _;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use planner::subresource::{self, Forwarded, Refusal};
use runtime::BoxStream;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

/// The protocol of streams: bytes, and nothing else.
const PROTOCOL: &str = "plain.kubevirt.io";
/// How often the client is pinged, with what, and how long it may stay silent.
const PING: Duration = Duration::from_secs(1);
const PING_TEXT: &[u8] = b"keep alive";
const SILENCE: Duration = Duration::from_mins(1);
/// The longest datagram, and what is carried of a stream at once.
const BUFFER: usize = 64 << 10;

/// Answers an upgrade request with a stream to the guest's port.
pub(crate) async fn serve(cx: &Context, wanted: &Attributes, mut request: Request<Incoming>) -> Result<Answer, Refusal> {
    let vmi = cx.vmi_for(wanted).await?;
    let (address, protocol) = subresource::port_forward(&vmi, &wanted.rest)?;
    let accept = accept_key(&request)?;
    let dialed = match protocol {
        Forwarded::Tcp => cx.deps.net.dial(&address).await,
        Forwarded::Udp => cx.deps.net.dial_datagrams(&address).await,
    };
    let guest = dialed.map_err(|error| Refusal::internal(format!("dialing VM: {error}")))?;
    let upgrade = hyper::upgrade::on(&mut request);
    let shutdown = cx.deps.shutdown.clone();
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                carry(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await, guest, shutdown).await;
            }
            Err(error) => tracing::debug!(%error, "the client did not upgrade"),
        }
    });
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if offers_protocol(&request) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, header::HeaderValue::from_static(PROTOCOL));
    }
    Ok(answer)
}

/// What proves that the client's handshake was understood.
fn accept_key(request: &Request<Incoming>) -> Result<header::HeaderValue, Refusal> {
    let key = request
        .headers()
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|key| base64::engine::general_purpose::STANDARD.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16));
    let websocket = request.headers().get(header::UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let key = key.filter(|_| websocket).ok_or_else(|| Refusal::bad_request("the client is not using the websocket protocol"))?;
    header::HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(Refusal::internal)
}

fn offers_protocol(request: &Request<Incoming>) -> bool {
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    offers.iter().filter_map(|offer| offer.to_str().ok()).flat_map(|offer| offer.split(',')).any(|offer| offer.trim() == PROTOCOL)
}

/// Carries bytes both ways until either side ends or the client falls silent.
async fn carry(mut client: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, mut guest: BoxStream, shutdown: CancellationToken) {
    let mut buffer = vec![0_u8; BUFFER];
    let mut heard = Instant::now();
    let mut ping = tokio::time::interval_at(heard + PING, PING);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            message = client.next() => {
                heard = Instant::now();
                let written = match message {
                    Some(Ok(Message::Binary(bytes))) => guest.write_all(&bytes).await,
                    Some(Ok(Message::Text(text))) => guest.write_all(text.as_bytes()).await,
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                };
                if written.is_err() {
                    break;
                }
            },
            read = guest.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                    if client.send(Message::Binary(bytes)).await.is_err() {
                        return;
                    }
                }
            },
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE || client.send(Message::Ping(Bytes::from_static(PING_TEXT))).await.is_err() {
                    return;
                }
            }
        }
    }
    // The client may be gone already.
    let _ = client.close(None).await;
}
