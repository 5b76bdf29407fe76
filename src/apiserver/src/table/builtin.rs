//! Cells of the built-in kinds, by the headings of [`super::columns`].

use serde_json::Value;

use super::pod::{self, Summary};
use super::{age, columns, labels_text};
use crate::object;
use crate::registry::Call;

/// The cells of one object.
pub(super) fn cells(call: &Call, object: &Value) -> Vec<Value> {
    let gr = &call.info.gr;
    let (group, resource) = (gr.group.as_str(), gr.resource.as_str());
    let summary = (resource == "pods").then(|| pod::summarize(object));
    let event = (resource == "events").then(|| core_event(object));
    let subject = event.as_ref().unwrap_or(object);
    let rest = columns::headings(group, resource).map(|heading| cell(call, resource, heading, subject, summary.as_ref()));
    if resource == "events" { rest.collect() } else { std::iter::once(object::name(object).into()).chain(rest).collect() }
}

/// Events of either group in the core spelling.
fn core_event(event: &Value) -> Value {
    let mut event = event.clone();
    if let Some(strategy) = crate::builtin::catalog::ENTRIES.iter().find(|entry| entry.plural == "events").map(|entry| entry.rules) {
        strategy.convert(&mut event, &crate::resource::GroupResource::new("", "events"), "v1");
    }
    event
}

fn or(text: &str, otherwise: &str) -> Value {
    if text.is_empty() { otherwise.into() } else { text.into() }
}

fn cell(call: &Call, resource: &str, heading: &str, o: &Value, pod: Option<&Summary>) -> Value {
    let text = |path: &[&str]| object::text(o, path);
    let number = |path: &[&str]| Value::from(object::number(o, path).unwrap_or(0));
    match (resource, heading) {
        (_, "Age") => age(call, Some(text(&["metadata", "creationTimestamp"])).filter(|time| !time.is_empty())).into(),
        (_, "Created At") => text(&["metadata", "creationTimestamp"]).into(),
        (_, "Containers") => names_of(o, "name").into(),
        (_, "Images") => names_of(o, "image").into(),
        ("pods", heading) => pod_cell(call, heading, o, pod),
        ("nodes", heading) => node_cell(heading, o),
        ("namespaces", _) => text(&["status", "phase"]).into(),
        ("services", heading) => service_cell(heading, o),
        ("endpoints", _) => endpoints(o).into(),
        ("persistentvolumeclaims" | "persistentvolumes", heading) => volume_cell(resource, heading, o),
        ("configmaps", _) => {
            let count = |key: &str| object::map(o, &[key]).map_or(0, serde_json::Map::len);
            (count("data") + count("binaryData")).into()
        }
        ("secrets", "Type") => text(&["type"]).into(),
        ("secrets", _) => object::map(o, &["data"]).map_or(0, serde_json::Map::len).into(),
        ("events", heading) => event_cell(call, heading, o),
        ("deployments" | "statefulsets", "Ready") => {
            let wanted = object::number(o, &["spec", "replicas"]).unwrap_or(0);
            format!("{}/{wanted}", object::number(o, &["status", "readyReplicas"]).unwrap_or(0)).into()
        }
        ("daemonsets", heading) if heading != "Selector" => daemon_cell(heading, o),
        (_, "Up-to-date") => number(&["status", "updatedReplicas"]),
        ("deployments", "Available") => number(&["status", "availableReplicas"]),
        (_, "Desired") => number(&["spec", "replicas"]),
        (_, "Current") => number(&["status", "replicas"]),
        (_, "Ready") => number(&["status", "readyReplicas"]),
        (_, "Selector" | "Pod-Selector") => selector(o, if heading == "Selector" { "selector" } else { "podSelector" }).into(),
        ("jobs" | "cronjobs", heading) => job_cell(call, heading, o),
        ("poddisruptionbudgets", "Allowed Disruptions") => number(&["status", "disruptionsAllowed"]),
        ("poddisruptionbudgets", heading) => {
            let key = if heading == "Min Available" { "minAvailable" } else { "maxUnavailable" };
            match object::at(o, &["spec", key]) {
                Some(Value::String(text)) => text.as_str().into(),
                Some(value) => value.to_string().into(),
                None => "N/A".into(),
            }
        }
        ("leases", _) => text(&["spec", "holderIdentity"]).into(),
        ("apiservices", heading) => api_service_cell(heading, o),
        ("rolebindings" | "clusterrolebindings", heading) => binding_cell(heading, o),
        ("storageclasses", "AllowVolumeExpansion") => object::flag(o, &["allowVolumeExpansion"]).into(),
        ("storageclasses", "ReclaimPolicy") => text(&["reclaimPolicy"]).into(),
        ("storageclasses", "VolumeBindingMode") => text(&["volumeBindingMode"]).into(),
        ("storageclasses", _) => text(&["provisioner"]).into(),
        ("priorityclasses", "Value") => number(&["value"]),
        ("priorityclasses", "Global-Default") => object::flag(o, &["globalDefault"]).into(),
        ("priorityclasses", _) => text(&["preemptionPolicy"]).into(),
        ("validatingwebhookconfigurations" | "mutatingwebhookconfigurations", _) => object::list(o, &["webhooks"]).len().into(),
        ("validatingadmissionpolicies", "Validations") => object::list(o, &["spec", "validations"]).len().into(),
        ("mutatingadmissionpolicies", "Mutations") => object::list(o, &["spec", "mutations"]).len().into(),
        ("validatingadmissionpolicies" | "mutatingadmissionpolicies", _) => match object::at(o, &["spec", "paramKind"]) {
            Some(kind) => format!("{}/{}", object::text(kind, &["apiVersion"]), object::kind(kind)).into(),
            None => "<unset>".into(),
        },
        ("validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings", "PolicyName") => text(&["spec", "policyName"]).into(),
        ("validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings", _) => match object::at(o, &["spec", "paramRef"]) {
            Some(reference) => object::text(reference, &["name"]).into(),
            None => "<unset>".into(),
        },
        ("controllerrevisions", "Controller") => owner(o).into(),
        ("controllerrevisions", _) => number(&["revision"]),
        ("resourcequotas", heading) => quota(o, heading == "Limit").into(),
        ("runtimeclasses", _) => text(&["handler"]).into(),
        ("endpointslices", heading) => slice_cell(heading, o),
        ("horizontalpodautoscalers", heading) => autoscaler_cell(heading, o),
        ("ingresses", heading) => ingress_cell(heading, o),
        ("certificatesigningrequests", heading) => certificate_cell(heading, o),
        _ => Value::Null,
    }
}

