//! Policy rules: what they allow, whether some cover others, and how Kubernetes prints them.
//!
//! Facts: `k8s.io/component-helpers/auth/rbac/validation` and `pkg/apis/rbac/v1/evaluation_helpers.go`.

use serde::{Deserialize, Serialize};

use crate::auth::Attributes;
use crate::error::go_quote;

/// `rbac.authorization.k8s.io/v1` `PolicyRule`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// API groups; `*` is all, the empty string the core group.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub api_groups: Vec<String>,
    /// URLs outside of the API; a trailing `*` matches everything behind.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub non_resource_urls: Vec<String>,
    /// Objects the rule is limited to; empty is all.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub resource_names: Vec<String>,
    /// Resources, `pods`, `pods/log`, `*/scale`, `*`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub resources: Vec<String>,
    /// Verbs; `*` is all.
    #[serde(deserialize_with = "nullable")]
    pub verbs: Vec<String>,
}

fn nullable<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(input)?.unwrap_or_default())
}

fn has(set: &[String], item: &str) -> bool {
    set.iter().any(|s| s == item)
}

impl Rule {
    /// The rules of a role object; unreadable ones grant nothing.
    pub fn of_role(role: &serde_json::Value) -> Vec<Self> {
        match role.get("rules") {
            Some(rules) => Vec::<Self>::deserialize(rules).unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// Whether the rule allows a request.
    pub fn allows(&self, request: &Attributes<'_>) -> bool {
        if !(has(&self.verbs, "*") || has(&self.verbs, request.verb)) {
            return false;
        }
        if !request.is_resource() {
            return self.non_resource_urls.iter().any(|url| url_covers(url, request.path));
        }
        (has(&self.api_groups, "*") || has(&self.api_groups, request.group))
            && self.resources.iter().any(|rule| resource_matches(rule, request.resource, request.subresource))
            && (self.resource_names.is_empty() || has(&self.resource_names, request.name))
    }

    /// Whether everything that `other` allows is allowed by this rule alone.
    fn covers(&self, other: &Self) -> bool {
        let all = |mine: &[String], theirs: &[String]| theirs.iter().all(|t| has(mine, t));
        let names = if other.resource_names.is_empty() {
            self.resource_names.is_empty()
        } else {
            self.resource_names.is_empty() || all(&self.resource_names, &other.resource_names)
        };
        (has(&self.verbs, "*") || all(&self.verbs, &other.verbs))
            && (has(&self.api_groups, "*") || all(&self.api_groups, &other.api_groups))
            && other.resources.iter().all(|resource| {
                let (plain, sub) = resource.split_once('/').unwrap_or((resource, ""));
                has(&self.resources, resource) || self.resources.iter().any(|rule| resource_matches(rule, plain, sub))
            })
            && names
            && other.non_resource_urls.iter().all(|url| self.non_resource_urls.iter().any(|mine| url_covers(mine, url)))
    }

    /// The rule as single permissions: one verb on one resource, one name, or one URL.
    fn breakdown(&self) -> Vec<Self> {
        let one = |value: &String| vec![value.clone()];
        let mut single = Vec::new();
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let rule = Self { api_groups: one(group), resources: one(resource), verbs: one(verb), ..Self::default() };
                    if self.resource_names.is_empty() {
                        single.push(rule);
                    } else {
                        single.extend(self.resource_names.iter().map(|name| Self { resource_names: one(name), ..rule.clone() }));
                    }
                }
            }
        }
        for url in &self.non_resource_urls {
            for verb in &self.verbs {
                single.push(Self { non_resource_urls: one(url), verbs: one(verb), ..Self::default() });
            }
        }
        single
    }

    /// As error messages show it: `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`.
    pub fn compact_string(&self) -> String {
        let parts: Vec<String> = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ]
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(name, values)| format!("{name}:{}", go_list(values)))
        .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

/// A list of strings as Go's `%q` prints it.
pub(super) fn go_list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|v| go_quote(v)).collect::<Vec<_>>().join(" "))
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => subresource.is_empty() && rule == resource,
        Some((plain, sub)) => !subresource.is_empty() && sub == subresource && (plain == "*" || plain == resource),
    }
}

