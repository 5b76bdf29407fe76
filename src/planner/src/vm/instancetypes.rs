//! Instance types and preferences of a VM: recorded, upgraded, folded in, applied (spec instancetype §7).

use std::collections::BTreeMap;

use admission::instancetype::{self, Resolved};
use api::names::{self, reason};
use api::v1::values::reference_policy;
use api::v1::{
    ControllerRevisionRef, InstancetypeMatcher, InstancetypeStatusRef, VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::Observed;
use super::lookups::{Objects, SIDES, Side};
use crate::guarded::GuardedPatch;
use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, PlanError, Tolerate, kinds};

const LABEL_GENERATION: &str = "instancetype.kubevirt.io/object-generation";
const LABEL_KIND: &str = "instancetype.kubevirt.io/object-kind";
const LABEL_NAME: &str = "instancetype.kubevirt.io/object-name";
const LABEL_UID: &str = "instancetype.kubevirt.io/object-uid";
const LABEL_VERSION: &str = "instancetype.kubevirt.io/object-version";
/// The version objects are recorded at.
const LATEST: &str = "v1beta1";

/// What comes of the references.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Synced {
    /// The writes, in order.
    pub(super) actions: Vec<Action>,
    /// What is wrong.
    pub(super) error: Option<PlanError>,
    /// The VM was rewritten: everything else waits for the next pass.
    pub(super) rewritten: bool,
    /// Annotations of an instance type that was just recorded: they get into the record of the template (upstream applies the
    /// instance type to the live template's metadata when it looks for conflicts).
    pub(super) leaked: BTreeMap<String, String>,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The name of the record of an object.
pub(super) fn revision_name(vm: &VirtualMachine, object: &Value) -> String {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    let (name, uid) = (text(object, "/metadata/name"), text(object, "/metadata/uid"));
    format!("{}-{name}-{LATEST}-{uid}-{generation}", metadata::name(&vm.metadata))
}

/// Whether an object was recorded at the latest version.
pub(super) fn is_latest(revision: Option<&Value>) -> bool {
    let labels = revision.and_then(|revision| revision.pointer("/metadata/labels"));
    labels.and_then(|labels| labels.get(LABEL_VERSION)).and_then(Value::as_str) == Some(LATEST)
}

/// The status' reference brought in line with the matcher: a change of what it means unpins the revision.
pub(super) fn synced_reference(matcher: &InstancetypeMatcher, stored: Option<&InstancetypeStatusRef>) -> InstancetypeStatusRef {
    let mut reference = stored.cloned().unwrap_or_default();
    let mut changed = false;
    for (asked, known) in [
        (&matcher.name, &mut reference.name),
        (&matcher.kind, &mut reference.kind),
        (&matcher.infer_from_volume, &mut reference.infer_from_volume),
    ] {
        if asked.as_deref().is_some_and(|asked| !asked.is_empty()) && asked != known {
            known.clone_from(asked);
            changed = true;
        }
    }
    if changed {
        reference.controller_revision_ref = None;
    }
    if matcher.infer_from_volume_failure_policy.is_some() {
        reference.infer_from_volume_failure_policy.clone_from(&matcher.infer_from_volume_failure_policy);
    }
    if matcher.revision_name.as_deref().is_some_and(|name| !name.is_empty()) {
        reference.controller_revision_ref = Some(ControllerRevisionRef { name: matcher.revision_name.clone() });
    }
    reference
}

/// Brings the records of a VM's references in line, or folds them into the VM, as the cluster's policy says.
pub(super) fn sync(observed: &Observed<'_>, vm: &mut VirtualMachine) -> Synced {
    if vm.spec.instancetype.is_none() && vm.spec.preference.is_none() {
        return Synced::default();
    }
    if let Some(missing) = &observed.lookups.missing {
        return Synced { error: Some(missing.clone()), ..Synced::default() };
    }
    match observed.config.instancetype_reference_policy() {
        reference_policy::EXPAND | reference_policy::EXPAND_ALL => fold(observed, vm),
        _ => record(observed, vm),
    }
}

fn failed(observed: &Observed<'_>, text: String) -> Synced {
    let event = Action::warning(&observed.reference(), reason::FAILED_CREATE, text.as_str());
    Synced { actions: vec![event], error: Some(PlanError::new(reason::FAILED_CREATE, text)), ..Synced::default() }
}

