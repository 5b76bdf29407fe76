//! A launcher on the fake hypervisor, in process: what its handler asks, is told, and how the pod ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fake_hypervisor::{AgentScript, DiskFault, Failures, FakeHypervisor, GuestScript, Host};
use launcher_rpc::cmd::VirtualMachineOptions;
use launcher_rpc::local::LocalDirectory;
use launcher_rpc::{DomainEvent, Launcher, LauncherDirectory, Notify, Presence, VmiEvent};
use runtime::Clock;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use virt_launcher::{Args, Deps, Exit, Rendezvous, run};

const POD: &str = "pod-1";

#[derive(Default)]
struct Handler {
    domains: Mutex<Vec<DomainEvent>>,
    events: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
}

#[async_trait]
impl Notify for Handler {
    async fn handle_domain_event(&self, event: DomainEvent) -> launcher_rpc::Result<()> {
        self.domains.lock().unwrap().push(event);
        self.count.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn handle_k8s_event(&self, event: VmiEvent) -> launcher_rpc::Result<()> {
        self.events.lock().unwrap().push(format!("{} {}", event.reason, event.message));
        self.count.send_modify(|count| *count += 1);
        Ok(())
    }
}

struct Pod {
    handler: Arc<Handler>,
    directory: LocalDirectory,
    launcher: Arc<dyn Launcher>,
    stop: CancellationToken,
    process: JoinHandle<Exit>,
}

fn args(grace_period_seconds: u64) -> Args {
    clap::Parser::parse_from([
        "virt-launcher",
        "--name",
        "vm",
        "--uid",
        "uid-1",
        "--namespace",
        "default",
        "--grace-period-seconds",
        &grace_period_seconds.to_string(),
    ])
}

async fn pod(script: GuestScript) -> Pod {
    let directory = LocalDirectory::new();
    let handler = Arc::new(Handler::default());
    let place = directory.pod(POD, Vec::new());
    directory.attach(POD, handler.clone()).await.unwrap();
    let stop = CancellationToken::new();
    let deps = Deps {
        hypervisor: Arc::new(FakeHypervisor::new(Arc::new(Host::default()), script)),
        convert: Arc::new(|vmi, _| {
            let name = vmi.metadata.name.as_deref().unwrap_or_default();
            if name == "bad" {
                return Err("no such firmware".to_owned());
            }
            domain::Domain::from_xml(&format!(
                "<domain type='kvm'><name>default_{name}</name><uuid>6a1a24a1-4061-4607-8bf4-a3963d0c5895</uuid>\
                 <memory unit='b'>67108864</memory><os><type machine='q35'>hvm</type></os><features><acpi/></features>\
                 <vcpu>1</vcpu><cpu/><devices><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>\
                 <disk type='file' device='disk'><source file='/d'/><target dev='vda' bus='virtio'/><alias name='ua-root'/></disk>\
                 </devices></domain>"
            ))
            .map_err(|error| error.to_string())
        }),
        disks: Arc::new(virt_launcher::storage::NoDisks),
        clock: Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap()),
        rendezvous: Rendezvous::Local(place),
        stop: stop.clone(),
    };
    let process = tokio::spawn(async move { run(&args(45), deps).await.unwrap() });
    while directory.presence(POD).await != Presence::Ready {
        tokio::task::yield_now().await;
    }
    let launcher = directory.connect(POD).await.unwrap();
    Pod { handler, directory, launcher, stop, process }
}

fn vmi(phase: &str) -> Vec<u8> {
    let vmi = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {"name": "vm", "namespace": "default", "uid": "uid-1"},
        "spec": {"terminationGracePeriodSeconds": 30, "domain": {"devices": {}}},
        "status": {"phase": phase},
    });
    serde_json::to_vec(&vmi).unwrap()
}

impl Pod {
    async fn sync(&self, phase: &str) -> launcher_rpc::Result<()> {
        self.launcher.sync_virtual_machine(&vmi(phase), &VirtualMachineOptions::default()).await
    }

