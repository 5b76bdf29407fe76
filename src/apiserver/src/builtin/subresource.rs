//! Subresources and resources that are not stored as they are sent.

use serde_json::{Value, json};

use super::eviction;
use crate::auth::reviews;
use crate::error::{ApiError, FieldError};
use crate::fieldmanager::{self, Manager, Operation};
use crate::object;
use crate::registry::create::manager;
use crate::registry::update::{Tracking, replace, update};
use crate::registry::write_options::{WriteKind, WriteOptions};
use crate::registry::{Call, Output, decode, list, patch};
use crate::resource::{GroupResource, Gvk};
use crate::schema;

/// Serves a subresource that is neither status nor scale.
pub async fn serve_subresource(call: &mut Call) -> Result<Output, ApiError> {
    let place = (call.info.gr.group.clone(), call.info.gr.resource.clone(), call.subresource.clone());
    match (place.0.as_str(), place.1.as_str(), place.2.as_str()) {
        ("", "pods", "binding") if call.verb == "create" => bind(call).await,
        ("", "pods", "eviction") if call.verb == "create" => eviction::evict(call).await,
        ("", "pods", "log") if call.verb == "get" => logs(call).await,
        ("", "pods", "ephemeralcontainers" | "resize") | ("certificates.k8s.io", _, "approval") => read_or_write(call).await,
        ("", "namespaces", "finalize") if call.verb == "update" => finalize(call).await,
        ("", "serviceaccounts", "token") if call.verb == "create" => token(call),
        ("", "pods", "exec" | "attach" | "portforward" | "proxy") | ("", "services" | "nodes", "proxy") => {
            Err(ApiError::new(501, "NotImplemented", format!("{} of {} is not provided", call.subresource, call.info.gr)))
        }
        _ => Err(ApiError::unknown_resource()),
    }
}

/// Serves resources that are questions rather than objects; `None` for all others.
pub async fn serve_virtual(call: &mut Call) -> Result<Option<Output>, ApiError> {
    if call.verb != "create" {
        return Ok(None);
    }
    if reviews::is_review(&call.info.gr) {
        let mut object = decode::body(call, crate::registry::write_options::FieldValidation::Warn)?;
        let core = call.core.clone();
        // A review is not stored, yet its answer says who owns its fields.
        let options = WriteOptions::parse(&call.query, WriteKind::Create)?;
        let who = manager(call, &options, Operation::Update);
        fieldmanager::track_update(None, &mut object, &who, call.schema().as_deref());
        let mut answer = reviews::create(&core.authentication, &core.authorizer, &call.user, &call.info.gr, &call.namespace, object)?;
        object::set_default(&mut answer, &["metadata"], json!({}));
        return Ok(Some(Output::Plain(201, answer)));
    }
    if call.info.gr.group.is_empty() && call.info.gr.resource == "bindings" {
        return bind(call).await.map(Some);
    }
    Ok(None)
}

async fn read_or_write(call: &mut Call) -> Result<Output, ApiError> {
    match call.verb.as_str() {
        "get" => list::get(call).await,
        "update" => update(call).await,
        "patch" => patch::patch(call).await,
        verb => Err(ApiError::method_not_supported(call.gr(), verb)),
    }
}

/// A success without an object.
pub(super) fn success(code: u16) -> Output {
    Output::Plain(code, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code}))
}

/// Decodes the body as some other kind, with its defaults and checks of types.
pub(super) fn body_of(call: &mut Call, gvk: &Gvk) -> Result<Value, ApiError> {
    let yaml = decode::is_yaml(&call.content_type)?;
    let decoded = decode::parse(&call.body, yaml).map_err(ApiError::bad_request)?;
    let mut value = decoded.value;
    if !value.is_object() {
        return Err(ApiError::bad_request(format!("the body is no {}", gvk.kind)));
    }
    let kind = object::kind(&value).to_owned();
    if !kind.is_empty() && kind != gvk.kind {
        return Err(ApiError::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {}",
            object::text(&value, &["apiVersion"]).rsplit('/').next().unwrap_or_default(),
            gvk.kind
        )));
    }
    object::set_type(&mut value, &gvk.api_version(), &gvk.kind);
    if let Some(schema) = schema::builtin::schema_of(gvk) {
        schema::decode::check_types(&schema, &gvk.kind, &value).map_err(|why| {
            ApiError::bad_request(format!("{} in version {:?} cannot be handled as a {}: {why}", gvk.kind, gvk.version, gvk.kind))
        })?;
        schema::prune(&schema, &mut value);
    }
    Ok(value)
}

