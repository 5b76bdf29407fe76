//! Ownership on a custom resource and on built-in kinds, and the laws of field sets.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::resource::Gvk;
use crate::schema::builtin::schema_of;

fn widget_schema() -> Schema {
    Schema::from_openapi_v3(&json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer"},
                    "color": {"type": "string"},
                    "limit": {"x-kubernetes-int-or-string": true},
                    "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "words": {"type": "array", "items": {"type": "string"}},
                    "origin": {
                        "type": "object", "x-kubernetes-map-type": "atomic",
                        "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}
                    },
                    "opaque": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "parts": {
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object", "required": ["name"],
                            "properties": {"name": {"type": "string"}, "count": {"type": "integer"}}
                        }
                    }
                }
            },
            "status": {
                "type": "object",
                "properties": {
                    "phase": {"type": "string"},
                    "conditions": {
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                        "items": {
                            "type": "object", "required": ["type"],
                            "properties": {"type": {"type": "string"}, "status": {"type": "string"}}
                        }
                    }
                }
            }
        }
    }))
    .unwrap()
}

fn who(name: &str, operation: Operation) -> Manager {
    Manager {
        name: name.to_owned(),
        operation,
        api_version: "example.dev/v1".to_owned(),
        subresource: String::new(),
        time: "2026-01-01T00:00:00Z".to_owned(),
        tracked: Tracked::except(&["status"]),
    }
}

fn status(name: &str) -> Manager {
    Manager { subresource: "status".to_owned(), tracked: Tracked::only(&["status"]), ..who(name, Operation::Apply) }
}

#[allow(clippy::needless_pass_by_value, reason = "called with literals")]
fn widget(spec: Value) -> Value {
    json!({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
}

/// A server of one object.
struct World {
    schema: Schema,
    live: Option<Value>,
}

impl World {
    fn new() -> Self {
        Self { schema: widget_schema(), live: None }
    }

    fn applied(&mut self, name: &str, force: bool, object: &Value) -> Result<(), ApiError> {
        let object = apply(self.live.as_ref(), object, &who(name, Operation::Apply), force, Some(&self.schema))?;
        self.store(object);
        Ok(())
    }

    fn store(&mut self, mut object: Value) {
        object["metadata"]["uid"] = json!("u");
        self.live = Some(object);
    }

    fn updated(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.live.clone().unwrap_or_else(|| widget(json!({})));
        change(&mut object);
        track_update(self.live.as_ref(), &mut object, &who(name, Operation::Update), Some(&self.schema));
        self.store(object);
    }

    fn spec(&self) -> &Value {
        &self.live.as_ref().unwrap()["spec"]
    }

    /// `manager/operation[/subresource]` to its fields.
    fn owners(&self) -> BTreeMap<String, Value> {
        owners(self.live.as_ref().unwrap())
    }
}

fn owners(object: &Value) -> BTreeMap<String, Value> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries
        .into_iter()
        .map(|entry| {
            let mut name = format!("{}/{}", entry["manager"].as_str().unwrap(), entry["operation"].as_str().unwrap());
            if let Some(subresource) = entry["subresource"].as_str() {
                name = format!("{name}/{subresource}");
            }
            (name, entry["fieldsV1"].clone())
        })
        .collect()
}

#[test]
fn an_applier_owns_what_it_sent() {
    let mut world = World::new();
    let mut object = widget(json!({
        "size": 3, "color": "red", "parts": [{"name": "p", "count": 2}], "tags": ["t1", "t2"], "origin": {"x": 1, "y": 2}
    }));
    object["metadata"]["labels"] = json!({"a": "1"});
    world.applied("one", false, &object).unwrap();
    assert_eq!(
        world.owners()["one/Apply"],
        json!({
            "f:metadata": {"f:labels": {"f:a": {}}},
            "f:spec": {
                "f:color": {}, "f:origin": {}, "f:size": {},
                "f:parts": {"k:{\"name\":\"p\"}": {".": {}, "f:count": {}, "f:name": {}}},
                "f:tags": {"v:\"t1\"": {}, "v:\"t2\"": {}}
            }
        })
    );
    let before = world.live.clone();
    world.applied("one", false, &object).unwrap();
    assert_eq!(world.live, before, "the same again changes nothing");
}

#[test]
fn conflicts_name_owner_and_field() {
    let mut world = World::new();
    let mut object = widget(json!({"size": 3, "color": "red", "parts": [{"name": "p", "count": 2}], "origin": {"x": 1}}));
    object["metadata"]["labels"] = json!({"a": "1"});
    world.applied("one", false, &object).unwrap();
    let error = world.applied("two", false, &widget(json!({"size": 4}))).unwrap_err();
    assert_eq!((error.code, error.reason), (409, "Conflict"));
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.size");
    let mut other = widget(json!({"size": 4, "color": "blue", "parts": [{"name": "p", "count": 3}], "origin": {"x": 5}}));
    other["metadata"]["labels"] = json!({"a": "2"});
    let error = world.applied("two", false, &other).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 5 conflicts: conflicts with \"one\":\n- .metadata.labels.a\n- .spec.color\n- .spec.origin\n- \
         .spec.size\n- .spec.parts[name=\"p\"].count"
    );
    let causes = error.details.unwrap().causes;
    assert_eq!(causes[4].field, ".spec.parts[name=\"p\"].count");
    assert_eq!((&*causes[0].reason, &*causes[0].message), ("FieldManagerConflict", "conflict with \"one\""));
}

