//! `ferrovirt up --processes`: components and launchers as processes, killed as processes are killed.

#![allow(clippy::unwrap_used, reason = "tests may assume")]

use api::v1::{VirtualMachine, VirtualMachineInstance};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, ResourceExt as _};
use launcher_rpc::grpc::connect_launcher;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running `ferrovirt up --processes`, whose files are all in one folder; ended with the value.
struct Up {
    child: Child,
    folder: tempfile::TempDir,
}

impl Up {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ferrovirt"))
            .args(["up", "--processes", "--nodes", "1", "--listen", "127.0.0.1:0", "--kubeconfig"])
            .arg(folder.path().join("kubeconfig"))
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says when it is ready: reading its output is the wait.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.starts_with("ready after"));
        assert!(ready, "it ended before it was ready");
        Self { child, folder }
    }

    async fn client(&self) -> Client {
        let file = Kubeconfig::read_from(self.folder.path().join("kubeconfig")).unwrap();
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    /// Its processes: PID and program.
    fn processes(&self) -> BTreeMap<u32, String> {
        let root = format!("FERROVIRT_ROOT={}/", self.folder.path().display());
        let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        pids.filter_map(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            environment.split(|byte| *byte == 0).find(|variable| variable.starts_with(root.as_bytes()))?;
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let mut words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
            // The second word is the program that this one plays.
            Some((pid, words.nth(1)?))
        })
        .collect()
    }

    /// The one process of a program.
    fn pid(&self, program: &str) -> Option<u32> {
        let mut found = self.processes().into_iter().filter(|(_, name)| name == program).map(|(pid, _)| pid);
        let first = found.next();
        assert_eq!(found.next(), None, "more than one {program}");
        first
    }

    /// Paths with this name below its folder.
    fn find(&self, name: &str) -> Vec<PathBuf> {
        fn walk(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
                if entry.file_name() == name {
                    found.push(entry.path());
                } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    walk(&entry.path(), name, found);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), name, &mut found);
        found
    }

    fn signal(&self, signal: &str) {
        kill(signal, self.child.id());
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Asks until there is an answer.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            // Processes of the operating system tell nobody when they change.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

fn template() -> serde_json::Value {
    json!({"terminationGracePeriodSeconds": 5, "domain": {"memory": {"guest": "64Mi"}, "devices": {
        "disks": [{"name": "root", "disk": {"bus": "virtio"}}], "interfaces": [{"name": "default", "masquerade": {}}],
    }}, "networks": [{"name": "default", "pod": {}}], "volumes": [{"name": "root", "containerDisk": {"image": "registry.example/alpine"}}]})
}

fn vm(name: &str) -> VirtualMachine {
    let object = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name},
        "spec": {"runStrategy": "Always", "template": {"spec": template()}},
    });
    serde_json::from_value(object).unwrap()
}

fn phase(vmi: &VirtualMachineInstance) -> String {
    json!(vmi.status)["phase"].as_str().unwrap_or_default().to_owned()
}

async fn running(vmis: &Api<VirtualMachineInstance>, name: &str, not: Option<&str>) -> VirtualMachineInstance {
    until(&format!("{name} runs"), async || {
        let vmi = vmis.get_opt(name).await.unwrap()?;
        (phase(&vmi) == "Running" && vmi.uid().as_deref() != not).then_some(vmi)
    })
    .await
}

fn compute(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|status| status.name == "compute")
}

#[tokio::test]
async fn a_killed_handler_leaves_its_guests_alone_and_nothing_stays_behind() {
    let mut up = Up::start();
    let client = up.client().await;
    let vms: Api<VirtualMachine> = Api::default_namespaced(client.clone());
    let vmis: Api<VirtualMachineInstance> = Api::default_namespaced(client.clone());
    vms.create(&PostParams::default(), &vm("vm")).await.unwrap();
    let vmi = running(&vmis, "vm", None).await;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let launcher_pods = ListParams::default().labels("kubevirt.io=virt-launcher");
    let pod = pods.list(&launcher_pods).await.unwrap().items.remove(0);
    let pod_ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap();
    assert_eq!(json!(vmi.status)["interfaces"][0]["ipAddress"], json!(pod_ip), "the guest's address is its pod's");

    let launcher = (up.pid("virt-launcher").unwrap(), up.pid("virt-launcher-monitor").unwrap());
    let socket = up.find("launcher-sock").remove(0);
    let domain = connect_launcher(&socket).await.unwrap().get_domain().await.unwrap().unwrap();

    let handler = up.pid("virt-handler").unwrap();
    kill("-KILL", handler);
    until("another virt-handler", async || up.pid("virt-handler").filter(|pid| *pid != handler)).await;
    let system: Api<Pod> = Api::namespaced(client.clone(), "kubevirt");
    let handlers = ListParams::default().labels("kubevirt.io=virt-handler");
    let status = until("virt-handler is ready again", async || {
        let pod = system.list(&handlers).await.unwrap().items.remove(0);
        let status = pod.status?.container_statuses?.remove(0);
        (status.ready && status.restart_count == 1).then_some(status)
    })
    .await;
    assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 137);

    assert_eq!((up.pid("virt-launcher").unwrap(), up.pid("virt-launcher-monitor").unwrap()), launcher);
    let now = connect_launcher(&socket).await.unwrap().get_domain().await.unwrap().unwrap();
    assert_eq!(now.spec.uuid, domain.spec.uuid);
    assert_eq!(running(&vmis, "vm", None).await.uid(), vmi.uid());
    let events: Api<Event> = Api::default_namespaced(client.clone());
    let started = events.list(&ListParams::default().fields("reason=Started")).await.unwrap();
    let started: i32 = started.iter().map(|event| event.count.unwrap_or(1)).sum();
    assert_eq!(started, 1, "the guest booted once");

    vms.delete("vm", &DeleteParams::default()).await.unwrap();
    until("the VMI is gone", async || vmis.get_opt("vm").await.unwrap().is_none().then_some(())).await;
    until("its pod is gone", async || pods.list(&launcher_pods).await.unwrap().items.is_empty().then_some(())).await;
    until("its processes are gone", async || up.processes().values().all(|name| !name.starts_with("virt-launcher")).then_some(())).await;
    until("its folder is gone", async || up.find(&pod.uid().unwrap()).is_empty().then_some(())).await;
    assert_eq!(up.find("launcher-sock"), Vec::<PathBuf>::new());
    let records = up.find("ghost-records").remove(0);
    until("nothing is remembered of it", async || std::fs::read_dir(&records).unwrap().next().is_none().then_some(())).await;

    assert_eq!(up.processes().len(), 3);
    up.signal("-INT");
    let status = up.wait();
    assert!(status.success(), "{status}");
    assert_eq!(up.processes(), BTreeMap::new());
    let left: Vec<_> = std::fs::read_dir(up.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
}

