//! Installing KubeVirt into the cluster, as an administrator does.

use super::{NAMESPACE, STARTUP_PATIENCE, StartError, pki};
use apiserver::crd::Definitions;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Endpoints, Node};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::ListParams;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, ResourceExt as _};
use planner::install::{Installation, objects};
use runtime::Clock;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The tag of the components' images. They are never pulled: the kubelets run them in process.
pub const TAG: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// The CustomResourceDefinitions of KubeVirt and of DataVolumes, which the simulated cluster fills and the components look for
/// when they start. Every cluster of a process shares what was read of them.
pub fn definitions() -> Definitions {
    static DEFINITIONS: OnceLock<Definitions> = OnceLock::new();
    let make = || Definitions::accepted(simcluster::data_volume_definitions().into_iter().chain(api::crd::values()).collect());
    DEFINITIONS.get_or_init(make).clone()
}

/// Applies the installation; what is there already (a data folder) stays. Guests that may be `emulated` need no hardware for it
/// (`useEmulation` of the cluster's configuration, which its administrator can change).
pub async fn install(client: &Client, clock: &Clock, emulated: bool) -> Result<(), StartError> {
    let trust = pki::issue(NAMESPACE, clock)?;
    let installation = Installation {
        namespace: NAMESPACE.to_owned(),
        registry: String::new(),
        tag: TAG.to_owned(),
        replicas: 1,
        ca_bundle: trust.bundle,
        secrets: trust.secrets,
        infra_anywhere: true,
    };
    for mut object in objects(&installation).into_iter().chain(simcluster::data_volume_roles()) {
        if emulated && object.get("kind").and_then(Value::as_str) == Some("KubeVirt") {
            json_patch::merge(&mut object, &json!({"spec": {"configuration": {"developerConfiguration": {"useEmulation": true}}}}));
        }
        create(client, &object).await?;
    }
    Ok(())
}

pub(super) async fn create(client: &Client, object: &Value) -> Result<(), StartError> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let root = if api_version.contains('/') { "apis" } else { "api" };
    let namespace = text("/metadata/namespace");
    let scope = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    let path = format!("/{root}/{api_version}{scope}/{}", plural(kind));
    let failed = |source: kube::Error| StartError::Apply { object: format!("{kind} {name}"), source: Box::new(source) };
    if kind == "KubeVirt" {
        // Whoever creates a second one asks virt-api, which a cluster that begins again does not have yet.
        let request = http::Request::get(format!("{path}/{name}")).body(Vec::new());
        let request = request.map_err(|error| failed(kube::Error::HttpError(error)))?;
        if client.request_text(request).await.is_ok() {
            return Ok(());
        }
    }
    let request = http::Request::post(path).header("Content-Type", "application/json").body(object.to_string().into_bytes());
    let request = request.map_err(|error| failed(kube::Error::HttpError(error)))?;
    match client.request_text(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// The plural of a kind of the installation.
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower == "endpoints" {
        lower
    } else if lower.ends_with("class") {
        format!("{lower}es")
    } else {
        lower.strip_suffix('y').map_or_else(|| format!("{lower}s"), |stem| format!("{stem}ies"))
    }
}

/// Waits until VirtualMachines are accepted and have somewhere to run: the webhooks are reached, every component is ready,
/// every node is schedulable.
pub async fn wait_ready(client: &Client) -> Result<(), StartError> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let daemons: Api<DaemonSet> = Api::namespaced(client.clone(), NAMESPACE);
    let endpoints: Api<Endpoints> = Api::namespaced(client.clone(), NAMESPACE);
    until(&deployments, "virt-controller", |deployment| {
        deployment.status.as_ref().is_some_and(|status| status.ready_replicas.unwrap_or_default() > 0)
    })
    .await?;
    until(&endpoints, "virt-api", |endpoints| {
        endpoints.subsets.iter().flatten().any(|subset| subset.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty()))
    })
    .await?;
    let services: Api<APIService> = Api::all(client.clone());
    until(&services, "v1.subresources.kubevirt.io", |service| {
        let conditions = service.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == "Available" && condition.status == "True")
    })
    .await?;
    until(&daemons, "virt-handler", |daemon| {
        let status = daemon.status.as_ref();
        status.is_some_and(|status| status.desired_number_scheduled > 0 && status.number_ready == status.desired_number_scheduled)
    })
    .await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let list = nodes.list(&ListParams::default()).await;
    let list = list.map_err(|source| StartError::Apply { object: "nodes".to_owned(), source: Box::new(source) })?;
    for node in list {
        until(&nodes, &node.name_any(), |node| {
            let labels = node.metadata.labels.as_ref();
            let schedulable = labels.and_then(|labels| labels.get(api::names::NODE_SCHEDULABLE_LABEL)).is_some_and(|value| value == "true");
            let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
            schedulable && allocatable.is_some_and(|all| all.contains_key("devices.kubevirt.io/kvm"))
        })
        .await?;
    }
    Ok(())
}

/// Waits until an object is as it should be.
async fn until<K>(api: &Api<K>, name: &str, holds: impl Fn(&K) -> bool) -> Result<(), StartError>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let ready = async {
        let mut states = std::pin::pin!(watch_object(api.clone(), name));
        while let Some(state) = states.next().await {
            if state.ok().flatten().is_some_and(|object| holds(&object)) {
                return;
            }
        }
    };
    within_patience(name, ready).await
}

async fn within_patience(component: &str, ready: impl Future<Output = ()>) -> Result<(), StartError> {
    let late = |_| StartError::NotReady { component: component.to_owned() };
    tokio::time::timeout(STARTUP_PATIENCE, ready).await.map_err(late)
}

#[cfg(test)]
mod tests {
    use apiserver::crd::Definitions;

    #[test]
    fn every_definition_is_one_that_a_server_accepts() {
        let all = simcluster::data_volume_definitions().into_iter().chain(api::crd::values()).collect();
        assert!(Definitions::checked(all).is_ok());
    }
}
