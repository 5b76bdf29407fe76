//! What one object counts against a quota.
//!
//! Facts: `pkg/quota/v1/evaluator/core/{pods,services,persistent_volume_claims}.go`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::admission::limit_ranger::pod_total;
use crate::admission::quantity::Quantity;
use crate::object;
use crate::resource::GroupResource;

pub(super) type Usage = BTreeMap<String, Quantity>;

/// Resources that are counted under their own name as well as under `count/…`.
const COUNTED: [&str; 6] = ["pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps"];
/// Quota names that every container must have a value for.
const COMPUTE: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// What an object of this resource uses.
pub(super) fn of(gr: &GroupResource, object: &Value) -> Usage {
    let one = Quantity::whole(1);
    let mut usage = Usage::from([(format!("count/{gr}"), one)]);
    if !gr.group.is_empty() {
        return usage;
    }
    if COUNTED.contains(&gr.resource.as_str()) {
        usage.insert(gr.resource.clone(), one);
    }
    match gr.resource.as_str() {
        "pods" if matches!(object::text(object, &["status", "phase"]), "Succeeded" | "Failed") => {
            usage.retain(|name, _| name.starts_with("count/"));
        }
        "pods" => compute(object, &mut usage),
        "persistentvolumeclaims" => storage(object, &mut usage),
        "services" => ports(object, &mut usage),
        _ => {}
    }
    usage
}

fn compute(pod: &Value, usage: &mut Usage) {
    for (name, quantity) in pod_total(pod, "requests") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") {
            usage.insert(name.clone(), quantity);
        }
        usage.insert(format!("requests.{name}"), quantity);
    }
    for (name, quantity) in pod_total(pod, "limits") {
        usage.insert(format!("limits.{name}"), quantity);
    }
}

fn storage(claim: &Value, usage: &mut Usage) {
    let one = Quantity::whole(1);
    let size = object::at(claim, &["spec", "resources", "requests", "storage"]).and_then(Quantity::of).unwrap_or_default();
    usage.insert("persistentvolumeclaims".to_owned(), one);
    usage.insert("requests.storage".to_owned(), size);
    let class = object::text(claim, &["spec", "storageClassName"]);
    if !class.is_empty() {
        usage.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one);
        usage.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), size);
    }
}

fn ports(service: &Value, usage: &mut Usage) {
    let ports = i64::try_from(object::list(service, &["spec", "ports"]).len()).unwrap_or(i64::MAX);
    match object::text(service, &["spec", "type"]) {
        "NodePort" => {
            usage.insert("services.nodeports".to_owned(), Quantity::whole(ports));
        }
        "LoadBalancer" => {
            if object::at(service, &["spec", "allocateLoadBalancerNodePorts"]).and_then(Value::as_bool) != Some(false) {
                usage.insert("services.nodeports".to_owned(), Quantity::whole(ports));
            }
            usage.insert("services.loadbalancers".to_owned(), Quantity::whole(1));
        }
        _ => {}
    }
}

/// Values that a quota demands of every container and some lack: `limits.cpu for: a,b; limits.memory for: a`.
pub(super) fn missing(pod: &Value, hard: &Usage) -> Option<String> {
    let mut parts = Vec::new();
    for name in COMPUTE.iter().filter(|name| hard.contains_key(**name)) {
        let (field, resource) = match name.split_once('.') {
            Some(("limits", resource)) => ("limits", resource),
            Some((_, resource)) => ("requests", resource),
            None => ("requests", *name),
        };
        let lacking: Vec<&str> = ["containers", "initContainers"]
            .into_iter()
            .flat_map(|list| object::list(pod, &["spec", list]))
            .filter(|container| object::at(container, &["resources", field, resource]).is_none())
            .map(|container| object::text(container, &["name"]))
            .collect();
        if !lacking.is_empty() {
            parts.push(format!("{name} for: {}", lacking.join(",")));
        }
    }
    parts.sort();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Whether a quota's scopes take this pod.
pub(super) fn in_scopes(quota: &Value, gr: &GroupResource, object: &Value) -> bool {
    let plain = object::strings(quota, &["spec", "scopes"]).into_iter().map(|scope| (scope, "Exists", Vec::new()));
    let expressions = object::list(quota, &["spec", "scopeSelector", "matchExpressions"]).iter().map(|expression| {
        let text = |field| object::text(expression, &[field]);
        (text("scopeName"), text("operator"), object::strings(expression, &["values"]))
    });
    let pods = gr.group.is_empty() && gr.resource == "pods";
    plain.chain(expressions).all(|(scope, operator, values)| pods && in_scope(object, scope, operator, &values))
}

fn in_scope(pod: &Value, scope: &str, operator: &str, values: &[&str]) -> bool {
    let terminating = object::number(pod, &["spec", "activeDeadlineSeconds"]).is_some();
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => is_best_effort(pod),
        "NotBestEffort" => !is_best_effort(pod),
        "PriorityClass" => {
            let class = object::text(pod, &["spec", "priorityClassName"]);
            match operator {
                "In" => values.contains(&class),
                "NotIn" => !values.contains(&class),
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        _ => false,
    }
}

fn is_best_effort(pod: &Value) -> bool {
    ["requests", "limits"].into_iter().all(|field| {
        let total = pod_total(pod, field);
        ["cpu", "memory"].into_iter().all(|name| total.get(name).is_none_or(|quantity| quantity.is_zero()))
    })
}
