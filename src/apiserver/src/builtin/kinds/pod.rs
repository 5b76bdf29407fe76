//! Pods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{null_members, pod_defaults, pod_rules};
use crate::builtin::gostruct::{self, Struct};
use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError, printed};
use crate::object;

/// `Pod`.
#[derive(Debug)]
pub struct Pod;

const CHANGEABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

impl Strategy for Pod {
    fn has_generation(&self) -> bool {
        true
    }

    fn has_status(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["spec"], json!({}));
        pod_defaults::fill(object, false);
        null_members(object, &["status", "conditions"], &["lastProbeTime", "lastTransitionTime"]);
    }

    fn prepare_create(&self, cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        // Plugins add containers and volumes of their own.
        pod_defaults::fill(object, false);
        let class = pod_defaults::qos_class(object);
        object::set(object, &["status"], json!({"phase": "Pending", "qosClass": class}));
        if !object::list(object, &["spec", "schedulingGates"]).is_empty() {
            let gated = json!([{
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastProbeTime": null,
                "lastTransitionTime": cx.core.env.timestamp(),
            }]);
            object::set(object, &["status", "conditions"], gated);
        }
        object::remove(object, &["spec", "ephemeralContainers"]);
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        match cx.subresource {
            "status" => {
                object::copy(object, old, &["spec"]);
                object::copy(object, old, &["metadata", "ownerReferences"]);
                let class = object::at(old, &["status", "qosClass"]).cloned();
                if let Some(class) = class {
                    object::set(object, &["status", "qosClass"], class);
                }
            }
            "ephemeralcontainers" => {
                let containers = object::at(object, &["spec", "ephemeralContainers"]).cloned();
                object::copy(object, old, &["spec"]);
                object::copy(object, old, &["status"]);
                if let Some(containers) = containers {
                    object::set(object, &["spec", "ephemeralContainers"], containers);
                }
            }
            "resize" => {
                let resources: Vec<(String, Value)> = object::list(object, &["spec", "containers"])
                    .iter()
                    .filter_map(|c| Some((object::text(c, &["name"]).to_owned(), c.get("resources")?.clone())))
                    .collect();
                object::copy(object, old, &["spec"]);
                object::copy(object, old, &["status"]);
                for container in object::list_mut(object, &["spec", "containers"]) {
                    let name = object::text(container, &["name"]).to_owned();
                    if let Some((_, wanted)) = resources.iter().find(|(of, _)| *of == name) {
                        object::set(container, &["resources"], wanted.clone());
                    }
                }
            }
            // The server's own writes.
            "binding" => {}
            _ => object::copy(object, old, &["status"]),
        }
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        pod_rules::check_spec(object, "spec", &mut wrong);
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        match cx.subresource {
            "status" => check_status(object, old),
            "ephemeralcontainers" => check_ephemeral(object, old),
            "binding" => Vec::new(),
            "resize" => self.validate(cx, object),
            _ => {
                let mut wrong = self.validate(cx, object);
                check_change(object, old, &mut wrong);
                wrong
            }
        }
    }

    fn field_names(&self) -> &'static [&'static str] {
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ]
    }

    fn fields(&self, object: &Value) -> BTreeMap<String, String> {
        let text = |path: &[&str]| object::text(object, path).to_owned();
        let ip = object::list(object, &["status", "podIPs"])
            .first()
            .map_or_else(|| text(&["status", "podIP"]), |ip| object::text(ip, &["ip"]).to_owned());
        BTreeMap::from([
            ("spec.nodeName".into(), text(&["spec", "nodeName"])),
            ("spec.restartPolicy".into(), text(&["spec", "restartPolicy"])),
            ("spec.schedulerName".into(), text(&["spec", "schedulerName"])),
            ("spec.serviceAccountName".into(), text(&["spec", "serviceAccountName"])),
            ("spec.hostNetwork".into(), object::flag(object, &["spec", "hostNetwork"]).to_string()),
            ("status.phase".into(), text(&["status", "phase"])),
            ("status.podIP".into(), ip.clone()),
            ("status.podIPs".into(), ip),
            ("status.nominatedNodeName".into(), text(&["status", "nominatedNodeName"])),
        ])
    }

    fn grace_period(&self, _cx: &Context<'_>, object: &Value, asked: Option<i64>) -> Option<i64> {
        let own = object::number(object, &["spec", "terminationGracePeriodSeconds"]).unwrap_or(30);
        let period = match asked {
            Some(seconds) if seconds < 0 => 1,
            Some(seconds) => seconds,
            None if object::is_terminating(object) => object::number(object, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(own),
            None if own < 0 => 1,
            None => own,
        };
        // Nobody runs it, or it has run: nothing to wait for.
        let idle = object::text(object, &["spec", "nodeName"]).is_empty();
        let over = matches!(object::text(object, &["status", "phase"]), "Failed" | "Succeeded");
        Some(if idle || over { 0 } else { period })
    }

    fn delete_returns_object(&self) -> bool {
        true
    }
}

