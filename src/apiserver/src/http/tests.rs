//! Mechanisms that need the whole server, over requests in process.

#![allow(clippy::needless_pass_by_value, reason = "cases and bodies come by value")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use rstest::rstest;
use serde_json::{Value, json};

use super::ApiServer;
use crate::auth::UserInfo;
use crate::serve::testing::Network;

struct Setup {
    network: Network,
    server: ApiServer,
}

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const GEARS: &str = "/apis/example.dev/v1/namespaces/default/gears";

fn setup() -> Setup {
    let network = Network::new();
    let server = ApiServer::builder(network.env()).pki(&network.pki).build().unwrap();
    Setup { network, server }
}

impl Setup {
    async fn send(&self, method: Method, path: &str, media: &str, body: impl Into<Bytes>) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", media).body(Full::new(body.into())).unwrap();
        let response = tower::ServiceExt::oneshot(self.server.client_service_as(UserInfo::admin()), request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body).into_owned())))
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, "application/json", body.to_string()).await
    }

    async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, "application/json", "").await.1
    }

    async fn merge(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PATCH, path, "application/merge-patch+json", body.to_string()).await
    }
}

fn gears(properties: Value) -> Value {
    let schema = |properties: Value| json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gears.example.dev"},
        "spec": {
            "group": "example.dev", "scope": "Namespaced", "names": {"plural": "gears", "singular": "gear", "kind": "Gear"},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": schema(properties.clone())},
                {"name": "v2", "served": true, "storage": false, "schema": schema(properties)},
            ],
        },
    })
}

fn gear(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.dev/v1", "kind": "Gear", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test(start_paused = true)]
async fn stored_objects_are_read_through_the_schema_of_today() {
    let s = setup();
    let before = json!({"old": {"type": "string"}, "kept": {"type": "string"}});
    assert_eq!(s.post(CRDS, gears(before)).await.0, 201);
    assert_eq!(s.post(GEARS, gear("g", json!({"old": "x", "kept": "y"}))).await.0, 201);
    let stored = s.get(&format!("{GEARS}/g")).await;
    assert_eq!(s.merge(&format!("{CRDS}/gears.example.dev"), json!({"metadata": {"labels": {"a": "b"}}})).await.0, 200);
    assert_eq!(s.get(&format!("{GEARS}/g")).await, stored, "a definition with the same schema changes nothing");

    let after = json!({"kept": {"type": "string"}, "new": {"type": "integer", "default": 7}});
    let definition = gears(after);
    assert_eq!(s.merge(&format!("{CRDS}/gears.example.dev"), json!({"spec": definition["spec"]})).await.0, 200);
    let wanted = json!({"kept": "y", "new": 7});
    let read = s.get(&format!("{GEARS}/g")).await;
    assert_eq!(read["spec"], wanted);
    assert_eq!(read["metadata"]["resourceVersion"], stored["metadata"]["resourceVersion"], "nothing was written");
    assert_eq!(s.get(GEARS).await["items"][0]["spec"], wanted);
    assert_eq!(s.get("/apis/example.dev/v2/namespaces/default/gears/g").await["spec"], wanted);
    let watched = s.get(&format!("{GEARS}?watch=1&timeoutSeconds=1")).await;
    assert_eq!(watched["object"]["spec"], wanted);

    let (_, written) = s.merge(&format!("{GEARS}/g"), json!({})).await;
    assert_ne!(written["metadata"]["resourceVersion"], stored["metadata"]["resourceVersion"], "a write that changes nothing migrates");
    let (_, again) = s.merge(&format!("{GEARS}/g"), json!({})).await;
    assert_eq!(again["metadata"]["resourceVersion"], written["metadata"]["resourceVersion"], "once");
}

/// Answers a ConversionReview by changing the version only.
async fn convert(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let mut objects = review["request"]["objects"].clone();
    for object in objects.as_array_mut().unwrap() {
        object["apiVersion"] = review["request"]["desiredAPIVersion"].clone();
    }
    let answer = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": {
        "uid": review["request"]["uid"], "result": {"status": "Success"}, "convertedObjects": objects}});
    Response::new(Full::new(Bytes::from(answer.to_string())))
}

