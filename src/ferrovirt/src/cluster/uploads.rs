//! Uploads of disk images, as far as a client can tell from CDI (docs/simulated-storage.md): tokens, which the API server gives out
//! for us as an aggregated API, and the proxy that takes the data for a token.
//!
//! The data is counted and thrown away; the claim is then as one that was filled. A token is good for one claim and five minutes.

use super::StartError;
use apiserver::serve::Pki;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::core::v1::{Endpoints, PersistentVolumeClaim};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use runtime::tls::{ClientAuth, Identity, TlsServer};
use runtime::{BoxStream, Clock, Entropy, Listener, Net};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a token is good.
const TOKEN_LIFE: Duration = Duration::from_mins(5);
/// The longest request for a token.
const LONGEST_REQUEST: usize = 64 << 10;
/// How long a client may take to send its headers.
const HEADER_PATIENCE: Duration = Duration::from_secs(30);
/// The group and version of tokens.
const GROUP: &str = "upload.cdi.kubevirt.io";
const VERSION: &str = "v1beta1";
/// The namespace of CDI's own Services.
const NAMESPACE: &str = "cdi";
/// Where the proxy listens in a network of pipes, and users reach it.
const PROXY: &str = "cdi-uploadproxy.cdi.svc:443";
/// Where the API of tokens listens in a network of pipes.
const API: &str = "192.0.2.1:8443";

/// Where uploads are served.
#[derive(Clone)]
pub struct Sites {
    /// The way from the API server to its aggregated APIs.
    pub pods: Arc<dyn Net>,
    /// Whether that one is the machine's own, rather than pipes.
    pub pods_are_tcp: bool,
    /// The way from users to the proxy.
    pub users: Arc<dyn Net>,
    /// Whether that one is the machine's own, rather than pipes.
    pub users_are_tcp: bool,
}

/// The proxy, bound: its address is known before the cluster starts.
pub struct Proxy {
    listener: Box<dyn Listener>,
}

impl Proxy {
    /// Binds the proxy.
    ///
    /// # Errors
    /// [`StartError::Uploads`].
    pub async fn bind(sites: &Sites) -> Result<Self, StartError> {
        let address = if sites.users_are_tcp { "127.0.0.1:0" } else { PROXY };
        let listener = sites.users.listen(address).await.map_err(StartError::Uploads)?;
        Ok(Self { listener })
    }

    /// The URL for `cdiconfigs/config`.
    pub fn url(&self) -> String {
        let address = self.listener.local_addr();
        format!("https://{}", address.strip_suffix(":443").unwrap_or(&address))
    }
}

struct Token {
    namespace: String,
    claim: String,
    expires: Instant,
}

struct Uploads {
    tokens: Mutex<BTreeMap<String, Token>>,
    client: Client,
    entropy: Entropy,
}

/// Serves tokens and uploads until the answer is dropped.
///
/// # Errors
/// [`StartError`].
pub async fn start(
    proxy: Proxy,
    sites: &Sites,
    client: Client,
    pki: &Pki,
    clock: &Clock,
    entropy: Entropy,
) -> Result<DropGuard, StartError> {
    let identity = Identity::from_pem(&pki.serving.cert_pem, &pki.serving.key_pem)?;
    // The API server shows who it is when it brings a request; its probes need not.
    let callers = ClientAuth::Optional(pki.front_proxy_ca.cert_pem.clone());
    let api_tls = TlsServer::new(&identity, &callers, &["http/1.1"], clock)?;
    let proxy_tls = TlsServer::new(&identity, &ClientAuth::None, &["http/1.1"], clock)?;
    let api = sites.pods.listen(if sites.pods_are_tcp { "127.0.0.1:0" } else { API }).await.map_err(StartError::Uploads)?;
    for object in objects(&api.local_addr()) {
        super::setup::create(&client, &object).await?;
        // An earlier life of the cluster may have listened elsewhere.
        if object["kind"] == "Endpoints" {
            let endpoints: Api<Endpoints> = Api::namespaced(client.clone(), NAMESPACE);
            let moved = Patch::Merge(json!({"subsets": object["subsets"]}));
            let failed = |source| StartError::Apply { object: "Endpoints cdi-api".to_owned(), source: Box::new(source) };
            endpoints.patch("cdi-api", &PatchParams::default(), &moved).await.map_err(failed)?;
        }
    }
    let uploads = Arc::new(Uploads { tokens: Mutex::default(), client, entropy });
    let stop = CancellationToken::new();
    tokio::spawn(serve(uploads.clone(), api, api_tls, true, stop.clone()));
    tokio::spawn(serve(uploads, proxy.listener, proxy_tls, false, stop.clone()));
    Ok(stop.drop_guard())
}

