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
