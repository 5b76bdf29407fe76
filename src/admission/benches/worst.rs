//! The slowest reviews among many objects that are put together wrongly, of every kind (budget: 50 ms for any of them).
//!
//! `cargo bench -p ferrovirt-admission --bench worst [-- ROUNDS]`: so many objects of each kind, 2,000 unless told. Nothing fails
//! here; the figures are for people to read.

#![allow(clippy::print_stdout, reason = "the figures are its output")]
#![allow(clippy::disallowed_methods, reason = "measures real time")]

use std::time::{Duration, Instant};

use api::config::ClusterConfig;
use ferrovirt_admission as admission;
use mutations::{Asked, Dice, EXAMPLES, KINDS};
use serde_json::{Value, json};

use crate::admission::Operation;

#[path = "../fuzz/mutations.rs"]
mod mutations;

/// A review as an API server has it done: the mutating webhook, then the validating one.
fn review(kind: &str, operation: Operation, object: &Value, old: Option<&Value>, config: &ClusterConfig) -> Duration {
    let asked = Asked { kind, operation, subresource: "", object, old };
    let begun = Instant::now();
    match asked.mutated(config) {
        Ok(Some(mutated)) => drop(Asked { object: &mutated, ..asked }.validated(config)),
        Ok(None) => drop(asked.validated(config)),
        Err(_) => {}
    }
    begun.elapsed()
}

/// Objects as large as the API server takes: lists of everything, expressions of the greatest length.
fn largest() -> Vec<(&'static str, Value)> {
    let names = |count: usize| (0..count).map(|i| format!("item{i}"));
    let machine = |disks: usize| {
        json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": "vm", "namespace": "default"}, "spec": {
            "domain": {"devices": {"disks": names(disks).map(|name| json!({"name": name, "disk": {}})).collect::<Vec<_>>()}, "memory": {"guest": "1Gi"}},
            "volumes": names(disks).map(|name| json!({"name": name, "emptyDisk": {"capacity": "1Gi"}})).collect::<Vec<_>>(),
        }})
    };
    let plugin = |expression: String| json!({"apiVersion": "plugin.kubevirt.io/v1alpha1", "kind": "Plugin", "metadata": {"name": "p"}, "spec": {"condition": expression}});
    vec![
        ("VirtualMachineInstance", machine(256)),
        ("VirtualMachineInstance", machine(8000)),
        ("Plugin", plugin(format!("{}true", "vmi.Name == 'a' || ".repeat(500)))),
        ("Plugin", plugin(format!("[{}1].size() == 1", "1, ".repeat(3000)))),
        ("Plugin", plugin("(".repeat(9999))),
        ("Plugin", plugin("!".repeat(9999))),
        ("Plugin", plugin("a.".repeat(4999))),
        ("Plugin", plugin(format!("{}true{}", "[1].all(x, ".repeat(40), ")".repeat(40)))),
    ]
}

fn main() {
    let rounds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(2000);
    let gates: Vec<&str> = api::config::gates::all().map(|(name, _)| name).collect();
    let kubevirt = json!({"spec": {"configuration": {"developerConfiguration": {"featureGates": gates}}}});
    let open = ClusterConfig::from_kubevirt(serde_json::from_value(kubevirt).ok().as_ref());
    let mut dice = Dice(1);
    let mut slowest: Vec<(Duration, String)> = Vec::new();
    for kind in KINDS {
        let examples: Vec<&Value> = EXAMPLES.iter().filter(|example| example["kind"] == *kind).collect();
        let (mut worst, mut total, mut text) = (Duration::ZERO, Duration::ZERO, String::new());
        for _ in 0..rounds {
            let mut object = examples[dice.below(examples.len())].clone();
            let old = examples[dice.below(examples.len())];
            mutations::mutate(&mut object, &mut dice);
            let update = dice.below(2) == 0;
            let operation = if update { Operation::Update } else { Operation::Create };
            let took = review(kind, operation, &object, Some(old).filter(|_| update), &open);
            total += took;
            if took > worst {
                (worst, text) = (took, object.to_string());
            }
        }
        let mean = total / u32::try_from(rounds).unwrap_or(u32::MAX).max(1);
        println!("{kind:36} mean {mean:>9.1?}  worst {worst:>9.1?}  of {} bytes", text.len());
        slowest.push((worst, (*kind).to_owned()));
    }
    for (kind, object) in largest() {
        let took = review(kind, Operation::Create, &object, None, &open);
        println!("{kind:36} largest {took:>9.1?}  of {} bytes", object.to_string().len());
        slowest.push((took, kind.to_owned()));
    }
    if let Some((took, kind)) = slowest.iter().max() {
        println!("the slowest review of all: {took:.1?}, a {kind}");
    }
}
