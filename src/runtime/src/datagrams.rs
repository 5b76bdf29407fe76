//! A local UDP port as a listener: whoever sends a datagram from an address that is not known yet opens a connection, and every read
//! and write of it is a datagram.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::net::{BoxStream, Listener};

/// The longest datagram.
const LONGEST: usize = 64 << 10;
/// Datagrams kept for a connection that does not read; further ones are lost, as datagrams are.
const KEPT: usize = 64;

/// An open port. Datagrams reach their connections as long as it is accepted from.
pub(crate) struct UdpPort {
    socket: Arc<UdpSocket>,
    address: String,
    peers: BTreeMap<SocketAddr, mpsc::Sender<Vec<u8>>>,
}

impl UdpPort {
    pub(crate) async fn bind(address: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let address = socket.local_addr()?.to_string();
        Ok(Self { socket: Arc::new(socket), address, peers: BTreeMap::new() })
    }
}

#[async_trait]
impl Listener for UdpPort {
    async fn accept(&mut self) -> io::Result<(BoxStream, String)> {
        let mut buffer = vec![0; LONGEST];
        loop {
            let (count, peer) = self.socket.recv_from(&mut buffer).await?;
            let datagram = buffer.get(..count).unwrap_or_default().to_vec();
            self.peers.retain(|_, sender| !sender.is_closed());
            if let Some(sender) = self.peers.get(&peer) {
                // A full queue loses what comes, as the network does.
                let _ = sender.try_send(datagram);
                continue;
            }
            let (sender, incoming) = mpsc::channel(KEPT);
            // The queue is new and empty.
            let _ = sender.try_send(datagram);
            self.peers.insert(peer, sender);
            return Ok((Box::new(Peer { socket: self.socket.clone(), address: peer, incoming }), peer.to_string()));
        }
    }

    fn local_addr(&self) -> String {
        self.address.clone()
    }
}

/// Who sends to the port from one address.
struct Peer {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    incoming: mpsc::Receiver<Vec<u8>>,
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(datagram) = ready!(self.incoming.poll_recv(cx)) {
            // What does not fit is cut off, as the operating system does.
            let fits = datagram.len().min(buffer.remaining());
            buffer.put_slice(datagram.get(..fits).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_send_to(cx, bytes, self.address)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn each_address_is_a_connection_of_whole_datagrams() {
        let mut port = UdpPort::bind("127.0.0.1:0").await.unwrap();
        let address = port.local_addr();
        let (one, two) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        one.send_to(b"first", &address).await.unwrap();
        let (mut stream, from) = port.accept().await.unwrap();
        assert_eq!(from, one.local_addr().unwrap().to_string());
        one.send_to(b"second", &address).await.unwrap();
        two.send_to(b"other", &address).await.unwrap();
        let (mut other, _) = port.accept().await.unwrap();
        let mut buffer = [0; 32];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 5);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 6);
        assert_eq!(other.read(&mut buffer).await.unwrap(), 5);
        other.write_all(b"answer").await.unwrap();
        let (count, _) = two.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"answer");
    }
}