#[test]
fn fields_are_shared_taken_and_given_up() {
    let mut world = World::new();
    world.applied("one", false, &widget(json!({"size": 3, "parts": [{"name": "p", "count": 2}], "tags": ["t1", "t2"]}))).unwrap();
    world.applied("two", false, &widget(json!({"size": 3, "parts": [{"name": "q"}], "tags": ["t3"]}))).unwrap();
    assert_eq!(world.spec()["tags"], json!(["t1", "t2", "t3"]));
    let error = world.applied("one", false, &widget(json!({"size": 7}))).unwrap_err();
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"two\": .spec.size");
    world.applied("two", true, &widget(json!({"size": 8, "parts": [{"name": "q"}], "tags": ["t3"]}))).unwrap();
    assert_eq!(
        world.owners()["one/Apply"]["f:spec"],
        json!({"f:parts": {"k:{\"name\":\"p\"}": {".": {}, "f:count": {}, "f:name": {}}}, "f:tags": {"v:\"t1\"": {}, "v:\"t2\"": {}}})
    );
    world.applied("one", false, &widget(json!({"tags": ["t1"]}))).unwrap();
    assert_eq!(*world.spec(), json!({"size": 8, "parts": [{"name": "q"}], "tags": ["t1", "t3"]}));
    world.applied("two", false, &widget(json!({"size": 8}))).unwrap();
    assert_eq!(*world.spec(), json!({"size": 8, "tags": ["t1"]}));
    assert_eq!(world.owners()["two/Apply"], json!({"f:spec": {"f:size": {}}}));
}

#[test]
fn a_label_given_up_takes_the_empty_map_along() {
    let mut world = World::new();
    let mut object = widget(json!({"size": 1}));
    object["metadata"]["labels"] = json!({"a": "1"});
    world.applied("one", false, &object).unwrap();
    world.applied("one", false, &widget(json!({"size": 1}))).unwrap();
    assert_eq!(world.live.as_ref().unwrap()["metadata"].get("labels"), None);
}

#[test]
fn updates_own_what_they_change() {
    let mut world = World::new();
    world.updated("cli", |object| object["spec"] = json!({"size": 3, "color": "blue"}));
    assert_eq!(world.owners()["cli/Update"], json!({"f:spec": {".": {}, "f:size": {}, "f:color": {}}}));
    let error = world.applied("cli", false, &widget(json!({"size": 4}))).unwrap_err();
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"cli\" using example.dev/v1: .spec.size");
    world.applied("cli", true, &widget(json!({"size": 4}))).unwrap();
    assert_eq!(world.owners()["cli/Update"], json!({"f:spec": {".": {}, "f:color": {}}}));
    world.updated("hand", |object| object["spec"]["size"] = json!(5));
    let owners = world.owners();
    assert_eq!(owners.get("cli/Apply"), None, "an applier loses what was changed under it");
    assert_eq!(owners["hand/Update"], json!({"f:spec": {"f:size": {}}}));
    world.updated("gone", |object| {
        object["spec"].as_object_mut().unwrap().remove("size");
    });
    assert_eq!(world.owners().keys().collect::<Vec<_>>(), ["cli/Update"]);
}