#[tokio::test(start_paused = true)]
async fn conversions_share_a_connection() {
    let s = setup();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let handler = Arc::new(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        convert(request).boxed()
    });
    s.network.serve_host("convert.test", "convert.test", handler);
    let mut definition = gears(json!({"n": {"type": "integer"}}));
    definition["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://convert.test/", "caBundle": s.network.bundle()}}});
    assert_eq!(s.post(CRDS, definition).await.0, 201);
    for index in 0..5 {
        assert_eq!(s.post(GEARS, gear(&format!("g{index}"), json!({"n": index}))).await.0, 201);
    }
    let list = s.get("/apis/example.dev/v2/namespaces/default/gears").await;
    assert_eq!(list["items"][4]["apiVersion"], "example.dev/v2", "{list}");
    assert_eq!(asked.load(Ordering::Relaxed), 5);
    assert_eq!(s.network.dials.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn policies_are_compiled_when_they_are_written() {
    let s = setup();
    let path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    let policy = |expression: &str| {
        json!({"metadata": {"name": "p"}, "spec": {"validations": [{"expression": expression}], "matchConstraints": {"resourceRules":
            [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}]}}})
    };
    let (status, answer) = s.post(path, policy("object.x +")).await;
    assert_eq!((status, &answer["details"]["causes"][0]["field"]), (422, &json!("spec.validations[0].expression")));
    assert_eq!(s.post(path, policy("object.metadata.name != 'x'")).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn the_issuer_of_tokens_is_described() {
    let s = setup();
    let configuration = s.get("/.well-known/openid-configuration").await;
    assert_eq!(configuration["issuer"], "https://kubernetes.default.svc.cluster.local");
    let path = configuration["jwks_uri"].as_str().unwrap().trim_start_matches("https://kubernetes.default.svc.cluster.local");
    assert_eq!(s.get(path).await["keys"][0]["alg"], "ES256");
    assert_eq!(s.post(path, json!({})).await.0, 405);
}

/// The original keeps the bytes of the data, and a patch writes them anew.
#[tokio::test(start_paused = true)]
async fn a_patch_changes_a_revision_unless_its_data_was_sent_as_the_server_writes() {
    let s = setup();
    let path = "/apis/apps/v1/namespaces/default/controllerrevisions";
    for (name, data, expected) in [("spaced", r#"{"a": 1}"#, 422), ("unordered", r#"{"b":1,"a":2}"#, 422), ("plain", r#"{"a":"x"}"#, 200)] {
        let body = format!(r#"{{"metadata":{{"name":"{name}"}},"revision":1,"data":{data}}}"#);
        assert_eq!(s.send(Method::POST, path, "application/json", body).await.0, 201);
        let (status, answer) = s.merge(&format!("{path}/{name}"), json!({"revision": 2})).await;
        assert_eq!(status, expected, "{name}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_range_completes_itself() {
    let s = setup();
    let limits = json!([{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}, "default": {"memory": "4Mi"}},
        {"type": "Pod", "max": {"cpu": "3"}}]);
    let (_, range) = s.post("/api/v1/namespaces/default/limitranges", json!({"metadata": {"name": "l"}, "spec": {"limits": limits}})).await;
    assert_eq!(
        range["spec"]["limits"],
        json!([{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}, "default": {"cpu": "2", "memory": "4Mi"},
            "defaultRequest": {"cpu": "2", "memory": "4Mi"}}, {"type": "Pod", "max": {"cpu": "3"}}])
    );
}

#[rstest]
#[case("/apis/networking.k8s.io/v1/namespaces/default/ingresses", json!({}),
    "Ingress.networking.k8s.io \"x\" is invalid: spec: Invalid value: {\"IngressClassName\":null,\"DefaultBackend\":null,\"TLS\":null,\
     \"Rules\":null}: either `defaultBackend` or `rules` must be specified")]
#[case("/apis/networking.k8s.io/v1/namespaces/default/ingresses",
    json!({"rules": [{"http": {"paths": [{"path": "x", "backend": {"service": {"name": "a", "port": {"number": 1}}}}]}}]}),
    "Ingress.networking.k8s.io \"x\" is invalid: spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified")]
#[case("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", json!({"ingress": [{"ports": [{"port": 99999}]}]}),
    "NetworkPolicy.networking.k8s.io \"x\" is invalid: spec.ingress[0].ports[0].port: Invalid value: 99999: must be between 1 and \
     65535, inclusive")]
