use std::time::Duration;

use fake_hypervisor::{AgentScript, DiskFault, Failures, GuestEvent, GuestScript};
use rstest::rstest;
use serde_json::json;
use tokio::time::Instant;

use crate::world::{World, wait_for};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_guest_starts_and_is_shut_down_with_its_vmi() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let pod = world.pod("vm", &uid, GuestScript { shutdown_time: seconds(3), ..GuestScript::default() });
    world.phase("vm", "Running").await;
    let vmi = world.vmi("vm").await.unwrap();
    let status = &vmi["status"];
    assert_eq!(status["interfaces"][0]["ipAddress"], "10.244.0.5");
    assert_eq!(status["machine"]["type"], "pc-q35-rhel9.6.0");
    assert_eq!(status["volumeStatus"][0]["target"], "vda");
    assert_eq!(status["migrationMethod"], "BlockMigration");
    let conditions = status["conditions"].as_array().unwrap();
    let live = conditions.iter().find(|condition| condition["type"] == "LiveMigratable").unwrap();
    assert_eq!(live["status"], "True");
    assert_eq!(vmi["spec"]["volumes"], json!([{"name": "root", "containerDisk": {"image": "cirros"}}]));

    // Nothing is written while nothing changes.
    tokio::time::sleep(seconds(2)).await;
    let quiet = vmi_writes(&world);
    tokio::time::sleep(seconds(600)).await;
    assert_eq!(vmi_writes(&world), quiet);

    world.delete("vm").await;
    world.phase("vm", "Succeeded").await;
    wait_for("the pod's end", async || pod.has_ended()).await;
    assert_eq!(vmi_writes(&world), 2, "one write for Running, one for Succeeded");
    wait_for("the events", async || world.events("vm").await.len() >= 5).await;
    assert_eq!(
        world.events("vm").await,
        [
            "Created VirtualMachineInstance defined.",
            "Started VirtualMachineInstance started.",
            "ShuttingDown Signaled Graceful Shutdown",
            "Stopped The VirtualMachineInstance was shut down.",
            "Deleted Signaled Deletion",
        ]
    );
    world.release("vm").await;
    tokio::time::sleep(seconds(60)).await;
    assert!(launcher_rpc::LauncherDirectory::records(&world.directory).await.is_empty(), "no trace is left");
    world.stop_handler().await;
}

fn vmi_writes(world: &World) -> u64 {
    let counts = world.counts.snapshot();
    counts.iter().filter(|((_, resource), _)| resource == "virtualmachineinstances").map(|(_, count)| count).sum()
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_ignores_the_power_button_is_killed_when_its_grace_period_is_over() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 12).await;
    let _pod = world.pod("vm", &uid, GuestScript { ignores_shutdown: Failures::Always, ..GuestScript::default() });
    world.phase("vm", "Running").await;
    let begin = Instant::now();
    world.delete("vm").await;
    world.phase("vm", "Failed").await;
    assert_eq!(begin.elapsed().as_secs(), 12);
    wait_for("the events", async || world.events("vm").await.len() >= 5).await;
    let events = world.events("vm").await;
    assert!(events.contains(&"Deleted VirtualMachineInstance stopping".to_owned()), "{events:?}");
    assert!(events.contains(&"Stopped The VirtualMachineInstance crashed.".to_owned()), "{events:?}");
    world.stop_handler().await;
}

#[rstest]
#[case::no_grace(0, Failures::Always, "Succeeded", 0)]
#[case::obeys_the_second_request(30, Failures::First(1), "Succeeded", 5)]
#[tokio::test(start_paused = true)]
async fn ends(#[case] grace: i64, #[case] ignores: Failures, #[case] phase: &str, #[case] after: u64) {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", grace).await;
    let _pod = world.pod("vm", &uid, GuestScript { ignores_shutdown: ignores, ..GuestScript::default() });
    world.phase("vm", "Running").await;
    let begin = Instant::now();
    world.delete("vm").await;
    world.phase("vm", phase).await;
    assert_eq!(begin.elapsed().as_secs(), after);
    world.stop_handler().await;
}

