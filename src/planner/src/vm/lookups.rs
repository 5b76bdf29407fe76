//! What a reconciliation has to see besides the VM, its instance and its storage: instance types, preferences, their recorded
//! revisions, DataSources (spec instancetype §1.2, §7).
//!
//! Rules are pure, so what is not known yet is asked for: [`look_up`] answers with a [`Need`], the caller adds what it found to
//! [`Known`] and tries again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use admission::instancetype::{self, Resolved};
use admission::review::{Known, Need, Stop};
use api::cdi::{DataVolumeSource, DataVolumeSourcePVC, DataVolumeSourceSnapshot, DataVolumeSpec};
use api::v1::{InstancetypeMatcher, InstancetypeStatusRef, VirtualMachine, VirtualMachineSpec};
use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::Value;

use super::instancetypes::{is_latest, revision_name, synced_reference};
use super::revision;
use crate::metadata;
use crate::plan::PlanError;
use crate::storage::Storage;

/// Which of a VM's two references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// `spec.instancetype`.
    Instancetype,
    /// `spec.preference`.
    Preference,
}

/// Both, in the order they are treated.
pub(super) const SIDES: [Side; 2] = [Side::Instancetype, Side::Preference];

impl Side {
    /// The reference of a VM.
    pub(super) fn matcher(self, vm: &VirtualMachine) -> Option<InstancetypeMatcher> {
        match self {
            Self::Instancetype => vm.spec.instancetype.clone(),
            Self::Preference => vm.spec.preference.clone().map(|matcher| InstancetypeMatcher {
                name: matcher.name,
                kind: matcher.kind,
                revision_name: matcher.revision_name,
                infer_from_volume: matcher.infer_from_volume,
                infer_from_volume_failure_policy: matcher.infer_from_volume_failure_policy,
            }),
        }
    }

    /// What the VM's status says about it.
    pub(super) fn reference(self, vm: &VirtualMachine) -> Option<&InstancetypeStatusRef> {
        let status = vm.status.as_ref()?;
        match self {
            Self::Instancetype => status.instancetype_ref.as_ref(),
            Self::Preference => status.preference_ref.as_ref(),
        }
    }

    /// The kind a matcher means; `None` for one that is neither. Empty means the cluster's.
    pub(super) fn kind(self, matcher: &InstancetypeMatcher) -> Option<&'static str> {
        let (namespaced, cluster) = match self {
            Self::Instancetype => ("VirtualMachineInstancetype", "VirtualMachineClusterInstancetype"),
            Self::Preference => ("VirtualMachinePreference", "VirtualMachineClusterPreference"),
        };
        let asked = matcher.kind.as_deref().unwrap_or_default().to_lowercase();
        let is = |kind: &str| asked.strip_suffix('s').unwrap_or(&asked) == kind.to_lowercase();
        if asked.is_empty() || is(cluster) { Some(cluster) } else { is(namespaced).then_some(namespaced) }
    }

    /// The reason of the error when it is not found.
    fn reason(self) -> &'static str {
        match self {
            Self::Instancetype => "FailedFindInstancetype",
            Self::Preference => "FailedFindPreference",
        }
    }
}

/// The objects of one reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Objects {
    /// The object itself, where its revision is to be recorded.
    pub(super) live: Option<Value>,
    /// The revision of that object which is there already.
    pub(super) recorded: Option<Value>,
    /// The revision the status refers to.
    pub(super) pinned: Option<Value>,
}

/// What a disk is cloned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloneSource<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// It is a snapshot, not a claim.
    pub snapshot: bool,
}

/// What was looked up for a VM.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lookups {
    /// The instance type and the preference in force.
    pub(super) resolved: Resolved,
    /// Why one of them cannot be found.
    pub(super) missing: Option<PlanError>,
    /// By reference.
    pub(super) objects: BTreeMap<Side, Objects>,
    /// Those the instance was started with; `None` if they cannot be told.
    pub(super) started: Option<Resolved>,
    /// The resolved sources of DataVolumes to be made, by name; `None` where there is nothing to resolve.
    pub(super) sources: BTreeMap<String, Result<Option<DataVolumeSource>, String>>,
    /// DataVolumes to be made whose source claim is not there.
    pub(super) sourceless: BTreeSet<String>,
}

