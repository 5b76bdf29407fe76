//! Changed instances (spec/admission.md §4.3, §7.2, §7.3).

use api::v1::VirtualMachineInstance;
use rstest::rstest;
use serde_json::{Value, json};

use super::{cluster, component, denied, merged, read, sound_spec, user};
use crate::{NODE_NAME_EXTRA, Requester, revert_status, validate_vmi_update};

fn running(patch: &Value) -> VirtualMachineInstance {
    let base = json!({
        "metadata": {"name": "vm", "namespace": "default", "labels": {"app": "web", "kubevirt.io/nodeName": "n1"}},
        "spec": merged(sound_spec(), &json!({"domain": {"cpu": {"maxSockets": 4}, "memory": {"maxGuest": "4Gi"}}})),
        "status": {"nodeName": "n1", "volumeStatus": [{"name": "root", "target": "vda"}]},
    });
    read(merged(base, patch))
}

fn plugged(source: &Value, disk: &Value) -> Value {
    let volume = merged(json!({"name": "hp"}), source);
    let disk = merged(json!({"name": "hp"}), disk);
    json!({"spec": {
        "volumes": [{"name": "root", "containerDisk": {"image": "registry.example/disk:1"}}, volume],
        "domain": {"devices": {"disks": [{"name": "root", "disk": {"bus": "virtio"}}, disk]}},
    }})
}

fn claim() -> Value {
    json!({"persistentVolumeClaim": {"claimName": "c", "hotpluggable": true}})
}

#[rstest]
#[case::spec(json!({"spec": {"hostname": "x"}}), "update of VMI object is restricted")]
#[case::reserved_label(json!({"metadata": {"labels": {"kubevirt.io/nodeName": "n2"}}}), "modification of the following reserved kubevirt.io/ labels on a VMI object is prohibited")]
fn what_users_may_not(#[case] patch: Value, #[case] message: &str) {
    let wanted = [format!(": {message}")];
    assert_eq!(denied(validate_vmi_update(&running(&patch), &running(&json!({})), &user(), &cluster(&[], json!({})))), wanted);
}

#[rstest]
#[case::annotations(json!({"metadata": {"annotations": {"a": "b"}}}))]
#[case::labels(json!({"metadata": {"labels": {"app": "db"}}}))]
#[case::equal_quantities(json!({"spec": {"domain": {"memory": {"guest": "1024Mi"}}}}))]
fn what_users_may(#[case] patch: Value) {
    assert!(validate_vmi_update(&running(&patch), &running(&json!({})), &user(), &cluster(&[], json!({}))).is_ok());
}

#[rstest]
#[case::guest_memory(json!({"spec": {"domain": {"memory": {"guest": "2Gi"}}}}), None)]
#[case::vu5(json!({"spec": {"domain": {"cpu": {"maxSockets": 8}}}}), Some("CPU topology maxSockets changed"))]
#[case::vu6(json!({"spec": {"domain": {"memory": {"maxGuest": "8Gi"}}}}), Some("Memory maxGuest changed"))]
#[case::plug(plugged(&claim(), &json!({"disk": {"bus": "scsi"}})), None)]
#[case::hd2(plugged(&claim(), &json!({"disk": {"bus": "sata"}})), Some("Hotplug configuration for disk [hp] requires bus to be 'scsi' or 'virtio'. [sata] is not permitted."))]
#[case::hd3(plugged(&claim(), &json!({"lun": {"bus": "virtio"}})), Some("Hotplug configuration for LUN [hp] requires bus to be 'scsi'. [virtio] is not permitted."))]
#[case::hd4(plugged(&claim(), &json!({"cdrom": {"bus": "scsi"}})), Some("Hotplug configuration for [hp] requires diskDevice of type 'disk' or 'lun' to be used."))]
#[case::hd5(plugged(&claim(), &json!({"disk": {"bus": "scsi"}, "dedicatedIOThread": true})), Some("Hotplug configuration for [hp] requires virtio bus for IOThreads."))]
#[case::hs9(plugged(&json!({"emptyDisk": {"capacity": "1Gi"}}), &json!({"disk": {"bus": "scsi"}})), Some("volume hp is not a PVC or DataVolume"))]
#[case::hs10(plugged(&claim(), &json!({"name": "other", "disk": {"bus": "scsi"}})), Some("disk hp does not exist"))]
#[case::hs1(json!({"spec": {"domain": {"devices": {"disks": []}}}}), Some("mismatch between volumes declared (1) and required (0)"))]
#[case::hs4(json!({"spec": {"volumes": [{"name": "root", "containerDisk": {"image": "other"}}]}}), Some("permanent volume root, changed"))]
#[case::hs5(json!({"spec": {"domain": {"devices": {"disks": [{"name": "root", "disk": {"bus": "scsi"}}]}}}}), Some("permanent disk root, changed"))]
fn what_the_controller_may(#[case] patch: Value, #[case] refused: Option<&str>) {
    let wanted: Vec<String> = refused.map(|m| format!(": {m}")).into_iter().collect();
    let outcome = validate_vmi_update(&running(&patch), &running(&json!({})), &component("kubevirt-controller"), &cluster(&[], json!({})));
    assert_eq!(denied(outcome), wanted);
}

#[rstest]
#[case::own("n1", None)]
#[case::another("n2", Some("Node restriction, virt-handler is only allowed to modify VMIs it owns"))]
fn node_agents_keep_to_their_node(#[case] node: &str, #[case] refused: Option<&str>) {
    let mut agent: Requester = component("kubevirt-handler");
    agent.extra.insert(NODE_NAME_EXTRA.into(), vec![node.into()]);
    let outcome = validate_vmi_update(&running(&json!({})), &running(&json!({})), &agent, &cluster(&[], json!({})));
    assert_eq!(denied(outcome), refused.map(|m| format!(": {m}")).into_iter().collect::<Vec<_>>());
}

#[test]
fn status_is_kubevirts_business() {
    let (new, old) = (running(&json!({"status": {"nodeName": "n9"}})), running(&json!({})));
    let config = cluster(&[], json!({}));
    assert_eq!(revert_status(&new, &old, &user(), &config), old.status);
    assert_eq!(revert_status(&new, &old, &component("kubevirt-handler"), &config), None);
    assert_eq!(revert_status(&old, &old, &user(), &config), None);
}
