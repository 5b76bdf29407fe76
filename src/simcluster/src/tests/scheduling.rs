//! Pods find their node, or say why not.

use rstest::rstest;
use serde_json::{Value, json};

use super::{World, condition, one, phase};
use crate::NodeSpec;

fn with(mut spec: Value, extra: &Value) -> Value {
    for (name, value) in extra.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

fn nodes() -> Vec<NodeSpec> {
    vec![
        NodeSpec::new("a").label("zone", "1").capacity("memory", "1Gi").capacity("example.dev/kvm", "1"),
        NodeSpec::new("b").label("zone", "1").taint("only", "vip", "NoSchedule"),
        NodeSpec::new("c").label("zone", "2").capacity("cpu", "1"),
    ]
}

async fn world() -> World {
    let world = World::bare(|builder| builder.nodes(nodes()));
    for node in ["a", "b", "c"] {
        world.until(&format!("/api/v1/nodes/{node}"), |node| !node["status"]["capacity"].is_null()).await;
    }
    world
}

#[rstest]
#[case::memory(json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"memory": "2Gi", "cpu": "1500m"}}}]}),
    "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 node(s) had untolerated taint {only: vip}. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")]
#[case::selector(with(one("i"), &json!({"nodeSelector": {"zone": "3"}, "tolerations": [{"operator": "Exists"}]})),
    "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")]
#[case::claim(with(one("i"), &json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]})),
    "0/3 nodes are available: persistentvolumeclaim \"none\" not found. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")]
#[tokio::test(start_paused = true)]
async fn unschedulable_pods_say_why(#[case] spec: Value, #[case] why: &str) {
    let world = world().await;
    let path = world.pod("p", spec).await;
    let pod = world.until(&path, |pod| condition(pod, "PodScheduled")["status"] == "False").await;
    assert_eq!(condition(&pod, "PodScheduled")["reason"], "Unschedulable");
    assert_eq!(condition(&pod, "PodScheduled")["message"], why);
    assert_eq!(phase(&pod), "Pending");
    let event = format!("FailedScheduling: {why}");
    world.until("/api/v1/events", |list| list.to_string().contains("FailedScheduling")).await;
    assert!(world.events().await.contains(&event));
}

#[rstest]
#[case::extended(json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"example.dev/kvm": "1"}, "limits": {"example.dev/kvm": "1"}}}]}), "a")]
#[case::tolerated(with(one("i"), &json!({"nodeSelector": {"kubernetes.io/hostname": "b"}, "tolerations": [{"key": "only", "operator": "Exists"}]})), "b")]
#[case::affinity(with(one("i"), &json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["1"]}]}]}}}})), "c")]
#[case::preferred(with(one("i"), &json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["2"]}]}}]}}})), "c")]
#[case::by_name(with(one("i"), &json!({"nodeName": "b"})), "b")]
#[tokio::test(start_paused = true)]
async fn pods_find_their_node(#[case] spec: Value, #[case] node: &str) {
    let world = world().await;
    let path = world.pod("p", spec).await;
    let pod = world.until(&path, |pod| phase(pod) == "Running").await;
    assert_eq!(pod["spec"]["nodeName"], node);
}

#[tokio::test(start_paused = true)]
async fn pods_are_retried_when_the_cluster_changes() {
    let world = World::start(1, |builder| builder).await;
    let big = json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "10"}}}]});
    let first = world.pod("first", big.clone()).await;
    world.until(&first, |pod| phase(pod) == "Running").await;
    let second = world.pod("second", big).await;
    let pod = world.until(&second, |pod| condition(pod, "PodScheduled")["status"] == "False").await;
    assert_eq!(
        condition(&pod, "PodScheduled")["message"],
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    );
    world.delete(&first, json!({})).await;
    world.until(&second, |pod| phase(pod) == "Running").await;
    let gated = world.pod("gated", with(one("i"), &json!({"schedulingGates": [{"name": "g"}]}))).await;
    world.until(&gated, |pod| condition(pod, "PodScheduled")["reason"] == "SchedulingGated").await;
    world.client.strategic(&gated, &json!({"spec": {"schedulingGates": [{"name": "g", "$patch": "delete"}]}})).await.unwrap();
    world.until(&gated, |pod| phase(pod) == "Running").await;
}

#[tokio::test(start_paused = true)]
async fn pods_keep_their_distance() {
    let world = World::start(2, |builder| builder).await;
    let apart = |labels: &str| {
        json!({
            "containers": [{"name": "c", "image": "i"}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": labels}}}
            ]}}
        })
    };
    let mut used = Vec::new();
    for name in ["p", "q", "r"] {
        world
            .create(
                &super::pods(),
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "x"}}, "spec": apart("x")}),
            )
            .await;
        let path = format!("{}/{name}", super::pods());
        let pod = world.until(&path, |pod| !condition(pod, "PodScheduled").is_null()).await;
        used.push(pod["spec"]["nodeName"].as_str().map(str::to_owned));
        if name == "r" {
            let message = condition(&pod, "PodScheduled")["message"].as_str().unwrap();
            assert!(message.starts_with("0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."), "{message}");
        }
    }
    assert_ne!(used[0], used[1]);
    assert_eq!(used[2], None);
}