/// Records what is referred to and not recorded yet, then records anew what was recorded at an older version.
fn record(observed: &Observed<'_>, vm: &mut VirtualMachine) -> Synced {
    let mut synced = Synced::default();
    for side in SIDES {
        let Some(matcher) = side.matcher(vm) else { continue };
        let mut reference = synced_reference(&matcher, side.reference(vm));
        let none = Objects::default();
        let objects = observed.lookups.objects.get(&side).unwrap_or(&none);
        let outcome = match &reference.controller_revision_ref {
            None => store(observed, side, objects, &mut synced).map(Some).map_err(|error| ("storing", error)),
            Some(_) => upgrade(observed, &matcher, objects, &mut synced).map_err(|error| ("upgrading", error)),
        };
        match outcome {
            Ok(Some(name)) => reference.controller_revision_ref = Some(ControllerRevisionRef { name: Some(name) }),
            Ok(None) => {}
            Err((what, error)) => {
                return failed(observed, format!("error encountered while {what} instancetype.kubevirt.io controllerRevisions: {error}"));
            }
        }
        let status = vm.status.get_or_insert_default();
        match side {
            Side::Instancetype => status.instancetype_ref = Some(reference),
            Side::Preference => status.preference_ref = Some(reference),
        }
    }
    // The references before anything that follows from them; what is replaced by them, afterwards.
    let (obsolete, mut actions): (Vec<Action>, Vec<Action>) =
        std::mem::take(&mut synced.actions).into_iter().partition(|action| matches!(action, Action::Delete { .. }));
    actions.extend(write_references(observed, vm));
    actions.extend(obsolete);
    synced.actions = actions;
    synced
}

/// Writes the status' references.
fn write_references(observed: &Observed<'_>, vm: &VirtualMachine) -> Option<Action> {
    let mut patch = GuardedPatch::default();
    let mut fresh = json!({});
    for (side, field) in [(Side::Instancetype, "instancetypeRef"), (Side::Preference, "preferenceRef")] {
        let (old, new) = (side.reference(observed.vm), side.reference(vm));
        if observed.vm.status.is_some() {
            patch.change(&format!("/status/{field}"), &old, &new);
        } else if let Some(new) = new {
            fresh[field] = json!(new);
        }
    }
    if fresh.as_object().is_some_and(|fresh| !fresh.is_empty()) {
        patch.push(json!({"op": "add", "path": "/status", "value": fresh}));
    }
    patch.into_subresource_action(observed.reference(), Some("status"))
}

/// Records an object; the name of the record.
fn store(observed: &Observed<'_>, side: Side, objects: &Objects, synced: &mut Synced) -> Result<String, String> {
    let Some(live) = &objects.live else { return Err("the object to be recorded is gone".to_owned()) };
    if side == Side::Instancetype {
        synced.leaked = check_conflicts(observed)?;
    }
    let name = revision_name(observed.vm, live);
    if let Some(recorded) = &objects.recorded {
        let spec = |object: Option<&Value>| normal(object.and_then(|object| object.get("spec")));
        if spec(recorded.get("data")) != spec(Some(live)) {
            return Err(format!("found existing ControllerRevision with unexpected data: {name}"));
        }
        return Ok(name);
    }
    synced.actions.push(creation(observed, live, &name));
    Ok(name)
}