fn pod_cell(call: &Call, heading: &str, o: &Value, pod: Option<&Summary>) -> Value {
    let Some(pod) = pod else { return Value::Null };
    match heading {
        "Ready" => format!("{}/{}", pod.ready, pod.total).into(),
        "Status" => pod.status.as_str().into(),
        "Restarts" => match &pod.last_restart {
            Some(at) if pod.restarts > 0 => format!("{} ({} ago)", pod.restarts, age(call, Some(at))).into(),
            _ => pod.restarts.to_string().into(),
        },
        "IP" => {
            let first = object::list(o, &["status", "podIPs"]).first().map(|ip| object::text(ip, &["ip"]));
            or(first.unwrap_or_else(|| object::text(o, &["status", "podIP"])), "<none>")
        }
        "Node" => or(object::text(o, &["spec", "nodeName"]), "<none>"),
        "Nominated Node" => or(object::text(o, &["status", "nominatedNodeName"]), "<none>"),
        _ => {
            let gates = object::list(o, &["spec", "readinessGates"]);
            if gates.is_empty() {
                return "<none>".into();
            }
            let conditions = object::list(o, &["status", "conditions"]);
            let open = gates
                .iter()
                .filter(|gate| {
                    let kind = object::text(gate, &["conditionType"]);
                    conditions.iter().any(|c| object::text(c, &["type"]) == kind && object::text(c, &["status"]) == "True")
                })
                .count();
            format!("{open}/{}", gates.len()).into()
        }
    }
}