impl Lookups {
    /// What a DataVolume to be made is cloned from.
    pub fn clone_source(&self, volume: &str) -> Option<CloneSource<'_>> {
        let source = self.sources.get(volume)?.as_ref().ok()?.as_ref()?;
        let claim = source.pvc.as_ref().map(|pvc| CloneSource { namespace: &pvc.namespace, name: &pvc.name, snapshot: false });
        let snapshot = || source.snapshot.as_ref().map(|it| CloneSource { namespace: &it.namespace, name: &it.name, snapshot: true });
        claim.or_else(snapshot)
    }
}

/// Collects what a reconciliation of `vm` depends on.
///
/// # Errors
/// What has to be added to `known` first.
pub fn look_up(vm: &VirtualMachine, revisions: &[Arc<ControllerRevision>], storage: &Storage, known: &Known) -> Result<Lookups, Need> {
    let mut lookups = Lookups { started: Some(Resolved::default()), ..Lookups::default() };
    if vm.spec.instancetype.is_some() || vm.spec.preference.is_some() {
        resolve(vm, known, &mut lookups)?;
        for side in SIDES {
            if let Some(matcher) = side.matcher(vm) {
                let objects = objects(vm, side, &matcher, known)?;
                lookups.objects.insert(side, objects);
            }
        }
    }
    if let Some(last) = revision::last_spec_of(vm, revisions) {
        lookups.started = started(vm, last, known)?;
    }
    let namespace = metadata::namespace(&vm.metadata);
    for template in &vm.spec.data_volume_templates {
        let name = template.metadata.as_deref().map(metadata::name).unwrap_or_default();
        if storage.data_volumes.contains_key(name) {
            continue;
        }
        let source = source(&template.spec, namespace, known)?;
        if let Ok(Some(DataVolumeSource { pvc: Some(pvc), .. })) = &source {
            let claim = need("v1", "PersistentVolumeClaim", &pvc.namespace, &pvc.name);
            if find(known, claim)?.is_none() {
                lookups.sourceless.insert(name.to_owned());
            }
        }
        lookups.sources.insert(name.to_owned(), source);
    }
    Ok(lookups)
}

fn need(api_version: &'static str, kind: &'static str, namespace: &str, name: &str) -> Need {
    let namespace = if kind.starts_with("VirtualMachineCluster") { String::new() } else { namespace.to_owned() };
    Need { api_version, kind, namespace, name: Some(name.to_owned()) }
}

/// An object that was looked up; `None` if it does not exist.
fn find(known: &Known, need: Need) -> Result<Option<Value>, Need> {
    if need.name.as_deref().is_none_or(str::is_empty) {
        return Ok(None);
    }
    known.objects(&need).map(|found| found.first().cloned()).ok_or(need)
}

/// What is in force, the instance type first: what cannot be found is an error with a reason of its own.
fn resolve(vm: &VirtualMachine, known: &Known, lookups: &mut Lookups) -> Result<(), Need> {
    let namespace = metadata::namespace(&vm.metadata);
    for side in SIDES {
        let mut alone = vm.clone();
        match side {
            Side::Instancetype => alone.spec.preference = None,
            Side::Preference => alone.spec.instancetype = None,
        }
        match instancetype::find(&alone, namespace, known) {
            Ok(found) => match side {
                Side::Instancetype => lookups.resolved.instancetype = found.instancetype,
                Side::Preference => lookups.resolved.preference = found.preference,
            },
            Err(Stop::Need(need)) => return Err(need),
            Err(Stop::Denied(denial)) => {
                lookups.missing = Some(PlanError::new(side.reason(), denial.message));
                return Ok(());
            }
        }
    }
    Ok(())
}

