//! Steps about VirtualMachineInstances and their pods.

use crate::objects::{at, rows, text};
use cucumber::gherkin::Step;
use cucumber::{then, when};
use ferrovirt_tests::manifest;
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::world::SpecWorld;
use serde_json::Value;
use std::time::Duration;

type Done = anyhow::Result<()>;
const KIND: &str = "VirtualMachineInstance";

/// A condition of an object, by its type.
pub fn condition_of<'a>(object: Option<&'a Value>, kind: &str) -> Option<&'a Value> {
    object?.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == kind)
}

#[when(expr = "the client posts the VirtualMachineInstance {string}")]
async fn posts(world: &mut SpecWorld, name: String) -> Done {
    world.create(&manifest::vmi(&name)).await
}

#[when(expr = "the client tries to post the VirtualMachineInstance {string}")]
async fn tries_to_post(world: &mut SpecWorld, name: String) -> Done {
    world.attempt_create(&manifest::vmi(&name), "").await
}

#[when(expr = "the client posts the VirtualMachineInstance {string} with:")]
async fn posts_with(world: &mut SpecWorld, step: &Step, name: String) -> Done {
    let mut vmi = manifest::vmi(&name);
    for row in rows(step) {
        if let [path, value] = row.as_slice() {
            manifest::set(&mut vmi, path, value);
        }
    }
    world.create(&vmi).await
}

#[when(expr = "the client tries to patch the VMI {string} with:")]
async fn tries_to_patch(world: &mut SpecWorld, step: &Step, name: String) -> Done {
    world.attempt_merge(KIND, &name, &serde_json::from_str(&text(step))?).await
}

#[then("the API server validates and stores it")]
async fn stored(world: &mut SpecWorld) -> Done {
    let list = world.api(KIND).list(&kube::api::ListParams::default()).await?;
    anyhow::ensure!(list.items.len() == 1, "there are {} VMIs", list.items.len());
    // Defaulting is virt-api's: its mark shows that the webhooks were asked.
    let vmi = serde_json::to_value(&list.items[0])?;
    anyhow::ensure!(!at(Some(&vmi), "/spec/domain/machine/type").is_empty(), "it was not defaulted: {}", vmi["spec"]);
    Ok(())
}

#[then(expr = "virt-controller creates a pod for the VMI {string}")]
async fn pod_created(world: &mut SpecWorld, name: String) -> Done {
    world.until_pod(&name, "a pod", |pod| pod.is_some()).await.map(drop)
}

#[then(expr = "the pod of the VMI {string} is scheduled to a node")]
async fn pod_scheduled(world: &mut SpecWorld, name: String) -> Done {
    world.until_pod(&name, "a pod with a node", |pod| !at(pod, "/spec/nodeName").is_empty()).await.map(drop)
}

#[then(expr = "virt-controller sets nodeName on the VMI {string} to the node of its pod")]
async fn node_name(world: &mut SpecWorld, name: String) -> Done {
    let vmi = world.until(KIND, &name, "nodeName", PATIENCE, |vmi| !at(vmi, "/status/nodeName").is_empty()).await?;
    let pod = world.until_pod(&name, "a pod", |pod| pod.is_some()).await?;
    anyhow::ensure!(at(vmi.as_ref(), "/status/nodeName") == at(pod.as_ref(), "/spec/nodeName"), "they differ");
    Ok(())
}

#[then(expr = "the responsibility for the VMI {string} passes to virt-handler")]
async fn handed_over(world: &mut SpecWorld, name: String) -> Done {
    world.until(KIND, &name, "the hand-off", PATIENCE, |vmi| matches!(at(vmi, "/status/phase"), "Scheduled" | "Running")).await.map(drop)
}

#[then(expr = "virt-handler has the domain of the VMI {string} created through the launcher")]
async fn domain_created(world: &mut SpecWorld, name: String) -> Done {
    becomes(world, name.clone(), "Running".into()).await?;
    let state = world.domain_state(&name).await?;
    anyhow::ensure!(state == "Running", "the domain is {state}");
    Ok(())
}

#[then(expr = "virt-handler shuts the domain of the VMI {string} down")]
async fn domain_shut_down(world: &mut SpecWorld, name: String) -> Done {
    becomes(world, name, "Succeeded".into()).await
}

#[when(expr = "the client deletes the VMI {string}")]
async fn deletes(world: &mut SpecWorld, name: String) -> Done {
    world.note_uid(KIND, &name).await?;
    world.delete(KIND, &name, None).await
}

#[when(regex = r#"^the VMI "([^"]+)" becomes (\w+)$"#)]
#[then(regex = r#"^the VMI "([^"]+)" becomes (\w+)$"#)]
pub async fn becomes(world: &mut SpecWorld, name: String, phase: String) -> Done {
    // A phase may pass between two looks: what the trace saw counts too, for the newest VMI of that name.
    if world.trace()?.values_of_last(KIND, &name, "/status/phase").contains(&phase) {
        return Ok(());
    }
    world.until(KIND, &name, &format!("phase {phase}"), PATIENCE, |vmi| at(vmi, "/status/phase") == phase).await.map(drop)
}

