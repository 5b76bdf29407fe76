use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use super::status::{Taken, settle};
use super::{definitions, follow, names, resource_info, validate, validate_update, version_order};
use crate::env::{Entropy, Env};
use crate::error::FieldError;
use crate::net::Unreachable;
use crate::object;
use crate::resource::{GroupResource, Registry, Source};
use crate::store::{Expect, Key, Store};

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// As it is after defaulting and preparation.
fn definition(plural: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.dev"), "uid": format!("uid-{plural}"), "generation": 1},
        "spec": {
            "group": "example.dev", "scope": "Namespaced", "conversion": {"strategy": "None"},
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}}}}],
        },
        "status": {"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": ["v1"]},
    })
}

fn with(path: &[&str], value: Value) -> Value {
    let mut definition = definition("gears", "Gear");
    object::set(&mut definition, path, value);
    definition
}

fn versions(list: Value) -> Value {
    with(&["spec", "versions"], list)
}

#[allow(clippy::needless_pass_by_value)] // reads better in the tables below
fn version(name: &str, storage: bool, schema: Value) -> Value {
    json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}})
}

#[test]
fn a_good_definition_passes() {
    assert_eq!(texts(&validate(&definition("gears", "Gear"))), Vec::<String>::new());
}

#[rstest]
#[case(with(&["metadata", "name"], json!("x.example.dev")),
    "metadata.name: Invalid value: \"x.example.dev\": must be spec.names.plural+\".\"+spec.group")]
#[case(with(&["spec", "names", "listKind"], json!("Gear")),
    "spec.names.listKind: Invalid value: \"Gear\": kind and listKind may not be the same")]
#[case(with(&["spec", "scope"], json!("")), "spec.scope: Required value")]
#[case(with(&["spec", "conversion"], json!({"strategy": "Webhook"})),
    "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook")]
#[case(with(&["spec", "preserveUnknownFields"], json!(true)),
    "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead")]
#[case(versions(json!([version("v1", true, json!({"type": "object"})), version("v2", false, json!({"type": "string"}))])),
    "spec.versions[1].schema.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root")]
#[case(versions(json!([version("v1", true, json!({"type": "string"})), version("v2", false, json!({"type": "string"}))])),
    "spec.validation.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root")]
#[case(versions(json!([{"name": "v1", "served": true, "storage": true}])),
    "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required")]
#[case(versions(json!([{"name": "v1", "served": true, "storage": true, "deprecationWarning": "old",
    "schema": {"openAPIV3Schema": {"type": "object"}}}])),
    "spec.versions[0].deprecationWarning: Invalid value: \"old\": can only be set for deprecated versions")]
#[case(versions(json!([{"name": "v1", "served": true, "storage": true, "selectableFields": [{"jsonPath": ".spec.list"}],
    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}}])),
    "spec.selectableFields[0].jsonPath: Invalid value: \".spec.list\": must be a valid path")]
fn bad_definitions_are_refused(#[case] definition: Value, #[case] expected: &str) {
    let errors = texts(&validate(&definition));
    assert!(errors.contains(&expected.to_owned()), "{errors:#?}");
}

#[test]
fn what_is_established_does_not_change_its_identity() {
    let mut old = definition("gears", "Gear");
    settle(&mut old, &Taken::default(), "2024-01-01T00:00:00Z");
    let mut new = old.clone();
    for (path, value) in [("scope", json!("Cluster")), ("group", json!("other.dev"))] {
        object::set(&mut new, &["spec", path], value);
    }
    object::set(&mut new, &["spec", "names", "kind"], "Cog");
    assert_eq!(
        texts(&validate_update(&new, &old)),
        [
            "spec.scope: Invalid value: \"Cluster\": field is immutable",
            "spec.names.kind: Invalid value: \"Cog\": field is immutable",
            "spec.group: Invalid value: \"other.dev\": field is immutable",
        ]
    );
}

