//! virt-controller against an API, on one thread under a paused clock.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, clippy::await_holding_lock, reason = "tests; one thread")]

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Script, State, vm};
use serde_json::{Value, json};

const VMS: &str = "apis/kubevirt.io/v1/virtualmachines";

fn printable(state: &State, name: &str) -> String {
    let vm = state.get("virtualmachines", name);
    vm.and_then(|vm| vm["status"]["printableStatus"].as_str()).unwrap_or_default().to_owned()
}

fn phase(state: &State, name: &str) -> String {
    let vmi = state.get("virtualmachineinstances", name);
    vmi.and_then(|vmi| vmi["status"]["phase"].as_str()).unwrap_or_default().to_owned()
}

fn is_ready(state: &State, name: &str) -> bool {
    printable(state, name) == "Running" && state.get("virtualmachines", name).is_some_and(|vm| vm["status"]["ready"] == true)
}

fn is_empty(state: &State) -> bool {
    ["virtualmachines", "virtualmachineinstances", "pods"].iter().all(|resource| state.list(resource).is_empty())
}

#[tokio::test(start_paused = true)]
async fn a_vm_runs_and_goes() {
    let cluster = Cluster::start(Script::Run);
    let controller = cluster.controller("one");
    cluster.state().create(VMS, vm("a", "Always"));
    cluster.wait_for("ready", |state| is_ready(state, "a")).await;
    {
        let state = cluster.state();
        let vmi = state.get("virtualmachineinstances", "a").unwrap();
        assert_eq!(vmi["status"]["nodeName"], "n1");
        assert_eq!(vmi["metadata"]["labels"]["kubevirt.io/nodeName"], "n1");
        assert_eq!(state.list("pods").len(), 1);
        assert_eq!(state.list("controllerrevisions").len(), 1);
        let phases = vmi["status"]["phaseTransitionTimestamps"].as_array().unwrap();
        let phases: Vec<&str> = phases.iter().filter_map(|entered| entered["phase"].as_str()).collect();
        assert_eq!(phases, ["Scheduling", "Scheduled", "Running"]);
    }
    // Nothing is written while nothing changes.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let quiet = cluster.state().log.len();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(cluster.state().log.len(), quiet);

    cluster.state().delete("virtualmachines", "a");
    cluster.wait_for("gone", is_empty).await;
    let log = cluster.state().log.clone();
    let gone: Vec<&String> = log.iter().filter(|line| line.starts_with("gone")).collect();
    let order: Vec<&str> =
        gone.iter().map(|line| line.split(' ').nth(1).unwrap()).filter(|resource| *resource != "controllerrevisions").collect();
    assert_eq!(order, ["pods", "virtualmachineinstances", "virtualmachines"]);
    let writes_on_vm = log.iter().filter(|line| !line.starts_with("gone") && line.contains(" virtualmachines")).count();
    assert!(writes_on_vm <= 3, "{log:#?}");
    // What a quick life costs, events and leases aside.
    let written = log.iter().filter(|line| !line.starts_with("gone")).count();
    assert!(written <= 14, "{written} writes: {log:#?}");
    controller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_request_waits_for_the_old_instance() {
    let cluster = Cluster::start(Script::Run);
    let controller = cluster.controller("one");
    cluster.state().create(VMS, vm("a", "Manual"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(cluster.state().list("virtualmachineinstances").is_empty());
    cluster.state().update("virtualmachines", "a", |vm| vm["status"]["stateChangeRequests"] = json!([{"action": "Start"}]));
    cluster.wait_for("started", |state| is_ready(state, "a")).await;
    let first = cluster.state().get("virtualmachineinstances", "a").unwrap()["metadata"]["uid"].clone();
    let requests = json!([{"action": "Stop", "uid": first}, {"action": "Start"}]);
    cluster.state().update("virtualmachines", "a", |vm| vm["status"]["stateChangeRequests"] = requests);
    let other = first.clone();
    let restarted = move |state: &State| {
        state.get("virtualmachineinstances", "a").is_some_and(|vmi| vmi["metadata"]["uid"] != other) && is_ready(state, "a")
    };
    cluster.wait_for("restarted", restarted).await;
    cluster
        .wait_for("requests are done", |state| {
            state
                .get("virtualmachines", "a")
                .is_some_and(|vm| vm["status"].get("stateChangeRequests").is_none_or(|left| left == &json!([])))
        })
        .await;
    controller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failed_starts_back_off() {
    let cluster = Cluster::start(Script::FailToStart);
    let controller = cluster.controller("one");
    cluster.state().create(VMS, vm("a", "Always"));
    cluster.wait_for("crash loop", |state| printable(state, "a") == "CrashLoopBackOff").await;
    let count = |state: &State| state.get("virtualmachines", "a").map(|vm| vm["status"]["startFailure"]["consecutiveFailCount"].clone());
    cluster.wait_for("a third failure", |state| count(state) == Some(json!(3))).await;
    let started = cluster.state().log.iter().filter(|line| *line == "post virtualmachineinstances a").count();
    assert_eq!(started, 3);
    controller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_crashed_guest_is_rerun_on_failure() {
    let cluster = Cluster::start(Script::Crash);
    let controller = cluster.controller("one");
    cluster.state().create(VMS, vm("a", "RerunOnFailure"));
    let starts = |state: &State| state.log.iter().filter(|line| *line == "post virtualmachineinstances a").count();
    cluster.wait_for("three starts", |state| starts(state) >= 3).await;
    controller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_adopted() {
    let cluster = Cluster::start(Script::Run);
    let controller = cluster.controller("one");
    cluster.state().create(VMS, vm("a", "Always"));
    cluster.wait_for("ready", |state| is_ready(state, "a")).await;
    let uid = cluster.state().get("virtualmachineinstances", "a").unwrap()["metadata"]["uid"].clone();
    {
        let mut state = cluster.state();
        state.update("virtualmachineinstances", "a", |vmi| {
            vmi["metadata"].as_object_mut().unwrap().remove("ownerReferences");
        });
        state.update("virtualmachines", "a", |vm| vm["metadata"]["finalizers"] = json!(["orphan", vm["metadata"]["finalizers"][0]]));
        state.delete("virtualmachines", "a");
    }
    cluster
        .wait_for("released", |state| state.get("virtualmachines", "a").is_some_and(|vm| vm["metadata"]["finalizers"] == json!(["orphan"])))
        .await;
    cluster.state().update("virtualmachines", "a", |vm| vm["metadata"]["finalizers"] = json!([]));
    assert_eq!(phase(&cluster.state(), "a"), "Running");
    cluster.state().create(VMS, vm("a", "Always"));
    cluster.wait_for("adopted", |state| is_ready(state, "a")).await;
    let state = cluster.state();
    let vmi = state.get("virtualmachineinstances", "a").unwrap();
    assert_eq!(vmi["metadata"]["uid"], uid);
    assert_eq!(vmi["metadata"]["ownerReferences"][0]["uid"], state.get("virtualmachines", "a").unwrap()["metadata"]["uid"]);
    drop(state);
    controller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over() {
    let cluster = Cluster::start(Script::Run);
    let first = cluster.controller("one");
    cluster.wait_for("a lease", |state| state.list("leases").first().is_some_and(|lease| lease["spec"]["holderIdentity"] == "one")).await;
    let second = cluster.controller("two");
    cluster.state().create(VMS, vm("a", "Always"));
    cluster.wait_for("ready", |state| is_ready(state, "a")).await;
    first.kill().await;
    cluster.state().create(VMS, vm("b", "Always"));
    cluster.wait_for("ready", |state| is_ready(state, "b")).await;
    let state = cluster.state();
    assert_eq!(state.list("leases")[0]["spec"]["holderIdentity"], "two");
    assert_eq!(state.list("leases")[0]["spec"]["leaseTransitions"], 1);
    drop(state);
    second.stop().await;
}

/// Everything about the outcome that a crash must not change.
fn outcome(state: &State) -> Value {
    let vm = state.get("virtualmachines", "a").unwrap();
    let vmi = state.get("virtualmachineinstances", "a").unwrap();
    let conditions = |object: &Value| {
        let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let mut all: Vec<String> = all.iter().map(|condition| format!("{} {}", condition["type"], condition["status"])).collect();
        all.sort();
        all
    };
    json!({
        "vm": [vm["spec"], vm["metadata"]["finalizers"], vm["status"]["printableStatus"], vm["status"]["runStrategy"], conditions(vm)],
        "vmi": [vmi["spec"], vmi["metadata"]["labels"], vmi["metadata"]["finalizers"], vmi["status"]["phase"], conditions(vmi)],
        "revisions": state.list("controllerrevisions").len(),
        "pods": state.list("pods").len(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_changes_nothing() {
    let undisturbed = Cluster::start(Script::Run);
    let controller = undisturbed.controller("one");
    undisturbed.state().create(VMS, vm("a", "Always"));
    undisturbed.wait_for("ready", |state| is_ready(state, "a")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let expected = outcome(&undisturbed.state());
    let writes = undisturbed.counts.total();
    controller.stop().await;
    assert!(writes > 8);
    for last_write_done in [true, false] {
        for crash_at in 0..writes {
            let cluster = Cluster::start(Script::Run);
            cluster.state().writes_left = Some(crash_at);
            cluster.state().last_write_done = last_write_done;
            let first = cluster.controller("one");
            cluster.state().create(VMS, vm("a", "Always"));
            tokio::time::sleep(Duration::from_secs(3)).await;
            first.kill().await;
            cluster.state().writes_left = None;
            let second = cluster.controller("two");
            cluster.wait_for("ready", |state| is_ready(state, "a")).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(outcome(&cluster.state()), expected, "crash at write {crash_at}, carried out: {last_write_done}");
            let created = |resource: &str| {
                let started = format!("post {resource}");
                cluster.state().log.iter().filter(|line| line.starts_with(&started)).count()
            };
            assert!(created("virtualmachineinstances") <= 2 && created("pods") <= 2, "{:#?}", cluster.state().log);
            cluster.state().delete("virtualmachines", "a");
            cluster.wait_for("gone", is_empty).await;
            second.stop().await;
        }
    }
}