#[test]
fn status_has_its_own_entries() {
    let mut world = World::new();
    world.updated("cli", |object| object["spec"] = json!({"size": 3}));
    let condition = |kind: &str, value: &str| json!({"type": kind, "status": value});
    let object = |spec: Value, status: Value| {
        let mut object = widget(spec);
        object["status"] = status;
        object
    };
    let first = object(json!({}), json!({"phase": "Up", "conditions": [condition("Ready", "True")]}));
    let merged = apply(world.live.as_ref(), &first, &status("ctl"), false, Some(&world.schema)).unwrap();
    world.store(merged);
    assert_eq!(
        world.owners()["ctl/Apply/status"],
        json!({"f:status": {"f:phase": {}, "f:conditions": {"k:{\"type\":\"Ready\"}": {".": {}, "f:status": {}, "f:type": {}}}}})
    );
    let second = object(json!({"size": 9}), json!({"conditions": [condition("Ready", "False")]}));
    let error = apply(world.live.as_ref(), &second, &status("other"), false, Some(&world.schema)).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"ctl\" with subresource \"status\": .status.conditions[type=\"Ready\"].status"
    );
    let third = object(json!({}), json!({"conditions": [condition("Paused", "False")]}));
    let merged = apply(world.live.as_ref(), &third, &status("other"), false, Some(&world.schema)).unwrap();
    world.store(merged);
    let merged =
        apply(world.live.as_ref(), &object(json!({}), json!({"phase": "Up"})), &status("ctl"), false, Some(&world.schema)).unwrap();
    world.store(merged);
    assert_eq!(world.live.as_ref().unwrap()["status"], json!({"phase": "Up", "conditions": [condition("Paused", "False")]}));
}

#[rstest]
#[case(json!([{}]))]
#[case(json!([]))]
fn owners_can_be_forgotten(#[case] list: Value) {
    let mut world = World::new();
    world.applied("one", false, &widget(json!({"size": 3}))).unwrap();
    world.updated("any", |object| object["metadata"]["managedFields"] = list);
    assert!(world.owners().is_empty());
    world.updated("any", |object| object["spec"]["size"] = json!(4));
    assert!(world.owners().is_empty(), "an object without owners stays without");
    let error = world.applied("fresh", false, &widget(json!({"size": 9}))).unwrap_err();
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"before-first-apply\" using example.dev/v1: .spec.size");
}

#[rstest]
#[case(json!({"spec": {"dada": 1}}), ".spec.dada: field not declared in schema")]
#[case(json!({"spec": {"size": "many"}}), ".spec.size: expected numeric (int or float), got string")]
#[case(json!({"spec": {"parts": [{"name": "a"}, {"name": "a"}]}}), ".spec.parts: duplicate entries for key [name=\"a\"]")]
#[case(json!({"spec": {"parts": [{"count": 1}]}}), ".spec.parts: element 0: associative list with keys has an element that omits key field \"name\" (and doesn't have default value)")]
#[case(json!({"spec": {"tags": ["a", "a"]}}), ".spec.tags: duplicate entries for key [=\"a\"]")]
#[case(json!({"dada": 1, "spec": 2}), "errors:\n  .dada: field not declared in schema\n  .spec: expected map, got &{2}")]
fn misfits_are_explained(#[case] extra: Value, #[case] why: &str) {
    let mut object = widget(json!({}));
    crate::patch::merge_values(&mut object, extra.as_object().unwrap().clone());
    let error = apply(None, &object, &who("one", Operation::Apply), false, Some(&widget_schema())).unwrap_err();
    assert_eq!(error.code, 500);
    assert_eq!(error.message, format!("failed to create typed patch object (/w; example.dev/v1, Kind=Widget): {why}"));
}

