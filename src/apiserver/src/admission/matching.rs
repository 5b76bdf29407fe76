//! Which requests a webhook or policy is for: rules, selectors, and versions that mean the same.
//!
//! Facts: `k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/{rules,namespace,object}`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::{Attributes, Chain, Operation};
use crate::error::ApiError;
use crate::object;
use crate::resource::{GroupResource, Gvk, Gvr, api_version};
use crate::selector::LabelSelector;

/// Webhooks and policies do not rule over their own configuration, lest a broken one cannot be removed.
pub(super) fn is_exempt(attributes: &Attributes) -> bool {
    attributes.gvr.group == "admissionregistration.k8s.io"
        && matches!(
            attributes.gvr.resource.as_str(),
            "validatingwebhookconfigurations"
                | "mutatingwebhookconfigurations"
                | "validatingadmissionpolicies"
                | "validatingadmissionpolicybindings"
                | "mutatingadmissionpolicies"
                | "mutatingadmissionpolicybindings"
        )
}

/// One entry of `rules` or `resourceRules`.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    /// Resource and subresource.
    resources: Vec<(String, String)>,
    scope: String,
    names: Vec<String>,
}

fn strings(value: &Value, field: &str) -> Vec<String> {
    object::strings(value, &[field]).into_iter().map(ToOwned::to_owned).collect()
}

fn has(list: &[String], item: &str) -> bool {
    list.iter().any(|i| i == "*" || i == item)
}

impl Rule {
    fn of(rule: &Value) -> Self {
        Self {
            operations: strings(rule, "operations"),
            groups: strings(rule, "apiGroups"),
            versions: strings(rule, "apiVersions"),
            resources: object::strings(rule, &["resources"])
                .into_iter()
                .map(|r| r.split_once('/').map_or((r.to_owned(), String::new()), |(r, s)| (r.to_owned(), s.to_owned())))
                .collect(),
            scope: object::text(rule, &["scope"]).to_owned(),
            names: strings(rule, "resourceNames"),
        }
    }

    fn matches(&self, attributes: &Attributes, gvr: &Gvr) -> bool {
        let is_namespace = gvr.group.is_empty() && gvr.resource == "namespaces";
        let namespaced = !is_namespace && !attributes.namespace.is_empty();
        let scope = match self.scope.as_str() {
            "Namespaced" => namespaced,
            "Cluster" => !namespaced,
            _ => true,
        };
        scope
            && has(&self.operations, attributes.operation.as_str())
            && has(&self.groups, &gvr.group)
            && has(&self.versions, &gvr.version)
            && self
                .resources
                .iter()
                .any(|(resource, sub)| (resource == "*" || *resource == gvr.resource) && (sub == "*" || *sub == attributes.subresource))
            && (self.names.is_empty() || self.names.contains(&attributes.name))
    }
}

/// What a webhook or policy says about the requests it wants.
#[derive(Debug, Clone)]
pub(super) struct Criteria {
    rules: Vec<Rule>,
    exclude: Vec<Rule>,
    equivalent: bool,
    namespaces: LabelSelector,
    objects: LabelSelector,
}

/// The resource and kind as which a matching request is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) gvr: Gvr,
    pub(super) gvk: Gvk,
}

impl Criteria {
    /// From a webhook, or from `matchConstraints`/`matchResources` of a policy. A selector that does not parse selects
    /// nothing: such objects are not stored.
    pub(super) fn of(object: &Value, rules: &str) -> Self {
        let selector = |field: &str| match object.get(field) {
            Some(selector) if !selector.is_null() => {
                LabelSelector::from_object(Some(selector)).unwrap_or_else(|_| LabelSelector::nothing())
            }
            _ => LabelSelector::everything(),
        };
        let rules_in = |field: &str| object::list(object, &[field]).iter().map(Rule::of).collect();
        Self {
            rules: rules_in(rules),
            exclude: rules_in("excludeResourceRules"),
            equivalent: object::text(object, &["matchPolicy"]) != "Exact",
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
        }
    }

    /// Whether there are rules at all: a binding without rules takes all that its policy takes.
    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether both selectors take the request.
    ///
    /// # Errors
    /// 404 when the namespace does not exist.
    pub(super) fn selects(&self, chain: &Chain, attributes: &Attributes) -> Result<bool, ApiError> {
        Ok(self.selects_namespace(chain, attributes)? && self.selects_object(attributes))
    }

