//! Steps about nodes that are left, and about migrations.

use crate::objects::at;
use cucumber::{given, then, when};
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::world::SpecWorld;
use futures::StreamExt as _;
use kube::api::ListParams;
use kube::runtime::watcher::{self, watcher};
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Done = anyhow::Result<()>;
const VMI: &str = "VirtualMachineInstance";
const MIGRATION: &str = "VirtualMachineInstanceMigration";

async fn evict(world: &mut SpecWorld, vmi: &str, annotations: Value) -> Done {
    let pod = world.until_pod(vmi, "a pod", |pod| pod.is_some()).await?;
    let pod = at(pod.as_ref(), "/metadata/name").to_owned();
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": pod, "namespace": "default", "annotations": annotations},
    });
    let path = format!("/api/v1/namespaces/default/pods/{pod}/eviction");
    world.attempt_raw("POST", &path, "application/json", serde_json::to_vec(&eviction)?).await
}

/// What `kubectl drain` does to every pod of a node.
#[when(expr = "the pod of the VMI {string} is evicted")]
async fn evicted(world: &mut SpecWorld, name: String) -> Done {
    evict(world, &name, json!({})).await
}

#[when(expr = "the Descheduler evicts the pod of the VMI {string}")]
async fn descheduled(world: &mut SpecWorld, name: String) -> Done {
    evict(world, &name, json!({"requested-by": "sigs.k8s.io/descheduler"})).await
}

#[when(expr = "the node of the VMI {string} gets the taint {string}")]
async fn tainted(world: &mut SpecWorld, name: String, taint: String) -> Done {
    let node = node_of(world, &name).await?;
    let (key, effect) = taint.split_once(':').unwrap_or((taint.as_str(), "NoSchedule"));
    world.merge("Node", &node, &json!({"spec": {"taints": [{"key": key, "effect": effect}]}})).await
}

#[when(expr = "the node of the VMI {string} has no taints")]
async fn untainted(world: &mut SpecWorld, name: String) -> Done {
    let node = node_of(world, &name).await?;
    world.merge("Node", &node, &json!({"spec": {"taints": null}})).await
}

async fn node_of(world: &SpecWorld, vmi: &str) -> anyhow::Result<String> {
    let vmi = world.until(VMI, vmi, "a node", PATIENCE, |vmi| !at(vmi, "/status/nodeName").is_empty()).await?;
    Ok(at(vmi.as_ref(), "/status/nodeName").to_owned())
}

#[then(expr = "the VMI {string} has to leave its node")]
async fn marked(world: &mut SpecWorld, name: String) -> Done {
    let node = node_of(world, &name).await?;
    world.until(VMI, &name, "its mark", PATIENCE, |vmi| at(vmi, "/status/evacuationNodeName") == node).await.map(drop)
}

#[then(expr = "the VMI {string} may stay on its node")]
async fn unmarked(world: &mut SpecWorld, name: String) -> Done {
    world.until(VMI, &name, "no mark", PATIENCE, |vmi| at(vmi, "/status/evacuationNodeName").is_empty()).await.map(drop)
}

/// Waits until the migrations of a VMI satisfy `holds`; answers with the oldest.
async fn until_migrations(world: &SpecWorld, vmi: &str, what: &str, holds: impl Fn(&[&Value]) -> bool) -> anyhow::Result<Option<Value>> {
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let waited = tokio::time::timeout(PATIENCE, async {
        let mut events = std::pin::pin!(watcher(world.api(MIGRATION), watcher::Config::default()));
        let mut listed = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => seen.clear(),
                Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                    seen.insert(object.metadata.name.clone().unwrap_or_default(), serde_json::to_value(object).unwrap_or_default());
                }
                Ok(watcher::Event::Delete(object)) => drop(seen.remove(&object.metadata.name.unwrap_or_default())),
                Ok(watcher::Event::InitDone) => listed = true,
                Err(_) => {}
            }
            let ours: Vec<&Value> = seen.values().filter(|migration| at(Some(migration), "/spec/vmiName") == vmi).collect();
            if listed && holds(&ours) {
                return true;
            }
        }
        false
    })
    .await;
    anyhow::ensure!(
        waited == Ok(true),
        "{what}: there are {}",
        json!(seen.values().map(|migration| &migration["status"]).collect::<Vec<_>>())
    );
    Ok(seen.into_values().find(|migration| at(Some(migration), "/spec/vmiName") == vmi))
}

