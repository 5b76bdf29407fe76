//! Steps about what is guarded once it exists: statuses, evictions, the installation, launcher pods.

use anyhow::{Result, bail, ensure};
use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::world::SpecWorld;
use serde_json::{Value, json};

use crate::objects::{at, rows, text};

type Done = Result<()>;

const VMI: &str = "VirtualMachineInstance";
/// The installation.
const KUBEVIRT: &str = "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt";
const MERGE: &str = "application/merge-patch+json";

async fn patch_installation(world: &mut SpecWorld, query: &str, patch: &Value) -> Done {
    world.attempt_raw("PATCH", &format!("{KUBEVIRT}{query}"), MERGE, patch.to_string().into_bytes()).await
}

/// Gates are read from the KubeVirt resource; whoever follows it has seen the change when its own requests were answered.
#[given(expr = "the feature gate {word} is on")]
async fn gate_on(world: &mut SpecWorld, gate: String) -> Done {
    patch_installation(world, "", &json!({"spec": {"configuration": {"developerConfiguration": {"featureGates": [gate]}}}})).await?;
    world.not_refused()?;
    // Time passes once all who have something to do have done it: among them those who follow the resource.
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    Ok(())
}

#[then("it is not refused")]
async fn not_refused(world: &mut SpecWorld) -> Done {
    world.not_refused()
}

#[when(expr = "the client tries to patch the status of the VM {string} with:")]
async fn patches_status(world: &mut SpecWorld, step: &Step, name: String) -> Done {
    let path = format!("/apis/kubevirt.io/v1/namespaces/default/virtualmachines/{name}/status");
    world.attempt_raw("PATCH", &path, MERGE, text(step).into_bytes()).await
}

async fn evict(world: &mut SpecWorld, name: &str) -> Done {
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}});
    let path = format!("/api/v1/namespaces/default/pods/{name}/eviction");
    world.attempt_raw("POST", &path, "application/json", serde_json::to_vec(&eviction)?).await
}

#[when(expr = "the client evicts the pod of the VMI {string}")]
async fn evicts(world: &mut SpecWorld, vmi: String) -> Done {
    let pod = world.until_pod(&vmi, "a pod", |pod| pod.is_some()).await?;
    evict(world, at(pod.as_ref(), "/metadata/name")).await
}

#[when(expr = "the client evicts the pod {string}")]
async fn evicts_pod(world: &mut SpecWorld, name: String) -> Done {
    evict(world, &name).await
}

#[then(expr = "the VMI {string} is marked for evacuation")]
async fn marked(world: &mut SpecWorld, name: String) -> Done {
    world.until(VMI, &name, "an evacuation", PATIENCE, |vmi| !at(vmi, "/status/evacuationNodeName").is_empty()).await.map(drop)
}

#[when("the client posts a second KubeVirt")]
async fn second_installation(world: &mut SpecWorld) -> Done {
    world.attempt_stored(&json!({"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": {"name": "second"}, "spec": {}})).await
}

#[when(expr = "the installation is deployed with the uninstall strategy {string}")]
async fn uninstall_strategy(world: &mut SpecWorld, strategy: String) -> Done {
    patch_installation(world, "", &json!({"spec": {"uninstallStrategy": strategy}})).await?;
    world.not_refused()?;
    patch_installation(world, "/status", &json!({"status": {"phase": "Deployed"}})).await?;
    world.not_refused()
}

#[when("the administrator tries to delete the installation")]
async fn deletes_installation(world: &mut SpecWorld) -> Done {
    world.attempt_raw("DELETE", KUBEVIRT, "application/json", b"{}".to_vec()).await
}

fn has_container(pod: &Value, name: &str) -> bool {
    pod["spec"]["containers"].as_array().into_iter().flatten().any(|container| container["name"] == *name)
}

#[then(expr = "the pod of the VMI {string} has no container {string}")]
async fn no_container(world: &mut SpecWorld, vmi: String, name: String) -> Done {
    let pod = world.until_pod(&vmi, "a pod", |pod| pod.is_some()).await?.unwrap_or_default();
    ensure!(!has_container(&pod, &name), "it has one");
    Ok(())
}

/// Rows: a mount of the compute container, the volume it is of, and whether the pod gets the container.
#[then(expr = "these launcher pods of the VMI {string} get the container {string}, or not:")]
async fn containers(world: &mut SpecWorld, step: &Step, vmi: String, name: String) -> Done {
    let uid = world.get(VMI, &vmi).await?["metadata"]["uid"].clone();
    for row in rows(step).into_iter().skip(1) {
        let [mount, volume, wanted] = row.as_slice() else { bail!("a row has a mount, a volume and yes or no: {row:?}") };
        let (mount, volume): (Value, Value) = (serde_json::from_str(mount)?, serde_json::from_str(volume)?);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "virt-launcher-other", "labels": {"kubevirt.io": "virt-launcher"},
                "ownerReferences": [{"apiVersion": "kubevirt.io/v1", "kind": VMI, "name": vmi, "uid": uid}],
            },
            "spec": {
                "containers": [{"name": "compute", "image": "launcher", "volumeMounts": [mount]}],
                "volumes": [volume, {"name": "virtiofs-containers", "emptyDir": {}}],
            },
        });
        let request = http::Request::post("/api/v1/namespaces/default/pods?dryRun=All").header("Content-Type", "application/json");
        let answer = world.cluster()?.client().request_text(request.body(serde_json::to_vec(&pod)?)?).await?;
        let admitted: Value = serde_json::from_str(&answer)?;
        ensure!(has_container(&admitted, &name) == (wanted == "yes"), "{row:?}: {}", admitted["spec"]["containers"]);
    }
    Ok(())
}

async fn creates_as_virt_api(world: &mut SpecWorld, kind: &str, query: &str) -> Done {
    let labels = json!({"app": "a"});
    let workload = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "tried"},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "registry.example/web"}]},
        }},
    });
    let path = format!("/apis/apps/v1/namespaces/kubevirt/{}s{query}", kind.to_lowercase());
    world.impersonate("system:serviceaccount:kubevirt:kubevirt-apiserver");
    let asked = world.attempt_raw("POST", &path, "application/json", serde_json::to_vec(&workload)?).await;
    world.be_admin();
    asked
}

#[then(regex = r"^virt-api may create a (\w+) in a dry run$")]
async fn may_try(world: &mut SpecWorld, kind: String) -> Done {
    creates_as_virt_api(world, &kind, "?dryRun=All").await?;
    world.not_refused()
}

#[then(regex = r"^virt-api may not create a (\w+)$")]
async fn may_not_store(world: &mut SpecWorld, kind: String) -> Done {
    creates_as_virt_api(world, &kind, "").await?;
    ensure!(world.refusal()?.code == 403, "{:?}", world.refusal()?);
    Ok(())
}
