//! The kinds that ask who somebody is and what they may do. Nothing of them is stored: creating one is the question, the
//! created object the answer.

use serde_json::{Value, json};

use super::{Attributes, Authentication, Authorizer, Decision, UserInfo};
use crate::error::{ApiError, FieldError};
use crate::resource::{GroupResource, Gvk};

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Whether creating an object of this resource is a question for [`create`].
pub fn is_review(gr: &GroupResource) -> bool {
    matches!(
        (gr.group.as_str(), gr.resource.as_str()),
        (AUTHENTICATION, "tokenreviews" | "selfsubjectreviews")
            | (
                AUTHORIZATION,
                "subjectaccessreviews" | "localsubjectaccessreviews" | "selfsubjectaccessreviews" | "selfsubjectrulesreviews"
            )
    )
}

/// Answers a review: `object` with its `status`.
///
/// # Errors
/// 422 for a question that does not make sense, 400 for a token review without token.
pub fn create(
    authentication: &Authentication,
    authorizer: &Authorizer,
    user: &UserInfo,
    gr: &GroupResource,
    namespace: &str,
    mut object: Value,
) -> Result<Value, ApiError> {
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    let status = match gr.resource.as_str() {
        "tokenreviews" => token(authentication, spec)?,
        "selfsubjectreviews" => json!({"userInfo": user.to_value()}),
        "selfsubjectrulesreviews" => {
            let status = rules(authorizer, user, spec)?;
            object["spec"] = json!({});
            status
        }
        "selfsubjectaccessreviews" => {
            check(&access_problems(spec))?;
            access(authorizer, user, spec)
        }
        resource => {
            let mut problems = access_problems(spec);
            let subject = subject(spec);
            if subject.name.is_empty() && subject.groups.is_empty() {
                problems.push(FieldError::invalid("spec.user", "", "at least one of user or group must be specified"));
            }
            if resource == "localsubjectaccessreviews" {
                problems.extend(local_problems(spec, namespace));
            }
            check(&problems)?;
            access(authorizer, &subject, spec)
        }
    };
    object["status"] = status;
    Ok(object)
}

/// The kind is not in the message: kube-apiserver leaves it empty here.
fn check(problems: &[FieldError]) -> Result<(), ApiError> {
    if problems.is_empty() { Ok(()) } else { Err(ApiError::invalid(&Gvk::new(AUTHORIZATION, "", ""), "", problems)) }
}

fn present<'a>(spec: &'a Value, field: &str) -> Option<&'a Value> {
    spec.get(field).filter(|value| value.is_object())
}

fn access_problems(spec: &Value) -> Vec<FieldError> {
    match (present(spec, "resourceAttributes"), present(spec, "nonResourceAttributes")) {
        (Some(_), Some(other)) => vec![FieldError::invalid(
            "spec.nonResourceAttributes",
            other.clone(),
            "cannot be specified in combination with resourceAttributes",
        )],
        // The missing structure is shown as `null` without quotes, unlike a null value elsewhere.
        (None, None) => vec![FieldError {
            bad_value: None,
            ..FieldError::invalid(
                "spec.resourceAttributes",
                Value::Null,
                "null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )
        }],
        _ => Vec::new(),
    }
}

fn local_problems(spec: &Value, namespace: &str) -> Vec<FieldError> {
    let mut problems = Vec::new();
    if let Some(other) = present(spec, "nonResourceAttributes") {
        problems.push(FieldError::invalid("spec.nonResourceAttributes", other.clone(), "disallowed on this kind of request"));
    }
    if let Some(attributes) = present(spec, "resourceAttributes") {
        let asked = text(attributes, "namespace");
        if asked != namespace {
            problems.push(FieldError::invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace"));
        }
    }
    problems
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

fn subject(spec: &Value) -> UserInfo {
    let extra = spec
        .get("extra")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, values)| (key.to_lowercase(), strings(Some(values))))
        .collect();
    UserInfo { name: text(spec, "user").to_owned(), uid: text(spec, "uid").to_owned(), groups: strings(spec.get("groups")), extra }
}

fn access(authorizer: &Authorizer, user: &UserInfo, spec: &Value) -> Value {
    let decision = if let Some(attributes) = present(spec, "resourceAttributes") {
        authorizer.authorize(&Attributes {
            user,
            verb: text(attributes, "verb"),
            group: text(attributes, "group"),
            version: text(attributes, "version"),
            resource: text(attributes, "resource"),
            subresource: text(attributes, "subresource"),
            namespace: text(attributes, "namespace"),
            name: text(attributes, "name"),
            path: "",
        })
    } else {
        let attributes = present(spec, "nonResourceAttributes").unwrap_or(&Value::Null);
        authorizer.authorize(&Attributes::path(user, text(attributes, "verb"), text(attributes, "path")))
    };
    let (allowed, reason) = match decision {
        Decision::Allow(reason) => (true, reason),
        Decision::NoOpinion(reason) => (false, reason),
    };
    if reason.is_empty() { json!({"allowed": allowed}) } else { json!({"allowed": allowed, "reason": reason}) }
}

fn rules(authorizer: &Authorizer, user: &UserInfo, spec: &Value) -> Result<Value, ApiError> {
    let namespace = text(spec, "namespace");
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let (rules, errors) = authorizer.rules_for(user, namespace);
    let (mut resources, mut urls) = (Vec::new(), Vec::new());
    for rule in rules {
        if !rule.resources.is_empty() {
            let mut entry = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
            if !rule.resource_names.is_empty() {
                entry["resourceNames"] = json!(rule.resource_names);
            }
            resources.push(entry);
        }
        if !rule.non_resource_urls.is_empty() {
            urls.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}));
        }
    }
    let mut status = json!({"resourceRules": resources, "nonResourceRules": urls, "incomplete": false});
    if !errors.is_empty() {
        status["evaluationError"] = errors.join(", ").into();
    }
    Ok(status)
}

