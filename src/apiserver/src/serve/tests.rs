//! The listener over in-memory connections.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::testing::Network;
use super::{Limits, Listener, Trust, client_config, in_memory, server_config};
use crate::auth::PeerCert;
use crate::net::BoxStream;

struct Setup {
    network: Network,
    connect: mpsc::Sender<BoxStream>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let certified = request.extensions().get::<PeerCert>().is_some();
    if request.uri().path() == "/slow" {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(Response::new(Full::new(Bytes::from(format!("{} {certified} {:?}", request.uri().path(), request.version())))))
}

fn setup() -> Setup {
    let network = Network::new();
    let tls = server_config(&network.pki.serving, &network.now).unwrap();
    let (connect, source) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let listener = Listener::new(tls, network.now.clone(), Limits::default());
    let running = tokio::spawn(listener.run(source, tower::service_fn(answer), stop.clone()));
    Setup { network, connect, stop, running }
}

impl Setup {
    async fn pipe(&self) -> tokio::io::DuplexStream {
        let (client, server) = tokio::io::duplex(64 << 10);
        self.connect.send(Box::new(server)).await.unwrap();
        client
    }

    async fn tls(&self, certified: bool, alpn: &[u8]) -> tokio_rustls::client::TlsStream<tokio::io::DuplexStream> {
        let identity = certified.then_some(&self.network.pki.admin);
        let trust = Trust::Bundle(self.network.pki.ca.cert_pem.clone().into_bytes());
        let mut config = (*client_config(&self.network.now, &trust, identity).unwrap()).clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from("kubernetes.default.svc").unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        connector.connect(name, self.pipe().await).await.unwrap()
    }

    async fn get(&self, path: &str, certified: bool) -> (u16, String, String) {
        let stream = self.tls(certified, b"http/1.1").await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(path).header("host", "x").body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let date = response.headers().get("date").map(|d| d.to_str().unwrap().to_owned()).unwrap_or_default();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, date, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn requests_carry_the_certificate_that_was_proven() {
    let setup = setup();
    let date = "Thu, 01 Jan 2026 00:00:00 GMT".to_owned();
    assert_eq!(setup.get("/a", true).await, (200, date.clone(), "/a true HTTP/1.1".into()));
    assert_eq!(setup.get("/b", false).await, (200, date, "/b false HTTP/1.1".into()));
}

#[tokio::test(start_paused = true)]
async fn http2_is_chosen_by_alpn() {
    let setup = setup();
    let stream = setup.tls(true, b"h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://x/c").body(Empty::<Bytes>::new()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "/c true HTTP/2.0");
}

#[tokio::test(start_paused = true)]
async fn a_url_beyond_the_limit_is_refused() {
    let setup = setup();
    let long = format!("/{}", "a".repeat(65_530));
    assert_eq!(setup.get(&long[..65_000], false).await.0, 200);
    assert_eq!(setup.get(&long[..65_001], false).await.0, 414);
}

#[tokio::test(start_paused = true)]
async fn slow_clients_are_let_go() {
    let setup = setup();
    let start = tokio::time::Instant::now();
    let mut silent = setup.pipe().await;
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0, "a handshake that does not come");
    assert_eq!(start.elapsed().as_secs(), 10);
    let start = tokio::time::Instant::now();
    let mut stream = setup.tls(false, b"http/1.1").await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(start.elapsed().as_secs(), 32, "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_open_requests_finish() {
    let setup = setup();
    let slow = setup.get("/slow", false);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        setup.stop.cancel();
    };
    let ((status, _, body), ()) = tokio::join!(slow, stop);
    assert_eq!((status, body.as_str()), (200, "/slow false HTTP/1.1"));
    setup.running.await.unwrap();
    assert!(setup.connect.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_memory_needs_no_tls() {
    let stream = in_memory(tower::service_fn(answer));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/d").body(Empty::<Bytes>::new()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "/d false HTTP/1.1");
}
