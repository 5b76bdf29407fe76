//! Mutating policies as requests meet them: through the server, in process.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use rstest::rstest;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::auth::UserInfo;
use crate::env::{Entropy, Env};
use crate::http::ApiServer;
use crate::net::Unreachable;

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn server() -> ApiServer {
    let at: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    ApiServer::builder(Env { now: Arc::new(move || at), entropy: Entropy::from_seed(1), dialer: Arc::new(Unreachable) }).build().unwrap()
}

async fn post(server: &ApiServer, path: &str, body: &Value) -> (u16, Value) {
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.body(Full::new(Bytes::from(body.to_string()))).unwrap();
    let response = server.client_service_as(UserInfo::admin()).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

fn apply(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

fn patch(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

fn policy(name: &str, mutations: &[Value], more: &Value) -> Value {
    let mut spec = json!({
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [
            {"apiGroups": ["", "apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments", "configmaps"]}
        ]},
        "mutations": mutations,
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec})
}

async fn install(server: &ApiServer, policy: Value) {
    let name = policy["metadata"]["name"].clone();
    let (status, answer) = post(server, POLICIES, &policy).await;
    assert_eq!(status, 201, "{answer}");
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": name},
    });
    assert_eq!(post(server, BINDINGS, &binding).await.0, 201);
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"team": "a"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i", "env": [{"name": "X", "value": "1"}]}]}}}
    })
}

#[rstest]
#[case::apply(apply("Object{spec: Object.spec{replicas: object.spec.replicas + 2}}"), "/spec/replicas", json!(3))]
#[case::apply_into_keyed_lists(
    apply("Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: \
           object.spec.template.spec.containers.map(c, Object.spec.template.spec.containers{name: c.name, \
           env: [Object.spec.template.spec.containers.env{name: 'Y', value: '2'}]})}}}}"),
    "/spec/template/spec/containers/0/env", json!([{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]))]
#[case::optional_fields(
    apply("Object{metadata: Object.metadata{?annotations: optional.of({'k': 'v'}), ?labels: optional.none()}}"),
    "/metadata/annotations", json!({"k": "v"}))]
#[case::adds_and_defaults(
    patch("[JSONPatch{op: 'add', path: '/spec/template/spec/initContainers', value: [Object.spec.template.spec.initContainers{\
           name: 'i', image: 'i:1', restartPolicy: 'Always'}]}]"),
    "/spec/template/spec/initContainers/0/terminationMessagePath", json!("/dev/termination-log"))]
#[case::escaped_keys(
    patch("[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('example.com/x'), value: 'y'}]"),
    "/metadata/labels/example.com~1x", json!("y"))]
#[case::a_failed_test_changes_nothing(
    patch("[JSONPatch{op: 'replace', path: '/spec/replicas', value: 9}, JSONPatch{op: 'test', path: '/spec/replicas', value: 1}]"),
    "/spec/replicas", json!(1))]
#[case::none_is_a_list_too(patch("object.spec.replicas > 5 ? [JSONPatch{op: 'remove', path: '/spec'}] : []"), "/spec/replicas", json!(1))]
#[tokio::test]
async fn objects_are_changed(#[case] mutation: Value, #[case] path: &str, #[case] expected: Value) {
    let server = server();
    install(&server, policy("p", &[mutation], &json!({}))).await;
    let (status, made) = post(&server, DEPLOYMENTS, &deployment()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made.pointer(path), Some(&expected), "{made}");
}

#[rstest]
#[case::atomic(
    apply("Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'x': 'y'}}}}"),
    "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector"
)]
#[case::mistyped(
    apply("Object{spec: Object.metadata{replicas: 1}}"),
    "type mismatch: unexpected type name \"Object.metadata\", \
    expected \"Object.spec\", which matches field name path from root Object type"
)]
#[case::absent(
    patch("[JSONPatch{op: 'remove', path: '/spec/nothing'}]"),
    "JSONPath: remove operation does not apply: doc is missing path: \"/spec/nothing\": missing value"
)]
#[case::no_such_key(apply("Object{spec: Object.spec{replicas: object.spec.nothing}}"), "no such key: nothing")]
#[tokio::test]
async fn failures_are_refused_or_ignored(#[case] mutation: Value, #[case] why: &str) {
    let server = server();
    install(&server, policy("p", std::slice::from_ref(&mutation), &json!({}))).await;
    let (status, answer) = post(&server, DEPLOYMENTS, &deployment()).await;
    assert_eq!((status, answer["reason"].as_str().unwrap()), (403, "Invalid"));
    let message = answer["message"].as_str().unwrap();
    assert!(message.starts_with("policy 'p' with binding 'p' denied request: ") && message.ends_with(why), "{message}");
    let server = self::server();
    install(&server, policy("p", &[mutation], &json!({"failurePolicy": "Ignore"}))).await;
    assert_eq!(post(&server, DEPLOYMENTS, &deployment()).await.0, 201);
}

