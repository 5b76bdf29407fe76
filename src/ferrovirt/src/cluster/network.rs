//! The cluster's network: the way from the API server to pods and Services.

use apiserver::net::{BoxStream, Dial, Target};
use apiserver::resource::GroupResource;
use apiserver::store::{Key, Store};
use runtime::Net;
use std::io;
use std::sync::{Arc, OnceLock};

/// Dials Services by their ready endpoints, and hosts by address, over the pods' network: in-memory pipes, or TCP where pods are processes.
///
/// The store comes after the dialer, since the server takes its dialer when it is built.
#[derive(Clone)]
pub struct ServiceDialer {
    net: Arc<dyn Net>,
    store: Arc<OnceLock<Store>>,
}

impl ServiceDialer {
    /// A dialer into this network; it reaches Services once it has a store.
    pub fn new(net: Arc<dyn Net>) -> Self {
        Self { net, store: Arc::default() }
    }

    /// Looks Services up here from now on.
    pub fn use_store(&self, store: Store) {
        // A second store would be a second server; the first one stays.
        let _ = self.store.set(store);
    }

    /// The address of a ready pod behind a Service's port.
    fn endpoint(&self, namespace: &str, name: &str, port: u16) -> Option<String> {
        let store = self.store.get()?;
        let object = |resource: &str| {
            let gr = GroupResource { group: String::new(), resource: resource.to_owned() };
            store.get(&Key::new(gr, namespace, name)).map(|stored| stored.value())
        };
        let service = object("services")?;
        let ports = service.pointer("/spec/ports")?.as_array()?;
        let wanted = ports.iter().find(|p| p["port"] == port)?["name"].as_str().unwrap_or_default().to_owned();
        let endpoints = object("endpoints")?;
        endpoints.get("subsets")?.as_array()?.iter().find_map(|subset| {
            let port = subset["ports"].as_array()?.iter().find(|p| p["name"].as_str().unwrap_or_default() == wanted)?["port"].as_u64()?;
            let ip = subset["addresses"].as_array()?.first().and_then(|address| address["ip"].as_str())?;
            Some(format!("{ip}:{port}"))
        })
    }
}

#[async_trait::async_trait]
impl Dial for ServiceDialer {
    async fn dial(&self, target: &Target) -> io::Result<BoxStream> {
        let address = match target {
            Target::Host { host, port } => format!("{host}:{port}"),
            Target::Service { namespace, name, port } => self.endpoint(namespace, name, *port).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::ConnectionRefused,
                    format!("no endpoints available for service {namespace:?}/{name:?} port {port}"),
                )
            })?,
        };
        Ok(Box::new(self.net.dial(&address).await?))
    }
}
