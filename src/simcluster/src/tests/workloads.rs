//! Deployments, DaemonSets, Jobs, and what Services and budgets see of them.

use serde_json::{Value, json};

use super::{World, condition, one, phase, pods};
use crate::{Images, NodeSpec};

const APPS: &str = "/apis/apps/v1/namespaces/default";

fn deployment(replicas: i32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": one(image)}
        }
    })
}

fn names(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn active(list: &Value) -> Vec<&Value> {
    list["items"].as_array().unwrap().iter().filter(|item| item["metadata"]["deletionTimestamp"].is_null()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_rolls_out_scales_and_goes() {
    let world = World::start(2, |builder| builder).await;
    world.create(&format!("{APPS}/deployments"), deployment(3, "a:1")).await;
    let path = format!("{APPS}/deployments/d");
    let ready = world.until(&path, |d| d["status"]["availableReplicas"] == 3).await;
    assert_eq!(condition(&ready, "Available")["reason"], "MinimumReplicasAvailable");
    let done = world.until(&path, |d| condition(d, "Progressing")["reason"] == "NewReplicaSetAvailable").await;
    assert_eq!(done["status"]["observedGeneration"], done["metadata"]["generation"]);
    let sets = world.get(&format!("{APPS}/replicasets")).await.unwrap();
    assert_eq!(names(&sets).len(), 1);
    assert!(names(&sets)[0].starts_with("d-"));
    world.client.merge(&path, &json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "a:2"}]}}}})).await.unwrap();
    world
        .until(&path, |d| d["status"]["updatedReplicas"] == 3 && d["status"]["replicas"] == 3 && d["status"]["availableReplicas"] == 3)
        .await;
    let list = world.until(&pods(), |list| active(list).len() == 3).await;
    assert!(active(&list).iter().all(|pod| pod["spec"]["containers"][0]["image"] == "a:2"));
    assert_eq!(names(&world.get(&format!("{APPS}/replicasets")).await.unwrap()).len(), 2);
    world.client.merge(&path, &json!({"spec": {"replicas": 1}})).await.unwrap();
    world.until(&pods(), |list| list["items"].as_array().unwrap().len() == 1).await;
    world.delete(&path, json!({"propagationPolicy": "Background"})).await;
    world.until(&pods(), |list| list["items"].as_array().unwrap().is_empty()).await;
    world.until(&format!("{APPS}/replicasets"), |list| names(list).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_deployment_left_behind_is_taken_in_by_the_next() {
    let world = World::start(1, |builder| builder).await;
    let path = format!("{APPS}/deployments/d");
    world.create(&format!("{APPS}/deployments"), deployment(2, "a")).await;
    world.until(&path, |d| d["status"]["availableReplicas"] == 2).await;
    let before = world.get(&pods()).await.unwrap();
    world.delete(&path, json!({"propagationPolicy": "Orphan"})).await;
    world.until(&format!("{APPS}/replicasets"), |list| list["items"][0]["metadata"]["ownerReferences"].is_null()).await;
    world.create(&format!("{APPS}/deployments"), deployment(2, "a")).await;
    world.until(&path, |d| d["status"]["availableReplicas"] == 2).await;
    assert_eq!(names(&world.get(&pods()).await.unwrap()), names(&before));
    assert_eq!(names(&world.get(&format!("{APPS}/replicasets")).await.unwrap()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_set_are_replaced() {
    let world = World::start(1, |builder| builder).await;
    world.create(&format!("{APPS}/deployments"), deployment(1, "a")).await;
    let list = world.until(&pods(), |list| list["items"].as_array().unwrap().iter().any(|pod| phase(pod) == "Running")).await;
    let name = names(&list).remove(0);
    world.delete(&format!("{}/{name}", pods()), json!({})).await;
    world.until(&pods(), |list| list["items"].as_array().unwrap().len() == 1 && names(list)[0] != name).await;
}

#[tokio::test(start_paused = true)]
async fn daemons_run_where_they_fit() {
    let nodes = [
        NodeSpec::new("a").label("gpu", "yes"),
        NodeSpec::new("b").label("gpu", "yes").taint("only", "vip", "NoSchedule"),
        NodeSpec::new("c"),
    ];
    let world = World::bare(|builder| builder.nodes(nodes));
    let mut spec = one("agent");
    spec["nodeSelector"] = json!({"gpu": "yes"});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "ds"},
        "spec": {"selector": {"matchLabels": {"app": "ds"}}, "template": {"metadata": {"labels": {"app": "ds"}}, "spec": spec}}
    });
    world.until("/api/v1/namespaces/default/serviceaccounts/default", |_| true).await;
    world.create(&format!("{APPS}/daemonsets"), set).await;
    let path = format!("{APPS}/daemonsets/ds");
    world.until(&path, |ds| ds["status"]["numberReady"] == 1 && ds["status"]["desiredNumberScheduled"] == 1).await;
    let list = world.get(&pods()).await.unwrap();
    assert_eq!(list["items"][0]["spec"]["nodeName"], "a");
    world.client.merge("/api/v1/nodes/c", &json!({"metadata": {"labels": {"gpu": "yes"}}})).await.unwrap();
    world.until(&path, |ds| ds["status"]["numberReady"] == 2).await;
    world.client.merge("/api/v1/nodes/a", &json!({"metadata": {"labels": {"gpu": null}}})).await.unwrap();
    world.until(&pods(), |list| list["items"].as_array().unwrap().len() == 1).await;
    world.client.merge(&path, &json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "agent:2"}]}}}})).await.unwrap();
    world.until(&path, |ds| ds["status"]["updatedNumberScheduled"] == 1 && ds["status"]["numberAvailable"] == 1).await;
}