fn url_covers(rule: &str, path: &str) -> bool {
    rule == path || rule.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

/// The permissions in `wanted` that `held` does not cover, in the order and grouping that messages show.
pub fn uncovered(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let missing = wanted.iter().flat_map(Rule::breakdown).filter(|single| !held.iter().any(|rule| rule.covers(single)));
    let mut merged: Vec<Rule> = Vec::new();
    for rule in missing {
        let same = merged.iter_mut().find(|m| {
            (&m.api_groups, &m.resources, &m.resource_names, &m.non_resource_urls)
                == (&rule.api_groups, &rule.resources, &rule.resource_names, &rule.non_resource_urls)
                && m.non_resource_urls.is_empty()
        });
        match same {
            Some(same) => same.verbs.extend(rule.verbs.into_iter().filter(|v| !has(&same.verbs, v)).collect::<Vec<_>>()),
            None => merged.push(rule),
        }
    }
    merged
}

#[cfg(test)]
#[allow(clippy::too_many_arguments)] // Columns of a table.
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::auth::UserInfo;

    fn list(text: &str) -> Vec<String> {
        if text == "-" { Vec::new() } else { text.split(',').map(ToOwned::to_owned).collect() }
    }

    fn rule(groups: &str, resources: &str, names: &str, verbs: &str) -> Rule {
        Rule { api_groups: list(groups), resources: list(resources), resource_names: list(names), verbs: list(verbs), ..Rule::default() }
    }

    #[rstest]
    #[case("", "pods", "-", "get", "get", "", "pods", "", "a", true)]
    #[case("", "pods", "-", "get", "list", "", "pods", "", "a", false)]
    #[case("", "pods", "-", "get", "get", "apps", "pods", "", "a", false)]
    #[case("", "pods", "-", "get", "get", "", "pods", "log", "a", false)]
    #[case("", "pods/log", "-", "get", "get", "", "pods", "log", "a", true)]
    #[case("", "pods/log", "-", "get", "get", "", "pods", "", "a", false)]
    #[case("*", "*/scale", "-", "*", "update", "apps", "deployments", "scale", "a", true)]
    #[case("*", "*/scale", "-", "*", "update", "apps", "deployments", "", "a", false)]
    #[case("*", "*", "-", "*", "x", "y", "z", "sub", "a", true)]
    #[case("", "pods", "a,b", "get", "get", "", "pods", "", "b", true)]
    #[case("", "pods", "a,b", "list", "list", "", "pods", "", "", false)]
    fn rules_allow(
        #[case] groups: &str,
        #[case] resources: &str,
        #[case] names: &str,
        #[case] verbs: &str,
        #[case] verb: &str,
        #[case] group: &str,
        #[case] resource: &str,
        #[case] subresource: &str,
        #[case] name: &str,
        #[case] allowed: bool,
    ) {
        let user = UserInfo::default();
        let request = Attributes { subresource, name, ..Attributes::resource(&user, verb, group, resource) };
        assert_eq!(rule(groups, resources, names, verbs).allows(&request), allowed);
    }

    #[rstest]
    #[case("/healthz", "/healthz", true)]
    #[case("/healthz", "/healthz/x", false)]
    #[case("/healthz/*", "/healthz/x", true)]
    #[case("*", "/anything", true)]
    fn urls_match(#[case] url: &str, #[case] path: &str, #[case] allowed: bool) {
        let user = UserInfo::default();
        let rule = Rule { non_resource_urls: list(url), verbs: list("get"), ..Rule::default() };
        assert_eq!(rule.allows(&Attributes::path(&user, "get", path)), allowed);
    }

    #[test]
    fn what_is_missing_is_told_by_resource() {
        let held = [rule("", "configmaps", "-", "get")];
        let missing = uncovered(&held, &[rule("", "secrets,configmaps", "-", "get,list")]);
        let texts: Vec<String> = missing.iter().map(Rule::compact_string).collect();
        assert_eq!(
            texts,
            [
                "{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}",
                "{APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"list\"]}"
            ]
        );
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let pick = |items: &'static [&'static str]| prop::collection::vec(prop::sample::select(items).prop_map(String::from), 1..3);
        let names = prop::collection::vec(prop::sample::select(&["a", "b"][..]).prop_map(String::from), 0..2);
        (pick(&["", "apps", "*"]), pick(&["pods", "pods/log", "*/log", "nodes", "*"]), pick(&["get", "list", "*"]), names).prop_map(
            |(api_groups, resources, verbs, resource_names)| Rule { api_groups, resource_names, resources, verbs, ..Rule::default() },
        )
    }

    proptest! {
        /// Nobody can grant more than they hold: when nothing is missing, whatever `wanted` allows, `held` allows.
        #[test]
        fn covered_rules_allow_no_more(held in prop::collection::vec(any_rule(), 0..3), wanted in any_rule()) {
            let wanted = [wanted];
            let user = UserInfo::default();
            if !uncovered(&held, &wanted).is_empty() {
                return Ok(());
            }
            for group in ["", "apps", "other"] {
                for (resource, subresource) in [("pods", ""), ("pods", "log"), ("nodes", ""), ("nodes", "log")] {
                    for verb in ["get", "list", "watch"] {
                        for name in ["", "a", "b", "c"] {
                            let request = Attributes { subresource, name, ..Attributes::resource(&user, verb, group, resource) };
                            if wanted.iter().any(|r| r.allows(&request)) {
                                prop_assert!(held.iter().any(|r| r.allows(&request)));
                            }
                        }
                    }
                }
            }
        }

        #[test]
        fn everybody_holds_what_they_hold(held in prop::collection::vec(any_rule(), 0..4)) {
            prop_assert_eq!(uncovered(&held, &held), Vec::<Rule>::new());
        }
    }
}
