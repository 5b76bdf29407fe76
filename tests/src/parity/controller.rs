//! What the VM controller makes of a VirtualMachine that was just created: areas vm and instancetype.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use admission::Operation;
use admission::review::Known;
use anyhow::{Context, Result, anyhow};
use api::v1::{VirtualMachine, VirtualMachineInstance};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use planner::metadata;
use planner::plan::{Action, ObjectRef, OnFailure, Tolerate};
use planner::storage::Storage;
use planner::vm::{Expected, Lookups, Observed, Outcome, adoptions, controls, look_up, status, sync};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::case::Case;
use super::reconcile::{Cluster, printed_vmi, settings};

/// When the reconciliations take place.
const NOW: &str = "2026-01-01T00:00:00Z";
/// How many there are at most.
const ROUNDS: usize = 8;

/// Reconciles the VM of an allowed creation until something comes of it, and adds what did to `out`.
pub(crate) fn run(case: &Case, out: &mut Map<String, Value>) -> Result<()> {
    let is_vm = case.subject.get("kind").and_then(Value::as_str) == Some("VirtualMachine");
    if !is_vm || case.operation() != Operation::Create || out.get("allowed") != Some(&json!(true)) {
        return Ok(());
    }
    let Some(mut vm) = out.get("mutated").cloned() else { return Ok(()) };
    if vm.pointer("/metadata/generation").is_none() {
        vm["metadata"]["generation"] = json!(1);
    }
    let mut world = World::new(case, vm)?;
    for _ in 0..ROUNDS {
        let written = world.cluster.actions.len();
        world.round(case)?;
        if world.vmi.is_some() || world.error.is_some() || world.cluster.actions.len() == written {
            break;
        }
        world.fill_data_volumes();
    }
    world.print(out)
}

/// Everything a VM refers to among these objects.
pub(crate) fn lookups(objects: &[Value], vm: &VirtualMachine, revisions: &[Arc<ControllerRevision>], storage: &Storage) -> Lookups {
    let mut known = Known::default();
    loop {
        match look_up(vm, revisions, storage, &known) {
            Ok(lookups) => return lookups,
            Err(need) => {
                let fits = |object: &&Value| {
                    object["kind"] == need.kind
                        && (need.namespace.is_empty() || object["metadata"]["namespace"] == need.namespace)
                        && need.name.as_ref().is_none_or(|name| object["metadata"]["name"] == *name)
                };
                let found = objects.iter().filter(fits).cloned().collect();
                known.add(need, found);
            }
        }
    }
}

/// The cluster of a case, and what became of it.
struct World {
    cluster: Cluster,
    namespace: String,
    name: String,
    before: Value,
    data_volumes: Vec<Value>,
    revisions: Vec<Value>,
    vmi: Option<Value>,
    error: Option<String>,
}

impl World {
    fn new(case: &Case, vm: Value) -> Result<Self> {
        let text = |pointer: &str| vm.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        anyhow::ensure!(!name.is_empty(), "the VirtualMachine has no name");
        let mut objects = case.others.clone();
        objects.push(vm.clone());
        Ok(Self {
            cluster: Cluster::new(objects, NOW),
            namespace,
            name,
            before: vm,
            data_volumes: Vec::new(),
            revisions: Vec::new(),
            vmi: None,
            error: None,
        })
    }

    /// The objects of a kind in the VM's namespace.
    fn list<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>> {
        let here =
            self.cluster.objects.iter().filter(|object| object["kind"] == kind && object["metadata"]["namespace"] == *self.namespace);
        here.map(|object| serde_json::from_value(object.clone()).with_context(|| kind.to_owned())).collect()
    }

    /// One reconciliation.
    fn round(&mut self, case: &Case) -> Result<()> {
        let stored = self.cluster.get("VirtualMachine", &self.name).cloned().context("the VirtualMachine is gone")?;
        let vm: VirtualMachine = serde_json::from_value(stored)?;
        let mut storage = Storage::default();
        for claim in self.list::<k8s_openapi::api::core::v1::PersistentVolumeClaim>("PersistentVolumeClaim")? {
            storage.claims.insert(metadata::name(&claim.metadata).to_owned(), claim.into());
        }
        for volume in self.list::<planner::storage::DataVolume>("DataVolume")? {
            storage.data_volumes.insert(metadata::name(&volume.metadata).to_owned(), volume.into());
        }
        let uid = metadata::uid(&vm.metadata);
        let revisions: Vec<ControllerRevision> = self.list("ControllerRevision")?;
        let revisions: Vec<_> = revisions.into_iter().filter(|it| metadata::is_controlled_by(&it.metadata, uid)).map(Arc::new).collect();
        let vmis: Vec<VirtualMachineInstance> = self.list("VirtualMachineInstance")?;
        let vmi = vmis.into_iter().find(|vmi| vmi.metadata.name == vm.metadata.name && controls(&vm, vmi));
        let lookups = lookups(&self.cluster.objects, &vm, &revisions, &storage);
        let settings = settings();
        let observed = Observed {
            vm: &vm,
            vmi: vmi.as_ref(),
            revisions: &revisions,
            storage: &storage,
            lookups: &lookups,
            clone_denials: &BTreeMap::new(),
            expected: Expected::default(),
            config: &case.config,
            settings: &settings,
            spread: 0.5,
            now: Time(NOW.parse()?),
        };
        self.apply(&adoptions(&vm, &storage))?;
        let first = sync(&observed);
        let failure = self.apply(&first.actions)?;
        let done = failure.is_none();
        let mut error = failure.or_else(|| first.error.clone());
        if !first.hard {
            let outcome = Outcome {
                vm: first.vm.clone(),
                created: done && first.creates,
                deleted: done && first.deletes,
                ask_for_start: first.ask_for_start,
                error,
            };
            let second = status(&observed, &outcome);
            self.apply(&second.actions)?;
            error = second.error;
        }
        self.error = error.map(|error| error.message);
        Ok(())
    }

