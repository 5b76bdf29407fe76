//! The subresources: read the objects, ask `planner::subresource`, carry the effects out.

use crate::answer::{self, Answer};
use crate::authorize::Attributes;
use crate::context::Context;
use crate::{dumps, forward, verbs};
use api::v1::{VirtualMachine, VirtualMachineInstance};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use kube::Api;
use kube::api::{Patch, PatchParams};
use planner::subresource::{self, Effect, NodeVerb, Refusal};
use serde::Deserialize;
use serde_json::Value;

/// The longest request body that is read.
const LONGEST_BODY: usize = 3 * 1024 * 1024;

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
    let method = request.method().clone();
    match (wanted.resource.as_str(), wanted.subresource.as_str(), &method) {
        ("virtualmachines", "start" | "stop" | "restart", &Method::PUT) => put(vm_verb(cx, wanted, request).await, StatusCode::ACCEPTED),
        (_, "addvolume" | "removevolume", &Method::PUT) => put(verbs::change_volumes(cx, wanted, request).await, StatusCode::ACCEPTED),
        ("virtualmachines", "migrate", &Method::PUT) => put(verbs::migrate(cx, wanted, request).await, StatusCode::ACCEPTED),
        (_, "evacuate/cancel", &Method::PUT) => put(verbs::cancel_evacuation(cx, wanted, request).await, StatusCode::OK),
        ("virtualmachines", "expand-spec", &Method::GET) => verbs::expand_stored(cx, wanted).await,
        ("expand-vm-spec", "", &Method::PUT) => verbs::expand_given(cx, wanted, request).await,
        ("virtualmachines" | "virtualmachineinstances", "portforward", &Method::GET) => streamed(forward::serve(cx, wanted, request).await),
        ("virtualmachineinstances", "console" | "vnc", &Method::GET) => streamed(stream(cx, wanted, request).await),
        ("virtualmachines", "memorydump" | "removememorydump", &Method::PUT) => {
            put(dumps::change(cx, wanted, request).await, StatusCode::ACCEPTED)
        }
        ("virtualmachineinstances", verb, _) => match NodeVerb::parse(verb) {
            Some(verb) if verb.reads() && method == Method::GET => match node_verb(cx, wanted, verb, request).await {
                Ok(body) if verb == NodeVerb::Screenshot => answer::with(StatusCode::OK, "image/png", body),
                Ok(body) => answer::with(StatusCode::OK, "application/json", body),
                Err(refusal) => answer::read_failure(&refusal),
            },
            Some(verb) if !verb.reads() && method == Method::PUT => {
                put(node_verb(cx, wanted, verb, request).await.map(drop), StatusCode::OK)
            }
            Some(_) => unserved(wanted, &method),
            None => guarded(cx, wanted, &method, request.uri().query()).await,
        },
        _ => guarded(cx, wanted, &method, None).await,
    }
}

/// What is not carried out yet is refused as ever where it would be refused anyway; else it says that it is not there.
async fn guarded(cx: &Context, wanted: &Attributes, method: &Method, query: Option<&str>) -> Answer {
    match check(cx, wanted, method, query).await {
        // These two answer failures as text (spec/api.md §2.3).
        Err(refusal) if matches!(wanted.subresource.as_str(), "sev/fetchcertchain" | "sev/querylaunchmeasurement") => {
            answer::read_failure(&refusal)
        }
        Err(refusal) => answer::status(&refusal),
        Ok(()) => unserved(wanted, method),
    }
}

async fn check(cx: &Context, wanted: &Attributes, method: &Method, query: Option<&str>) -> Result<(), Refusal> {
    let config = cx.config();
    let vmi = || cx.vmi(&wanted.namespace, &wanted.name);
    match (wanted.resource.as_str(), wanted.subresource.as_str(), method) {
        (resource @ ("virtualmachines" | "virtualmachineinstances"), "objectgraph", &Method::GET) => {
            subresource::object_graph(&config)?;
            if resource == "virtualmachines" { cx.vm(&wanted.namespace, &wanted.name).await.map(drop) } else { vmi().await.map(drop) }
        }
        ("virtualmachineinstances", "usbredir", &Method::GET) => subresource::usb_redirection(&vmi().await?),
        ("virtualmachineinstances", "vsock", &Method::GET) => {
            let port = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("port=")));
            subresource::vsock(&vmi().await?, port, &config).map(drop)
        }
        ("virtualmachineinstances", "backup" | "redefine-checkpoint", &Method::PUT) => subresource::backup(&vmi().await?),
        ("virtualmachineinstances", "sev/setupsession" | "sev/injectlaunchsecret", &Method::PUT)
        | ("virtualmachineinstances", "sev/fetchcertchain" | "sev/querylaunchmeasurement", &Method::GET) => {
            subresource::sev(&vmi().await?, wanted.subresource.trim_start_matches("sev/"), &config)
        }
        _ => Ok(()),
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
fn unserved(wanted: &Attributes, method: &Method) -> Answer {
    let message = format!("{method} of {}/{} is not supported by this server", wanted.resource, wanted.subresource);
    answer::status(&Refusal { code: 501, reason: "NotImplemented", message })
}

