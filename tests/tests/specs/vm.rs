//! Steps about VirtualMachines.

use crate::objects::{at, rows, text};
use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use ferrovirt_tests::manifest;
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::world::SpecWorld;
use serde_json::{Value, json};
use std::time::Duration;

type Done = anyhow::Result<()>;
const KIND: &str = "VirtualMachine";

fn strategy(name: &str) -> (&'static str, Value) {
    ("runStrategy", Value::from(name))
}

#[when(expr = "the client creates the VM {string} with run strategy {string}")]
async fn creates(world: &mut SpecWorld, name: String, run: String) -> Done {
    world.create(&manifest::vm(&name, strategy(&run))).await
}

#[when(expr = "the client creates the VM {string} with running {string}")]
async fn creates_running(world: &mut SpecWorld, name: String, running: bool) -> Done {
    world.create(&manifest::vm(&name, ("running", Value::from(running)))).await
}

#[when(expr = "the client creates the VM {string} with run strategy {string} and:")]
async fn creates_with(world: &mut SpecWorld, step: &Step, name: String, run: String) -> Done {
    let mut vm = manifest::vm(&name, strategy(&run));
    for row in rows(step) {
        if let [path, value] = row.as_slice() {
            manifest::set(&mut vm, path, value);
        }
    }
    world.create(&vm).await
}

#[when(expr = "the client creates the VM {string} with run strategy {string}, whose guest takes {word} to shut down")]
async fn creates_slow(world: &mut SpecWorld, name: String, run: String, time: String) -> Done {
    let mut vm = manifest::vm(&name, strategy(&run));
    manifest::set(&mut vm, "spec.template.metadata.annotations.fake.ferrovirt.io/shutdown-time", &time);
    world.create(&vm).await
}

#[when(expr = "the client creates the VM {string} with run strategy {string} and the container disk {string}")]
async fn creates_with_image(world: &mut SpecWorld, name: String, run: String, image: String) -> Done {
    let mut vm = manifest::vm(&name, strategy(&run));
    vm["spec"]["template"]["spec"]["volumes"] = json!([{"name": "containerdisk", "containerDisk": {"image": image}}]);
    world.create(&vm).await
}

#[when(expr = "the client creates the VM {string} with run strategy {string} and the claim {string}")]
async fn creates_with_claim(world: &mut SpecWorld, name: String, run: String, claim: String) -> Done {
    let mut vm = manifest::vm(&name, strategy(&run));
    vm["spec"]["template"]["spec"]["volumes"] = json!([{"name": "containerdisk", "persistentVolumeClaim": {"claimName": claim}}]);
    world.create(&vm).await
}

#[when(expr = "the client patches the VM {string} with:")]
async fn patches(world: &mut SpecWorld, step: &Step, name: String) -> Done {
    world.merge(KIND, &name, &serde_json::from_str(&text(step))?).await
}

#[when(expr = "the client sets the run strategy of the VM {string} to {string}")]
async fn sets_strategy(world: &mut SpecWorld, name: String, run: String) -> Done {
    world.merge(KIND, &name, &json!({"spec": {"runStrategy": run}})).await
}

#[when(regex = r#"^the client (starts|stops|restarts) the VM "([^"]+)"$"#)]
async fn requests(world: &mut SpecWorld, verb: String, name: String) -> Done {
    world.subresource(KIND, &name, verb.trim_end_matches('s')).await?;
    world.not_refused()
}

#[when(regex = r#"^the client tries to (start|stop|restart) the VM "([^"]+)"$"#)]
async fn tries(world: &mut SpecWorld, verb: String, name: String) -> Done {
    world.subresource(KIND, &name, &verb).await
}

#[when(expr = "the client deletes the VM {string}")]
async fn deletes(world: &mut SpecWorld, name: String) -> Done {
    world.delete(KIND, &name, None).await
}

#[when(expr = "the client deletes the VM {string} with propagation policy {string}")]
async fn deletes_with(world: &mut SpecWorld, name: String, policy: String) -> Done {
    world.delete(KIND, &name, Some(&policy)).await
}

