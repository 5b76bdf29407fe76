//! Rules of the kinds that configure admission: webhook configurations, policies and bindings. For the strategies of
//! these kinds; all functions are pure.
//!
//! Facts: `pkg/apis/admissionregistration/validation/validation.go`, `apiserver/pkg/util/webhook/validation.go`.

pub mod policies;

use serde_json::{Value, json};

use crate::cel::{CelError, Environment, Program};
use crate::error::FieldError;
use crate::object;
use crate::selector::{LabelSelector, qualified_name_problems};

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const MAX_CONDITIONS: usize = 64;
const URL_FORM: &str = "; desired format: https://host[/path]";

/// A ValidatingWebhookConfiguration, or with `mutating` a MutatingWebhookConfiguration.
pub fn webhook_configuration(object: &Value, mutating: bool) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (index, webhook) in object::list(object, &["webhooks"]).iter().enumerate() {
        let at = format!("webhooks[{index}]");
        check_webhook(webhook, &at, mutating, &mut wrong);
        review_versions(&object::strings(webhook, &["admissionReviewVersions"]), &at, &mut wrong);
        let name = object::text(webhook, &["name"]);
        if !name.is_empty() && names.contains(&name) {
            wrong.push(FieldError::duplicate(format!("{at}.name"), name));
        }
        names.push(name);
    }
    wrong
}

fn check_webhook(webhook: &Value, at: &str, mutating: bool, wrong: &mut Vec<FieldError>) {
    let field = |name: &str| format!("{at}.{name}");
    let text = |name: &str| object::text(webhook, &[name]);
    let name = text("name");
    if name.is_empty() {
        wrong.push(FieldError::required(field("name"), ""));
    } else if name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        wrong.push(FieldError::invalid(field("name"), name, detail));
    }
    for (index, rule) in object::list(webhook, &["rules"]).iter().enumerate() {
        check_rule(rule, &field(&format!("rules[{index}]")), wrong);
    }
    one_of(&field("failurePolicy"), text("failurePolicy"), &["Fail", "Ignore"], wrong);
    one_of(&field("matchPolicy"), text("matchPolicy"), &["Equivalent", "Exact"], wrong);
    if text("sideEffects").is_empty() {
        wrong.push(FieldError::required(field("sideEffects"), "must specify one of None, NoneOnDryRun"));
    }
    one_of(&field("sideEffects"), text("sideEffects"), &["None", "NoneOnDryRun"], wrong);
    let timeout = object::number(webhook, &["timeoutSeconds"]).unwrap_or(10);
    if !(1..=30).contains(&timeout) {
        wrong.push(FieldError::invalid(field("timeoutSeconds"), timeout, "the timeout value must be between 1 and 30 seconds"));
    }
    check_selectors(webhook, at, wrong);
    let config = |name: &str| object::at(webhook, &["clientConfig", name]).filter(|value| !value.is_null());
    match (config("url"), config("service")) {
        (Some(url), None) => check_url(url.as_str().unwrap_or_default(), &field("clientConfig.url"), wrong),
        (None, Some(service)) => check_service(service, &field("clientConfig.service"), wrong),
        _ => wrong.push(FieldError::required(field("clientConfig"), "exactly one of url or service is required")),
    }
    check_conditions(webhook, at, &Environment::admission(false, true), wrong);
    if mutating {
        one_of(&field("reinvocationPolicy"), text("reinvocationPolicy"), &["IfNeeded", "Never"], wrong);
    }
}

/// A value that is set must be one of `supported`.
fn one_of(field: &str, value: &str, supported: &[&str], wrong: &mut Vec<FieldError>) {
    if !value.is_empty() && !supported.contains(&value) {
        wrong.push(FieldError::not_supported(field, value, supported));
    }
}

fn review_versions(versions: &[&str], at: &str, wrong: &mut Vec<FieldError>) {
    let field = format!("{at}.admissionReviewVersions");
    if versions.is_empty() {
        wrong.push(FieldError::required(field, format!("must specify one of {}", REVIEW_VERSIONS.join(", "))));
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        if versions.iter().take(index).any(|earlier| earlier == version) {
            wrong.push(FieldError::invalid(format!("{field}[{index}]"), *version, "duplicate version"));
        }
    }
    if !versions.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        let detail = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        wrong.push(FieldError::invalid(field, json!(versions), detail));
    }
}

fn check_rule(rule: &Value, at: &str, wrong: &mut Vec<FieldError>) {
    let mut list = |name: &str, what: &str| {
        let values = object::strings(rule, &[name]);
        if values.is_empty() {
            wrong.push(FieldError::required(format!("{at}.{name}"), ""));
        }
        if values.len() > 1 && values.contains(&"*") && !what.is_empty() {
            let detail = format!("if '*' is present, must not specify other {what}");
            wrong.push(FieldError::invalid(format!("{at}.{name}"), json!(values), detail));
        }
        if name == "operations" {
            for (index, operation) in values.iter().enumerate() {
                one_of(&format!("{at}.{name}[{index}]"), operation, &OPERATIONS, wrong);
            }
        }
    };
    list("operations", "operations");
    list("apiGroups", "API groups");
    list("apiVersions", "API versions");
    list("resources", "");
    let resources = object::strings(rule, &["resources"]);
    if resources.len() > 1 && resources.contains(&"*/*") {
        wrong.push(FieldError::invalid(
            format!("{at}.resources"),
            json!(resources),
            "if '*/*' is present, must not specify other resources",
        ));
    }
    one_of(&format!("{at}.scope"), object::text(rule, &["scope"]), &["*", "Cluster", "Namespaced"], wrong);
}

