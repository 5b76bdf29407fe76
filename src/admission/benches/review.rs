//! How long a review takes: an instance with a bit of everything (budget: far below 50 ms), and the largest objects there can be.

use std::hint::black_box;

use admission::review::{self, Known, Request, Stop};
use admission::{Operation, Requester, Seeds};
use api::config::ClusterConfig;
use criterion::{Criterion, criterion_group, criterion_main};
use ferrovirt_admission as admission;
use serde_json::{Value, json};

/// An instance with as many disks and interfaces as given.
fn vmi(disks: usize, interfaces: usize) -> Value {
    let name = |i: usize| format!("item{i}");
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {"name": "vm", "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "domain": {
                "cpu": {"cores": 2, "sockets": 2, "features": [{"name": "vmx"}]},
                "memory": {"guest": "1Gi"},
                "features": {"acpi": {}, "hyperv": {"relaxed": {}, "vapic": {}, "synictimer": {}, "spinlocks": {}}},
                "clock": {"utc": {}, "timer": {"hpet": {"present": false}}},
                "devices": {
                    "disks": (0..disks).map(|i| json!({"name": name(i), "disk": {"bus": "virtio"}, "serial": name(i)})).collect::<Vec<_>>(),
                    "interfaces": (0..interfaces)
                        .map(|i| json!({"name": name(i), "bridge": {}, "macAddress": "02:00:00:00:00:01"}))
                        .collect::<Vec<_>>(),
                },
            },
            "networks": (0..interfaces).map(|i| json!({"name": name(i), "multus": {"networkName": "net"}})).collect::<Vec<_>>(),
            "volumes": (0..disks).map(|i| json!({"name": name(i), "containerDisk": {"image": "registry.example/disk:1"}})).collect::<Vec<_>>(),
        },
    })
}

fn answered<T>(act: impl Fn(&Known) -> Result<T, Stop>) -> Option<T> {
    let mut known = Known::default();
    loop {
        match act(&known) {
            Ok(answer) => return Some(answer),
            Err(Stop::Denied(_)) => return None,
            Err(Stop::Need(need)) => known.add(need, Vec::new()),
        }
    }
}

/// The mutating and the validating webhook, one after the other.
fn admit(object: &Value, config: &ClusterConfig, requester: &Requester) -> bool {
    let request = |object| Request {
        kind: "VirtualMachineInstance",
        subresource: "",
        operation: Operation::Create,
        namespace: "default",
        name: "vm",
        object,
        old: None,
        requester,
    };
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
    let mutated = answered(|known| {
        let mut seeds = Seeds { uuid: &mut || "0f3c7c4e-6a56-4a3f-9d8f-0d5b8a1f7c11".to_owned(), now: now.clone() };
        review::mutate(&request(object), config, known, &mut seeds)
    });
    let Some(mutated) = mutated.and_then(|m| m.object) else { return false };
    answered(|known| review::validate(&request(&mutated), config, known)).is_some()
}

fn reviews(c: &mut Criterion) {
    let config = ClusterConfig::from_kubevirt(None);
    let requester = Requester::named("pat");
    for (name, object) in [
        ("an instance", vmi(4, 2)),
        ("256 disks and 256 interfaces", vmi(256, 256)),
        ("4000 disks of one name", {
            let mut vmi = vmi(4000, 0);
            for list in ["/spec/domain/devices/disks", "/spec/volumes"] {
                for item in vmi.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    item["name"] = json!("same");
                }
            }
            vmi
        }),
    ] {
        c.bench_function(name, |b| b.iter(|| black_box(admit(&object, &config, &requester))));
    }
}

criterion_group!(benches, reviews);
criterion_main!(benches);
