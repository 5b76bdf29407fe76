//! Affinity and topology spread: Kubernetes' own rules (spec/admission.md §5.3).

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::spec::SpecContext;
use crate::{Causes, text};

/// Adds a field error the way Kubernetes renders one.
struct Errors<'a>(&'a mut Causes);

impl Errors<'_> {
    fn push(&mut self, field: &str, kind: &str, detail: &str) {
        self.0.invalid(field, format!("{field}: {kind}: {detail}"));
    }

    fn required(&mut self, field: &str, detail: &str) {
        let kind = "Required value";
        if detail.is_empty() { self.0.invalid(field, format!("{field}: {kind}")) } else { self.push(field, kind, detail) }
    }

    fn invalid(&mut self, field: &str, value: &str, detail: &str) {
        self.push(field, "Invalid value", &format!("{value}: {detail}"));
    }

    fn key(&mut self, field: &str, key: &str) {
        for error in text::qualified_name(key) {
            self.invalid(field, &format!("{key:?}"), &error);
        }
    }
}

/// A1-A12, T1-T5.
pub(super) fn validate(cx: &SpecContext<'_>, causes: &mut Causes) {
    let mut errors = Errors(causes);
    if let Some(affinity) = &cx.spec.affinity {
        if let Some(node) = &affinity.node_affinity {
            let base = cx.at("nodeAffinity");
            if let Some(required) = &node.required_during_scheduling_ignored_during_execution {
                let field = format!("{base}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
                if required.node_selector_terms.is_empty() {
                    errors.required(&field, "must have at least one node selector term");
                }
                for (i, term) in required.node_selector_terms.iter().enumerate() {
                    node_term(&format!("{field}[{i}]"), term, &mut errors);
                }
            }
            let preferred = node.preferred_during_scheduling_ignored_during_execution.iter().flatten();
            for (i, term) in preferred.enumerate() {
                let field = format!("{base}.preferredDuringSchedulingIgnoredDuringExecution[{i}]");
                weight(&field, term.weight, &mut errors);
                node_term(&format!("{field}.preference"), &term.preference, &mut errors);
            }
        }
        let pods = [
            (
                "podAffinity",
                affinity.pod_affinity.as_ref().map(|a| {
                    (&a.required_during_scheduling_ignored_during_execution, &a.preferred_during_scheduling_ignored_during_execution)
                }),
            ),
            (
                "podAntiAffinity",
                affinity.pod_anti_affinity.as_ref().map(|a| {
                    (&a.required_during_scheduling_ignored_during_execution, &a.preferred_during_scheduling_ignored_during_execution)
                }),
            ),
        ];
        for (name, terms) in pods {
            let Some((required, preferred)) = terms else { continue };
            for (i, term) in required.iter().flatten().enumerate() {
                pod_term(&cx.at(&format!("{name}.requiredDuringSchedulingIgnoredDuringExecution[{i}]")), term, &mut errors);
            }
            for (i, term) in preferred.iter().flatten().enumerate() {
                let field = cx.at(&format!("{name}.preferredDuringSchedulingIgnoredDuringExecution[{i}]"));
                weight(&field, term.weight, &mut errors);
                pod_term(&format!("{field}.podAffinityTerm"), &term.pod_affinity_term, &mut errors);
            }
        }
    }
    spread(cx, &cx.spec.topology_spread_constraints, &mut errors);
}

fn weight(field: &str, weight: i32, errors: &mut Errors<'_>) {
    if !(1..=100).contains(&weight) {
        errors.invalid(&format!("{field}.weight"), &weight.to_string(), "must be in the range 1-100");
    }
}

fn node_term(field: &str, term: &NodeSelectorTerm, errors: &mut Errors<'_>) {
    for (j, requirement) in term.match_expressions.iter().flatten().enumerate() {
        expression(&format!("{field}.matchExpressions[{j}]"), requirement, errors);
    }
    for (j, requirement) in term.match_fields.iter().flatten().enumerate() {
        let at = format!("{field}.matchFields[{j}]");
        let values = requirement.values.as_deref().unwrap_or_default();
        match requirement.operator.as_str() {
            "In" | "NotIn" if values.len() != 1 => {
                errors
                    .required(&format!("{at}.values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
            }
            "In" | "NotIn" => {}
            other => errors.invalid(&format!("{at}.operator"), &format!("{other:?}"), "not a valid selector operator"),
        }
        if requirement.key == "metadata.name" {
            for (k, value) in values.iter().enumerate() {
                for error in text::dns_subdomain(value) {
                    errors.invalid(&format!("{at}.values[{k}]"), &format!("{value:?}"), &error);
                }
            }
        } else {
            errors.invalid(&format!("{at}.key"), &format!("{:?}", requirement.key), "not a valid field selector key");
        }
    }
}

fn expression(at: &str, requirement: &NodeSelectorRequirement, errors: &mut Errors<'_>) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let field = format!("{at}.values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&field, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.push(&field, "Forbidden", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if values.len() != 1 => {
            errors.required(&field, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.invalid(&format!("{at}.operator"), &format!("{other:?}"), "not a valid selector operator"),
    }
    errors.key(&format!("{at}.key"), &requirement.key);
}

fn pod_term(field: &str, term: &PodAffinityTerm, errors: &mut Errors<'_>) {
    for (name, of) in [("labelSelector", &term.label_selector), ("namespaceSelector", &term.namespace_selector)] {
        if let Some(selector) = of {
            label_selector(&format!("{field}.{name}"), selector, errors);
        }
    }
    for name in term.namespaces.iter().flatten() {
        for error in text::dns_label(name) {
            errors.invalid(&format!("{field}.namespace"), &format!("{name:?}"), &error);
        }
    }
    let at = format!("{field}.topologyKey");
    if term.topology_key.is_empty() {
        errors.required(&at, "can not be empty");
    }
    errors.key(&at, &term.topology_key);
}

/// A11, T4: a label selector, key by key.
fn label_selector(field: &str, selector: &LabelSelector, errors: &mut Errors<'_>) {
    let labels = format!("{field}.matchLabels");
    for (key, value) in selector.match_labels.iter().flatten() {
        errors.key(&labels, key);
        for error in text::label_value(value) {
            errors.invalid(&labels, &format!("{value:?}"), &error);
        }
    }
    for (i, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let at = format!("{field}.matchExpressions[{i}]");
        let values = requirement.values.as_deref().unwrap_or_default();
        match requirement.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(&format!("{at}.values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                errors.push(&format!("{at}.values"), "Forbidden", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(&format!("{at}.operator"), &format!("{other:?}"), "not a valid selector operator"),
        }
        errors.key(&format!("{at}.key"), &requirement.key);
        for (k, value) in values.iter().enumerate() {
            for error in text::label_value(value) {
                errors.invalid(&format!("{at}.values[{k}]"), &format!("{value:?}"), &error);
            }
        }
    }
}

/// T1-T5.
fn spread(cx: &SpecContext<'_>, constraints: &[TopologySpreadConstraint], errors: &mut Errors<'_>) {
    for (i, constraint) in constraints.iter().enumerate() {
        let field = cx.at(&format!("topologySpreadConstraints[{i}]"));
        if constraint.max_skew <= 0 {
            errors.invalid(&format!("{field}.maxSkew"), &constraint.max_skew.to_string(), "must be greater than zero");
        }
        let key = format!("{field}.topologyKey");
        if constraint.topology_key.is_empty() {
            errors.required(&key, "can not be empty");
        } else {
            errors.key(&key, &constraint.topology_key);
        }
        if !["DoNotSchedule", "ScheduleAnyway"].contains(&constraint.when_unsatisfiable.as_str()) {
            let detail = format!("{:?}: supported values: \"DoNotSchedule\", \"ScheduleAnyway\"", constraint.when_unsatisfiable);
            errors.push(&format!("{field}.whenUnsatisfiable"), "Unsupported value", &detail);
        }
        if let Some(selector) = &constraint.label_selector {
            label_selector(&cx.at("topologySpreadConstraints.labelSelector"), selector, errors);
        }
        let again = constraints
            .iter()
            .skip(i + 1)
            .any(|c| c.topology_key == constraint.topology_key && c.when_unsatisfiable == constraint.when_unsatisfiable);
        if again {
            let detail = format!("\"{{{}, {}}}\"", constraint.topology_key, constraint.when_unsatisfiable);
            errors.push(&format!("{field}.{{topologyKey, whenUnsatisfiable}}"), "Duplicate value", &detail);
        }
    }
}
