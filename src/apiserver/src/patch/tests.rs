//! Patches as a client sees them, and their laws.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::resource::Gvk;
use crate::schema::builtin::schema_of;

fn document() -> Value {
    json!({"a": {"size": 5, "words": ["one", "two"]}, "b/c": {"~": 1}})
}

#[rstest]
#[case::tested(json!([{"op": "test", "path": "/a/size", "value": 5}, {"op": "replace", "path": "/a/size", "value": 6}]), json!({"a": {"size": 6}}))]
#[case::number_notation(json!([{"op": "test", "path": "/a/size", "value": 5.0}]), json!({}))]
#[case::absent_is_null(json!([{"op": "test", "path": "/a/none", "value": null}]), json!({}))]
#[case::append(json!([{"op": "add", "path": "/a/words/-", "value": 3}]), json!({"a": {"words": ["one", "two", 3]}}))]
#[case::insert(json!([{"op": "add", "path": "/a/words/0", "value": 0}]), json!({"a": {"words": [0, "one", "two"]}}))]
#[case::from_the_end(json!([{"op": "remove", "path": "/a/words/-1"}]), json!({"a": {"words": ["one"]}}))]
#[case::replace_absent_adds(json!([{"op": "replace", "path": "/a/new", "value": 1}]), json!({"a": {"new": 1}}))]
#[case::text_before_the_slash_is_ignored(json!([{"op": "add", "path": "a/x", "value": 1}]), json!({"x": 1}))]
#[case::copy(json!([{"op": "copy", "from": "/a/size", "path": "/d"}]), json!({"d": 5}))]
#[case::escapes(json!([{"op": "move", "from": "/b~1c/~0", "path": "/b~1c/e"}]), json!({"b/c": {"~": null, "e": 1}}))]
#[case::nothing(json!([]), json!({}))]
fn json_patches(#[case] patch: Value, #[case] change: Value) {
    let mut expected = document();
    merge_values(&mut expected, change.as_object().unwrap().clone());
    assert_eq!(json_patch(&document(), patch.to_string().as_bytes()).unwrap(), expected);
}

#[rstest]
#[case(json!([{"op": "test", "path": "/a/size", "value": 99}]))]
#[case(json!([{"op": "add", "path": "/a/words/9", "value": 1}]))]
#[case(json!([{"op": "remove", "path": "/a/none"}]))]
#[case(json!([{"op": "add", "path": "/a/none/deeper", "value": 1}]))]
#[case(json!([{"op": "move", "from": "/a/none", "path": "/a/x"}]))]
#[case(json!([{"op": "fly", "path": "/a/size"}]))]
#[case(json!([{"path": "/a/size"}]))]
#[case(json!([{"op": "remove", "path": ""}]))]
#[case(json!([{"op": "add", "path": "", "value": {}}]))]
#[case(json!([null]))]
fn json_patches_that_do_not_apply(#[case] patch: Value) {
    let error = json_patch(&document(), patch.to_string().as_bytes()).unwrap_err();
    assert_eq!((error.code, error.reason), (422, "Invalid"));
    assert_eq!(error.message, "the server rejected our request due to an error in our request");
}

#[rstest]
#[case("nope", "error decoding patch: invalid character 'o' in literal null (expecting 'u')")]
#[case("{}", "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp")]
#[case("[1]", "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp")]
#[case("", "error decoding patch: unexpected end of JSON input")]
#[case("[{\"op\": \"a\" \"b\"}]", "error decoding patch: invalid character '\"' after object key:value pair")]
#[case("[] x", "error decoding patch: invalid character 'x' after top-level value")]
fn bodies_that_are_no_json_patch(#[case] body: &str, #[case] why: &str) {
    let error = json_patch(&document(), body.as_bytes()).unwrap_err();
    assert_eq!((error.code, &*error.message), (400, why));
}

