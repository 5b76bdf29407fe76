//! Every component killed after every single write of a VM's life: nothing lost, nothing twice.
//!
//! Flow of one point: a life begins; after its n-th write (by anybody; leases, events and reviews apart), before the writer sees the
//! answer, the component's processes are gone; kubelets start them anew; the life goes on to its end. Points are taken until a life has
//! fewer writes than the point's number.
//!
//! `CRASH_POINTS=all` takes the lives that a plain run leaves out.

#![allow(clippy::unwrap_used, reason = "tests may assume")]
#![allow(clippy::print_stdout, reason = "the number of points is what the suite is about")]

use ferrovirt::cluster::{Cluster, Options};
use ferrovirt_tests::trace::Trace;
use ferrovirt_tests::{manifest, wait};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a VM lives through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Created, Running, deleted.
    Short,
    /// Created, Running, halted by its owner, started again, deleted.
    Restarted,
    /// Created, Running, crashed by itself, Running again, deleted.
    Crashed,
}

impl Life {
    /// How many VMIs it takes.
    fn incarnations(self) -> usize {
        match self {
            Self::Short => 1,
            Self::Restarted | Self::Crashed => 2,
        }
    }
}

#[rstest]
#[case::virt_controller("virt-controller", Life::Short)]
#[case::virt_handler("virt-handler", Life::Short)]
#[case::virt_api("virt-api", Life::Short)]
#[case::virt_controller_restarted("virt-controller", Life::Restarted)]
#[case::virt_handler_restarted("virt-handler", Life::Restarted)]
#[case::virt_controller_crashed("virt-controller", Life::Crashed)]
#[case::virt_handler_crashed("virt-handler", Life::Crashed)]
fn a_component_dies_after_every_write(#[case] component: &'static str, #[case] life: Life) {
    if life != Life::Short && std::env::var("CRASH_POINTS").as_deref() != Ok("all") {
        println!("skipped: {life:?} is a life of CRASH_POINTS=all");
        return;
    }
    let mut point = 1;
    while reached(component, life, point) {
        point += 1;
    }
    println!("{component}, {life:?}: {} points, 0 lost, 0 doubled", point - 1);
    assert!(point > 10, "a life has more writes than {point}");
}

/// Lives one life with the fault at `point`; whether the life was long enough for it.
fn reached(component: &'static str, life: Life, point: u64) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let cluster = Cluster::start(Options { nodes: 1, ..Options::simulated(point) }).await.unwrap();
        let trace = Trace::start(&cluster.client());
        let launchers = cluster.launchers().clone();
        cluster.requests().after_writes(point, move || {
            assert!(launchers.crash_component(component) > 0, "no {component} runs");
        });
        live(&cluster, life).await.unwrap_or_else(|error| panic!("{component} killed after write {point} of {life:?}: {error:?}"));
        let at = format!("{component} killed after write {point} of {life:?}");
        check(&cluster, &trace, life, &at).await;
        let reached = cluster.requests().until_fault().is_none();
        cluster.stop().await;
        reached
    })
}

async fn live(cluster: &Cluster, life: Life) -> anyhow::Result<()> {
    let client = cluster.client();
    let vms = wait::api(&client, "VirtualMachine", Some("default"));
    let strategy = |strategy: &str| json!({"spec": {"runStrategy": strategy}});
    let vm: DynamicObject = serde_json::from_value(manifest::vm("vm", ("runStrategy", json!("Always"))))?;
    // virt-api may be the one that is down: its webhooks are asked again, as any client would.
    again(|| async { vms.create(&PostParams::default(), &vm).await.map(drop) }).await?;
    shows(&vms, "Running").await?;
    match life {
        Life::Short => {}
        Life::Restarted => {
            again(|| async { vms.patch("vm", &PatchParams::default(), &Patch::Merge(strategy("Halted"))).await.map(drop) }).await?;
            shows(&vms, "Stopped").await?;
            again(|| async { vms.patch("vm", &PatchParams::default(), &Patch::Merge(strategy("Always"))).await.map(drop) }).await?;
            shows(&vms, "Running").await?;
        }
        Life::Crashed => {
            let first = uid(&client).await?;
            cluster.launchers().inject("default", "vm", &fake_hypervisor::GuestEvent::ProcessDies)?;
            let vmis = wait::api(&client, "VirtualMachineInstance", Some("default"));
            wait::until(&vmis, "vm", "another life", wait::PATIENCE, |vmi| {
                vmi.is_some_and(|vmi| vmi["metadata"]["uid"] != first && vmi["status"]["phase"] == "Running")
            })
            .await?;
        }
    }
    again(|| async { vms.delete("vm", &DeleteParams::default()).await.map(drop) }).await?;
    wait::until(&vms, "vm", "gone", wait::PATIENCE, |vm| vm.is_none()).await?;
    Ok(())
}

async fn shows(vms: &Api<DynamicObject>, status: &str) -> anyhow::Result<()> {
    wait::until(vms, "vm", status, wait::PATIENCE, |vm| vm.is_some_and(|vm| vm["status"]["printableStatus"] == status)).await?;
    Ok(())
}

async fn uid(client: &Client) -> anyhow::Result<Value> {
    let vmi = wait::api(client, "VirtualMachineInstance", Some("default")).get("vm").await?;
    Ok(json!(vmi.metadata.uid))
}

/// Asks until the webhooks answer; what was done all the same (the answer got lost) is done.
async fn again<F: Future<Output = kube::Result<()>>>(mut request: impl FnMut() -> F) -> anyhow::Result<()> {
    for _ in 0..60 {
        match request().await {
            Ok(()) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => return Ok(()),
            Err(kube::Error::Api(status)) if status.code >= 500 => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("the webhooks do not answer for a minute")
}

/// Nothing is left, and nothing was there twice.
async fn check(cluster: &Cluster, trace: &Trace, life: Life, at: &str) {
    let client = cluster.client();
    let left = cluster.launchers().domains().await;
    assert!(left.is_empty(), "{at}: domains are left: {left:?}");
    let pods: Api<DynamicObject> = wait::api(&client, "Pod", Some("default"));
    let left = pods.list(&kube::api::ListParams::default()).await.unwrap().items.len();
    assert_eq!(left, 0, "{at}: pods are left");
    let mut vmis = BTreeSet::new();
    let mut live: BTreeMap<String, bool> = BTreeMap::new();
    for change in trace.changes() {
        let text = |pointer: &str| change.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        match change.kind.as_str() {
            "VirtualMachineInstance" => drop(vmis.insert(text("/metadata/uid"))),
            "Pod" if change.name().starts_with("virt-launcher-") => {
                let ended = change.verb == "DELETED" || matches!(text("/status/phase").as_str(), "Succeeded" | "Failed");
                live.insert(change.name().to_owned(), !ended);
                let owners = live.values().filter(|live| **live).count();
                assert!(owners <= 1, "{at}: {owners} launcher pods at a time");
            }
            _ => {}
        }
    }
    assert_eq!(vmis.len(), life.incarnations(), "{at}: VMIs");
}
