//! Labels of a namespace: they must name levels, and whoever tightens one hears which pods would not be let in any more.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{LABEL, Level, reasons};
use crate::admission::{Attributes, Chain, Operation, Warning};
use crate::error::{ApiError, FieldError, go_quote};
use crate::object;

/// Pods that are looked at for the warning.
const MAX_PODS: usize = 3000;

pub(super) fn validate(chain: &Chain, attributes: &Attributes, warnings: &mut Vec<Warning>) -> Result<(), ApiError> {
    let Some(namespace) = &attributes.object else { return Ok(()) };
    let old = attributes.old_object.as_deref();
    let label = |object: &Value, name: &str| object::text(object, &["metadata", "labels", &format!("{LABEL}{name}")]).to_owned();
    let mut wrong = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        let (level, version) = (label(namespace, mode), label(namespace, &format!("{mode}-version")));
        let field = |name: &str| format!("metadata.labels[{LABEL}{name}]");
        if !matches!(level.as_str(), "" | "privileged" | "baseline" | "restricted") {
            wrong.push(FieldError::invalid(field(mode), level, "must be one of privileged, baseline, restricted"));
        }
        if !is_version(&version) {
            wrong.push(FieldError::invalid(field(&format!("{mode}-version")), version, "must be \"latest\" or \"v1.x\""));
        }
    }
    if !wrong.is_empty() {
        return Err(ApiError::invalid(&attributes.gvk, object::name(namespace), &wrong));
    }
    let (new_level, old_level) = (label(namespace, "enforce"), old.map(|old| label(old, "enforce")).unwrap_or_default());
    if attributes.operation == Operation::Update && !new_level.is_empty() && new_level != old_level {
        let level = Level::parse(&new_level);
        let version = Some(label(namespace, "enforce-version")).filter(|v| !v.is_empty()).unwrap_or_else(|| "latest".to_owned());
        warn_of_pods(chain, object::name(namespace), level, &version, warnings);
    }
    Ok(())
}

fn is_version(version: &str) -> bool {
    matches!(version, "" | "latest") || version.strip_prefix("v1.").is_some_and(|minor| minor.parse::<u16>().is_ok())
}

fn warn_of_pods(chain: &Chain, namespace: &str, level: Level, version: &str, warnings: &mut Vec<Warning>) {
    // Pods that break the same rules are told together, by the first one's name.
    let mut by_problem: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in chain.list("", "pods", Some(namespace)).iter().take(MAX_PODS) {
        let problem = reasons(pod, level);
        if !problem.is_empty() {
            by_problem.entry(problem).or_default().push(object::name(pod).to_owned());
        }
    }
    if by_problem.is_empty() {
        return;
    }
    let policy = go_quote(&format!("{}:{version}", level.name()));
    let namespace = go_quote(namespace);
    warnings.push(format!("existing pods in namespace {namespace} violate the new PodSecurity enforce level {policy}"));
    for (problem, pods) in by_problem {
        let first = pods.first().map_or("", String::as_str);
        warnings.push(match pods.len() {
            1 => format!("{first}: {problem}"),
            2 => format!("{first} (and 1 other pod): {problem}"),
            many => format!("{first} (and {} other pods): {problem}", many - 1),
        });
    }
}
