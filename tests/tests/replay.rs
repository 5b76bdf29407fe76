//! The same seed gives the same history, byte for byte; another seed another one (ARCHITECTURE.md, invariant 6).

#![allow(clippy::unwrap_used, reason = "tests may assume")]

use ferrovirt::cluster::{Cluster, Options};
use ferrovirt_tests::trace::Trace;
use ferrovirt_tests::{manifest, wait};
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};

/// Everything that happened while a VM was created, crashed, came back and was deleted.
fn history(seed: u64) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let cluster = Cluster::start(Options { nodes: 2, ..Options::simulated(seed) }).await.unwrap();
        let client = cluster.client();
        let trace = Trace::start(&client);
        let vms = wait::api(&client, "VirtualMachine", Some("default"));
        let mut vm = manifest::vm("vm", ("runStrategy", json!("Always")));
        manifest::set(&mut vm, "spec.template.metadata.annotations.fake.ferrovirt.io/crash-after", "90s");
        let vm: DynamicObject = serde_json::from_value(vm).unwrap();
        vms.create(&PostParams::default(), &vm).await.unwrap();
        let vmis = wait::api(&client, "VirtualMachineInstance", Some("default"));
        let mut seen = std::collections::BTreeSet::new();
        let twice = |vmi: Option<&Value>| {
            if let Some(vmi) = vmi.filter(|vmi| vmi["status"]["phase"] == "Running") {
                seen.insert(vmi["metadata"]["uid"].to_string());
            }
            seen.len() == 2
        };
        wait::until(&vmis, "vm", "two lives", wait::PATIENCE, twice).await.unwrap();
        vms.delete("vm", &DeleteParams::default()).await.unwrap();
        wait::until(&vms, "vm", "gone", wait::PATIENCE, |vm| vm.is_none()).await.unwrap();
        let log = trace.log();
        cluster.stop().await;
        log
    })
}

#[test]
fn one_seed_gives_one_history() {
    let first = history(7);
    assert!(first.lines().count() > 30, "{first}");
    let second = history(7);
    for (one, other) in first.lines().zip(second.lines()) {
        assert_eq!(one, other);
    }
    assert_eq!(first.len(), second.len());
    assert_ne!(first, history(8));
}
