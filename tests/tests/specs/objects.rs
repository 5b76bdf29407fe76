//! Steps about the cluster, plain objects and refusals.

use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use ferrovirt::cluster::Options;
use ferrovirt_tests::manifest;
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::world::{SpecWorld, seed};
use serde_json::{Value, json};
use std::time::Duration;

type Done = anyhow::Result<()>;

/// The rows of a step's table.
pub fn rows(step: &Step) -> Vec<Vec<String>> {
    step.table.as_ref().map(|table| table.rows.clone()).unwrap_or_default()
}

/// The doc string of a step.
pub fn text(step: &Step) -> String {
    step.docstring.as_deref().unwrap_or_default().trim().to_owned()
}

#[given(regex = r"^a cluster with (\d+) nodes?$")]
async fn cluster(world: &mut SpecWorld, nodes: usize) -> Done {
    world.start(nodes).await
}

#[given(regex = r#"^a cluster with (\d+) nodes? on which the image "([^"]+)" cannot be pulled$"#)]
async fn cluster_without_image(world: &mut SpecWorld, nodes: usize, image: String) -> Done {
    world.start_with(Options { nodes, unpullable: vec![image], ..Options::simulated(seed()) }).await
}

#[given(regex = r"^a cluster with (\d+) nodes? whose launchers cannot start$")]
async fn cluster_without_launchers(world: &mut SpecWorld, nodes: usize) -> Done {
    world.start(nodes).await?;
    world.cluster()?.launchers().break_starts(true);
    Ok(())
}

#[when("the launchers of the cluster can start again")]
async fn launchers_start_again(world: &mut SpecWorld) -> Done {
    world.cluster()?.launchers().break_starts(false);
    Ok(())
}

#[given(expr = "{word} is down")]
async fn component_down(world: &mut SpecWorld, component: String) -> Done {
    world.scale(&component, 0).await
}

#[when(expr = "{word} is up again")]
async fn component_up(world: &mut SpecWorld, component: String) -> Done {
    world.scale(&component, 1).await
}

#[when(regex = r"^(virt-api|virt-controller|virt-handler) restarts$")]
async fn component_restarts(world: &mut SpecWorld, component: String) -> Done {
    world.restart(&component)
}

#[when(regex = r"^(\d+) (seconds|minutes|hours) pass$")]
async fn time_passes(_: &mut SpecWorld, count: u64, unit: String) {
    let seconds = match unit.as_str() {
        "hours" => 3600,
        "minutes" => 60,
        _ => 1,
    };
    // Not a wait for something: the passing of time is what the step says.
    tokio::time::sleep(Duration::from_secs(count * seconds)).await;
}

#[when("the client posts:")]
async fn posts(world: &mut SpecWorld, step: &Step) -> Done {
    let manifest: Value = serde_json::from_str(&text(step))?;
    world.attempt_create(&manifest, "").await
}

#[when("the client posts with strict field validation:")]
async fn posts_strictly(world: &mut SpecWorld, step: &Step) -> Done {
    let manifest: Value = serde_json::from_str(&text(step))?;
    world.attempt_create(&manifest, "?fieldValidation=Strict").await
}

#[when(regex = r#"^the client posts the raw body "(.*)" as "([^"]+)"$"#)]
async fn posts_raw(world: &mut SpecWorld, body: String, content_type: String) -> Done {
    let path = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances";
    world.attempt_raw("POST", path, &content_type, body.replace("\\\"", "\"").into_bytes()).await
}

#[when(expr = "the client posts a ConfigMap of {int} MB")]
async fn posts_large(world: &mut SpecWorld, megabytes: usize) -> Done {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"text": "x".repeat(megabytes * 1024 * 1024)}});
    world.attempt_create(&map, "").await
}

