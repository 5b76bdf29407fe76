//! What a pod spec must be.

use serde_json::Value;

use crate::admission::quantity::Quantity;
use crate::error::FieldError;
use crate::object;
use crate::registry::names;

/// Checks a pod template below `field`.
pub(super) fn check_template(template: &Value, field: &str, wrong: &mut Vec<FieldError>) {
    let labels = object::at(template, &["metadata", "labels"]);
    crate::registry::meta::validate_labels(labels, &format!("{field}.labels"), wrong);
    let annotations = object::at(template, &["metadata", "annotations"]);
    crate::registry::meta::validate_annotations(annotations, &format!("{field}.annotations"), wrong);
    check_spec(template, &format!("{field}.spec"), wrong);
}

/// Checks a pod's spec.
pub(super) fn check_spec(pod: &Value, field: &str, wrong: &mut Vec<FieldError>) {
    let volumes = check_volumes(pod, field, wrong);
    let mut seen: Vec<&str> = Vec::new();
    let containers = object::list(pod, &["spec", "containers"]);
    if containers.is_empty() {
        wrong.push(FieldError::required(format!("{field}.containers"), ""));
    }
    for (key, list) in [
        ("containers", containers),
        ("initContainers", object::list(pod, &["spec", "initContainers"])),
        ("ephemeralContainers", object::list(pod, &["spec", "ephemeralContainers"])),
    ] {
        for (index, container) in list.iter().enumerate() {
            check_container(container, &format!("{field}.{key}[{index}]"), &volumes, &mut seen, wrong);
        }
    }
    let policy = object::text(pod, &["spec", "restartPolicy"]);
    match policy {
        "Always" | "OnFailure" | "Never" => {}
        "" => wrong.push(FieldError::required(format!("{field}.restartPolicy"), "")),
        _ => {
            let known = ["Always", "OnFailure", "Never"];
            wrong.push(FieldError::not_supported(format!("{field}.restartPolicy"), policy, &known));
        }
    }
    let dns = object::text(pod, &["spec", "dnsPolicy"]);
    if !matches!(dns, "ClusterFirstWithHostNet" | "ClusterFirst" | "Default" | "None" | "") {
        let known = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
        wrong.push(FieldError::not_supported(format!("{field}.dnsPolicy"), dns, &known));
    }
    if dns == "None" {
        if object::at(pod, &["spec", "dnsConfig"]).is_none() {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            wrong.push(FieldError::required(format!("{field}.dnsConfig"), detail));
        } else if object::list(pod, &["spec", "dnsConfig", "nameservers"]).is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            wrong.push(FieldError::required(format!("{field}.dnsConfig.nameservers"), detail));
        }
    }
    let node = object::text(pod, &["spec", "nodeName"]);
    if !node.is_empty() {
        let texts = names::subdomain(node);
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid(format!("{field}.nodeName"), node, text)));
    }
    let account = object::text(pod, &["spec", "serviceAccountName"]);
    if !account.is_empty() {
        let texts = names::subdomain(account);
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid(format!("{field}.serviceAccountName"), account, text)));
    }
    crate::registry::meta::validate_labels(object::at(pod, &["spec", "nodeSelector"]), &format!("{field}.nodeSelector"), wrong);
    if let Some(seconds) = object::number(pod, &["spec", "activeDeadlineSeconds"]).filter(|seconds| *seconds < 1) {
        let detail = "must be between 1 and 2147483647, inclusive";
        wrong.push(FieldError::invalid(format!("{field}.activeDeadlineSeconds"), seconds, detail));
    }
    for (index, toleration) in object::list(pod, &["spec", "tolerations"]).iter().enumerate() {
        check_toleration(toleration, &format!("{field}.tolerations[{index}]"), wrong);
    }
    for key in ["hostname", "subdomain"] {
        let text = object::text(pod, &["spec", key]);
        if !text.is_empty() {
            let texts = names::label(text);
            wrong.extend(texts.into_iter().map(|rule| FieldError::invalid(format!("{field}.{key}"), text, rule)));
        }
    }
}

