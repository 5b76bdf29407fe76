//! Rules of CustomResourceDefinitions, with the paths and texts of kube-apiserver.
//!
//! The original validates its internal version, into which fields that are the same in all versions are moved to the
//! top of the spec: errors of a single schema are about `spec.validation`, not `spec.versions[0].schema`. Paths here are
//! those of the original.

mod versions;

use serde_json::{Value, json};

use super::names::{dns1035_label, dns1123_subdomain};
use super::status::{APPROVED, is_protected, is_true};
use crate::error::FieldError;
use crate::object;

/// What is wrong with a new definition; the syntax of `metadata` is the caller's.
pub fn validate(definition: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = object::name(definition);
    let plural = object::text(definition, &["spec", "names", "plural"]);
    let group = object::text(definition, &["spec", "group"]);
    if name != format!("{plural}.{group}") {
        errors.push(FieldError::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
    }
    spec(definition, None, &mut errors);
    errors.extend(validate_status(definition));
    approval(definition, None, &mut errors);
    errors
}

/// What is wrong with an updated definition. Schemas that the old one had are not checked again.
pub fn validate_update(definition: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut immutable = |path: &[&str]| {
        let (new, before) = (object::text(definition, path), object::text(old, path));
        if new != before {
            errors.push(FieldError::invalid(path.join("."), new, "field is immutable"));
        }
    };
    if is_true(old, "Established") {
        immutable(&["spec", "scope"]);
        immutable(&["spec", "names", "kind"]);
    }
    immutable(&["spec", "group"]);
    immutable(&["spec", "names", "plural"]);
    spec(definition, Some(old), &mut errors);
    errors.extend(validate_status(definition));
    approval(definition, Some(old), &mut errors);
    errors
}

/// What is wrong with `status.storedVersions`.
pub(super) fn validate_status(definition: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let at = "status.storedVersions";
    let stored = object::strings(definition, &["status", "storedVersions"]);
    if stored.is_empty() {
        errors.push(literal(at, "null", "must have at least one stored version"));
        return errors;
    }
    let versions = object::list(definition, &["spec", "versions"]);
    for (index, version) in stored.iter().enumerate() {
        if !versions.iter().any(|known| object::text(known, &["name"]) == *version) {
            errors.push(FieldError::invalid(
                format!("{at}[{index}]"),
                *version,
                format!(
                    "missing from spec.versions; {version} was previously a storage version, and must remain in \
                     spec.versions until a storage migration ensures no data remains persisted in {version} and \
                     removes {version} from status.storedVersions"
                ),
            ));
        }
    }
    let storage = versions.iter().rfind(|version| object::flag(version, &["storage"]));
    let storage = storage.map(|version| object::text(version, &["name"])).unwrap_or_default();
    if !stored.contains(&storage) {
        let detail = format!("must have the storage version {storage}");
        errors.push(FieldError::invalid(at, json!(stored), detail));
    }
    errors
}

/// An error whose value is printed as given: Go's structs have an order of fields that JSON maps have not.
fn literal(at: impl Into<String>, value: &str, detail: &str) -> FieldError {
    let mut error = FieldError::invalid(at, Value::Null, format!("{value}: {detail}"));
    error.bad_value = None;
    error
}

fn spec(definition: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let text = |path: &[&str]| object::text(definition, path);
    let group = text(&["spec", "group"]);
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if let Some(problem) = dns1123_subdomain(group) {
        errors.push(FieldError::invalid("spec.group", group, problem));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid("spec.group", group, "should be a domain with at least one dot"));
    }
    one_of("spec.scope", text(&["spec", "scope"]), &["Cluster", "Namespaced"], errors);
    if object::flag(definition, &["spec", "preserveUnknownFields"]) {
        errors.push(FieldError::invalid(
            "spec.preserveUnknownFields",
            true,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    versions::check(definition, old, errors);
    names(definition, errors);
    conversion(definition, errors);
}

fn one_of(at: &str, value: &str, allowed: &[&str], errors: &mut Vec<FieldError>) {
    if value.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else if !allowed.contains(&value) {
        errors.push(FieldError::not_supported(at, value, allowed));
    }
}

fn names(definition: &Value, errors: &mut Vec<FieldError>) {
    let names = object::at(definition, &["spec", "names"]).unwrap_or(&Value::Null);
    let text = |key: &str| object::text(names, &[key]);
    for key in ["plural", "singular", "kind", "listKind"] {
        let (value, at) = (text(key), format!("spec.names.{key}"));
        if value.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if matches!(key, "plural" | "singular") {
            if let Some(problem) = dns1035_label(value) {
                errors.push(FieldError::invalid(at, value, problem));
            }
        } else if let Some(problem) = dns1035_label(&value.to_lowercase()) {
            let detail = format!("may have mixed case, but should otherwise match: {problem}");
            errors.push(FieldError::invalid(at, value, detail));
        }
    }
    if !text("kind").is_empty() && text("kind") == text("listKind") {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid("spec.names.listKind", text("listKind"), detail));
    }
    for key in ["shortNames", "categories"] {
        for (index, name) in object::strings(names, &[key]).into_iter().enumerate() {
            if let Some(problem) = dns1035_label(name) {
                errors.push(FieldError::invalid(format!("spec.names.{key}[{index}]"), name, problem));
            }
        }
    }
}

fn conversion(definition: &Value, errors: &mut Vec<FieldError>) {
    let Some(conversion) = object::at(definition, &["spec", "conversion"]).filter(|value| value.is_object()) else {
        return;
    };
    let strategy = object::text(conversion, &["strategy"]);
    one_of("spec.conversion.strategy", strategy, &["None", "Webhook"], errors);
    let webhook = conversion.get("webhook").filter(|webhook| webhook.is_object());
    let config = webhook.and_then(|webhook| webhook.get("clientConfig")).filter(|config| config.is_object());
    let reviews = webhook.map(|webhook| object::strings(webhook, &["conversionReviewVersions"])).unwrap_or_default();
    let (config_at, reviews_at) = ("spec.conversion.webhookClientConfig", "spec.conversion.conversionReviewVersions");
    if strategy != "Webhook" {
        if config.is_some() {
            let detail = "should not be set when strategy is not set to Webhook";
            errors.push(FieldError::forbidden(config_at, detail));
        }
        if !reviews.is_empty() {
            let detail = "should not be set when strategy is not set to Webhook";
            errors.push(FieldError::forbidden(reviews_at, detail));
        }
        return;
    }
    match config {
        None => errors.push(FieldError::required(config_at, "required when strategy is set to Webhook")),
        Some(config) => client_config(config, config_at, errors),
    }
    if reviews.is_empty() {
        errors.push(FieldError::required(reviews_at, ""));
        return;
    }
    for (index, review) in reviews.iter().enumerate() {
        let at = format!("{reviews_at}[{index}]");
        if reviews.iter().take(index).any(|before| before == review) {
            errors.push(FieldError::invalid(at, *review, "duplicate version"));
        } else if let Some(problem) = dns1035_label(review) {
            errors.push(FieldError::invalid(at, *review, problem));
        }
    }
    if !reviews.iter().any(|review| matches!(*review, "v1" | "v1beta1")) {
        errors.push(FieldError::invalid(reviews_at, json!(reviews), "must include at least one of v1, v1beta1"));
    }
}

fn client_config(config: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let service = config.get("service").filter(|service| service.is_object());
    let url = config.get("url").and_then(Value::as_str);
    match (url, service) {
        (None, None) | (Some(_), Some(_)) => {
            errors.push(FieldError::required(at, "exactly one of url or service is required"));
        }
        (Some(url), None) => {
            let at = format!("{at}.url");
            let form = "; desired format: https://host[/path]";
            match url.parse::<http::Uri>() {
                Err(error) => errors.push(FieldError::required(at, format!("url must be a valid URL: {error}{form}"))),
                Ok(uri) if uri.scheme_str() != Some("https") => {
                    let found = uri.scheme_str().unwrap_or_default();
                    let detail = format!("'https' is the only allowed URL scheme{form}");
                    errors.push(FieldError::invalid(at, found, detail));
                }
                Ok(uri) if uri.host().is_none_or(str::is_empty) => {
                    errors.push(FieldError::invalid(at, "", format!("host must be specified{form}")));
                }
                Ok(_) => {}
            }
        }
        (None, Some(service)) => {
            for key in ["name", "namespace"] {
                if object::text(service, &[key]).is_empty() {
                    errors.push(FieldError::required(format!("{at}.service.{key}"), format!("service {key} is required")));
                }
            }
            let port = object::number(service, &["port"]).unwrap_or(443);
            if !(1..=65535).contains(&port) {
                errors.push(FieldError::invalid(
                    format!("{at}.service.port"),
                    port,
                    "port is not valid: must be between 1 and 65535, inclusive",
                ));
            }
        }
    }
}

/// Groups of the Kubernetes community need an annotation with a link to their approval.
fn approval(definition: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let read = |value: &Value| object::text(value, &["metadata", "annotations", APPROVED]).to_owned();
    if !is_protected(object::text(definition, &["spec", "group"])) {
        return;
    }
    let text = read(definition);
    if old.is_some_and(|old| read(old) == text) {
        return;
    }
    let at = format!("metadata.annotations[{APPROVED}]");
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    let link = text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some());
    if text.is_empty() {
        let detail = format!("protected groups must have approval annotation {APPROVED:?}, {see}");
        errors.push(FieldError::required(at, detail));
    } else if !text.starts_with("unapproved") && !link {
        let detail = format!(
            "protected groups must have approval annotation {APPROVED:?} with either a URL or a reason starting with \
             \"unapproved\", {see}"
        );
        errors.push(FieldError::invalid(at, text, detail));
    }
}
