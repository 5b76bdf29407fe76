//! Labels and annotations of instances (spec/admission.md §5.12, MD).

use std::collections::BTreeMap;

use api::config::ClusterConfig;
use api::names;

use crate::{Causes, Requester};

/// Labels that only KubeVirt itself sets on instances.
pub(super) const RESTRICTED_LABELS: &[&str] = &[
    names::CREATED_BY_LABEL,
    names::MIGRATION_JOB_LABEL,
    names::NODE_NAME_LABEL,
    names::MIGRATION_TARGET_NODE_NAME_LABEL,
    names::NODE_SCHEDULABLE_LABEL,
    names::INSTALL_STRATEGY_LABEL,
];

/// The restricted ones among labels.
pub(super) fn restricted(labels: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    labels.iter().filter(|(k, _)| RESTRICTED_LABELS.contains(&k.as_str())).map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

/// MD1-MD3.
pub(super) fn validate(
    base: &str,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    requester: &Requester,
    config: &ClusterConfig,
    causes: &mut Causes,
) {
    if !requester.is_kubevirt(config) && !restricted(labels).is_empty() {
        let message = "creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited";
        causes.not_supported(format!("{base}.labels"), message);
    }
    let field = format!("{base}.annotations");
    for (annotation, gate, name) in [
        (names::IGNITION_ANNOTATION, "ExperimentalIgnitionSupport", "ExperimentalIgnitionSupport"),
        (names::HOOK_SIDECARS_ANNOTATION, "Sidecar", "sidecar"),
    ] {
        if annotations.get(annotation).is_some_and(|v| !v.is_empty()) && !config.gate(gate) {
            let message = format!("{name} feature gate is not enabled in kubevirt-config, invalid entry {field}.{annotation}");
            causes.invalid(&field, message);
        }
    }
}