fn node_cell(heading: &str, o: &Value) -> Value {
    let address = |kind: &str| {
        let found = object::list(o, &["status", "addresses"]).iter().find(|address| object::text(address, &["type"]) == kind);
        or(found.map_or("", |address| object::text(address, &["address"])), "<none>")
    };
    let info = |key: &str| object::text(o, &["status", "nodeInfo", key]);
    match heading {
        "Status" => {
            let ready = object::list(o, &["status", "conditions"]).iter().find(|c| object::text(c, &["type"]) == "Ready");
            let mut status = match ready.map(|c| object::text(c, &["status"])) {
                Some("True") => "Ready".to_owned(),
                Some(_) => "NotReady".to_owned(),
                None => "Unknown".to_owned(),
            };
            if object::flag(o, &["spec", "unschedulable"]) {
                status.push_str(",SchedulingDisabled");
            }
            status.into()
        }
        "Roles" => {
            let mut roles: Vec<&str> = object::map(o, &["metadata", "labels"])
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
                    Some(role) => Some(role),
                    None if key == "kubernetes.io/role" => value.as_str(),
                    None => None,
                })
                .filter(|role| !role.is_empty())
                .collect();
            roles.sort_unstable();
            roles.dedup();
            or(&roles.join(","), "<none>")
        }
        "Version" => info("kubeletVersion").into(),
        "Internal-IP" => address("InternalIP"),
        "External-IP" => address("ExternalIP"),
        "OS-Image" => or(info("osImage"), "<unknown>"),
        "Kernel-Version" => or(info("kernelVersion"), "<unknown>"),
        _ => or(info("containerRuntimeVersion"), "<unknown>"),
    }
}

fn service_cell(heading: &str, o: &Value) -> Value {
    let kind = object::text(o, &["spec", "type"]);
    match heading {
        "Type" => kind.into(),
        "Cluster-IP" => or(object::strings(o, &["spec", "clusterIPs"]).first().copied().unwrap_or_default(), "<none>"),
        "External-IP" => {
            let mut addresses: Vec<&str> = object::strings(o, &["spec", "externalIPs"]);
            match kind {
                "ExternalName" => object::text(o, &["spec", "externalName"]).into(),
                "LoadBalancer" => {
                    for ingress in object::list(o, &["status", "loadBalancer", "ingress"]) {
                        let ip = object::text(ingress, &["ip"]);
                        addresses.push(if ip.is_empty() { object::text(ingress, &["hostname"]) } else { ip });
                    }
                    or(&addresses.join(","), "<pending>")
                }
                _ => or(&addresses.join(","), "<none>"),
            }
        }
        "Port(s)" => {
            let ports: Vec<String> = object::list(o, &["spec", "ports"])
                .iter()
                .map(|port| {
                    let number = object::number(port, &["port"]).unwrap_or(0);
                    let protocol = object::text(port, &["protocol"]);
                    match object::number(port, &["nodePort"]).filter(|port| *port > 0) {
                        Some(node) => format!("{number}:{node}/{protocol}"),
                        None => format!("{number}/{protocol}"),
                    }
                })
                .collect();
            or(&ports.join(","), "<none>")
        }
        _ => labels_text(object::map(o, &["spec", "selector"])).into(),
    }
}

fn endpoints(o: &Value) -> String {
    let mut all = Vec::new();
    for subset in object::list(o, &["subsets"]) {
        let ports = object::list(subset, &["ports"]);
        for address in object::list(subset, &["addresses"]) {
            let ip = object::text(address, &["ip"]);
            if ports.is_empty() {
                all.push(ip.to_owned());
            }
            all.extend(ports.iter().map(|port| format!("{ip}:{}", object::number(port, &["port"]).unwrap_or(0))));
        }
    }
    first_of(&all, 3)
}

/// The first few, and how many more there are.
fn first_of(all: &[String], shown: usize) -> String {
    match all.len() {
        0 => "<none>".to_owned(),
        count if count > shown => format!("{} + {} more...", all.get(..shown).unwrap_or_default().join(","), count - shown),
        _ => all.join(","),
    }
}

