//! The template an instance was started from, kept as a ControllerRevision, and the generations that tell how far the instance
//! is behind (spec controllers §3.6).

use std::sync::Arc;

use api::names;
use api::v1::{VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceTemplateSpec, VirtualMachineSpec};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Value, json};

use super::Observed;
use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, PlanError, Tolerate, kinds};

fn prefix(vm: &VirtualMachine) -> String {
    format!("revision-start-vm-{}-", metadata::uid(&vm.metadata))
}

/// The revision's name for the VM's generation.
pub(super) fn name(observed: &Observed<'_>) -> String {
    format!("{}{}", prefix(observed.vm), observed.vm.metadata.generation.unwrap_or_default())
}

/// The VM's spec as it is recorded: with the exact instance type and preference in use.
fn recorded(vm: &VirtualMachine) -> VirtualMachineSpec {
    let mut spec = vm.spec.clone();
    let status = vm.status.as_ref();
    let revision = |found: Option<&api::v1::InstancetypeStatusRef>| found?.controller_revision_ref.as_ref()?.name.clone();
    if let (Some(matcher), Some(name)) = (&mut spec.instancetype, revision(status.and_then(|status| status.instancetype_ref.as_ref()))) {
        matcher.revision_name = Some(name);
    }
    if let (Some(matcher), Some(name)) = (&mut spec.preference, revision(status.and_then(|status| status.preference_ref.as_ref()))) {
        matcher.revision_name = Some(name);
    }
    spec
}

/// The writes that leave exactly the revision of the present spec, which is that of `vm`.
pub(super) fn record(observed: &Observed<'_>, vm: &VirtualMachine) -> Result<Vec<Action>, PlanError> {
    let name = name(observed);
    let mut actions: Vec<Action> = start_revisions(observed)
        .filter(|revision| metadata::name(&revision.metadata) != name)
        .map(|revision| Action::Delete {
            object: ObjectRef::of(&kinds::CONTROLLER_REVISION, &revision.metadata),
            grace_seconds: None,
            propagation: None,
            on_failure: OnFailure { tolerate: Tolerate::NotFound, ..OnFailure::default() },
        })
        .collect();
    if start_revisions(observed).any(|revision| metadata::name(&revision.metadata) == name) {
        return Ok(actions);
    }
    let revision = ControllerRevision {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: observed.vm.metadata.namespace.clone(),
            owner_references: Some(vec![observed.reference().controller_reference()]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(json!({"spec": recorded(vm)}))),
        revision: observed.vm.metadata.generation.unwrap_or_default(),
    };
    let body = serde_json::to_value(&revision).map_err(|error| PlanError::new(names::reason::FAILED_CREATE, error.to_string()))?;
    actions.push(Action::Create {
        object: ObjectRef { name: String::new(), ..ObjectRef::of(&kinds::CONTROLLER_REVISION, &revision.metadata) },
        body,
        on_failure: OnFailure {
            reason: names::reason::FAILED_CREATE.into(),
            prefix: super::start::FAILURE.to_owned(),
            // The name says what is in it.
            tolerate: Tolerate::AlreadyExists,
            ..OnFailure::default()
        },
    });
    Ok(actions)
}

fn start_revisions<'a>(observed: &'a Observed<'_>) -> impl Iterator<Item = &'a Arc<ControllerRevision>> {
    start_revisions_of(observed.vm, observed.revisions)
}

fn start_revisions_of<'a>(
    vm: &VirtualMachine,
    revisions: &'a [Arc<ControllerRevision>],
) -> impl Iterator<Item = &'a Arc<ControllerRevision>> + use<'a> {
    let prefix = prefix(vm);
    revisions.iter().filter(move |revision| metadata::name(&revision.metadata).starts_with(&prefix))
}

fn spec(revision: &ControllerRevision) -> Option<VirtualMachineSpec> {
    let data: &Value = &revision.data.as_ref()?.0;
    serde_json::from_value(data.get("spec")?.clone()).ok()
}

fn generation(name: &str) -> Option<i64> {
    name.rsplit_once('-')?.1.parse().ok()
}

/// The spec the instance was started from: the revision with the highest number.
pub(super) fn last_spec(observed: &Observed<'_>) -> Option<VirtualMachineSpec> {
    last_spec_of(observed.vm, observed.revisions)
}

/// As [`last_spec`], among these revisions.
pub(super) fn last_spec_of(vm: &VirtualMachine, revisions: &[Arc<ControllerRevision>]) -> Option<VirtualMachineSpec> {
    start_revisions_of(vm, revisions)
        .max_by_key(|revision| generation(metadata::name(&revision.metadata)))
        .and_then(|revision| spec(revision))
}

/// The generation the instance is known to be at.
pub(super) fn observed_generation(vmi: &VirtualMachineInstance) -> Option<i64> {
    metadata::annotation(&vmi.metadata, names::VM_GENERATION_ANNOTATION)
        .and_then(|generation| generation.parse().ok())
        .or_else(|| generation(vmi.status.as_ref()?.virtual_machine_revision_name.as_deref()?))
}

/// Whether the instance is as the VM's present generation wants it although its annotation says otherwise: its template did not
/// change. The new value of the annotation.
pub(super) fn newer_generation(observed: &Observed<'_>, vmi: &VirtualMachineInstance) -> Option<String> {
    let wanted = observed.vm.metadata.generation?.to_string();
    if metadata::annotation(&vmi.metadata, names::VM_GENERATION_ANNOTATION) == Some(&wanted) {
        return None;
    }
    let started_from = vmi.status.as_ref()?.virtual_machine_revision_name.as_deref()?;
    let revision = observed.revisions.iter().find(|revision| metadata::name(&revision.metadata) == started_from)?;
    let started = spec(revision)?.template;
    (is_same(&started, &observed.vm.spec.template, observed)).then_some(wanted)
}

/// Whether templates are equal; annotations that the instance type brings do not count.
fn is_same(started: &VirtualMachineInstanceTemplateSpec, now: &VirtualMachineInstanceTemplateSpec, observed: &Observed<'_>) -> bool {
    if started == now {
        return true;
    }
    let brought = observed.lookups.resolved.instancetype.as_ref().map(|instancetype| &instancetype.annotations);
    let Some(brought) = brought.filter(|brought| !brought.is_empty()) else { return false };
    let own = |template: &VirtualMachineInstanceTemplateSpec| {
        let mut template = template.clone();
        if let Some(annotations) = template.metadata.as_mut().and_then(|metadata| metadata.annotations.as_mut()) {
            annotations.retain(|key, _| !brought.contains_key(key));
        }
        template.metadata = template.metadata.map(|mut metadata| {
            metadata.annotations = metadata.annotations.filter(|annotations| !annotations.is_empty());
            metadata
        });
        template
    };
    own(started) == own(now)
}
