//! One reconciliation of a VirtualMachine by virt-controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::v1::{VirtualMachine, VirtualMachineInstance};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use planner::metadata;
use planner::vm::{Expected, Observed, Outcome, controls, status, sync};
use serde_json::{Value, json};

use super::reconcile::{Cluster, configuration, printed_vmi, settings, storage};

/// When the reconciliation takes place.
const NOW: &str = "2026-01-01T00:00:00Z";

/// What comes of a case's documents, the VM last.
pub(crate) fn answer(documents: Vec<Value>) -> Result<Value, String> {
    let before = documents.clone();
    let subject = before.last().ok_or("no documents")?;
    let vm: VirtualMachine = serde_json::from_value(subject.clone()).map_err(|error| error.to_string())?;
    let mut cluster = Cluster::new(documents, NOW);
    let (config, storage, settings) = (configuration(&cluster)?, storage(&cluster)?, settings());
    let revisions: Vec<Arc<ControllerRevision>> =
        cluster.list::<ControllerRevision>("ControllerRevision")?.into_iter().map(Arc::new).collect();
    let vmi = cluster.list::<VirtualMachineInstance>("VirtualMachineInstance")?.into_iter().find(|vmi| controls(&vm, vmi));
    let lookups = super::controller::lookups(&cluster.objects, &vm, &revisions, &storage);
    let observed = Observed {
        vm: &vm,
        vmi: vmi.as_ref(),
        revisions: &revisions,
        storage: &storage,
        lookups: &lookups,
        clone_denials: &BTreeMap::new(),
        expected: Expected::default(),
        config: &config,
        settings: &settings,
        spread: 0.5,
        now: Time(NOW.parse().map_err(|_| "clock")?),
    };
    cluster.apply(&planner::vm::adoptions(&vm, &storage))?;
    let first = sync(&observed);
    cluster.apply(&first.actions)?;
    let mut error = first.error.clone();
    if !first.hard {
        let outcome = Outcome {
            vm: first.vm.clone(),
            created: first.creates,
            deleted: first.deletes,
            ask_for_start: first.ask_for_start,
            error: first.error.clone(),
        };
        let second = status(&observed, &outcome);
        cluster.apply(&second.actions)?;
        error = second.error;
    }
    let name = metadata::name(&vm.metadata);
    let after = cluster.get("VirtualMachine", name).cloned().unwrap_or_default();
    let mut answer = json!({
        "actions": cluster.actions,
        "events": cluster.events,
        "printableStatus": after["status"]["printableStatus"],
        "ready": after["status"]["ready"].as_bool().unwrap_or_default(),
        "created": after["status"]["created"].as_bool().unwrap_or_default(),
    });
    if let Some(error) = error.filter(|error| error.retry) {
        answer["error"] = json!(error.message);
    }
    let typed: VirtualMachine = serde_json::from_value(after.clone()).map_err(|error| error.to_string())?;
    answer["status"] = json!(typed.status);
    if typed.spec != vm.spec || typed.metadata != vm.metadata {
        answer["vm"] = json!({"metadata": after["metadata"], "spec": after["spec"]});
    }
    let now = cluster.get("VirtualMachineInstance", name).cloned();
    let then = before.iter().find(|document| document["kind"] == "VirtualMachineInstance");
    if now.as_ref() != then {
        answer["vmi"] = now.map(printed_vmi).unwrap_or_default();
    }
    Ok(answer)
}
