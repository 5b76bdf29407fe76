//! ServiceAccount: every pod runs as an account of its namespace and, unless it declines, gets its token.
//!
//! Facts: `plugin/pkg/admission/serviceaccount/admission.go`; the projected sources as a measured server adds them.

use serde_json::{Value, json};

use super::{Attributes, Chain, Operation};
use crate::error::{ApiError, go_quote};
use crate::object;

/// Where containers find the token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Lifetime of the projected token in seconds: an hour and a mark by which servers know this default.
const TOKEN_SECONDS: i64 = 3607;

pub(super) fn admit(chain: &Chain, attributes: &mut Attributes) -> Result<(), ApiError> {
    if attributes.operation != Operation::Create || !attributes.is("", "pods") {
        return Ok(());
    }
    let Some(pod) = &attributes.object else { return Ok(()) };
    if object::at(pod, &["metadata", "annotations", MIRROR]).is_some() {
        return Ok(());
    }
    let asked = object::text(pod, &["spec", "serviceAccountName"]);
    let name = if asked.is_empty() { "default" } else { asked }.to_owned();
    let namespace = attributes.namespace.as_str();
    let account = chain.get("", "serviceaccounts", namespace, &name).ok_or_else(|| {
        attributes.forbidden(format!("error looking up service account {namespace}/{name}: serviceaccount {} not found", go_quote(&name)))
    })?;
    let entropy = chain.env.entropy.clone();
    let Some(pod) = &mut attributes.object else { return Ok(()) };
    object::set(pod, &["spec", "serviceAccountName"], name.as_str());
    object::set(pod, &["spec", "serviceAccount"], name.as_str());
    let wants = |value: &Value, path: &[&str]| object::at(value, path).and_then(Value::as_bool);
    let mount = wants(pod, &["spec", "automountServiceAccountToken"])
        .or_else(|| wants(&account, &["automountServiceAccountToken"]))
        .unwrap_or(true);
    if mount {
        mount_token(pod, || format!("{VOLUME_PREFIX}{}", entropy.suffix5()));
    }
    if object::list(pod, &["spec", "imagePullSecrets"]).is_empty() {
        let secrets = object::list(&account, &["imagePullSecrets"]);
        if !secrets.is_empty() {
            object::set(pod, &["spec", "imagePullSecrets"], secrets.to_vec());
        }
    }
    Ok(())
}

/// Mounts the token in every container that has nothing at its path, from a volume of the pod's or a new one.
fn mount_token(pod: &mut Value, new_name: impl FnOnce() -> String) {
    let existing =
        object::list(pod, &["spec", "volumes"]).iter().map(object_name).find(|name| name.starts_with(VOLUME_PREFIX)).map(ToOwned::to_owned);
    let is_new = existing.is_none();
    let name = existing.unwrap_or_else(new_name);
    let mut mounted = false;
    for containers in ["initContainers", "containers"] {
        for container in object::list_mut(pod, &["spec", containers]) {
            let mut mounts = object::list(container, &["volumeMounts"]).to_vec();
            if mounts.iter().any(|mount| object::text(mount, &["mountPath"]) == MOUNT_PATH) {
                continue;
            }
            mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
            object::set(container, &["volumeMounts"], mounts);
            mounted = true;
        }
    }
    if mounted && is_new {
        let mut volumes = object::list(pod, &["spec", "volumes"]).to_vec();
        volumes.push(token_volume(&name));
        object::set(pod, &["spec", "volumes"], volumes);
    }
}

fn object_name(value: &Value) -> &str {
    object::text(value, &["name"])
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        {"configMap": {"name": "openshift-service-ca.crt", "items": [{"key": "service-ca.crt", "path": "service-ca.crt"}]}},
    ]}})
}
