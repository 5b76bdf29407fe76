//! Steps about guests, nodes and events.

use crate::objects::{at, rows};
use cucumber::gherkin::Step;
use cucumber::{then, when};
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::world::SpecWorld;
use serde_json::Value;

type Done = anyhow::Result<()>;
const VMI: &str = "VirtualMachineInstance";

#[when(regex = r#"^the guest of "([^"]+)" (powers off|crashes|panics)$"#)]
async fn guest_ends(world: &mut SpecWorld, name: String, how: String) -> Done {
    world.note_uid(VMI, &name).await?;
    world.guest(&name, &how)
}

#[when(regex = r#"^the client (pauses|unpauses) the VMI "([^"]+)"$"#)]
async fn pause(world: &mut SpecWorld, verb: String, name: String) -> Done {
    world.subresource(VMI, &name, verb.trim_end_matches('s')).await?;
    world.not_refused()
}

#[when(expr = "the VMI {string} is being shut down")]
async fn being_shut_down(world: &mut SpecWorld, name: String) -> Done {
    world
        .until(VMI, &name, "a deletion timestamp", PATIENCE, |vmi| vmi.is_none() || !at(vmi, "/metadata/deletionTimestamp").is_empty())
        .await
        .map(drop)
}

#[when(expr = "the node of the VMI {string} is lost")]
async fn node_lost(world: &mut SpecWorld, name: String) -> Done {
    world.note_uid(VMI, &name).await?;
    let vmi = world.get(VMI, &name).await?;
    let node = at(Some(&vmi), "/status/nodeName").to_owned();
    world.remember("Node", "lost", &node);
    Ok(world.cluster()?.simulation().kill_node(&node)?)
}

#[when("the client deletes the lost node")]
async fn deletes_node(world: &mut SpecWorld) -> Done {
    let node = world.noted_uid("Node", "lost")?;
    world.delete("Node", &node, None).await
}

#[then("no domain is left")]
async fn no_domain(world: &mut SpecWorld) -> Done {
    let left = world.cluster()?.launchers().domains().await;
    anyhow::ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

#[then(regex = r#"^the events of VirtualMachineInstance "([^"]+)" are, in order:$"#)]
async fn events_in_order(world: &mut SpecWorld, step: &Step, name: String) -> Done {
    let wanted: Vec<Vec<String>> = rows(step);
    let last = wanted.last().cloned().unwrap_or_default();
    // Events are written beside the objects: the last one may still be on its way.
    world.until_event(VMI, &name, |event| event["reason"] == *last.get(1).map(String::as_str).unwrap_or_default()).await?;
    let seen: Vec<Value> =
        world.trace()?.changes().into_iter().filter(|c| c.kind == "Event" && c.verb == "ADDED").map(|c| c.object).collect();
    let seen: Vec<String> = seen
        .iter()
        .filter(|event| event["involvedObject"]["kind"] == VMI && event["involvedObject"]["name"] == *name)
        .map(|event| format!("{} {} {}", text(&event["type"]), text(&event["reason"]), text(&event["message"])))
        .collect();
    let fits = seen.len() == wanted.len() && seen.iter().zip(&wanted).all(|(seen, wanted)| seen.starts_with(&wanted.join(" ")));
    anyhow::ensure!(fits, "they are:\n{}", seen.join("\n"));
    Ok(())
}

#[then(regex = r#"^an event of (VirtualMachineInstance|VirtualMachine|DataVolume) "([^"]+)" says "(\w+) (\w+) (.+)"$"#)]
async fn event_says(world: &mut SpecWorld, of: String, name: String, kind: String, reason: String, message: String) -> Done {
    world
        .until_event(&of, &name, |event| event["type"] == *kind && event["reason"] == *reason && text(&event["message"]).contains(&message))
        .await
}

#[then(regex = r#"^an event of the pod of the VMI "([^"]+)" says "(\w+) (\w+) (.+)"$"#)]
async fn pod_event_says(world: &mut SpecWorld, name: String, kind: String, reason: String, message: String) -> Done {
    let pod = world.until_pod(&name, "a pod", |pod| pod.is_some()).await?;
    let pod = at(pod.as_ref(), "/metadata/name").to_owned();
    world
        .until_event("Pod", &pod, |event| {
            event["type"] == *kind && event["reason"] == *reason && text(&event["message"]).contains(&message)
        })
        .await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