#[test]
fn names_in_use_are_not_accepted() {
    let mut first = definition("gears", "Gear");
    settle(&mut first, &Taken::default(), "t0");
    let mut taken = Taken::default();
    taken.add(&first["status"]["acceptedNames"]);
    let mut second = definition("cogs", "Gear");
    settle(&mut second, &taken, "t1");
    assert_eq!(second["status"]["acceptedNames"], json!({"kind": "", "plural": "cogs"}));
    let conditions: Vec<(&str, &str, &str)> = object::list(&second, &["status", "conditions"])
        .iter()
        .map(|one| (object::text(one, &["type"]), object::text(one, &["status"]), object::text(one, &["message"])))
        .collect();
    assert_eq!(
        conditions,
        [("NamesAccepted", "False", "\"GearList\" is already in use"), ("Established", "False", "not all names are accepted"),]
    );
    // With names of its own it is established, and the times of what did not change stay.
    object::set(&mut second, &["spec", "names"], json!({"plural": "cogs", "singular": "cog", "kind": "Cog", "listKind": "CogList"}));
    settle(&mut second, &taken, "t2");
    assert!(super::status::is_true(&second, "Established"));
    let before = second.clone();
    settle(&mut second, &taken, "t3");
    assert_eq!(second, before);
}

#[rstest]
#[case("cool-name", None)]
#[case("Cool", Some("a DNS-1035 label"))]
#[case("1a", Some("a DNS-1035 label"))]
#[case("a-", Some("a DNS-1035 label"))]
#[case("", Some("a DNS-1035 label"))]
fn labels_are_checked(#[case] text: &str, #[case] problem: Option<&str>) {
    let found = names::dns1035_label(text);
    assert_eq!(found.is_some(), problem.is_some());
    assert!(found.unwrap_or_default().starts_with(problem.unwrap_or_default()));
}

#[test]
fn versions_are_preferred_stable_first() {
    let mut list = ["foo10", "v1alpha1", "v2beta1", "v10", "foo1", "v1", "v11alpha2", "v3beta1", "v11beta2"];
    list.sort_by(|a, b| version_order(a, b));
    assert_eq!(list, ["v10", "v1", "v11beta2", "v3beta1", "v2beta1", "v11alpha2", "v1alpha1", "foo1", "foo10"]);
}

#[test]
fn versions_with_one_schema_share_it() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let mut definition = versions(json!([version("v1", true, schema.clone()), version("v2", false, schema)]));
    settle(&mut definition, &Taken::default(), "t");
    let info = resource_info(&definition, 7, false);
    let schemas: Vec<_> = info.versions.iter().map(|version| version.schema.clone().unwrap()).collect();
    assert!(Arc::ptr_eq(&schemas[0], &schemas[1]));
    assert!(info.versions.iter().all(|version| version.origin == 7));
    assert_eq!(info.storage_version(), "v1");
    assert_eq!(info.versions[0].name, "v2");
}

struct World {
    store: Store,
    registry: Registry,
    env: Env,
}

impl World {
    fn new() -> Self {
        let now = "2024-01-01T00:00:00Z".parse().unwrap();
        let env = Env { now: Arc::new(move || now), entropy: Entropy::from_seed(1), dialer: Arc::new(Unreachable) };
        Self { store: Store::new(), registry: Registry::new(Vec::new()), env }
    }

    fn follow(&self) {
        follow(&self.store, &self.registry, &self.env);
    }

    fn put(&self, gr: GroupResource, value: Value) {
        let key = Key::new(gr, object::namespace(&value), object::name(&value));
        self.store.commit(key, Expect::Any, Some(value)).unwrap();
        self.follow();
    }

    fn get(&self, gr: GroupResource, namespace: &str, name: &str) -> Option<Value> {
        self.store.get(&Key::new(gr, namespace, name)).map(|stored| stored.value())
    }
}

fn gears() -> GroupResource {
    GroupResource::new("example.dev", "gears")
}

