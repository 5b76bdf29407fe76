//! Aggregated API servers: groups and versions that another server answers, by APIService objects.
//!
//! # Flow
//! [`Aggregator::run`] registers an APIService for every group and version that this server has itself, asks each other
//! server whether it is there and what it serves, and keeps the `Available` condition. A request for such a version is
//! authenticated and authorized here and then passed on by [`Aggregator::serve`] with the user in `X-Remote-*` headers,
//! vouched for by the front-proxy certificate; upgrades (WebSocket, SPDY) become a pipe of bytes after the 101.
//!
//! # Guarantees
//! No header of the client can name a user to the other server. A version that is not available answers 503 and nothing
//! else does. Statuses are written when they change only.

mod availability;
mod discovery;
mod local;
mod proxy;
pub mod trust;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use serde_json::Value;

use crate::env::Env;
use crate::net::Target;
use crate::object;
use crate::resource::{GroupResource, Registry};
use crate::serve::pool::Pool;
use crate::serve::{Identity, Trust, client_config};
use crate::store::Store;

/// API group of APIServices.
pub const GROUP: &str = "apiregistration.k8s.io";

/// The error is a plain type: with a boxed one the compiler cannot prove futures over it `Send`.
type ProxyBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// The resource of APIServices.
pub fn api_services() -> GroupResource {
    GroupResource::new(GROUP, "apiservices")
}

/// An APIService whose group version another server answers.
struct Backend {
    /// `v1.example.dev`.
    name: String,
    group: String,
    version: String,
    namespace: String,
    service: String,
    port: u16,
    group_priority: i64,
    version_priority: i64,
    available: bool,
    pool: Result<Arc<Pool<ProxyBody>>, String>,
}

impl Backend {
    fn server_name(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }
}

/// Connections outlive a change of status: pools by what decides about the connection.
type PoolKey = (Target, Trust);

#[derive(Default)]
struct Cache {
    read_at: Option<u64>,
    /// By group and version.
    backends: Arc<BTreeMap<(String, String), Arc<Backend>>>,
    pools: BTreeMap<PoolKey, Arc<Pool<ProxyBody>>>,
}

struct Shared {
    env: Env,
    store: Store,
    registry: Registry,
    identity: Option<Identity>,
    cache: Mutex<Cache>,
    /// What each other server said it serves, by name of the APIService.
    discovered: Mutex<BTreeMap<String, discovery::Served>>,
    version: AtomicU64,
}

/// The aggregated servers of this server; clones share everything.
#[derive(Clone)]
pub struct Aggregator(Arc<Shared>);

impl fmt::Debug for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aggregator")
    }
}

impl Aggregator {
    /// `identity` is the front-proxy client certificate ([`crate::serve::Pki::front_proxy_client`]); without it other
    /// servers see requests of nobody they trust.
    pub fn new(env: Env, store: Store, registry: Registry, identity: Option<Identity>) -> Self {
        Self(Arc::new(Shared {
            env,
            store,
            registry,
            identity,
            cache: Mutex::default(),
            discovered: Mutex::default(),
            version: AtomicU64::new(1),
        }))
    }

    /// Counts changes of what other servers serve, so that discovery can cache.
    pub fn version(&self) -> u64 {
        self.backends();
        self.0.version.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.0.version.fetch_add(1, Ordering::Release);
    }

    fn backends(&self) -> Arc<BTreeMap<(String, String), Arc<Backend>>> {
        let now = self.0.store.last_write(&api_services());
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.read_at != Some(now) {
            let mut pools = BTreeMap::new();
            let mut backends = BTreeMap::new();
            for stored in self.0.store.list(&api_services(), None).0 {
                if let Some(backend) = self.backend(&stored.value(), &cache.pools, &mut pools) {
                    backends.insert((backend.group.clone(), backend.version.clone()), Arc::new(backend));
                }
            }
            *cache = Cache { read_at: Some(now), backends: Arc::new(backends), pools };
            self.changed();
        }
        cache.backends.clone()
    }

    /// The backend of an APIService; `None` for one that this server answers itself.
    fn backend(
        &self,
        object: &Value,
        old: &BTreeMap<PoolKey, Arc<Pool<ProxyBody>>>,
        pools: &mut BTreeMap<PoolKey, Arc<Pool<ProxyBody>>>,
    ) -> Option<Backend> {
        let spec = object.get("spec")?;
        let service = spec.get("service").filter(|service| service.is_object())?;
        let text = |value: &Value, field: &str| object::text(value, &[field]).to_owned();
        let port = u16::try_from(object::number(service, &["port"]).unwrap_or(443)).unwrap_or(443);
        let (namespace, name) = (text(service, "namespace"), text(service, "name"));
        let trust = if object::flag(spec, &["insecureSkipTLSVerify"]) {
            Trust::Anybody
        } else {
            Trust::Bundle(STANDARD.decode(text(spec, "caBundle")).unwrap_or_default())
        };
        let target = Target::Service { namespace: namespace.clone(), name: name.clone(), port };
        let key = (target.clone(), trust.clone());
        let pool = match old.get(&key).or_else(|| pools.get(&key)) {
            Some(pool) => Ok(pool.clone()),
            None => client_config(&self.0.env.now, &trust, self.0.identity.as_ref())
                .map(|config| {
                    let server_name = format!("{name}.{namespace}.svc");
                    Arc::new(Pool::new(self.0.env.clone(), target, server_name, config))
                })
                .map_err(|error| error.to_string()),
        };
        if let Ok(pool) = &pool {
            pools.insert(key, pool.clone());
        }
        let available = object::list(object, &["status", "conditions"])
            .iter()
            .any(|condition| object::text(condition, &["type"]) == "Available" && object::text(condition, &["status"]) == "True");
        Some(Backend {
            name: object::name(object).to_owned(),
            group: text(spec, "group"),
            version: text(spec, "version"),
            namespace,
            service: name,
            port,
            group_priority: object::number(spec, &["groupPriorityMinimum"]).unwrap_or(0),
            version_priority: object::number(spec, &["versionPriority"]).unwrap_or(0),
            available,
            pool,
        })
    }
}

#[cfg(test)]
mod tests;
