//! Scripted guests: what happens, in which order, at which time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ferrovirt_fake_hypervisor::{AgentScript, DiskFault, Failures, FakeHypervisor, GuestEvent, GuestScript, Host};
use futures::StreamExt;
use hypervisor::{BoxGuestStream, Domain, DomainState, EventKind, EventStream, Hypervisor, RebootMode, StartMode, View};
use lifecycle::{PausedReason, RunningReason, ShutoffReason};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const XML: &str = "<domain type='kvm'><name>default_vm</name><uuid>6a1a24a1-4061-4607-8bf4-a3963d0c5895</uuid>\
    <memory unit='b'>67108864</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>\
    <vcpu>1</vcpu><cpu/><devices><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>\
    <disk type='file' device='disk'><source file='/disk.img'/><target dev='vda' bus='virtio'/><alias name='ua-root'/></disk>\
    <interface type='ethernet'><source/><mac address='02:00:00:00:00:01'/><alias name='ua-default'/></interface>\
    <video><model type='vga'/></video><graphics type='vnc'/></devices></domain>";

fn definition() -> domain::Domain {
    domain::Domain::from_xml(XML).expect("well-formed")
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Run {
    hypervisor: FakeHypervisor,
    events: EventStream,
    domain: Arc<dyn Domain>,
    started: Instant,
}

async fn start(script: GuestScript) -> Run {
    let hypervisor = FakeHypervisor::new(Arc::new(Host::default()), script);
    let domain = hypervisor.define(&definition()).await.expect("defined");
    let events = hypervisor.events();
    domain.create(StartMode::Running).await.expect("created");
    Run { hypervisor, events, domain, started: Instant::now() }
}

impl Run {
    async fn next(&mut self) -> String {
        let event = tokio::time::timeout(seconds(3600), self.events.next()).await.expect("an event").expect("open");
        let what = match event.kind {
            EventKind::Lifecycle(lifecycle) => lifecycle.to_string(),
            EventKind::Agent(state) => format!("agent {state:?}"),
            EventKind::DeviceAdded { alias } => format!("added {alias}"),
            EventKind::DeviceRemoved { alias } => format!("removed {alias}"),
            other => format!("{other:?}"),
        };
        format!("{what} @{}", self.started.elapsed().as_secs())
    }

    async fn trace(&mut self, count: usize) -> Vec<String> {
        let mut trace = Vec::new();
        for _ in 0..count {
            trace.push(self.next().await);
        }
        trace
    }
}

fn base() -> GuestScript {
    GuestScript { boot_time: seconds(2), ..GuestScript::default() }
}

#[rstest]
#[case::powers_itself_off(
    GuestScript { power_off_after: Some(seconds(5)), exit_delay: seconds(1), ..base() },
    &["RESUMED/UNPAUSED @0", "STARTED/BOOTED @0", "SHUTDOWN/GUEST @7", "STOPPED/SHUTDOWN @8"],
    ShutoffReason::Shutdown
)]
#[case::crashes_with_agent(
    GuestScript { crash_after: Some(seconds(5)), agent: AgentScript::ConnectsAfter(seconds(1)), ..base() },
    &["RESUMED/UNPAUSED @0", "STARTED/BOOTED @0", "agent Connected @3", "STOPPED/FAILED @7"],
    ShutoffReason::Crashed
)]
#[case::panics(
    GuestScript { panic_after: Some(seconds(5)), ..base() },
    &["RESUMED/UNPAUSED @0", "STARTED/BOOTED @0", "CRASHED/PANICKED @7", "STOPPED/CRASHED @7"],
    ShutoffReason::Crashed
)]
#[case::reboots_once(
    GuestScript {
        reboot_after: Some(seconds(1)), power_off_after: Some(seconds(10)), agent: AgentScript::ConnectsAfter(seconds(0)), ..base()
    },
    &[
        "RESUMED/UNPAUSED @0", "STARTED/BOOTED @0", "agent Connected @2", "agent Disconnected @3", "agent Connected @5",
        "agent Disconnected @15", "SHUTDOWN/GUEST @15", "STOPPED/SHUTDOWN @15"
    ],
    ShutoffReason::Shutdown
)]
#[tokio::test(start_paused = true)]
async fn by_itself(#[case] script: GuestScript, #[case] expected: &[&str], #[case] reason: ShutoffReason) {
    let mut run = start(script).await;
    assert_eq!(run.trace(expected.len()).await, expected);
    assert_eq!(run.domain.state().await, Ok(DomainState::Shutoff(reason)));
}

