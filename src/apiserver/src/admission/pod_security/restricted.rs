//! Checks of the restricted level.

use serde_json::Value;

use super::baseline::added;
use super::{Violation, by_containers, containers, name, named, names_of, quoted};
use crate::object;

const VOLUMES: [&str; 9] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];

fn flag(value: &Value, path: &[&str]) -> Option<bool> {
    object::at(value, path).and_then(Value::as_bool)
}

fn violation(reason: &'static str, parts: &[String]) -> Option<Violation> {
    (!parts.is_empty()).then(|| Violation { reason, detail: parts.join("; ") })
}

pub(super) fn privilege_escalation(pod: &Value) -> Option<Violation> {
    let names = names_of(pod, |c| flag(c, &["securityContext", "allowPrivilegeEscalation"]) != Some(false));
    by_containers("allowPrivilegeEscalation != false", &names, "must set securityContext.allowPrivilegeEscalation=false")
}

pub(super) fn capabilities(pod: &Value) -> Option<Violation> {
    let keeps = |c: &Value| !object::strings(c, &["securityContext", "capabilities", "drop"]).contains(&"ALL");
    let mut parts = Vec::new();
    let keeping = names_of(pod, keeps);
    if !keeping.is_empty() {
        parts.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named("container", &keeping)));
    }
    let (adding, bad) = added(pod, &["NET_BIND_SERVICE"]);
    if !adding.is_empty() {
        let bad: Vec<&str> = bad.into_iter().collect();
        parts.push(format!("{} must not include {} in securityContext.capabilities.add", named("container", &adding), quoted(&bad)));
    }
    violation("unrestricted capabilities", &parts)
}

pub(super) fn volumes(pod: &Value) -> Option<Violation> {
    let (mut names, mut types) = (Vec::new(), Vec::new());
    for volume in object::list(pod, &["spec", "volumes"]) {
        let source = volume.as_object().into_iter().flatten().find(|(key, value)| *key != "name" && !value.is_null());
        if let Some((source, _)) = source.filter(|(source, _)| !VOLUMES.contains(&source.as_str())) {
            names.push(name(volume));
            if !types.contains(&source.as_str()) {
                types.push(source.as_str());
            }
        }
    }
    types.sort_unstable();
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let kinds = if types.len() == 1 { "type" } else { "types" };
    let detail = format!("{} {uses} restricted volume {kinds} {}", named("volume", &names), quoted(&types));
    (!names.is_empty()).then_some(Violation { reason: "restricted volume types", detail })
}

pub(super) fn run_as_non_root(pod: &Value) -> Option<Violation> {
    let path = ["securityContext", "runAsNonRoot"];
    let of_pod = flag(pod, &["spec", "securityContext", "runAsNonRoot"]);
    let wrong = names_of(pod, |c| flag(c, &path) == Some(false));
    let unset = names_of(pod, |c| flag(c, &path).is_none());
    let mut parts = Vec::new();
    let mut explicit = Vec::new();
    if of_pod == Some(false) {
        explicit.push("pod".to_owned());
    }
    if !wrong.is_empty() {
        explicit.push(named("container", &wrong));
    }
    if !explicit.is_empty() {
        parts.push(format!("{} must not set securityContext.runAsNonRoot=false", explicit.join(" and ")));
    }
    // A pod's own `true` covers containers that say nothing.
    if of_pod.is_none() && !unset.is_empty() {
        parts.push(format!("pod or {} must set securityContext.runAsNonRoot=true", named("container", &unset)));
    }
    violation("runAsNonRoot != true", &parts)
}

pub(super) fn run_as_user(pod: &Value) -> Option<Violation> {
    let zero = |value: &Value, path: &[&str]| object::number(value, path) == Some(0);
    let names = names_of(pod, |c| zero(c, &["securityContext", "runAsUser"]));
    let mut subjects = Vec::new();
    if zero(pod, &["spec", "securityContext", "runAsUser"]) {
        subjects.push("pod".to_owned());
    }
    if !names.is_empty() {
        subjects.push(named("container", &names));
    }
    (!subjects.is_empty())
        .then(|| Violation { reason: "runAsUser=0", detail: format!("{} must not set runAsUser=0", subjects.join(" and ")) })
}

pub(super) fn seccomp(pod: &Value) -> Option<Violation> {
    let good = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    let path = ["securityContext", "seccompProfile", "type"];
    let of_pod = object::text(pod, &["spec", "securityContext", "seccompProfile", "type"]);
    let mut parts = Vec::new();
    if !of_pod.is_empty() && !good(of_pod) {
        parts.push(format!("pod must not set securityContext.seccompProfile.type to \"{of_pod}\""));
    }
    let bad = |c: &Value| !matches!(object::text(c, &path), "" | "RuntimeDefault" | "Localhost");
    let wrong = names_of(pod, bad);
    if !wrong.is_empty() {
        let kinds: Vec<&str> = containers(pod).filter(|c| bad(c)).map(|c| object::text(c, &path)).take(1).collect();
        parts.push(format!("{} must not set securityContext.seccompProfile.type to {}", named("container", &wrong), quoted(&kinds)));
    }
    let unset = names_of(pod, |c| object::text(c, &path).is_empty());
    if of_pod.is_empty() && !unset.is_empty() {
        parts.push(format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            named("container", &unset)
        ));
    }
    violation("seccompProfile", &parts)
}
