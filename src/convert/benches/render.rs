//! Rendering a VMI: its domain (budget: 100 µs with the XML) and its launcher pod.

use std::collections::BTreeMap;
use std::hint::black_box;

use api::config::ClusterConfig;
use api::v1::VirtualMachineInstance;
use convert::domain::{ContainerDiskFormat, Smbios};
use convert::pod::{Claim, Namespace};
use criterion::{Criterion, criterion_group, criterion_main};
use ferrovirt_convert as convert;
use serde_json::json;

/// A guest with a bit of everything.
fn vmi() -> VirtualMachineInstance {
    let disk = |name: &str, bus: &str| json!({"name": name, "disk": {"bus": bus}});
    let vmi = json!({
        "metadata": {"name": "vm", "namespace": "default", "uid": "0f3c7c4e-6a56-4a3f-9d8f-0d5b8a1f7c11"},
        "spec": {
            "architecture": "amd64",
            "domain": {
                "cpu": {"cores": 2, "sockets": 2, "threads": 1, "maxSockets": 8, "model": "host-model"},
                "memory": {"guest": "1Gi", "maxGuest": "4Gi"},
                "machine": {"type": "q35"},
                "firmware": {"uuid": "b058c86f-f181-4340-afd1-b549d11f898e"},
                "features": {"acpi": {}, "hyperv": {"relaxed": {}, "vapic": {}, "spinlocks": {"spinlocks": 8191}}},
                "clock": {"utc": {}, "timer": {"hpet": {"present": false}, "rtc": {"tickPolicy": "catchup"}}},
                "ioThreadsPolicy": "auto",
                "devices": {
                    "rng": {}, "tpm": {}, "blockMultiQueue": true, "networkInterfaceMultiqueue": true,
                    "disks": [disk("root", "virtio"), disk("data", "scsi"), disk("scratch", "virtio"), disk("seed", "sata")],
                    "interfaces": [{"name": "default", "masquerade": {}}, {"name": "red", "bridge": {}}],
                },
            },
            "networks": [{"name": "default", "pod": {}}, {"name": "red", "multus": {"networkName": "red"}}],
            "volumes": [
                {"name": "root", "containerDisk": {"image": "registry.example/disk:1"}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "scratch", "emptyDisk": {"capacity": "1Gi"}},
                {"name": "seed", "cloudInitNoCloud": {"userData": "#cloud-config"}},
            ],
        },
        "status": {"runtimeUser": 107},
    });
    serde_json::from_value(vmi).expect("a VMI")
}

fn render(c: &mut Criterion) {
    let vmi = vmi();
    let config = ClusterConfig::default();
    let cx = convert::domain::Context {
        container_disk_formats: BTreeMap::from([("root".to_owned(), ContainerDiskFormat::Qcow2)]),
        smbios: Some(Smbios { manufacturer: "KubeVirt".to_owned(), ..Smbios::default() }),
        mem_balloon_stats_period: 10,
        interface_attachments: convert::domain::interface_attachments(&vmi, &config),
        ..convert::domain::Context::default()
    };
    c.bench_function("domain", |b| b.iter(|| convert::domain::domain(black_box(&vmi), &cx).expect("a domain").to_xml()));
    let xml = convert::domain::domain(&vmi, &cx).expect("a domain").to_xml();
    c.bench_function("domain read back", |b| b.iter(|| domain::Domain::from_xml(black_box(&xml)).expect("a domain")));
    let claims = BTreeMap::from([("data".to_owned(), Claim::default())]);
    let (namespace, none, pinned) = (Namespace::default(), BTreeMap::new(), BTreeMap::new());
    let cx = convert::pod::Context {
        config: &config,
        launcher_image: "registry.example/virt-launcher:v1",
        sidecar_shim_image: "registry.example/sidecar-shim:v1",
        image_pull_secret: None,
        qemu_timeout_seconds: convert::pod::QEMU_TIMEOUT_SECONDS,
        qemu_timeout_jitter_seconds: 0,
        claims: &claims,
        backend_storage_claim: None,
        namespace: &namespace,
        network_resources: &none,
        pinned_images: &pinned,
        temporary: false,
    };
    c.bench_function("pod", |b| b.iter(|| convert::pod::launcher_pod(black_box(&vmi), &cx).expect("a pod")));
}

criterion_group!(benches, render);
criterion_main!(benches);
