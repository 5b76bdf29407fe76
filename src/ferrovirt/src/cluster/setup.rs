//! Installing KubeVirt into the cluster, as an administrator does.

use super::{NAMESPACE, STARTUP_PATIENCE, StartError, pki};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use planner::install::{Installation, objects};
use runtime::Clock;
use serde_json::Value;

/// The tag of the components' images. They are never pulled: the kubelets run them in process.
pub const TAG: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// Applies the CustomResourceDefinitions and the installation; what is there already (a data folder) stays.
pub async fn install(client: &Client, clock: &Clock) -> Result<(), StartError> {
    for crd in api::crd::all()? {
        let value = serde_json::to_value(&crd)?;
        create(client, &value).await?;
    }
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
    for object in objects(&installation) {
        create(client, &object).await?;
    }
    Ok(())
}

async fn create(client: &Client, object: &Value) -> Result<(), StartError> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let root = if api_version.contains('/') { "apis" } else { "api" };
    let mut path = format!("/{root}/{api_version}");
    let namespace = text("/metadata/namespace");
    if !namespace.is_empty() {
        path.push_str(&format!("/namespaces/{namespace}"));
    }
    path.push('/');
    path.push_str(&plural(kind));
    let failed = |source: kube::Error| StartError::Apply { object: format!("{kind} {name}"), source: Box::new(source) };
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
    if lower.ends_with("class") { format!("{lower}es") } else { lower.strip_suffix('y').map_or_else(|| format!("{lower}s"), |stem| format!("{stem}ies")) }
}

/// Waits until every component is ready: then the webhooks answer and the nodes take VMs.
pub async fn wait_ready(client: &Client) -> Result<(), StartError> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let daemons: Api<DaemonSet> = Api::namespaced(client.clone(), NAMESPACE);
    for component in ["virt-api", "virt-controller"] {
        let ready = async {
            let mut states = std::pin::pin!(watch_object(deployments.clone(), component));
            while let Some(state) = states.next().await {
                let status = state.ok().flatten().and_then(|deployment| deployment.status);
                if status.is_some_and(|status| status.ready_replicas.unwrap_or_default() > 0) {
                    return;
                }
            }
        };
        within_patience(component, ready).await?;
    }
    let ready = async {
        let mut states = std::pin::pin!(watch_object(daemons, "virt-handler"));
        while let Some(state) = states.next().await {
            let status = state.ok().flatten().and_then(|daemon| daemon.status);
            if status.is_some_and(|status| status.desired_number_scheduled > 0 && status.number_ready == status.desired_number_scheduled) {
                return;
            }
        }
    };
    within_patience("virt-handler", ready).await
}

async fn within_patience(component: &str, ready: impl Future<Output = ()>) -> Result<(), StartError> {
    let late = |_| StartError::NotReady { component: component.to_owned() };
    tokio::time::timeout(STARTUP_PATIENCE, ready).await.map_err(late)
}
