//! Steps about instance types and preferences.

use crate::objects::at;
use cucumber::{then, when};
use ferrovirt_tests::manifest;
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::world::SpecWorld;
use serde_json::{Value, json};

type Done = anyhow::Result<()>;
const INSTANCETYPE: &str = "VirtualMachineClusterInstancetype";
const VM: &str = "VirtualMachine";
const VMI: &str = "VirtualMachineInstance";

#[when(expr = "the client creates the instance type {string} with {int} CPUs and {word} of memory")]
async fn creates(world: &mut SpecWorld, name: String, cpus: u32, memory: String) -> Done {
    world
        .create(&json!({
            "apiVersion": "instancetype.kubevirt.io/v1beta1", "kind": INSTANCETYPE, "metadata": {"name": name},
            "spec": {"cpu": {"guest": cpus}, "memory": {"guest": memory}},
        }))
        .await
}

#[when(expr = "the client creates the preference {string} for CPUs as {word} and disks on {word}")]
async fn creates_preference(world: &mut SpecWorld, name: String, topology: String, bus: String) -> Done {
    world
        .create(&json!({
            "apiVersion": "instancetype.kubevirt.io/v1beta1", "kind": "VirtualMachineClusterPreference", "metadata": {"name": name},
            "spec": {"cpu": {"preferredCPUTopology": topology}, "devices": {"preferredDiskBus": bus}},
        }))
        .await
}

#[when(expr = "the client sets the memory of the instance type {string} to {word}")]
async fn sets_memory(world: &mut SpecWorld, name: String, memory: String) -> Done {
    world.merge(INSTANCETYPE, &name, &json!({"spec": {"memory": {"guest": memory}}})).await
}

#[when(expr = "the client deletes the instance type {string}")]
async fn deletes(world: &mut SpecWorld, name: String) -> Done {
    world.delete(INSTANCETYPE, &name, None).await
}

#[when(expr = "the client creates the VM {string} of the instance type {string}")]
async fn creates_vm(world: &mut SpecWorld, name: String, instancetype: String) -> Done {
    world.create(&vm(&name, &instancetype, None)).await
}

#[when(expr = "the client creates the VM {string} of the instance type {string} and the preference {string}")]
async fn creates_preferring(world: &mut SpecWorld, name: String, instancetype: String, preference: String) -> Done {
    world.create(&vm(&name, &instancetype, Some(&preference))).await
}

/// A running VM that leaves CPUs, memory and the bus of its disk open.
fn vm(name: &str, instancetype: &str, preference: Option<&str>) -> Value {
    let mut vm = manifest::vm(name, ("runStrategy", Value::from("Always")));
    vm["spec"]["instancetype"] = json!({"name": instancetype});
    if let Some(preference) = preference {
        vm["spec"]["preference"] = json!({"name": preference});
    }
    let domain = &mut vm["spec"]["template"]["spec"]["domain"];
    if let Some(domain) = domain.as_object_mut() {
        domain.remove("memory");
    }
    domain["devices"]["disks"] = json!([{"name": "containerdisk", "disk": {}}]);
    vm
}

#[when(expr = "the client gives the VM {string} the instance type {string}")]
async fn changes(world: &mut SpecWorld, name: String, instancetype: String) -> Done {
    world.merge(VM, &name, &json!({"spec": {"instancetype": {"name": instancetype}}})).await
}

#[then(regex = r#"^the VMI "([^"]+)" has (\d+) sockets?, (\d+) cores? and (\w+) of memory$"#)]
async fn has(world: &mut SpecWorld, name: String, sockets: u64, cores: u64, memory: String) -> Done {
    let vmi = world.get(VMI, &name).await?;
    let domain = &vmi["spec"]["domain"];
    let fits = domain["cpu"]["sockets"] == sockets && domain["cpu"]["cores"] == cores && domain["memory"]["guest"] == *memory;
    anyhow::ensure!(fits, "it has {} and {}", domain["cpu"], domain["memory"]);
    Ok(())
}

#[then(expr = "the first disk of the VMI {string} is on {word}")]
async fn disk_bus(world: &mut SpecWorld, name: String, bus: String) -> Done {
    let vmi = world.get(VMI, &name).await?;
    anyhow::ensure!(at(Some(&vmi), "/spec/domain/devices/disks/0/disk/bus") == bus, "{}", vmi["spec"]["domain"]["devices"]["disks"]);
    Ok(())
}

#[then(expr = "the VMI {string} says that it is of the instance type {string}")]
async fn says(world: &mut SpecWorld, name: String, instancetype: String) -> Done {
    let vmi = world.get(VMI, &name).await?;
    let said = &vmi["metadata"]["annotations"]["kubevirt.io/cluster-instancetype-name"];
    anyhow::ensure!(*said == *instancetype, "{}", vmi["metadata"]["annotations"]);
    Ok(())
}

#[then(expr = "the VM {string} is pinned to generation {int} of the instance type {string}")]
async fn pinned(world: &mut SpecWorld, name: String, generation: u64, instancetype: String) -> Done {
    let pointer = "/status/instancetypeRef/controllerRevisionRef/name";
    let start = format!("{name}-{instancetype}-v1beta1-");
    let vm = world.until(VM, &name, &format!("a revision {start}…"), PATIENCE, |vm| at(vm, pointer).starts_with(&start)).await?;
    let revision = world.get("ControllerRevision", at(vm.as_ref(), pointer)).await?;
    let label = &revision["metadata"]["labels"]["instancetype.kubevirt.io/object-generation"];
    anyhow::ensure!(
        label.as_str().and_then(|label| label.parse().ok()) == Some(generation) && revision["data"]["metadata"]["name"] == *instancetype,
        "{revision}"
    );
    anyhow::ensure!(revision["metadata"]["ownerReferences"][0]["name"] == *name, "{}", revision["metadata"]);
    Ok(())
}
