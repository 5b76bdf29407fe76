//! PodSecurity: what pods may ask of their node, by the level that labels of their namespace name.
//!
//! Facts: `k8s.io/pod-security-admission/{admission,policy}`. Checks are those of the newest version, whatever the
//! version labels say, and messages name the labelled version.

mod baseline;
mod namespace;
mod restricted;

use serde_json::Value;

use super::{Attributes, Chain, Operation, Warning};
use crate::error::{ApiError, go_quote};
use crate::object;

const LABEL: &str = "pod-security.kubernetes.io/";

/// How much a namespace's pods may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Anything.
    Privileged,
    /// Nothing that is known to break out.
    Baseline,
    /// What current hardening practice allows.
    Restricted,
}

impl Level {
    /// From a label; an unknown text is the strictest level, as the original fails closed.
    fn parse(text: &str) -> Self {
        match text {
            "privileged" => Self::Privileged,
            "baseline" => Self::Baseline,
            _ => Self::Restricted,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// One broken rule: its name and what breaks it.
struct Violation {
    reason: &'static str,
    detail: String,
}

type Check = fn(&Value) -> Option<Violation>;

/// Checks in the order of messages. The restricted level replaces some of the baseline's.
fn checks(level: Level) -> Vec<Check> {
    match level {
        Level::Privileged => Vec::new(),
        Level::Baseline => vec![
            baseline::app_armor,
            baseline::capabilities,
            baseline::host_namespaces,
            baseline::host_path_volumes,
            baseline::host_ports,
            baseline::privileged,
            baseline::proc_mount,
            baseline::selinux,
            baseline::seccomp,
            baseline::sysctls,
            baseline::windows_host_process,
        ],
        Level::Restricted => vec![
            restricted::privilege_escalation,
            baseline::app_armor,
            restricted::capabilities,
            baseline::host_namespaces,
            baseline::host_ports,
            baseline::privileged,
            baseline::proc_mount,
            restricted::volumes,
            restricted::run_as_non_root,
            restricted::run_as_user,
            baseline::selinux,
            restricted::seccomp,
            baseline::sysctls,
            baseline::windows_host_process,
        ],
    }
}

/// What a pod (its `metadata` and `spec`) breaks at a level, as messages list it; empty when nothing.
pub fn violations(pod: &Value, level: Level) -> String {
    let broken: Vec<String> = checks(level)
        .into_iter()
        .filter_map(|check| check(pod))
        .map(|v| if v.detail.is_empty() { v.reason.to_owned() } else { format!("{} ({})", v.reason, v.detail) })
        .collect();
    broken.join(", ")
}

/// The names alone of the rules that a pod breaks.
fn reasons(pod: &Value, level: Level) -> String {
    let broken: Vec<&str> = checks(level).into_iter().filter_map(|check| check(pod)).map(|v| v.reason).collect();
    broken.join(", ")
}

/// Where each kind that makes pods keeps the pod's template.
const TEMPLATES: [(&str, &str, &[&str]); 8] = [
    ("", "replicationcontrollers", &["spec", "template"]),
    ("", "podtemplates", &["template"]),
    ("apps", "replicasets", &["spec", "template"]),
    ("apps", "deployments", &["spec", "template"]),
    ("apps", "statefulsets", &["spec", "template"]),
    ("apps", "daemonsets", &["spec", "template"]),
    ("batch", "jobs", &["spec", "template"]),
    ("batch", "cronjobs", &["spec", "jobTemplate", "spec", "template"]),
];

pub(super) fn validate(chain: &Chain, attributes: &Attributes, warnings: &mut Vec<Warning>) -> Result<(), ApiError> {
    if !matches!(attributes.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    if attributes.is("", "namespaces") {
        return namespace::validate(chain, attributes, warnings);
    }
    if attributes.namespace.is_empty() {
        return Ok(());
    }
    let Some(object) = &attributes.object else { return Ok(()) };
    let is_pod = attributes.gvr.group.is_empty()
        && attributes.gvr.resource == "pods"
        && matches!(attributes.subresource.as_str(), "" | "ephemeralcontainers");
    let template =
        TEMPLATES.iter().find(|(group, resource, _)| attributes.is(group, resource)).and_then(|(_, _, path)| object::at(object, path));
    let Some(pod) = (if is_pod { Some(object) } else { template }) else { return Ok(()) };
    let Some(labels) = chain.namespace_labels(&attributes.namespace) else { return Ok(()) };
    let labelled = |mode: &str| {
        let level = labels.get(&format!("{LABEL}{mode}")).map_or(Level::Privileged, |text| Level::parse(text));
        let version = labels.get(&format!("{LABEL}{mode}-version")).map_or("latest", String::as_str);
        (level, version.to_owned())
    };
    let insignificant = is_pod && attributes.old_object.as_deref().is_some_and(|old| !changes_containers(pod, old));
    if insignificant {
        return Ok(());
    }
    let text = |level: Level, version: &str| {
        let broken = violations(pod, level);
        (!broken.is_empty()).then(|| format!("violate{{}} PodSecurity {}: {broken}", go_quote(&format!("{}:{version}", level.name()))))
    };
    if is_pod {
        let (level, version) = labelled("enforce");
        if let Some(text) = text(level, &version) {
            return Err(attributes.forbidden(text.replacen("{}", "s", 1)));
        }
    }
    let (level, version) = labelled("warn");
    if let Some(text) = text(level, &version) {
        warnings.push(format!("would {}", text.replacen("{}", "", 1)));
    }
    Ok(())
}

/// Whether an update adds containers or changes their images: all else of a running pod is fixed.
fn changes_containers(new: &Value, old: &Value) -> bool {
    let images = |pod: &Value| -> Vec<(String, String)> {
        containers(pod).map(|c| (name(c).to_owned(), object::text(c, &["image"]).to_owned())).collect()
    };
    images(new) != images(old)
}

/// Every container, in the order of messages.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| object::list(pod, &["spec", list]))
}

fn name(container: &Value) -> &str {
    object::text(container, &["name"])
}

/// Names of the containers for which `bad` holds.
fn names_of(pod: &Value, bad: impl Fn(&Value) -> bool) -> Vec<&str> {
    containers(pod).filter(|container| bad(container)).map(name).collect()
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| go_quote(name)).collect::<Vec<_>>().join(", ")
}

/// `container "a"` or `containers "a", "b"`.
fn named(noun: &str, names: &[&str]) -> String {
    format!("{noun}{} {}", if names.len() == 1 { "" } else { "s" }, quoted(names))
}

/// A violation by containers, or nothing when there are none.
fn by_containers(reason: &'static str, names: &[&str], must: &str) -> Option<Violation> {
    (!names.is_empty()).then(|| Violation { reason, detail: format!("{} {must}", named("container", names)) })
}
