//! Steps about replica sets and pools, and the machines they keep.

use crate::objects::{at, rows, text};
use crate::vmi::condition_of;
use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use ferrovirt_tests::manifest;
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::world::SpecWorld;
use futures::StreamExt as _;
use kube::api::ListParams;
use kube::runtime::watcher::{self, watcher};
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Done = anyhow::Result<()>;
const SET: &str = "VirtualMachineInstanceReplicaSet";
const POOL: &str = "VirtualMachinePool";
const VM: &str = "VirtualMachine";
const VMI: &str = "VirtualMachineInstance";

/// The kind a step speaks of.
fn kind_of(words: &str) -> &'static str {
    match words {
        "replica set" => SET,
        "pool" => POOL,
        "VM" => VM,
        _ => VMI,
    }
}

fn number(object: Option<&Value>, pointer: &str) -> u64 {
    object.and_then(|object| object.pointer(pointer)).and_then(Value::as_u64).unwrap_or_default()
}

#[given(regex = r#"^(?:the|a) (replica set|pool) "([^"]+)" with (\d+) ready replicas?$"#)]
async fn given_fleet(world: &mut SpecWorld, kind: String, name: String, replicas: u64) -> Done {
    world.create(&manifest::fleet(kind_of(&kind), &name, replicas)).await?;
    has(world, kind, name, replicas, replicas).await
}

#[given(regex = r#"^(?:the|a) (replica set|pool) "([^"]+)" with (\d+) ready replicas? and:$"#)]
async fn given_fleet_with(world: &mut SpecWorld, step: &Step, kind: String, name: String, replicas: u64) -> Done {
    creates_with(world, step, kind.clone(), name.clone(), replicas).await?;
    has(world, kind, name, replicas, replicas).await
}

#[when(regex = r#"^the client creates the (replica set|pool) "([^"]+)" with (\d+) replicas?$"#)]
async fn creates(world: &mut SpecWorld, kind: String, name: String, replicas: u64) -> Done {
    world.create(&manifest::fleet(kind_of(&kind), &name, replicas)).await
}

#[when(regex = r#"^the client creates the (replica set|pool) "([^"]+)" with (\d+) replicas? and:$"#)]
async fn creates_with(world: &mut SpecWorld, step: &Step, kind: String, name: String, replicas: u64) -> Done {
    let mut object = manifest::fleet(kind_of(&kind), &name, replicas);
    for row in rows(step) {
        if let [path, value] = row.as_slice() {
            manifest::set(&mut object, path, value);
        }
    }
    world.create(&object).await
}

#[when(regex = r#"^the client patches the (replica set|pool) "([^"]+)" with:$"#)]
async fn patches(world: &mut SpecWorld, step: &Step, kind: String, name: String) -> Done {
    world.merge(kind_of(&kind), &name, &serde_json::from_str(&text(step))?).await
}

#[when(regex = r#"^the client deletes the (replica set|pool) "([^"]+)"$"#)]
async fn deletes(world: &mut SpecWorld, kind: String, name: String) -> Done {
    world.delete(kind_of(&kind), &name, None).await
}

#[when(regex = r#"^the client deletes the (replica set|pool) "([^"]+)" with propagation policy "([^"]+)"$"#)]
async fn deletes_with(world: &mut SpecWorld, kind: String, name: String, policy: String) -> Done {
    world.delete(kind_of(&kind), &name, Some(&policy)).await
}

/// What `kubectl scale` and autoscalers write.
#[when(regex = r#"^the client scales the (replica set|pool) "([^"]+)" to (\d+)$"#)]
async fn scales(world: &mut SpecWorld, kind: String, name: String, replicas: u64) -> Done {
    let body = serde_json::to_vec(&json!({"spec": {"replicas": replicas}}))?;
    let path = scale_path(&kind, &name);
    world.attempt_raw("PATCH", &path, "application/merge-patch+json", body).await?;
    world.not_refused()
}

