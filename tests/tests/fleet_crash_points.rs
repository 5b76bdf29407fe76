//! virt-controller killed after every single write of the lives of a replica set and of a pool: no instance lost, none twice.
//!
//! Flow of one point: a set or pool of three is made, scaled to one, and deleted; after its n-th write (by anybody; leases, events
//! and reviews apart), before the writer sees the answer, virt-controller is gone and started anew. Points are taken until a life has
//! fewer writes than the point's number.
//!
//! A plain run takes every tenth point; `CRASH_POINTS=all` takes all.

#![allow(clippy::unwrap_used, reason = "tests may assume")]
#![allow(clippy::print_stdout, reason = "the number of points is what the suite is about")]

use ferrovirt::cluster::{Cluster, Options};
use ferrovirt_tests::trace::Trace;
use ferrovirt_tests::{manifest, wait};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const REPLICAS: u64 = 3;

#[rstest]
#[case::replica_set("VirtualMachineInstanceReplicaSet", "VirtualMachineInstance")]
#[case::pool("VirtualMachinePool", "VirtualMachine")]
fn virt_controller_dies_after_every_write(#[case] kind: &str, #[case] made: &str) {
    let step = if std::env::var("CRASH_POINTS").as_deref() == Ok("all") { 1 } else { 10 };
    let mut points = 0;
    while reached(kind, made, 1 + points * step) {
        points += 1;
    }
    println!("{kind}: {points} points, 0 lost, 0 doubled");
    assert!(points * step > 20, "a life has more writes than {points} points");
}

/// Lives one life with the fault at `point`; whether the life was long enough for it.
fn reached(kind: &str, made: &str, point: u64) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let cluster = Cluster::start(Options { nodes: 2, ..Options::simulated(point) }).await.unwrap();
        let trace = Trace::start(&cluster.client());
        let launchers = cluster.launchers().clone();
        cluster.requests().after_writes(point, move || {
            assert!(launchers.crash_component("virt-controller") > 0, "no virt-controller runs");
        });
        let at = format!("virt-controller killed after write {point} of a {kind}");
        live(&cluster, kind, made).await.unwrap_or_else(|error| panic!("{at}: {error:?}"));
        for (kind, most) in [(made, REPLICAS as usize), ("VirtualMachineInstance", REPLICAS as usize)] {
            let uids = uids(&trace, kind);
            assert_eq!(uids.len(), most, "{at}: there were so many of {kind}");
        }
        let left = cluster.launchers().domains().await;
        assert!(left.is_empty(), "{at}: domains are left: {left:?}");
        let reached = cluster.requests().until_fault().is_none();
        cluster.stop().await;
        reached
    })
}

fn uids(trace: &Trace, kind: &str) -> BTreeSet<String> {
    let changes = trace.changes();
    let of_kind = changes.iter().filter(|change| change.kind == kind);
    of_kind.filter_map(|change| change.object.pointer("/metadata/uid")?.as_str().map(str::to_owned)).collect()
}

async fn live(cluster: &Cluster, kind: &str, made: &str) -> anyhow::Result<()> {
    let client = cluster.client();
    let fleets = wait::api(&client, kind, Some("default"));
    let fleet: DynamicObject = serde_json::from_value(manifest::fleet(kind, "web", REPLICAS))?;
    fleets.create(&PostParams::default(), &fleet).await?;
    ready(&fleets, REPLICAS).await?;
    fleets.patch("web", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 1}}))).await?;
    ready(&fleets, 1).await?;
    fleets.delete("web", &DeleteParams::default()).await?;
    wait::until(&fleets, "web", "gone", wait::PATIENCE, |fleet| fleet.is_none()).await?;
    for kind in [made, "VirtualMachineInstance"] {
        let all: Api<DynamicObject> = wait::api(&client, kind, Some("default"));
        for object in all.list(&ListParams::default()).await? {
            let name = object.metadata.name.unwrap_or_default();
            wait::until(&all, &name, "gone", wait::PATIENCE, |object| object.is_none()).await?;
        }
    }
    Ok(())
}

async fn ready(fleets: &Api<DynamicObject>, count: u64) -> anyhow::Result<()> {
    let number = |fleet: &Value, key: &str| fleet["status"][key].as_u64().unwrap_or_default();
    let holds =
        |fleet: Option<&Value>| fleet.is_some_and(|fleet| number(fleet, "replicas") == count && number(fleet, "readyReplicas") == count);
    wait::until(fleets, "web", &format!("{count} ready"), wait::PATIENCE, holds).await.map(drop)
}
