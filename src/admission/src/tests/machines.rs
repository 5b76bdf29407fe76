//! VirtualMachines (spec/admission.md §6), and instances as they are created (§7.1).

use api::v1::{VirtualMachine, VirtualMachineInstance};
use rstest::rstest;
use serde_json::{Value, json};

use super::{cluster, component, denied, merged, read, sound_spec, user};
use crate::instancetype::Resolved;
use crate::{Operation, VmReview, validate_vm, validate_vmi_create};

fn machine(patch: &Value) -> Value {
    let base =
        json!({"metadata": {"name": "vm", "namespace": "default"}, "spec": {"runStrategy": "Always", "template": {"spec": sound_spec()}}});
    merged(base, patch)
}

fn judged(new: Value, old: Option<Value>, gates: &[&str]) -> Vec<String> {
    let vm: VirtualMachine = read(new);
    let old: Option<VirtualMachine> = old.map(read);
    let review = VmReview {
        vm: &vm,
        old: old.as_ref(),
        vmi: None,
        resolved: &Resolved::default(),
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        namespace: "default",
        requester: &user(),
        config: &cluster(gates, json!({})),
    };
    denied(validate_vm(&review).map(drop))
}

fn data_volume(spec: &Value) -> Value {
    json!({"spec": {
        "dataVolumeTemplates": [{"metadata": {"name": "dv"}, "spec": spec}],
        "template": {"spec": {"volumes": [{"name": "root", "dataVolume": {"name": "dv"}}]}},
    }})
}

#[rstest]
#[case::sound(json!({}), &[])]
#[case::vm10(json!({"spec": {"running": true}}), &["spec.running: Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead"])]
#[case::vm11(json!({"spec": {"runStrategy": null}}), &["spec.running: RunStrategy must be specified"])]
#[case::vm13(json!({"spec": {"runStrategy": "Sometimes"}}), &["spec.runStrategy: Invalid RunStrategy (Sometimes)"])]
#[case::vm14(json!({"spec": {"template": {"spec": {"domain": {"cpu": {"sockets": 8, "maxSockets": 4}}}}}}), &[
    "spec.template.spec.domain.cpu.sockets: Number of sockets in CPU topology is greater than the maximum sockets allowed",
    "spec.template.spec.domain.cpu.sockets: Number of sockets in CPU topology is greater than the maximum sockets allowed"])]
#[case::vm15(json!({"spec": {"template": {"spec": {"domain": {"memory": {"guest": "4Gi", "maxGuest": "2Gi"}}}}}}), &["spec.template.spec.domain.memory.guest: Guest memory is greater than the configured maxGuest memory"])]
#[case::md1(json!({"spec": {"template": {"metadata": {"labels": {"kubevirt.io/nodeName": "n"}}}}}), &["spec.template.metadata.labels: creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited"])]
#[case::md3(json!({"spec": {"template": {"metadata": {"annotations": {"hooks.kubevirt.io/hookSidecars": "[]"}}}}}), &["spec.template.metadata.annotations: sidecar feature gate is not enabled in kubevirt-config, invalid entry spec.template.metadata.annotations.hooks.kubevirt.io/hookSidecars"])]
#[case::vm3(data_volume(&json!({"source": {"blank": {}}})), &["spec.dataVolumeTemplate[0].PVC.Storage: Missing Data volume PVC or Storage"])]
#[case::vm6(data_volume(&json!({"storage": {}})), &["spec.dataVolumeTemplate[0].source.sourceRef: Data volume should have either Source, SourceRef, or be externally populated"])]
#[case::vm7(data_volume(&json!({"storage": {}, "source": {}})), &["spec.dataVolumeTemplate[0].source: Missing dataVolume valid source"])]
#[case::vm8(data_volume(&json!({"storage": {}, "source": {"blank": {}, "upload": {}}})), &["spec.dataVolumeTemplate[0].source: Multiple dataVolume sources"])]
#[case::data_volume(data_volume(&json!({"storage": {}, "source": {"blank": {}}})), &[])]
#[case::vm9(json!({"spec": {"dataVolumeTemplates": [{"metadata": {"name": "x"}, "spec": {"storage": {}, "source": {"blank": {}}}}]}}), &["spec.dataVolumeTemplate[0]: DataVolumeTemplate entry spec.dataVolumeTemplate[0] must be referenced in the VMI template's 'volumes' list"])]
#[case::vm19(merged(data_volume(&json!({"storage": {}, "source": {"blank": {}}})), &json!({"spec": {"dataVolumeTemplates": [{"metadata": {"name": "dv", "namespace": "far"}, "spec": {"storage": {}, "source": {"blank": {}}}}]}})), &["spec.dataVolumeTemplates[0]: Embedded DataVolume namespace far differs from VM namespace default"])]
#[case::n50(json!({"spec": {"template": {"spec": {"domain": {"devices": {"interfaces": [{"name": "default", "slirp": {}}]}}}}}}), &["spec.template.spec.domain.devices.interfaces[0].slirp: Slirp interface support has been discontinued since v1.3"])]
#[case::vr1(json!({"status": {"volumeRequests": [{}]}}), &["Status.volumeRequests: VolumeRequests require one of either addVolumeOptions or removeVolumeOptions to be set"])]
#[case::vr7(json!({"status": {"volumeRequests": [{"removeVolumeOptions": {"name": "a"}}, {"removeVolumeOptions": {"name": "a"}}]}}), &["Status.volumeRequests: RemoveVolume request for [a] aleady exists"])]
fn of_new_machines(#[case] patch: Value, #[case] wanted: &[&str]) {
    assert_eq!(judged(machine(&patch), None, &[]), wanted);
}

