//! Subresources of encrypted guests (spec/api.md §3.7).

use crate::authorize::Attributes;
use crate::context::Context;
use crate::effects::{OnFailure, carry_out};
use crate::{body, subresources};
use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use planner::subresource::{self, NodeVerb, Refusal};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SessionOptions {
    session: String,
    #[serde(rename = "dhCert")]
    dh_cert: String,
}

/// `sev/setupsession`: the session becomes part of the VMI's spec, and of the domain when it starts.
pub(crate) async fn set_up_session(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Result<(), Refusal> {
    let body = body::read(request).await?;
    subresource::sev_enabled(&cx.config())?;
    if body::is_blank(&body) {
        return Err(Refusal::bad_request("Request with no body: SEV session parameters are required"));
    }
    let options: SessionOptions = body::decode(&body)?;
    subresource::sev_session_is_complete(&options.session, &options.dh_cert)?;
    let vmi = cx.vmi(&wanted.namespace, &wanted.name).await?;
    subresource::sev(&vmi, "setupsession", &cx.config())?;
    let effect = subresource::sev_session(&vmi, &options.session, &options.dh_cert);
    carry_out(cx, wanted, effect, false, OnFailure::Internal).await
}

/// What the VMI's node answers: certificates, a measurement, or that a secret is in.
pub(crate) async fn ask(cx: &Context, wanted: &Attributes, verb: NodeVerb, request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = body::read(request).await?;
    let config = cx.config();
    subresource::sev_enabled(&config)?;
    if verb == NodeVerb::SevSecret && body::is_blank(&body) {
        return Err(Refusal::bad_request("Request with no body: SEV secret parameters are required"));
    }
    let vmi = cx.vmi(&wanted.namespace, &wanted.name).await?;
    subresource::sev(&vmi, verb.as_str().trim_start_matches("sev/"), &config)?;
    subresource::node_verb(&vmi, verb)?;
    subresources::call_node(cx, wanted, &vmi, verb, body).await
}
