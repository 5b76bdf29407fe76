//! Streams: a WebSocket on one side, a device of the guest on the other.

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use futures::{SinkExt, StreamExt};
use launcher_rpc::{BoxPipe, sockets};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::{Refused, State, owner};

/// The protocol of streams: bytes, and nothing else.
const PROTOCOL: &str = "plain.kubevirt.io";

#[derive(Deserialize)]
pub(super) struct VncOptions {
    #[serde(rename = "preserveSession", default)]
    preserve_session: bool,
}

pub(super) async fn console(
    Extract(state): Extract<State>,
    Path(name): Path<(String, String)>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refused> {
    stream(state, name, sockets::SERIAL, false, upgrade).await
}

pub(super) async fn vnc(
    Extract(state): Extract<State>,
    Path(name): Path<(String, String)>,
    Query(options): Query<VncOptions>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refused> {
    stream(state, name, sockets::VNC, options.preserve_session, upgrade).await
}

/// Connects a client with a device of the guest. The stream that was open ends, or, where it is preserved, this one is refused.
async fn stream(
    state: State,
    (namespace, name): (String, String),
    socket: &'static str,
    preserve: bool,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let vmi = state.vmi(&namespace, &name)?;
    let owner = owner(&vmi);
    let key = (socket, owner.uid.to_owned());
    let own = state.shutdown.child_token();
    {
        let mut open = state.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        open.retain(|_, session| !session.is_cancelled());
        if preserve && open.contains_key(&key) {
            let message = "active VNC connection. Request denied.".to_owned();
            return Err(Refused(StatusCode::SERVICE_UNAVAILABLE, message));
        }
        if let Some(old) = open.insert(key, own.clone()) {
            old.cancel();
        }
    }
    let opened = async {
        let pods = state.served.launchers.pods(owner, Some(&vmi)).await;
        let pod = pods.first().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
        state.served.launchers.directory.open(pod, owner.uid, socket).await
    };
    match opened.await {
        Ok(device) => Ok(upgrade.protocols([PROTOCOL]).on_upgrade(move |client| carry(client, device, own))),
        Err(error) => {
            own.cancel();
            Err(Refused(StatusCode::BAD_REQUEST, format!("Unable to connect to {socket}: {error}")))
        }
    }
}

/// Carries bytes both ways until either side ends, or a new stream takes over.
async fn carry(client: WebSocket, mut device: BoxPipe, session: CancellationToken) {
    let _ends = session.clone().drop_guard();
    let (mut to_client, mut from_client) = client.split();
    let mut buffer = vec![0_u8; 32 * 1024];
    loop {
        tokio::select! {
            biased;
            () = session.cancelled() => break,
            read = device.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                    if to_client.send(Message::Binary(bytes)).await.is_err() {
                        return;
                    }
                }
            },
            message = from_client.next() => match message {
                Some(Ok(Message::Binary(bytes))) => if device.write_all(&bytes).await.is_err() { break },
                Some(Ok(Message::Text(text))) => if device.write_all(text.as_bytes()).await.is_err() { break },
                // The library answers pings itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        }
    }
    // The client may be gone already.
    let _ = to_client.close().await;
}
