//! HTTPS POST to webhooks over kept connections.
//!
//! # Guarantees
//! At most `MAX_CONNECTIONS` connections an endpoint, of which a few stay open; endpoints that no configuration
//! names any more lose theirs. A kept connection that died is replaced once, silently: a review may be asked twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::env::Env;
use crate::error::go_quote;
use crate::net::Target;
use crate::object;
use crate::resource::GroupResource;
use crate::serve::pool::{Failure, Pool, Returning};
use crate::serve::{Trust, client_config};
use crate::store::{Key, Store};

/// Connections to one endpoint at a time; further calls wait.
const MAX_CONNECTIONS: usize = 64;
/// Bytes of an answer.
const MAX_ANSWER: usize = 16 << 20;

/// Where a webhook listens, and whom it must prove to be (`WebhookClientConfig`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    target: Target,
    server_name: String,
    trust: Trust,
    /// `host:port` as written in URLs.
    authority: String,
    /// Path, and query if the URL has one.
    path: String,
}

impl Endpoint {
    /// Reads a `clientConfig`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(config: &Value) -> Result<Self, String> {
        let bundle = match object::text(config, &["caBundle"]) {
            "" => Vec::new(),
            text => STANDARD.decode(text).map_err(|_| "unable to load root certificates: caBundle is not base64".to_owned())?,
        };
        let trust = Trust::Bundle(bundle);
        if let Some(service) = config.get("service").filter(|s| s.is_object()) {
            let text = |field| object::text(service, &[field]);
            let port = u16::try_from(object::number(service, &["port"]).unwrap_or(443)).map_err(|e| e.to_string())?;
            let server_name = format!("{}.{}.svc", text("name"), text("namespace"));
            let path = text("path");
            let slash = if path.starts_with('/') { "" } else { "/" };
            return Ok(Self {
                target: Target::Service { namespace: text("namespace").into(), name: text("name").into(), port },
                authority: format!("{server_name}:{port}"),
                server_name,
                trust,
                path: format!("{slash}{path}"),
            });
        }
        let url = object::text(config, &["url"]);
        let uri: http::Uri = url.parse().map_err(|e| format!("Unparsable URL: {e}"))?;
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        if uri.scheme_str() != Some("https") || host.is_empty() {
            return Err("webhook configuration must have either service or an https URL".to_owned());
        }
        Ok(Self {
            target: Target::Host { host: host.clone(), port: uri.port_u16().unwrap_or(443) },
            server_name: host,
            trust,
            authority: uri.authority().map(|a| a.as_str().to_owned()).unwrap_or_default(),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), |p| p.as_str().to_owned()),
        })
    }

    /// The URL of a call with this timeout in seconds.
    fn url(&self, timeout: u64) -> String {
        format!("https://{}{}", self.authority, self.path_with(timeout))
    }

    fn path_with(&self, timeout: u64) -> String {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        format!("{}{separator}timeout={timeout}s", self.path)
    }
}

struct Kept {
    pool: Arc<Pool<Full<Bytes>>>,
    permits: Semaphore,
}

type PoolKey = (Target, String, Trust);

/// Calls webhooks; one for the whole server.
pub struct Client {
    env: Env,
    store: Store,
    pools: Mutex<BTreeMap<PoolKey, Arc<Kept>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError(pub String);

impl Client {
    /// A client that finds Services in `store`.
    pub fn new(env: Env, store: Store) -> Self {
        Self { env, store, pools: Mutex::default() }
    }

    /// Drops connections to endpoints that are not in use any more.
    pub fn retain<'a>(&self, endpoints: impl Iterator<Item = &'a Endpoint>) {
        let keep: BTreeSet<PoolKey> = endpoints.map(Endpoint::pool_key).collect();
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| keep.contains(key));
    }

    /// Posts JSON and returns status and body of the answer.
    ///
    /// # Errors
    /// The words of Go's client: `Post "URL": context deadline exceeded`.
    pub async fn post(&self, endpoint: &Endpoint, body: Bytes, timeout: u64) -> Result<(StatusCode, Bytes), CallError> {
        let call = self.exchange(endpoint, body, timeout);
        let result = tokio::time::timeout(std::time::Duration::from_secs(timeout), call).await;
        result
            .unwrap_or_else(|_| Err("context deadline exceeded".to_owned()))
            .map_err(|why| CallError(format!("Post {}: {why}", go_quote(&endpoint.url(timeout)))))
    }

    async fn exchange(&self, endpoint: &Endpoint, body: Bytes, timeout: u64) -> Result<(StatusCode, Bytes), String> {
        self.check_service(&endpoint.target)?;
        let kept = self.pool(endpoint)?;
        let _permit = kept.permits.acquire().await.map_err(|e| e.to_string())?;
        let request = || request(endpoint, body.clone(), timeout);
        let answer = kept.pool.exchange(request()?, Some(request()?)).await.map_err(Failure::into_text)?;
        read(answer).await
    }

    /// A Service must exist and have the port; where it leads is the dialer's.
    fn check_service(&self, target: &Target) -> Result<(), String> {
        let Target::Service { namespace, name, port } = target else { return Ok(()) };
        let key = Key::new(GroupResource::new("", "services"), namespace.as_str(), name.as_str());
        let Some(service) = self.store.get(&key) else {
            return Err(format!("service {} not found", go_quote(name)));
        };
        let service = service.value();
        let has_port = object::list(&service, &["spec", "ports"]).iter().any(|p| object::number(p, &["port"]) == Some(i64::from(*port)));
        if has_port { Ok(()) } else { Err(format!("no service port {port} found for service {}", go_quote(name))) }
    }

    fn pool(&self, endpoint: &Endpoint) -> Result<Arc<Kept>, String> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = pools.get(&endpoint.pool_key()) {
            return Ok(kept.clone());
        }
        let config = client_config(&self.env.now, &endpoint.trust, None).map_err(|e| format!("unable to load root certificates: {e}"))?;
        let pool = Pool::new(self.env.clone(), endpoint.target.clone(), endpoint.server_name.clone(), config);
        let kept = Arc::new(Kept { pool: Arc::new(pool), permits: Semaphore::new(MAX_CONNECTIONS) });
        pools.insert(endpoint.pool_key(), kept.clone());
        Ok(kept)
    }
}

impl Endpoint {
    fn pool_key(&self) -> PoolKey {
        (self.target.clone(), self.server_name.clone(), self.trust.clone())
    }
}

fn request(endpoint: &Endpoint, body: Bytes, timeout: u64) -> Result<Request<Full<Bytes>>, String> {
    Request::builder()
        .method(Method::POST)
        .uri(endpoint.path_with(timeout))
        .header(HOST, &endpoint.authority)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, */*")
        .header(USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(body))
        .map_err(|e| e.to_string())
}

async fn read<B>(response: http::Response<Returning<B>>) -> Result<(StatusCode, Bytes), String>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|e| e.to_string())?;
    Ok((status, body.to_bytes()))
}