fn objects(vm: &VirtualMachine, side: Side, matcher: &InstancetypeMatcher, known: &Known) -> Result<Objects, Need> {
    let namespace = metadata::namespace(&vm.metadata);
    let revision = |name: &str| find(known, need("apps/v1", "ControllerRevision", namespace, name));
    let reference = synced_reference(matcher, side.reference(vm));
    if let Some(pinned) = reference.controller_revision_ref.as_ref().and_then(|pinned| pinned.name.as_deref()) {
        let pinned = revision(pinned)?;
        let recorded = match pinned.as_ref().and_then(|pinned| pinned.get("data")) {
            Some(object) if !is_latest(pinned.as_ref()) => revision(&revision_name(vm, object))?,
            _ => None,
        };
        return Ok(Objects { live: None, recorded, pinned });
    }
    let Some(kind) = side.kind(matcher) else { return Ok(Objects::default()) };
    let name = matcher.name.as_deref().unwrap_or_default();
    let live = find(known, need("instancetype.kubevirt.io/v1beta1", kind, namespace, name))?;
    let recorded = match &live {
        Some(live) => revision(&revision_name(vm, live))?,
        None => None,
    };
    Ok(Objects { live, recorded, pinned: None })
}

/// What a recorded spec refers to, by the revisions that were written into it.
fn started(vm: &VirtualMachine, spec: VirtualMachineSpec, known: &Known) -> Result<Option<Resolved>, Need> {
    if spec.instancetype.is_none() && spec.preference.is_none() {
        return Ok(Some(Resolved::default()));
    }
    let last = VirtualMachine { metadata: vm.metadata.clone(), spec, status: None };
    match instancetype::find(&last, metadata::namespace(&vm.metadata), known) {
        Ok(resolved) => Ok(Some(resolved)),
        Err(Stop::Need(need)) => Err(need),
        Err(Stop::Denied(_)) => Ok(None),
    }
}

/// Where the data of a template's DataVolume comes from, if it is a clone: its own source, or the one a DataSource names.
fn source(spec: &DataVolumeSpec, namespace: &str, known: &Known) -> Result<Result<Option<DataVolumeSource>, String>, Need> {
    let mut namespace = namespace.to_owned();
    let mut found = spec.source.as_deref().map(|source| (source.pvc.clone(), source.snapshot.clone()));
    if let Some(reference) = spec.source_ref.as_ref().filter(|reference| reference.kind == "DataSource") {
        if let Some(other) = reference.namespace.as_ref() {
            namespace.clone_from(other);
        }
        let Some(object) = find(known, need("cdi.kubevirt.io/v1beta1", "DataSource", &namespace, &reference.name))? else {
            return Ok(Err(format!("datasources.cdi.kubevirt.io {:?} not found", reference.name)));
        };
        // One that refers to another says in its status where that leads.
        let chained = object.pointer("/spec/source/dataSource").is_some_and(Value::is_object);
        let at = if chained { "/status/source" } else { "/spec/source" };
        let source = object.pointer(at).cloned().unwrap_or_default();
        let part = |name: &str| source.get(name).filter(|part| part.is_object()).cloned();
        let pvc: Option<DataVolumeSourcePVC> = part("pvc").and_then(|pvc| serde_json::from_value(pvc).ok());
        let snapshot: Option<DataVolumeSourceSnapshot> = part("snapshot").and_then(|snapshot| serde_json::from_value(snapshot).ok());
        found = Some((pvc, snapshot));
    }
    let place = |at: &mut String| {
        if at.is_empty() {
            at.clone_from(&namespace);
        }
    };
    Ok(Ok(match found {
        Some((Some(mut pvc), _)) => {
            place(&mut pvc.namespace);
            Some(DataVolumeSource { pvc: Some(pvc), ..DataVolumeSource::default() })
        }
        Some((None, Some(mut snapshot))) => {
            place(&mut snapshot.namespace);
            Some(DataVolumeSource { snapshot: Some(snapshot), ..DataVolumeSource::default() })
        }
        _ => None,
    }))
}
