//! Selectors of typed objects.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// Whether labels match a selector; an empty one matches everything, an unknown operator nothing.
pub(crate) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let by_value = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    by_value
        && selector.match_expressions.iter().flatten().all(|requirement| {
            let values = requirement.values.as_deref().unwrap_or_default();
            let found = labels.get(&requirement.key);
            match requirement.operator.as_str() {
                "In" => found.is_some_and(|value| values.contains(value)),
                "NotIn" => found.is_none_or(|value| !values.contains(value)),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

/// Whether labels contain all of a plain selector.
pub(crate) fn contains(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn requirement(requirement: &NodeSelectorRequirement, found: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let among = |value: &str| values.iter().any(|other| other == value);
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let limit = number(values.first().map(String::as_str));
    match requirement.operator.as_str() {
        "In" => found.is_some_and(among),
        "NotIn" => !found.is_some_and(among),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => matches!((number(found), limit), (Some(value), Some(limit)) if value > limit),
        "Lt" => matches!((number(found), limit), (Some(value), Some(limit)) if value < limit),
        _ => false,
    }
}

/// Whether a node fits one term; an empty term fits none.
pub(crate) fn fits_term(term: &NodeSelectorTerm, name: &str, labels: &Labels) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions.iter().all(|wanted| requirement(wanted, labels.get(&wanted.key).map(String::as_str)))
        && fields.iter().all(|wanted| requirement(wanted, (wanted.key == "metadata.name").then_some(name)))
}

/// Whether a node fits any term.
pub(crate) fn fits_node_selector(selector: &NodeSelector, name: &str, labels: &Labels) -> bool {
    selector.node_selector_terms.iter().any(|term| fits_term(term, name, labels))
}
