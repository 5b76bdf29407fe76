//! Waiting on conditions: by watching, never by sleeping, and with the last thing seen in the report.

use anyhow::{Result, anyhow};
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use serde_json::Value;
use std::time::Duration;

/// How long a condition may take, in the time of the cluster under test: ample, since virtual time costs nothing.
pub const PATIENCE: Duration = Duration::from_mins(20);

/// Waits until the object satisfies `holds`; `None` is its absence. Answers with the object that did.
///
/// # Errors
/// Names what was waited for and the last state seen when `patience` runs out.
pub async fn until(
    api: &Api<DynamicObject>,
    name: &str,
    what: &str,
    patience: Duration,
    mut holds: impl FnMut(Option<&Value>) -> bool,
) -> Result<Option<Value>> {
    let mut last: Option<Option<Value>> = None;
    let waited = tokio::time::timeout(patience, async {
        let mut states = std::pin::pin!(watch_object(api.clone(), name));
        while let Some(state) = states.next().await {
            // A broken watch is resumed by the stream itself; what it means for the object is not known yet.
            let Ok(state) = state else { continue };
            let value = state.map(|object| serde_json::to_value(object).unwrap_or_default());
            let done = holds(value.as_ref());
            last = Some(value);
            if done {
                return true;
            }
        }
        false
    })
    .await;
    match (waited, last) {
        (Ok(true), Some(value)) => Ok(value),
        (_, None) => Err(anyhow!("{what}: nothing was seen of {name}")),
        (_, Some(None)) => Err(anyhow!("{what}: {name} does not exist")),
        (_, Some(Some(value))) => Err(anyhow!("{what}: last seen of {name}:\n{}", summary(&value))),
    }
}

/// What of an object helps to understand why it is not there yet.
fn summary(object: &Value) -> String {
    let shown = serde_json::json!({
        "deletionTimestamp": object.pointer("/metadata/deletionTimestamp"),
        "finalizers": object.pointer("/metadata/finalizers"),
        "status": object.get("status"),
    });
    serde_json::to_string_pretty(&shown).unwrap_or_default()
}

/// The dynamic API of a kind in a namespace, or of a cluster-scoped kind.
pub fn api(client: &Client, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let (group, version, plural) = match kind {
        "VirtualMachine" => ("kubevirt.io", "v1", "virtualmachines"),
        "VirtualMachineInstance" => ("kubevirt.io", "v1", "virtualmachineinstances"),
        "VirtualMachineInstanceReplicaSet" => ("kubevirt.io", "v1", "virtualmachineinstancereplicasets"),
        "VirtualMachineInstanceMigration" => ("kubevirt.io", "v1", "virtualmachineinstancemigrations"),
        "VirtualMachinePool" => ("pool.kubevirt.io", "v1beta1", "virtualmachinepools"),
        "PodDisruptionBudget" => ("policy", "v1", "poddisruptionbudgets"),
        "KubeVirt" => ("kubevirt.io", "v1", "kubevirts"),
        "DataVolume" => ("cdi.kubevirt.io", "v1beta1", "datavolumes"),
        "DataSource" => ("cdi.kubevirt.io", "v1beta1", "datasources"),
        "VirtualMachineInstancetype" => ("instancetype.kubevirt.io", "v1beta1", "virtualmachineinstancetypes"),
        "VirtualMachineClusterInstancetype" => ("instancetype.kubevirt.io", "v1beta1", "virtualmachineclusterinstancetypes"),
        "VirtualMachineClusterPreference" => ("instancetype.kubevirt.io", "v1beta1", "virtualmachineclusterpreferences"),
        "ControllerRevision" => ("apps", "v1", "controllerrevisions"),
        "Deployment" => ("apps", "v1", "deployments"),
        "RoleBinding" => ("rbac.authorization.k8s.io", "v1", "rolebindings"),
        "Role" => ("rbac.authorization.k8s.io", "v1", "roles"),
        "PersistentVolumeClaim" => ("", "v1", "persistentvolumeclaims"),
        "ConfigMap" => ("", "v1", "configmaps"),
        "Secret" => ("", "v1", "secrets"),
        "Service" => ("", "v1", "services"),
        "Event" => ("", "v1", "events"),
        "Node" => ("", "v1", "nodes"),
        "Endpoints" => ("", "v1", "endpoints"),
        "Namespace" => ("", "v1", "namespaces"),
        _ => ("", "v1", "pods"),
    };
    let resource = kube::discovery::ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: if group.is_empty() { version.into() } else { format!("{group}/{version}") },
        kind: kind.into(),
        plural: plural.into(),
    };
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}