fn check_status(object: &Value, old: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if object::at(object, &["status", "nominatedNodeName"]).is_some_and(|name| name != "") {
        let name = object::text(object, &["status", "nominatedNodeName"]);
        let texts = crate::registry::names::subdomain(name);
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid("status.nominatedNodeName", name, text)));
    }
    let ips = object::list(object, &["status", "podIPs"]);
    let mut families = Vec::new();
    let mut bad = None;
    for (index, ip) in ips.iter().enumerate() {
        let text = object::text(ip, &["ip"]);
        if let Ok(address) = text.parse::<std::net::IpAddr>() {
            families.push(address.is_ipv6());
        } else {
            bad.get_or_insert((index, text));
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            wrong.push(FieldError::invalid(format!("status.podIPs[{index}]"), text, detail));
        }
    }
    if ips.len() > 1 {
        let shown: Vec<String> = ips.iter().map(|ip| format!("{{\"IP\":{}}}", json!(object::text(ip, &["ip"])))).collect();
        if let Some((index, text)) = bad {
            let detail = format!("failed to check for dual stack with error:invalid IP[{index}]: {text}");
            wrong.push(FieldError::internal("status.podIPs", detail));
        }
        if bad.is_some() || families.first() == families.get(1) || ips.len() > 2 {
            let detail = "may specify no more than one IP for each IP family";
            wrong.push(FieldError::invalid("status.podIPs", printed(format!("[{}]", shown.join(","))), detail));
        }
    }
    let node = |pod: &Value| object::text(pod, &["spec", "nodeName"]).to_owned();
    if node(object) != node(old) {
        wrong.push(FieldError::forbidden("spec.nodeName", "may not be changed directly"));
    }
    wrong
}

fn check_ephemeral(object: &Value, old: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    pod_rules::check_spec(object, "spec", &mut wrong);
    let new = object::list(object, &["spec", "ephemeralContainers"]);
    for before in object::list(old, &["spec", "ephemeralContainers"]) {
        let name = object::text(before, &["name"]);
        match new.iter().find(|container| object::text(container, &["name"]) == name) {
            None => {
                let detail = format!("existing ephemeral containers {name:?} may not be removed\n");
                wrong.push(FieldError::forbidden("spec.ephemeralContainers", detail));
            }
            Some(now) if now != before => {
                let detail = format!(
                    "existing ephemeral containers {name:?} may not be changed\n{}",
                    gostruct::difference(Struct::EphemeralContainer, before, now)
                );
                wrong.push(FieldError::forbidden("spec.ephemeralContainers", detail));
            }
            Some(_) => {}
        }
    }
    wrong
}

/// Only a few members of a pod's spec may change.
fn check_change(object: &Value, old: &Value, wrong: &mut Vec<FieldError>) {
    let deadline = |pod: &Value| object::number(pod, &["spec", "activeDeadlineSeconds"]);
    match (deadline(object), deadline(old)) {
        (Some(new), Some(before)) if new > before => {
            let detail = "must be less than or equal to previous value";
            wrong.push(FieldError::invalid("spec.activeDeadlineSeconds", new, detail));
            return;
        }
        (None, Some(_)) => {
            wrong.push(FieldError::invalid(
                "spec.activeDeadlineSeconds",
                Value::Null,
                "must not update from a positive integer to nil value",
            ));
            return;
        }
        _ => {}
    }
    let mut same = object.get("spec").cloned().unwrap_or(Value::Null);
    let before = old.get("spec").cloned().unwrap_or(Value::Null);
    for key in ["containers", "initContainers"] {
        let images: Vec<Option<Value>> = object::list(&before, &[key]).iter().map(|container| container.get("image").cloned()).collect();
        for (container, image) in object::list_mut(&mut same, &[key]).iter_mut().zip(images) {
            if let Some(image) = image {
                object::set(container, &["image"], image);
            }
        }
    }
    object::copy(&mut same, &before, &["activeDeadlineSeconds"]);
    if object::number(&before, &["terminationGracePeriodSeconds"]).is_some_and(|seconds| seconds < 0)
        && object::number(&same, &["terminationGracePeriodSeconds"]) == Some(1)
    {
        object::copy(&mut same, &before, &["terminationGracePeriodSeconds"]);
    }
    let kept = object::list(&before, &["tolerations"]);
    let tolerations = object::list(&same, &["tolerations"]);
    if kept.iter().all(|toleration| tolerations.contains(toleration)) {
        object::copy(&mut same, &before, &["tolerations"]);
    }
    // Gates may be lifted, never put up.
    let gates = object::list(&before, &["schedulingGates"]);
    if object::list(&same, &["schedulingGates"]).iter().all(|gate| gates.contains(gate)) {
        if gates.is_empty() {
            object::remove(&mut same, &["schedulingGates"]);
        } else {
            object::copy(&mut same, &before, &["schedulingGates"]);
            object::copy(&mut same, &before, &["nodeSelector"]);
            object::copy(&mut same, &before, &["affinity"]);
        }
    }
    if same != before {
        wrong.push(FieldError::forbidden("spec", format!("{CHANGEABLE}\n{}", gostruct::difference(Struct::PodSpec, &before, &same))));
    }
}