fn check_toleration(toleration: &Value, field: &str, wrong: &mut Vec<FieldError>) {
    let text = |key: &str| object::text(toleration, &[key]);
    if text("key").is_empty() && text("operator") != "Exists" {
        let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        wrong.push(FieldError::invalid(format!("{field}.operator"), text("operator"), detail));
    }
    if toleration.get("tolerationSeconds").is_some() && text("effect") != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        wrong.push(FieldError::invalid(format!("{field}.effect"), text("effect"), detail));
    }
    if !matches!(text("operator"), "" | "Equal" | "Exists") {
        wrong.push(FieldError::not_supported(format!("{field}.operator"), text("operator"), &["Equal", "Exists"]));
    } else if text("operator") == "Exists" && !text("value").is_empty() {
        let detail = "value must be empty when `operator` is 'Exists'";
        wrong.push(FieldError::invalid(format!("{field}.operator"), text("value"), detail));
    }
    if !matches!(text("effect"), "" | "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
        let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        wrong.push(FieldError::not_supported(format!("{field}.effect"), text("effect"), &known));
    }
}

/// Checks volumes and returns their names.
fn check_volumes<'a>(pod: &'a Value, field: &str, wrong: &mut Vec<FieldError>) -> Vec<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    for (index, volume) in object::list(pod, &["spec", "volumes"]).iter().enumerate() {
        let at = format!("{field}.volumes[{index}]");
        // In the order in which the original looks at sources, the second one is the wrong one.
        const FIRST: [&str; 2] = ["emptyDir", "hostPath"];
        let map = volume.as_object();
        let has = |name: &str| map.is_some_and(|map| map.contains_key(name));
        let mut sources: Vec<&str> = FIRST.into_iter().filter(|name| has(name)).collect();
        sources.extend(map.into_iter().flat_map(|map| map.keys().map(String::as_str)).filter(|key| *key != "name" && !FIRST.contains(key)));
        for extra in sources.iter().skip(1) {
            wrong.push(FieldError::forbidden(format!("{at}.{extra}"), "may not specify more than 1 volume type"));
        }
        if has("hostPath") && object::text(volume, &["hostPath", "path"]).is_empty() {
            wrong.push(FieldError::required(format!("{at}.hostPath.path"), ""));
        }
        if has("persistentVolumeClaim") && object::text(volume, &["persistentVolumeClaim", "claimName"]).is_empty() {
            wrong.push(FieldError::required(format!("{at}.persistentVolumeClaim.claimName"), ""));
        }
        let name = object::text(volume, &["name"]);
        if name.is_empty() {
            wrong.push(FieldError::required(format!("{at}.name"), ""));
        } else {
            let texts = names::label(name);
            wrong.extend(texts.into_iter().map(|text| FieldError::invalid(format!("{at}.name"), name, text)));
            if seen.contains(&name) {
                wrong.push(FieldError::duplicate(format!("{at}.name"), name));
            }
        }
        seen.push(name);
    }
    seen
}

