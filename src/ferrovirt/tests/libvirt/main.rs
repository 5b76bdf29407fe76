//! `ferrovirt up --hypervisor libvirt`: virtual machines that are real guests of this machine, from the manifest to nothing left.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::format_push_string, reason = "tests may assume, and say what they skip")]

mod guest;
mod world;

use serde_json::{Value, json};
use tokio::time::Instant;
use virtctl::Machine;
use world::{Up, signal, text};

fn template(grace_period: u64) -> Value {
    let disks = ["root", "scratch", "seed"].map(|name| json!({"name": name, "disk": {"bus": "virtio"}}));
    json!({
        "terminationGracePeriodSeconds": grace_period,
        "domain": {
            "memory": {"guest": "256Mi"},
            "firmware": {"kernelBoot": {
                "kernelArgs": "console=ttyS0 quiet",
                "container": {"image": "registry.example/kernel:1", "kernelPath": "/boot/vmlinuz", "initrdPath": "/boot/initrd"},
            }},
            "devices": {"disks": disks, "interfaces": [{"name": "default", "masquerade": {}}]},
        },
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [
            {"name": "root", "containerDisk": {"image": "registry.example/disk"}},
            {"name": "scratch", "emptyDisk": {"capacity": "4Mi"}},
            {"name": "seed", "cloudInitNoCloud": {"userData": "what the guest reads first"}},
        ],
    })
}

fn vm(name: &str) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name},
        "spec": {"runStrategy": "Always", "template": {"spec": template(60)}},
    })
}

fn vmi(name: &str) -> Value {
    json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": name}, "spec": template(0)})
}

const VMS: &str = "/apis/kubevirt.io/v1/namespaces/default/virtualmachines";
const VMIS: &str = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances";

#[tokio::test]
async fn two_guests_live_from_their_manifests_until_nothing_is_left() {
    let Some(mut up) = Up::start().await else { return };
    let began = Instant::now();
    up.session.create(VMS, &vm("one")).await.unwrap();
    let mut one = up.console("one").await;
    up.until("the first guest's first line", async || one.text().contains('\n').then_some(())).await;
    println!("manifest to first serial line: {:.1?}", began.elapsed());
    up.session.create(VMS, &vm("two")).await.unwrap();
    let first = up.running("one", "").await;
    let second = up.running("two", "").await;

    // What it boots from, and what it has.
    up.until("the first guest is up", async || one.text().contains("guest: up").then_some(())).await;
    println!("manifest to user space: {:.1?}", began.elapsed());
    let said = one.text();
    assert!(said.contains("begins with container disk"), "{said}");
    assert!(said.contains("/dev/vdb has 8192 sectors"), "{said}");
    assert!(said.contains("guest: user data: what the guest reads first"), "{said}");
    one.type_line("a word").await;
    up.until("the guest hears", async || one.text().contains("guest: heard a word").then_some(())).await;
    let pod = up.pod("one").await;
    let name = text(&pod, "/metadata/name");
    up.until("the console is in the pod's log", async || up.log(name, "guest-console-log").await.contains("guest: up").then_some(())).await;
    let names = up.names()[0].parent().unwrap().to_owned();
    let emulators = up.pids("qemu-system-x86_64");
    assert_eq!((emulators.len(), up.pids("virt-launcher").len(), up.pids("virt-launcher-monitor").len()), (2, 2, 2));
    for pid in &emulators {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(line.contains("-accel\0tcg"), "emulated, as the cluster is configured: {line}");
    }

    // Pause and unpause.
    up.put(Machine::Vmi, "one", "pause").await;
    let paused = async || up.vmi("one").await.unwrap()["status"]["conditions"].to_string().contains("PausedByUser").then_some(());
    up.until("it is paused", paused).await;
    let ticks = one.count("guest: tick");
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(one.count("guest: tick") <= ticks + 1, "a paused guest does nothing");
    up.put(Machine::Vmi, "one", "unpause").await;
    up.until("it goes on", async || (one.count("guest: tick") > ticks + 1).then_some(())).await;
    drop(one);

    // virt-handler dies and comes back.
    let handler = up.pids("virt-handler");
    signal("-KILL", handler[0]);
    up.until("another virt-handler", async || up.pids("virt-handler").first().filter(|pid| **pid != handler[0]).copied()).await;
    let handlers = "/api/v1/namespaces/kubevirt/pods?labelSelector=kubevirt.io%3Dvirt-handler";
    up.until("virt-handler is ready", async || {
        let status = up.session.get(handlers).await.unwrap()["items"][0]["status"]["containerStatuses"][0].clone();
        (status["ready"] == true && status["restartCount"] == 1).then_some(())
    })
    .await;
    let one = up.console("one").await;
    let ticks = one.count("guest: tick");
    up.until("the guest still ticks", async || (one.count("guest: tick") > ticks + 1).then_some(())).await;
    assert_eq!((up.pids("qemu-system-x86_64"), up.running("one", "").await), (emulators.clone(), first), "nothing happened to the guests");

    // Restart.
    up.put(Machine::Vm, "two", "restart").await;
    let again = up.running("two", &second).await;
    let two = up.console("two").await;
    up.until("the second guest is up again", async || two.text().contains("guest: up").then_some(())).await;
    assert_ne!(again, second);
    drop(two);

    // Without an agent, the power button ends it.
    up.put(Machine::Vm, "one", "stop").await;
    let said = one.end().await;
    assert!(said.contains("guest: the power button was pressed"), "{said}");
    up.until("the VMI is gone", async || up.vmi("one").await.is_none().then_some(())).await;

    let began = Instant::now();
    for name in ["one", "two"] {
        up.session.delete(&format!("{VMS}/{name}")).await.unwrap();
    }
    up.until("nothing is left of the guests", async || up.left_of_guests().is_empty().then_some(())).await;
    println!("delete to nothing left, the guest's own shutdown included: {:.1?}", began.elapsed());
    let (status, left) = up.interrupt();
    assert!(status.success(), "{status}");
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
    assert!(!names.exists(), "{}", names.display());
    assert_eq!(up.processes(), std::collections::BTreeMap::new());
}

