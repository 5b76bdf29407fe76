//! What aggregated API servers need to know to trust this one: the ConfigMap that their delegating authentication reads.

use serde_json::json;

use crate::env::Env;
use crate::resource::GroupResource;
use crate::serve::Pki;
use crate::store::{Expect, Key, Store, StoreError};

/// Stores `kube-system/extension-apiserver-authentication` with the authorities of `pki`, if it says something else.
///
/// # Errors
/// The store's.
pub fn publish(store: &Store, env: &Env, pki: &Pki) -> Result<(), StoreError> {
    let data = json!({
        "client-ca-file": pki.ca.cert_pem,
        "requestheader-allowed-names": "[\"front-proxy-client\"]",
        "requestheader-client-ca-file": pki.front_proxy_ca.cert_pem,
        "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
        "requestheader-group-headers": "[\"X-Remote-Group\"]",
        "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
        "requestheader-username-headers": "[\"X-Remote-User\"]",
    });
    let key = Key::new(GroupResource::new("", "configmaps"), "kube-system", "extension-apiserver-authentication");
    let mut object = match store.get(&key).map(|stored| stored.value()) {
        Some(object) if object.get("data") == Some(&data) => return Ok(()),
        Some(object) => object,
        None => json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "uid": env.entropy.uuid(),
                "creationTimestamp": env.timestamp(),
            },
        }),
    };
    object["data"] = data;
    store.commit(key, Expect::Any, Some(object)).map(|_| ())
}
