//! virt-api alone, behind TLS: its webhooks are asked as an API server asks them.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use ferrovirt::cluster::{Cluster, NAMESPACE};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use runtime::net::Net;
use runtime::tls::{CertificateAuthority, CertificateRequest, TlsClient, Usage};
use runtime::{Clock, Deps, Entropy, Files};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The name virt-api's certificate is for.
const SERVER: &str = "virt-api.kubevirt.svc";

/// Where its certificates are mounted.
const FOLDERS: [&str; 2] = ["/etc/virt-api/certificates", "/etc/virt-handler/clientcertificates"];

/// A virt-api of its own, beside the cluster's.
pub struct Webhook {
    files: Files,
    clock: Clock,
    net: Arc<dyn Net>,
    address: String,
    shutdown: CancellationToken,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Webhook {
    /// Starts at `port` of `net`, with a certificate of that authority. It looks objects up in the cluster.
    ///
    /// # Errors
    /// The certificate cannot be issued.
    pub fn start(cluster: &Cluster, net: Arc<dyn Net>, port: u16, authority: &CertificateAuthority) -> Result<Self> {
        let files = Files::memory(BTreeMap::new());
        let clock = cluster.clock().clone();
        let shutdown = CancellationToken::new();
        let webhook =
            Self { files: files.clone(), clock: clock.clone(), net: Arc::clone(&net), address: format!("127.0.0.1:{port}"), shutdown };
        webhook.certify(authority, Duration::from_hours(24))?;
        let deps = Deps {
            client: cluster.client(),
            clock,
            entropy: Entropy::from_seed(1),
            net,
            files,
            shutdown: webhook.shutdown.clone(),
            pod_name: "virt-api".to_owned(),
            namespace: NAMESPACE.to_owned(),
            node_name: None,
            pod_ip: None,
        };
        let args = virt_api::Args {
            listen: "127.0.0.1".to_owned(),
            port,
            console_server_port: 8186,
            subresources_only: false,
            tls_cert_file: format!("{}/tls.crt", FOLDERS[0]),
            tls_key_file: format!("{}/tls.key", FOLDERS[0]),
            handler_cert_file: format!("{}/tls.crt", FOLDERS[1]),
            handler_key_file: format!("{}/tls.key", FOLDERS[1]),
            ca_configmap_name: "kubevirt-ca".to_owned(),
            v: 2,
        };
        tokio::spawn(virt_api::run(args, deps));
        Ok(webhook)
    }

    /// Mounts a new certificate, as whoever rotates them does. It is read when files are read again.
    ///
    /// # Errors
    /// It cannot be issued.
    pub fn certify(&self, authority: &CertificateAuthority, lifetime: Duration) -> Result<()> {
        let request = CertificateRequest {
            common_name: "virt-api".to_owned(),
            organizations: Vec::new(),
            hosts: vec![SERVER.to_owned()],
            usage: Usage::Both,
            lifetime,
        };
        let pair = authority.issue(&request, &self.clock)?;
        let Files::Memory(files) = &self.files else { return Ok(()) };
        let mut files = files.write().unwrap_or_else(PoisonError::into_inner);
        for folder in FOLDERS {
            files.insert(format!("{folder}/tls.crt"), pair.certificate.clone().into_bytes());
            files.insert(format!("{folder}/tls.key"), pair.key.clone().into_bytes());
        }
        Ok(())
    }

    /// A connection, if the server's certificate is of that authority. Waits until the server listens.
    ///
    /// # Errors
    /// The handshake fails.
    pub async fn connect(&self, authority: &CertificateAuthority) -> Result<Connection> {
        let mut stream = self.net.dial(&self.address).await;
        for _ in 0..1000 {
            if stream.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream = self.net.dial(&self.address).await;
        }
        let client = TlsClient::new(authority.certificate(), None, &["http/1.1"], &self.clock)?;
        let stream = client.connect(SERVER, stream.context("dialing virt-api")?).await.context("the TLS handshake")?;
        let (requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection { requests })
    }
}

/// A connection that is kept alive.
pub struct Connection {
    requests: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Sends a request and reads its whole answer.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn send(&mut self, method: &str, path: &str, content_type: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let request = Request::builder().method(method).uri(path).header("Host", SERVER).header("Content-Type", content_type);
        self.requests.ready().await?;
        let answer = self.requests.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    /// Asks a webhook about a review; its response.
    ///
    /// # Errors
    /// The connection broke, or the answer is no review.
    pub async fn review(&mut self, path: &str, review: Bytes) -> Result<Value> {
        let (status, body) = self.send("POST", path, "application/json", review).await?;
        ensure!(status == StatusCode::OK, "{path} answers {status}");
        let mut answer: Value = serde_json::from_slice(&body)?;
        Ok(answer["response"].take())
    }
}