#[test]
fn json_patches_are_limited() {
    let many: Vec<Value> = (0..=MAX_OPERATIONS).map(|_| json!({"op": "test", "path": "/a/none", "value": null})).collect();
    let error = json_patch(&document(), Value::from(many).to_string().as_bytes()).unwrap_err();
    assert_eq!(error.code, 413);
    assert!(error.message.ends_with("The allowed maximum operations in a JSON patch is 10000, got 10001"), "{}", error.message);
    // Copies that double the document stop before they fill the memory.
    let mut doubling = vec![json!({"op": "add", "path": "/a/words", "value": ["x".repeat(1000)]})];
    doubling.extend((0..40).map(|i| json!({"op": "copy", "from": "", "path": format!("/c{i}")})));
    assert_eq!(json_patch(&document(), Value::from(doubling).to_string().as_bytes()).unwrap_err().code, 422);
    assert_eq!(json_patch_unknown_fields(br#"[{"op": "test", "x": 1}]"#), ["json patch unknown field \"[0].x\""]);
}

#[rstest]
#[case("[]", "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}")]
#[case("{", "error decoding patch: unexpected end of JSON input")]
fn bodies_that_are_no_merge_patch(#[case] body: &str, #[case] why: &str) {
    let error = merge_patch(&document(), body.as_bytes()).unwrap_err();
    assert_eq!((error.code, &*error.message), (400, why));
}

#[test]
fn merge_patches_delete_and_replace() {
    let patch = json!({"a": {"size": null, "words": ["x"], "new": {"n": null, "list": [{"m": null}]}}});
    assert_eq!(merge_patch(&document(), patch.to_string().as_bytes()).unwrap()["a"], json!({"words": ["x"], "new": {"list": [{}]}}));
}

fn strategic(group: &str, kind: &str, object: &Value, patch: &Value) -> Result<Value, ApiError> {
    let schema = schema_of(&Gvk::new(group, "v1", kind)).unwrap();
    strategic_merge(object, patch, Some(&schema))
}

fn pod() -> Value {
    json!({
        "metadata": {"finalizers": ["a", "b"]},
        "spec": {
            "containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "i:2", "env": [{"name": "X", "value": "1"}]}],
            "tolerations": [{"key": "t"}], "schedulingGates": [{"name": "g1"}, {"name": "g2"}]
        }
    })
}

#[rstest]
#[case::by_key(json!({"spec": {"containers": [{"name": "b", "image": "i:3"}]}}), "/spec/containers/1/image", json!("i:3"))]
#[case::sets_merge(json!({"metadata": {"finalizers": ["c"]}}), "/metadata/finalizers", json!(["c", "a", "b"]))]
#[case::primitives_are_deleted(json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}), "/metadata/finalizers", json!(["b"]))]
#[case::elements_are_deleted(json!({"spec": {"schedulingGates": [{"name": "g1", "$patch": "delete"}]}}), "/spec/schedulingGates", json!([{"name": "g2"}]))]
#[case::atomic_lists_are_replaced(json!({"spec": {"tolerations": [{"key": "u"}]}}), "/spec/tolerations", json!([{"key": "u"}]))]
#[case::ordered(json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a", "image": "i:9"}]}}), "/spec/containers/1/image", json!("i:9"))]
#[case::unknown_directive_on_nothing(json!({"metadata": {"labels": {"$patch": "fly"}}}), "/metadata/labels", Value::Null)]
#[case::replace_on_nothing(json!({"metadata": {"labels": {"$patch": "replace", "only": "this"}}}), "/metadata/labels", Value::Null)]
fn strategic_patches(#[case] patch: Value, #[case] at: &str, #[case] expected: Value) {
    let merged = strategic("", "Pod", &pod(), &patch).unwrap();
    assert_eq!(merged.pointer(at).cloned().unwrap_or_default(), expected);
}

#[rstest]
#[case::no_merge_key(json!({"spec": {"containers": [{"image": "x"}]}}), 500, "map: map[image:x] does not contain declared merge key: name")]
#[case::wrong_type(json!({"spec": {"containers": 5}}), 422, " \"\" is invalid: patch: Invalid value: \"map[spec:map[containers:5]]\": cannot restore slice from int64")]
#[case::unknown_directive(json!({"spec": {"$patch": "fly"}}), 500, "unknown patch type: fly in map: map[$patch:fly]")]
#[case::keys_not_retained(json!({"spec": {"$retainKeys": ["a"], "hostname": "h"}}), 400, "invalid patch format of retainKeys")]
#[case::primitives(json!({"metadata": {"$deleteFromPrimitiveList/finalizers": 1}}), 400, "invalid patch format of primitive list")]
fn strategic_patches_refused(#[case] patch: Value, #[case] code: u16, #[case] why: &str) {
    let error = strategic("", "Pod", &pod(), &patch).unwrap_err();
    assert_eq!((error.code, &*error.message), (code, why));
}

#[test]
fn strategic_patches_of_services_and_deployments() {
    let service = json!({"spec": {"selector": {"a": "b"}, "ports": [{"name": "http", "port": 80}, {"name": "tls", "port": 443}]}});
    let ports = |patch: Value| strategic("", "Service", &service, &json!({"spec": patch})).unwrap()["spec"]["ports"].clone();
    assert_eq!(
        ports(json!({"ports": [{"port": 443, "targetPort": 8443}, {"name": "more", "port": 99}]})),
        json!([{"name": "http", "port": 80}, {"name": "tls", "port": 443, "targetPort": 8443}, {"name": "more", "port": 99}])
    );
    assert_eq!(ports(json!({"ports": [{"$patch": "replace"}, {"name": "new", "port": 1}]})), json!([{"name": "new", "port": 1}]));
    assert_eq!(
        ports(json!({"$setElementOrder/ports": [{"port": 2}, {"port": 80}], "ports": [{"name": "two", "port": 2}]})),
        json!([{"name": "two", "port": 2}, {"name": "http", "port": 80}, {"name": "tls", "port": 443}])
    );
    let cleared = strategic("", "Service", &service, &json!({"spec": {"selector": {"$patch": "delete"}}})).unwrap();
    assert_eq!(cleared["spec"].get("selector"), None);
    let deployment = json!({"spec": {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}},
        "template": {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    }});
    let patch = json!({"spec": {
        "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
        "template": {"spec": {"volumes": [{"$retainKeys": ["name", "hostPath"], "name": "v", "hostPath": {"path": "/x"}}]}}
    }});
    assert_eq!(
        strategic("apps", "Deployment", &deployment, &patch).unwrap(),
        json!({"spec": {
            "strategy": {"type": "Recreate"},
            "template": {"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}}
        }})
    );
}

#[test]
fn custom_resources_take_no_strategic_patch() {
    assert_eq!(PatchType::of("application/strategic-merge-patch+json; charset=UTF-8", false).unwrap(), PatchType::Strategic);
    let error = PatchType::of("application/strategic-merge-patch+json", true).unwrap_err();
    assert_eq!(error.code, 415);
    assert_eq!(
        error.message,
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, \
         application/merge-patch+json, application/apply-patch+yaml"
    );
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..3_i64).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c$]{1,2}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The merge patch from one document to another.
fn diff(from: &Value, to: &Value) -> Value {
    let (Value::Object(a), Value::Object(b)) = (from, to) else { return to.clone() };
    let mut patch = serde_json::Map::new();
    for name in a.keys().filter(|name| !b.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in b {
        match a.get(name) {
            Some(old) if old == value => {}
            Some(old) => {
                patch.insert(name.clone(), diff(old, value));
            }
            None => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

proptest! {
    #[test]
    fn merging_a_difference_gives_the_target(from in json_value(), to in json_value()) {
        let (from, to) = (without_nulls(json!({"o": from})), without_nulls(json!({"o": to})));
        let patch = diff(&from, &to);
        prop_assert_eq!(merge_patch(&from, patch.to_string().as_bytes()).unwrap(), to);
    }

    #[test]
    fn no_patch_panics(object in json_value(), patch in json_value(), text in "[\\[\\]{}\",:a-z0-9 \\\\.eE+-]{0,20}") {
        let bytes = patch.to_string();
        let _ = json_patch(&object, bytes.as_bytes());
        let _ = merge_patch(&object, bytes.as_bytes());
        let _ = merge_patch(&object, text.as_bytes());
        let schema = schema_of(&Gvk::new("", "v1", "Pod")).unwrap();
        let _ = strategic_merge(&object, &patch, Some(&schema));
        let _ = strategic_merge(&object, &json!({"spec": patch}), None);
        prop_assert_eq!(gojson::parse(text.as_bytes()).is_ok(), serde_json::from_str::<Value>(&text).is_ok());
    }

    #[test]
    fn json_patch_agrees_with_the_rfc(object in json_value(), name in "[a-c]", value in json_value()) {
        let object = json!({"o": object});
        let patch = json!([{"op": "add", "path": format!("/{name}"), "value": value}, {"op": "copy", "from": "/o", "path": "/p"}, {"op": "remove", "path": "/o"}]);
        let mut expected = object.clone();
        json_patch::patch(&mut expected, &serde_json::from_value::<json_patch::Patch>(patch.clone()).unwrap()).unwrap();
        prop_assert_eq!(json_patch(&object, patch.to_string().as_bytes()).unwrap(), expected);
    }
}