fn access_modes(o: &Value, path: &[&str]) -> String {
    let short = [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let modes = object::strings(o, path);
    short.iter().filter(|(name, _)| modes.contains(name)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn volume_cell(resource: &str, heading: &str, o: &Value) -> Value {
    let claim = resource == "persistentvolumeclaims";
    let text = |path: &[&str]| object::text(o, path);
    match heading {
        "Status" if object::is_terminating(o) => "Terminating".into(),
        "Status" => text(&["status", "phase"]).into(),
        "Volume" => text(&["spec", "volumeName"]).into(),
        // A claim has what its volume has, once it has one.
        "Capacity" | "Access Modes" if claim && text(&["spec", "volumeName"]).is_empty() => "".into(),
        "Capacity" if claim => text(&["status", "capacity", "storage"]).into(),
        "Capacity" => text(&["spec", "capacity", "storage"]).into(),
        "Access Modes" if claim => access_modes(o, &["status", "accessModes"]).into(),
        "Access Modes" => access_modes(o, &["spec", "accessModes"]).into(),
        "StorageClass" => text(&["spec", "storageClassName"]).into(),
        "VolumeAttributesClass" => or(text(&["spec", "volumeAttributesClassName"]), "<unset>"),
        "VolumeMode" => or(text(&["spec", "volumeMode"]), "<unset>"),
        "Reclaim Policy" => text(&["spec", "persistentVolumeReclaimPolicy"]).into(),
        "Claim" => match object::at(o, &["spec", "claimRef"]) {
            Some(claim) => format!("{}/{}", object::text(claim, &["namespace"]), object::text(claim, &["name"])).into(),
            None => "".into(),
        },
        _ => text(&["status", "reason"]).into(),
    }
}

fn event_cell(call: &Call, heading: &str, o: &Value) -> Value {
    let text = |path: &[&str]| object::text(o, path);
    let when = |keys: &[&str]| {
        let time = keys.iter().map(|key| text(&[key])).find(|time| !time.is_empty());
        age(call, time)
    };
    match heading {
        "Last Seen" => {
            let series = text(&["series", "lastObservedTime"]);
            if series.is_empty() { when(&["lastTimestamp", "eventTime", "firstTimestamp"]).into() } else { age(call, Some(series)).into() }
        }
        "First Seen" => when(&["firstTimestamp", "eventTime"]).into(),
        "Type" => text(&["type"]).into(),
        "Reason" => text(&["reason"]).into(),
        "Object" => {
            let (kind, name) = (text(&["involvedObject", "kind"]).to_lowercase(), text(&["involvedObject", "name"]));
            if name.is_empty() { kind.into() } else { format!("{kind}/{name}").into() }
        }
        "Subobject" => text(&["involvedObject", "fieldPath"]).into(),
        "Source" => {
            let (component, host) = (text(&["source", "component"]), text(&["source", "host"]));
            if component.is_empty() {
                let (reporter, instance) = (text(&["reportingComponent"]), text(&["reportingInstance"]));
                if instance.is_empty() { reporter.into() } else { format!("{reporter}, {instance}").into() }
            } else if host.is_empty() {
                component.into()
            } else {
                format!("{component}, {host}").into()
            }
        }
        "Message" => text(&["message"]).trim().into(),
        "Count" => object::number(o, &["series", "count"]).or_else(|| object::number(o, &["count"])).filter(|c| *c > 0).unwrap_or(1).into(),
        _ => object::name(o).into(),
    }
}

fn names_of(o: &Value, key: &str) -> String {
    let template: &[&str] = if o.get("kind").is_some_and(|kind| kind == "CronJob") {
        &["spec", "jobTemplate", "spec", "template", "spec", "containers"]
    } else {
        &["spec", "template", "spec", "containers"]
    };
    object::list(o, template).iter().map(|container| object::text(container, &[key])).collect::<Vec<_>>().join(",")
}

fn selector(o: &Value, key: &str) -> String {
    let Some(found) = object::at(o, &["spec", key]) else { return "<none>".to_owned() };
    let plain = found.get("matchLabels").is_none() && found.get("matchExpressions").is_none();
    if plain {
        return labels_text(found.as_object());
    }
    crate::selector::LabelSelector::from_object(Some(found)).map_or_else(|_| "<error>".to_owned(), |selector| selector.to_string())
}

fn daemon_cell(heading: &str, o: &Value) -> Value {
    let number = |key: &str| Value::from(object::number(o, &["status", key]).unwrap_or(0));
    match heading {
        "Desired" => number("desiredNumberScheduled"),
        "Current" => number("currentNumberScheduled"),
        "Ready" => number("numberReady"),
        "Up-to-date" => number("updatedNumberScheduled"),
        "Available" => number("numberAvailable"),
        _ => labels_text(object::map(o, &["spec", "template", "spec", "nodeSelector"])).into(),
    }
}

fn job_cell(call: &Call, heading: &str, o: &Value) -> Value {
    let text = |path: &[&str]| object::text(o, path);
    let holds = |kind: &str| {
        object::list(o, &["status", "conditions"])
            .iter()
            .any(|c| object::text(c, &["type"]) == kind && object::text(c, &["status"]) == "True")
    };
    match heading {
        "Status" => {
            let state = ["Complete", "Failed", "Suspended"].into_iter().find(|kind| holds(kind));
            match state {
                Some(state) => state.into(),
                None if object::is_terminating(o) => "Terminating".into(),
                None if holds("FailureTarget") => "FailureTarget".into(),
                None => "Running".into(),
            }
        }
        "Completions" => {
            let done = object::number(o, &["status", "succeeded"]).unwrap_or(0);
            match object::number(o, &["spec", "completions"]) {
                Some(wanted) => format!("{done}/{wanted}").into(),
                None => format!("{done}/1 of {}", object::number(o, &["spec", "parallelism"]).unwrap_or(1)).into(),
            }
        }
        "Duration" => {
            let start = text(&["status", "startTime"]).parse::<jiff::Timestamp>().ok();
            let end = text(&["status", "completionTime"]).parse::<jiff::Timestamp>().unwrap_or_else(|_| (call.core.env.now)());
            start.map_or_else(String::new, |start| super::human(end.duration_since(start).as_secs())).into()
        }
        "Schedule" => text(&["spec", "schedule"]).into(),
        "Timezone" => or(text(&["spec", "timeZone"]), "<none>"),
        "Suspend" => if object::flag(o, &["spec", "suspend"]) { "True" } else { "False" }.into(),
        "Active" => object::list(o, &["status", "active"]).len().into(),
        _ => {
            let last = text(&["status", "lastScheduleTime"]);
            if last.is_empty() { "<none>".into() } else { age(call, Some(last)).into() }
        }
    }
}

fn api_service_cell(heading: &str, o: &Value) -> Value {
    if heading == "Service" {
        return match object::at(o, &["spec", "service"]) {
            Some(service) => format!("{}/{}", object::text(service, &["namespace"]), object::text(service, &["name"])).into(),
            None => "Local".into(),
        };
    }
    let available = object::list(o, &["status", "conditions"]).iter().find(|c| object::text(c, &["type"]) == "Available");
    match available {
        None => "Unknown".into(),
        Some(condition) => {
            let (status, reason) = (object::text(condition, &["status"]), object::text(condition, &["reason"]));
            if status == "True" { "True".into() } else { format!("{status} ({reason})").into() }
        }
    }
}

fn binding_cell(heading: &str, o: &Value) -> Value {
    let subjects = |kind: &str| {
        let names: Vec<String> = object::list(o, &["subjects"])
            .iter()
            .filter(|subject| object::kind(subject) == kind)
            .map(|subject| {
                let name = object::text(subject, &["name"]);
                if kind == "ServiceAccount" { format!("{}/{name}", object::text(subject, &["namespace"])) } else { name.to_owned() }
            })
            .collect();
        Value::from(names.join(", "))
    };
    match heading {
        "Role" => format!("{}/{}", object::text(o, &["roleRef", "kind"]), object::text(o, &["roleRef", "name"])).into(),
        "Users" => subjects("User"),
        "Groups" => subjects("Group"),
        _ => subjects("ServiceAccount"),
    }
}

fn owner(o: &Value) -> String {
    let controller = object::list(o, &["metadata", "ownerReferences"]).iter().find(|owner| object::flag(owner, &["controller"]));
    controller.map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let group = object::text(owner, &["apiVersion"]).split_once('/').map_or("", |(group, _)| group);
            let kind = object::kind(owner).to_lowercase();
            let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
            format!("{kind}/{}", object::text(owner, &["name"]))
        },
    )
}

fn quota(o: &Value, limits: bool) -> String {
    let parts: Vec<String> = object::map(o, &["status", "hard"])
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("limits.") == limits)
        .map(|(name, hard)| format!("{name}: {}/{}", object::text(o, &["status", "used", name]), hard.as_str().unwrap_or_default()))
        .collect();
    parts.join(", ")
}