fn phase(migration: &Value) -> &str {
    at(Some(migration), "/status/phase")
}

#[given(expr = "a migration of the VMI {string} is {word}")]
#[when(expr = "a migration of the VMI {string} is {word}")]
#[then(expr = "a migration of the VMI {string} is {word}")]
async fn one_is(world: &mut SpecWorld, name: String, wanted: String) -> Done {
    let holds = |all: &[&Value]| all.iter().any(|migration| phase(migration) == wanted);
    until_migrations(world, &name, &wanted, holds).await.map(drop)
}

#[then(expr = "the VMI {string} is to be moved off its node with the priority {string}")]
async fn moves(world: &mut SpecWorld, name: String, priority: String) -> Done {
    let node = node_of(world, &name).await?;
    let migration = until_migrations(world, &name, "one migration", |all| all.len() == 1).await?.unwrap_or_default();
    let from = &migration["metadata"]["annotations"]["kubevirt.io/evacuationMigration"];
    anyhow::ensure!(*from == *node && at(Some(&migration), "/spec/priority") == priority, "{migration}");
    anyhow::ensure!(at(Some(&migration), "/metadata/name").starts_with("kubevirt-evacuation-"), "{}", migration["metadata"]);
    Ok(())
}

#[then(regex = r#"^there (?:is|are) exactly (\d+) migrations? of the VMI "([^"]+)"$"#)]
async fn exactly(world: &mut SpecWorld, count: usize, name: String) -> Done {
    until_migrations(world, &name, &format!("{count} migrations"), |all| all.len() == count).await.map(drop)
}

#[then(regex = r#"^there (?:is|are) still exactly (\d+) migrations? of the VMI "([^"]+)"$"#)]
async fn still(world: &mut SpecWorld, count: usize, name: String) -> Done {
    let all = world.api(MIGRATION).list(&ListParams::default()).await?;
    let ours = all.items.iter().filter(|migration| migration.data["spec"]["vmiName"] == *name).count();
    anyhow::ensure!(ours == count, "there are {ours}");
    Ok(())
}

#[when(expr = "the client deletes the migration of the VMI {string}")]
async fn deletes(world: &mut SpecWorld, name: String) -> Done {
    let open = |all: &[&Value]| all.iter().any(|migration| !matches!(phase(migration), "Succeeded" | "Failed"));
    let migration = until_migrations(world, &name, "an open migration", open).await?;
    let migration = at(migration.as_ref(), "/metadata/name").to_owned();
    world.delete(MIGRATION, &migration, None).await
}

/// A migration is asked for, and recorded as failed by who carries migrations out.
#[when(regex = r#"^(\d+) migrations of the VM "([^"]+)" fail$"#)]
async fn many_fail(world: &mut SpecWorld, count: usize, name: String) -> Done {
    let namespace = world.cluster()?.namespace().to_owned();
    for _ in 0..count {
        world.subresource("VirtualMachine", &name, "migrate").await?;
        world.not_refused()?;
        one_is(world, name.clone(), "Pending".to_owned()).await?;
        let all = world.api(MIGRATION).list(&ListParams::default()).await?;
        let open = all.items.into_iter().find(|migration| migration.data["status"]["phase"] == "Pending");
        let open = open.and_then(|migration| migration.metadata.name).unwrap_or_default();
        let path = format!("/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstancemigrations/{open}/status");
        let body = serde_json::to_vec(&json!({"status": {"phase": "Failed"}}))?;
        world.impersonate(&format!("system:serviceaccount:{namespace}:kubevirt-controller"));
        let written = world.attempt_raw("PATCH", &path, "application/merge-patch+json", body).await;
        world.be_admin();
        written?;
        world.not_refused()?;
        // Of migrations of the same second, the order of names would decide which is the oldest.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    Ok(())
}

#[then(regex = r#"^an event of the migration of the VMI "([^"]+)" says "(\w+) (\w+) (.+)"$"#)]
async fn event_says(world: &mut SpecWorld, name: String, severity: String, reason: String, message: String) -> Done {
    let migration = until_migrations(world, &name, "a migration", |all| !all.is_empty()).await?;
    let migration = at(migration.as_ref(), "/metadata/name").to_owned();
    world
        .until_event(MIGRATION, &migration, |event| {
            event["type"] == *severity && event["reason"] == *reason && at(Some(event), "/message").contains(&message)
        })
        .await
}

#[when(regex = r#"^there is a PodDisruptionBudget "([^"]+)" that (the VMI "[^"]+"|nobody) controls$"#)]
async fn budget(world: &mut SpecWorld, name: String, owner: String) -> Done {
    let mut metadata = json!({"name": name, "namespace": "default"});
    if let Some(vmi) = owner.strip_prefix("the VMI ") {
        let vmi = vmi.trim_matches('"');
        let uid = at(Some(&world.get(VMI, vmi).await?), "/metadata/uid").to_owned();
        metadata["ownerReferences"] =
            json!([{"apiVersion": "kubevirt.io/v1", "kind": VMI, "name": vmi, "uid": uid, "controller": true, "blockOwnerDeletion": true}]);
    }
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata,
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"kubevirt.io/created-by": "x"}}},
    });
    let path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    world.attempt_raw("POST", path, "application/json", serde_json::to_vec(&budget)?).await?;
    world.not_refused()
}

