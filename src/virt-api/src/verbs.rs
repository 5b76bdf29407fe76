//! Verbs that change volumes, move guests, or expand virtual machines (spec/api.md §3.1, §3.3, §3.5).

use crate::answer::{self, Answer};
use crate::authorize::Attributes;
use crate::body::{self, is_blank, is_dry};
use crate::context::Context;
use crate::effects::{OnFailure, carry_out};
use crate::webhooks;
use admission::review::{Known, Stop};
use admission::{Denial, instancetype, schema};
use api::v1::{AddVolumeOptions, RemoveVolumeOptions, VirtualMachine, VirtualMachineInstanceMigration};
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::PostParams;
use planner::subresource::{self, Refusal, VolumeChange};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most look-ups an expansion needs: two objects, each by revision or by name.
const MOST_LOOKUPS: usize = 8;

/// `addvolume` and `removevolume`, of a VM or a VMI.
pub(crate) async fn change_volumes(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Result<(), Refusal> {
    let body = body::read(request).await?;
    if is_blank(&body) {
        return Err(Refusal::bad_request("Request with no body, a new name is expected as the request body"));
    }
    let (change, dry_run) = if wanted.subresource == "addvolume" {
        let add: AddVolumeOptions = body::decode(&body)?;
        let dry_run = is_dry(&add.dry_run)?;
        (VolumeChange::Add(Box::new(add)), dry_run)
    } else {
        let remove: RemoveVolumeOptions = body::decode(&body)?;
        let dry_run = is_dry(&remove.dry_run)?;
        (VolumeChange::Remove(remove), dry_run)
    };
    let config = cx.config();
    let change = change.accept(&config)?;
    let effect = if wanted.resource == "virtualmachines" {
        subresource::change_vm_volumes(&cx.vm(&wanted.namespace, &wanted.name).await?, &change, &config)?
    } else {
        let vmi = cx.vmi(&wanted.namespace, &wanted.name).await?;
        let owned =
            vmi.metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true) && owner.kind == "VirtualMachine");
        subresource::change_vmi_volumes(&vmi, &change, owned, &config)?
    };
    carry_out(cx, wanted, effect, dry_run, OnFailure::PassInvalid).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MigrateOptions {
    dry_run: Vec<String>,
    added_node_selector: BTreeMap<String, String>,
}

/// `migrate`: a migration is created; what refuses it answers 500.
pub(crate) async fn migrate(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Result<(), Refusal> {
    let body = body::read(request).await?;
    let options: MigrateOptions = body::options(&body)?;
    cx.vm(&wanted.namespace, &wanted.name).await?;
    let vmi = cx.find_vmi(&wanted.namespace, &wanted.name).await?;
    let migration = subresource::migrate(&wanted.name, vmi.as_ref(), options.added_node_selector)?;
    let api: Api<VirtualMachineInstanceMigration> = Api::namespaced(cx.deps.client.clone(), &wanted.namespace);
    let params = PostParams { dry_run: is_dry(&options.dry_run)?, ..PostParams::default() };
    api.create(&params, &migration).await.map(drop).map_err(|error| answer::internal(&error))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EvacuateCancelOptions {
    dry_run: Vec<String>,
    evacuation_node_name: String,
}

/// `evacuate/cancel`, of a VM or a VMI.
pub(crate) async fn cancel_evacuation(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Result<(), Refusal> {
    let body = body::read(request).await?;
    let vmi = cx.vmi_for(wanted).await?;
    if let Some(key) = cx.config().migrations().node_drain_taint_key.filter(|key| !key.is_empty()) {
        let nodes: Api<Node> = Api::all(cx.deps.client.clone());
        let node = nodes.get(subresource::left_node(&vmi)).await.map_err(|error| answer::internal(&error))?;
        subresource::not_draining(&node, &key)?;
    }
    if is_blank(&body) {
        return Err(Refusal::bad_request("No body"));
    }
    let options: EvacuateCancelOptions = body::decode(&body)?;
    let dry_run = is_dry(&options.dry_run)?;
    match subresource::cancel_evacuation(&vmi, &options.evacuation_node_name) {
        None => Ok(()),
        Some(effect) => carry_out(cx, wanted, effect, dry_run, OnFailure::Internal).await,
    }
}

/// `expand-spec` of a stored VM.
pub(crate) async fn expand_stored(cx: &Context, wanted: &Attributes) -> Answer {
    let expanded = async {
        let vm = cx.vm(&wanted.namespace, &wanted.name).await?;
        expand(cx, &vm, &wanted.namespace).await.map_err(|denial| Refusal::internal(denial.message))
    };
    match expanded.await {
        Ok(vm) => answer::json(&json!(vm)),
        Err(refusal) => answer::status(&refusal),
    }
}

/// `expand-vm-spec`: the VM of the body, which need not exist.
pub(crate) async fn expand_given(cx: &Context, wanted: &Attributes, request: Request<Incoming>) -> Answer {
    let body = match body::read(request).await {
        Ok(body) => body,
        Err(refusal) => return answer::status(&refusal),
    };
    match expand_body(cx, &wanted.namespace, &body).await {
        Ok(vm) => answer::json(&json!(vm)),
        Err(Rejection { message, causes }) => {
            let mut status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": "BadRequest", "code": 400,
            });
            if !causes.is_empty() {
                let causes: Vec<Value> = causes.iter().map(|cause| json!({"message": cause})).collect();
                status["details"] = json!({"causes": causes});
            }
            answer::with(StatusCode::BAD_REQUEST, "application/json", status.to_string())
        }
    }
}

/// Why a given VM cannot be expanded.
struct Rejection {
    message: String,
    causes: Vec<String>,
}

impl From<Denial> for Rejection {
    fn from(denial: Denial) -> Self {
        Self { message: denial.message, causes: Vec::new() }
    }
}

async fn expand_body(cx: &Context, namespace: &str, body: &Bytes) -> Result<VirtualMachine, Rejection> {
    let plain = |message: String| Rejection { message, causes: Vec::new() };
    if is_blank(body) {
        return Err(plain("empty request body".to_owned()));
    }
    let object: Value = body::decode(body).map_err(|refusal| plain(refusal.message))?;
    let parts = api::crd::parts("VirtualMachine");
    schema::validate(&object, parts.map(|p| &p.spec), parts.and_then(|p| p.status.as_ref())).map_err(|denial| Rejection {
        message: "Object is not a valid VirtualMachine".to_owned(),
        causes: denial.causes.into_iter().map(|cause| cause.message).collect(),
    })?;
    let vm: VirtualMachine = body::decode(body).map_err(|refusal| plain(refusal.message))?;
    if vm.metadata.namespace.as_deref().is_some_and(|own| !own.is_empty() && own != namespace) {
        return Err(plain(format!("VM namespace must be empty or {namespace}")));
    }
    Ok(expand(cx, &vm, namespace).await?)
}

async fn expand(cx: &Context, vm: &VirtualMachine, namespace: &str) -> Result<VirtualMachine, Denial> {
    let mut known = Known::default();
    for _ in 0..MOST_LOOKUPS {
        match instancetype::find(vm, namespace, &known) {
            Ok(resolved) => return instancetype::expand(vm, &resolved, &cx.config()),
            Err(Stop::Denied(denial)) => return Err(denial),
            Err(Stop::Need(need)) => {
                let found = webhooks::look_up(cx, &need).await?;
                known.add(need, found);
            }
        }
    }
    Err(Denial::with_code(500, "the expansion needs more look-ups than there are references"))
}
