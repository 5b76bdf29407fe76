//! Label selectors: whether they are well made, and whether they match (Kubernetes' rules and texts).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::text;

/// Whether a selector matches labels. An empty selector matches everything.
///
/// # Errors
/// The first thing wrong with the selector, in Kubernetes' words.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> Result<bool, String> {
    parse(selector)?;
    let equal = selector.match_labels.iter().flatten().all(|(k, v)| labels.get(k) == Some(v));
    let expressions = selector.match_expressions.iter().flatten().all(|e| {
        let values = e.values.as_deref().unwrap_or_default();
        let value = labels.get(&e.key);
        match e.operator.as_str() {
            "In" => value.is_some_and(|v| values.contains(v)),
            "NotIn" => value.is_none_or(|v| !values.contains(v)),
            "Exists" => value.is_some(),
            _ => value.is_none(),
        }
    });
    Ok(equal && expressions)
}

/// Whether a selector is well made.
///
/// # Errors
/// The first thing wrong with it, in Kubernetes' words.
pub fn parse(selector: &LabelSelector) -> Result<(), String> {
    for (key, value) in selector.match_labels.iter().flatten() {
        check_key(key)?;
        check_value("values[0]", key, value)?;
    }
    for expression in selector.match_expressions.iter().flatten() {
        check_expression(expression)?;
    }
    Ok(())
}

fn check_expression(expression: &LabelSelectorRequirement) -> Result<(), String> {
    let values = expression.values.as_deref().unwrap_or_default();
    let list = || format!("[{}]", values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(","));
    match expression.operator.as_str() {
        "In" | "NotIn" => {
            check_key(&expression.key)?;
            if values.is_empty() {
                return Err("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".into());
            }
        }
        "Exists" | "DoesNotExist" => {
            check_key(&expression.key)?;
            if !values.is_empty() {
                return Err(format!("values: Invalid value: {}: values set must be empty for exists and does not exist", list()));
            }
        }
        other => return Err(format!("{other:?} is not a valid label selector operator")),
    }
    for (i, value) in values.iter().enumerate() {
        check_value(&format!("values[{i}]"), &expression.key, value)?;
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), String> {
    let errors = text::qualified_name(key);
    if errors.is_empty() { Ok(()) } else { Err(format!("key: Invalid value: {key:?}: {}", errors.join("; "))) }
}

fn check_value(at: &str, key: &str, value: &str) -> Result<(), String> {
    let errors = text::label_value(value);
    if errors.is_empty() { Ok(()) } else { Err(format!("{at}[{key}]: Invalid value: {value:?}: {}", errors.join("; "))) }
}