#[case("/api/v1/namespaces/default/resourcequotas", json!({"hard": {"bogus": "1", "pods": "-1"}}),
    "ResourceQuota \"x\" is invalid: [spec.hard[bogus]: Invalid value: \"bogus\": must be a standard resource for quota, \
     spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0]")]
#[case("/api/v1/namespaces/default/limitranges", json!({"limits": [{"type": "PersistentVolumeClaim", "min": {"storage": "2Gi"}, "max": {"storage": "1Gi"}}]}),
    "LimitRange \"x\" is invalid: spec.limits[0].min[storage]: Invalid value: \"2Gi\": min value 2Gi is greater than max value 1Gi")]
#[case("/apis/batch/v1/namespaces/default/cronjobs",
    json!({"schedule": "bad", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}),
    "CronJob.batch \"x\" is invalid: spec.schedule: Invalid value: \"bad\": expected exactly 5 fields, found 1: [bad]")]
#[tokio::test(start_paused = true)]
async fn rules_of_built_in_kinds(#[case] path: &str, #[case] spec: Value, #[case] message: &str) {
    let (status, answer) = setup().post(path, json!({"metadata": {"name": "x"}, "spec": spec})).await;
    assert_eq!((status, answer["message"].as_str().unwrap()), (422, message));
}

#[tokio::test(start_paused = true)]
async fn what_a_stateful_set_or_a_job_is_made_for_stays() {
    let s = setup();
    let spec = |restart: &str| json!({"restartPolicy": restart, "containers": [{"name": "c", "image": "i"}]});
    let sets = "/apis/apps/v1/namespaces/default/statefulsets";
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": spec("Always")});
    let set =
        json!({"metadata": {"name": "s"}, "spec": {"serviceName": "x", "selector": {"matchLabels": {"a": "b"}}, "template": template}});
    assert_eq!(s.post(sets, set).await.0, 201);
    assert_eq!(s.merge(&format!("{sets}/s"), json!({"spec": {"replicas": 3}})).await.0, 200);
    let (status, answer) = s.merge(&format!("{sets}/s"), json!({"spec": {"serviceName": "y"}})).await;
    assert_eq!(status, 422);
    assert!(answer["message"].as_str().unwrap().contains("spec: Forbidden: updates to statefulset spec for fields other than 'replicas'"));

    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    assert_eq!(s.post(jobs, json!({"metadata": {"name": "j"}, "spec": {"template": {"spec": spec("Never")}}})).await.0, 201);
    assert_eq!(s.merge(&format!("{jobs}/j"), json!({"spec": {"parallelism": 2}})).await.0, 200);
    let (status, answer) = s.merge(&format!("{jobs}/j"), json!({"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}})).await;
    let message = answer["message"].as_str().unwrap();
    assert_eq!(status, 422);
    assert!(
        message.starts_with("Job.batch \"j\" is invalid: spec.template: Invalid value: {\"labels\":{")
            && message.ends_with("field is immutable")
    );
    assert!(message.contains("\"RestartPolicy\":\"OnFailure\",\"TerminationGracePeriodSeconds\":30"), "{message}");
}

#[rstest]
#[case(Method::POST, "/api/v1/namespaces/default/configmaps/x", 405)]
#[case(Method::PATCH, "/api/v1/namespaces/default/configmaps", 405)]
#[case(Method::POST, "/api/v1/nodes/x/status", 405)]
#[case(Method::GET, "/api/v1/namespaces/default/pods/x/eviction", 405)]
#[case(Method::OPTIONS, "/api/v1/namespaces/default/pods", 405)]
#[case(Method::GET, "/api/v1/namespaces/default/pods/x/nothing", 404)]
#[case(Method::PATCH, "/apis/example.dev/v1/namespaces/default/gears", 400)]
#[tokio::test(start_paused = true)]
async fn methods_that_a_path_does_not_have(#[case] method: Method, #[case] path: &str, #[case] expected: u16) {
    let s = setup();
    assert_eq!(s.post(CRDS, gears(json!({}))).await.0, 201);
    let (status, answer) = s.send(method, path, "application/merge-patch+json", "{}").await;
    assert_eq!(status, expected, "{answer}");
    if status == 405 {
        assert_eq!(answer["message"], "the server does not allow this method on the requested resource");
    }
}