#[tokio::test]
async fn conditions_parameters_and_variables_decide() {
    let server = server();
    let map = json!({"metadata": {"name": "settings"}, "data": {"replicas": "4"}});
    assert_eq!(post(&server, "/api/v1/namespaces/default/configmaps", &map).await.0, 201);
    let more = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "a.b", "expression": "object.metadata.labels.team == 'a'"}],
        "variables": [{"name": "wanted", "expression": "Object.spec{replicas: int(params.data.replicas)}"}],
    });
    let policy = policy("p", &[apply("Object{spec: variables.wanted}")], &more);
    assert_eq!(post(&server, POLICIES, &policy).await.0, 201);
    let binding = json!({"metadata": {"name": "b"}, "spec": {"policyName": "p",
        "paramRef": {"name": "settings", "parameterNotFoundAction": "Deny"}}});
    assert_eq!(post(&server, BINDINGS, &binding).await.0, 201);
    assert_eq!(post(&server, DEPLOYMENTS, &deployment()).await.1["spec"]["replicas"], 4);
    let mut other = deployment();
    other["metadata"] = json!({"name": "e", "labels": {"team": "b"}});
    assert_eq!(post(&server, DEPLOYMENTS, &other).await.1["spec"]["replicas"], 1);
}

/// The first policy counts the keys: it sees those of the later one only if it runs again.
#[rstest]
#[case("Never", "1")]
#[case("IfNeeded", "2")]
#[tokio::test]
async fn a_later_change_lets_policies_run_again(#[case] reinvocation: &str, #[case] counted: &str) {
    let server = server();
    let count = "Object{metadata: Object.metadata{annotations: {'keys': string(object.data.size())}}}";
    install(&server, policy("a", &[apply(count)], &json!({"reinvocationPolicy": reinvocation}))).await;
    install(&server, policy("b", &[patch("[JSONPatch{op: 'add', path: '/data/added', value: 'x'}]")], &json!({}))).await;
    let map = json!({"metadata": {"name": "m"}, "data": {"own": "x"}});
    let (_, made) = post(&server, "/api/v1/namespaces/default/configmaps", &map).await;
    assert_eq!(made["data"], json!({"own": "x", "added": "x"}));
    assert_eq!(made["metadata"]["annotations"]["keys"], counted);
}

#[tokio::test]
async fn bad_policies_are_not_stored() {
    let server = server();
    let bad = policy(
        "p",
        &[json!({}), apply("1 + 1"), patch("[JSONPatch{verb: 'add'}]"), json!({"patchType": "JSONPatch", "applyConfiguration": {}})],
        &json!({"reinvocationPolicy": "Often", "matchConstraints": null}),
    );
    let (status, answer) = post(&server, POLICIES, &bad).await;
    assert_eq!(status, 422);
    let causes: Vec<String> = answer["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| format!("{}: {}", cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap().lines().next().unwrap()))
        .collect();
    assert_eq!(
        causes,
        [
            "spec.matchConstraints: Required value",
            "spec.mutations[0].patchType: Required value",
            "spec.mutations[1].applyConfiguration.expression: Invalid value: \"1 + 1\": must evaluate to Object",
            "spec.mutations[2].jsonPatch.expression: Invalid value: \"[JSONPatch{verb: 'add'}]\": compilation failed: ERROR: \
             <input>:1:12: undefined field 'verb'",
            "spec.mutations[3].applyConfiguration: Forbidden: may not be specified when patchType is JSONPatch",
            "spec.mutations[3].jsonPatch: Required value: must be specified when patchType is JSONPatch",
            "spec.reinvocationPolicy: Unsupported value: \"Often\": supported values: \"IfNeeded\", \"Never\"",
        ]
    );
}
