//! Calling virt-handler on a VMI's node (spec/api.md §2.3, spec/node.md §17): HTTP/1.1 over mutual TLS.

use crate::answer::{self, Answer};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::ListParams;
use planner::subresource::{NodeVerb, Refusal};
use runtime::Deps;
use runtime::tls::{Identity, TlsClient};
use std::time::Duration;

/// How long virt-handler may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The name virt-handler's certificate stands for.
const SERVER_NAME: &str = "virt-handler";

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Nobody was asked.
    Refused(Refusal),
    /// What was asked answers so, or not at all.
    Failed(String),
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Calls virt-handlers; cheap to clone.
#[derive(Clone)]
pub struct NodeClient {
    deps: Deps,
    identity: Identity,
    port: u16,
    authorities: String,
}

impl NodeClient {
    /// A client that shows this identity, and trusts whom the ConfigMap of that name says.
    pub fn new(deps: Deps, identity: Identity, port: u16, authorities: String) -> Self {
        Self { deps, identity, port, authorities }
    }

    /// Calls a verb of a VMI and gives its body back.
    pub async fn call(&self, node: &str, namespace: &str, name: &str, verb: NodeVerb, body: Bytes) -> Result<Bytes, CallError> {
        let method = if verb.reads() { Method::GET } else { Method::PUT };
        let path = format!("/v1/namespaces/{namespace}/virtualmachineinstances/{name}/{}", verb.as_str());
        let asked = async {
            let response = self.send(node, method, &path, HeaderMap::new(), body).await?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|error| CallError::Failed(error.to_string()))?.to_bytes();
            if status.is_success() {
                return Ok(body);
            }
            let message = String::from_utf8_lossy(&body);
            Err(CallError::Failed(format!("unexpected return code {} ({status}), message: {message}", status.as_u16())))
        };
        let late = || CallError::Failed(format!("virt-handler did not answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(late()))
    }

    /// Passes a stream through: the client's upgrade request goes on to virt-handler, its answer comes back, and from then
    /// on bytes are copied both ways until one side ends.
    pub async fn stream(&self, mut request: Request<Incoming>, node: &str, path: &str) -> Result<Answer, Refusal> {
        let mut headers = HeaderMap::new();
        for name in ["connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"] {
            if let Some(value) = request.headers().get(name) {
                headers.insert(name, value.clone());
            }
        }
        let mut response = self.send(node, Method::GET, path, headers, Bytes::new()).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            let body = response.into_body().collect().await.map_err(Refusal::internal)?.to_bytes();
            let base = format!("Can't connect to websocket ({}): websocket: bad handshake", status.as_u16());
            let message = String::from_utf8_lossy(&body);
            return Err(Refusal::internal(if body.is_empty() { base } else { format!("{base}: application info: {message}") }));
        }
        let theirs = hyper::upgrade::on(&mut response);
        let ours = hyper::upgrade::on(&mut request);
        let shutdown = self.deps.shutdown.clone();
        tokio::spawn(async move {
            let (Ok(ours), Ok(theirs)) = (ours.await, theirs.await) else { return };
            let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs) => {}
            }
        });
        let mut answer = Response::new(Full::new(Bytes::new()));
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        for (name, value) in response.headers() {
            answer.headers_mut().insert(name, value.clone());
        }
        Ok(answer)
    }

    async fn send(&self, node: &str, method: Method, path: &str, headers: HeaderMap, body: Bytes) -> Result<Response<Incoming>, Refusal> {
        let ip = self.handler_address(node).await?;
        let address = if ip.contains(':') { format!("[{ip}]:{}", self.port) } else { format!("{ip}:{}", self.port) };
        let tls =
            TlsClient::new(&self.authorities().await?, Some(&self.identity), &["http/1.1"], &self.deps.clock).map_err(Refusal::internal)?;
        let stream = self.deps.net.dial(&address).await.map_err(Refusal::internal)?;
        let stream = tls.connect(SERVER_NAME, stream).await.map_err(Refusal::internal)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Refusal::internal)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to virt-handler ended");
            }
        });
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &address);
        if let Some(all) = request.headers_mut() {
            all.extend(headers);
        }
        let request = request.body(Full::new(body)).map_err(Refusal::internal)?;
        sender.send_request(request).await.map_err(Refusal::internal)
    }

    /// The IP of the virt-handler pod on a node.
    async fn handler_address(&self, node: &str) -> Result<String, Refusal> {
        let pods: Api<Pod> = Api::namespaced(self.deps.client.clone(), &self.deps.namespace);
        let params = ListParams::default().labels("kubevirt.io=virt-handler").fields(&format!("spec.nodeName={node}"));
        let pods = pods.list(&params).await.map_err(|error| answer::internal(&error))?;
        let ip = pods.items.into_iter().find_map(|pod| pod.status.and_then(|status| status.pod_ip));
        ip.ok_or_else(|| Refusal::bad_request(format!("No virt-handler on node {node} found")))
    }

    /// The trust bundle, read each time: it rotates.
    async fn authorities(&self) -> Result<String, Refusal> {
        let maps: Api<ConfigMap> = Api::namespaced(self.deps.client.clone(), &self.deps.namespace);
        let map = maps.get(&self.authorities).await.map_err(|error| answer::internal(&error))?;
        map.data
            .and_then(|mut data| data.remove("ca-bundle"))
            .ok_or_else(|| Refusal::internal(format!("ConfigMap {} has no ca-bundle", self.authorities)))
    }
}