/// What makes the API server bring requests for tokens here.
fn objects(address: &str) -> Vec<Value> {
    let (ip, port) = address.rsplit_once(':').unwrap_or((address, "443"));
    let port: u16 = port.parse().unwrap_or(443);
    let metadata = json!({"name": "cdi-api", "namespace": NAMESPACE});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 443, "targetPort": port}]}}),
        json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata,
            "subsets": [{"addresses": [{"ip": ip}], "ports": [{"port": port}]}],
        }),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": format!("{VERSION}.{GROUP}")},
            "spec": {
                "group": GROUP, "version": VERSION, "groupPriorityMinimum": 1000, "versionPriority": 15, "insecureSkipTLSVerify": true,
                "service": {"name": "cdi-api", "namespace": NAMESPACE, "port": 443},
            },
        }),
    ]
}

async fn serve(uploads: Arc<Uploads>, mut listener: Box<dyn Listener>, tls: TlsServer, internal: bool, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    continue;
                }
            },
        };
        let (uploads, tls, stop) = (uploads.clone(), tls.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = connection(uploads, stream, tls, internal) => {}
            }
        });
    }
}

async fn connection(uploads: Arc<Uploads>, stream: BoxStream, tls: TlsServer, internal: bool) {
    let stream = match tls.accept_stream(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
    };
    let from_server = internal && stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
    let service = service_fn(move |request: Request<Incoming>| {
        let uploads = uploads.clone();
        async move {
            let answer = if internal { uploads.api(request, from_server).await } else { uploads.proxy(request).await };
            Ok::<_, Infallible>(answer)
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_PATIENCE);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection ended");
    }
}

type Answer = Response<Full<Bytes>>;

fn text(code: StatusCode, body: impl Into<String>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.into())));
    *answer.status_mut() = code;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    answer
}

fn object(code: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = code;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

fn refused(code: StatusCode, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": code.as_u16(),
    });
    object(code, &status)
}

impl Uploads {
    /// The aggregated API: discovery, and tokens for whom the API server let through.
    async fn api(&self, request: Request<Incoming>, from_server: bool) -> Answer {
        let path = request.uri().path().to_owned();
        let base = format!("/apis/{GROUP}/{VERSION}");
        if path == base {
            let resource = json!({
                "name": "uploadtokenrequests", "singularName": "uploadtokenrequest", "namespaced": true, "kind": "UploadTokenRequest",
                "verbs": ["create"], "shortNames": ["utr", "utrs"],
            });
            let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{GROUP}/{VERSION}"), "resources": [resource]});
            return object(StatusCode::OK, &list);
        }
        let rest = path.strip_prefix(&format!("{base}/namespaces/"));
        match rest.and_then(|rest| rest.split_once('/')) {
            Some((namespace, "uploadtokenrequests")) if request.method() == Method::POST => {
                if !from_server {
                    return refused(StatusCode::UNAUTHORIZED, "Unauthorized", "request is not authenticated");
                }
                let namespace = namespace.to_owned();
                self.token(&namespace, request).await
            }
            _ if path == "/" || path == "/healthz" || path.starts_with("/openapi/") => object(StatusCode::OK, &json!({})),
            _ => text(StatusCode::NOT_FOUND, "404: Page Not Found"),
        }
    }

