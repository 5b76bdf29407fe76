//! Pods end, and what they own ends with them.

use std::time::Duration;

use futures::FutureExt;
use rstest::rstest;
use serde_json::{Value, json};

use super::{World, one, phase, pods};
use crate::Images;

fn stubborn() -> Images {
    Images::new()
        .run("slow", |context| {
            async move {
                context.term.cancelled().await;
                tokio::time::sleep(Duration::from_secs(5)).await;
                0
            }
            .boxed()
        })
        .run("stubborn", |context| {
            async move {
                context.kill.cancelled().await;
                0
            }
            .boxed()
        })
}

#[rstest]
#[case("pause", 0)]
#[case("slow", 5)]
#[case("stubborn", 30)]
#[tokio::test(start_paused = true)]
async fn pods_have_a_grace_period(#[case] image: &str, #[case] seconds: u64) {
    let world = World::start(1, |builder| builder.images(stubborn())).await;
    let path = world.pod("p", one(image)).await;
    world.until(&path, |pod| phase(pod) == "Running").await;
    let before = world.elapsed();
    world.delete(&path, json!({})).await;
    world.until_gone(&path).await;
    assert_eq!(world.since(before), seconds);
    assert!(world.events().await.contains(&"Killing: Stopping container c".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_keeps_the_last_status() {
    let world = World::start(1, |builder| builder.images(stubborn())).await;
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "finalizers": ["example.dev/keep"]}, "spec": one("stubborn")
    });
    world.create(&pods(), object).await;
    let path = format!("{}/p", pods());
    world.until(&path, |pod| phase(pod) == "Running").await;
    world.delete(&path, json!({"gracePeriodSeconds": 3})).await;
    let pod = world.until(&path, |pod| phase(pod) == "Failed").await;
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137);
    world.client.merge(&path, &json!({"metadata": {"finalizers": null}})).await.unwrap();
    world.until_gone(&path).await;
}

async fn config_map(world: &World, name: &str, owners: &[&Value], block: bool) -> Value {
    let references: Vec<Value> = owners
        .iter()
        .map(|owner| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
                "blockOwnerDeletion": block
            })
        })
        .collect();
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": references}});
    world.create("/api/v1/namespaces/default/configmaps", object).await
}

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/default/configmaps/{name}")
}

#[tokio::test(start_paused = true)]
async fn dependents_go_with_their_last_owner() {
    let world = World::bare(|builder| builder);
    let (one, two) = (config_map(&world, "one", &[], false).await, config_map(&world, "two", &[], false).await);
    config_map(&world, "child", &[&one, &two], false).await;
    world.delete(&path("one"), json!({})).await;
    let child =
        world.until(&path("child"), |child| child["metadata"]["ownerReferences"].as_array().is_some_and(|owners| owners.len() == 1)).await;
    assert_eq!(child["metadata"]["ownerReferences"][0]["name"], "two");
    config_map(&world, "grandchild", &[&child], false).await;
    world.delete(&path("two"), json!({"propagationPolicy": "Background"})).await;
    world.until_gone(&path("child")).await;
    world.until_gone(&path("grandchild")).await;
}

#[tokio::test(start_paused = true)]
async fn foreground_deletion_waits_for_dependents() {
    let world = World::start(1, |builder| builder.images(stubborn())).await;
    let owner = config_map(&world, "owner", &[], false).await;
    let reference = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "ownerReferences": [reference]}, "spec": one("slow")
    });
    world.create(&pods(), pod).await;
    let pod_path = format!("{}/p", pods());
    world.until(&pod_path, |pod| phase(pod) == "Running").await;
    let before = world.elapsed();
    world.delete(&path("owner"), json!({"propagationPolicy": "Foreground"})).await;
    world.until(&pod_path, |pod| !pod["metadata"]["deletionTimestamp"].is_null()).await;
    assert!(world.get(&path("owner")).await.is_some(), "the owner waits");
    world.until_gone(&path("owner")).await;
    assert!(world.get(&pod_path).await.is_none());
    assert_eq!(world.since(before), 5);
}

#[tokio::test(start_paused = true)]
async fn orphans_stay() {
    let world = World::bare(|builder| builder);
    let owner = config_map(&world, "owner", &[], false).await;
    config_map(&world, "child", &[&owner], false).await;
    world.delete(&path("owner"), json!({"propagationPolicy": "Orphan"})).await;
    world.until_gone(&path("owner")).await;
    let child = world.get(&path("child")).await.unwrap();
    assert!(child["metadata"].get("ownerReferences").is_none(), "{child}");
}

#[tokio::test(start_paused = true)]
async fn an_owner_must_have_the_right_uid() {
    let world = World::bare(|builder| builder);
    let mut stranger = config_map(&world, "owner", &[], false).await;
    stranger["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    config_map(&world, "child", &[&stranger], false).await;
    world.until_gone(&path("child")).await;
    assert!(world.get(&path("owner")).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_is_due_does_not_hold_up_the_end() {
    let images = stubborn().exit("crash", 1);
    let world = World::start(1, |builder| builder.images(images)).await;
    let spec = json!({"containers": [{"name": "c", "image": "crash"}, {"name": "s", "image": "stubborn"}]});
    let path = world.pod("p", spec).await;
    world.until(&path, |pod| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff").await;
    let before = world.elapsed();
    world.delete(&path, json!({})).await;
    world.until_gone(&path).await;
    assert_eq!(world.since(before), 30);
}

/// The writes of a pod's life: what changed it, in order.
#[tokio::test(start_paused = true)]
async fn a_life_takes_few_writes_and_an_idle_cluster_none() {
    let world = World::start(2, |builder| builder.container_events(false)).await;
    let path = world.pod("p", one("nginx")).await;
    world.until(&path, |pod| phase(pod) == "Running").await;
    let version = async || -> u64 {
        let list = world.get("/api/v1/namespaces").await.unwrap();
        list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    };
    let settled = version().await;
    tokio::time::sleep(Duration::from_secs(95)).await;
    let idle = version().await - settled;
    assert!(idle <= 2 * 10, "two leases, renewed every ten seconds: {idle}");
    let before = version().await;
    world.pod("q", one("nginx")).await;
    world.until(&format!("{}/q", pods()), |pod| phase(pod) == "Running").await;
    let born = version().await - before;
    assert_eq!(born, 4, "created, bound, its event, running");
    let before = version().await;
    world.delete(&format!("{}/q", pods()), json!({})).await;
    world.until_gone(&format!("{}/q", pods())).await;
    let died = version().await - before;
    assert_eq!(died, 5, "marked, its event, ended, its grace period shortened, removed");
}