#[rstest]
#[case(json!({"metadata": {"name": "w"}}), "invalid object type: /, Kind=")]
#[case(json!({"apiVersion": "example.dev/v1beta1", "kind": "Widget"}), "invalid object type: example.dev/v1beta1, Kind=Widget")]
#[case(json!({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"managedFields": []}}), "metadata.managedFields must be nil")]
fn requests_are_checked(#[case] object: Value, #[case] why: &str) {
    let error = apply(None, &object, &who("one", Operation::Apply), false, Some(&widget_schema())).unwrap_err();
    assert_eq!((error.code, &*error.message), (400, why));
}

#[test]
fn client_side_apply_hands_over_to_kubectl() {
    let mut world = World::new();
    let last = widget(json!({"size": 3, "color": "red"}));
    world.updated("kubectl-client-side-apply", |object| {
        *object = last.clone();
        object["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": last.to_string()});
    });
    world.applied("other", false, &widget(json!({"size": 4}))).unwrap_err();
    world.applied("kubectl", false, &widget(json!({"size": 4, "color": "red"}))).unwrap();
    assert_eq!(world.spec()["size"], json!(4));
    let text = world.live.as_ref().unwrap()["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["spec"]["size"], json!(4));
}

#[test]
fn entries_are_sorted_and_capped() {
    let mut world = World::new();
    for i in 0..14 {
        let mut object = world.live.clone().unwrap_or_else(|| widget(json!({"opaque": {}})));
        object["spec"]["opaque"][format!("f{i:02}")] = json!(i);
        let writer = Manager { time: format!("2026-01-01T00:00:{i:02}Z"), ..who(&format!("m{i:02}"), Operation::Update) };
        track_update(world.live.as_ref(), &mut object, &writer, Some(&world.schema));
        world.store(object);
    }
    let object = world.live.clone().unwrap();
    let names: Vec<&str> =
        object["metadata"]["managedFields"].as_array().unwrap().iter().map(|entry| entry["manager"].as_str().unwrap()).collect();
    assert_eq!(names, ["ancient-changes", "m05", "m06", "m07", "m08", "m09", "m10", "m11", "m12", "m13"]);
    let ancient = &world.owners()["ancient-changes/Update"]["f:spec"]["f:opaque"];
    assert_eq!(ancient.as_object().unwrap().len(), 6, "the mark and five fields: {ancient}");
}

#[test]
fn times_change_only_with_content() {
    let mut world = World::new();
    world.updated("cli", |object| object["spec"] = json!({"size": 3}));
    let before = world.live.clone().unwrap();
    let mut again = before.clone();
    let later = Manager { time: "2027-01-01T00:00:00Z".to_owned(), ..who("cli", Operation::Update) };
    track_update(Some(&before), &mut again, &later, Some(&world.schema));
    assert_eq!(again, before);
    again["spec"]["size"] = json!(4);
    track_update(Some(&before), &mut again, &later, Some(&world.schema));
    assert_eq!(again["metadata"]["managedFields"][0]["time"], json!("2027-01-01T00:00:00Z"));
}

fn builtin(group: &str, kind: &str) -> Arc<Schema> {
    schema_of(&Gvk::new(group, "v1", kind)).unwrap()
}

#[test]
fn built_in_structs_are_never_absent() {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"x": "y"}},
        "spec": {
            "restartPolicy": "Always", "securityContext": {}, "nodeSelector": {"a": "b"},
            "containers": [{"name": "a", "image": "i", "resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}]
        },
        "status": {"phase": "Pending"}
    });
    let writer = Manager { api_version: "v1".to_owned(), ..who("", Operation::Update) };
    track_update(None, &mut pod, &writer, Some(&builtin("", "Pod")));
    assert_eq!(
        owners(&pod)["unknown/Update"],
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:x": {}}},
            "f:spec": {
                "f:containers": {"k:{\"name\":\"a\"}": {
                    ".": {}, "f:name": {}, "f:image": {}, "f:resources": {},
                    "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}}
                }},
                "f:nodeSelector": {}, "f:restartPolicy": {}, "f:securityContext": {}
            }
        })
    );
}

#[test]
fn keys_of_list_elements_have_defaults() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}});
    let writer = Manager { api_version: "v1".to_owned(), ..who("one", Operation::Apply) };
    let merged = apply(None, &service, &writer, false, Some(&builtin("", "Service"))).unwrap();
    assert_eq!(
        owners(&merged)["one/Apply"],
        json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}, "f:selector": {}}})
    );
}

