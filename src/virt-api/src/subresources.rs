//! The subresources: read the objects, ask `planner::subresource`, carry the effects out.

use crate::answer::{self, Answer};
use crate::authorize::Attributes;
use crate::context::Context;
use crate::effects::{OnFailure, carry_out};
use crate::node::CallError;
use crate::{body, confidential, dumps, forward, graph, routes, verbs};
use api::v1::VirtualMachineInstance;
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use planner::subresource::{self, Effect, NodeVerb, Refusal};
use serde::Deserialize;

/// Options of the verbs that act; each reads its own fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    paused: bool,
    grace_period: Option<i64>,
    grace_period_seconds: Option<i64>,
    dry_run: Vec<String>,
}

/// Answers an authorized request.
pub async fn handle(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Answer {
    let (resource, verb) = (wanted.resource.as_str(), wanted.subresource.as_str());
    if let Err((code, text)) = routes::check(request.method().as_str(), resource, verb, wanted.rest.len()) {
        return answer::text(StatusCode::from_u16(code).unwrap_or(StatusCode::NOT_FOUND), text);
    }
    match (resource, verb) {
        ("virtualmachines", "start" | "stop" | "restart") => put(vm_verb(cx, wanted, request).await, StatusCode::ACCEPTED),
        ("virtualmachines", "migrate") => put(verbs::migrate(cx, wanted, request).await, StatusCode::ACCEPTED),
        ("virtualmachines", "expand-spec") => verbs::expand_stored(cx, wanted).await,
        ("virtualmachines", "memorydump" | "removememorydump") => put(dumps::change(cx, wanted, request).await, StatusCode::ACCEPTED),
        ("expand-vm-spec", _) => verbs::expand_given(cx, wanted, request).await,
        (_, "addvolume" | "removevolume") => put(verbs::change_volumes(cx, wanted, request).await, StatusCode::ACCEPTED),
        (_, "evacuate/cancel") => put(verbs::cancel_evacuation(cx, wanted, request).await, StatusCode::OK),
        (_, "portforward") => streamed(forward::serve(cx, wanted, request).await),
        (_, "objectgraph") => graph::serve(cx, wanted, request).await,
        (_, "console" | "vnc" | "usbredir" | "vsock") => streamed(stream(cx, wanted, request).await),
        (_, "sev/setupsession") => put(confidential::set_up_session(cx, wanted, request).await, StatusCode::ACCEPTED),
        (_, "backup" | "redefine-checkpoint") => answer::status(&not_yet(cx, wanted).await),
        (_, other) => match NodeVerb::parse(other) {
            Some(verb) => node_answer(cx, wanted, verb, request).await,
            None => answer::status(&unserved(wanted)),
        },
    }
}

fn streamed(opened: Result<Answer, Refusal>) -> Answer {
    opened.unwrap_or_else(|refusal| answer::status(&refusal))
}

fn put(done: Result<(), Refusal>, code: StatusCode) -> Answer {
    match done {
        Ok(()) => answer::empty(code),
        Err(refusal) => answer::status(&refusal),
    }
}

/// Nothing claims to have worked that did not: what is not served yet says so.
fn unserved(wanted: &Attributes) -> Refusal {
    let message = format!("{}/{} is not supported by this server", wanted.resource, wanted.subresource);
    Refusal { code: 501, reason: "NotImplemented", message }
}

/// What is not carried out yet is refused as ever where it would be refused anyway; else it says that it is not there.
async fn not_yet(cx: &Context, wanted: &Attributes) -> Refusal {
    let checked = cx.vmi(&wanted.namespace, &wanted.name).await.and_then(|vmi| match wanted.subresource.as_str() {
        "backup" => subresource::backup(&vmi),
        _ => subresource::redefine_checkpoint(&vmi),
    });
    checked.err().unwrap_or_else(|| unserved(wanted))
}

async fn vm_verb(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Result<(), Refusal> {
    let options: Options = body::options(&body::read(request).await?)?;
    let dry_run = body::is_dry(&options.dry_run)?;
    let vm = cx.vm(&wanted.namespace, &wanted.name).await?;
    let vmi = cx.find_vmi(&wanted.namespace, &wanted.name).await?;
    let effects = match wanted.subresource.as_str() {
        "start" => subresource::start(&vm, vmi.as_ref(), options.paused)?,
        "stop" => subresource::stop(&vm, vmi.as_ref(), options.grace_period)?,
        _ => subresource::restart(&vm, vmi.as_ref(), options.grace_period_seconds)?,
    };
    let restarts = wanted.subresource == "restart";
    let mut hurried = None;
    for effect in effects {
        let hurries = matches!(effect, Effect::PatchVmi(_));
        let failure = if hurries { OnFailure::Internal } else { OnFailure::Request };
        let done = carry_out(cx, wanted, effect, dry_run, failure).await;
        if let (Err(_), true, Some(vmi)) = (&done, restarts, hurried) {
            // The guest is not to be killed for a restart that does not come; who asked hears why in any case.
            let undo = subresource::restore_grace_period(vmi);
            if let Err(refusal) = carry_out(cx, wanted, undo, dry_run, OnFailure::Internal).await {
                tracing::warn!(message = refusal.message, "the grace period was not restored");
            }
        }
        done?;
        hurried = vmi.as_ref().filter(|_| hurries);
    }
    Ok(())
}

/// Answers a verb that the VMI's node carries out.
async fn node_answer(cx: &Context, wanted: &Attributes, verb: NodeVerb, request: Request<Incoming>) -> Answer {
    let answered = match verb {
        NodeVerb::SevCertChain | NodeVerb::SevMeasurement | NodeVerb::SevSecret => confidential::ask(cx, wanted, verb, request).await,
        _ => node_verb(cx, wanted, verb, request).await,
    };
    match answered {
        Ok(_) if !verb.reads() => answer::empty(StatusCode::OK),
        Ok(body) if verb == NodeVerb::Screenshot => answer::with(StatusCode::OK, "image/png", body),
        Ok(body) => answer::with(StatusCode::OK, "application/json", body),
        // The feature gate alone is told as a Status by what is read.
        Err(refusal) if verb.reads() && !refusal.message.ends_with("feature gate is not enabled") => answer::read_failure(&refusal),
        Err(refusal) => answer::status(&refusal),
    }
}

async fn node_verb(cx: &Context, wanted: &Attributes, verb: NodeVerb, request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = body::read(request).await?;
    if verb == NodeVerb::Unpause {
        refuse_in_snapshot(cx, wanted).await?;
    }
    let dry_run = match verb {
        // Only the first stage counts (spec/api.md §2.3).
        NodeVerb::Pause | NodeVerb::Unpause => body::options::<Options>(&body)?.dry_run.first().is_some_and(|stage| stage == "All"),
        _ => false,
    };
    let vmi = cx.vmi(&wanted.namespace, &wanted.name).await?;
    subresource::node_verb(&vmi, verb)?;
    if dry_run {
        return Ok(Bytes::new());
    }
    call_node(cx, wanted, &vmi, verb, body).await
}

/// Has the VMI's node do something.
pub(crate) async fn call_node(
    cx: &Context,
    wanted: &Attributes,
    vmi: &VirtualMachineInstance,
    verb: NodeVerb,
    body: Bytes,
) -> Result<Bytes, Refusal> {
    let called = cx.nodes.call(node_of(vmi), &wanted.namespace, &wanted.name, verb, body).await;
    called.map_err(|error| match error {
        CallError::Refused(refusal) => subresource::explained(vmi, verb, refusal),
        // What is read tells the reason alone.
        CallError::Failed(why) if verb.reads() => Refusal { message: why, ..Refusal::internal("") },
        CallError::Failed(why) => subresource::explained(vmi, verb, Refusal::internal(why)),
    })
}

/// A guest that is being snapshotted stays paused (spec/api.md §3.2).
async fn refuse_in_snapshot(cx: &Context, wanted: &Attributes) -> Result<(), Refusal> {
    match cx.vm(&wanted.namespace, &wanted.name).await {
        Ok(vm) if vm.status.as_ref().is_some_and(|status| status.snapshot_in_progress.is_some()) => {
            Err(Refusal::conflict("virtualmachine", &wanted.name, "VM snapshot is in progress"))
        }
        Ok(_) => Ok(()),
        Err(refusal) if refusal.code == 404 => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

async fn stream(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let vmi = cx.vmi(&wanted.namespace, &wanted.name).await?;
    let given = request.uri().query().unwrap_or_default().to_owned();
    let query = match wanted.subresource.as_str() {
        "usbredir" => {
            subresource::usb_redirection(&vmi)?;
            String::new()
        }
        "vsock" => {
            subresource::vsock(&vmi)?;
            // Encrypted unless it is said.
            let tls = given.split('&').any(|pair| pair.starts_with("tls=") && pair != "tls=");
            if tls { format!("?{given}") } else { format!("?{given}&tls=true") }
        }
        other => {
            subresource::stream(&vmi, other)?;
            if given.is_empty() { String::new() } else { format!("?{given}") }
        }
    };
    let path = format!("/v1/namespaces/{}/virtualmachineinstances/{}/{}{query}", wanted.namespace, wanted.name, wanted.subresource);
    cx.nodes.stream(request, node_of(&vmi), &path).await
}

fn node_of(vmi: &VirtualMachineInstance) -> &str {
    vmi.status.as_ref().and_then(|status| status.node_name.as_deref()).unwrap_or_default()
}
