//! Checks of the baseline level.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Violation, by_containers, containers, named, names_of, quoted};
use crate::object;

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SELINUX_TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

fn joined(reason: &'static str, parts: &[String], separator: &str) -> Option<Violation> {
    (!parts.is_empty()).then(|| Violation { reason, detail: parts.join(separator) })
}

pub(super) fn app_armor(pod: &Value) -> Option<Violation> {
    let mut parts = Vec::new();
    let unconfined = |value: &Value, path: &[&str]| object::text(value, path) == "Unconfined";
    let must = "must not set AppArmor profile type to \"Unconfined\"";
    if unconfined(pod, &["spec", "securityContext", "appArmorProfile", "type"]) {
        parts.push(format!("pod {must}"));
    }
    let names = names_of(pod, |c| unconfined(c, &["securityContext", "appArmorProfile", "type"]));
    if !names.is_empty() {
        parts.push(format!("{} {must}", named("container", &names)));
    }
    let annotations = object::map(pod, &["metadata", "annotations"]);
    let bad: Vec<String> = annotations
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(APP_ARMOR))
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(_, v)| !(v.is_empty() || *v == "runtime/default" || v.starts_with("localhost/")))
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    if !bad.is_empty() {
        parts.push(format!("annotation{} {}", if bad.len() == 1 { "" } else { "s" }, bad.join(", ")));
    }
    let reason = if parts.len() > 1 || bad.len() > 1 { "forbidden AppArmor profiles" } else { "forbidden AppArmor profile" };
    joined(reason, &parts, ", ")
}

/// Containers that add what is not in `allowed`, and what they add.
pub(super) fn added<'a>(pod: &'a Value, allowed: &[&str]) -> (Vec<&'a str>, BTreeSet<&'a str>) {
    let (mut names, mut bad) = (Vec::new(), BTreeSet::new());
    for container in containers(pod) {
        let before = bad.len();
        let mut any = false;
        for capability in object::strings(container, &["securityContext", "capabilities", "add"]) {
            if !allowed.contains(&capability) {
                bad.insert(capability);
                any = true;
            }
        }
        if any || bad.len() > before {
            names.push(super::name(container));
        }
    }
    (names, bad)
}

pub(super) fn capabilities(pod: &Value) -> Option<Violation> {
    let (names, bad) = added(pod, &CAPABILITIES);
    let bad: Vec<&str> = bad.into_iter().collect();
    by_containers("non-default capabilities", &names, &format!("must not include {} in securityContext.capabilities.add", quoted(&bad)))
}

pub(super) fn host_namespaces(pod: &Value) -> Option<Violation> {
    let set: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| object::flag(pod, &["spec", field]))
        .map(|field| format!("{field}=true"))
        .collect();
    joined("host namespaces", &set, ", ")
}

pub(super) fn host_path_volumes(pod: &Value) -> Option<Violation> {
    let names: Vec<&str> = object::list(pod, &["spec", "volumes"])
        .iter()
        .filter(|volume| volume.get("hostPath").is_some_and(|source| !source.is_null()))
        .map(super::name)
        .collect();
    (!names.is_empty()).then(|| Violation { reason: "hostPath volumes", detail: named("volume", &names) })
}

pub(super) fn host_ports(pod: &Value) -> Option<Violation> {
    let used = |container: &Value| -> Vec<i64> {
        let ports = object::list(container, &["ports"]).iter();
        ports.filter_map(|port| object::number(port, &["hostPort"])).filter(|port| *port != 0).collect()
    };
    let names = names_of(pod, |container| !used(container).is_empty());
    let ports: BTreeSet<String> = containers(pod).flat_map(used).map(|port| port.to_string()).collect();
    let ports: Vec<String> = ports.into_iter().collect();
    let (verb, plural) = (if names.len() == 1 { "uses" } else { "use" }, if ports.len() == 1 { "" } else { "s" });
    by_containers("hostPort", &names, &format!("{verb} hostPort{plural} {}", ports.join(", ")))
}