fn slice_cell(heading: &str, o: &Value) -> Value {
    match heading {
        "AddressType" => object::text(o, &["addressType"]).into(),
        "Ports" => {
            let ports: Vec<String> = object::list(o, &["ports"])
                .iter()
                .map(|port| object::number(port, &["port"]).map_or_else(|| "*".to_owned(), |port| port.to_string()))
                .collect();
            let shown = first_of(&ports, 3);
            if ports.is_empty() { "<unset>".into() } else { shown.into() }
        }
        _ => {
            let all: Vec<String> = object::list(o, &["endpoints"])
                .iter()
                .flat_map(|endpoint| object::strings(endpoint, &["addresses"]))
                .map(str::to_owned)
                .collect();
            if all.is_empty() { "<unset>".into() } else { first_of(&all, 3).into() }
        }
    }
}

fn autoscaler_cell(heading: &str, o: &Value) -> Value {
    match heading {
        "Reference" => {
            format!("{}/{}", object::text(o, &["spec", "scaleTargetRef", "kind"]), object::text(o, &["spec", "scaleTargetRef", "name"]))
                .into()
        }
        "Targets" => "<unknown>".into(),
        "MinPods" => object::number(o, &["spec", "minReplicas"]).map_or_else(|| "<unset>".into(), |n| n.to_string().into()),
        "MaxPods" => object::number(o, &["spec", "maxReplicas"]).unwrap_or(0).into(),
        _ => object::number(o, &["status", "currentReplicas"]).unwrap_or(0).into(),
    }
}