fn scale_path(kind: &str, name: &str) -> String {
    let collection = match kind_of(kind) {
        SET => "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstancereplicasets",
        _ => "/apis/pool.kubevirt.io/v1beta1/namespaces/default/virtualmachinepools",
    };
    format!("{collection}/{name}/scale")
}

#[then(regex = r#"^the scale of the (replica set|pool) "([^"]+)" is (\d+) of (\d+), selected by "([^"]+)"$"#)]
async fn scale_is(world: &mut SpecWorld, kind: String, name: String, current: u64, wanted: u64, selector: String) -> Done {
    world.until(kind_of(&kind), &name, "its number", PATIENCE, |object| number(object, "/status/replicas") == current).await?;
    let request = http::Request::builder().uri(scale_path(&kind, &name)).body(Vec::new())?;
    let scale: Value = serde_json::from_str(&world.cluster()?.client().request_text(request).await?)?;
    let told = (number(Some(&scale), "/status/replicas"), number(Some(&scale), "/spec/replicas"), at(Some(&scale), "/status/selector"));
    anyhow::ensure!(told == (current, wanted, selector.as_str()), "{scale}");
    Ok(())
}

#[when(regex = r#"^the (replica set|pool) "([^"]+)" has (\d+) replicas?, (\d+) ready$"#)]
#[then(regex = r#"^the (replica set|pool) "([^"]+)" has (\d+) replicas?, (\d+) ready$"#)]
async fn has(world: &mut SpecWorld, kind: String, name: String, replicas: u64, ready: u64) -> Done {
    let holds = |object: Option<&Value>| {
        object.is_some() && number(object, "/status/replicas") == replicas && number(object, "/status/readyReplicas") == ready
    };
    let what = format!("{replicas} replicas, {ready} ready");
    world.until(kind_of(&kind), &name, &what, PATIENCE, holds).await.map(drop)
}

#[then(regex = r#"^condition "([^"]+)" of the (replica set|pool) "([^"]+)" is "([^"]+)" because "([^"]+)"$"#)]
async fn condition_is(world: &mut SpecWorld, condition: String, kind: String, name: String, status: String, reason: String) -> Done {
    let holds = |object: Option<&Value>| {
        condition_of(object, &condition).is_some_and(|known| known["status"] == *status && known["reason"] == *reason)
    };
    world.until(kind_of(&kind), &name, &format!("{condition}={status} {reason}"), PATIENCE, holds).await.map(drop)
}

#[then(regex = r#"^the (replica set|pool) "([^"]+)" has no condition "([^"]+)"$"#)]
async fn no_condition(world: &mut SpecWorld, kind: String, name: String, condition: String) -> Done {
    let holds = |object: Option<&Value>| object.is_some() && condition_of(object, &condition).is_none();
    world.until(kind_of(&kind), &name, &format!("no {condition}"), PATIENCE, holds).await.map(drop)
}

#[then(regex = r#"^an event of the (replica set|pool) "([^"]+)" says "(\w+) (\w+) (.+)"$"#)]
async fn event_says(world: &mut SpecWorld, of: String, name: String, severity: String, reason: String, message: String) -> Done {
    world
        .until_event(kind_of(&of), &name, |event| {
            event["type"] == *severity && event["reason"] == *reason && at(Some(event), "/message").contains(&message)
        })
        .await
}

/// Waits until the objects of a kind that a label selects, by name, satisfy `holds`.
async fn until_all(
    world: &SpecWorld,
    kind: &str,
    label: &str,
    what: &str,
    holds: impl Fn(&BTreeMap<String, Value>) -> bool,
) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let waited = tokio::time::timeout(PATIENCE, async {
        let mut events = std::pin::pin!(watcher(world.api(kind), watcher::Config::default().labels(label)));
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
            if listed && holds(&seen) {
                return true;
            }
        }
        false
    })
    .await;
    anyhow::ensure!(waited == Ok(true), "{what}: there are {:?}", seen.keys());
    Ok(seen)
}

fn going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

