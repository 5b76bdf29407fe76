//! Defaults of pods and pod templates.

use serde_json::{Value, json};

use crate::object;

const DEFAULT_MODE: i64 = 420;

/// Fills in the defaults of `spec`; a template gets a few less than a pod.
pub(super) fn fill(pod: &mut Value, template: bool) {
    let Some(spec) = pod.get_mut("spec").filter(|spec| spec.is_object()) else {
        return;
    };
    object::set_default(spec, &["dnsPolicy"], "ClusterFirst");
    object::set_default(spec, &["restartPolicy"], "Always");
    object::set_default(spec, &["schedulerName"], "default-scheduler");
    object::set_default(spec, &["terminationGracePeriodSeconds"], 30);
    object::set_default(spec, &["securityContext"], json!({}));
    if !template {
        object::set_default(spec, &["enableServiceLinks"], true);
    }
    // Two names of one field.
    let account = [object::text(spec, &["serviceAccountName"]), object::text(spec, &["serviceAccount"])]
        .into_iter()
        .find(|name| !name.is_empty())
        .map(str::to_owned);
    if let Some(account) = account {
        object::set(spec, &["serviceAccountName"], account.as_str());
        object::set(spec, &["serviceAccount"], account);
    }
    let host_network = object::flag(spec, &["hostNetwork"]);
    for key in ["initContainers", "containers", "ephemeralContainers"] {
        for container in object::list_mut(spec, &[key]) {
            fill_container(container, host_network, key == "ephemeralContainers", template);
        }
    }
    for volume in object::list_mut(spec, &["volumes"]) {
        fill_volume(volume);
    }
}

fn fill_container(container: &mut Value, host_network: bool, ephemeral: bool, template: bool) {
    let image = object::text(container, &["image"]);
    let latest = {
        let name = image.rsplit('/').next().unwrap_or_default();
        !image.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
    };
    object::set_default(container, &["imagePullPolicy"], if latest { "Always" } else { "IfNotPresent" });
    object::set_default(container, &["terminationMessagePath"], "/dev/termination-log");
    object::set_default(container, &["terminationMessagePolicy"], "File");
    object::set_default(container, &["resources"], json!({}));
    for port in object::list_mut(container, &["ports"]) {
        object::set_default(port, &["protocol"], "TCP");
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            object::set_default(port, &["hostPort"], number);
        }
    }
    for variable in object::list_mut(container, &["env"]) {
        if object::at(variable, &["valueFrom", "fieldRef"]).is_some() {
            object::set_default(variable, &["valueFrom", "fieldRef", "apiVersion"], "v1");
        }
        if object::at(variable, &["valueFrom", "resourceFieldRef"]).is_some() {
            object::set_default(variable, &["valueFrom", "resourceFieldRef", "divisor"], "0");
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe) {
            fill_probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if object::at(container, &["lifecycle", hook, "httpGet"]).is_some() {
            object::set_default(container, &["lifecycle", hook, "httpGet", "path"], "/");
            object::set_default(container, &["lifecycle", hook, "httpGet", "scheme"], "HTTP");
        }
    }
    if !template && !ephemeral {
        requests_from_limits(container);
    }
}

/// What is limited and not requested is requested up to its limit.
fn requests_from_limits(container: &mut Value) {
    let Some(limits) = object::map(container, &["resources", "limits"]).cloned() else { return };
    for (name, limit) in limits {
        object::set_default(container, &["resources", "requests", &name], limit);
    }
}

fn fill_probe(probe: &mut Value) {
    object::set_default(probe, &["timeoutSeconds"], 1);
    object::set_default(probe, &["periodSeconds"], 10);
    object::set_default(probe, &["successThreshold"], 1);
    object::set_default(probe, &["failureThreshold"], 3);
    if probe.get("httpGet").is_some() {
        object::set_default(probe, &["httpGet", "path"], "/");
        object::set_default(probe, &["httpGet", "scheme"], "HTTP");
    }
    if probe.get("grpc").is_some() {
        object::set_default(probe, &["grpc", "service"], "");
    }
}

fn fill_volume(volume: &mut Value) {
    let sources = ["name"];
    if volume.as_object().is_some_and(|map| map.keys().all(|key| sources.contains(&key.as_str()))) {
        object::set(volume, &["emptyDir"], json!({}));
    }
    for key in ["configMap", "secret", "downwardAPI", "projected"] {
        if volume.get(key).is_some() {
            object::set_default(volume, &[key, "defaultMode"], DEFAULT_MODE);
        }
    }
    if volume.get("hostPath").is_some() {
        object::set_default(volume, &["hostPath", "type"], "");
    }
    if volume.get("iscsi").is_some() {
        object::set_default(volume, &["iscsi", "iscsiInterface"], "default");
    }
    fill_field_refs(object::list_mut(volume, &["downwardAPI", "items"]));
    for source in object::list_mut(volume, &["projected", "sources"]) {
        if source.get("serviceAccountToken").is_some() {
            object::set_default(source, &["serviceAccountToken", "expirationSeconds"], 3600);
        }
        fill_field_refs(object::list_mut(source, &["downwardAPI", "items"]));
    }
    if let Some(template) = volume.get_mut("ephemeral").and_then(|ephemeral| ephemeral.get_mut("volumeClaimTemplate")) {
        object::set_default(template, &["metadata"], json!({}));
        object::set_default(template, &["spec", "volumeMode"], "Filesystem");
    }
}

fn fill_field_refs(items: &mut [Value]) {
    for item in items {
        if item.get("fieldRef").is_some() {
            object::set_default(item, &["fieldRef", "apiVersion"], "v1");
        }
        if item.get("resourceFieldRef").is_some() {
            object::set_default(item, &["resourceFieldRef", "divisor"], "0");
        }
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`, by what the containers request.
pub(super) fn qos_class(pod: &Value) -> &'static str {
    let containers = ["initContainers", "containers"].into_iter().flat_map(|key| object::list(pod, &["spec", key])).collect::<Vec<_>>();
    let counted = ["cpu", "memory"];
    let positive = |container: &Value, kind: &str, name: &str| {
        object::at(container, &["resources", kind, name])
            .and_then(crate::admission::quantity::Quantity::of)
            .filter(|quantity| !quantity.is_zero())
    };
    let any = containers.iter().any(|container| {
        counted.iter().any(|name| positive(container, "requests", name).is_some() || positive(container, "limits", name).is_some())
    });
    if !any {
        return "BestEffort";
    }
    let guaranteed = containers.iter().all(|container| {
        counted.iter().all(|name| {
            let limit = positive(container, "limits", name);
            limit.is_some() && positive(container, "requests", name) == limit
        })
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}
