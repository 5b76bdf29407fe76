//! Kinds that extend the API server.

use serde_json::{Value, json};

use crate::admission::validation::{self, policies};
use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError};
use crate::object;

/// `ValidatingWebhookConfiguration` and `MutatingWebhookConfiguration`.
#[derive(Debug)]
pub struct WebhookConfiguration;

impl Strategy for WebhookConfiguration {
    fn has_generation(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        let mutating = object::kind(object).starts_with("Mutating");
        for webhook in object::list_mut(object, &["webhooks"]) {
            object::set_default(webhook, &["failurePolicy"], "Fail");
            object::set_default(webhook, &["matchPolicy"], "Equivalent");
            object::set_default(webhook, &["namespaceSelector"], json!({}));
            object::set_default(webhook, &["objectSelector"], json!({}));
            object::set_default(webhook, &["timeoutSeconds"], 10);
            if mutating {
                object::set_default(webhook, &["reinvocationPolicy"], "Never");
            }
            if webhook.get("clientConfig").and_then(|config| config.get("service")).is_some() {
                object::set_default(webhook, &["clientConfig", "service", "port"], 443);
            }
            for rule in object::list_mut(webhook, &["rules"]) {
                object::set_default(rule, &["scope"], "*");
            }
        }
    }

    fn prepare_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        if object.get("webhooks") != old.get("webhooks") {
            crate::registry::meta::raise_generation(object, old);
        }
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        validation::webhook_configuration(object, object::kind(object).starts_with("Mutating"))
    }
}

/// `ValidatingAdmissionPolicy`.
#[derive(Debug)]
pub struct AdmissionPolicy;

impl Strategy for AdmissionPolicy {
    fn has_generation(&self) -> bool {
        true
    }

    fn has_status(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["spec", "failurePolicy"], "Fail");
        if object::at(object, &["spec", "matchConstraints"]).is_some() {
            default_match(object, &["spec", "matchConstraints"]);
        }
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::set(object, &["status"], json!({}));
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        policies::validating(object)
    }
}

fn default_match(object: &mut Value, path: &[&str]) {
    let at = |name: &'static str| path.iter().copied().chain([name]).collect::<Vec<_>>();
    object::set_default(object, &at("matchPolicy"), "Equivalent");
    object::set_default(object, &at("namespaceSelector"), json!({}));
    object::set_default(object, &at("objectSelector"), json!({}));
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in object::list_mut(object, &at(list)) {
            object::set_default(rule, &["scope"], "*");
        }
    }
}

/// `MutatingAdmissionPolicy`.
#[derive(Debug)]
pub struct MutatingPolicy;

impl Strategy for MutatingPolicy {
    fn has_generation(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["spec", "failurePolicy"], "Fail");
        if object::at(object, &["spec", "matchConstraints"]).is_some() {
            default_match(object, &["spec", "matchConstraints"]);
        }
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        policies::mutating(object)
    }
}

/// `ValidatingAdmissionPolicyBinding` and `MutatingAdmissionPolicyBinding`.
#[derive(Debug)]
pub struct AdmissionPolicyBinding;

impl Strategy for AdmissionPolicyBinding {
    fn has_generation(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        if object::at(object, &["spec", "matchResources"]).is_some() {
            default_match(object, &["spec", "matchResources"]);
        }
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        policies::binding(object, object::kind(object).starts_with("Validating"))
    }
}

/// `APIService`.
#[derive(Debug)]
pub struct ApiService;

impl Strategy for ApiService {
    fn has_status(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        if object::at(object, &["spec", "service"]).is_some() {
            object::set_default(object, &["spec", "service", "port"], 443);
        }
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::set(object, &["status"], json!({}));
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let (group, version) = (object::text(object, &["spec", "group"]), object::text(object, &["spec", "version"]));
        let expected = format!("{version}.{group}");
        if object::name(object) != expected {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
            wrong.push(FieldError::invalid("metadata.name", object::name(object), detail));
        }
        let minimum = object::number(object, &["spec", "groupPriorityMinimum"]).unwrap_or(0);
        if !(1..=20_000).contains(&minimum) {
            wrong.push(FieldError::invalid("spec.groupPriorityMinimum", minimum, "must be positive and less than 20000"));
        }
        let priority = object::number(object, &["spec", "versionPriority"]).unwrap_or(0);
        if !(1..=1_000).contains(&priority) {
            wrong.push(FieldError::invalid("spec.versionPriority", priority, "must be positive and less than 1000"));
        }
        let local = object::at(object, &["spec", "service"]).is_none();
        let bundle = !object::text(object, &["spec", "caBundle"]).is_empty();
        let insecure = object::flag(object, &["spec", "insecureSkipTLSVerify"]);
        if local && (bundle || insecure) {
            let field = if bundle { "spec.caBundle" } else { "spec.insecureSkipTLSVerify" };
            wrong.push(FieldError::invalid(field, bundle, "local APIServices may not have it"));
        }
        if bundle && insecure {
            wrong.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, "may not be true if caBundle is present"));
        }
        if !local {
            for key in ["namespace", "name"] {
                if object::text(object, &["spec", "service", key]).is_empty() {
                    wrong.push(FieldError::required(format!("spec.service.{key}"), ""));
                }
            }
        }
        wrong
    }
}
