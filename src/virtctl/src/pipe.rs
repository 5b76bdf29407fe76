//! Carrying bytes between a stream of the cluster and something local.

use crate::session::Stream;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Bytes carried at once (spec/virtctl.md §1).
const BUFFER: usize = 10_240;

/// How a stream came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The user's side ended it.
    Local,
    /// The guest's side closed it in good order.
    Closed,
    /// The connection is gone without a word: code 1006.
    Lost(String),
}

/// Carries bytes both ways until either side ends. `escape` ends the user's side; it is not sent.
pub(crate) async fn carry(
    stream: &mut Stream,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    escape: Option<u8>,
) -> std::io::Result<End> {
    let mut buffer = vec![0_u8; BUFFER];
    let mut reading = true;
    loop {
        tokio::select! {
            biased;
            message = stream.next() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    output.write_all(&bytes).await?;
                    output.flush().await?;
                }
                Some(Ok(Message::Text(text))) => {
                    output.write_all(text.as_bytes()).await?;
                    output.flush().await?;
                }
                // The library answers pings itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(Some(frame)))) if frame.code == CloseCode::Abnormal => return Ok(End::Lost(frame.reason.to_string())),
                Some(Ok(Message::Close(_))) => return Ok(End::Closed),
                Some(Err(error)) => return Ok(End::Lost(error.to_string())),
                None => return Ok(End::Lost("unexpected EOF".to_owned())),
            },
            read = input.read(&mut buffer), if reading => match read? {
                0 if escape.is_some() => reading = false,
                0 => {
                    // The other side may be gone already.
                    let _ = stream.close(None).await;
                    return Ok(End::Local);
                }
                count => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let typed = escape.and_then(|escape| bytes.iter().position(|&byte| byte == escape));
                    let sent = bytes.get(..typed.unwrap_or(count)).unwrap_or_default().to_vec();
                    if !sent.is_empty() && let Err(error) = stream.send(Message::Binary(sent.into())).await {
                        return Ok(End::Lost(error.to_string()));
                    }
                    if typed.is_some() {
                        let _ = stream.close(None).await;
                        return Ok(End::Local);
                    }
                }
            },
        }
    }
}