#[then(expr = "the VMI {string} becomes {word} after {int}s at the earliest")]
async fn becomes_after(world: &mut SpecWorld, name: String, phase: String, seconds: u64) -> Done {
    let before = tokio::time::Instant::now();
    becomes(world, name, phase).await?;
    // The clock of the grace period starts with the deletion, a moment before this step.
    let waited = before.elapsed() + Duration::from_millis(100);
    anyhow::ensure!(waited >= Duration::from_secs(seconds), "after {:?}", before.elapsed());
    Ok(())
}

#[then(expr = "the VMI {string} is still {word}")]
pub async fn still(world: &mut SpecWorld, name: String, phase: String) -> Done {
    let vmi = world.get(KIND, &name).await?;
    anyhow::ensure!(at(Some(&vmi), "/status/phase") == phase, "it is {}", vmi["status"]["phase"]);
    Ok(())
}

#[when(expr = "the VMI {string} is gone")]
#[then(expr = "the VMI {string} is gone")]
pub async fn gone(world: &mut SpecWorld, name: String) -> Done {
    world.until(KIND, &name, "gone", PATIENCE, |vmi| vmi.is_none()).await.map(drop)
}

#[then(expr = "the VMI {string} is gone within {int}s")]
async fn gone_within(world: &mut SpecWorld, name: String, seconds: u64) -> Done {
    world.until(KIND, &name, "gone", Duration::from_secs(seconds), |vmi| vmi.is_none()).await.map(drop)
}

#[then(expr = "there is no VMI {string}")]
pub async fn absent(world: &mut SpecWorld, name: String) -> Done {
    anyhow::ensure!(world.find(KIND, &name).await?.is_none(), "there is one");
    Ok(())
}

#[then(expr = "the VMI {string} is replaced by another one")]
pub async fn replaced(world: &mut SpecWorld, name: String) -> Done {
    replaced_within(world, name, 20).await
}

#[then(expr = "the VMI {string} is replaced by another one within {int} minutes")]
async fn replaced_within(world: &mut SpecWorld, name: String, minutes: u64) -> Done {
    let old = world.noted_uid(KIND, &name)?;
    let patience = Duration::from_secs(minutes * 60);
    let new = world.until(KIND, &name, "another UID", patience, |vmi| vmi.is_some() && at(vmi, "/metadata/uid") != old).await?;
    world.remember(KIND, &name, at(new.as_ref(), "/metadata/uid"));
    Ok(())
}

#[then(expr = "the UID of the VMI {string} is noted")]
async fn note(world: &mut SpecWorld, name: String) -> Done {
    world.note_uid(KIND, &name).await
}

#[then(expr = "the UID of the VMI {string} is the one noted")]
async fn same_uid(world: &mut SpecWorld, name: String) -> Done {
    let noted = world.noted_uid(KIND, &name)?;
    let vmi = world.get(KIND, &name).await?;
    anyhow::ensure!(at(Some(&vmi), "/metadata/uid") == noted, "it is another one");
    Ok(())
}

#[then(expr = "the firmware UUID of the VMI {string} is noted")]
async fn note_firmware(world: &mut SpecWorld, name: String) -> Done {
    let vmi = world.get(KIND, &name).await?;
    let uuid = at(Some(&vmi), "/spec/domain/firmware/uuid").to_owned();
    anyhow::ensure!(!uuid.is_empty(), "it has none");
    world.remember("firmware", &name, &uuid);
    world.note_uid(KIND, &name).await
}

#[then(expr = "the firmware UUID of the VMI {string} is the one noted")]
async fn same_firmware(world: &mut SpecWorld, name: String) -> Done {
    let vmi = world.get(KIND, &name).await?;
    anyhow::ensure!(at(Some(&vmi), "/spec/domain/firmware/uuid") == world.noted_uid("firmware", &name)?, "it is another one");
    Ok(())
}

#[when(expr = "condition {string} of the VMI {string} is {string}")]
#[then(expr = "condition {string} of the VMI {string} is {string}")]
async fn condition(world: &mut SpecWorld, kind: String, name: String, status: String) -> Done {
    let what = format!("condition {kind}={status}");
    world.until(KIND, &name, &what, PATIENCE, |vmi| condition_of(vmi, &kind).is_some_and(|c| c["status"] == *status)).await.map(drop)
}

#[then(expr = "condition {string} of the VMI {string} is {string} because {string}")]
async fn condition_because(world: &mut SpecWorld, kind: String, name: String, status: String, reason: String) -> Done {
    let what = format!("condition {kind}={status} {reason}");
    world
        .until(KIND, &name, &what, PATIENCE, |vmi| {
            condition_of(vmi, &kind).is_some_and(|c| c["status"] == *status && c["reason"] == *reason)
        })
        .await
        .map(drop)
}