    /// Applies actions; a creation of what is there already fails, and what it failed with is the answer.
    fn apply(&mut self, actions: &[Action]) -> Result<Option<planner::plan::PlanError>> {
        for action in actions {
            if let Action::Create { object, body, on_failure } = action {
                self.note(body);
                if self.exists(body) {
                    if on_failure.tolerate == Tolerate::AlreadyExists {
                        continue;
                    }
                    return Ok(Some(self.refuse(object, body, on_failure)));
                }
            }
            self.cluster.apply(std::slice::from_ref(action)).map_err(|error| anyhow!(error))?;
            if let (Action::Create { object, .. }, Some(created)) = (action, self.cluster.objects.last_mut()) {
                created["metadata"]["namespace"] = json!(object.namespace);
            }
        }
        Ok(None)
    }

    fn exists(&self, body: &Value) -> bool {
        self.cluster.objects.iter().any(|object| {
            object["kind"] == body["kind"]
                && object["metadata"]["name"] == body["metadata"]["name"]
                && object["metadata"]["namespace"] == *self.namespace
        })
    }

    fn refuse(&mut self, object: &ObjectRef, body: &Value, on_failure: &OnFailure) -> planner::plan::PlanError {
        let group = object.api_version.split_once('/').map_or_else(String::new, |(group, _)| format!(".{group}"));
        let text = format!("{}{group} {} already exists", object.resource, body["metadata"]["name"]);
        if let Some((_, prefix)) = &on_failure.event {
            // An event's reason is that of the failure, unless the plan gives it one of its own.
            let reason = on_failure.event_reason();
            self.cluster.events.push(format!("Warning {reason} {prefix}{text}"));
        }
        planner::plan::PlanError::new(on_failure.reason.clone(), format!("{}{text}", on_failure.prefix))
    }

    /// Keeps what is sent to the API server.
    fn note(&mut self, body: &Value) {
        let part = |fields: &[&str]| -> Value { fields.iter().map(|field| ((*field).to_owned(), body[*field].clone())).collect() };
        match body["kind"].as_str().unwrap_or_default() {
            "DataVolume" => self.data_volumes.push(part(&["metadata", "spec"])),
            "ControllerRevision" => self.revisions.push(part(&["metadata", "data", "revision"])),
            "VirtualMachineInstance" => self.vmi = Some(printed_vmi(body.clone())),
            _ => {}
        }
    }

    /// The data of every DataVolume that was created arrives.
    fn fill_data_volumes(&mut self) {
        let mut claims = Vec::new();
        let names: BTreeSet<String> =
            self.data_volumes.iter().filter_map(|volume| volume["metadata"]["name"].as_str().map(str::to_owned)).collect();
        for object in self.cluster.objects.iter_mut().filter(|object| object["kind"] == "DataVolume") {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if names.contains(&name) && object["metadata"]["namespace"] == *self.namespace && object["status"]["phase"] != "Succeeded" {
                object["status"] = json!({"phase": "Succeeded"});
                claims.push(json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "metadata": {"name": name, "namespace": self.namespace}, "status": {"phase": "Bound"}
                }));
            }
        }
        for claim in claims {
            if !self.exists(&claim) {
                self.cluster.objects.push(claim);
            }
        }
    }

    fn print(self, out: &mut Map<String, Value>) -> Result<()> {
        let after = self.cluster.get("VirtualMachine", &self.name).cloned().unwrap_or_default();
        let (then, now): (VirtualMachine, VirtualMachine) =
            (serde_json::from_value(self.before.clone())?, serde_json::from_value(after.clone())?);
        let mut vm = json!({
            "metadata": after["metadata"],
            "printableStatus": after["status"]["printableStatus"],
            "instancetypeRef": after["status"]["instancetypeRef"],
            "preferenceRef": after["status"]["preferenceRef"],
        });
        if then.spec != now.spec {
            vm["spec"] = after["spec"].clone();
        }
        out.insert("vm".into(), vm);
        out.insert("events".into(), json!(self.cluster.events));
        out.insert("dataVolumes".into(), json!(self.data_volumes));
        out.insert("controllerRevisions".into(), json!(self.revisions));
        if let Some(vmi) = self.vmi {
            out.insert("vmi".into(), vmi);
        }
        if let Some(error) = self.error {
            out.insert("syncError".into(), json!(error));
        }
        Ok(())
    }
}
