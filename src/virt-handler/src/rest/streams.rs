//! Streams: a WebSocket on one side, a device of the guest on the other.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use api::v1::VirtualMachineInstance;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use futures::{SinkExt, StreamExt};
use launcher_rpc::{BoxPipe, sockets};
use runtime::tls::TlsClient;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::{Refused, State, owner};
use crate::launchers::Owner;

/// The protocol of streams: bytes, and nothing else.
const PROTOCOL: &str = "plain.kubevirt.io";
/// The longest answer to the request for a VSOCK port.
const LONGEST_LINE: usize = 256;

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
        let mut open = state.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| !session.is_cancelled());
        if preserve && open.contains_key(&key) {
            let message = "Active VNC connection. Request denied.".to_owned();
            return Err(Refused(StatusCode::SERVICE_UNAVAILABLE, message));
        }
        if let Some(old) = open.insert(key, own.clone()) {
            old.cancel();
        }
    }
    match state.open(owner, &vmi, socket).await {
        Ok(device) => Ok(upgrade.protocols([PROTOCOL]).on_upgrade(move |client| carry(client, device, own))),
        Err(refused) => {
            own.cancel();
            Err(refused)
        }
    }
}

impl State {
    /// Opens a socket of the guest's.
    async fn open(&self, owner: Owner<'_>, vmi: &VirtualMachineInstance, socket: &str) -> Result<BoxPipe, Refused> {
        let opened = async {
            let pods = self.served.launchers.pods(owner, Some(vmi)).await;
            let pod = pods.first().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
            self.served.launchers.directory.open(pod, owner.uid, socket).await
        };
        opened.await.map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("Unable to connect to {socket}: {error}")))
    }
}

/// Connects a client's USB device with a slot of the guest that is free.
pub(super) async fn usb_redirection(
    Extract(state): Extract<State>,
    Path((namespace, name)): Path<(String, String)>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let vmi = state.vmi(&namespace, &name)?;
    let owner = owner(&vmi);
    let slot =
        Slot::take(&state, owner.uid).ok_or_else(|| Refused(StatusCode::SERVICE_UNAVAILABLE, "All USB devices are in use.".to_owned()))?;
    let socket = sockets::usb_redirection(slot.taken.1);
    let device = state.open(owner, &vmi, &socket).await?;
    let own = state.shutdown.child_token();
    Ok(upgrade.protocols([PROTOCOL]).on_upgrade(move |client| async move {
        carry(client, device, own).await;
        drop(slot);
    }))
}

/// A slot for a USB device, taken until dropped.
struct Slot {
    all: Arc<Mutex<BTreeSet<(String, u32)>>>,
    taken: (String, u32),
}

impl Slot {
    fn take(state: &State, uid: &str) -> Option<Self> {
        let mut all = state.usb.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = (0..sockets::USB_REDIRECTIONS).map(|slot| (uid.to_owned(), slot)).find(|slot| !all.contains(slot))?;
        all.insert(taken.clone());
        Some(Self { all: state.usb.clone(), taken })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.taken);
    }
}

#[derive(Deserialize)]
pub(super) struct VsockOptions {
    #[serde(default)]
    port: String,
    #[serde(default)]
    tls: String,
}

/// Connects a client with a VSOCK port of the guest, which may have several clients.
pub(super) async fn vsock(
    Extract(state): Extract<State>,
    Path((namespace, name)): Path<(String, String)>,
    Query(options): Query<VsockOptions>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let vmi = state.vmi(&namespace, &name)?;
    let bad = |why: String| Refused(StatusCode::BAD_REQUEST, why);
    if vmi.spec.domain.devices.autoattach_vsock != Some(true) {
        return Err(bad("VM doesn't have VSOCK enabled".to_owned()));
    }
    if vmi.status.as_ref().is_none_or(|status| status.vsockcid.is_none()) {
        return Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, "VSOCK CID is nil".to_owned()));
    }
    let port: u32 = options.port.parse().map_err(|_| bad(format!("strconv.ParseUint: parsing {:?}: invalid syntax", options.port)))?;
    let encrypted = match options.tls.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
        other => return Err(bad(format!("strconv.ParseBool: parsing {other:?}: invalid syntax"))),
    };
    let mut device = state.open(owner(&vmi), &vmi, sockets::VSOCK).await?;
    let connected = async {
        device.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') && line.len() < LONGEST_LINE {
            line.push(device.read_u8().await?);
        }
        if line.starts_with(b"OK ") { Ok(()) } else { Err(std::io::Error::other(String::from_utf8_lossy(&line).trim_end().to_owned())) }
    };
    let failed =
        |error: std::io::Error| Refused(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to dial VSOCK for VM: port {port}: {error}"));
    connected.await.map_err(failed)?;
    let own = state.shutdown.child_token();
    if !encrypted {
        return Ok(upgrade.protocols([PROTOCOL]).on_upgrade(move |client| carry(client, device, own)));
    }
    // The guest knows us by our certificate; whom we reached is certain, as the device leads nowhere else.
    let tls = TlsClient::trusting_anyone(Some(&state.identity), &state.clock).map_err(|error| failed(std::io::Error::other(error)))?;
    Ok(upgrade.protocols([PROTOCOL]).on_upgrade(move |client| async move {
        match tls.connect("vsock", Box::new(device)).await {
            Ok(device) => carry(client, Box::new(device), own).await,
            Err(error) => tracing::warn!(%error, port, namespace, name, "connecting to the guest over TLS failed"),
        }
    }))
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
