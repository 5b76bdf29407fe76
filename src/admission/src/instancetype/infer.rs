//! Defaults named by the labels of a volume (spec/instancetype.md §6).

use api::names;
use api::v1::{DataVolumeSpec, VirtualMachine};
use serde_json::Value;

use crate::Denial;
use crate::review::{Known, Stop, kinds};

/// What a matcher is replaced by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Inferred {
    name: String,
    kind: Option<String>,
}

/// Why nothing could be inferred.
enum Failure {
    /// May be ignored if the matcher says so.
    Ignorable(String),
    /// Always refuses the request, or needs a look-up.
    Stop(Stop),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

fn refuse(message: String) -> Failure {
    Failure::Stop(Denial::bad_request(message).into())
}

/// Replaces matchers that infer from a volume; MVM4 and MVM5.
///
/// # Errors
/// Nothing can be inferred and the policy does not ignore it, or an object must be looked up first.
pub fn infer(vm: &mut VirtualMachine, namespace: &str, known: &Known) -> Result<(), Stop> {
    if let Some(matcher) = vm.spec.instancetype.clone()
        && let Some(volume) = matcher.infer_from_volume.as_deref().filter(|v| !v.is_empty())
    {
        let ignore = matcher.infer_from_volume_failure_policy.as_deref() == Some("Ignore");
        let labels = (names::DEFAULT_INSTANCETYPE_LABEL, names::DEFAULT_INSTANCETYPE_KIND_LABEL);
        match from_volume(vm, volume, labels, namespace, known) {
            Ok(found) => {
                vm.spec.instancetype =
                    Some(api::v1::InstancetypeMatcher { name: Some(found.name), kind: found.kind, ..Default::default() });
                if ignore && let Some(template) = &mut vm.spec.template.spec {
                    template.domain.memory = None;
                }
            }
            Err(Failure::Ignorable(_)) if ignore => vm.spec.instancetype = None,
            Err(Failure::Ignorable(message)) => return Err(Denial::bad_request(message).into()),
            Err(Failure::Stop(stop)) => return Err(stop),
        }
    }
    if let Some(matcher) = vm.spec.preference.clone()
        && let Some(volume) = matcher.infer_from_volume.as_deref().filter(|v| !v.is_empty())
    {
        let ignore = matcher.infer_from_volume_failure_policy.as_deref() == Some("Ignore");
        let labels = (names::DEFAULT_PREFERENCE_LABEL, names::DEFAULT_PREFERENCE_KIND_LABEL);
        match from_volume(vm, volume, labels, namespace, known) {
            Ok(found) => {
                vm.spec.preference = Some(api::v1::PreferenceMatcher { name: Some(found.name), kind: found.kind, ..Default::default() });
            }
            Err(Failure::Ignorable(_)) if ignore => vm.spec.preference = None,
            Err(Failure::Ignorable(message)) => return Err(Denial::bad_request(message).into()),
            Err(Failure::Stop(stop)) => return Err(stop),
        }
    }
    Ok(())
}

type Labels<'a> = (&'a str, &'a str);

fn label(object: &Value, name: &str) -> Option<String> {
    object.get("metadata")?.get("labels")?.get(name)?.as_str().map(str::to_owned)
}

fn labelled(object: &Value, (name, kind): Labels<'_>) -> Option<Inferred> {
    Some(Inferred { name: label(object, name)?, kind: label(object, kind).filter(|k| !k.is_empty()) })
}

fn required(object: &Value, labels: Labels<'_>) -> Result<Inferred, Failure> {
    labelled(object, labels).ok_or_else(|| Failure::Ignorable(format!("unable to find required {} label on the volume", labels.0)))
}

fn from_volume(vm: &VirtualMachine, name: &str, labels: Labels<'_>, namespace: &str, known: &Known) -> Result<Inferred, Failure> {
    let volumes = vm.spec.template.spec.as_ref().map(|s| s.volumes.as_slice()).unwrap_or_default();
    let Some(volume) = volumes.iter().find(|v| v.name == name) else {
        return Err(refuse(format!("unable to find volume {name} to infer defaults")));
    };
    if let Some(claim) = &volume.persistent_volume_claim {
        return from_claim(&claim.claim_name, namespace, labels, known);
    }
    let Some(data_volume) = &volume.data_volume else {
        return Err(Failure::Ignorable(format!("unable to infer defaults from volume {name} as type is not supported")));
    };
    let template = vm
        .spec
        .data_volume_templates
        .iter()
        .find(|t| t.metadata.as_ref().and_then(|m| m.name.as_deref()) == Some(data_volume.name.as_str()));
    if let Some(template) = template {
        return from_data_volume(&template.spec, namespace, labels, known);
    }
    match known.get::<Value>(kinds::DATA_VOLUME, namespace, &data_volume.name)? {
        None => from_claim(&data_volume.name, namespace, labels, known),
        Some(found) => {
            if let Some(inferred) = labelled(&found, labels) {
                return Ok(inferred);
            }
            let spec = found.get("spec").cloned().unwrap_or_default();
            let spec: DataVolumeSpec = serde_json::from_value(spec).map_err(|e| refuse(e.to_string()))?;
            from_data_volume(&spec, namespace, labels, known)
        }
    }
}

fn from_claim(name: &str, namespace: &str, labels: Labels<'_>, known: &Known) -> Result<Inferred, Failure> {
    match known.get::<Value>(kinds::CLAIM, namespace, name)? {
        Some(claim) => required(&claim, labels),
        None => Err(refuse(format!("persistentvolumeclaims {name:?} not found"))),
    }
}

fn from_snapshot(name: &str, namespace: &str, labels: Labels<'_>, known: &Known) -> Result<Inferred, Failure> {
    match known.get::<Value>(kinds::VOLUME_SNAPSHOT, namespace, name)? {
        Some(snapshot) => required(&snapshot, labels),
        None => Err(refuse(format!("volumesnapshots.snapshot.storage.k8s.io {name:?} not found"))),
    }
}

fn from_data_volume(spec: &DataVolumeSpec, namespace: &str, labels: Labels<'_>, known: &Known) -> Result<Inferred, Failure> {
    let source = spec.source.as_deref();
    if let Some(claim) = source.and_then(|s| s.pvc.as_ref()) {
        let at = if claim.namespace.is_empty() { namespace } else { &claim.namespace };
        return from_claim(&claim.name, at, labels, known);
    }
    if let Some(snapshot) = source.and_then(|s| s.snapshot.as_ref()) {
        let at = if snapshot.namespace.is_empty() { namespace } else { &snapshot.namespace };
        return from_snapshot(&snapshot.name, at, labels, known);
    }
    let Some(reference) = &spec.source_ref else {
        return Err(Failure::Ignorable("unable to infer defaults from DataVolumeSpec as DataVolumeSource is not supported".into()));
    };
    if reference.kind != "DataSource" {
        let message = format!("unable to infer defaults from DataVolumeSourceRef as Kind {} is not supported", reference.kind);
        return Err(Failure::Ignorable(message));
    }
    let at = reference.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(namespace);
    let Some(found) = known.get::<Value>(kinds::DATA_SOURCE, at, &reference.name)? else {
        return Err(refuse(format!("datasources.cdi.kubevirt.io {:?} not found", reference.name)));
    };
    if let Some(inferred) = labelled(&found, labels) {
        return Ok(inferred);
    }
    let field = |path: &str| found.pointer(path).and_then(Value::as_str).filter(|v| !v.is_empty());
    if let Some(name) = field("/spec/source/pvc/name") {
        return from_claim(name, field("/spec/source/pvc/namespace").unwrap_or(at), labels, known);
    }
    if let Some(name) = field("/spec/source/snapshot/name") {
        return from_snapshot(name, field("/spec/source/snapshot/namespace").unwrap_or(at), labels, known);
    }
    let message = "unable to infer defaults from DataSource that doesn't provide DataVolumeSourcePVC or DataVolumeSourceSnapshot";
    Err(Failure::Ignorable(message.into()))
}
