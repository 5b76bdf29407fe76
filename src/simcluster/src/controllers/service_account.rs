//! What every namespace has: the service account `default` and the ConfigMap `kube-root-ca.crt`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use serde_json::json;

use super::{existing_is_fine, work};
use crate::client::{Answer, collection_of, path_of};
use crate::cluster::Shared;
use crate::queue::Queue;
use crate::store::{Key, Scope, Store, spawn_selected};

const CERTIFICATE: &str = "kube-root-ca.crt";

/// Starts it; `certificate` is the PEM text of the cluster's certificate authority.
pub(crate) fn start(shared: &Shared, certificate: String) {
    let named = |fields| Scope { namespace: "", fields };
    let queue: Queue<String> = Queue::new();
    let add = queue.clone();
    shared.namespaces.on_change(move |change| {
        if change.new.is_some() {
            add.add(change.key.name.clone());
        }
    });
    let accounts = Store::<ServiceAccount>::new();
    let add = queue.clone();
    accounts.on_change(move |change| {
        if change.new.is_none() {
            add.add(change.key.namespace.clone());
        }
    });
    let maps = Store::<ConfigMap>::new();
    let add = queue.clone();
    maps.on_change(move |change| add.add(change.key.namespace.clone()));
    spawn_selected(shared.client.clone(), accounts.clone(), shared.stop.clone(), named("metadata.name=default"));
    spawn_selected(shared.client.clone(), maps.clone(), shared.stop.clone(), named("metadata.name=kube-root-ca.crt"));
    let shared = shared.clone();
    tokio::spawn(async move {
        accounts.synced().await;
        maps.synced().await;
        let controller = Arc::new(Controller { shared: shared.clone(), accounts, maps, certificate });
        work(&shared, &queue, |namespace: String| {
            let controller = controller.clone();
            async move { controller.provide(&namespace).await.map(|()| None) }
        })
        .await;
    });
}

struct Controller {
    shared: Shared,
    accounts: Arc<Store<ServiceAccount>>,
    maps: Arc<Store<ConfigMap>>,
    certificate: String,
}

fn is_active(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_none()
}

impl Controller {
    async fn provide(&self, namespace: &str) -> Answer<()> {
        let Self { shared, accounts, maps, certificate } = self;
        if !shared.namespaces.get(&Key::new("", namespace)).is_some_and(|namespace| is_active(&namespace)) {
            return Ok(());
        }
        if accounts.get(&Key::new(namespace, "default")).is_none() {
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}});
            existing_is_fine(shared.client.create(&collection_of::<ServiceAccount>(namespace), &account).await)?;
        }
        let data = json!({"ca.crt": certificate});
        match maps.get(&Key::new(namespace, CERTIFICATE)) {
            None => {
                let map = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {
                        "name": CERTIFICATE, "namespace": namespace,
                        "annotations": {"kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."}
                    },
                    "data": data
                });
                existing_is_fine(shared.client.create(&collection_of::<ConfigMap>(namespace), &map).await)?;
            }
            Some(map) if map.data.as_ref().and_then(|data| data.get("ca.crt")).is_none_or(|text| text != certificate) => {
                shared.client.merge(&path_of::<ConfigMap>(namespace, CERTIFICATE), &json!({"data": data})).await?;
            }
            Some(_) => {}
        }
        Ok(())
    }
}