pub(super) fn privileged(pod: &Value) -> Option<Violation> {
    let names = names_of(pod, |container| object::flag(container, &["securityContext", "privileged"]));
    by_containers("privileged", &names, "must not set securityContext.privileged=true")
}

pub(super) fn proc_mount(pod: &Value) -> Option<Violation> {
    let bad = |container: &Value| !matches!(object::text(container, &["securityContext", "procMount"]), "" | "Default");
    let names = names_of(pod, bad);
    by_containers("procMount", &names, "must not set securityContext.procMount to \"Unmasked\"")
}

pub(super) fn selinux(pod: &Value) -> Option<Violation> {
    let options = |value: &'_ Value, path: &[&str]| object::at(value, path).cloned().unwrap_or_default();
    let forbidden = |options: &Value| {
        let text = |field| object::text(options, &[field]);
        !SELINUX_TYPES.contains(&text("type")) || !text("user").is_empty() || !text("role").is_empty()
    };
    let of_pod = options(pod, &["spec", "securityContext", "seLinuxOptions"]);
    let pod_is_bad = forbidden(&of_pod);
    let names = names_of(pod, |c| forbidden(&options(c, &["securityContext", "seLinuxOptions"])));
    let mut subjects = Vec::new();
    if pod_is_bad {
        subjects.push("pod".to_owned());
    }
    if !names.is_empty() {
        subjects.push(named("container", &names));
    }
    if subjects.is_empty() {
        return None;
    }
    let all: Vec<Value> =
        std::iter::once(of_pod).chain(containers(pod).map(|c| options(c, &["securityContext", "seLinuxOptions"]))).collect();
    let types: BTreeSet<&str> = all.iter().map(|o| object::text(o, &["type"])).filter(|t| !SELINUX_TYPES.contains(t)).collect();
    let mut details = Vec::new();
    if !types.is_empty() {
        let types: Vec<&str> = types.into_iter().collect();
        details.push(format!("type{} {}", if types.len() == 1 { "" } else { "s" }, quoted(&types)));
    }
    for field in ["user", "role"] {
        if all.iter().any(|options| !object::text(options, &[field]).is_empty()) {
            details.push(format!("{field} may not be set"));
        }
    }
    let detail = format!("{} set forbidden securityContext.seLinuxOptions: {}", subjects.join(" and "), details.join("; "));
    Some(Violation { reason: "seLinuxOptions", detail })
}

pub(super) fn seccomp(pod: &Value) -> Option<Violation> {
    let unconfined = |value: &Value, path: &[&str]| object::text(value, path) == "Unconfined";
    let must = "must not set securityContext.seccompProfile.type to \"Unconfined\"";
    let names = names_of(pod, |c| unconfined(c, &["securityContext", "seccompProfile", "type"]));
    let mut subjects = Vec::new();
    if unconfined(pod, &["spec", "securityContext", "seccompProfile", "type"]) {
        subjects.push("pod".to_owned());
    }
    if !names.is_empty() {
        subjects.push(named("container", &names));
    }
    (!subjects.is_empty()).then(|| Violation { reason: "seccompProfile", detail: format!("{} {must}", subjects.join(" and ")) })
}

pub(super) fn sysctls(pod: &Value) -> Option<Violation> {
    let bad: Vec<String> = object::list(pod, &["spec", "securityContext", "sysctls"])
        .iter()
        .map(super::name)
        .filter(|name| !SYSCTLS.contains(name))
        .map(ToOwned::to_owned)
        .collect();
    joined("forbidden sysctls", &bad, ", ")
}

pub(super) fn windows_host_process(pod: &Value) -> Option<Violation> {
    let path = ["securityContext", "windowsOptions", "hostProcess"];
    let names = names_of(pod, |container| object::flag(container, &path));
    let mut subjects = Vec::new();
    if object::flag(pod, &["spec", "securityContext", "windowsOptions", "hostProcess"]) {
        subjects.push("pod".to_owned());
    }
    if !names.is_empty() {
        subjects.push(named("container", &names));
    }
    let detail = format!("{} must not set securityContext.windowsOptions.hostProcess=true", subjects.join(" and "));
    (!subjects.is_empty()).then_some(Violation { reason: "hostProcess", detail })
}
