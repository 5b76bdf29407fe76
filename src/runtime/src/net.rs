//! How components listen and dial: TCP in production, in-memory pipes in a simulation (DESIGN, invariant 6).

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use crate::datagrams::UdpPort;
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;

/// A connection, of whatever kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Stream for T {}

/// A connection behind a pointer.
pub type BoxStream = Box<dyn Stream>;

/// A network.
#[async_trait]
pub trait Net: Send + Sync {
    /// Starts listening at `host:port`; port 0 picks a free one.
    ///
    /// # Errors
    /// `AddrInUse` when somebody listens there, `InvalidInput` for an address without a port.
    async fn listen(&self, addr: &str) -> io::Result<Box<dyn Listener>>;

    /// Connects to `host:port`.
    ///
    /// # Errors
    /// `ConnectionRefused` when nobody listens there.
    async fn dial(&self, addr: &str) -> io::Result<BoxStream>;

    /// Listens for datagrams at `host:port`: each sender is a connection, of which every read and write is a datagram.
    ///
    /// # Errors
    /// `AddrInUse` when somebody listens there, `Unsupported` where the network carries none.
    async fn listen_datagrams(&self, addr: &str) -> io::Result<Box<dyn Listener>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("listen udp {addr}: this network carries no datagrams")))
    }

    /// Exchanges datagrams with `host:port`: every write is one, and every read.
    ///
    /// # Errors
    /// `Unsupported` where the network carries none.
    async fn dial_datagrams(&self, addr: &str) -> io::Result<BoxStream> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("dial udp {addr}: this network carries no datagrams")))
    }
}

/// An open port.
#[async_trait]
pub trait Listener: Send {
    /// The next connection and its peer's address.
    ///
    /// # Errors
    /// The network's; the port may still be good.
    async fn accept(&mut self) -> io::Result<(BoxStream, String)>;

    /// The address listened at, with the port that was picked.
    fn local_addr(&self) -> String;
}

/// The operating system's TCP.
///
/// Where a process has no network of its own, as pods have, it is given an address to stand at: what would be listened at on every
/// address is then listened at on that one.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpNet {
    host: Option<IpAddr>,
}

impl TcpNet {
    /// The network of a process that has this address and no other.
    pub fn on_host(host: IpAddr) -> Self {
        Self { host: Some(host) }
    }

    /// `addr` with this host in place of an unspecified one.
    fn listening(&self, addr: &str) -> String {
        match (self.host, addr.parse::<SocketAddr>()) {
            (Some(host), Ok(wanted)) if wanted.ip().is_unspecified() => SocketAddr::new(host, wanted.port()).to_string(),
            _ => addr.to_owned(),
        }
    }
}

struct TcpPort {
    listener: TcpListener,
    address: String,
}

#[async_trait]
impl Net for TcpNet {
    async fn listen(&self, addr: &str) -> io::Result<Box<dyn Listener>> {
        let listener = TcpListener::bind(self.listening(addr)).await?;
        let address = listener.local_addr()?.to_string();
        Ok(Box::new(TcpPort { listener, address }))
    }

    async fn dial(&self, addr: &str) -> io::Result<BoxStream> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    async fn listen_datagrams(&self, addr: &str) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(UdpPort::bind(&self.listening(addr)).await?))
    }

    async fn dial_datagrams(&self, addr: &str) -> io::Result<BoxStream> {
        let any = if addr.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(addr).await?;
        Ok(Box::new(Datagrams(socket)))
    }
}

/// A connected UDP socket as a stream.
struct Datagrams(UdpSocket);

impl AsyncRead for Datagrams {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_recv(cx, buffer)
    }
}

impl AsyncWrite for Datagrams {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Listener for TcpPort {
    async fn accept(&mut self) -> io::Result<(BoxStream, String)> {
        let (stream, peer) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((Box::new(stream), peer.to_string()))
    }

