//! Claims and volumes.

use serde_json::{Value, json};

use super::{World, condition, one, phase, pods};

const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

fn claim(name: &str, class: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": class}
    })
}

fn mounting(claim: &str) -> Value {
    let mut spec = one("nginx");
    spec["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
    spec
}

async fn world(nodes: usize) -> World {
    let world = World::start(nodes, |builder| builder).await;
    for class in ["standard", "local"] {
        world.until(&format!("/apis/storage.k8s.io/v1/storageclasses/{class}"), |_| true).await;
    }
    world
}

#[tokio::test(start_paused = true)]
async fn claims_of_the_default_class_are_bound_at_once() {
    let world = world(1).await;
    world.create(CLAIMS, claim("a", None)).await;
    let path = format!("{CLAIMS}/a");
    let bound = world.until(&path, |claim| phase(claim) == "Bound").await;
    assert_eq!((&bound["spec"]["storageClassName"], &bound["status"]["capacity"]["storage"]), (&json!("standard"), &json!("1Gi")));
    let volume = format!("/api/v1/persistentvolumes/{}", bound["spec"]["volumeName"].as_str().unwrap());
    world.until(&volume, |volume| phase(volume) == "Bound").await;
    let pod = world.pod("p", mounting("a")).await;
    world.until(&pod, |pod| phase(pod) == "Running").await;
    world.delete(&path, json!({})).await;
    world.until(&path, |claim| !claim["metadata"]["deletionTimestamp"].is_null()).await;
    world.delete(&pod, json!({})).await;
    world.until_gone(&path).await;
    world.until_gone(&volume).await;
}

#[tokio::test(start_paused = true)]
async fn claims_wait_for_their_first_consumer() {
    let world = world(3).await;
    world.create(CLAIMS, claim("a", Some("local"))).await;
    let path = format!("{CLAIMS}/a");
    world.until("/api/v1/events", |list| list.to_string().contains("waiting for first consumer")).await;
    assert_eq!(phase(&world.get(&path).await.unwrap()), "Pending");
    let mut spec = mounting("a");
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": "n2"});
    let pod = world.pod("p", spec).await;
    world.until(&pod, |pod| phase(pod) == "Running").await;
    let bound = world.until(&path, |claim| phase(claim) == "Bound").await;
    assert_eq!(bound["metadata"]["annotations"]["volume.kubernetes.io/selected-node"], "n2");
    // The volume is on that node: another pod follows it.
    let other = world.pod("q", mounting("a")).await;
    let other = world.until(&other, |pod| phase(pod) == "Running").await;
    assert_eq!(other["spec"]["nodeName"], "n2");
    let mut spec = mounting("a");
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": "n1"});
    let third = world.pod("r", spec).await;
    let third = world.until(&third, |pod| condition(pod, "PodScheduled")["status"] == "False").await;
    assert_eq!(
        condition(&third, "PodScheduled")["message"],
        "0/3 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 2 node(s) didn't match Pod's node affinity/selector. \
         preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    );
}

#[tokio::test(start_paused = true)]
async fn claims_take_the_smallest_free_volume_or_say_why_not() {
    let world = world(1).await;
    for (name, size) in [("big", "10Gi"), ("small", "2Gi"), ("tiny", "1Mi")] {
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"},
                "storageClassName": "manual", "persistentVolumeReclaimPolicy": "Retain"
            }
        });
        world.create("/api/v1/persistentvolumes", volume).await;
    }
    world.create(CLAIMS, claim("a", Some("manual"))).await;
    let bound = world.until(&format!("{CLAIMS}/a"), |claim| phase(claim) == "Bound").await;
    assert_eq!(bound["spec"]["volumeName"], "small");
    world.create(CLAIMS, claim("none", Some(""))).await;
    world.create(CLAIMS, claim("lost", Some("nowhere"))).await;
    world.until("/api/v1/events", |list| list.to_string().contains("ProvisioningFailed")).await;
    let events = world.events().await;
    for event in [
        "FailedBinding: no persistent volumes available for this claim and no storage class is set",
        "ProvisioningFailed: storageclass.storage.k8s.io \"nowhere\" not found",
    ] {
        assert!(events.contains(&event.to_owned()), "{events:?}");
    }
    let pod = world.pod("p", mounting("none")).await;
    let pod = world.until(&pod, |pod| condition(pod, "PodScheduled")["status"] == "False").await;
    let message = condition(&pod, "PodScheduled")["message"].as_str().unwrap();
    assert!(message.starts_with("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."), "{message}");
    world.delete(&format!("{CLAIMS}/a"), json!({})).await;
    world.until("/api/v1/persistentvolumes/small", |volume| phase(volume) == "Released").await;
    assert!(world.get(&format!("{}/none", pods())).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn pods_bring_claims_along() {
    let world = world(1).await;
    let mut spec = one("nginx");
    let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    spec["volumes"] = json!([{"name": "v", "ephemeral": {"volumeClaimTemplate": template}}]);
    let pod = world.pod("p", spec).await;
    world.until(&pod, |pod| phase(pod) == "Running").await;
    world.until(&format!("{CLAIMS}/p-v"), |claim| phase(claim) == "Bound").await;
    world.delete(&pod, json!({})).await;
    world.until_gone(&format!("{CLAIMS}/p-v")).await;
}
