//! `memorydump` and `removememorydump` (spec/api.md §3.4).

use crate::answer;
use crate::authorize::Attributes;
use crate::body;
use crate::context::Context;
use crate::effects::{OnFailure, carry_out};
use http::Request;
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use planner::subresource::{self, Refusal};
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    claim_name: String,
}

/// Notes the request on the VM; virt-controller and virt-handler carry it out.
pub(crate) async fn change(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Result<(), Refusal> {
    let body = body::read(request).await?;
    let effect = if wanted.subresource == "removememorydump" {
        subresource::remove_memory_dump(&cx.vm(&wanted.namespace, &wanted.name).await?)?
    } else {
        let asked: Wanted = body::options(&body)?;
        let vm = cx.vm(&wanted.namespace, &wanted.name).await?;
        let name = subresource::claim_of(&vm, &asked.claim_name, &cx.config())?;
        let vmi = cx.vmi(&wanted.namespace, &wanted.name).await?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(cx.deps.client.clone(), &wanted.namespace);
        let found = claims
            .get_opt(&name)
            .await
            .map_err(|error| Refusal::internal(format!("unable to retrieve pvc [{name}]: {}", answer::refusal(&error).message)))?;
        let overhead = match &found {
            Some(claim) => overhead(cx, claim).await?,
            None => subresource::USUAL_OVERHEAD,
        };
        subresource::memory_dump(&vm, &vmi, &name, found.as_ref(), overhead)?
    };
    carry_out(cx, wanted, effect, false, OnFailure::PassInvalid).await
}

/// The share of a claim that its file system takes, by CDI's configuration where there is one.
async fn overhead(cx: &Context, claim: &PersistentVolumeClaim) -> Result<f64, Refusal> {
    let request = Request::get("/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config").body(Vec::new()).map_err(Refusal::internal)?;
    let config: Value = match cx.deps.client.request(request).await {
        Ok(config) => config,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(subresource::USUAL_OVERHEAD),
        Err(error) => return Err(Refusal::internal(format!("unable to retrieve cdi config: {}", answer::refusal(&error).message))),
    };
    let Some(overhead) = config.pointer("/status/filesystemOverhead") else {
        return Err(Refusal::internal("CDI config not initialized"));
    };
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    let share =
        class.and_then(|class| overhead["storageClass"][class].as_str()).or_else(|| overhead["global"].as_str()).unwrap_or_default();
    share.parse().map_err(|error| Refusal::internal(format!("failed to parse filesystem overhead as float: {error}")))
}
