//! What objects get (spec/admission.md §4).

use api::v1::{VirtualMachine, VirtualMachineInstance, VirtualMachineInstancePreset};
use rstest::rstest;
use serde_json::{Value, json};

use super::{cluster, merged, read, seeded};
use crate::{Operation, VmLookups, default_vm, default_vmi};

fn vmi(spec: &Value) -> Value {
    let base = json!({"metadata": {"name": "vm", "namespace": "default"}, "spec": {"domain": {"devices": {}, "memory": {"guest": "1Gi"}}}});
    merged(base, &json!({"spec": spec}))
}

fn defaulted(object: Value, gates: &[&str], configuration: Value) -> Value {
    let mut vmi: VirtualMachineInstance = read(object);
    seeded(|seeds| default_vmi(&mut vmi, &[], &cluster(gates, configuration), seeds)).unwrap();
    serde_json::to_value(&vmi).unwrap()
}

#[rstest]
#[case::architecture(json!({}), json!({}), "/spec/architecture", json!("amd64"))]
#[case::machine_of_architecture(json!({"architecture": "arm64"}), json!({}), "/spec/domain/machine/type", json!("virt"))]
#[case::machine_of_cluster(json!({}), json!({"machineType": "pc-q35-8.2"}), "/spec/domain/machine/type", json!("pc-q35-8.2"))]
#[case::cpu_request_from_limit(json!({"domain": {"resources": {"limits": {"cpu": "2"}}}}), json!({}), "/spec/domain/resources/requests/cpu", json!("2"))]
#[case::cpu_request_of_cluster(json!({}), json!({"cpuRequest": "200m"}), "/spec/domain/resources/requests/cpu", json!("200m"))]
#[case::sockets_from_limit(json!({"domain": {"resources": {"limits": {"cpu": "1500m"}}}}), json!({}), "/spec/domain/cpu/sockets", json!(2))]
#[case::guest_from_request(json!({"domain": {"memory": null, "resources": {"requests": {"memory": "2048Mi"}}}}), json!({}), "/spec/domain/memory/guest", json!("2Gi"))]
#[case::guest_from_pages(json!({"domain": {"memory": {"guest": null, "hugepages": {"pageSize": "1Gi"}}}}), json!({}), "/spec/domain/memory/guest", json!("1Gi"))]
#[case::cpu_model(json!({}), json!({}), "/spec/domain/cpu/model", json!("host-model"))]
#[case::cpu_model_of_cluster(json!({}), json!({"cpuModel": "Haswell"}), "/spec/domain/cpu/model", json!("Haswell"))]
#[case::cpu_model_of_arm64(json!({"architecture": "arm64"}), json!({"cpuModel": "Haswell"}), "/spec/domain/cpu/model", json!("host-passthrough"))]
#[case::max_sockets(json!({"domain": {"cpu": {"sockets": 2}}}), json!({}), "/spec/domain/cpu/maxSockets", json!(8))]
#[case::max_sockets_of_cluster(json!({}), json!({"liveUpdateConfiguration": {"maxCpuSockets": 16}}), "/spec/domain/cpu/maxSockets", json!(16))]
#[case::max_sockets_capped(json!({"domain": {"cpu": {"sockets": 40, "cores": 4, "threads": 1}}}), json!({}), "/spec/domain/cpu/maxSockets", json!(128))]
#[case::max_guest(json!({}), json!({}), "/spec/domain/memory/maxGuest", json!("4Gi"))]
#[case::no_max_guest_below_a_gigabyte(json!({"domain": {"memory": {"guest": "512Mi"}}}), json!({}), "/spec/domain/memory/maxGuest", Value::Null)]
#[case::no_max_guest_when_staged(json!({}), json!({"vmRolloutStrategy": "Stage"}), "/spec/domain/memory/maxGuest", Value::Null)]
#[case::eviction(json!({}), json!({"evictionStrategy": "LiveMigrate"}), "/spec/evictionStrategy", json!("LiveMigrate"))]
#[case::network(json!({}), json!({}), "/spec/domain/devices/interfaces/0/bridge", json!({}))]
#[case::masquerade(json!({}), json!({"network": {"defaultNetworkInterface": "masquerade"}}), "/spec/domain/devices/interfaces/0/masquerade", json!({}))]
#[case::no_network(json!({"domain": {"devices": {"autoattachPodInterface": false}}}), json!({}), "/spec/networks", Value::Null)]
#[case::disk_for_volume(json!({"volumes": [{"name": "d", "emptyDisk": {"capacity": "1Gi"}}]}), json!({}), "/spec/domain/devices/disks/0", json!({"name": "d", "disk": {"bus": "sata"}}))]
#[case::bus_of_s390x(json!({"architecture": "s390x", "volumes": [{"name": "d", "emptyDisk": {"capacity": "1Gi"}}]}), json!({}), "/spec/domain/devices/disks/0/disk/bus", json!("virtio"))]
#[case::acpi_of_s390x(json!({"architecture": "s390x"}), json!({}), "/spec/domain/features/acpi/enabled", json!(false))]
#[case::watchdog_of_s390x(json!({"architecture": "s390x", "domain": {"devices": {"watchdog": {"name": "w"}}}}), json!({}), "/spec/domain/devices/watchdog/diag288/action", json!("reset"))]
#[case::efi_of_arm64(json!({"architecture": "arm64"}), json!({}), "/spec/domain/firmware/bootloader/efi/secureBoot", json!(false))]
#[case::cdrom(json!({"domain": {"devices": {"disks": [{"name": "d", "cdrom": {}}]}}}), json!({}), "/spec/domain/devices/disks/0/cdrom", json!({"bus": "sata", "readonly": true, "tray": "closed"}))]
#[case::pulled_always(json!({"volumes": [{"name": "d", "containerDisk": {"image": "r/i"}}]}), json!({}), "/spec/volumes/0/containerDisk/imagePullPolicy", json!("Always"))]
#[case::pulled_by_digest(json!({"volumes": [{"name": "d", "containerDisk": {"image": "r/i@sha256:0"}}]}), json!({}), "/spec/volumes/0/containerDisk/imagePullPolicy", json!("IfNotPresent"))]
#[case::probe(json!({"readinessProbe": {"guestAgentPing": {}}}), json!({}), "/spec/readinessProbe/periodSeconds", json!(10))]
#[case::spinlocks(json!({"domain": {"features": {"hyperv": {"spinlocks": {}}}}}), json!({}), "/spec/domain/features/hyperv/spinlocks", json!({"enabled": true, "spinlocks": 4096}))]
#[case::hyperv_needs(json!({"domain": {"features": {"hyperv": {"synictimer": {}}}}}), json!({}), "/spec/domain/features/hyperv/vpindex/enabled", json!(true))]
#[case::hyperv_off(json!({"domain": {"features": {"hyperv": {"evmcs": {}, "vapic": {"enabled": false}}}}}), json!({}), "/spec/domain/cpu/features", Value::Null)]
#[case::vmx(json!({"domain": {"features": {"hyperv": {"evmcs": {}}}}}), json!({}), "/spec/domain/cpu/features/0", json!({"name": "vmx", "policy": "require"}))]
#[case::layout(json!({}), json!({}), "/metadata/annotations/kubevirt.io~1pci-topology-version", json!("v3"))]
#[case::finalizer(json!({}), json!({}), "/metadata/finalizers/0", json!("kubevirt.io/foregroundDeleteVirtualMachine"))]
#[case::phase(json!({}), json!({}), "/status/phase", json!("Pending"))]
#[case::memory_status(json!({}), json!({}), "/status/memory/guestAtBoot", json!("1Gi"))]
#[case::user(json!({}), json!({}), "/status/runtimeUser", json!(107))]
fn of_instances(#[case] spec: Value, #[case] configuration: Value, #[case] at: &str, #[case] wanted: Value) {
    let object = defaulted(vmi(&spec), &[], configuration);
    assert_eq!(object.pointer(at).cloned().unwrap_or_default(), wanted, "{at} of {object}");
}