#[rstest]
#[case::powers_off(GuestScript { power_off_after: Some(seconds(5)), ..GuestScript::default() }, "Succeeded")]
#[case::dies(GuestScript { crash_after: Some(seconds(5)), ..GuestScript::default() }, "Failed")]
#[case::panics(GuestScript { panic_after: Some(seconds(5)), ..GuestScript::default() }, "Failed")]
#[tokio::test(start_paused = true)]
async fn a_guest_that_ends_by_itself_ends_its_vmi(#[case] script: GuestScript, #[case] phase: &str) {
    let mut world = World::new().await;
    world.start_handler();
    let panics = script.panic_after.is_some();
    let uid = world.handed_over("vm", 30).await;
    let pod = world.pod("vm", &uid, script);
    world.phase("vm", "Running").await;
    world.phase("vm", phase).await;
    wait_for("the pod's end", async || pod.has_ended()).await;
    tokio::time::sleep(seconds(1)).await;
    let events = world.events("vm").await;
    let panicked = events.iter().any(|event| event.starts_with("GuestPanicked"));
    assert_eq!(panicked, panics, "{events:?}");
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_told_and_tried_again() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let script = GuestScript { start_fails: Failures::First(2), start_error: "no room".to_owned(), ..GuestScript::default() };
    let _pod = world.pod("vm", &uid, script);
    world.phase("vm", "Running").await;
    tokio::time::sleep(seconds(1)).await;
    let failed = "SyncFailed LibvirtError(Code=1, Domain=10, Message='internal error: no room')".to_owned();
    assert!(world.events("vm").await.contains(&failed), "{:?}", world.events("vm").await);
    let vmi = world.vmi("vm").await.unwrap();
    let conditions = vmi["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().all(|condition| condition["type"] != "Synchronized"), "taken back: {conditions:?}");
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_always_fails_is_tried_ever_more_slowly() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let pod = world.pod("vm", &uid, GuestScript { start_fails: Failures::Always, ..GuestScript::default() });
    let failed =
        "SyncFailed LibvirtError(Code=1, Domain=10, Message='internal error: process exited while connecting to monitor')".to_owned();
    wait_for("the failure's event", async || world.events("vm").await.contains(&failed)).await;
    // Delays that double from 5 ms: no more than some 15 starts in two minutes.
    tokio::time::sleep(seconds(120)).await;
    let starts = pod.hypervisor.starts();
    assert!((10..=20).contains(&starts), "{starts} starts");
    assert_eq!(world.vmi("vm").await.unwrap()["status"]["phase"], "Scheduled");
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_lost_fails_its_vmi() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let pod = world.pod("vm", &uid, GuestScript::default());
    world.phase("vm", "Running").await;
    drop(pod);
    world.phase("vm", "Failed").await;
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_told_to_end_has_its_guest_shut_down() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let pod = world.pod("vm", &uid, GuestScript { shutdown_time: seconds(2), ..GuestScript::default() });
    world.phase("vm", "Running").await;
    pod.stop.cancel();
    world.phase("vm", "Succeeded").await;
    wait_for("the pod's end", async || pod.has_ended()).await;
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_pauses_and_is_let_go_with_growing_patience() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let script = GuestScript { io_error: Some(DiskFault { after: seconds(5), resumes: 3 }), ..GuestScript::default() };
    let _pod = world.pod("vm", &uid, script);
    world.phase("vm", "Running").await;
    let begin = Instant::now();
    let paused = async || {
        let vmi = world.vmi("vm").await.unwrap();
        let conditions = vmi["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().find(|condition| condition["type"] == "Paused").map(|condition| condition["reason"].clone())
    };
    wait_for("paused", async || paused().await == Some(json!("PausedIOError"))).await;
    wait_for("let go", async || paused().await.is_none() && begin.elapsed() > seconds(30)).await;
    assert!(begin.elapsed() < seconds(60), "{:?}", begin.elapsed());
    let events = world.events("vm").await;
    let told = events.iter().any(|event| event == "IOerror VM Paused due to not enough space on volume: root");
    assert!(told, "{events:?}");
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn the_agent_shows_in_the_status() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let script = GuestScript { agent: AgentScript::ConnectsAfter(seconds(5)), ..GuestScript::default() };
    let pod = world.pod("vm", &uid, script);
    world.phase("vm", "Running").await;
    let connected = async || {
        let vmi = world.vmi("vm").await.unwrap();
        let conditions = vmi["status"]["conditions"].as_array().unwrap();
        conditions.iter().any(|condition| condition["type"] == "AgentConnected" && condition["status"] == "True")
    };
    wait_for("connected", connected).await;
    wait_for("os", async || world.vmi("vm").await.unwrap()["status"]["guestOSInfo"]["id"] == "fedora").await;
    let vmi = world.vmi("vm").await.unwrap();
    let interface = &vmi["status"]["interfaces"][0];
    assert_eq!((&interface["interfaceName"], &interface["infoSource"]), (&json!("eth0"), &json!("domain, guest-agent")));
    pod.hypervisor.inject("default_vm", &GuestEvent::AgentDisconnects).unwrap();
    wait_for("gone", async || !connected().await).await;
    assert_eq!(world.vmi("vm").await.unwrap()["status"]["guestOSInfo"]["id"], "fedora", "kept");
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_tells_what_it_can_do_and_that_it_is_alive() {
    let mut world = World::new().await;
    world.start_handler();
    let label = async |name: &str| world.node().await.metadata.labels.unwrap_or_default().get(name).cloned();
    wait_for("schedulable", async || label("kubevirt.io/schedulable").await.as_deref() == Some("true")).await;
    wait_for("labels", async || label("cpu-model.node.kubevirt.io/Haswell").await.is_some()).await;
    let node = world.node().await;
    let allocatable = node.status.unwrap().allocatable.unwrap();
    assert_eq!(allocatable["devices.kubevirt.io/kvm"].0, "1k");
    let heartbeat = async || world.node().await.metadata.annotations.unwrap()["kubevirt.io/heartbeat"].clone();
    let first = heartbeat().await;
    assert!(first.starts_with("\"2030-01-01T") && first.ends_with("Z\""), "{first}");
    tokio::time::sleep(seconds(140)).await;
    assert_ne!(heartbeat().await, first);
    world.stop_handler().await;
    assert_eq!(world.node().await.metadata.labels.unwrap()["kubevirt.io/schedulable"], "false");
}

#[tokio::test(start_paused = true)]
async fn many_guests_start_side_by_side() {
    let mut world = World::new().await;
    world.start_handler();
    let mut pods = Vec::new();
    for number in 0..40 {
        let name = format!("vm{number}");
        let uid = world.handed_over(&name, 30).await;
        pods.push(world.pod(&name, &uid, GuestScript::default()));
    }
    for number in 0..40 {
        world.phase(&format!("vm{number}"), "Running").await;
    }
    assert_eq!(vmi_writes(&world), 40);
    world.stop_handler().await;
}