/// The whole body of a request.
pub(crate) async fn read_body(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = Limited::new(request.into_body(), LONGEST_BODY).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| Refusal::bad_request(error.to_string()))
}

fn options(body: &Bytes) -> Result<Options, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Options::default());
    }
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(format!("Can not unmarshal Request body to struct, error: {error}")))
}

async fn vm_verb(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Result<(), Refusal> {
    let options = options(&read_body(request).await?)?;
    let vm = cx.vm(&wanted.namespace, &wanted.name).await?;
    let vmi = cx.find_vmi(&wanted.namespace, &wanted.name).await?;
    let effects = match wanted.subresource.as_str() {
        "start" => subresource::start(&vm, vmi.as_ref(), options.paused)?,
        "stop" => subresource::stop(&vm, vmi.as_ref(), options.grace_period)?,
        _ => subresource::restart(&vm, vmi.as_ref(), options.grace_period_seconds)?,
    };
    for effect in effects {
        carry_out(cx, wanted, effect, options.dry_run.iter().any(|stage| stage == "All")).await?;
    }
    Ok(())
}

/// Does what was decided; a dry run is handed to the API server.
pub(crate) async fn carry_out(cx: &Context, wanted: &Attributes, effect: Effect, dry_run: bool) -> Result<(), Refusal> {
    let client = cx.deps.client.clone();
    let machines: Api<VirtualMachine> = Api::namespaced(client.clone(), &wanted.namespace);
    let instances: Api<VirtualMachineInstance> = Api::namespaced(client, &wanted.namespace);
    let params = PatchParams { dry_run, ..PatchParams::default() };
    let operations = |patch: Vec<Value>| -> Result<Patch<()>, Refusal> {
        serde_json::from_value(Value::Array(patch)).map(Patch::Json).map_err(Refusal::internal)
    };
    let name = wanted.name.as_str();
    let done = match effect {
        Effect::PatchVm(patch) => machines.patch(name, &params, &operations(patch)?).await.map(drop),
        Effect::PatchVmStatus(patch) => machines.patch_status(name, &params, &operations(patch)?).await.map(drop),
        Effect::PatchVmi(patch) => instances.patch(name, &params, &operations(patch)?).await.map(drop),
        Effect::CallNode(_) => Ok(()),
    };
    done.map_err(|error| match answer::refusal(&error) {
        // A failed `test` is somebody else's write in between (spec/api.md §2.3).
        Refusal { code: 422, message, .. } => Refusal::conflict("virtualmachine", name, message),
        other => other,
    })
}

async fn node_verb(cx: &Context, wanted: &Attributes, verb: NodeVerb, request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = read_body(request).await?;
    let vmi = cx.vmi(&wanted.namespace, &wanted.name).await?;
    if verb == NodeVerb::Unpause {
        refuse_in_snapshot(cx, wanted).await?;
    }
    let effects = subresource::node_verb(&vmi, verb)?;
    let dry_run = options(&body).unwrap_or_default().dry_run.first().is_some_and(|stage| stage == "All");
    if effects != [Effect::CallNode(verb)] || dry_run {
        return Ok(Bytes::new());
    }
    cx.nodes.call(node_of(&vmi), &wanted.namespace, &wanted.name, verb, body).await
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
    subresource::stream(&vmi, &wanted.subresource)?;
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("/v1/namespaces/{}/virtualmachineinstances/{}/{}{query}", wanted.namespace, wanted.name, wanted.subresource);
    cx.nodes.stream(request, node_of(&vmi), &path).await
}

fn node_of(vmi: &VirtualMachineInstance) -> &str {
    vmi.status.as_ref().and_then(|status| status.node_name.as_deref()).unwrap_or_default()
}