#[then(expr = "the PodDisruptionBudget {string} is gone")]
async fn budget_gone(world: &mut SpecWorld, name: String) -> Done {
    world.until("PodDisruptionBudget", &name, "gone", PATIENCE, |budget| budget.is_none()).await.map(drop)
}

#[then(expr = "the PodDisruptionBudget {string} is still there")]
async fn budget_there(world: &mut SpecWorld, name: String) -> Done {
    world.get("PodDisruptionBudget", &name).await.map(drop)
}

#[then(regex = r"^the lost node (takes|does not take) instances$")]
async fn schedulable(world: &mut SpecWorld, takes: String) -> Done {
    let node = world.noted_uid("Node", "lost")?;
    let wanted = if takes == "takes" { "true" } else { "false" };
    let holds = |node: Option<&Value>| node.is_some_and(|node| node["metadata"]["labels"]["kubevirt.io/schedulable"] == wanted);
    world.until("Node", &node, &format!("kubevirt.io/schedulable={wanted}"), PATIENCE, holds).await.map(drop)
}

#[then(expr = "an event of the lost node says {string}")]
async fn node_event(world: &mut SpecWorld, line: String) -> Done {
    let node = world.noted_uid("Node", "lost")?;
    let told = |event: &Value| format!("{} {} {}", at(Some(event), "/type"), at(Some(event), "/reason"), at(Some(event), "/message"));
    world.until_event("Node", &node, |event| told(event).starts_with(&line)).await
}

#[when("the lost node is back")]
async fn back(world: &mut SpecWorld) -> Done {
    let node = world.noted_uid("Node", "lost")?;
    Ok(world.cluster()?.simulation().restart(&node)?)
}

#[when(regex = r#"^there is a PodDisruptionBudget "([^"]+)" for the pods labelled "([^"]+)"$"#)]
async fn budget_for(world: &mut SpecWorld, name: String, label: String) -> Done {
    let (key, value) = label.split_once('=').unwrap_or((label.as_str(), ""));
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {"minAvailable": 0, "selector": {"matchLabels": {key: value}}},
    });
    let path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    world.attempt_raw("POST", path, "application/json", serde_json::to_vec(&budget)?).await?;
    world.not_refused()
}

#[then(regex = r#"^the PodDisruptionBudget "([^"]+)" allows (\d+) disruptions?$"#)]
async fn allows(world: &mut SpecWorld, name: String, count: u64) -> Done {
    let allowed = |budget: Option<&Value>| budget.and_then(|budget| budget.pointer("/status/disruptionsAllowed")?.as_u64()) == Some(count);
    world.until("PodDisruptionBudget", &name, &format!("{count} disruptions allowed"), PATIENCE, allowed).await?;
    let budget = world.get("PodDisruptionBudget", &name).await?;
    anyhow::ensure!(budget.pointer("/status/disruptedPods").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty), "{budget}");
    Ok(())
}

#[then(expr = "the pod of the VMI {string} does not say that it goes")]
async fn does_not_go(world: &mut SpecWorld, name: String) -> Done {
    let pod = world.until_pod(&name, "a pod", |pod| pod.is_some()).await?;
    anyhow::ensure!(crate::vmi::condition_of(pod.as_ref(), "DisruptionTarget").is_none(), "it says so");
    Ok(())
}
