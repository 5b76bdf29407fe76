use std::time::Duration;

use fake_hypervisor::{Failures, GuestScript};
use rstest::rstest;
use tokio::time::Instant;

use crate::world::{World, wait_for};

/// A handler that crashes at any moment and comes back changes nothing in the outcome.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_moment_changes_nothing(
    #[values(0, 1, 10, 1_000, 3_000, 3_001, 3_010)] milliseconds: u64,
    #[values(1, 5_000)] downtime: u64,
) {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let script = GuestScript { shutdown_time: Duration::from_secs(2), ..GuestScript::default() };
    let pod = world.pod("vm", &uid, script);
    let begin = Instant::now();
    let deleted = Duration::from_secs(1);
    let crash = Duration::from_millis(milliseconds);
    let mut steps = [(crash, 'c'), (crash + Duration::from_millis(downtime), 's'), (deleted, 'd')];
    steps.sort_by_key(|(at, _)| *at);
    for (at, step) in steps {
        tokio::time::sleep_until(begin + at).await;
        match step {
            'c' => world.crash_handler().await,
            's' => world.start_handler(),
            _ => {
                // The user waits until it runs, if it ever does while the handler is away.
                if milliseconds > 0 && milliseconds <= 1_000 && downtime < 1_000 {
                    world.phase("vm", "Running").await;
                }
                world.delete("vm").await;
            }
        }
    }
    wait_for("the end", async || {
        let vmi = world.vmi("vm").await.unwrap();
        vmi["status"]["phase"] == "Succeeded" || vmi["status"]["phase"] == "Failed" || pod.has_ended()
    })
    .await;
    let vmi = world.vmi("vm").await.unwrap();
    let ran = vmi["status"]["phaseTransitionTimestamps"].to_string().contains("Running");
    if ran {
        world.phase("vm", "Succeeded").await;
    }
    wait_for("the pod's end", async || pod.has_ended() || !ran).await;
    drop(pod);
    wait_for("no trace", async || launcher_rpc::LauncherDirectory::records(&world.directory).await.is_empty()).await;
    world.crash_handler().await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_runs_on_while_the_handler_is_away() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let _pod = world.pod("vm", &uid, GuestScript::default());
    world.phase("vm", "Running").await;
    let before = world.vmi("vm").await.unwrap();
    world.crash_handler().await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    world.start_handler();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(world.vmi("vm").await.unwrap(), before);
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_ends_while_the_handler_is_away_ends_its_vmi_by_its_kind() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let script = GuestScript { power_off_after: Some(Duration::from_secs(30)), ..GuestScript::default() };
    let _pod = world.pod("vm", &uid, script);
    world.phase("vm", "Running").await;
    world.crash_handler().await;
    // Gone for long enough to miss it, and back before the launcher gives up on it.
    tokio::time::sleep(Duration::from_mins(1)).await;
    world.start_handler();
    world.phase("vm", "Succeeded").await;
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn an_earlier_incarnation_is_cleaned_up_before_the_next_starts() {
    let mut world = World::new().await;
    world.start_handler();
    let old = world.handed_over("vm", 30).await;
    let first = world.pod("vm", &old, GuestScript { ignores_shutdown: Failures::Always, ..GuestScript::default() });
    world.phase("vm", "Running").await;
    // Somebody removes the VMI without waiting for anything.
    world.release("vm").await;
    world.delete("vm").await;
    let new = world.handed_over("vm", 30).await;
    let second = world.pod("vm", &new, GuestScript::default());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_ne!(world.vmi("vm").await.unwrap()["status"]["phase"], "Running", "never two");
    drop(first);
    world.phase("vm", "Running").await;
    assert!(!second.has_ended());
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_shut_down() {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let pod = world.pod("vm", &uid, GuestScript { shutdown_time: Duration::from_secs(1), ..GuestScript::default() });
    world.phase("vm", "Running").await;
    world.crash_handler().await;
    world.release("vm").await;
    world.delete("vm").await;
    world.start_handler();
    wait_for("the pod's end", async || pod.has_ended()).await;
    assert!(launcher_rpc::LauncherDirectory::records(&world.directory).await.is_empty());
    world.stop_handler().await;
}