fn ingress_cell(heading: &str, o: &Value) -> Value {
    match heading {
        "Class" => or(object::text(o, &["spec", "ingressClassName"]), "<none>"),
        "Hosts" => {
            let hosts: Vec<String> = object::list(o, &["spec", "rules"])
                .iter()
                .map(|rule| object::text(rule, &["host"]).to_owned())
                .filter(|host| !host.is_empty())
                .collect();
            if hosts.is_empty() { "*".into() } else { first_of(&hosts, 3).into() }
        }
        "Address" => {
            let all: Vec<&str> = object::list(o, &["status", "loadBalancer", "ingress"])
                .iter()
                .map(|ingress| {
                    let ip = object::text(ingress, &["ip"]);
                    if ip.is_empty() { object::text(ingress, &["hostname"]) } else { ip }
                })
                .collect();
            all.join(",").into()
        }
        _ => if object::list(o, &["spec", "tls"]).is_empty() { "80" } else { "80, 443" }.into(),
    }
}

fn certificate_cell(heading: &str, o: &Value) -> Value {
    match heading {
        "SignerName" => or(object::text(o, &["spec", "signerName"]), "<none>"),
        "Requestor" => object::text(o, &["spec", "username"]).into(),
        "RequestedDuration" => {
            object::number(o, &["spec", "expirationSeconds"]).map_or_else(|| "<none>".into(), |s| super::human(s).into())
        }
        _ => {
            let has = |kind: &str| object::list(o, &["status", "conditions"]).iter().any(|c| object::text(c, &["type"]) == kind);
            let mut text = ["Denied", "Approved"].into_iter().find(|kind| has(kind)).unwrap_or("Pending").to_owned();
            if has("Failed") {
                text.push_str(",Failed");
            }
            if !object::text(o, &["status", "certificate"]).is_empty() {
                text.push_str(",Issued");
            }
            text.into()
        }
    }
}
