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
/// What is wrong with the first requirement that is not, in Kubernetes' words.
pub fn parse(selector: &LabelSelector) -> Result<(), String> {
    for (key, value) in selector.match_labels.iter().flatten() {
        let mut errors = Vec::new();
        check_key(key, &mut errors);
        check_value(0, key, value, &mut errors);
        aggregate(&errors)?;
    }
    for expression in selector.match_expressions.iter().flatten() {
        check_expression(expression)?;
    }
    Ok(())
}

fn check_expression(expression: &LabelSelectorRequirement) -> Result<(), String> {
    let values = expression.values.as_deref().unwrap_or_default();
    let mut errors = Vec::new();
    check_key(&expression.key, &mut errors);
    match expression.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.push("values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty".to_owned());
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let list = serde_json::Value::from(values);
            errors.push(format!("values: Invalid value: {list}: values set must be empty for exists and does not exist"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => return Err(format!("{other:?} is not a valid label selector operator")),
    }
    for (i, value) in values.iter().enumerate() {
        check_value(i, &expression.key, value, &mut errors);
    }
    aggregate(&errors)
}

/// Several errors in one text.
fn aggregate(errors: &[String]) -> Result<(), String> {
    match errors {
        [] => Ok(()),
        [error] => Err(error.clone()),
        errors => Err(format!("[{}]", errors.join(", "))),
    }
}

fn check_key(key: &str, errors: &mut Vec<String>) {
    let found = text::qualified_name(key);
    if !found.is_empty() {
        errors.push(format!("key: Invalid value: {key:?}: {}", found.join("; ")));
    }
}

fn check_value(i: usize, key: &str, value: &str, errors: &mut Vec<String>) {
    let found = text::label_value(value);
    if !found.is_empty() {
        errors.push(format!("values[{i}][{key}]: Invalid value: {value:?}: {}", found.join("; ")));
    }
}