#[when(expr = "the client posts a VMI of {int} disks")]
async fn posts_disks(world: &mut SpecWorld, count: usize) -> Done {
    let names = || (0..count).map(|number| format!("disk{number}"));
    let vmi = json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": "large"}, "spec": {
        "domain": {"memory": {"guest": "64Mi"}, "devices": {"disks": names().map(|name| json!({"name": name, "disk": {}})).collect::<Vec<_>>()}},
        "volumes": names().map(|name| json!({"name": name, "emptyDisk": {"capacity": "1Gi"}})).collect::<Vec<_>>(),
    }});
    world.attempt_create(&vmi, "").await
}

#[then(regex = r#"^it is refused with (\d+) and "(.*)"$"#)]
async fn refused(world: &mut SpecWorld, code: u16, message: String) -> Done {
    let refusal = world.refusal()?;
    let message = message.replace("\\\"", "\"");
    anyhow::ensure!(refusal.code == code && refusal.message.contains(&message), "refused with {} and {:?}", refusal.code, refusal.message);
    Ok(())
}

#[then("nothing was stored")]
async fn nothing_stored(world: &mut SpecWorld) -> Done {
    for kind in ["VirtualMachine", "VirtualMachineInstance"] {
        let list = world.api(kind).list(&kube::api::ListParams::default()).await?;
        anyhow::ensure!(list.items.is_empty(), "there are {} of {kind}", list.items.len());
    }
    Ok(())
}

#[when(expr = "the client runs the pod {string}")]
async fn runs_pod(world: &mut SpecWorld, name: String) -> Done {
    world.create(&manifest::pod(&name)).await
}

#[then(expr = "the pod {string} becomes {word}")]
async fn pod_becomes(world: &mut SpecWorld, name: String, phase: String) -> Done {
    world.until("Pod", &name, &format!("phase {phase}"), PATIENCE, |pod| at(pod, "/status/phase") == phase).await.map(drop)
}

#[then(expr = "the pod {string} is still {word}")]
async fn pod_still(world: &mut SpecWorld, name: String, phase: String) -> Done {
    let pod = world.get("Pod", &name).await?;
    anyhow::ensure!(at(Some(&pod), "/status/phase") == phase, "{pod}");
    Ok(())
}

#[when(expr = "the client labels the node {string} with {string}")]
async fn labels_node(world: &mut SpecWorld, node: String, label: String) -> Done {
    let (key, value) = label.split_once('=').unwrap_or((label.as_str(), ""));
    world.merge("Node", &node, &json!({"metadata": {"labels": {key: value}}})).await
}

#[when(expr = "the client creates the claim {string} of {word}")]
async fn creates_claim(world: &mut SpecWorld, name: String, size: String) -> Done {
    world
        .create(&json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        }))
        .await
}

#[then("these happened in this order:")]
async fn in_this_order(world: &mut SpecWorld, step: &Step) -> Done {
    let changes = world.trace()?.changes();
    let mut from = 0;
    for row in rows(step) {
        let wanted = row.first().map(String::as_str).unwrap_or_default();
        let found = changes.iter().skip(from).position(|change| matches(change, wanted));
        match found {
            Some(offset) => from += offset,
            None => anyhow::bail!("{wanted:?} did not happen after what was listed before it"),
        }
    }
    Ok(())
}

/// Whether a change is what a line names: `KIND NAME VERB`, `KIND NAME phase PHASE`, or `KIND NAME dotted.path` that is set.
/// Generated names match by their prefix.
fn matches(change: &ferrovirt_tests::trace::Change, line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [kind, name, rest @ ..] = words.as_slice() else { return false };
    if change.kind != *kind || !change.name().starts_with(name) {
        return false;
    }
    match rest {
        ["phase", phase] => at(Some(&change.object), "/status/phase") == *phase,
        [verb @ ("ADDED" | "MODIFIED" | "DELETED")] => change.verb == *verb,
        [path] => change.object.pointer(&format!("/{}", path.replace('.', "/"))).is_some(),
        _ => false,
    }
}

/// The string at a pointer, or nothing.
pub fn at<'a>(object: Option<&'a Value>, pointer: &str) -> &'a str {
    object.and_then(|object| object.pointer(pointer)).and_then(Value::as_str).unwrap_or_default()
}
