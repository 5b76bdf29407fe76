//! One reconciliation of a VirtualMachineInstance by virt-controller.

use std::sync::Arc;

use api::v1::{VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceMigration};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use planner::metadata;
use planner::vmi::{Observed, Synced, status, sync};
use serde_json::{Map, Value, json};

use super::reconcile::{Cluster, configuration, printed_vmi, settings, storage};

/// When the reconciliation takes place.
const NOW: &str = "2026-01-01T00:00:00Z";

/// What comes of a case's documents, the VMI last.
pub(crate) fn answer(documents: Vec<Value>) -> Result<Value, String> {
    let before = documents.clone();
    let subject = before.last().ok_or("no documents")?;
    let vmi: VirtualMachineInstance = serde_json::from_value(subject.clone()).map_err(|error| error.to_string())?;
    let mut cluster = Cluster::new(documents, NOW);
    let (config, storage, settings) = (configuration(&cluster)?, storage(&cluster)?, settings());
    let pods: Vec<Arc<Pod>> = cluster.list::<Pod>("Pod")?.into_iter().map(Arc::new).collect();
    let classes: Vec<Arc<StorageClass>> = cluster.list::<StorageClass>("StorageClass")?.into_iter().map(Arc::new).collect();
    let migrations: Vec<Arc<VirtualMachineInstanceMigration>> =
        cluster.list::<VirtualMachineInstanceMigration>("VirtualMachineInstanceMigration")?.into_iter().map(Arc::new).collect();
    let migrations: Vec<_> = migrations.into_iter().filter(|migration| migration.spec.vmi_name == vmi.metadata.name).collect();
    let owners: Vec<VirtualMachine> = cluster.list("VirtualMachine")?;
    let owner_exists = metadata::controller(&vmi.metadata).is_none_or(|owner| {
        owners.iter().any(|vm| vm.metadata.uid.as_ref() == Some(&owner.uid) && vm.metadata.name.as_ref() == Some(&owner.name))
    });
    let observed = Observed {
        vmi: &vmi,
        pods: &pods,
        storage: &storage,
        storage_classes: &classes,
        migrations: &migrations,
        owner_exists,
        namespace: &convert::pod::Namespace::default(),
        config: &config,
        settings: &settings,
        jitter_seconds: 0,
        free_vsock_cid: 3,
        now: Time(NOW.parse().map_err(|_| "clock")?),
    };
    let first = sync(&observed);
    cluster.apply(&first.actions)?;
    let second = status(&observed, &Synced { created: first.creates.clone(), error: first.error.clone() });
    cluster.apply(&second.actions)?;
    let name = vmi.metadata.name.clone().unwrap_or_default();
    let after = cluster.get("VirtualMachineInstance", &name).cloned().unwrap_or_default();
    let mut answer = json!({
        "actions": cluster.actions,
        "events": cluster.events,
        "phase": after["status"]["phase"],
        "metadata": after["metadata"],
        "status": printed_vmi(after.clone())["status"],
    });
    let typed: VirtualMachineInstance = serde_json::from_value(after.clone()).map_err(|error| error.to_string())?;
    if typed.spec != vmi.spec {
        answer["spec"] = after["spec"].clone();
    }
    if let Some(error) = second.error.filter(|error| error.retry) {
        answer["error"] = json!(error.message);
    }
    let mut changed = Map::new();
    for pod in before.iter().filter(|document| document["kind"] == "Pod") {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let now = cluster.get("Pod", name).cloned().unwrap_or_default();
        if now != *pod {
            let deleted = now["metadata"].get("deletionTimestamp").is_some();
            let shown = json!({
                "annotations": now["metadata"]["annotations"],
                "labels": now["metadata"]["labels"],
                "conditions": now["status"]["conditions"],
                "deleted": deleted,
            });
            changed.insert(name.to_owned(), shown);
        }
    }
    answer["pods"] = Value::Object(changed);
    Ok(answer)
}