#[test]
fn root_launchers_are_a_gate() {
    assert_eq!(defaulted(vmi(&json!({})), &["Root"], json!({})).pointer("/status/runtimeUser"), Some(&json!(0)));
}

#[rstest]
#[case::bridge_forbidden(json!({"network": {"permitBridgeInterfaceOnPodNetwork": false}}), "bridge interface is not enabled in kubevirt-config")]
#[case::slirp(json!({"network": {"defaultNetworkInterface": "slirp"}}), "slirp interface is deprecated as of v1.3")]
fn unusable_default_networks(#[case] configuration: Value, #[case] message: &str) {
    let mut vmi: VirtualMachineInstance = read(vmi(&json!({})));
    let denial = seeded(|seeds| default_vmi(&mut vmi, &[], &cluster(&[], configuration), seeds)).unwrap_err();
    assert_eq!((denial.code, denial.message.as_str()), (400, message));
}

fn preset(name: &str, domain: &Value) -> VirtualMachineInstancePreset {
    read(
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "domain": domain}}),
    )
}

#[test]
fn presets_fill_what_is_open_and_must_agree() {
    let labelled = merged(vmi(&json!({})), &json!({"metadata": {"labels": {"app": "web"}}}));
    let presets = [preset("small", &json!({"cpu": {"cores": 3}, "devices": {}}))];
    let mut vmi: VirtualMachineInstance = read(labelled.clone());
    let outcome = seeded(|seeds| default_vmi(&mut vmi, &presets, &cluster(&[], json!({})), seeds)).unwrap();
    assert_eq!(vmi.spec.domain.cpu.unwrap().cores, Some(3));
    assert_eq!(vmi.metadata.annotations.unwrap().get("virtualmachinepreset.kubevirt.io/small").unwrap(), "kubevirt.io/v1");
    assert_eq!(outcome.warnings.len(), 1);

    let presets = [presets[0].clone(), preset("large", &json!({"cpu": {"cores": 9}, "devices": {}}))];
    let mut vmi: VirtualMachineInstance = read(labelled);
    let denial = seeded(|seeds| default_vmi(&mut vmi, &presets, &cluster(&[], json!({})), seeds)).unwrap_err();
    assert_eq!(denial.code, 422);
    let cores = |n| format!("&{{{n} 0 0 0  [] false <nil> false <nil>}}");
    let why = format!("presets 'large' and 'small' conflict: spec.cpu: {} != {}", cores(9), cores(3));
    assert_eq!((denial.code, denial.message), (422, format!("VirtualMachinePresets cannot be applied due to conflicts: {why}")));
}