#[tokio::test(start_paused = true)]
async fn the_power_button_is_not_seen_before_boot_and_ignored_as_often_as_told() {
    let script = GuestScript { ignores_shutdown: Failures::First(2), shutdown_time: seconds(3), ..base() };
    let mut run = start(script).await;
    run.trace(2).await;
    run.domain.shutdown().await.expect("accepted, not heard");
    tokio::time::advance(seconds(4)).await;
    for _ in 0..3 {
        run.domain.shutdown().await.expect("accepted");
    }
    assert_eq!(run.trace(2).await, ["SHUTDOWN/GUEST @7", "STOPPED/SHUTDOWN @7"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_guest_has_no_time() {
    let mut run = start(GuestScript { power_off_after: Some(seconds(10)), ..base() }).await;
    run.trace(2).await;
    tokio::time::advance(seconds(5)).await;
    run.domain.suspend().await.expect("suspended");
    tokio::time::advance(seconds(100)).await;
    run.domain.resume().await.expect("resumed");
    let expected = ["SUSPENDED/PAUSED @105", "RESUMED/UNPAUSED @105", "SHUTDOWN/GUEST @112", "STOPPED/SHUTDOWN @112"];
    assert_eq!(run.trace(4).await[2..], expected[2..]);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_pauses_until_resumed_often_enough() {
    let script = GuestScript { io_error: Some(DiskFault { after: seconds(1), resumes: 2 }), ..base() };
    let mut run = start(script).await;
    assert_eq!(run.trace(3).await[2], "SUSPENDED/IOERROR @3");
    let errors = run.domain.disk_errors().await.expect("active");
    assert_eq!(errors.iter().map(|error| (error.target.as_str(), error.no_space)).collect::<Vec<_>>(), [("vda", true)]);
    run.domain.resume().await.expect("resumed");
    assert_eq!(run.trace(2).await, ["RESUMED/UNPAUSED @3", "SUSPENDED/IOERROR @3"]);
    assert_eq!(run.domain.state().await, Ok(DomainState::Paused(PausedReason::IoError)));
    run.domain.resume().await.expect("resumed");
    assert_eq!(run.next().await, "RESUMED/UNPAUSED @3");
    assert_eq!(run.domain.state().await, Ok(DomainState::Running(RunningReason::Unpaused)));
    assert_eq!(run.domain.disk_errors().await.expect("active"), []);
}

#[tokio::test(start_paused = true)]
async fn a_start_fails_as_often_as_told() {
    let script = GuestScript { start_fails: Failures::First(1), start_error: "no room".to_owned(), ..base() };
    let hypervisor = FakeHypervisor::new(Arc::new(Host::default()), script);
    let domain = hypervisor.define(&definition()).await.expect("defined");
    let error = domain.create(StartMode::Running).await.expect_err("fails");
    assert_eq!(error.to_string(), "virError(Code=1, Domain=10, Message='internal error: no room')");
    assert_eq!(domain.state().await, Ok(DomainState::Shutoff(ShutoffReason::Failed)));
    domain.create(StartMode::Running).await.expect("starts");
}

#[tokio::test(start_paused = true)]
async fn a_bad_annotation_is_refused_by_name() {
    let annotations = BTreeMap::from([("fake.ferrovirt.io/boot-time".to_owned(), "soon".to_owned())]);
    let hypervisor = FakeHypervisor::annotated(Arc::new(Host::default()), GuestScript::default(), &annotations);
    let Err(error) = hypervisor.define(&definition()).await else { panic!("accepted") };
    assert!(error.message.contains(r#"annotation fake.ferrovirt.io/boot-time: "soon" is not a duration"#), "{error}");
}

#[tokio::test(start_paused = true)]
async fn step_by_step_nothing_happens_until_released() {
    let script = GuestScript { power_off_after: Some(seconds(5)), ..GuestScript::default() };
    let (hypervisor, steps) = FakeHypervisor::step_by_step(Arc::new(Host::default()), script);
    let domain = hypervisor.define(&definition()).await.expect("defined");
    domain.create(StartMode::Running).await.expect("created");
    tokio::time::advance(seconds(1000)).await;
    let mut released = Vec::new();
    assert_eq!(domain.state().await, Ok(DomainState::Running(RunningReason::Booted)));
    while let Some((_, event)) = steps.release() {
        released.push((event, domain.state().await.expect("there").numbers()));
    }
    let expected = [(GuestEvent::Boots, (1, 1)), (GuestEvent::PowersOff, (4, 0)), (GuestEvent::ProcessExits, (5, 1))];
    assert_eq!(released, expected);
}

#[tokio::test(start_paused = true)]
async fn injected_events_happen_at_once_and_bad_ones_are_refused() {
    let mut run = start(base()).await;
    run.trace(2).await;
    run.hypervisor.inject("default_vm", &GuestEvent::ProcessDies).expect("running");
    assert_eq!(run.next().await, "STOPPED/FAILED @0");
    let error = run.hypervisor.inject("default_vm", &GuestEvent::Panics).expect_err("off");
    assert_eq!(error.code.0, 55);
    assert_eq!(run.hypervisor.inject("default_other", &GuestEvent::Panics).expect_err("unknown").code.0, 42);
}

async fn read_until(stream: &mut BoxGuestStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("open");
        text.push(char::from(byte[0]));
    }
    text
}

#[tokio::test(start_paused = true)]
async fn the_console_logs_in_echoes_and_powers_off() {
    let mut run = start(base()).await;
    run.trace(2).await;
    tokio::time::advance(seconds(3)).await;
    let mut console = run.domain.console().await.expect("console");
    read_until(&mut console, "vm login: ").await;
    console.write_all(b"fedora\nsecret\n").await.expect("typed");
    let text = read_until(&mut console, "$ ").await;
    assert_eq!(text, "fedora\r\nPassword: \r\n[fedora@vm ~]$ ");
    console.write_all(b"echo hello\nnonsense\n").await.expect("typed");
    let text = format!("{}{}", read_until(&mut console, "$ ").await, read_until(&mut console, "$ ").await);
    assert!(text.contains("\r\nhello\r\n") && text.contains("-sh: nonsense: command not found\r\n"), "{text}");
    console.write_all(b"poweroff\n").await.expect("typed");
    assert_eq!(run.trace(2).await, ["SHUTDOWN/GUEST @3", "STOPPED/SHUTDOWN @3"]);
    let mut rest = Vec::new();
    console.read_to_end(&mut rest).await.expect("closed with the process");
}

#[tokio::test(start_paused = true)]
async fn the_framebuffer_speaks_rfb() {
    let run = start(GuestScript::default()).await;
    let mut stream = run.domain.framebuffer().await.expect("framebuffer");
    let mut greeting = [0; 12];
    stream.read_exact(&mut greeting).await.expect("version");
    assert_eq!(&greeting, b"RFB 003.008\n");
    stream.write_all(b"RFB 003.008\n\x01\x01").await.expect("hello");
    let mut init = [0; 2 + 4 + 24 + 2];
    stream.read_exact(&mut init).await.expect("init");
    assert_eq!(&init[30..], b"vm");
    stream.write_all(&[3, 0, 0, 0, 0, 0, 0, 1, 0, 1]).await.expect("request");
    let mut header = [0; 16];
    stream.read_exact(&mut header).await.expect("update");
    assert_eq!(header, [0, 0, 0, 1, 0, 0, 0, 0, 1, 64, 0, 200, 0, 0, 0, 0]);
    let picture = run.domain.screenshot().await.expect("picture");
    assert!(picture.data.starts_with(b"P6\n320 200\n255\n"));
}

#[tokio::test(start_paused = true)]
async fn the_agent_tells_about_the_guest() {
    let mut run = start(GuestScript { agent: AgentScript::ConnectsAfter(seconds(1)), ..base() }).await;
    assert_eq!(run.trace(3).await[2], "agent Connected @3");
    let live = run.domain.description(View::Live).await.expect("described");
    let state = live.devices.channels.first().and_then(|channel| channel.target.as_ref()).and_then(|t| t.state.clone());
    assert_eq!(state.as_deref(), Some("connected"));
    assert_eq!(live.os.kind.machine.as_deref(), Some("pc-q35-rhel9.6.0"));
    let info = run.domain.guest_info().await.expect("info");
    assert_eq!((info.hostname.as_str(), info.interfaces[1].mac.as_str()), ("vm", "02:00:00:00:00:01"));
    let ran = run.domain.agent_command(r#"{"execute":"guest-exec","arguments":{"path":"echo","arg":["hi"]}}"#).await;
    assert_eq!(ran.expect("ran"), r#"{"return":{"pid":1000}}"#);
    let status = run.domain.agent_command(r#"{"execute":"guest-exec-status","arguments":{"pid":1000}}"#).await;
    assert_eq!(status.expect("status"), r#"{"return":{"exitcode":0,"exited":true,"out-data":"aGkK"}}"#);
    run.domain.fs_freeze().await.expect("frozen");
    assert!(run.domain.agent_command(r#"{"execute":"guest-get-osinfo"}"#).await.is_err());
    run.domain.fs_thaw().await.expect("thawed");
    run.domain.reboot(RebootMode::GuestAgent).await.expect("reboots");
    assert_eq!(run.trace(2).await, ["agent Disconnected @3", "agent Connected @6"]);
}

#[tokio::test(start_paused = true)]
async fn devices_come_and_go() {
    let mut run = start(GuestScript::default()).await;
    run.trace(2).await;
    let disk = domain::Disk::from_xml(
        "<disk type='file' device='disk'><source file='/extra.img'/><target dev='sda' bus='scsi'/><alias name='ua-extra'/></disk>",
    );
    let device = hypervisor::Device::Disk(Box::new(disk.expect("well-formed")));
    let both = hypervisor::Scope::LiveAndConfig;
    run.domain.attach_device(&device, both).await.expect("attached");
    let error = run.domain.attach_device(&device, both).await.expect_err("taken");
    assert_eq!(error.message, "unsupported configuration: non unique alias detected: ua-extra");
    run.domain.detach_device(&device, both).await.expect("detached");
    assert_eq!(run.trace(2).await, ["added extra @0", "removed extra @0"]);
    let error = run.domain.detach_device(&device, both).await.expect_err("gone");
    assert_eq!((error.code.0, error.message.as_str()), (99, "device not found: no target device sda"));
}