    /// Waits until the handler was told something of which this holds.
    async fn told(&self, what: &str, holds: impl Fn(&DomainEvent) -> bool) {
        let mut count = self.handler.count.subscribe();
        let wait = async {
            while !self.handler.domains.lock().unwrap().iter().any(&holds) {
                count.changed().await.unwrap();
            }
        };
        let told = tokio::time::timeout(Duration::from_mins(10), wait).await;
        assert!(told.is_ok(), "never told: {what}; told {:?}", self.trace());
    }

    async fn status(&self, status: &str, reason: &str) {
        let what = format!("{status}/{reason}");
        self.told(&what, |event| event.domain.status.status == status && event.domain.status.reason == reason).await;
    }

    fn trace(&self) -> Vec<String> {
        let domains = self.handler.domains.lock().unwrap();
        let line = |event: &DomainEvent| {
            let status = &event.domain.status;
            let gone = if event.domain.metadata.deletion_timestamp.is_some() { " gone" } else { "" };
            format!("{} {}/{}{gone}", event.change.as_str(), status.status, status.reason)
        };
        let mut trace: Vec<String> = domains.iter().map(line).collect();
        trace.dedup();
        trace
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_starts_shuts_down_and_its_pod_ends() {
    let script = GuestScript { shutdown_time: Duration::from_secs(3), ..GuestScript::default() };
    let pod = pod(script).await;
    pod.sync("Scheduled").await.unwrap();
    pod.status("Running", "Unknown").await;
    let domain = pod.launcher.get_domain().await.unwrap().expect("there");
    assert_eq!((domain.metadata.uid.as_str(), domain.spec.acpi), ("uid-1", true));
    assert_eq!(domain.spec.records.grace_period.clone().unwrap().deletion_grace_period_seconds, 30);
    pod.sync("Running").await.unwrap();

    pod.launcher.shutdown_virtual_machine(&vmi("Running")).await.unwrap();
    let grace = pod.launcher.get_domain().await.unwrap().unwrap().spec.records.grace_period.unwrap();
    assert_eq!(grace.deletion_timestamp.as_deref(), Some("2026-01-01T00:00:00Z"));
    pod.status("Shutoff", "Shutdown").await;
    pod.sync("Running").await.unwrap();
    let domain = pod.launcher.get_domain().await.unwrap().unwrap();
    assert_eq!(domain.status.status, "Shutoff", "a domain that ended is not started again");
    pod.launcher.delete_virtual_machine(&vmi("Succeeded")).await.unwrap();
    pod.told("gone", |event| event.domain.metadata.deletion_timestamp.is_some()).await;
    assert_eq!(pod.process.await.unwrap(), Exit::Clean);
    assert_eq!(pod.directory.presence(POD).await, Presence::Gone);
    let trace = pod.handler.domains.lock().unwrap().first().map(|event| event.change.as_str());
    assert_eq!(trace, Some("ADDED"));
}

#[tokio::test(start_paused = true)]
async fn the_pods_end_is_left_to_the_handler_until_the_grace_period_is_over() {
    let script = GuestScript { ignores_shutdown: Failures::Always, ..GuestScript::default() };
    let pod = pod(script).await;
    pod.sync("Scheduled").await.unwrap();
    pod.status("Running", "Unknown").await;
    pod.stop.cancel();
    pod.told("marked", |event| {
        event.domain.spec.records.grace_period.as_ref().is_some_and(|g| g.marked_for_graceful_shutdown == Some(true))
    })
    .await;
    let before = tokio::time::Instant::now();
    pod.status("Shutoff", "Destroyed").await;
    assert_eq!(before.elapsed().as_secs(), 45);
    // Nobody removes it: the launcher waits, kills for good measure, waits, and goes.
    assert_eq!(pod.process.await.unwrap(), Exit::Clean);
    assert_eq!(before.elapsed().as_secs(), 45 + 15 + 30);
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_a_domain_gives_up_or_goes_when_told() {
    let waiting = pod(GuestScript::default()).await;
    assert_eq!(waiting.process.await.unwrap(), Exit::NeverStarted);
    let told = pod(GuestScript::default()).await;
    told.stop.cancel();
    assert_eq!(told.process.await.unwrap(), Exit::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_pause_by_the_user_outlasts_a_sync_and_an_io_error_does_not() {
    let script = GuestScript { io_error: Some(DiskFault { after: Duration::from_secs(100), resumes: 1 }), ..GuestScript::default() };
    let pod = pod(script).await;
    pod.sync("Scheduled").await.unwrap();
    pod.status("Running", "Unknown").await;
    pod.launcher.pause_virtual_machine(&vmi("Running")).await.unwrap();
    pod.sync("Running").await.unwrap();
    let status = async || pod.launcher.get_domain().await.unwrap().unwrap().status;
    assert_eq!((status().await.status.as_ref(), status().await.reason.as_ref()), ("Paused", "User"));
    pod.launcher.unpause_virtual_machine(&vmi("Running")).await.unwrap();
    assert_eq!(status().await.status, "Running");
    pod.status("Paused", "IOError").await;
    assert_eq!(*pod.handler.events.lock().unwrap(), ["IOerror VM Paused due to not enough space on volume: root"]);
    pod.sync("Running").await.unwrap();
    assert_eq!(status().await.status, "Running");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_told_once_with_its_event() {
    let pod = pod(GuestScript { panic_after: Some(Duration::from_secs(5)), ..GuestScript::default() }).await;
    pod.sync("Scheduled").await.unwrap();
    pod.status("Shutoff", "Crashed").await;
    assert_eq!(*pod.handler.events.lock().unwrap(), ["GuestPanicked GuestPanicked: (details unavailable)"]);
    assert_eq!(pod.handler.domains.lock().unwrap().last().unwrap().domain.status.panic_count, 1);
}

#[tokio::test(start_paused = true)]
async fn the_agents_word_reaches_the_handler() {
    let script = GuestScript { agent: AgentScript::ConnectsAfter(Duration::from_secs(5)), ..GuestScript::default() };
    let pod = pod(script).await;
    pod.sync("Scheduled").await.unwrap();
    pod.told("os", |event| event.domain.status.os_info.as_ref().is_some_and(|os| os.id == "fedora")).await;
    pod.told("frozen?", |event| event.domain.status.fs_freeze_status.as_deref() == Some("thawed")).await;
    let info: serde_json::Value = serde_json::from_str(&pod.launcher.get_guest_info().await.unwrap()).unwrap();
    assert_eq!((&info["hostname"], &info["guestAgentVersion"]), (&json!("vm"), &json!("9.1.0")));
    pod.launcher.freeze_virtual_machine(&vmi("Running"), 10).await.unwrap();
    pod.told("frozen", |event| event.domain.status.fs_freeze_status.as_deref() == Some("frozen")).await;
    let thaws = || {
        let domains = pod.handler.domains.lock().unwrap();
        let thawed = |event: &&DomainEvent| event.domain.status.fs_freeze_status.as_deref() == Some("thawed");
        domains.iter().rev().take_while(thawed).count()
    };
    assert_eq!(thaws(), 0);
    let mut count = pod.handler.count.subscribe();
    while thaws() == 0 {
        count.changed().await.unwrap();
    }
    let done = pod.launcher.exec("default_vm", "echo", &["hi".to_owned()], 5).await.unwrap();
    assert_eq!((done.exit_code, done.stdout.as_str()), (0, "hi\n"));
    pod.launcher.guest_ping("default_vm", 1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_in_words() {
    let pod = pod(GuestScript { start_fails: Failures::First(1), ..GuestScript::default() }).await;
    let error = pod.sync("Scheduled").await.unwrap_err();
    assert_eq!(error.to_string(), "LibvirtError(Code=1, Domain=10, Message='internal error: process exited while connecting to monitor')");
    pod.status("Shutoff", "Failed").await;
    pod.sync("Scheduled").await.unwrap();
    let error = pod.launcher.sync_virtual_machine(b"{", &VirtualMachineOptions::default()).await.unwrap_err();
    assert!(error.to_string().starts_with("failed to unmarshal VMI: "), "{error}");
    assert!(pod.launcher.hotplug_host_devices(b"{}").await.is_err());
    let missing = pod.directory.open(POD, "uid-1", "virt-usbredir-0").await.err().unwrap();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    let mut console = pod.directory.open(POD, "uid-1", launcher_rpc::sockets::SERIAL).await.unwrap();
    let mut text = [0; 11];
    console.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"\r\nvm login:");
}
