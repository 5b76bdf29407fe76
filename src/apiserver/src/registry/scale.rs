//! The scale subresource of built-in workloads and of custom resources that declare one.

use serde_json::{Map, Value, json};

use super::decode::{self, Decoded};
use super::list::stored;
use super::update::{Tracking, check_name, replace};
use super::write_options::{WriteKind, WriteOptions};
use super::{Call, Output};
use crate::error::ApiError;
use crate::object;
use crate::patch::{self, PatchType};
use crate::resource::{Gvk, ScalePaths};
use crate::schema;

/// Where an object keeps its scale.
fn paths(call: &Call) -> Option<ScalePaths> {
    match call.info.strategy() {
        Some(strategy) => strategy.scale(),
        None => call.version_info().and_then(|version| version.subresource_scale.clone()),
    }
}

fn parts(path: &str) -> Vec<&str> {
    path.trim_start_matches('.').split('.').collect()
}

/// The Scale object of an object.
pub fn scale_of(object: &Value, paths: &ScalePaths) -> Value {
    let mut metadata = Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object::at(object, &["metadata", key]) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    let number = |path: &str| object::number(object, &parts(path));
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {},
        "status": {"replicas": number(&paths.status_replicas).unwrap_or(0)},
    });
    if let Some(replicas) = number(&paths.spec_replicas).filter(|replicas| *replicas != 0) {
        object::set(&mut scale, &["spec", "replicas"], replicas);
    }
    if let Some(path) = &paths.label_selector {
        let selector = object::at(object, &parts(path));
        let text = match selector {
            Some(Value::String(text)) => text.clone(),
            Some(selector @ Value::Object(_)) => selector_text(selector),
            _ => String::new(),
        };
        if !text.is_empty() {
            object::set(&mut scale, &["status", "selector"], text);
        }
    }
    scale
}

/// A label selector object (or a plain map of labels) as text.
fn selector_text(selector: &Value) -> String {
    let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
    let selector = if plain { json!({"matchLabels": selector}) } else { selector.clone() };
    crate::selector::LabelSelector::from_object(Some(&selector)).map(|selector| selector.to_string()).unwrap_or_default()
}

/// Serves requests on `/scale`.
pub async fn serve(call: &mut Call) -> Result<Output, ApiError> {
    let Some(paths) = paths(call) else { return Err(ApiError::not_found(call.gr(), &call.name)) };
    match call.verb.as_str() {
        "get" => {
            let stored = stored(call)?;
            let value = call.converted(&stored).await?;
            Ok(Output::Plain(200, scale_of(&value, &paths)))
        }
        "update" => {
            let options = WriteOptions::parse(&call.query, WriteKind::Update)?;
            let yaml = decode::is_yaml(&call.content_type)?;
            let decoded = decode::parse(&call.body, yaml).map_err(ApiError::bad_request)?;
            check_type(call, &decoded.value)?;
            let scale = decoded.value;
            check_name(&call.name, &scale)?;
            change(call, &options, WriteKind::Update, &paths, |_, _| Ok(scale.clone())).await
        }
        "patch" => {
            let kind = PatchType::of(&call.content_type, call.info.is_custom())?;
            let apply = kind == PatchType::Apply;
            let options = WriteOptions::parse(&call.query, WriteKind::Patch { apply })?;
            let body = call.body.clone();
            change(call, &options, WriteKind::Patch { apply }, &paths, move |_, old| patched(kind, &body, old)).await
        }
        verb => Err(ApiError::method_not_supported(call.gr(), verb)),
    }
}

fn patched(kind: PatchType, body: &[u8], old: &Value) -> Result<Value, ApiError> {
    match kind {
        PatchType::Json => patch::json_patch(old, body),
        PatchType::Merge => patch::merge_patch(old, body),
        PatchType::Strategic | PatchType::Apply => {
            let Decoded { value, .. } = decode::parse(body, kind == PatchType::Apply)
                .map_err(|why| ApiError::bad_request(format!("error decoding patch: {why}")))?;
            let scale = schema::builtin::schema_of(&Gvk::new("autoscaling", "v1", "Scale"));
            patch::strategic_merge(old, &value, scale.as_deref())
        }
    }
}

fn check_type(call: &Call, scale: &Value) -> Result<(), ApiError> {
    let (kind, version) = (object::kind(scale), object::text(scale, &["apiVersion"]));
    if (kind.is_empty() || kind == "Scale") && (version.is_empty() || version == "autoscaling/v1") {
        return Ok(());
    }
    Err(ApiError::bad_request(if call.info.is_custom() {
        "no kind is registered for the type v1.Scale in scheme \
         \"k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go:781\""
            .to_owned()
    } else {
        format!(
            "{kind} in version {:?} cannot be handled as a Scale: no kind {kind:?} is registered for version {version:?}",
            version.rsplit('/').next().unwrap_or_default()
        )
    }))
}

/// Writes the number of replicas of a changed Scale into the object.
async fn change(
    call: &mut Call,
    options: &WriteOptions,
    kind: WriteKind,
    paths: &ScalePaths,
    mut make: impl FnMut(&mut Call, &Value) -> Result<Value, ApiError>,
) -> Result<Output, ApiError> {
    let spec = paths.spec_replicas.clone();
    let (_, written) = replace(call, options, kind, Tracking::Update, |call, old| {
        let scale = make(call, &scale_of(old, paths))?;
        let given = object::resource_version(&scale);
        if !given.is_empty() && given != object::resource_version(old) {
            return Err(ApiError::modified(call.gr(), &call.name));
        }
        let mut object = old.clone();
        object::set(&mut object, &parts(&spec), object::number(&scale, &["spec", "replicas"]).unwrap_or(0));
        Ok(object)
    })
    .await?;
    let value = match written {
        super::Object::Stored(stored) => call.converted(&stored).await?,
        super::Object::Value(value) => value,
    };
    Ok(Output::Plain(200, scale_of(&value, paths)))
}