#[then(expr = "the VMI {string} has no owner")]
async fn no_owner(world: &mut SpecWorld, name: String) -> Done {
    world.until(KIND, &name, "no owner", PATIENCE, |vmi| vmi.is_some_and(|vmi| owner(vmi).is_none())).await.map(drop)
}

#[then(expr = "the VMI {string} is owned by the VM {string}")]
async fn owned(world: &mut SpecWorld, name: String, vm: String) -> Done {
    let uid = at(Some(&world.get("VirtualMachine", &vm).await?), "/metadata/uid").to_owned();
    world.until(KIND, &name, "an owner", PATIENCE, |vmi| vmi.is_some_and(|vmi| owner(vmi) == Some(uid.as_str()))).await.map(drop)
}

fn owner(vmi: &Value) -> Option<&str> {
    vmi.pointer("/metadata/ownerReferences/0/uid").and_then(Value::as_str)
}

#[then(regex = r#"^the VMI "([^"]+)" has "([^"]+)" in ([\w.]+)$"#)]
async fn has(world: &mut SpecWorld, name: String, value: String, path: String) -> Done {
    let vmi = world.get(KIND, &name).await?;
    anyhow::ensure!(at(Some(&vmi), &format!("/{}", path.replace('.', "/"))) == value, "{}", vmi["spec"]);
    Ok(())
}

#[then(regex = r#"^the VMI "([^"]+)" has no "([^"]+)" in ([\w.]+)$"#)]
async fn has_not(world: &mut SpecWorld, name: String, value: String, path: String) -> Done {
    let vmi = world.get(KIND, &name).await?;
    anyhow::ensure!(at(Some(&vmi), &format!("/{}", path.replace('.', "/"))) != value, "it has");
    world.note_uid(KIND, &name).await
}

#[then(expr = "the VMI {string} has the label {string} of its node")]
async fn node_label(world: &mut SpecWorld, name: String, label: String) -> Done {
    let vmi = world.get(KIND, &name).await?;
    anyhow::ensure!(vmi["metadata"]["labels"][&label] == vmi["status"]["nodeName"], "{}", vmi["metadata"]["labels"]);
    Ok(())
}

#[then(expr = "the VMI {string} has the finalizer {string}")]
async fn has_finalizer(world: &mut SpecWorld, name: String, finalizer: String) -> Done {
    let vmi = world.get(KIND, &name).await?;
    anyhow::ensure!(
        vmi["metadata"]["finalizers"].as_array().is_some_and(|all| all.iter().any(|f| *f == *finalizer)),
        "{}",
        vmi["metadata"]
    );
    Ok(())
}

#[then(expr = "the VMI {string} lists its pod in status.activePods")]
async fn active_pods(world: &mut SpecWorld, name: String) -> Done {
    let pod = world.until_pod(&name, "a pod", |pod| pod.is_some()).await?;
    let vmi = world.get(KIND, &name).await?;
    let node = &vmi["status"]["activePods"][at(pod.as_ref(), "/metadata/uid")];
    anyhow::ensure!(*node == vmi["status"]["nodeName"], "{}", vmi["status"]["activePods"]);
    Ok(())
}

#[then(expr = "the pod of the VMI {string} has the label {string} of the VMI's UID")]
async fn created_by(world: &mut SpecWorld, name: String, label: String) -> Done {
    let vmi = world.get(KIND, &name).await?;
    pod_label(world, name, label, at(Some(&vmi), "/metadata/uid").to_owned()).await
}

#[then(expr = "the pod of the VMI {string} has the label {string} = {string}")]
async fn pod_label(world: &mut SpecWorld, name: String, label: String, value: String) -> Done {
    let pod = world.until_pod(&name, "a pod", |pod| pod.is_some()).await?.unwrap_or_default();
    anyhow::ensure!(pod["metadata"]["labels"][&label] == value, "{}", pod["metadata"]["labels"]);
    Ok(())
}

#[then(expr = "the pod of the VMI {string} is gone")]
async fn pod_gone(world: &mut SpecWorld, name: String) -> Done {
    world.until_pod(&name, "no pod", |pod| pod.is_none()).await.map(drop)
}

#[when(regex = r#"^virt-controller records that (?:a|the) migration of the VMI "([^"]+)" (began|ended)$"#)]
async fn migration_recorded(world: &mut SpecWorld, name: String, what: String) -> Done {
    // Whole seconds, as the API has them.
    let now = world.cluster()?.clock().now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let field = if what == "began" { "startTimestamp" } else { "endTimestamp" };
    let namespace = world.cluster()?.namespace().to_owned();
    world.impersonate(&format!("system:serviceaccount:{namespace}:kubevirt-controller"));
    let written = world.merge(KIND, &name, &serde_json::json!({"status": {"migrationState": {field: now}}})).await;
    world.be_admin();
    written
}
