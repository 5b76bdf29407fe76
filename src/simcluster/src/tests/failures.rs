//! Nodes fail, namespaces end, images lie, probes fail, and a run repeats exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use serde_json::{Value, json};

use super::{World, condition, one, phase, pods};
use crate::{Images, ProbeKind, Prober};

#[tokio::test(start_paused = true)]
async fn a_lost_node_loses_its_pods_in_time() {
    let world = World::start(2, |builder| builder).await;
    let path = world.pod("p", one("nginx")).await;
    let pod = world.until(&path, |pod| phase(pod) == "Running").await;
    let node = pod["spec"]["nodeName"].as_str().unwrap().to_owned();
    let before = world.elapsed();
    world.cluster.kill_node(&node).unwrap();
    let lost = world.until(&format!("/api/v1/nodes/{node}"), |node| condition(node, "Ready")["status"] == "Unknown").await;
    assert_eq!(condition(&lost, "Ready")["message"], "Kubelet stopped posting node status.");
    let silent = world.since(before);
    assert!((30..=50).contains(&silent), "{silent}");
    world.until(&path, |pod| condition(pod, "Ready")["status"] == "False").await;
    let node_path = format!("/api/v1/nodes/{node}");
    world.until(&node_path, |node| node["spec"]["taints"].to_string().contains("node.kubernetes.io/unreachable")).await;
    let marked = world.elapsed();
    world.until(&path, |pod| !pod["metadata"]["deletionTimestamp"].is_null()).await;
    let left = world.since(marked);
    assert!((298..=301).contains(&left), "the default toleration is 300 s: {left}");
    // Nobody is there to end it; the node comes back and does.
    let pod = world.get(&path).await.unwrap();
    assert_eq!(condition(&pod, "DisruptionTarget")["reason"], "DeletionByTaintManager");
    world.cluster.restart(&node).unwrap();
    world.until_gone(&path).await;
    world.until(&node_path, |node| condition(node, "Ready")["status"] == "True" && node["spec"]["taints"].is_null()).await;
}

#[tokio::test(start_paused = true)]
async fn containers_restart_after_a_power_failure() {
    let world = World::start(1, |builder| builder).await;
    let path = world.pod("p", one("nginx")).await;
    let mut once = one("nginx");
    once["restartPolicy"] = json!("Never");
    let other = world.pod("once", once).await;
    world.until(&path, |pod| phase(pod) == "Running").await;
    world.until(&other, |pod| phase(pod) == "Running").await;
    world.cluster.kill_node("n1").unwrap();
    world.cluster.restart("n1").unwrap();
    let pod = world.until(&path, |pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1).await;
    assert_eq!(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 255);
    world.until(&other, |pod| phase(pod) == "Failed").await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_kubelet_obeys_later() {
    let world = World::start(1, |builder| builder).await;
    let path = world.pod("p", one("nginx")).await;
    world.until(&path, |pod| phase(pod) == "Running").await;
    world.cluster.stop_kubelet("n1").unwrap();
    world.delete(&path, json!({})).await;
    world.until("/api/v1/nodes/n1", |node| condition(node, "Ready")["status"] == "Unknown").await;
    assert!(world.get(&path).await.is_some());
    world.cluster.restart("n1").unwrap();
    world.until_gone(&path).await;
    assert!(world.cluster.kill_node("none").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_ends_when_it_is_empty() {
    let world = World::start(1, |builder| builder).await;
    world.create("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})).await;
    world.until("/api/v1/namespaces/x/serviceaccounts/default", |_| true).await;
    world.until("/api/v1/namespaces/x/configmaps/kube-root-ca.crt", |map| map["data"]["ca.crt"].is_string()).await;
    let held = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.dev/f"]}});
    world.create("/api/v1/namespaces/x/configmaps", held).await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": one("nginx")});
    world.create("/api/v1/namespaces/x/pods", pod).await;
    world.until("/api/v1/namespaces/x/pods/p", |pod| phase(pod) == "Running").await;
    world.delete("/api/v1/namespaces/x", json!({})).await;
    let namespace =
        world.until("/api/v1/namespaces/x", |namespace| condition(namespace, "NamespaceFinalizersRemaining")["status"] == "True").await;
    assert_eq!(phase(&namespace), "Terminating");
    assert_eq!(
        condition(&namespace, "NamespaceContentRemaining")["message"],
        "Some resources are remaining: configmaps. has 1 resource instances"
    );
    assert!(world.get("/api/v1/namespaces/x/pods/p").await.is_none());
    let path = "/api/v1/namespaces/x/configmaps/held";
    world.client.merge(path, &json!({"metadata": {"finalizers": null}})).await.unwrap();
    world.until_gone("/api/v1/namespaces/x").await;
}

struct Switch(Arc<AtomicBool>);

#[async_trait]
impl Prober for Switch {
    async fn probe(&self, _: &Pod, _: &str, _: &Container, kind: ProbeKind, _: &Probe) -> Result<(), String> {
        if kind == ProbeKind::Liveness || self.0.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err("HTTP probe failed with statuscode: 500".to_owned())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_probe() {
    let healthy = Arc::new(AtomicBool::new(true));
    let prober = Arc::new(Switch(healthy.clone()));
    let world = World::start(1, |builder| builder.prober(prober)).await;
    let mut spec = one("nginx");
    spec["containers"][0]["readinessProbe"] = json!({"httpGet": {"port": 80}, "periodSeconds": 2, "failureThreshold": 2});
    let path = world.pod("p", spec).await;
    world.until(&path, |pod| condition(pod, "Ready")["status"] == "True").await;
    healthy.store(false, Ordering::SeqCst);
    world.until(&path, |pod| condition(pod, "Ready")["status"] == "False").await;
    assert!(world.events().await.contains(&"Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 500".to_owned()));
    healthy.store(true, Ordering::SeqCst);
    world.until(&path, |pod| condition(pod, "Ready")["status"] == "True").await;
}

/// Everything that happens in a busy minute, as one text.
async fn diary() -> String {
    let world = World::start(3, |builder| builder.images(Images::new().exit("crash", 1))).await;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "replicas": 5, "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": one("nginx")}
        }
    });
    world.create("/apis/apps/v1/namespaces/default/deployments", deployment).await;
    world.pod("crash", one("crash")).await;
    world.until("/apis/apps/v1/namespaces/default/deployments/d", |d| d["status"]["availableReplicas"] == 5).await;
    world.cluster.kill_node("n2").unwrap();
    world.until("/api/v1/nodes/n2", |node| condition(node, "Ready")["status"] == "Unknown").await;
    let state: Vec<Value> = vec![world.get(&pods()).await.unwrap(), world.get("/api/v1/events").await.unwrap()];
    serde_json::to_string(&state).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_run_repeats_exactly() {
    let first = diary().await;
    let clock = tokio::time::Instant::now();
    // The second world starts at another time of tokio's clock, but at the same time of its own.
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(clock.elapsed() >= Duration::from_secs(1));
    let second = diary().await;
    assert!(first == second, "{}", first.len());
}