#[then(regex = r#"^there are exactly (\d+) (VM|VMI)s labelled "([^"]+)"$"#)]
async fn exactly(world: &mut SpecWorld, count: usize, kind: String, label: String) -> Done {
    until_all(world, kind_of(&kind), &label, &format!("{count} of them"), |all| all.len() == count).await.map(drop)
}

#[then(regex = r#"^there are still exactly (\d+) (VM|VMI)s labelled "([^"]+)"$"#)]
async fn still_exactly(world: &mut SpecWorld, count: usize, kind: String, label: String) -> Done {
    let all = world.api(kind_of(&kind)).list(&ListParams::default().labels(&label)).await?;
    anyhow::ensure!(all.items.len() == count, "there are {}", all.items.len());
    Ok(())
}

#[then(regex = r#"^the VMs labelled "([^"]+)" are "([^"]*)"$"#)]
async fn are(world: &mut SpecWorld, label: String, names: String) -> Done {
    let wanted: Vec<&str> = names.split(", ").collect();
    until_all(world, VM, &label, &names, |all| all.keys().eq(wanted.iter())).await.map(drop)
}

/// The VMIs of a replica set, oldest first.
async fn instances(world: &SpecWorld, set: &str) -> anyhow::Result<Vec<Value>> {
    let all = until_all(world, VMI, &format!("app={set}"), "a VMI", |all| !all.is_empty()).await?;
    let mut all: Vec<Value> = all.into_values().filter(|vmi| !going(vmi)).collect();
    all.sort_by_key(|vmi| (at(Some(vmi), "/metadata/creationTimestamp").to_owned(), at(Some(vmi), "/metadata/name").to_owned()));
    Ok(all)
}

async fn first(world: &SpecWorld, set: &str) -> anyhow::Result<(String, String)> {
    let all = instances(world, set).await?;
    let name = at(all.first(), "/metadata/name").to_owned();
    Ok((name, at(all.first(), "/metadata/uid").to_owned()))
}

#[when(expr = "the client deletes a VMI of the replica set {string}")]
async fn deletes_one(world: &mut SpecWorld, set: String) -> Done {
    let (name, uid) = first(world, &set).await?;
    world.remember(VMI, "one of them", &uid);
    world.delete(VMI, &name, None).await
}

#[when(regex = r#"^a guest of the replica set "([^"]+)" (powers off|crashes)$"#)]
async fn one_ends(world: &mut SpecWorld, set: String, how: String) -> Done {
    let (name, uid) = first(world, &set).await?;
    world.remember(VMI, "one of them", &uid);
    world.guest(&name, &how)
}

#[when(expr = "the client labels a VMI of the replica set {string} with {string}")]
async fn labels_one(world: &mut SpecWorld, set: String, label: String) -> Done {
    let (name, uid) = first(world, &set).await?;
    world.remember(VMI, "one of them", &uid);
    world.remember(VMI, "name of one", &name);
    let (key, value) = label.split_once('=').unwrap_or((label.as_str(), ""));
    world.merge(VMI, &name, &json!({"metadata": {"labels": {key: value}}})).await
}

#[then("that VMI is replaced")]
async fn one_replaced(world: &mut SpecWorld) -> Done {
    let uid = world.noted_uid(VMI, "one of them")?;
    let absent = |all: &BTreeMap<String, Value>| all.values().all(|vmi| at(Some(vmi), "/metadata/uid") != uid);
    until_all(world, VMI, "", "gone", absent).await.map(drop)
}

#[then("that VMI is nobody's and runs on")]
async fn one_released(world: &mut SpecWorld) -> Done {
    let (name, uid) = (world.noted_uid(VMI, "name of one")?, world.noted_uid(VMI, "one of them")?);
    let free = |vmi: Option<&Value>| {
        at(vmi, "/metadata/uid") == uid && vmi.is_some_and(|vmi| !going(vmi) && vmi.pointer("/metadata/ownerReferences/0").is_none())
    };
    let vmi = world.until(VMI, &name, "no owner", PATIENCE, free).await?;
    anyhow::ensure!(at(vmi.as_ref(), "/status/phase") == "Running", "it is {}", at(vmi.as_ref(), "/status/phase"));
    Ok(())
}

