//! What a namespace may use: quotas and limit ranges.

use serde_json::{Value, json};

use crate::admission::quantity::Quantity;
use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError};
use crate::object;
use crate::selector::qualified_name_problems;

/// Quota names without a domain, besides those of huge pages.
const STANDARD: [&str; 17] = [
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
];
/// Of these there are whole ones only, as of everything under `count/`.
const COUNTED: [&str; 9] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

/// `ResourceQuota`.
#[derive(Debug)]
pub struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn has_status(&self) -> bool {
        true
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::set(object, &["status"], json!({}));
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        for (name, quantity) in object::map(object, &["spec", "hard"]).into_iter().flatten() {
            let field = format!("spec.hard[{name}]");
            wrong.extend(qualified_name_problems(name).into_iter().map(|why| FieldError::invalid(field.as_str(), name.as_str(), why)));
            let pages = name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
            let known = STANDARD.contains(&name.as_str()) || COUNTED.contains(&name.as_str());
            if !name.contains('/') && !pages && !known {
                wrong.push(FieldError::invalid(field.as_str(), name.as_str(), "must be a standard resource for quota"));
            }
            let Some(value) = Quantity::of(quantity) else { continue };
            if value < Quantity::whole(0) {
                wrong.push(FieldError::invalid(field.as_str(), quantity.clone(), "must be greater than or equal to 0"));
            }
            if COUNTED.contains(&name.as_str()) && !value.is_whole() {
                wrong.push(FieldError::invalid(field.as_str(), quantity.clone(), "must be an integer"));
            }
        }
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut wrong = self.validate(cx, object);
        let scopes = |quota: &Value| object::strings(quota, &["spec", "scopes"]).into_iter().map(str::to_owned).collect::<Vec<_>>();
        if cx.subresource.is_empty() && scopes(object) != scopes(old) {
            wrong.push(FieldError::invalid("spec.scopes", json!(scopes(object)), "field is immutable"));
        }
        wrong
    }
}

/// `LimitRange`.
#[derive(Debug)]
pub struct LimitRange;

impl Strategy for LimitRange {
    fn create_on_update(&self) -> bool {
        true
    }

    /// Of containers: the default limit is the maximum, the default request is that limit, or else the minimum.
    fn default(&self, object: &mut Value, _version: &str) {
        for item in object::list_mut(object, &["spec", "limits"]) {
            if object::text(item, &["type"]) != "Container" {
                continue;
            }
            for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
                for (resource, quantity) in object::map(item, &[from]).cloned().unwrap_or_default() {
                    object::set_default(item, &[to, &resource], quantity);
                }
            }
        }
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let mut kinds: Vec<&str> = Vec::new();
        for (index, item) in object::list(object, &["spec", "limits"]).iter().enumerate() {
            let at = format!("spec.limits[{index}]");
            let kind = object::text(item, &["type"]);
            if kinds.contains(&kind) {
                wrong.push(FieldError::duplicate(format!("{at}.type"), kind));
            }
            kinds.push(kind);
            check_item(item, &at, kind, &mut wrong);
        }
        wrong
    }
}

fn check_item(item: &Value, at: &str, kind: &str, wrong: &mut Vec<FieldError>) {
    if kind == "Pod" {
        for field in ["default", "defaultRequest"] {
            if object::map(item, &[field]).is_some_and(|map| !map.is_empty()) {
                wrong.push(FieldError::forbidden(format!("{at}.{field}"), "may not be specified when `type` is 'Pod'"));
            }
        }
    }
    let storage = |field: &str| object::at(item, &[field, "storage"]).is_some();
    if kind == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        wrong.push(FieldError::required(format!("{at}.limits"), detail));
    }
    let mut names: Vec<&String> = ["max", "min", "default", "defaultRequest"]
        .iter()
        .filter_map(|field| object::map(item, &[field]))
        .flat_map(|map| map.keys())
        .collect();
    names.sort();
    names.dedup();
    for name in names {
        let of = |field: &str| object::at(item, &[field, name]).and_then(Quantity::of);
        let (min, max, limit, request) = (of("min"), of("max"), of("default"), of("defaultRequest"));
        let mut order = |field: &str, shown: Option<Quantity>, less: (&str, Option<Quantity>), more: (&str, Option<Quantity>)| {
            if let (Some(shown), Some(low), Some(high)) = (shown, less.1, more.1)
                && low > high
            {
                let detail = format!("{} value {low} is greater than {} value {high}", less.0, more.0);
                wrong.push(FieldError::invalid(format!("{at}.{field}[{name}]"), shown.to_string(), detail));
            }
        };
        order("min", min, ("min", min), ("max", max));
        order("defaultRequest", request, ("min", min), ("default request", request));
        order("defaultRequest", request, ("default request", request), ("max", max));
        order("defaultRequest", request, ("default request", request), ("default limit", limit));
        order("default", min, ("min", min), ("default", limit));
        order("default", max, ("default", limit), ("max", max));
    }
}
