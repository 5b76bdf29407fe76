//! A network in memory for tests: TLS servers behind Services and hosts, reached through [`Dial`].

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::{Identity, Pki, server_config};
use crate::env::{Entropy, Env, Now};
use crate::net::{BoxStream, Dial, Target};
use crate::resource::GroupResource;
use crate::store::{Expect, Key, Store};

pub(crate) type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Full<Bytes>>> + Send + Sync>;

/// Servers by where they are reached.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) now: Now,
    pub(crate) pki: Pki,
    servers: Arc<Mutex<BTreeMap<Target, (Identity, Handler)>>>,
    /// Connections opened so far.
    pub(crate) dials: Arc<Mutex<Vec<Target>>>,
    open: Arc<Mutex<Vec<tokio::task::AbortHandle>>>,
}

#[async_trait::async_trait]
impl Dial for Network {
    async fn dial(&self, target: &Target) -> io::Result<BoxStream> {
        self.dials.lock().unwrap().push(target.clone());
        let server = self.servers.lock().unwrap().get(target).cloned();
        let (identity, handler) = server.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        let (client, server) = tokio::io::duplex(64 << 10);
        let config = server_config(&identity, &self.now).unwrap();
        let task = tokio::spawn(async move {
            let mut config = (*config).clone();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let Ok(stream) = TlsAcceptor::from(Arc::new(config)).accept(server).await else { return };
            let peer = stream.get_ref().1.peer_certificates().map(<[_]>::len).unwrap_or_default();
            let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(PeerCerts(peer));
                let answer = handler(request);
                async move { Ok::<_, io::Error>(answer.await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .auto_date_header(false)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
        self.open.lock().unwrap().push(task.abort_handle());
        Ok(Box::new(client))
    }
}

/// How many certificates the client showed.
#[derive(Clone, Copy)]
pub(crate) struct PeerCerts(pub(crate) usize);

impl Network {
    pub(crate) fn new() -> Self {
        let at: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now: Now = Arc::new(move || at);
        let pki = Pki::generate(&now, &[]).unwrap();
        Self { now, pki, servers: Arc::default(), dials: Arc::default(), open: Arc::default() }
    }

    pub(crate) fn env(&self) -> Env {
        Env { now: self.now.clone(), entropy: Entropy::from_seed(1), dialer: Arc::new(self.clone()) }
    }

    /// Cuts every connection, as a server does that is restarted.
    pub(crate) fn cut(&self) {
        self.open.lock().unwrap().drain(..).for_each(|task| task.abort());
    }

    /// The CA bundle that the servers' certificates are signed by.
    pub(crate) fn bundle(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&self.pki.ca.cert_pem)
    }

    /// A server behind a Service's port 443, whose Service object is put into the store.
    pub(crate) fn serve_service(&self, store: &Store, namespace: &str, name: &str, handler: Handler) {
        put(store, "", "services", json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"ports": [{"port": 443}]}}));
        let target = Target::Service { namespace: namespace.into(), name: name.into(), port: 443 };
        let identity = self.pki.serving_certificate(&self.now, &[format!("{name}.{namespace}.svc")]).unwrap();
        self.servers.lock().unwrap().insert(target, (identity, handler));
    }

    /// A server at a host's port 443 that shows a certificate for `certified`.
    pub(crate) fn serve_host(&self, host: &str, certified: &str, handler: Handler) {
        let target = Target::Host { host: host.into(), port: 443 };
        let identity = self.pki.serving_certificate(&self.now, &[certified.to_owned()]).unwrap();
        self.servers.lock().unwrap().insert(target, (identity, handler));
    }
}

/// Stores an object under its own name.
pub(crate) fn put(store: &Store, group: &str, resource: &str, object: Value) {
    let key = Key::new(GroupResource::new(group, resource), crate::object::namespace(&object), crate::object::name(&object));
    store.commit(key, Expect::Any, Some(object)).unwrap();
}