    fn local_addr(&self) -> String {
        self.address.clone()
    }
}

/// How many bytes an in-memory pipe holds before its writer waits.
const PIPE_BYTES: usize = 64 * 1024;

/// Connections an in-memory port holds before dialers wait.
const BACKLOG: usize = 128;

/// The first port handed out for port 0, as the usual ephemeral range begins.
const FIRST_EPHEMERAL_PORT: u16 = 32_768;

/// A network of in-memory pipes: no sockets, no real waiting. Clones see the same network.
///
/// Every handle stands on a host; unspecified and loopback addresses mean that host, so two components can both listen at
/// `0.0.0.0:8443` when each has its own host.
#[derive(Clone)]
pub struct MemoryNet {
    host: String,
    state: Arc<Mutex<MemoryState>>,
}

#[derive(Default)]
struct MemoryState {
    ports: BTreeMap<String, mpsc::Sender<(BoxStream, String)>>,
    aliases: BTreeMap<String, String>,
    resolver: Option<Resolver>,
    hosts: Option<Hosts>,
    next_port: BTreeMap<String, u16>,
}

/// Finds the address behind a name, as cluster DNS and Services do.
type Resolver = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The way to hosts that listen nowhere themselves, by address and port: a connection, if one answers.
type Hosts = Arc<dyn Fn(&str, u16) -> Option<BoxStream> + Send + Sync>;

impl Default for MemoryNet {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryNet {
    /// An empty network, seen from 127.0.0.1.
    pub fn new() -> Self {
        Self { host: "127.0.0.1".to_owned(), state: Arc::default() }
    }

    /// The same network, seen from another host.
    #[must_use]
    pub fn on_host(&self, host: &str) -> Self {
        Self { host: host.to_owned(), state: Arc::clone(&self.state) }
    }

    /// Makes `from` (`service.namespace.svc:443`) lead to `to`.
    pub fn alias(&self, from: &str, to: &str) {
        self.state().aliases.insert(from.to_owned(), to.to_owned());
    }

    /// Asks `resolver` for addresses that have no alias.
    pub fn resolve_with(&self, resolver: impl Fn(&str) -> Option<String> + Send + Sync + 'static) {
        self.state().resolver = Some(Arc::new(resolver));
    }

    /// Asks `hosts` where nobody listens: thousands of guests need no port each.
    pub fn answer_with(&self, hosts: impl Fn(&str, u16) -> Option<BoxStream> + Send + Sync + 'static) {
        self.state().hosts = Some(Arc::new(hosts));
    }

    fn state(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `addr` with this host in place of an unspecified or loopback one.
    fn absolute(&self, addr: &str) -> io::Result<(String, u16)> {
        let Some((host, port)) = addr.rsplit_once(':') else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("address {addr}: missing port in address")));
        };
        let port =
            port.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("address {addr}: invalid port {port:?}")))?;
        let host = match host {
            "" | "0.0.0.0" | "[::]" | "127.0.0.1" | "localhost" | "[::1]" => self.host.clone(),
            other => other.to_owned(),
        };
        Ok((host, port))
    }
}

impl std::fmt::Debug for MemoryNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryNet").field("host", &self.host).finish_non_exhaustive()
    }
}

struct MemoryPort {
    address: String,
    connections: mpsc::Receiver<(BoxStream, String)>,
    state: Arc<Mutex<MemoryState>>,
}

impl Drop for MemoryPort {
    fn drop(&mut self) {
        // The port is free again for whoever is started in this one's place.
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ports.remove(&self.address);
    }
}

#[async_trait]
impl Net for MemoryNet {
    async fn listen(&self, addr: &str) -> io::Result<Box<dyn Listener>> {
        let (host, port) = self.absolute(addr)?;
        let mut state = self.state();
        let port = if port == 0 {
            let next = state.next_port.entry(host.clone()).or_insert(FIRST_EPHEMERAL_PORT);
            let picked = *next;
            *next = next.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
            picked
        } else {
            port
        };
        let address = format!("{host}:{port}");
        if state.ports.contains_key(&address) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("listen {address}: address already in use")));
        }
        let (sender, connections) = mpsc::channel(BACKLOG);
        state.ports.insert(address.clone(), sender);
        drop(state);
        Ok(Box::new(MemoryPort { address, connections, state: Arc::clone(&self.state) }))
    }

    async fn dial(&self, addr: &str) -> io::Result<BoxStream> {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, format!("dial {addr}: connect: connection refused"));
        let sender = {
            let resolver = self.state().resolver.clone();
            let named = self.state().aliases.get(addr).cloned();
            let target = named.or_else(|| resolver.and_then(|resolve| resolve(addr)));
            let (host, port) = self.absolute(target.as_deref().unwrap_or(addr))?;
            let (listener, hosts) = {
                let state = self.state();
                (state.ports.get(&format!("{host}:{port}")).cloned(), state.hosts.clone())
            };
            match listener {
                Some(listener) => listener,
                None => return hosts.and_then(|hosts| hosts(&host, port)).ok_or_else(refused),
            }
        };
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        sender.send((Box::new(theirs), format!("{}:0", self.host))).await.map_err(|_| refused())?;
        Ok(Box::new(ours))
    }
}

