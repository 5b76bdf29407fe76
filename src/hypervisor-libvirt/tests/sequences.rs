//! Random sequences of calls are observed the same on libvirt and on the fake: answers, states and events.
//!
//! `FERROVIRT_SEQUENCES` says how many; the seed is fixed, so that a run can be repeated.

#[allow(dead_code, reason = "the suites share it, and each uses a part")]
mod bench;

use std::sync::Arc;

use bench::{LibvirtBench, folder};
use fake_hypervisor::{Failures, FakeHypervisor, GuestScript, Host};
use ferrovirt_hypervisor_libvirt::Libvirt;
use hypervisor::conformance::sequences::{Call, play};
use hypervisor::conformance::{Bench, Guest};
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Without the variable: as many as fit into a test run.
const SEQUENCES: usize = 12;

/// Starts are likelier than chance has it: most calls need a process.
fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = proptest::prop_oneof![
        2 => select(vec![Call::Define, Call::Create, Call::CreatePaused]),
        3 => select(Call::ALL.to_vec()),
    ];
    vec(call, 1..14).prop_map(|mut calls| {
        calls.insert(0, Call::Define);
        calls
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libvirt_and_the_fake_are_observed_the_same() {
    let folder = folder();
    let hypervisor = match Libvirt::embedded(&folder.path().join("root")).await {
        Ok(hypervisor) => hypervisor,
        Err(error) => return println!("skipped: libvirt is not installed: {error}"),
    };
    let bench = LibvirtBench::new(hypervisor.clone(), folder.path());
    let wanted = std::env::var("FERROVIRT_SEQUENCES").ok().and_then(|count| count.parse().ok()).unwrap_or(SEQUENCES);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let definition = bench.definition(Guest::Deaf, "default_sequence");
    let mut sentinel = bench.definition(Guest::Deaf, "default_sentinel");
    sentinel.uuid = Some("7b2b35b2-5172-4718-9c05-b4a74e1d6906".to_owned());
    let mut different = Vec::new();
    for number in 0..wanted {
        let calls = calls().new_tree(&mut runner).expect("a sequence").current();
        let script = GuestScript { ignores_shutdown: Failures::Always, releases_devices: false, ..GuestScript::default() };
        let fake = FakeHypervisor::new(Arc::new(Host::default()), script);
        let real = play(&hypervisor, &definition, &sentinel, &calls).await.expect("libvirt");
        let pretended = play(&fake, &definition, &sentinel, &calls).await.expect("the fake");
        if real != pretended {
            different.push(format!("sequence {number}\n-- libvirt\n{real}\n-- fake\n{pretended}"));
        }
    }
    bench.clear().await;
    println!("{wanted} sequences, {} observed differently", different.len());
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}
