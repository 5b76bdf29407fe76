//! Looking up what a plan asks for: from the caches where they have it, else from the API server.

use std::sync::Arc;

use admission::review::{Known, Need};
use api::v1::VirtualMachine;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use planner::storage::Storage;
use planner::vm::{Lookups, look_up};
use serde_json::{Value, json};

use crate::controller::Context;

/// Everything a VM refers to.
pub(crate) async fn of(
    context: &Context,
    vm: &VirtualMachine,
    revisions: &[Arc<ControllerRevision>],
    storage: &Storage,
) -> Result<Lookups, kube::Error> {
    let mut known = Known::default();
    loop {
        match look_up(vm, revisions, storage, &known) {
            Ok(lookups) => return Ok(lookups),
            Err(need) => {
                let found = fetch(context, &need).await?;
                known.add(need, found.into_iter().collect());
            }
        }
    }
}

async fn fetch(context: &Context, need: &Need) -> Result<Option<Value>, kube::Error> {
    let Some(name) = &need.name else { return Ok(None) };
    match need.kind {
        "PersistentVolumeClaim" => return Ok(context.stores.claims.named(&need.namespace, name).map(|claim| json!(claim.as_ref()))),
        "ControllerRevision" => {
            let cached = context.stores.revisions.named(&need.namespace, name).filter(|revision| revision.data.is_some());
            if let Some(revision) = cached {
                return Ok(Some(json!(revision.as_ref())));
            }
        }
        _ => {}
    }
    let (group, version) = need.api_version.rsplit_once('/').unwrap_or(("", need.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, need.kind));
    let client = context.deps.client.clone();
    let api: Api<DynamicObject> =
        if need.namespace.is_empty() { Api::all_with(client, &resource) } else { Api::namespaced_with(client, &need.namespace, &resource) };
    // A kind that is not installed has no objects.
    Ok(api.get_opt(name).await?.map(|object| json!(object)))
}
