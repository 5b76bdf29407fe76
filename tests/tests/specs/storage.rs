//! Steps about claims and DataVolumes.

use crate::objects::{at, rows};
use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use ferrovirt_tests::manifest;
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::world::SpecWorld;
use serde_json::{Value, json};

type Done = anyhow::Result<()>;
const KIND: &str = "DataVolume";

/// A DataVolume of 1Gi from a web server, changed by a table.
fn data_volume(name: &str, step: &Step) -> Value {
    let mut volume = json!({
        "metadata": {"name": name},
        "spec": {
            "source": {"http": {"url": "http://images.example/disk.qcow2"}},
            "storage": {"resources": {"requests": {"storage": "1Gi"}}},
        },
    });
    for row in rows(step) {
        if let [path, value] = row.as_slice() {
            manifest::set(&mut volume, path, value);
        }
    }
    volume
}

/// A VM whose only disk is the DataVolume `disk`.
fn vm_on(name: &str, run: &str, disk: &str) -> Value {
    let mut vm = manifest::vm(name, ("runStrategy", Value::from(run)));
    vm["spec"]["template"]["spec"]["volumes"] = json!([{"name": "containerdisk", "dataVolume": {"name": disk}}]);
    vm
}

#[when(expr = "the client creates the VM {string} with run strategy {string} and a template of the DataVolume {string}")]
#[when(expr = "the client creates the VM {string} with run strategy {string} and a template of the DataVolume {string} with:")]
async fn creates_vm(world: &mut SpecWorld, step: &Step, name: String, run: String, disk: String) -> Done {
    let mut vm = vm_on(&name, &run, &disk);
    vm["spec"]["dataVolumeTemplates"] = json!([data_volume(&disk, step)]);
    world.create(&vm).await
}

#[when(expr = "the client creates the VM {string} with run strategy {string} and the DataVolume {string}")]
async fn creates_vm_on(world: &mut SpecWorld, name: String, run: String, disk: String) -> Done {
    world.create(&vm_on(&name, &run, &disk)).await
}

#[when(expr = "the client creates the DataVolume {string}")]
#[when(expr = "the client creates the DataVolume {string} with:")]
async fn creates(world: &mut SpecWorld, step: &Step, name: String) -> Done {
    let mut volume = data_volume(&name, step);
    volume["apiVersion"] = json!("cdi.kubevirt.io/v1beta1");
    volume["kind"] = json!(KIND);
    world.create(&volume).await
}

#[when(expr = "the client creates the DataSource {string} of the claim {string}")]
async fn creates_source(world: &mut SpecWorld, name: String, claim: String) -> Done {
    world
        .create(&json!({
            "apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataSource", "metadata": {"name": name},
            "spec": {"source": {"pvc": {"namespace": "default", "name": claim}}},
        }))
        .await
}

#[when(expr = "the DataVolume {string} becomes {word}")]
#[then(expr = "the DataVolume {string} becomes {word}")]
async fn becomes(world: &mut SpecWorld, name: String, phase: String) -> Done {
    world.until(KIND, &name, &format!("phase {phase}"), PATIENCE, |volume| at(volume, "/status/phase") == phase).await.map(drop)
}

#[then(expr = "the DataVolume {string} reaches {string}")]
async fn reaches(world: &mut SpecWorld, name: String, progress: String) -> Done {
    world.until(KIND, &name, &progress, PATIENCE, |volume| at(volume, "/status/progress") == progress).await.map(drop)
}

#[then(expr = "the DataVolume {string} is cloned from the claim {string}")]
async fn cloned_from(world: &mut SpecWorld, name: String, claim: String) -> Done {
    let volume = world.get(KIND, &name).await?;
    anyhow::ensure!(at(Some(&volume), "/spec/source/pvc/name") == claim, "{}", volume["spec"]);
    Ok(())
}

#[then(expr = "the DataVolume {string} has no owner")]
async fn no_owner(world: &mut SpecWorld, name: String) -> Done {
    let orphaned = |volume: Option<&Value>| volume.is_some_and(|volume| volume.pointer("/metadata/ownerReferences/0").is_none());
    world.until(KIND, &name, "no owner", PATIENCE, orphaned).await.map(drop)
}

#[then(expr = "the DataVolume {string} is owned by the VM {string}")]
async fn owned(world: &mut SpecWorld, name: String, vm: String) -> Done {
    let vm = world.get("VirtualMachine", &vm).await?;
    let uid = at(Some(&vm), "/metadata/uid").to_owned();
    world.until(KIND, &name, "its owner", PATIENCE, |volume| at(volume, "/metadata/ownerReferences/0/uid") == uid).await.map(drop)
}

#[then(expr = "the DataVolume {string} is gone")]
async fn gone(world: &mut SpecWorld, name: String) -> Done {
    world.until(KIND, &name, "gone", PATIENCE, |volume| volume.is_none()).await.map(drop)
}

#[then(expr = "the claim {string} is gone")]
async fn claim_gone(world: &mut SpecWorld, name: String) -> Done {
    world.until("PersistentVolumeClaim", &name, "gone", PATIENCE, |claim| claim.is_none()).await.map(drop)
}

#[given(expr = "a storage class {string} whose provisioner does not run")]
async fn idle_class(world: &mut SpecWorld, name: String) -> Done {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": "disks.example.com", "volumeBindingMode": "WaitForFirstConsumer",
    });
    world.attempt_raw("POST", "/apis/storage.k8s.io/v1/storageclasses", "application/json", serde_json::to_vec(&class)?).await?;
    world.not_refused()
}

#[when(expr = "the administrator makes a volume of {word} in the class {string}")]
async fn makes_volume(world: &mut SpecWorld, size: String, class: String) -> Done {
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "by-hand"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "storageClassName": class,
            "csi": {"driver": "disks.example.com", "volumeHandle": "by-hand"},
        },
    });
    world.attempt_raw("POST", "/api/v1/persistentvolumes", "application/json", serde_json::to_vec(&volume)?).await?;
    world.not_refused()
}

#[when(expr = "the client creates the claim {string} of {word} in the class {string}")]
async fn creates_claim(world: &mut SpecWorld, name: String, size: String, class: String) -> Done {
    world
        .create(&json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": size}}},
        }))
        .await
}

#[when(expr = "the client creates the Secret {string}")]
async fn creates_secret(world: &mut SpecWorld, name: String) -> Done {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"key": "value"}});
    world.create(&secret).await
}

#[when(expr = "the client creates the VM {string} with run strategy {string} and the Secret {string} as a disk")]
async fn creates_with_secret(world: &mut SpecWorld, name: String, run: String, secret: String) -> Done {
    let mut vm = manifest::vm(&name, ("runStrategy", Value::from(run)));
    let spec = &mut vm["spec"]["template"]["spec"];
    if let Some(volumes) = spec["volumes"].as_array_mut() {
        volumes.push(json!({"name": "secret", "secret": {"secretName": secret}}));
    }
    if let Some(disks) = spec["domain"]["devices"]["disks"].as_array_mut() {
        disks.push(json!({"name": "secret", "disk": {"bus": "virtio"}}));
    }
    world.create(&vm).await
}