#[test]
fn a_definition_is_served_once_it_is_followed() {
    let world = World::new();
    world.put(definitions(), definition("gears", "Gear"));
    let info = world.registry.lookup("example.dev", "v1", "gears").unwrap();
    assert_eq!((info.kind.as_str(), info.namespaced), ("Gear", true));
    let stored = world.get(definitions(), "", "gears.example.dev").unwrap();
    assert_eq!(object::text(&stored, &["status", "acceptedNames", "listKind"]), "GearList");
    assert_eq!(object::text(&stored, &["metadata", "managedFields"]), "");
    // Following again changes nothing: neither the store nor what is served, which is not even parsed again.
    let (revision, version) = (world.store.revision(), world.registry.version());
    world.follow();
    assert_eq!((world.store.revision(), world.registry.version()), (revision, version));
}

#[test]
fn a_deleted_definition_takes_its_objects_with_it() {
    let world = World::new();
    world.put(definitions(), definition("gears", "Gear"));
    let gear = |name: &str, finalizers: &Value| {
        json!({"apiVersion": "example.dev/v1", "kind": "Gear",
            "metadata": {"name": name, "namespace": "ns", "generation": 1, "finalizers": finalizers}})
    };
    world.put(gears(), gear("free", &json!([])));
    world.put(gears(), gear("held", &json!(["example.dev/hold"])));
    let mut marked = world.get(definitions(), "", "gears.example.dev").unwrap();
    object::set(&mut marked, &["metadata", "deletionTimestamp"], "2024-01-01T00:00:00Z");
    object::set(&mut marked, &["metadata", "finalizers"], json!([super::CLEANUP_FINALIZER]));
    world.put(definitions(), marked);

    assert!(world.get(gears(), "ns", "free").is_none());
    let held = world.get(gears(), "ns", "held").unwrap();
    assert!(object::is_terminating(&held));
    let waiting = world.get(definitions(), "", "gears.example.dev").unwrap();
    let reason = super::status::condition(&waiting, "Terminating").map(|one| object::text(one, &["reason"]).to_owned());
    assert_eq!(reason.as_deref(), Some("InstanceDeletionInProgress"));
    let info = world.registry.lookup("example.dev", "v1", "gears").unwrap();
    assert!(matches!(info.source, Source::Crd { terminating: true, .. }));

    world.store.commit(Key::new(gears(), "ns", "held"), Expect::Any, None).unwrap();
    world.follow();
    assert!(world.get(definitions(), "", "gears.example.dev").is_none());
    assert!(world.registry.lookup("example.dev", "v1", "gears").is_none());
}

#[test]
fn selectable_fields_are_indexed_for_objects_old_and_new() {
    let world = World::new();
    let gear = |name: &str, color: &str| json!({"metadata": {"name": name, "namespace": "ns"}, "spec": {"color": color, "size": 3}});
    world.put(definitions(), definition("gears", "Gear"));
    world.put(gears(), gear("old", "red"));
    let mut wider = world.get(definitions(), "", "gears.example.dev").unwrap();
    wider["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.size"}]);
    world.put(definitions(), wider);
    world.put(gears(), gear("new", "blue"));
    let fields: Vec<_> = world.store.list(&gears(), None).0.iter().map(|stored| stored.fields["spec.color"].clone()).collect();
    assert_eq!(fields, ["blue", "red"]);
}

#[test]
fn names_that_become_free_let_another_definition_in() {
    let world = World::new();
    world.put(definitions(), definition("gears", "Gear"));
    world.put(definitions(), definition("cogs", "Gear"));
    assert!(world.registry.lookup("example.dev", "v1", "cogs").is_none());
    world.store.commit(Key::new(definitions(), "", "gears.example.dev"), Expect::Any, None).unwrap();
    world.follow();
    assert_eq!(world.registry.lookup("example.dev", "v1", "cogs").unwrap().kind, "Gear");
    assert!(world.registry.lookup("example.dev", "v1", "gears").is_none());
}