#[tokio::test]
async fn a_killed_launcher_fails_its_vmi_and_the_vm_starts_another() {
    let mut up = Up::start();
    let client = up.client().await;
    let vms: Api<VirtualMachine> = Api::default_namespaced(client.clone());
    let vmis: Api<VirtualMachineInstance> = Api::default_namespaced(client.clone());
    let object =
        json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": "alone"}, "spec": template()});
    vmis.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    running(&vmis, "alone", None).await;
    kill("-KILL", up.pid("virt-launcher").unwrap());
    until("the VMI has failed", async || (phase(&vmis.get("alone").await.unwrap()) == "Failed").then_some(())).await;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pod = pods.list(&ListParams::default().labels("kubevirt.io=virt-launcher")).await.unwrap().items.remove(0);
    let ended = compute(&pod).unwrap().state.clone().unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.message.as_deref()), (137, Some("virt-launcher was ended by SIGKILL")));
    assert_eq!(up.pid("virt-launcher-monitor"), None);
    vmis.delete("alone", &DeleteParams::default()).await.unwrap();

    vms.create(&PostParams::default(), &vm("vm")).await.unwrap();
    let first = running(&vmis, "vm", None).await;
    // Without the first process of its container nothing of it goes on.
    kill("-KILL", until("the monitor", async || up.pid("virt-launcher-monitor")).await);
    let second = running(&vmis, "vm", first.uid().as_deref()).await;
    assert_ne!(first.uid(), second.uid());

    // Nor anything without the platform.
    up.signal("-KILL");
    up.wait();
    until("every process is gone", async || up.processes().is_empty().then_some(())).await;
}

fn ferrovirt(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrovirt"));
    let output = command.args(args).env_remove("KUBECONFIG").env("HOME", "/nowhere").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_component_says_what_is_wrong_with_its_command_line() {
    for component in ["virt-api", "virt-controller", "virt-handler", "virt-launcher", "virt-launcher-monitor"] {
        let (code, help, _) = ferrovirt(&[component, "--help"]);
        assert_eq!(code, Some(0), "{component}");
        assert!(help.contains("--kubeconfig <FILE>") && help.contains("--root <DIR>"), "{component}: {help}");
        let (code, _, error) = ferrovirt(&[component, "--colour"]);
        assert_eq!(code, Some(2), "{component}");
        assert!(error.contains("unexpected argument '--colour'"), "{component}: {error}");
    }
    for component in ["virt-api", "virt-controller", "virt-handler"] {
        let (code, _, error) = ferrovirt(&[component, "--kubeconfig", "/nowhere/config"]);
        assert_eq!(code, Some(1), "{component}");
        assert!(error.starts_with("error: reading the kubeconfig /nowhere/config: "), "{component}: {error}");
        assert_eq!(error.lines().count(), 1, "{component}: {error}");
        let (code, _, error) = ferrovirt(&[component]);
        assert_eq!(code, Some(1), "{component}");
        assert!(error.starts_with("error: finding the Kubernetes API: "), "{component}: {error}");
    }
    let launcher = ["virt-launcher", "--name", "vm", "--uid", "1", "--namespace", "ns"];
    let (code, _, error) = ferrovirt(&launcher[..3]);
    assert_eq!(code, Some(2));
    assert!(error.contains("--uid <UID>") && error.contains("--namespace <NAMESPACE>"), "{error}");
    let (code, _, error) = ferrovirt(&[&launcher[..], &["--root", "/dev/null"]].concat());
    assert_eq!(code, Some(1));
    assert!(error.starts_with("error: make /dev/null/var/run/kubevirt/sockets: "), "{error}");
    let (code, _, error) = ferrovirt(&[&launcher[..], &["--qemu-timeout", "soon"]].concat());
    assert_eq!(code, Some(2));
    assert!(error.contains("\"soon\" is not a duration such as 15s"), "{error}");
}

#[test]
fn programs_that_are_not_there_are_named() {
    let kubeconfig = "/dev/null/kubeconfig";
    let (code, _, error) = ferrovirt(&["up", "--processes", "--programs", "/nowhere", "--kubeconfig", kubeconfig]);
    assert_eq!(code, Some(1));
    assert!(error.starts_with("error: the program /nowhere/virt-api cannot be run: "), "{error}");
    let (code, _, error) = ferrovirt(&["up", "--programs", "/nowhere", "--kubeconfig", kubeconfig]);
    assert_eq!(code, Some(2));
    assert!(error.contains("--processes"), "{error}");
}