fn check_container<'a>(container: &'a Value, at: &str, volumes: &[&str], seen: &mut Vec<&'a str>, wrong: &mut Vec<FieldError>) {
    let name = object::text(container, &["name"]);
    if name.is_empty() {
        wrong.push(FieldError::required(format!("{at}.name"), ""));
    } else {
        let texts = names::label(name);
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid(format!("{at}.name"), name, text)));
    }
    if seen.contains(&name) {
        wrong.push(FieldError::duplicate(format!("{at}.name"), name));
    }
    seen.push(name);
    let image = object::text(container, &["image"]);
    if image.is_empty() {
        wrong.push(FieldError::required(format!("{at}.image"), ""));
    } else if image.trim() != image {
        wrong.push(FieldError::invalid(format!("{at}.image"), image, "must not have leading or trailing whitespace"));
    }
    for (index, port) in object::list(container, &["ports"]).iter().enumerate() {
        let field = format!("{at}.ports[{index}]");
        let valid = |number: i64| (1..=65_535).contains(&number);
        match object::number(port, &["containerPort"]) {
            None | Some(0) => wrong.push(FieldError::required(format!("{field}.containerPort"), "")),
            Some(number) if !valid(number) => {
                let detail = "must be between 1 and 65535, inclusive";
                wrong.push(FieldError::invalid(format!("{field}.containerPort"), number, detail));
            }
            Some(_) => {}
        }
        let protocol = object::text(port, &["protocol"]);
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            wrong.push(FieldError::not_supported(format!("{field}.protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        }
    }
    for (index, variable) in object::list(container, &["env"]).iter().enumerate() {
        if object::text(variable, &["name"]).is_empty() {
            wrong.push(FieldError::required(format!("{at}.env[{index}].name"), ""));
        }
    }
    let mut paths: Vec<&str> = Vec::new();
    for (index, mount) in object::list(container, &["volumeMounts"]).iter().enumerate() {
        let field = format!("{at}.volumeMounts[{index}]");
        let volume = object::text(mount, &["name"]);
        if volume.is_empty() {
            wrong.push(FieldError::required(format!("{field}.name"), ""));
        } else if !volumes.contains(&volume) {
            wrong.push(FieldError::not_found(format!("{field}.name"), volume));
        }
        let path = object::text(mount, &["mountPath"]);
        if path.is_empty() {
            wrong.push(FieldError::required(format!("{field}.mountPath"), ""));
        } else if paths.contains(&path) {
            wrong.push(FieldError::invalid(format!("{field}.mountPath"), path, "must be unique"));
        }
        paths.push(path);
    }
    for (index, device) in object::list(container, &["volumeDevices"]).iter().enumerate() {
        let volume = object::text(device, &["name"]);
        if !volumes.contains(&volume) {
            wrong.push(FieldError::not_found(format!("{at}.volumeDevices[{index}].name"), volume));
        }
    }
    let policy = object::text(container, &["imagePullPolicy"]);
    if !matches!(policy, "Always" | "IfNotPresent" | "Never") {
        let known = ["Always", "IfNotPresent", "Never"];
        wrong.push(FieldError::not_supported(format!("{at}.imagePullPolicy"), policy, &known));
    }
    check_resources(container, &format!("{at}.resources"), wrong);
}

fn check_resources(container: &Value, field: &str, wrong: &mut Vec<FieldError>) {
    let limits = object::map(container, &["resources", "limits"]);
    for (kind, list) in [("limits", limits), ("requests", object::map(container, &["resources", "requests"]))] {
        for (name, value) in list.into_iter().flatten() {
            if Quantity::of(value).is_some_and(|quantity| quantity < Quantity::whole(0)) {
                let detail = "must be greater than or equal to 0";
                wrong.push(FieldError::invalid(format!("{field}.{kind}[{name}]"), value.clone(), detail));
            }
        }
    }
    for (name, request) in object::map(container, &["resources", "requests"]).into_iter().flatten() {
        let overcommit = !name.contains('/') || name.starts_with("kubernetes.io/");
        let hugepages = name.starts_with("hugepages-");
        let limit = limits.and_then(|limits| limits.get(name));
        let (Some(wanted), Some(most)) = (Quantity::of(request), limit.and_then(Quantity::of)) else {
            if !overcommit || hugepages {
                wrong.push(FieldError::required(format!("{field}.limits"), "Limit must be set for non overcommitable resources"));
            }
            continue;
        };
        if (!overcommit || hugepages) && wanted != most {
            let detail = format!("must be equal to {name} limit of {most}");
            wrong.push(FieldError::invalid(format!("{field}.requests"), request.clone(), detail));
        } else if wanted > most {
            let detail = format!("must be less than or equal to {name} limit of {most}");
            wrong.push(FieldError::invalid(format!("{field}.requests"), request.clone(), detail));
        }
    }
}