#[async_trait]
impl Listener for MemoryPort {
    async fn accept(&mut self) -> io::Result<(BoxStream, String)> {
        self.connections.recv().await.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))
    }

    fn local_addr(&self) -> String {
        self.address.clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn echo_once(net: &dyn Net, listen: &str, dial: Option<&str>) {
        let mut listener = net.listen(listen).await.unwrap();
        let address = dial.map_or_else(|| listener.local_addr(), str::to_owned);
        let client = async {
            let mut stream = net.dial(&address).await.unwrap();
            stream.write_all(b"ping").await.unwrap();
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"pong");
        };
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 4];
            stream.read_exact(&mut question).await.unwrap();
            stream.write_all(b"pong").await.unwrap();
            question
        };
        let ((), question) = tokio::join!(client, server);
        assert_eq!(&question, b"ping");
    }

    #[tokio::test]
    async fn tcp_connects() {
        echo_once(&TcpNet::default(), "127.0.0.1:0", None).await;
        let pod = TcpNet::on_host("127.9.8.7".parse().unwrap());
        let listener = pod.listen("0.0.0.0:0").await.unwrap();
        assert!(listener.local_addr().starts_with("127.9.8.7:"), "{}", listener.local_addr());
        assert!(pod.listen("127.0.0.1:0").await.unwrap().local_addr().starts_with("127.0.0.1:"));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_connects() {
        let net = MemoryNet::new();
        echo_once(&net, "0.0.0.0:0", None).await;
        net.alias("virt-api.kubevirt.svc:443", "10.0.0.9:8443");
        echo_once(&net.on_host("10.0.0.9"), "0.0.0.0:8443", Some("virt-api.kubevirt.svc:443")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_without_ports_answer_by_themselves() {
        let net = MemoryNet::new();
        net.answer_with(|host, port| {
            (host == "10.1.0.1" && port == 7).then(|| {
                let (ours, theirs) = tokio::io::duplex(64);
                tokio::spawn(async move {
                    let (mut reader, mut writer) = tokio::io::split(theirs);
                    tokio::io::copy(&mut reader, &mut writer).await
                });
                Box::new(ours) as BoxStream
            })
        });
        let mut stream = net.dial("10.1.0.1:7").await.unwrap();
        stream.write_all(b"echo").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"echo");
        assert_eq!(net.dial("10.1.0.1:8").await.err().unwrap().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(net.dial_datagrams("10.1.0.1:7").await.err().unwrap().kind(), io::ErrorKind::Unsupported);
    }

    #[tokio::test]
    async fn datagrams_keep_their_borders() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpNet::default().dial_datagrams(&server.local_addr().unwrap().to_string()).await.unwrap();
        client.write_all(b"one").await.unwrap();
        let mut buffer = [0; 16];
        let (count, from) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"one");
        server.send_to(b"two", from).await.unwrap();
        assert_eq!(client.read(&mut buffer).await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_ports_are_exclusive_and_freed() {
        let net = MemoryNet::new();
        let first = net.listen("0.0.0.0:80").await.unwrap();
        let busy = net.listen("127.0.0.1:80").await.err().unwrap();
        assert_eq!(busy.to_string(), "listen 127.0.0.1:80: address already in use");
        assert!(net.on_host("10.0.0.1").listen("0.0.0.0:80").await.is_ok());
        drop(first);
        assert!(net.listen("0.0.0.0:80").await.is_ok());
        let refused = net.dial("10.9.9.9:1").await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(net.dial("nowhere").await.err().unwrap().kind(), io::ErrorKind::InvalidInput);
    }
}