#[tokio::test(start_paused = true)]
async fn jobs_complete_or_fail() {
    let world = World::start(1, |builder| builder.images(Images::new().exit("ok", 0).exit("bad", 1))).await;
    for (name, image, kind) in [("good", "ok", "Complete"), ("poor", "bad", "Failed")] {
        let mut spec = one(image);
        spec["restartPolicy"] = json!("Never");
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"backoffLimit": 1, "template": {"spec": spec}}
        });
        world.create("/apis/batch/v1/namespaces/default/jobs", job).await;
        let path = format!("/apis/batch/v1/namespaces/default/jobs/{name}");
        let job = world.until(&path, |job| condition(job, kind)["status"] == "True").await;
        let figures = (job["status"]["succeeded"].as_i64(), job["status"]["failed"].as_i64());
        assert_eq!(figures, if kind == "Complete" { (Some(1), None) } else { (None, Some(2)) });
    }
}

#[tokio::test(start_paused = true)]
async fn services_have_the_addresses_of_ready_pods() {
    let world = World::start(1, |builder| builder).await;
    world.create(&format!("{APPS}/deployments"), deployment(2, "a")).await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"selector": {"app": "d"}, "ports": [{"name": "https", "port": 443, "targetPort": 8443}]}
    });
    world.create("/api/v1/namespaces/default/services", service).await;
    let count = |endpoints: &Value| endpoints["subsets"][0]["addresses"].as_array().map_or(0, Vec::len);
    let endpoints = world.until("/api/v1/namespaces/default/endpoints/s", |endpoints| count(endpoints) == 2).await;
    assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], 8443);
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    world.until(slices, |list| list["items"][0]["endpoints"].as_array().is_some_and(|list| list.len() == 2)).await;
    world.client.merge(&format!("{APPS}/deployments/d"), &json!({"spec": {"replicas": 0}})).await.unwrap();
    world.until("/api/v1/namespaces/default/endpoints/s", |endpoints| count(endpoints) == 0).await;
    world.delete("/api/v1/namespaces/default/services/s", json!({})).await;
    world.until(slices, |list| list["items"].as_array().unwrap().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn budgets_allow_what_is_left_over() {
    let world = World::start(1, |builder| builder).await;
    world.create(&format!("{APPS}/deployments"), deployment(3, "a")).await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "d"}}}
    });
    world.create("/apis/policy/v1/namespaces/default/poddisruptionbudgets", budget).await;
    let path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/b";
    let budget = world.until(path, |budget| budget["status"]["disruptionsAllowed"] == 1).await;
    assert_eq!((&budget["status"]["currentHealthy"], &budget["status"]["desiredHealthy"]), (&json!(3), &json!(2)));
    world.client.merge(&format!("{APPS}/deployments/d"), &json!({"spec": {"replicas": 2}})).await.unwrap();
    let budget = world.until(path, |budget| budget["status"]["disruptionsAllowed"] == 0).await;
    assert_eq!(condition(&budget, "DisruptionAllowed")["reason"], "InsufficientPods");
}

/// The same on real time and several threads: nothing relies on one thread or a clock that stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_works_on_many_threads() {
    let world = World::start(4, |builder| builder).await;
    world.create(&format!("{APPS}/deployments"), deployment(60, "a")).await;
    let path = format!("{APPS}/deployments/d");
    world.until(&path, |d| d["status"]["availableReplicas"] == 60).await;
    let list = world.get(&pods()).await.unwrap();
    let addresses: std::collections::BTreeSet<&str> =
        list["items"].as_array().unwrap().iter().map(|pod| pod["status"]["podIP"].as_str().unwrap()).collect();
    assert_eq!(addresses.len(), 60, "every pod has its own address");
    world.client.merge(&path, &json!({"spec": {"replicas": 0}})).await.unwrap();
    world.until(&pods(), |list| list["items"].as_array().unwrap().is_empty()).await;
    world.cluster.stop();
}