    /// How the request is shown to whom this belongs, when it is for them.
    ///
    /// # Errors
    /// 404 when the namespace does not exist.
    pub(super) fn matches(&self, chain: &Chain, attributes: &Attributes) -> Result<Option<Shown>, ApiError> {
        match self.resource(chain, attributes) {
            Some(shown) if self.selects(chain, attributes)? => Ok(Some(shown)),
            _ => Ok(None),
        }
    }

    fn resource(&self, chain: &Chain, attributes: &Attributes) -> Option<Shown> {
        let exact = &attributes.gvr;
        let any = |rules: &[Rule], gvr: &Gvr| rules.iter().any(|rule| rule.matches(attributes, gvr));
        if any(&self.exclude, exact) {
            return None;
        }
        if any(&self.rules, exact) {
            return Some(Shown { gvr: exact.clone(), gvk: attributes.gvk.clone() });
        }
        if !self.equivalent {
            return None;
        }
        let info = chain.registry.lookup_resource(&attributes.gr())?;
        // The kind of a subresource (Scale, Eviction) has versions of its own.
        let own_kind = info.kind == attributes.gvk.kind;
        info.versions.iter().filter(|version| version.served && version.name != exact.version).find_map(|version| {
            let gvr = info.gvr(&version.name);
            if any(&self.exclude, &gvr) || !any(&self.rules, &gvr) {
                return None;
            }
            let gvk = if own_kind { info.gvk(&version.name) } else { attributes.gvk.clone() };
            Some(Shown { gvr, gvk })
        })
    }

    fn selects_namespace(&self, chain: &Chain, attributes: &Attributes) -> Result<bool, ApiError> {
        if self.namespaces.is_everything() {
            return Ok(true);
        }
        let is_namespace = attributes.gvr.group.is_empty() && attributes.gvr.resource == "namespaces";
        if is_namespace {
            let shown = match attributes.operation {
                Operation::Create | Operation::Update => attributes.object.as_ref(),
                Operation::Delete | Operation::Connect => attributes.old_object.as_deref(),
            };
            let labels = match shown {
                Some(namespace) => labels(namespace),
                None => chain.namespace_labels(&attributes.name).unwrap_or_default(),
            };
            return Ok(self.namespaces.matches(&labels));
        }
        if attributes.namespace.is_empty() {
            return Ok(true);
        }
        let labels = chain
            .namespace_labels(&attributes.namespace)
            .ok_or_else(|| ApiError::not_found(&GroupResource::new("", "namespaces"), &attributes.namespace))?;
        Ok(self.namespaces.matches(&labels))
    }

    fn selects_object(&self, attributes: &Attributes) -> bool {
        self.objects.is_everything()
            || [attributes.object.as_ref(), attributes.old_object.as_deref()]
                .into_iter()
                .flatten()
                .any(|object| self.objects.matches(&labels(object)))
    }
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    object::map(object, &["metadata", "labels"])
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The request as `shown`. Versions of one resource differ in `apiVersion` only here: objects whose versions convert by
/// webhook are shown in the request's own version by their CustomResourceDefinition.
pub(super) fn converted<'a>(attributes: &'a Attributes, shown: &Shown) -> Cow<'a, Attributes> {
    if shown.gvk == attributes.gvk && shown.gvr == attributes.gvr {
        return Cow::Borrowed(attributes);
    }
    let mut converted = attributes.clone();
    let version = shown.gvk.api_version();
    if let Some(new) = &mut converted.object {
        object::set(new, &["apiVersion"], version.as_str());
    }
    if let Some(old) = &attributes.old_object {
        let mut old = (**old).clone();
        object::set(&mut old, &["apiVersion"], version.as_str());
        converted.old_object = Some(old.into());
    }
    converted.gvk = shown.gvk.clone();
    converted.gvr = shown.gvr.clone();
    Cow::Owned(converted)
}

/// Takes over what was changed in a converted request.
pub(super) fn take_back(attributes: &mut Attributes, mut changed: Value) {
    let version = api_version(&attributes.gvk.group, &attributes.gvk.version);
    object::set(&mut changed, &["apiVersion"], version);
    attributes.object = Some(changed);
}