fn token(authentication: &Authentication, spec: &Value) -> Result<Value, ApiError> {
    let token = text(spec, "token");
    if token.is_empty() {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = strings(spec.get("audiences"));
    Ok(match authentication.review(token, &audiences) {
        Ok((user, audiences)) => {
            let mut status = json!({"authenticated": true, "user": user.to_value()});
            if !audiences.is_empty() {
                status["audiences"] = json!(audiences);
            }
            status
        }
        Err(error) => json!({"user": {}, "error": error}),
    })
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // Cases of a table come by value.
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::auth::{AuthenticationConfig, StaticToken};
    use crate::env::{Entropy, Env, Now};
    use crate::store::Store;

    fn ask(group: &str, resource: &str, namespace: &str, spec: Value) -> Result<Value, ApiError> {
        let at: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now: Now = Arc::new(move || at);
        let env = Env { now: now.clone(), entropy: Entropy::from_seed(1), dialer: Arc::new(crate::net::Unreachable) };
        let store = Store::new();
        crate::auth::rbac::bootstrap::ensure(&store, &env).unwrap();
        let config = AuthenticationConfig {
            client_ca: None,
            front_proxy_ca: None,
            front_proxy_names: Vec::new(),
            tokens: vec![StaticToken::new("t", UserInfo::new("tess", &["g"]))],
            service_accounts: None,
            anonymous: true,
        };
        let user = UserInfo::new("bob", &["g1", "system:authenticated"]);
        let chain = Authentication::new(config, &now).unwrap();
        create(&chain, &Authorizer::new(store), &user, &GroupResource::new(group, resource), namespace, json!({"spec": spec}))
    }

    const Z: &str = AUTHORIZATION;
    const N: &str = AUTHENTICATION;

    #[rstest]
    #[case(Z, "subjectaccessreviews", json!({"user": "u", "groups": ["system:authenticated"], "nonResourceAttributes": {"verb": "get", "path": "/healthz"}}),
        json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \"system:discovery\" to Group \"system:authenticated\""}))]
    #[case(Z, "subjectaccessreviews", json!({"user": "u", "resourceAttributes": {"verb": "get", "resource": "pods"}}), json!({"allowed": false}))]
    #[case(Z, "subjectaccessreviews", json!({"groups": ["system:masters"], "resourceAttributes": {"verb": "get", "resource": "pods"}}), json!({"allowed": true}))]
    #[case(Z, "selfsubjectaccessreviews", json!({"resourceAttributes": {"verb": "create", "group": "authorization.k8s.io", "resource": "selfsubjectaccessreviews"}}),
        json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding \"system:basic-user\" of ClusterRole \"system:basic-user\" to Group \"system:authenticated\""}))]
    #[case(N, "selfsubjectreviews", json!({}), json!({"userInfo": {"username": "bob", "groups": ["g1", "system:authenticated"]}}))]
    #[case(N, "tokenreviews", json!({"token": "t"}), json!({"authenticated": true, "user": {"username": "tess", "groups": ["g", "system:authenticated"]}}))]
    #[case(N, "tokenreviews", json!({"token": "wrong"}), json!({"error": "invalid bearer token", "user": {}}))]
    fn answers(#[case] group: &str, #[case] resource: &str, #[case] spec: Value, #[case] status: Value) {
        assert_eq!(ask(group, resource, "", spec).unwrap()["status"], status);
    }

    #[rstest]
    #[case(Z, "subjectaccessreviews", json!({"nonResourceAttributes": {"verb": "get", "path": "/"}}), 422, ".authorization.k8s.io \"\" is invalid: spec.user: Invalid value: \"\": at least one of user or group must be specified")]
    #[case(Z, "localsubjectaccessreviews", json!({"user": "u", "resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}}), 422, ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: \"default\": must match metadata.namespace")]
    #[case(Z, "subjectaccessreviews", json!({"user": "u"}), 422, ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified")]
    #[case(N, "tokenreviews", json!({}), 400, "token is required for TokenReview in authentication")]
    #[case(Z, "selfsubjectrulesreviews", json!({}), 400, "no namespace on request")]
    fn questions_without_sense_are_refused(
        #[case] group: &str,
        #[case] resource: &str,
        #[case] spec: Value,
        #[case] code: u16,
        #[case] message: &str,
    ) {
        let error = ask(group, resource, "n", spec).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (code, message));
    }

    #[test]
    fn rules_are_listed_as_they_were_written() {
        let answer = ask(Z, "selfsubjectrulesreviews", "n", json!({"namespace": "n"})).unwrap();
        assert_eq!(answer["spec"], json!({}));
        assert_eq!(answer["status"]["incomplete"], false);
        let rules = answer["status"]["resourceRules"].to_string();
        assert!(rules.contains("selfsubjectrulesreviews"), "{rules}");
    }
}