#[when(expr = "the VM {string} shows {string}")]
#[then(expr = "the VM {string} shows {string}")]
async fn shows(world: &mut SpecWorld, name: String, status: String) -> Done {
    world.until(KIND, &name, &format!("status {status}"), PATIENCE, |vm| at(vm, "/status/printableStatus") == status).await.map(drop)
}

#[then(expr = "the VM {string} shows {string} or {string}")]
async fn shows_either(world: &mut SpecWorld, name: String, one: String, other: String) -> Done {
    let what = format!("status {one} or {other}");
    world.until(KIND, &name, &what, PATIENCE, |vm| [&one, &other].iter().any(|s| at(vm, "/status/printableStatus") == **s)).await.map(drop)
}

#[then(expr = "the VM {string} has shown {string}")]
async fn has_shown(world: &mut SpecWorld, name: String, status: String) -> Done {
    let shown = world.trace()?.values(KIND, &name, "/status/printableStatus");
    anyhow::ensure!(shown.contains(&status), "it has shown {shown:?}");
    Ok(())
}

#[then(expr = "condition {string} of the VM {string} is {string} because {string}: {string}")]
async fn condition_says(world: &mut SpecWorld, kind: String, name: String, status: String, reason: String, message: String) -> Done {
    let holds = |vm: Option<&Value>| {
        crate::vmi::condition_of(vm, &kind).is_some_and(|c| {
            c["status"] == *status && c["reason"] == *reason && c["message"].as_str().is_some_and(|m| m.contains(&message))
        })
    };
    world.until(KIND, &name, &format!("condition {kind}={status} {reason}"), PATIENCE, holds).await.map(drop)
}

#[then(expr = "the VM {string} is created and ready")]
async fn ready(world: &mut SpecWorld, name: String) -> Done {
    world.until(KIND, &name, "created and ready", PATIENCE, |vm| flag(vm, "created") && flag(vm, "ready")).await.map(drop)
}

#[then(expr = "the VM {string} is neither created nor ready")]
async fn not_ready(world: &mut SpecWorld, name: String) -> Done {
    world.until(KIND, &name, "neither created nor ready", PATIENCE, |vm| !flag(vm, "created") && !flag(vm, "ready")).await.map(drop)
}

fn flag(vm: Option<&Value>, name: &str) -> bool {
    vm.and_then(|vm| vm.pointer(&format!("/status/{name}"))).and_then(Value::as_bool).unwrap_or_default()
}

#[then(expr = "the VM {string} is gone")]
async fn gone(world: &mut SpecWorld, name: String) -> Done {
    world.until(KIND, &name, "gone", PATIENCE, |vm| vm.is_none()).await.map(drop)
}

#[then(expr = "the run strategy of the VM {string} is {string}")]
async fn strategy_is(world: &mut SpecWorld, name: String, run: String) -> Done {
    let vm = world.get(KIND, &name).await?;
    anyhow::ensure!(at(Some(&vm), "/spec/runStrategy") == run, "{}", vm["spec"]["runStrategy"]);
    Ok(())
}

#[then(expr = "condition {string} of the VM {string} is {string}")]
async fn condition(world: &mut SpecWorld, kind: String, name: String, status: String) -> Done {
    let what = format!("condition {kind}={status}");
    world
        .until(KIND, &name, &what, PATIENCE, |vm| crate::vmi::condition_of(vm, &kind).is_some_and(|c| c["status"] == *status))
        .await
        .map(drop)
}

#[then(expr = "the VM {string} has no condition {string}")]
async fn no_condition(world: &mut SpecWorld, name: String, kind: String) -> Done {
    world.until(KIND, &name, &format!("no {kind}"), PATIENCE, |vm| crate::vmi::condition_of(vm, &kind).is_none()).await.map(drop)
}

