//! `objectgraph` (spec/api.md §3.6): the objects around a VM or VMI are read, the planner makes the graph.

use crate::answer::{self, Answer};
use crate::authorize::Attributes;
use crate::body;
use crate::context::Context;
use api::names;
use http::Request;
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::ListParams;
use planner::subresource::{self, ObjectGraphNode, ObjectGraphOptions, Refusal, Surroundings};
use serde_json::json;

/// Answers the graph; the options are in the body, though the method is GET.
pub(crate) async fn serve(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Answer {
    match graph(cx, wanted, request).await {
        Ok(graph) => answer::json(&json!(graph)),
        Err(refusal) => answer::status(&refusal),
    }
}

async fn graph(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Result<ObjectGraphNode, Refusal> {
    subresource::object_graph(&cx.config())?;
    let client = cx.deps.client.clone();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &wanted.namespace);
    let launchers = ListParams::default().labels("kubevirt.io=virt-launcher");
    let launchers = async { pods.list(&launchers).await.map(|list| list.items).map_err(|error| answer::internal(&error)) };
    if wanted.resource == "virtualmachines" {
        let vm = cx.vm(&wanted.namespace, &wanted.name).await?;
        let options: ObjectGraphOptions = body::options(&body::read(request).await?)?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, &wanted.namespace);
        let own = ListParams::default().labels(&format!("{}={}", names::PERSISTENT_STATE_FOR_LABEL, wanted.name));
        let state_claims = claims.list(&own).await.map_err(|error| answer::internal(&error))?.items;
        let around = Surroundings { launchers: launchers.await?, state_claims };
        return subresource::of_vm(&vm, &around, &options).map_err(Refusal::internal);
    }
    let vmi = cx.vmi(&wanted.namespace, &wanted.name).await?;
    let options: ObjectGraphOptions = body::options(&body::read(request).await?)?;
    let around = Surroundings { launchers: launchers.await?, ..Surroundings::default() };
    Ok(subresource::of_vmi(&vmi, &around, &options))
}