    async fn token(&self, namespace: &str, request: Request<Incoming>) -> Answer {
        let body = http_body_util::Limited::new(request.into_body(), LONGEST_REQUEST).collect().await;
        let parsed = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body.to_bytes()).ok());
        let Some(mut wanted) = parsed else { return refused(StatusCode::BAD_REQUEST, "BadRequest", "the body is no UploadTokenRequest") };
        let claim = wanted.pointer("/spec/pvcName").and_then(Value::as_str).unwrap_or_default().to_owned();
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        match claims.get_opt(&claim).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                let message = format!("persistentvolumeclaims {claim:?} not found");
                return refused(StatusCode::NOT_FOUND, "NotFound", &message);
            }
            Err(error) => return refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &error.to_string()),
        }
        let token = self.entropy.name_suffix(40);
        let now = Instant::now();
        {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.retain(|_, token| token.expires > now);
            tokens.insert(token.clone(), Token { namespace: namespace.to_owned(), claim, expires: now + TOKEN_LIFE });
        }
        if let Some(prefix) = wanted.pointer("/metadata/generateName").and_then(Value::as_str).map(str::to_owned) {
            wanted["metadata"]["name"] = json!(format!("{prefix}{}", self.entropy.name_suffix(5)));
        }
        wanted["metadata"]["namespace"] = json!(namespace);
        wanted["status"] = json!({"token": token});
        object(StatusCode::CREATED, &wanted)
    }

    /// Whose upload a bearer may send.
    fn target(&self, request: &Request<Incoming>) -> Option<(String, String)> {
        let bearer = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(bearer).filter(|token| token.expires > Instant::now())?;
        Some((token.namespace.clone(), token.claim.clone()))
    }

    /// The proxy.
    async fn proxy(&self, request: Request<Incoming>) -> Answer {
        match (request.method(), request.uri().path()) {
            (_, "/healthz") => text(StatusCode::OK, "OK"),
            (&Method::HEAD, "/v1beta1/upload" | "/v1beta1/upload-async") => text(StatusCode::OK, ""),
            (&(Method::POST | Method::PUT), "/v1beta1/upload" | "/v1beta1/upload-async") => match self.target(&request) {
                Some((namespace, claim)) => self.upload(&namespace, &claim, request).await,
                None => text(StatusCode::UNAUTHORIZED, "the token is unknown or has expired"),
            },
            _ => text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    async fn upload(&self, namespace: &str, name: &str, request: Request<Incoming>) -> Answer {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let claim = match claims.get(name).await {
            Ok(claim) => claim,
            Err(error) => return text(StatusCode::SERVICE_UNAVAILABLE, format!("the claim cannot be read: {error}")),
        };
        if claim
            .metadata
            .annotations
            .iter()
            .flatten()
            .any(|(key, value)| key == "cdi.kubevirt.io/storage.pod.phase" && value == "Succeeded")
        {
            return text(StatusCode::SERVICE_UNAVAILABLE, "no upload server: the claim is filled already");
        }
        let room = claim.spec.and_then(|spec| spec.resources).and_then(|resources| resources.requests);
        let room = room.and_then(|mut requests| requests.remove("storage")).and_then(|size| api::quantity::parse(&size.0));
        let room = room.map_or(u64::MAX, |size| u64::try_from(size.value()).unwrap_or_default());
        let mut body = request.into_body();
        let mut received: u64 = 0;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => received += frame.data_ref().map_or(0, |data| data.len() as u64),
                Err(error) => return text(StatusCode::BAD_REQUEST, format!("the upload broke off after {received} bytes: {error}")),
            }
            if received > room {
                let message = format!(
                    "Virtual image size {received} is larger than the reported available storage {room}. A larger PVC is required."
                );
                return text(StatusCode::BAD_REQUEST, message);
            }
        }
        match self.arrived(namespace, name).await {
            Ok(()) => text(StatusCode::OK, ""),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// Tells the controller of DataVolumes, or the claim itself where it has none.
    async fn arrived(&self, namespace: &str, name: &str) -> kube::Result<()> {
        let volume = format!("/apis/cdi.kubevirt.io/v1beta1/namespaces/{namespace}/datavolumes/{name}");
        let patch = json!({"metadata": {"annotations": {"sim.ferrovirt.io/uploaded": "true"}}});
        let request =
            Request::patch(volume).header(header::CONTENT_TYPE, "application/merge-patch+json").body(patch.to_string().into_bytes());
        let request = request.map_err(kube::Error::HttpError)?;
        match self.client.request_text(request).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
        let done = json!({"metadata": {"annotations": {
            "cdi.kubevirt.io/storage.pod.phase": "Succeeded", "cdi.kubevirt.io/storage.pod.ready": "false",
        }}});
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        claims.patch(name, &PatchParams::default(), &Patch::Merge(done)).await.map(drop)
    }
}