fn check_selectors(owner: &Value, at: &str, wrong: &mut Vec<FieldError>) {
    for field in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = owner.get(field).filter(|selector| !selector.is_null())
            && let Err(error) = LabelSelector::from_object(Some(selector))
        {
            wrong.push(FieldError::invalid(format!("{at}.{field}"), selector.clone(), error.message));
        }
    }
}

fn check_url(url: &str, field: &str, wrong: &mut Vec<FieldError>) {
    let mut invalid = |value: &str, detail: String| wrong.push(FieldError::invalid(field, value, detail));
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme != "https" {
        invalid(scheme, format!("'https' is the only allowed URL scheme{URL_FORM}"));
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() {
        invalid("", format!("host must be specified{URL_FORM}"));
    }
    if !user.is_empty() {
        // The password does not belong into a message.
        invalid(user.split(':').next().unwrap_or_default(), "user information is not permitted in the URL".to_owned());
    }
    if !fragment.is_empty() {
        invalid(fragment, "fragments are not permitted in the URL".to_owned());
    }
    if !query.is_empty() {
        invalid(query, "query parameters are not permitted in the URL".to_owned());
    }
}

fn check_service(service: &Value, at: &str, wrong: &mut Vec<FieldError>) {
    for (field, what) in [("name", "service name is required"), ("namespace", "service namespace is required")] {
        if object::text(service, &[field]).is_empty() {
            wrong.push(FieldError::required(format!("{at}.{field}"), what));
        }
    }
    let port = object::number(service, &["port"]).unwrap_or(443);
    if !(1..=65_535).contains(&port) {
        wrong.push(FieldError::invalid(format!("{at}.port"), port, "port is not valid: must be between 1 and 65535, inclusive"));
    }
    let path = object::text(service, &["path"]);
    if !path.is_empty() && !path.starts_with('/') {
        wrong.push(FieldError::invalid(format!("{at}.path"), path, "must start with a '/'"));
    }
}

/// `matchConditions` of a webhook or policy.
fn check_conditions(owner: &Value, at: &str, environment: &Environment, wrong: &mut Vec<FieldError>) {
    let prefix = if at.is_empty() { String::new() } else { format!("{at}.") };
    let conditions = object::list(owner, &["matchConditions"]);
    if conditions.len() > MAX_CONDITIONS {
        wrong.push(FieldError::too_many(format!("{prefix}matchConditions"), conditions.len(), MAX_CONDITIONS));
    }
    let mut names: Vec<&str> = Vec::new();
    for (index, condition) in conditions.iter().enumerate() {
        let field = |name: &str| format!("{prefix}matchConditions[{index}].{name}");
        check_expression(object::text(condition, &["expression"]), &field("expression"), "bool", environment, wrong);
        let name = object::text(condition, &["name"]);
        if name.is_empty() {
            wrong.push(FieldError::required(field("name"), ""));
        } else {
            wrong.extend(qualified_name_problems(name).into_iter().map(|why| FieldError::invalid(field("name"), name, why)));
            if names.contains(&name) {
                wrong.push(FieldError::duplicate(field("name"), name));
            }
        }
        names.push(name);
    }
}

/// Whether a result may be of the type, as far as it is known.
fn fits(result: &str, kind: &str) -> bool {
    result == kind || result == "dyn" || result == "list(dyn)" && kind.starts_with("list(")
}

/// An expression must be there, compile, and have the type `kind` (`dyn` takes any) as far as that is known.
fn check_expression(expression: &str, field: &str, kind: &str, environment: &Environment, wrong: &mut Vec<FieldError>) {
    if expression.trim().is_empty() {
        wrong.push(FieldError::required(field, ""));
        return;
    }
    match Program::compile(expression, environment) {
        Ok(program) if kind != "dyn" && !fits(program.result_type(), kind) => {
            wrong.push(FieldError::invalid(field, expression, format!("must evaluate to {kind}")));
        }
        Ok(_) => {}
        Err(CelError::Compile(why)) => {
            wrong.push(FieldError::invalid(field, expression, format!("compilation failed: {why}")));
        }
        Err(other) => wrong.push(FieldError::invalid(field, expression, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(wrong: &[FieldError]) -> Vec<String> {
        wrong.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_bad_webhook_is_told_all_that_is_wrong() {
        let webhook = json!({
            "name": "short", "sideEffects": "Some", "admissionReviewVersions": ["v9"], "timeoutSeconds": 99,
            "clientConfig": {"url": "http://x"},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["LOOK"], "resources": []}],
        });
        assert_eq!(
            texts(&webhook_configuration(&json!({"webhooks": [webhook]}), false)),
            [
                "webhooks[0].name: Invalid value: \"short\": should be a domain with at least three segments separated by dots",
                "webhooks[0].rules[0].operations[0]: Unsupported value: \"LOOK\": supported values: \"*\", \"CONNECT\", \"CREATE\", \
                 \"DELETE\", \"UPDATE\"",
                "webhooks[0].rules[0].resources: Required value",
                "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
                "webhooks[0].timeoutSeconds: Invalid value: 99: the timeout value must be between 1 and 30 seconds",
                "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: \
                 https://host[/path]",
                "webhooks[0].admissionReviewVersions: Invalid value: [\"v9\"]: must include at least one of v1, v1beta1",
            ]
        );
    }
}
