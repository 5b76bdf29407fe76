//! Definitions that a server has from its beginning are as if they had been created.

#![allow(clippy::unwrap_used, reason = "tests may assume")]

use std::sync::Arc;

use ferrovirt_apiserver::auth::UserInfo;
use ferrovirt_apiserver::crd::Definitions;
use ferrovirt_apiserver::env::{Entropy, Env};
use ferrovirt_apiserver::http::ApiServer;
use ferrovirt_apiserver::net::Unreachable;
use ferrovirt_apiserver::store::Store;
use serde_json::{Value, json};

fn env() -> Env {
    let start: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    Env { now: Arc::new(move || start), entropy: Entropy::from_seed(1), dialer: Arc::new(Unreachable) }
}

fn serve(store: &Store, definitions: &Definitions) -> ApiServer {
    ApiServer::builder(env()).store(store.clone()).definitions(definitions).build().unwrap()
}

async fn send(server: &ApiServer, method: &str, path: &str, body: Option<Value>) -> Value {
    let client = kube::Client::new(server.client_service_as(UserInfo::admin()), "default");
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = http::Request::builder().method(method).uri(path).header("Content-Type", "application/json").body(body).unwrap();
    client.request::<Value>(request).await.unwrap()
}

fn definition(plural: &str, kind: &str, short: &str) -> Value {
    let schema = json!({
        "type": "object",
        "properties": {"spec": {
            "type": "object",
            "required": ["size"],
            "properties": {"size": {"type": "integer", "minimum": 1}, "color": {"type": "string", "default": "red"}},
            "x-kubernetes-validations": [{"rule": "self.size < 10", "message": "too big"}],
        }},
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.dev"), "labels": {"a": "b"}},
        "spec": {
            "group": "example.dev", "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "shortNames": [short], "categories": ["all"]},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                 "subresources": {"status": {}}, "selectableFields": [{"jsonPath": ".spec.color"}],
                 "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]},
                {"name": "v1alpha1", "served": true, "storage": false, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    })
}

/// A definition without what differs between two servers: identity, manager.
fn comparable(mut definition: Value) -> Value {
    let metadata = definition["metadata"].as_object_mut().unwrap();
    for key in ["uid", "resourceVersion"] {
        assert!(metadata.remove(key).is_some_and(|value| !value.as_str().unwrap().is_empty()), "{key} is not set");
    }
    let entries = metadata["managedFields"].as_array_mut().unwrap();
    for entry in entries.iter_mut() {
        assert!(entry["manager"].take().is_string());
    }
    // Of one time, they stand in the order of their managers.
    entries.sort_by_key(|entry| entry["subresource"].as_str().map(str::to_owned));
    definition
}

const ALL: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

#[tokio::test(start_paused = true)]
async fn given_definitions_are_as_created_ones() {
    // The third wants a short name of the first.
    let all = [definition("gears", "Gear", "g"), definition("wheels", "Wheel", "w"), definition("gates", "Gate", "g")];
    let given = serve(&Store::default(), &Definitions::checked(all.to_vec()).unwrap());
    let created = serve(&Store::default(), &Definitions::default());
    for one in &all {
        send(&created, "POST", ALL, Some(one.clone())).await;
    }
    for one in &all {
        let path = format!("{ALL}/{}", one["metadata"]["name"].as_str().unwrap());
        let (given, created) = (send(&given, "GET", &path, None).await, send(&created, "GET", &path, None).await);
        assert_eq!(comparable(given), comparable(created));
    }
    for path in ["/apis/example.dev/v1", "/apis/example.dev/v1alpha1", "/apis/example.dev"] {
        assert_eq!(send(&given, "GET", path, None).await, send(&created, "GET", path, None).await);
    }
    let gear = json!({"apiVersion": "example.dev/v1", "kind": "Gear", "metadata": {"name": "a"}, "spec": {"size": 3}});
    let gears = "/apis/example.dev/v1/namespaces/default/gears";
    for server in [&given, &created] {
        let stored = send(server, "POST", gears, Some(gear.clone())).await;
        assert_eq!(stored["spec"], json!({"size": 3, "color": "red"}));
        let red = send(server, "GET", &format!("{gears}?fieldSelector=spec.color%3Dred"), None).await;
        assert_eq!(red["items"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_stays_and_comes_first() {
    let store = Store::default();
    let before = serve(&store, &Definitions::default());
    send(&before, "POST", ALL, Some(definition("gears", "Gear", "g"))).await;
    let path = format!("{ALL}/gears.example.dev");
    let stored = send(&before, "GET", &path, None).await;
    let mut other = definition("gears", "Gear", "g");
    other["spec"]["versions"][0]["served"] = false.into();
    let given = Definitions::accepted(vec![other, definition("gates", "Gate", "g")]);
    let after = serve(&store, &given);
    assert_eq!(send(&after, "GET", &path, None).await, stored);
    let gates = send(&after, "GET", &format!("{ALL}/gates.example.dev"), None).await;
    let conditions = gates["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|one| one["reason"] == "ShortNamesConflict"), "{conditions:#?}");
}

#[test]
fn an_invalid_definition_is_named() {
    let mut bad = definition("gears", "Gear", "g");
    bad["spec"]["scope"] = "".into();
    let error = Definitions::checked(vec![bad]).unwrap_err();
    assert!(error.message.contains("gears.example.dev") && error.message.contains("spec.scope: Required value"), "{}", error.message);
}