#[tokio::test]
async fn what_is_killed_fails_its_vmi_and_leaves_nothing() {
    let Some(mut up) = Up::start().await else { return };
    for (name, program) in [("a", "qemu-system-x86_64"), ("b", "virt-launcher"), ("c", "virt-launcher-monitor")] {
        up.session.create(VMIS, &vmi(name)).await.unwrap();
        up.running(name, "").await;
        let victim = up.until(program, async || up.pids(program).first().copied()).await;
        signal("-KILL", victim);
        up.until(&format!("{name} has failed"), async || (up.phase(name).await == "Failed").then_some(())).await;
        up.until("its emulator is gone", async || up.pids("qemu-system-x86_64").is_empty().then_some(())).await;
        let ended = up
            .until("its pod has ended", async || {
                let pod = up.pod(name).await;
                let statuses = pod.pointer("/status/containerStatuses")?.as_array()?.clone();
                let compute = statuses.into_iter().find(|status| status["name"] == "compute")?;
                compute.pointer("/state/terminated").cloned()
            })
            .await;
        let expected = match name {
            // The launcher saw its guest end.
            "a" => json!([0, Value::Null]),
            "b" => json!([137, "virt-launcher was ended by SIGKILL"]),
            // Nobody was left to say anything: the container's log takes the place of its last words.
            _ => json!([137, ended["message"]]),
        };
        assert_eq!(json!([ended["exitCode"], ended["message"]]), expected, "{name}: {ended}");
        up.session.delete(&format!("{VMIS}/{name}")).await.unwrap();
        up.until("nothing is left", async || up.left_of_guests().is_empty().then_some(())).await;
    }
    // An image that nobody has.
    let mut missing = vmi("d");
    missing["spec"]["volumes"][0]["containerDisk"]["image"] = json!("registry.example/nowhere");
    up.session.create(VMIS, &missing).await.unwrap();
    up.until("the image cannot be pulled", async || {
        up.pod("d").await["status"]["initContainerStatuses"].to_string().contains("no folder of that name in").then_some(())
    })
    .await;
    up.session.delete(&format!("{VMIS}/d")).await.unwrap();
    up.until("nothing is left", async || up.left_of_guests().is_empty().then_some(())).await;
    let (status, left) = up.interrupt();
    assert!(status.success(), "{status}");
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
}
