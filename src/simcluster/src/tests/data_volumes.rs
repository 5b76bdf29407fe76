//! DataVolumes and the claims they fill.

use std::time::Duration;

use serde_json::{Value, json};

use super::{World, condition, one, phase};

const VOLUMES: &str = "/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datavolumes";
const SOURCES: &str = "/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datasources";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

async fn world() -> World {
    let world = World::start(2, |builder| builder.data_volumes(true)).await;
    for definition in crate::data_volume_definitions() {
        world.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await;
    }
    for class in ["standard", "local"] {
        world.until(&format!("/apis/storage.k8s.io/v1/storageclasses/{class}"), |_| true).await;
    }
    world
}

/// A DataVolume of 1Gi from `source`, of class `class`, with these annotations.
#[allow(clippy::needless_pass_by_value, reason = "values are written as literals where they are used")]
fn volume(name: &str, source: Value, class: Option<&str>, annotations: Value) -> Value {
    json!({
        "apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume", "metadata": {"name": name, "annotations": annotations},
        "spec": {"source": source, "storage": {"storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}}}
    })
}

fn http() -> Value {
    json!({"http": {"url": "http://example.com/disk.img"}})
}

fn mounting(claim: &str) -> Value {
    let mut spec = one("nginx");
    spec["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
    spec
}

#[tokio::test(start_paused = true)]
async fn an_import_tells_its_progress_and_ends_with_a_bound_claim() {
    let world = world().await;
    world.create(VOLUMES, volume("disk", http(), None, json!({"sim.ferrovirt.io/import-time": "1m"}))).await;
    let path = format!("{VOLUMES}/disk");
    let half = world.until(&path, |volume| volume["status"]["progress"] == "50.00%").await;
    assert_eq!((phase(&half), &condition(&half, "Running")["reason"]), ("ImportInProgress", &json!("Pod is running")));
    assert_eq!(phase(&world.get(&format!("{CLAIMS}/disk")).await.unwrap()), "Pending");
    let done = world.until(&path, |volume| phase(volume) == "Succeeded").await;
    assert_eq!((&done["status"]["progress"], &done["status"]["claimName"]), (&json!("100.0%"), &json!("disk")));
    for (kind, status) in [("Bound", "True"), ("Ready", "True"), ("Running", "False")] {
        assert_eq!(condition(&done, kind)["status"], status, "{kind}");
    }
    assert_eq!(condition(&done, "Running")["message"], "Import Complete");
    assert_eq!(world.get(&format!("{CLAIMS}/disk")).await.unwrap()["status"]["capacity"]["storage"], "1138166334");
    let events = world.events().await;
    let told = ["ImportScheduled: Import into disk scheduled", "ImportSucceeded: Successfully imported into PVC disk"];
    assert!(told.iter().all(|event| events.contains(&(*event).to_owned())), "{events:?}");
    world.delete(&path, json!({})).await;
    world.until_gone(&format!("{CLAIMS}/disk")).await;
}

#[tokio::test(start_paused = true)]
async fn storage_classes_have_profiles() {
    let world = world().await;
    let profile = world.until("/apis/cdi.kubevirt.io/v1beta1/storageprofiles/local", |profile| !profile["status"].is_null()).await;
    assert_eq!(profile["status"]["storageClass"], "local");
    let config = world.until("/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config", |config| !config["status"].is_null()).await;
    assert_eq!(config["status"]["filesystemOverhead"]["global"], "0.06");
}

#[tokio::test(start_paused = true)]
async fn the_data_comes_when_a_consumer_is_scheduled_and_before_it_starts() {
    let world = world().await;
    world.create(VOLUMES, volume("disk", http(), Some("local"), json!({"sim.ferrovirt.io/import-time": "30s"}))).await;
    let path = format!("{VOLUMES}/disk");
    world.until(&path, |volume| phase(volume) == "PendingPopulation").await;
    let pod = world.pod("p", mounting("disk")).await;
    world.until(&path, |volume| phase(volume) == "ImportInProgress").await;
    assert_eq!(phase(&world.get(&pod).await.unwrap()), "Pending");
    world.until(&path, |volume| phase(volume) == "Succeeded").await;
    world.until(&pod, |pod| phase(pod) == "Running").await;
}

#[tokio::test(start_paused = true)]
async fn without_a_populator_the_consumer_binds_the_claim_first() {
    let world = world().await;
    let annotations = json!({"cdi.kubevirt.io/storage.usePopulator": "false"});
    world.create(VOLUMES, volume("disk", http(), Some("local"), annotations)).await;
    let path = format!("{VOLUMES}/disk");
    world.until(&path, |volume| phase(volume) == "WaitForFirstConsumer").await;
    let pod = world.pod("p", mounting("disk")).await;
    world.until(&pod, |pod| phase(pod) == "Running").await;
    world.until(&path, |volume| phase(volume) == "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_must_not_wait_is_bound_without_a_consumer() {
    let world = world().await;
    let annotations = json!({"cdi.kubevirt.io/storage.bind.immediate.requested": ""});
    world.create(VOLUMES, volume("disk", json!({"blank": {}}), Some("local"), annotations)).await;
    world.until(&format!("{VOLUMES}/disk"), |volume| phase(volume) == "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_until_they_are_for_good() {
    let world = world().await;
    let twice = json!({"sim.ferrovirt.io/import-fails": "2", "sim.ferrovirt.io/import-error": "no route to host"});
    world.create(VOLUMES, volume("twice", http(), None, twice)).await;
    let path = format!("{VOLUMES}/twice");
    let failed = world.until(&path, |volume| condition(volume, "Running")["reason"] == "Error").await;
    assert_eq!((phase(&failed), &condition(&failed, "Running")["message"]), ("ImportInProgress", &json!("no route to host")));
    let done = world.until(&path, |volume| phase(volume) == "Succeeded").await;
    assert_eq!(done["status"]["restartCount"], 2);
    world.create(VOLUMES, volume("fatal", http(), None, json!({"sim.ferrovirt.io/import-fails": "fatal"}))).await;
    world.until(&format!("{VOLUMES}/fatal"), |volume| phase(volume) == "Failed").await;
    world.create(VOLUMES, volume("odd", http(), None, json!({"sim.ferrovirt.io/import-time": "soon"}))).await;
    let odd = world.until(&format!("{VOLUMES}/odd"), |volume| phase(volume) == "Pending").await;
    assert_eq!(condition(&odd, "Bound")["message"], "annotation sim.ferrovirt.io/import-time: \"soon\" is not a duration");
}

#[tokio::test(start_paused = true)]
async fn clones_wait_for_their_source_and_follow_references() {
    let world = world().await;
    let mut clone = volume("clone", json!({"pvc": {"name": "golden"}}), None, json!({}));
    clone["spec"]["storage"] = json!({});
    world.create(VOLUMES, clone).await;
    let path = format!("{VOLUMES}/clone");
    let waits = world.until(&path, |volume| phase(volume) == "Pending").await;
    assert_eq!(condition(&waits, "Bound")["message"], "The source pvc golden doesn't exist");
    world.create(VOLUMES, volume("golden", http(), None, json!({}))).await;
    world.until(&path, |volume| phase(volume) == "Succeeded").await;
    assert_eq!(world.get(&format!("{CLAIMS}/clone")).await.unwrap()["spec"]["resources"]["requests"]["storage"], "1138166334");
    let source = json!({
        "apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataSource", "metadata": {"name": "images"},
        "spec": {"source": {"pvc": {"name": "golden", "namespace": "default"}}}
    });
    let mut referring = volume("referring", Value::Null, None, json!({}));
    referring["spec"]["sourceRef"] = json!({"kind": "DataSource", "name": "images"});
    world.create(VOLUMES, referring).await;
    let path = format!("{VOLUMES}/referring");
    world.until(&path, |volume| condition(volume, "Bound")["message"] == "DataSource default/images not found").await;
    world.create(SOURCES, source).await;
    world.until(&path, |volume| phase(volume) == "Succeeded").await;
    let events = world.events().await;
    assert!(events.contains(&"CloneSucceeded: Successfully cloned from default/golden into default/referring".to_owned()), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn uploads_last_until_somebody_sends_the_disk() {
    let world = world().await;
    world.create(VOLUMES, volume("disk", json!({"upload": {}}), None, json!({}))).await;
    let path = format!("{VOLUMES}/disk");
    world.until(&path, |volume| phase(volume) == "UploadReady").await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(phase(&world.get(&path).await.unwrap()), "UploadReady");
    world.client.merge(&path, &json!({"metadata": {"annotations": {"sim.ferrovirt.io/uploaded": "true"}}})).await.unwrap();
    world.until(&path, |volume| phase(volume) == "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_the_same_name_is_taken_over_only_when_allowed() {
    let world = world().await;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "disk"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    });
    world.create(CLAIMS, claim).await;
    world.create(VOLUMES, volume("disk", http(), None, json!({}))).await;
    let path = format!("{VOLUMES}/disk");
    let refused = world.until(&path, |volume| phase(volume) == "Pending").await;
    assert_eq!(condition(&refused, "Bound")["message"], "Resource \"disk\" already exists and is not managed by DataVolume");
    world.client.merge(&path, &json!({"metadata": {"annotations": {"cdi.kubevirt.io/allowClaimAdoption": "true"}}})).await.unwrap();
    world.until(&path, |volume| phase(volume) == "Succeeded").await;
    let adopted = world.get(&format!("{CLAIMS}/disk")).await.unwrap();
    assert_eq!(adopted["metadata"]["ownerReferences"][0]["kind"], "DataVolume");
}
