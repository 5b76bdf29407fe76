//! LimitRanger: default requests and limits of containers, and the bounds of pods, containers and claims.
//!
//! Facts: `plugin/pkg/admission/limitranger/admission.go`, defaults of `SetDefaults_LimitRangeItem`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::quantity::Quantity;
use super::{Attributes, Chain, Operation};
use crate::error::ApiError;
use crate::object;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Resources = BTreeMap<String, Quantity>;

fn resources(value: &Value, path: &[&str]) -> Resources {
    object::map(value, path).into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), Quantity::of(value)?))).collect()
}

fn items(chain: &Chain, namespace: &str) -> Vec<Value> {
    let ranges = chain.list("", "limitranges", Some(namespace));
    ranges.iter().flat_map(|range| object::list(range, &["spec", "limits"]).to_vec()).collect()
}

pub(super) fn admit(chain: &Chain, attributes: &mut Attributes) {
    if attributes.operation != Operation::Create || !attributes.is("", "pods") {
        return;
    }
    let items = items(chain, &attributes.namespace);
    let Some(pod) = attributes.object.as_mut().filter(|_| !items.is_empty()) else { return };
    let (mut limits, mut requests) = (Map::new(), Map::new());
    for item in items.iter().filter(|item| object::text(item, &["type"]) == "Container") {
        let of = |field: &str| object::map(item, &[field]).cloned().unwrap_or_default();
        let fill = |into: &mut Map<String, Value>, from: Map<String, Value>| {
            for (name, value) in from {
                into.entry(name).or_insert(value);
            }
        };
        let (mut default, mut request) = (of("default"), of("defaultRequest"));
        fill(&mut default, of("max"));
        fill(&mut request, default.clone());
        fill(&mut request, of("min"));
        fill(&mut limits, default);
        fill(&mut requests, request);
    }
    let mut notes = Vec::new();
    for (containers, kind) in [("containers", "container"), ("initContainers", "init container")] {
        for container in object::list_mut(pod, &["spec", containers]) {
            for (field, defaults, what) in [("requests", &requests, "request"), ("limits", &limits, "limit")] {
                let mut set = Vec::new();
                for (name, value) in defaults {
                    // A request that is missing follows the container's own limit before any default.
                    let own = object::at(container, &["resources", field, name]).is_some()
                        || (field == "requests" && object::at(container, &["resources", "limits", name]).is_some());
                    if !own {
                        set.push(name.clone());
                        object::set(container, &["resources", field, name], value.clone());
                    }
                }
                if !set.is_empty() {
                    notes.push(format!("{} {what} for {kind} {}", set.join(", "), object::text(container, &["name"])));
                }
            }
        }
    }
    if !notes.is_empty() {
        object::set(pod, &["metadata", "annotations", ANNOTATION], format!("LimitRanger plugin set: {}", notes.join("; ")));
    }
}

pub(super) fn validate(chain: &Chain, attributes: &Attributes) -> Result<(), ApiError> {
    let pod = attributes.is("", "pods") && attributes.operation == Operation::Create;
    let claim = attributes.is("", "persistentvolumeclaims") && matches!(attributes.operation, Operation::Create | Operation::Update);
    let Some(object) = attributes.object.as_ref().filter(|_| pod || claim) else { return Ok(()) };
    let mut problems = Vec::new();
    for item in items(chain, &attributes.namespace) {
        match (object::text(&item, &["type"]), pod) {
            ("Container", true) => {
                for container in containers(object) {
                    let of = |field| resources(container, &["resources", field]);
                    check(&item, "Container", &of("requests"), &of("limits"), &mut problems);
                }
            }
            ("Pod", true) => {
                check(&item, "Pod", &pod_total(object, "requests"), &pod_total(object, "limits"), &mut problems);
            }
            ("PersistentVolumeClaim", false) => {
                let requests = resources(object, &["spec", "resources", "requests"]);
                for (bound, less, word) in [("min", true, "minimum"), ("max", false, "maximum")] {
                    for (name, enforced) in resources(&item, &[bound]) {
                        if let Some(found) = requests.get(&name).filter(|f| if less { **f < enforced } else { **f > enforced }) {
                            problems.push(format!("{word} {name} usage per PersistentVolumeClaim is {enforced}, but request is {found}"));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    match problems.as_slice() {
        [] => Ok(()),
        [one] => Err(attributes.forbidden(one)),
        many => Err(attributes.forbidden(format!("[{}]", many.join(", ")))),
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    object::list(pod, &["spec", "containers"]).iter().chain(object::list(pod, &["spec", "initContainers"]))
}

/// What a pod asks for: its containers together, or its largest init container if that is more.
pub(super) fn pod_total(pod: &Value, field: &str) -> Resources {
    let mut total = Resources::new();
    let of = |container: &Value| resources(container, &["resources", field]);
    let add = |total: &mut Resources, more: Resources| {
        for (name, value) in more {
            let sum = total.get(&name).copied().unwrap_or_default() + value;
            total.insert(name, sum);
        }
    };
    for container in object::list(pod, &["spec", "containers"]) {
        add(&mut total, of(container));
    }
    let (mut sidecars, mut peak) = (Resources::new(), Resources::new());
    for container in object::list(pod, &["spec", "initContainers"]) {
        let mut at_once = sidecars.clone();
        add(&mut at_once, of(container));
        if object::text(container, &["restartPolicy"]) == "Always" {
            sidecars.clone_from(&at_once);
            add(&mut total, of(container));
        }
        for (name, value) in at_once {
            let largest = peak.get(&name).copied().unwrap_or_default().max(value);
            peak.insert(name, largest);
        }
    }
    for (name, value) in peak {
        let largest = total.get(&name).copied().unwrap_or_default().max(value);
        total.insert(name, largest);
    }
    add(&mut total, resources(pod, &["spec", "overhead"]));
    total
}

fn check(item: &Value, kind: &str, requests: &Resources, limits: &Resources, problems: &mut Vec<String>) {
    for (name, enforced) in resources(item, &["min"]) {
        let text = format!("minimum {name} usage per {kind} is {enforced}");
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => problems.push(format!("{text}. No request is specified")),
            (Some(request), _) if *request < enforced => problems.push(format!("{text}, but request is {request}")),
            (_, Some(limit)) if *limit < enforced => problems.push(format!("{text}, but limit is {limit}")),
            _ => {}
        }
    }
    for (name, enforced) in resources(item, &["max"]) {
        let text = format!("maximum {name} usage per {kind} is {enforced}");
        match (requests.get(&name), limits.get(&name)) {
            (_, None) => problems.push(format!("{text}. No limit is specified")),
            (_, Some(limit)) if *limit > enforced => problems.push(format!("{text}, but limit is {limit}")),
            (Some(request), _) if *request > enforced => problems.push(format!("{text}, but request is {request}")),
            _ => {}
        }
    }
    for (name, enforced) in resources(item, &["maxLimitRequestRatio"]) {
        let text = format!("{name} max limit to request ratio per {kind} is {enforced}");
        let of = |resources: &Resources| resources.get(&name).copied().filter(|q| !q.is_zero());
        match (of(requests), of(limits)) {
            (None, _) => problems.push(format!("{text}, but no request is specified or request is 0")),
            (_, None) => problems.push(format!("{text}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let allowed = enforced.ratio(Quantity::whole(1)).unwrap_or_default();
                if let Some(ratio) = limit.ratio(request).filter(|ratio| *ratio > allowed) {
                    problems.push(format!("{text}, but provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}
