//! `memorydump` and `removememorydump` (spec/api.md §3.4).

use crate::answer;
use crate::authorize::Attributes;
use crate::context::Context;
use crate::subresources::{carry_out, read_body};
use http::Request;
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use planner::subresource::{self, Refusal};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    claim_name: String,
}

/// Notes the request on the VM; virt-controller and virt-handler carry it out.
pub(crate) async fn change(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Result<(), Refusal> {
    let body = read_body(request).await?;
    let vm = cx.vm(&wanted.namespace, &wanted.name).await?;
    let effect = if wanted.subresource == "removememorydump" {
        subresource::remove_memory_dump(&vm)?
    } else {
        let asked: Wanted = if body.iter().all(u8::is_ascii_whitespace) {
            Wanted::default()
        } else {
            serde_json::from_slice(&body)
                .map_err(|error| Refusal::bad_request(format!("Can not unmarshal Request body to struct, error: {error}")))?
        };
        let claim = subresource::claim_of(&vm, &asked.claim_name)?;
        let vmi = cx.vmi(&wanted.namespace, &wanted.name).await?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(cx.deps.client.clone(), &wanted.namespace);
        let claim = claims.get(&claim).await.map_err(|error| answer::refusal(&error))?;
        subresource::memory_dump(&vm, &vmi, &claim)?
    };
    carry_out(cx, wanted, effect, false).await
}