#[test]
fn receiving_needs_the_gate() {
    let vm = machine(&json!({"spec": {"runStrategy": "WaitAsReceiver"}}));
    assert_eq!(judged(vm.clone(), None, &[]), Vec::<String>::new());
    let vm: VirtualMachine = read(vm);
    let config = cluster(&[], json!({"developerConfiguration": {"disabledFeatureGates": ["DecentralizedLiveMigration"]}}));
    let requester = user();
    let review = VmReview {
        vm: &vm,
        old: None,
        vmi: None,
        resolved: &Resolved::default(),
        operation: Operation::Create,
        namespace: "default",
        requester: &requester,
        config: &config,
    };
    let wanted = "spec.runStrategy: Invalid RunStrategy (WaitAsReceiver), DecentralizedLiveMigration feature gate is not enabled in kubevirt resource";
    assert_eq!(denied(validate_vm(&review).map(drop)), [wanted]);
}

#[rstest]
#[case::disks_in_snapshot(json!({"status": {"snapshotInProgress": "s"}, "spec": {"template": {"spec": {"volumes": [{"name": "root", "containerDisk": {"image": "other"}}]}}}}), &["spec: Cannot update vm disks or volumes until snapshot \"s\" completes"])]
#[case::running_in_snapshot(json!({"status": {"snapshotInProgress": "s"}, "spec": {"runStrategy": "Halted"}}), &["spec: Cannot update vm running state until snapshot \"s\" completes"])]
#[case::memory_in_snapshot(json!({"status": {"snapshotInProgress": "s"}, "spec": {"template": {"spec": {"domain": {"memory": {"guest": "2Gi"}}}}}}), &[])]
#[case::running_in_restore(json!({"status": {"restoreInProgress": "r"}, "spec": {"runStrategy": "Halted"}}), &["spec: Cannot update VM runStrategy until restore \"r\" completes"])]
#[case::spelled_otherwise_in_restore(json!({"status": {"restoreInProgress": "r"}, "spec": {"runStrategy": null, "running": true}}), &[])]
#[case::going(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"runStrategy": null}}), &[])]
fn of_changed_machines(#[case] patch: Value, #[case] wanted: &[&str]) {
    assert_eq!(judged(machine(&patch), Some(machine(&json!({}))), &[]), wanted);
}

#[test]
fn a_deprecated_field_earns_a_warning() {
    let vm: VirtualMachine = read(machine(&json!({"spec": {"runStrategy": null, "running": true}})));
    let (requester, config) = (user(), cluster(&[], json!({})));
    let review = VmReview {
        vm: &vm,
        old: None,
        vmi: None,
        resolved: &Resolved::default(),
        operation: Operation::Create,
        namespace: "default",
        requester: &requester,
        config: &config,
    };
    assert_eq!(validate_vm(&review).unwrap().len(), 1);
}

fn instance(patch: &Value) -> VirtualMachineInstance {
    read(merged(json!({"metadata": {"name": "vm", "namespace": "default"}, "spec": sound_spec()}), patch))
}

#[rstest]
#[case::sound(json!({}), &[])]
#[case::vc5(json!({"spec": {"domain": {"memory": null}}}), &[": no memory requested, at least one of 'spec.domain.memory.guest', 'spec.domain.memory.hugepages.pageSize' or 'spec.domain.resources.requests.memory' must be set"])]
#[case::hv2(json!({"spec": {"domain": {"features": {"hyperv": {"ipi": {"enabled": true}}}}}}), &["spec.domain.features.hyperv.domain.features.hyperv.ipi: 'spec.domain.features.hyperv.domain.features.hyperv.ipi' requires 'spec.domain.features.hyperv.domain.features.hyperv.vpindex', which was disabled."])]
#[case::ar1(json!({"spec": {"domain": {"devices": {"watchdog": {"name": "w", "diag288": {"action": "reset"}}}}}}), &["spec.domain.devices.watchdog: amd64 only supports I6300ESB watchdog device"])]
#[case::ar2(json!({"spec": {"domain": {"devices": {"video": {"type": "neon"}}}}}), &["spec.domain.devices.video.type: video model 'neon' is not supported on amd64 architecture"])]
#[case::ar11(json!({"spec": {"architecture": "vax"}}), &["spec.architecture: unsupported architecture: vax"])]
fn of_new_instances(#[case] patch: Value, #[case] wanted: &[&str]) {
    assert_eq!(denied(validate_vmi_create(&instance(&patch), &user(), &cluster(&[], json!({})))), wanted);
}

#[test]
fn disk_rules_answer_twice() {
    let patch = json!({"spec": {"domain": {"devices": {"disks": [{"name": "root", "disk": {"bus": "ide"}}]}}}});
    let causes = denied(validate_vmi_create(&instance(&patch), &user(), &cluster(&[], json!({}))));
    assert_eq!(causes, ["spec.domain.devices.disks[0].disk.bus: IDE bus is not supported"; 2]);
}

#[test]
fn kubevirt_itself_may_set_reserved_labels() {
    let labelled = instance(&json!({"metadata": {"labels": {"kubevirt.io/nodeName": "n"}}}));
    let config = cluster(&[], json!({}));
    assert_eq!(denied(validate_vmi_create(&labelled, &component("kubevirt-controller"), &config)), Vec::<String>::new());
    assert_eq!(denied(validate_vmi_create(&labelled, &component("kubevirt-operator"), &config)).len(), 1);
}