#[then(regex = r#"^the VMI "([^"]+)" is owned by the replica set "([^"]+)"$"#)]
async fn owned(world: &mut SpecWorld, name: String, set: String) -> Done {
    let set = world.get(SET, &set).await?;
    let uid = at(Some(&set), "/metadata/uid").to_owned();
    world.until(VMI, &name, "its owner", PATIENCE, |vmi| at(vmi, "/metadata/ownerReferences/0/uid") == uid).await.map(drop)
}

#[then(regex = r#"^every VMI of the replica set "([^"]+)" is named "([^"]+)" with a suffix and carries "([^"]+)"$"#)]
async fn as_template(world: &mut SpecWorld, set: String, base: String, annotation: String) -> Done {
    let (key, value) = annotation.split_once('=').unwrap_or((annotation.as_str(), ""));
    for vmi in instances(world, &set).await? {
        let name = at(Some(&vmi), "/metadata/name");
        anyhow::ensure!(name.len() == base.len() + 5 && name.starts_with(&base), "{name}");
        anyhow::ensure!(vmi["metadata"]["annotations"][key] == *value, "{}", vmi["metadata"]);
        let owner = &vmi["metadata"]["ownerReferences"][0];
        anyhow::ensure!(owner["controller"] == true && owner["blockOwnerDeletion"] == true && owner["name"] == *set, "{owner}");
    }
    Ok(())
}

#[when(expr = "the oldest VMI of the replica set {string} is noted")]
async fn notes_oldest(world: &mut SpecWorld, set: String) -> Done {
    let (name, uid) = first(world, &set).await?;
    world.remember(VMI, "name of one", &name);
    world.remember(VMI, "one of them", &uid);
    Ok(())
}

#[then(expr = "the only VMI left of the replica set {string} is that one")]
async fn only_left(world: &mut SpecWorld, set: String) -> Done {
    let uid = world.noted_uid(VMI, "one of them")?;
    let all = until_all(world, VMI, &format!("app={set}"), "one", |all| all.len() == 1).await?;
    anyhow::ensure!(all.values().all(|vmi| at(Some(vmi), "/metadata/uid") == uid), "{:?} is left", all.keys());
    Ok(())
}

#[then(regex = r#"^the VM "([^"]+)" has "([^"]*)" in ([\w./~-]+)$"#)]
async fn vm_has(world: &mut SpecWorld, name: String, value: String, path: String) -> Done {
    let pointer = format!("/{path}");
    let holds = |vm: Option<&Value>| {
        let found = vm.and_then(|vm| vm.pointer(&pointer));
        found.is_some_and(|found| found.as_str().map_or_else(|| found.to_string(), str::to_owned) == value)
    };
    world.until(VM, &name, &format!("{path} = {value}"), PATIENCE, holds).await.map(drop)
}

#[then(regex = r#"^the VM "([^"]+)" is owned by the pool "([^"]+)"$"#)]
async fn vm_owned(world: &mut SpecWorld, name: String, pool: String) -> Done {
    let pool = world.get(POOL, &pool).await?;
    let uid = at(Some(&pool), "/metadata/uid").to_owned();
    world.until(VM, &name, "its owner", PATIENCE, |vm| at(vm, "/metadata/ownerReferences/0/uid") == uid).await.map(drop)
}

#[then(expr = "the VM {string} is nobody's")]
async fn vm_free(world: &mut SpecWorld, name: String) -> Done {
    let free = |vm: Option<&Value>| vm.is_some_and(|vm| !going(vm) && vm.pointer("/metadata/ownerReferences/0").is_none());
    world.until(VM, &name, "no owner", PATIENCE, free).await.map(drop)
}