/// A specification without what counts as absent.
fn normal(value: Option<&Value>) -> Option<Value> {
    match value? {
        Value::Object(fields) => {
            let kept = fields.iter().filter_map(|(name, field)| Some((name.clone(), normal(Some(field))?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Null => None,
        other => Some(other.clone()),
    }
}

/// Whether the instance type in force can be applied to the template; the annotations it would add.
fn check_conflicts(observed: &Observed<'_>) -> Result<BTreeMap<String, String>, String> {
    let template = &observed.vm.spec.template;
    let mut spec = super::template_spec(observed.vm);
    let given = template.metadata.as_deref().and_then(|metadata| metadata.annotations.clone()).unwrap_or_default();
    let mut annotations = given.clone();
    let alone = Resolved { preference: None, ..observed.lookups.resolved.clone() };
    instancetype::apply("spec.template.spec", &alone, &mut spec, &mut annotations)
        .map_err(|paths| instancetype::conflict_message(&paths))?;
    annotations.retain(|key, _| !given.contains_key(key));
    Ok(annotations)
}

/// The write of a record.
fn creation(observed: &Observed<'_>, object: &Value, name: &str) -> Action {
    let mut data = object.clone();
    if let Some(meta) = data.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["labels", "annotations", "finalizers", "ownerReferences", "managedFields"] {
            meta.remove(field);
        }
    }
    if let Some(fields) = data.as_object_mut() {
        fields.remove("status");
    }
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default().to_string();
    let labels: BTreeMap<String, String> = [
        (LABEL_GENERATION, generation.as_str()),
        (LABEL_KIND, text(object, "/kind")),
        (LABEL_NAME, text(object, "/metadata/name")),
        (LABEL_UID, text(object, "/metadata/uid")),
        (LABEL_VERSION, LATEST),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    let meta = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: observed.vm.metadata.namespace.clone(),
        labels: Some(labels),
        owner_references: Some(vec![observed.reference().controller_reference()]),
        ..ObjectMeta::default()
    };
    let object = ObjectRef { name: String::new(), ..ObjectRef::of(&kinds::CONTROLLER_REVISION, &meta) };
    let text = "error encountered while storing instancetype.kubevirt.io controllerRevisions: failed to create ControllerRevision: ";
    let body = json!({
        "apiVersion": kinds::CONTROLLER_REVISION.api_version, "kind": kinds::CONTROLLER_REVISION.kind,
        "metadata": meta, "data": data, "revision": 0
    });
    Action::Create {
        object,
        body,
        on_failure: OnFailure {
            reason: reason::FAILED_CREATE.into(),
            prefix: text.to_owned(),
            event: Some((observed.reference(), text.to_owned())),
            // The name says what is in it, and an older one was compared.
            tolerate: Tolerate::AlreadyExists,
            ..OnFailure::default()
        },
    }
}

/// Records anew what the status refers to if it was not recorded at the latest version; the name of the new record.
fn upgrade(
    observed: &Observed<'_>,
    matcher: &InstancetypeMatcher,
    objects: &Objects,
    synced: &mut Synced,
) -> Result<Option<String>, String> {
    let Some(pinned) = &objects.pinned else { return Ok(None) };
    if is_latest(Some(pinned)) {
        return Ok(None);
    }
    let data = pinned.get("data").cloned().unwrap_or_default();
    let kind = text(&data, "/kind");
    let recorded = kind.ends_with("Instancetype") || kind.ends_with("Preference");
    if !recorded || text(&data, "/apiVersion") != "instancetype.kubevirt.io/v1beta1" {
        return Err(format!("unexpected type in ControllerRevision: {kind}"));
    }
    let (name, old) = (revision_name(observed.vm, &data), text(pinned, "/metadata/name").to_owned());
    if name == old {
        return Ok(None);
    }
    if objects.recorded.is_none() {
        synced.actions.push(creation(observed, &data, &name));
    }
    // One that the VM names itself is not ours to remove.
    if matcher.revision_name.as_deref() != Some(old.as_str()) {
        synced.actions.push(removal(observed, &old));
    }
    Ok(Some(name))
}

fn removal(observed: &Observed<'_>, name: &str) -> Action {
    Action::Delete {
        object: ObjectRef::new(&kinds::CONTROLLER_REVISION, observed.vm.metadata.namespace.as_deref(), name),
        grace_seconds: None,
        propagation: None,
        on_failure: OnFailure { tolerate: Tolerate::NotFound, ..OnFailure::default() },
    }
}

/// Folds the references into the VM, whose record then goes.
fn fold(observed: &Observed<'_>, vm: &mut VirtualMachine) -> Synced {
    let pinned = |side: Side| side.reference(observed.vm).and_then(|reference| reference.controller_revision_ref.as_ref()?.name.clone());
    let recorded: Vec<String> = SIDES.into_iter().filter_map(pinned).filter(|name| !name.is_empty()).collect();
    if observed.config.instancetype_reference_policy() == reference_policy::EXPAND && !recorded.is_empty() {
        return Synced::default();
    }
    match instancetype::expand(vm, &observed.lookups.resolved, observed.config) {
        Err(denial) => {
            let text = format!("unsupported error: error encountered while expanding into VirtualMachine: {}", denial.message);
            Synced { error: Some(PlanError::new("UnsupportedSyncError", text)), ..Synced::default() }
        }
        Ok(expanded) => {
            *vm = expanded;
            let mut actions: Vec<Action> = write_references(observed, vm).into_iter().collect();
            actions.extend(recorded.iter().map(|name| removal(observed, name)));
            Synced { actions, rewritten: true, ..Synced::default() }
        }
    }
}

/// Applies what is in force to a new instance, and notes on it what that was.
///
/// # Errors
/// The fields in conflict.
pub(super) fn apply(observed: &Observed<'_>, vmi: &mut VirtualMachineInstance) -> Result<(), String> {
    let resolved = &observed.lookups.resolved;
    if resolved.is_empty() {
        return Ok(());
    }
    for side in SIDES {
        let Some(matcher) = side.matcher(observed.vm) else { continue };
        let key = match side.kind(&matcher) {
            Some("VirtualMachineInstancetype") => names::INSTANCETYPE_ANNOTATION,
            Some("VirtualMachineClusterInstancetype") => names::CLUSTER_INSTANCETYPE_ANNOTATION,
            Some("VirtualMachinePreference") => names::PREFERENCE_ANNOTATION,
            Some(_) => names::CLUSTER_PREFERENCE_ANNOTATION,
            None => continue,
        };
        metadata::set(&mut vmi.metadata.annotations, key, matcher.name.as_deref());
    }
    let annotations = vmi.metadata.annotations.get_or_insert_default();
    instancetype::apply("spec", resolved, &mut vmi.spec, annotations)
        .map_err(|paths| format!("VMI conflicts with instancetype spec in fields: [{}]", paths.join(", ")))
}

/// A template's specification with these applied, as it is compared with others.
///
/// # Errors
/// The fields in conflict.
pub(super) fn applied(resolved: &Resolved, spec: &VirtualMachineInstanceSpec) -> Result<VirtualMachineInstanceSpec, String> {
    let mut spec = spec.clone();
    if !resolved.is_empty() {
        instancetype::apply("spec", resolved, &mut spec, &mut BTreeMap::new())
            .map_err(|paths| format!("VM conflicts with instancetype spec in fields: [{}]", paths.join(", ")))?;
    }
    Ok(spec)
}