fn element() -> impl Strategy<Value = PathElement> {
    prop_oneof![
        "[a-c./:]{1,3}".prop_map(|name| PathElement::field(&name)),
        (0..3_i64, "[a-c\"]{0,2}").prop_map(|(port, name)| PathElement::Key(vec![
            ("name".into(), set::Scalar(json!(name))),
            ("port".into(), set::Scalar(json!(port))),
        ])),
        prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!(true))].prop_map(|value| PathElement::Value(set::Scalar(value))),
        (0..3_i64).prop_map(PathElement::Index),
    ]
}

fn field_set() -> impl Strategy<Value = FieldSet> {
    prop::collection::vec(prop::collection::vec(element(), 1..4), 0..8).prop_map(|paths| {
        let mut set = FieldSet::new();
        for path in &paths {
            set.insert(path);
        }
        set
    })
}

fn spec() -> impl Strategy<Value = Value> {
    let part = ("[a-c]", 0..3_i64);
    (
        prop::option::of(0..3_i64),
        prop::option::of("[a-b]"),
        prop::option::of(prop::collection::btree_set("[a-d]", 0..4)),
        prop::option::of(prop::collection::btree_map(part.0, part.1, 0..3)),
        prop::option::of(prop::collection::btree_map("[a-c]", 0..3_i64, 0..3)),
    )
        .prop_map(|(size, color, tags, parts, opaque)| {
            let parts = parts.map(|parts| parts.into_iter().map(|(name, count)| json!({"name": name, "count": count})).collect::<Vec<_>>());
            let mut spec = json!({"size": size, "color": color, "tags": tags, "parts": parts, "opaque": opaque});
            spec.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            spec
        })
}

proptest! {
    #[test]
    fn fields_v1_round_trips(set in field_set()) {
        prop_assert_eq!(FieldSet::from_fields_v1(&set.to_fields_v1()).unwrap(), set);
    }

    #[test]
    fn sets_are_sets(a in field_set(), b in field_set(), c in field_set()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        let mut less = a.clone();
        less.subtract(&b);
        prop_assert_eq!(less, a.difference(&b));
        prop_assert_eq!(a.difference(&b.union(&c)), a.difference(&b).difference(&c));
        prop_assert!(a.recursive_difference(&a).is_empty());
        prop_assert!(a.paths().iter().all(|path| a.has(&path.0) && (b.has(&path.0) != a.difference(&b).has(&path.0))));
    }

    #[test]
    fn decoding_never_panics(text in "\\PC{0,12}") {
        let _ = PathElement::decode(&text);
        let _ = FieldSet::from_fields_v1(&json!({text: {"f:a": 1}}));
    }

    #[test]
    fn applying_twice_is_applying_once(first in spec(), second in spec(), updated in spec()) {
        let mut world = World::new();
        world.updated("cli", |object| object["spec"] = updated);
        world.applied("one", true, &widget(first)).unwrap();
        world.applied("two", true, &widget(second.clone())).unwrap();
        let before = world.live.clone();
        world.applied("two", false, &widget(second.clone())).unwrap();
        prop_assert_eq!(&world.live, &before);
        let owned = world.owners().get("two/Apply").cloned().unwrap_or_else(|| json!({}));
        let owned = FieldSet::from_fields_v1(&owned).unwrap();
        let sent = typed::field_set(Type::of(Some(&world.schema)), &widget(second)).difference(&server_written());
        prop_assert_eq!(owned, sent, "an applier owns what it sent");
    }

    #[test]
    fn a_sole_applier_gets_exactly_what_it_sends(first in spec(), second in spec()) {
        let mut world = World::new();
        world.applied("one", false, &widget(first)).unwrap();
        world.applied("one", false, &widget(second.clone())).unwrap();
        let schema = &world.schema;
        let sent = typed::field_set(Type::of(Some(schema)), &widget(second));
        let kept = typed::field_set(Type::of(Some(schema)), world.live.as_ref().unwrap());
        let server = FieldSet::of_fields([&["metadata", "uid"][..], &["metadata", "managedFields"]]);
        prop_assert_eq!(kept.recursive_difference(&server).difference(&sent).paths().len(), 0);
    }
}