#[then(expr = "the start failures of the VM {string} reach {int} with the next try in {int}s to {int}s")]
async fn failures(world: &mut SpecWorld, name: String, count: i64, least: i64, most: i64) -> Done {
    let vm = world
        .until(KIND, &name, &format!("{count} start failures"), PATIENCE, |vm| {
            vm.and_then(|vm| vm.pointer("/status/startFailure/consecutiveFailCount")).and_then(Value::as_i64) == Some(count)
        })
        .await?;
    let retry = at(vm.as_ref(), "/status/startFailure/retryAfterTimestamp").to_owned();
    let delay = world.seconds_until(&retry)?;
    // The status is seen a moment after it was computed, and timestamps are whole seconds.
    anyhow::ensure!((least - 2..=most).contains(&delay), "the next try is in {delay}s");
    Ok(())
}

#[then(expr = "the VM {string} has no start failures")]
async fn no_failures(world: &mut SpecWorld, name: String) -> Done {
    world
        .until(KIND, &name, "no start failures", PATIENCE, |vm| vm.is_some_and(|vm| vm.pointer("/status/startFailure").is_none()))
        .await
        .map(drop)
}

#[given(regex = r#"^the VM "([^"]+)" is (accepted|Scheduling|Scheduled|Running)$"#)]
#[when(regex = r#"^the VM "([^"]+)" is (accepted|Scheduling|Scheduled|Running)$"#)]
async fn is_in_state(world: &mut SpecWorld, name: String, state: String) -> Done {
    if state == "accepted" {
        return world.get(KIND, &name).await.map(drop);
    }
    crate::vmi::becomes(world, name, state).await
}

#[then(regex = r#"^the VM "([^"]+)" has had exactly (\d+) VMIs?$"#)]
async fn has_had(world: &mut SpecWorld, name: String, count: usize) -> Done {
    let uids = world.trace()?.values("VirtualMachineInstance", &name, "/metadata/uid");
    anyhow::ensure!(uids.len() == count, "it had {uids:?}");
    Ok(())
}

#[then(expr = "no two VMIs of the VM {string} ever existed at once")]
async fn never_two(world: &mut SpecWorld, name: String) -> Done {
    let mut alive: Option<String> = None;
    for change in world.trace()?.changes().iter().filter(|c| c.kind == "VirtualMachineInstance" && c.name() == name) {
        let uid = at(Some(&change.object), "/metadata/uid").to_owned();
        match (&alive, change.verb) {
            (Some(living), _) if *living != uid => anyhow::bail!("{uid} appeared while {living} was there"),
            (_, "DELETED") => alive = None,
            _ => alive = Some(uid),
        }
    }
    Ok(())
}

#[then(regex = r#"^the VM "([^"]+)" ends up with (another VMI|no VMI|a Succeeded VMI|a Failed VMI)$"#)]
async fn ends_up(world: &mut SpecWorld, name: String, outcome: String) -> Done {
    match outcome.as_str() {
        "another VMI" => {
            crate::vmi::replaced(world, name.clone()).await?;
            shows(world, name, "Running".into()).await
        }
        "no VMI" => {
            shows(world, name.clone(), "Stopped".into()).await?;
            crate::vmi::gone(world, name.clone()).await?;
            // Long enough for whatever would bring it back.
            tokio::time::sleep(Duration::from_mins(10)).await;
            crate::vmi::absent(world, name).await
        }
        other => {
            let phase = if other.contains("Failed") { "Failed" } else { "Succeeded" };
            crate::vmi::becomes(world, name.clone(), phase.into()).await?;
            tokio::time::sleep(Duration::from_mins(10)).await;
            crate::vmi::still(world, name, phase.into()).await
        }
    }
}

#[then(regex = r#"^the (VM|VMI) "([^"]+)" gets "([^"]*)" in ([\w./~-]+)$"#)]
async fn gets(world: &mut SpecWorld, kind: String, name: String, value: String, path: String) -> Done {
    let kind = if kind == "VM" { KIND } else { "VirtualMachineInstance" };
    let pointer = format!("/{path}");
    world.until(kind, &name, &format!("{value:?} in {path}"), PATIENCE, |object| at(object, &pointer) == value).await.map(drop)
}
