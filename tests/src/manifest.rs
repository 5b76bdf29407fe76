//! The manifests the specs begin with, and how a table of paths changes them.

use serde_json::{Map, Value, json};

/// A small VirtualMachineInstance: one container disk, 64Mi, the pod network.
pub fn vmi(name: &str) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {"name": name},
        "spec": vmi_spec(),
    })
}

/// A VirtualMachine around the same guest; `run` is its `runStrategy` or `running` field.
#[allow(clippy::needless_pass_by_value, reason = "a field is written as a literal where it is used")]
pub fn vm(name: &str, run: (&str, Value)) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
        "metadata": {"name": name},
        "spec": {run.0: run.1, "template": {"metadata": {"labels": {"app": name}}, "spec": vmi_spec()}},
    })
}

fn vmi_spec() -> Value {
    json!({
        "terminationGracePeriodSeconds": 30,
        "domain": {
            "memory": {"guest": "64Mi"},
            "devices": {
                "disks": [{"name": "containerdisk", "disk": {"bus": "virtio"}}],
                "interfaces": [{"name": "default", "masquerade": {}}],
            },
        },
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [{"name": "containerdisk", "containerDisk": {"image": "registry.example/alpine-container-disk"}}],
    })
}

/// A replica set, or a pool of running VMs, around the same guest; everything is labelled `app=NAME`.
pub fn fleet(kind: &str, name: &str, replicas: u64) -> Value {
    let labels = json!({"app": name});
    let template = json!({"metadata": {"labels": labels}, "spec": vmi_spec()});
    let (api_version, template) = if kind == "VirtualMachinePool" {
        let machine = json!({"metadata": {"labels": labels}, "spec": {"runStrategy": "Always", "template": template}});
        ("pool.kubevirt.io/v1beta1", ("virtualMachineTemplate", machine))
    } else {
        ("kubevirt.io/v1", ("template", template))
    };
    json!({
        "apiVersion": api_version, "kind": kind, "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, template.0: template.1},
    })
}

/// An object of a kind that breaks no rule; `None` for kinds that have none here.
///
/// Those that refer to others (a migration, a restore) refer to `vm`, which need not exist to be judged, except for migrations.
pub fn sound(kind: &str) -> Option<Value> {
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": vmi_spec()});
    let machine = json!({"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "vm"});
    let (api_version, spec) = match kind {
        "VirtualMachineInstance" => ("kubevirt.io/v1", vmi_spec()),
        "VirtualMachine" => ("kubevirt.io/v1", json!({"runStrategy": "Halted", "template": template})),
        "VirtualMachineInstanceReplicaSet" => {
            ("kubevirt.io/v1", json!({"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": template}))
        }
        "VirtualMachinePool" => (
            "pool.kubevirt.io/v1beta1",
            json!({
                "replicas": 1, "selector": {"matchLabels": {"app": "a"}},
                "virtualMachineTemplate": {"metadata": {"labels": {"app": "a"}}, "spec": {"runStrategy": "Halted", "template": template}},
            }),
        ),
        "VirtualMachineInstancePreset" => ("kubevirt.io/v1", json!({"selector": {"matchLabels": {"app": "a"}}, "domain": {"devices": {}}})),
        "VirtualMachineInstanceMigration" => ("kubevirt.io/v1", json!({"vmiName": "vm"})),
        "MigrationPolicy" => ("migrations.kubevirt.io/v1alpha1", json!({"selectors": {"namespaceSelector": {"team": "a"}}})),
        "VirtualMachineSnapshot" => ("snapshot.kubevirt.io/v1beta1", json!({"source": machine})),
        "VirtualMachineRestore" => ("snapshot.kubevirt.io/v1beta1", json!({"target": machine, "virtualMachineSnapshotName": "s"})),
        "VirtualMachineClone" => ("clone.kubevirt.io/v1beta1", json!({"source": machine})),
        "VirtualMachineExport" => ("export.kubevirt.io/v1", json!({"source": machine})),
        "VirtualMachineInstancetype" | "VirtualMachineClusterInstancetype" => {
            ("instancetype.kubevirt.io/v1beta1", json!({"cpu": {"guest": 2}, "memory": {"guest": "1Gi"}}))
        }
        "VirtualMachinePreference" | "VirtualMachineClusterPreference" => ("instancetype.kubevirt.io/v1beta1", json!({"cpu": {}})),
        "VirtualMachineBackup" => ("backup.kubevirt.io/v1alpha1", json!({"source": machine, "pvcName": "target"})),
        "VirtualMachineBackupTracker" => ("backup.kubevirt.io/v1alpha1", json!({"source": machine})),
        "Plugin" => ("plugin.kubevirt.io/v1alpha1", json!({"domainHooks": [{"cel": {"expression": "Domain{Title: 'a'}"}}]})),
        _ => return None,
    };
    Some(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "subject"}, "spec": spec}))
}

/// Lays a change on an object as a JSON merge patch does.
pub fn change(object: &mut Value, patch: &Value) {
    json_patch::merge(object, patch);
}

/// A pod beside the VMs.
pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "registry.example/web"}]},
    })
}

/// Sets what a dotted path names. From `labels`, `annotations` and `nodeSelector` on, the rest is one key, dots and all.
///
/// Annotations and labels are strings; anywhere else a text that is JSON (a number, a boolean) is taken as JSON.
pub fn set(object: &mut Value, path: &str, text: &str) {
    let mut keys: Vec<&str> = Vec::new();
    let mut rest = path;
    let mut verbatim = false;
    while !verbatim {
        match rest.split_once('.') {
            Some((key, tail)) => {
                keys.push(key);
                rest = tail;
                verbatim = matches!(key, "labels" | "annotations" | "nodeSelector");
            }
            None => break,
        }
    }
    let value = if verbatim { Value::from(text) } else { serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)) };
    let mut place = object;
    for key in keys {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[key];
    }
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    place[rest] = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_at_free_form_keys() {
        let mut object = vmi("a");
        set(&mut object, "metadata.annotations.fake.ferrovirt.io/shutdown-time", "3s");
        set(&mut object, "spec.terminationGracePeriodSeconds", "5");
        set(&mut object, "spec.nodeSelector.color", "blue");
        assert_eq!(object["metadata"]["annotations"]["fake.ferrovirt.io/shutdown-time"], "3s");
        assert_eq!(object["spec"]["terminationGracePeriodSeconds"], 5);
        assert_eq!(object["spec"]["nodeSelector"]["color"], "blue");
    }
}
