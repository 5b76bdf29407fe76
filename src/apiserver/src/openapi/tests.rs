use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use rstest::rstest;
use serde_json::{Value, json};

use super::OpenApi;
use crate::crd::status::{Taken, settle};
use crate::resource::{Registry, ResourceInfo};

fn gears(schema: &Value) -> ResourceInfo {
    let mut definition = json!({
        "metadata": {"name": "gears.example.dev", "uid": "u"},
        "spec": {
            "group": "example.dev", "scope": "Namespaced",
            "names": {"plural": "gears", "singular": "gear", "kind": "Gear", "listKind": "GearList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}}, "selectableFields": [{"jsonPath": ".spec.color"}]},
                {"name": "v0", "served": false, "storage": false, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    settle(&mut definition, &Taken::default(), "t");
    crate::crd::resource_info(&definition, 3, false)
}

fn api() -> (OpenApi, Registry) {
    let registry = Registry::new(Vec::new());
    let schema = json!({"type": "object", "description": "A gear.", "properties": {"spec": {"type": "object", "properties": {
        "color": {"type": "string", "default": "red"}, "port": {"x-kubernetes-int-or-string": true},
        "note": {"type": "string", "nullable": true},
        "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
    }}}});
    registry.replace_crds(vec![gears(&schema)]);
    (OpenApi::new(registry.clone()), registry)
}

fn get(api: &OpenApi, path: &str) -> Value {
    let response = api.serve(path, None, &HeaderMap::new(), &BTreeMap::new()).unwrap();
    assert_eq!(response.status(), 200, "{path}");
    serde_json::from_slice(response.body()).unwrap()
}

fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().unwrap());
    headers
}

#[test]
fn the_index_names_what_is_served_with_its_hash() {
    let (api, registry) = api();
    let index = get(&api, "/openapi/v3");
    let paths = index["paths"].as_object().unwrap();
    assert_eq!(paths.keys().collect::<Vec<_>>(), ["apis/example.dev/v1", "version"]);
    let url = paths["apis/example.dev/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let (path, query) = url.split_once('?').unwrap();
    let response = api.serve(path, Some(query), &HeaderMap::new(), &BTreeMap::new()).unwrap();
    assert_eq!(response.headers()["cache-control"], "public, immutable");
    // Another schema gives another hash; who asks for the old one is sent to the new.
    let mut other = gears(&json!({"type": "object"}));
    for version in &mut other.versions {
        version.origin = 9;
    }
    registry.replace_crds(vec![other]);
    let moved = api.serve(path, Some(query), &HeaderMap::new(), &BTreeMap::new()).unwrap();
    assert_eq!(moved.status(), 301);
    assert_ne!(moved.headers()[LOCATION], url.as_str());
}

#[test]
fn custom_resources_are_published_with_what_is_implied() {
    let (api, _) = api();
    let document = get(&api, "/openapi/v3/apis/example.dev/v1");
    let gear = &document["components"]["schemas"]["dev.example.v1.Gear"];
    let spec = &gear["properties"]["spec"]["properties"];
    assert_eq!(gear["x-kubernetes-group-version-kind"], json!([{"group": "example.dev", "kind": "Gear", "version": "v1"}]));
    assert_eq!(gear["x-kubernetes-selectable-fields"], json!([{"fieldPath": "spec.color"}]));
    assert_eq!(
        gear["properties"]["metadata"]["allOf"],
        json!([{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}])
    );
    assert_eq!(spec["port"], json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true}));
    assert_eq!(spec["template"]["required"], json!(["kind", "apiVersion"]));
    let one = &document["paths"]["/apis/example.dev/v1/namespaces/{namespace}/gears/{name}/status"]["patch"];
    assert_eq!(one["operationId"], "patchExampleDevV1NamespacedGearStatus");
    assert_eq!(one["x-kubernetes-action"], "patch");
}

#[test]
fn every_reference_leads_to_a_definition() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(path)) = map.get("$ref") {
                    found.push(path.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (api, _) = api();
    for (path, place, prefix) in [
        ("/openapi/v3/apis/example.dev/v1", "/components/schemas", "#/components/schemas/"),
        ("/openapi/v2", "/definitions", "#/definitions/"),
    ] {
        let document = get(&api, path);
        let known = document.pointer(place).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let name = reference.strip_prefix(prefix).unwrap_or_else(|| panic!("{reference}"));
            assert!(known.get(name).is_some(), "{reference}");
        }
    }
}

/// Clients that check manifests refuse a document with a reference into nowhere.
#[test]
fn the_whole_document_refers_only_to_itself() {
    let api = OpenApi::new(Registry::new(crate::builtin::catalog()));
    let text = get(&api, "/openapi/v2").to_string();
    let document: Value = serde_json::from_str(&text).unwrap();
    for part in text.split("\"$ref\":\"#/definitions/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["definitions"].get(name).is_some(), "{name}");
    }
}

#[test]
fn version_two_leaves_out_what_it_cannot_say() {
    let (api, _) = api();
    let document = get(&api, "/openapi/v2");
    let spec = &document["definitions"]["dev.example.v1.Gear"]["properties"]["spec"]["properties"];
    assert_eq!(spec["color"], json!({"type": "string"}));
    assert_eq!(spec["note"], json!({}));
    assert_eq!(spec["port"], json!({"x-kubernetes-int-or-string": true}));
    assert_eq!(document["swagger"], "2.0");
}

const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

#[rstest]
#[case("/openapi/v2", "application/json", Some("application/json"))]
#[case("/openapi/v2", "*/*", Some("application/json"))]
#[case("/openapi/v2", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf, application/json;q=0.5", Some(PROTOBUF))]
#[case("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", Some(PROTOBUF))]
#[case("/openapi/v2", "text/html", None)]
#[case("/openapi/v3", "application/com.github.proto-openapi.spec.v3@v1.0+protobuf", None)]
fn the_form_is_the_one_asked_for(#[case] path: &str, #[case] accept: &str, #[case] form: Option<&str>) {
    let (api, _) = api();
    let response = api.serve(path, None, &headers(ACCEPT, accept), &BTreeMap::new()).unwrap();
    match form {
        Some(form) => assert_eq!((response.status().as_u16(), response.headers()[CONTENT_TYPE].to_str().unwrap()), (200, form)),
        None => assert_eq!(response.status().as_u16(), 406),
    }
    assert!(!response.body().is_empty());
}

#[test]
fn what_the_client_knows_is_not_sent_again() {
    let (api, _) = api();
    let first = api.serve("/openapi/v2", None, &HeaderMap::new(), &BTreeMap::new()).unwrap();
    let tag = first.headers()[ETAG].to_str().unwrap();
    let second = api.serve("/openapi/v2", None, &headers(IF_NONE_MATCH, tag), &BTreeMap::new()).unwrap();
    assert_eq!((second.status().as_u16(), second.body().len()), (304, 0));
}

#[rstest]
#[case("/openapi/v3/apis/example.dev/v0", Some(404))]
#[case("/openapi/v3/nothing", Some(404))]
#[case("/openapi", None)]
#[case("/openapi/v2/x", None)]
fn other_paths_are_no_documents(#[case] path: &str, #[case] status: Option<u16>) {
    let (api, _) = api();
    assert_eq!(api.serve(path, None, &HeaderMap::new(), &BTreeMap::new()).map(|response| response.status().as_u16()), status);
}