/// `pods/NAME/binding`, and `bindings` with the pod's name in the body.
async fn bind(call: &mut Call) -> Result<Output, ApiError> {
    let options = WriteOptions::parse(&call.query, WriteKind::Create)?;
    let binding = body_of(call, &Gvk::new("", "v1", "Binding"))?;
    let node = object::text(&binding, &["target", "name"]).to_owned();
    let kind = object::text(&binding, &["target", "kind"]);
    if !matches!(kind, "" | "Node") {
        let wrong = FieldError::not_supported("target.kind", kind, &["Node", "<empty>"]);
        return Err(ApiError::new(500, "", wrong.to_string()));
    }
    if node.is_empty() {
        return Err(ApiError::new(500, "", FieldError::required("target.name", "").to_string()));
    }
    let mut pod_call = pod_call(call, object::name(&binding))?;
    let about = GroupResource::new("", "pods/binding");
    let now = call.core.env.timestamp();
    let name = pod_call.name.clone();
    let uid = object::uid(&binding).to_owned();
    replace(&mut pod_call, &options, WriteKind::Update, Tracking::Settled, |_, pod| {
        let conflict = |why: String| Err(ApiError::conflict(&about, &name, why));
        if !uid.is_empty() && uid != object::uid(pod) {
            return conflict(format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", object::uid(pod)));
        }
        if object::is_terminating(pod) {
            return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        let bound = object::text(pod, &["spec", "nodeName"]);
        if !bound.is_empty() {
            return conflict(format!("pod {name} is already assigned to node {bound:?}"));
        }
        if !object::list(pod, &["spec", "schedulingGates"]).is_empty() {
            return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
        }
        let mut pod = pod.clone();
        object::set(&mut pod, &["spec", "nodeName"], node.as_str());
        for kind in ["annotations", "labels"] {
            for (key, value) in object::map(&binding, &["metadata", kind]).into_iter().flatten() {
                object::set(&mut pod, &["metadata", kind, key], value.clone());
            }
        }
        let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
        set_condition(&mut pod, condition);
        Ok(pod)
    })
    .await?;
    Ok(success(201))
}

/// Replaces or adds a condition by its type.
pub(super) fn set_condition(pod: &mut Value, condition: Value) {
    let kind = object::text(&condition, &["type"]).to_owned();
    let mut conditions = object::list(pod, &["status", "conditions"]).to_vec();
    match conditions.iter_mut().find(|found| object::text(found, &["type"]) == kind) {
        Some(found) => *found = condition,
        None => conditions.push(condition),
    }
    object::set(pod, &["status", "conditions"], conditions);
}

/// The same request on a pod, with rules that let bindings pass.
pub(super) fn pod_call(call: &Call, name: &str) -> Result<Call, ApiError> {
    let info = call.core.resources.lookup("", "v1", "pods").ok_or_else(ApiError::unknown_resource)?;
    Ok(Call {
        core: call.core.clone(),
        user: call.user.clone(),
        info,
        version: "v1".to_owned(),
        verb: "update".to_owned(),
        namespace: call.namespace.clone(),
        name: if call.name.is_empty() { name.to_owned() } else { call.name.clone() },
        subresource: "binding".to_owned(),
        rest: String::new(),
        query: call.query.clone(),
        accepted: call.accepted,
        content_type: String::new(),
        body: bytes::Bytes::new(),
        user_agent: call.user_agent.clone(),
        warnings: Vec::new(),
    })
}

/// `namespaces/NAME/finalize`: the namespace's own finalizers; without them a deleted namespace ends.
async fn finalize(call: &mut Call) -> Result<Output, ApiError> {
    let options = WriteOptions::parse(&call.query, WriteKind::Update)?;
    let sent = decode::body(call, options.field_validation)?;
    crate::registry::update::check_name(&call.name, &sent)?;
    let (_, object) = replace(call, &options, WriteKind::Update, Tracking::Update, |_, _| Ok(sent.clone())).await?;
    Ok(Output::Object(200, object))
}

fn token(call: &mut Call) -> Result<Output, ApiError> {
    let gvk = Gvk::new("authentication.k8s.io", "v1", "TokenRequest");
    let request = body_of(call, &gvk)?;
    let Some(tokens) = call.core.tokens.clone() else {
        return Err(ApiError::service_unavailable("this server has no key for service-account tokens"));
    };
    let mut answer = tokens.request(&call.namespace, &call.name, &request)?;
    // The request is not stored, yet its answer says who owns its fields.
    let options = WriteOptions::parse(&call.query, WriteKind::Create)?;
    let who = Manager { api_version: gvk.api_version(), ..manager(call, &options, Operation::Update) };
    let mut tracked = request;
    object::set_default(&mut tracked, &["spec", "expirationSeconds"], 3600);
    fieldmanager::track_update(None, &mut tracked, &who, schema::builtin::schema_of(&gvk).as_deref());
    object::copy(&mut answer, &tracked, &["metadata", "managedFields"]);
    Ok(Output::Plain(201, answer))
}

async fn logs(call: &mut Call) -> Result<Output, ApiError> {
    let pod = list::stored(call)?.value();
    let containers: Vec<&str> = ["containers", "initContainers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|key| object::list(&pod, &["spec", key]))
        .map(|container| object::text(container, &["name"]))
        .collect();
    let asked = call.query.get("container").unwrap_or_default();
    if asked.is_empty() && object::list(&pod, &["spec", "containers"]).len() > 1 {
        let names: Vec<&str> = object::list(&pod, &["spec", "containers"]).iter().map(|c| object::text(c, &["name"])).collect();
        return Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {}, choose one of: [{}]",
            call.name,
            names.join(" ")
        )));
    }
    if !asked.is_empty() && !containers.contains(&asked) {
        return Err(ApiError::bad_request(format!("container {asked} is not valid for pod {}", call.name)));
    }
    let node = object::text(&pod, &["spec", "nodeName"]);
    if node.is_empty() {
        // Nothing has run yet.
        return Ok(Output::Response(crate::http::answer::bytes(200, "text/plain", bytes::Bytes::new())));
    }
    let Some(kubelet) = call.core.kubelet.clone() else {
        return Err(ApiError::service_unavailable(format!("the kubelet of node {node} cannot be reached")));
    };
    Ok(Output::Response(kubelet.logs(node, &call.namespace, &call.name, &call.query).await?))
}