#[when(regex = r#"^the client labels the VM "([^"]+)" with "([^"]+)"$"#)]
async fn labels_vm(world: &mut SpecWorld, name: String, label: String) -> Done {
    let (key, value) = label.split_once('=').unwrap_or((label.as_str(), ""));
    world.merge(VM, &name, &json!({"metadata": {"labels": {key: value}}})).await
}

#[then(regex = r#"^the revisions of the pool "([^"]+)" are "([^"]*)"$"#)]
async fn revisions(world: &mut SpecWorld, pool: String, names: String) -> Done {
    let wanted: Vec<&str> = names.split(", ").filter(|name| !name.is_empty()).collect();
    let uid = at(Some(&world.get(POOL, &pool).await?), "/metadata/uid").to_owned();
    let owned = |all: &BTreeMap<String, Value>| {
        let ours = all.iter().filter(|(_, revision)| at(Some(revision), "/metadata/ownerReferences/0/uid") == uid);
        ours.map(|(name, _)| name.as_str()).eq(wanted.iter().copied())
    };
    until_all(world, "ControllerRevision", "", &names, owned).await.map(drop)
}

#[then(regex = r#"^at no time were more than (\d+) VMIs labelled "([^"]+)" not ready$"#)]
async fn never_more(world: &mut SpecWorld, most: usize, label: String) -> Done {
    let (key, value) = label.split_once('=').unwrap_or((label.as_str(), ""));
    let mut ready: BTreeMap<String, bool> = BTreeMap::new();
    let mut complete = false;
    for change in world.trace()?.changes().iter().filter(|change| change.kind == VMI) {
        if change.object["metadata"]["labels"][key] != *value {
            continue;
        }
        let is_ready = condition_of(Some(&change.object), "Ready").is_some_and(|ready| ready["status"] == "True");
        ready.insert(change.name().to_owned(), is_ready && change.verb != "DELETED" && !going(&change.object));
        let not_ready = ready.values().filter(|ready| !**ready).count();
        // Until all were ready once, they are only coming up.
        complete |= not_ready == 0 && ready.len() > most;
        anyhow::ensure!(!complete || not_ready <= most, "{not_ready} at revision {}", change.revision);
    }
    anyhow::ensure!(complete, "they were never all ready");
    Ok(())
}

#[when(expr = "the node of a VMI of the replica set {string} is lost")]
async fn node_lost(world: &mut SpecWorld, set: String) -> Done {
    let all = instances(world, &set).await?;
    world.remember(VMI, "one of them", at(all.first(), "/metadata/uid"));
    let node = at(all.first(), "/status/nodeName").to_owned();
    world.remember("Node", "lost", &node);
    Ok(world.cluster()?.simulation().kill_node(&node)?)
}

#[then(regex = r#"^the Service "([^"]+)" leads to the pods of (\d+) VMIs at port (\d+)$"#)]
async fn service_leads(world: &mut SpecWorld, service: String, count: usize, port: u64) -> Done {
    let leads = |endpoints: Option<&Value>| {
        let subset = endpoints.and_then(|endpoints| endpoints.pointer("/subsets/0"));
        let addresses = subset.and_then(|subset| subset["addresses"].as_array()).map(Vec::len).unwrap_or_default();
        addresses == count && number(subset, "/ports/0/port") == port
    };
    world.until("Endpoints", &service, &format!("{count} pods at port {port}"), PATIENCE, leads).await.map(drop)
}

#[then(expr = "every launcher pod of the replica set {string} is selected by its scale")]
async fn pods_selected(world: &mut SpecWorld, set: String) -> Done {
    let object = world.get(SET, &set).await?;
    let selector = at(Some(&object), "/status/labelSelector").to_owned();
    let selected = world.api("Pod").list(&ListParams::default().labels(&selector)).await?.items.len();
    let launchers = world.api("Pod").list(&ListParams::default().labels("kubevirt.io=virt-launcher")).await?.items.len();
    anyhow::ensure!(selected == launchers && launchers as u64 == number(Some(&object), "/spec/replicas"), "{selected} of {launchers}");
    Ok(())
}
