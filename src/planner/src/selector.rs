//! Label selectors: what they match, and their text form, as a scale subresource hands them to an autoscaler.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Whether the labels fit; an empty selector fits everything.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|expression| {
            let value = labels.get(&expression.key);
            let listed = value.is_some_and(|value| expression.values.iter().flatten().any(|known| known == value));
            match expression.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

/// The selector as `kubectl get -l` takes it: requirements by key, values sorted. Empty for one that selects everything.
pub fn text(selector: &LabelSelector) -> String {
    let mut requirements: Vec<(&str, String)> =
        selector.match_labels.iter().flatten().map(|(key, value)| (key.as_str(), format!("{key}={value}"))).collect();
    for expression in selector.match_expressions.iter().flatten() {
        let key = &expression.key;
        let mut values = expression.values.clone().unwrap_or_default();
        values.sort();
        let values = values.join(",");
        let text = match expression.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.clone(),
            _ => format!("!{key}"),
        };
        requirements.push((key, text));
    }
    requirements.sort_by(|one, other| one.0.cmp(other.0));
    requirements.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!({}), "")]
    #[case(json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2")]
    #[case(json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["web", "db"]}]}), "tier in (db,web)")]
    #[case(json!({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}, {"key": "w", "operator": "Exists"}]}), "w,x notin (y)")]
    #[case(json!({"matchLabels": {"z": ""}, "matchExpressions": [{"key": "gone", "operator": "DoesNotExist"}]}), "!gone,z=")]
    fn as_kubernetes_writes_them(#[case] selector: serde_json::Value, #[case] wanted: &str) {
        assert_eq!(text(&serde_json::from_value(selector).unwrap()), wanted);
    }
}
