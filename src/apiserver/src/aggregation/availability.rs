//! Whether aggregated servers are there: probes, the `Available` condition, and what the servers say they serve.
//!
//! Facts: `kube-aggregator/pkg/controllers/status/remote/remote_available_controller.go` (reasons and messages).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all, pending, select_all};
use http::header::{ACCEPT, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use serde_json::{Value, json};

use super::local::quiet;
use super::{Aggregator, Backend, ProxyBody, api_services, discovery};
use crate::error::go_quote;
use crate::object;
use crate::resource::GroupResource;
use crate::serve::pool::Failure;
use crate::store::{Expect, Key, StoreError, WatchStream};

/// How long a probe may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time between probes of servers that are well.
const INTERVAL: Duration = Duration::from_secs(30);
/// First and last pause before another probe of one that is not.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Bytes of a document.
const MAX_DOCUMENT: usize = 8 << 20;

struct Condition {
    status: bool,
    reason: &'static str,
    message: String,
}

impl Condition {
    fn not(reason: &'static str, message: String) -> Self {
        Self { status: false, reason, message }
    }
}

impl Aggregator {
    /// Keeps the APIServices registered and their conditions true, until dropped. Wakes on changes of APIServices,
    /// Services and CustomResourceDefinitions, and from time to time.
    pub async fn run(self) {
        let watched =
            [api_services(), GroupResource::new("", "services"), GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions")];
        let mut pause = RETRY.0;
        loop {
            let revision = self.0.store.revision();
            let streams: Vec<WatchStream> = watched.iter().filter_map(|gr| self.0.store.watch(gr, None, revision).ok()).collect();
            if let Err(error) = self.register_local() {
                tracing::warn!(%error, "register APIServices");
            }
            let all_well = self.probe().await;
            let wait = if all_well { INTERVAL } else { pause };
            let changes =
                streams.into_iter().map(|mut watch| -> BoxFuture<'static, ()> { async move { drop(watch.next_batch().await) }.boxed() });
            // Never empty, which `select_all` would not take.
            let woken = select_all(changes.chain([pending().boxed()]));
            tokio::select! {
                biased;
                _ = woken => pause = RETRY.0,
                () = tokio::time::sleep(wait) => pause = if all_well { RETRY.0 } else { (pause * 2).min(RETRY.1) },
            }
        }
    }

    /// Probes every aggregated server once and writes what changed; says whether all are available.
    pub async fn probe(&self) -> bool {
        let backends = self.backends();
        self.forget(&backends);
        let probe = |backend: Arc<Backend>| {
            let this = self.clone();
            async move {
                let condition = this.check(&backend).await;
                (backend, condition)
            }
        };
        let probes: Vec<_> = backends.values().cloned().map(probe).collect();
        let mut all_well = true;
        for (backend, condition) in join_all(probes).await {
            all_well &= condition.status;
            if let Err(error) = self.write(&backend, &condition) {
                tracing::warn!(%error, api_service = backend.name, "write the Available condition");
            }
        }
        all_well
    }

    async fn check(&self, backend: &Arc<Backend>) -> Condition {
        let (namespace, name, port) = (&backend.namespace, &backend.service, backend.port);
        let place = format!("service/{name} in {}", go_quote(namespace));
        let key = Key::new(GroupResource::new("", "services"), namespace.as_str(), name.as_str());
        let Some(service) = self.0.store.get(&key).map(|stored| stored.value()) else {
            return Condition::not("ServiceNotFound", format!("{place} is not present"));
        };
        let listens =
            object::list(&service, &["spec", "ports"]).iter().any(|entry| object::number(entry, &["port"]) == Some(i64::from(port)));
        if !listens {
            return Condition::not("ServicePortError", format!("{place} is not listening on port {port}"));
        }
        let path = format!("/apis/{}/{}", backend.group, backend.version);
        let url = format!("https://{}:{port}{path}", backend.server_name());
        let answer = tokio::time::timeout(TIMEOUT, get(backend, &path)).await;
        let problem = match answer {
            Ok(Ok((status, body))) if status.is_success() => {
                self.remember(backend, &body).await;
                return Condition { status: true, reason: "Passed", message: "all checks passed".to_owned() };
            }
            Ok(Ok((status, _))) => format!("bad status from {url}: {}", status.as_u16()),
            Ok(Err(why)) => format!("Get {}: {why}", go_quote(&url)),
            Err(_) => format!("Get {}: context deadline exceeded", go_quote(&url)),
        };
        Condition::not("FailedDiscoveryCheck", format!("failing or missing response from {url}: {problem}"))
    }

    /// Keeps what a server serves, with its OpenAPI document if it has one.
    async fn remember(&self, backend: &Backend, body: &[u8]) {
        let Ok(resources) = serde_json::from_slice::<Value>(body) else { return };
        if self.known(&backend.name).is_some_and(|known| known.resources == resources) {
            return;
        }
        let path = format!("/openapi/v3/apis/{}/{}", backend.group, backend.version);
        let openapi = match tokio::time::timeout(TIMEOUT, get(backend, &path)).await {
            Ok(Ok((StatusCode::OK, body))) => Some(body),
            _ => None,
        };
        self.learn(&backend.name, discovery::Served { resources, openapi });
    }

    fn write(&self, backend: &Backend, condition: &Condition) -> Result<(), StoreError> {
        let key = Key::new(api_services(), "", backend.name.as_str());
        let Some(stored) = self.0.store.get(&key) else { return Ok(()) };
        let mut object = stored.value();
        let mut conditions = object::list(&object, &["status", "conditions"]).to_vec();
        let status = if condition.status { "True" } else { "False" };
        let old = conditions.iter().position(|c| object::text(c, &["type"]) == "Available");
        let previous = old.and_then(|at| conditions.get(at));
        let text = |field: &str| previous.map_or("", |c| object::text(c, &[field]));
        if text("status") == status && text("reason") == condition.reason && text("message") == condition.message {
            return Ok(());
        }
        let since = match text("lastTransitionTime") {
            time if text("status") == status && !time.is_empty() => time.to_owned(),
            _ => self.0.env.timestamp(),
        };
        let new = json!({
            "type": "Available",
            "status": status,
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": since,
        });
        match old.and_then(|at| conditions.get_mut(at)) {
            Some(place) => *place = new,
            None => conditions.push(new),
        }
        object::set(&mut object, &["status", "conditions"], conditions);
        quiet(self.0.store.commit(key, Expect::Revision(stored.revision), Some(object)))
    }
}

/// GET as the aggregator itself.
async fn get(backend: &Backend, path: &str) -> Result<(StatusCode, Bytes), String> {
    let pool = backend.pool.clone()?;
    let repeat = Some(question(backend, path)?);
    let response = pool.exchange(question(backend, path)?, repeat).await.map_err(Failure::into_text)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_DOCUMENT).collect().await.map_err(|error| error.to_string())?;
    Ok((status, body.to_bytes()))
}

fn question(backend: &Backend, path: &str) -> Result<Request<ProxyBody>, String> {
    Request::get(path)
        .header(HOST, format!("{}:{}", backend.server_name(), backend.port))
        .header(ACCEPT, "application/json")
        .header("x-remote-user", "system:kube-aggregator")
        .header("x-remote-group", "system:masters")
        .body(Empty::new().map_err(|never: std::convert::Infallible| match never {}).boxed_unsync())
        .map_err(|error| error.to_string())
}