#[test]
fn every_disagreement_of_presets_is_told() {
    let mut vmi: VirtualMachineInstance = read(merged(vmi(&json!({})), &json!({"metadata": {"labels": {"app": "web"}}})));
    let requests = |memory: &str| json!({"resources": {"requests": {"memory": memory}}, "ioThreadsPolicy": memory, "devices": {}});
    let presets = [preset("a", &requests("1Gi")), preset("b", &requests("2Gi"))];
    let denial = seeded(|seeds| default_vmi(&mut vmi, &presets, &cluster(&[], json!({})), seeds)).unwrap_err();
    let amounts = "{{2147483648 0} {<nil>} 2Gi BinarySI} != {{1073741824 0} {<nil>} 1Gi BinarySI}";
    let why = format!("presets 'b' and 'a' conflict: [spec.resources.requests[memory]: {amounts}, spec.ioThreadsPolicy: 2Gi != 1Gi]");
    assert_eq!(denial.message, format!("VirtualMachinePresets cannot be applied due to conflicts: {why}"));
}

#[rstest]
#[case::create(Operation::Create, json!({}), "/spec/template/spec/domain/firmware/uuid", json!("00000000-0000-4000-8000-000000000001"))]
#[case::serial(Operation::Create, json!({}), "/spec/template/spec/domain/firmware/serial", json!("00000000-0000-4000-8000-000000000002"))]
#[case::firmware_given(Operation::Create, json!({"domain": {"firmware": {"uuid": "u"}}}), "/spec/template/spec/domain/firmware/uuid", json!("u"))]
#[case::update(Operation::Update, json!({}), "/spec/template/spec/domain/firmware", Value::Null)]
#[case::architecture(Operation::Update, json!({}), "/spec/template/spec/architecture", json!("amd64"))]
#[case::machine(Operation::Update, json!({}), "/spec/template/spec/domain/machine/type", json!("q35"))]
#[case::layout(Operation::Create, json!({}), "/spec/template/metadata/annotations/kubevirt.io~1pci-topology-version", json!("v3"))]
#[case::layout_stays(Operation::Update, json!({}), "/spec/template/metadata/annotations", Value::Null)]
fn of_machines(#[case] operation: Operation, #[case] spec: Value, #[case] at: &str, #[case] wanted: Value) {
    let base = json!({"spec": {"runStrategy": "Always", "template": {"spec": {"domain": {"devices": {}}}}}});
    let mut vm: VirtualMachine = read(merged(base, &json!({"spec": {"template": {"spec": spec}}})));
    let config = cluster(&[], json!({}));
    seeded(|seeds| default_vm(&mut vm, operation, &VmLookups::default(), &config, seeds));
    let object = serde_json::to_value(&vm).unwrap();
    assert_eq!(object.pointer(at).cloned().unwrap_or_default(), wanted, "{at} of {object}");
}

#[test]
fn a_preference_has_its_say_before_the_cluster() {
    let mut vm: VirtualMachine = read(json!({"spec": {
        "template": {"spec": {"domain": {"devices": {}}}},
        "dataVolumeTemplates": [{"metadata": {"name": "d"}, "spec": {"storage": {}}}],
    }}));
    let preference = read(json!({
        "preferredArchitecture": "arm64", "machine": {"preferredMachineType": "virt-9"}, "volumes": {"preferredStorageClassName": "fast"}}));
    let lookups = VmLookups { preference: Some(preference), data_source_architecture: Some("s390x".into()) };
    let config = cluster(&[], json!({}));
    seeded(|seeds| default_vm(&mut vm, Operation::Create, &lookups, &config, seeds));
    let template = vm.spec.template.spec.unwrap();
    assert_eq!((template.architecture.as_deref(), template.domain.machine.unwrap().r#type.as_deref()), (Some("arm64"), Some("virt-9")));
    assert_eq!(vm.spec.data_volume_templates[0].spec.storage.as_ref().unwrap().storage_class_name.as_deref(), Some("fast"));
}
