use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::custom::validate_object;
use super::structural::check;
use super::{ListType, Schema, builtin, decode, default, prune, validate};
use crate::error::FieldError;
use crate::resource::Gvk;

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn gadget() -> Schema {
    Schema::from_openapi_v3(&json!({
        "type": "object",
        "properties": {"spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 100},
                "small": {"type": "integer", "format": "int32"},
                "ratio": {"type": "number", "multipleOf": 0.5},
                "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                "code": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
                "since": {"type": "string", "format": "date-time"},
                "note": {"type": "string", "nullable": true, "default": "n"},
                "port": {"x-kubernetes-int-or-string": true},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"known": {"type": "object", "properties": {"a": {"type": "integer"}}}}},
                "limits": {"type": "object", "additionalProperties": {"type": "integer", "maximum": 9}},
                "closed": {"type": "object", "additionalProperties": false},
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "parts": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "kind"],
                    "items": {"type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string"}, "kind": {"type": "string", "default": "x"},
                        "count": {"type": "integer", "maximum": 5}}},
                },
                "either": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                    "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
                "engine": {"type": "object", "default": {}, "properties": {"fuel": {"type": "string", "default": "sun"}}},
                "template": {"type": "object", "x-kubernetes-embedded-resource": true,
                    "x-kubernetes-preserve-unknown-fields": true},
            },
        }},
    }))
    .unwrap_or_else(|errors| panic!("{:?}", texts(&errors)))
}

#[rstest]
#[case(json!({}), &["spec.size: Required value"])]
#[case(json!({"size": 0}), &["spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"])]
#[case(json!({"size": 1, "small": 3_000_000_000_i64}),
    &["<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec.small"])]
#[case(json!({"size": 1.0}), &[])]
#[case(json!({"size": 1, "ratio": 0.7}),
    &["spec.ratio: Invalid value: 0.7: spec.ratio in body should be a multiple of 0.5"])]
#[case(json!({"size": 1, "ratio": 1.5}), &[])]
#[case(json!({"size": 1, "color": "pink"}),
    &["spec.color: Unsupported value: \"pink\": supported values: \"red\", \"blue\""])]
#[case(json!({"size": 1, "code": "a"}),
    &["spec.code: Invalid value: \"a\": spec.code in body should be at least 2 chars long"])]
#[case(json!({"size": 1, "code": "A1"}), &["spec.code: Invalid value: \"A1\": spec.code in body should match '^[a-z]+$'"])]
#[case(json!({"size": 1, "code": "abcde"}), &["spec.code: Too long: may not be more than 4 bytes"])]
#[case(json!({"size": 1, "since": "2024-02-30T00:00:00Z"}),
    &["spec.since: Invalid value: \"2024-02-30T00:00:00Z\": spec.since in body must be of type date-time: \"2024-02-30T00:00:00Z\""])]
#[case(json!({"size": 1, "since": "2024-02-29T00:00:00.5+02:00"}), &[])]
#[case(json!({"size": 1, "port": [1]}),
    &["spec.port: Invalid value: \"array\": spec.port in body must be of type integer,string: \"array\""])]
#[case(json!({"size": 1, "port": "80%"}), &[])]
#[case(json!({"size": 1, "limits": {"a": 10, "b": "x"}}), &[
    "spec.limits.a: Invalid value: 10: spec.limits.a in body should be less than or equal to 9",
    "spec.limits.b: Invalid value: \"string\": spec.limits.b in body must be of type integer: \"string\"",
])]
#[case(json!({"size": 1, "tags": ["a", "b", "a"]}), &["spec.tags[2]: Duplicate value: \"a\""])]
#[case(json!({"size": 1, "parts": [{"name": "a"}, {"name": "a", "kind": "x"}, {"name": "a", "kind": "y"}]}),
    &["spec.parts[1]: Duplicate value: {\"kind\":\"x\",\"name\":\"a\"}"])]
#[case(json!({"size": 1, "parts": [{"count": 9, "name": "a"}]}),
    &["spec.parts[0].count: Invalid value: 9: spec.parts[0].count in body should be less than or equal to 5"])]
#[case(json!({"size": 1, "either": {"a": "x", "b": "y"}}), &[
    "<nil>: Invalid value: \"\": \"spec.either\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
])]
#[case(json!({"size": 1, "template": {"kind": "Pod"}}), &["spec.template.apiVersion: Required value"])]
#[case(json!({"size": 1, "template": {"apiVersion": "a/b/c", "kind": "Pod"}}), &[
    "spec.template.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
])]
fn values_are_validated_in_the_words_of_kubernetes(#[case] spec: Value, #[case] expected: &[&str]) {
    assert_eq!(texts(&validate_object(&gadget(), None, &json!({"spec": spec}), None)), expected);
}

#[test]
fn unknown_fields_are_pruned_and_named() {
    let mut value = json!({
        "apiVersion": "a/v1", "kind": "Gadget", "top": 1,
        "metadata": {"name": "n", "odd": 1, "labels": {"a": "b"}},
        "spec": {
            "odd": 1, "open": {"any": {"x": 1}, "known": {"a": 1, "b": 2}}, "parts": [{"name": "a", "odd": {}}],
            "template": {"metadata": {"bogus": 1, "name": "t"}, "spec": {"any": 1}}, "limits": {"a": 1},
        },
    });
    let unknown = prune(&gadget(), &mut value);
    assert_eq!(unknown, ["metadata.odd", "spec.odd", "spec.open.known.b", "spec.parts[0].odd", "spec.template.metadata.bogus", "top"]);
    assert_eq!(value["spec"]["open"], json!({"any": {"x": 1}, "known": {"a": 1}}));
    assert_eq!(value["spec"]["template"], json!({"metadata": {"name": "t"}, "spec": {"any": 1}}));
    assert_eq!(value["metadata"], json!({"name": "n", "labels": {"a": "b"}}));
}

#[rstest]
#[case(json!({}), json!({"color": "red", "note": "n", "engine": {"fuel": "sun"}}))]
#[case(json!({"color": null, "note": null, "size": null}),
    json!({"color": "red", "note": null, "engine": {"fuel": "sun"}}))]
#[case(json!({"color": "blue", "note": "x", "engine": {"fuel": "coal"}, "parts": [{"name": "a"}]}),
    json!({"color": "blue", "note": "x", "engine": {"fuel": "coal"}, "parts": [{"name": "a", "kind": "x"}]}))]
fn defaults_fill_what_is_missing_or_null(#[case] spec: Value, #[case] expected: Value) {
    let mut value = json!({"spec": spec});
    default(&gadget(), &mut value);
    assert_eq!(value["spec"], expected);
}

#[test]
fn unchanged_invalid_values_are_tolerated_on_update() {
    let schema = gadget();
    let old = json!({"spec": {"size": 500, "color": "pink", "tags": ["a", "a"], "parts": [{"name": "a", "kind": "x", "count": 9}]}});
    let mut new = old.clone();
    new["spec"]["small"] = json!(1);
    assert_eq!(texts(&validate_object(&schema, None, &new, Some(&old))), Vec::<String>::new());
    new["spec"]["size"] = json!(501);
    assert_eq!(
        texts(&validate_object(&schema, None, &new, Some(&old))),
        ["spec.size: Invalid value: 501: spec.size in body should be less than or equal to 100"]
    );
    // An element of a map list keeps its counterpart when the list is reordered; a new one has none.
    new["spec"]["size"] = json!(500);
    new["spec"]["parts"] = json!([{"name": "b", "kind": "x", "count": 9}, {"name": "a", "kind": "x", "count": 9}]);
    assert_eq!(
        texts(&validate_object(&schema, None, &new, Some(&old))),
        ["spec.parts[0].count: Invalid value: 9: spec.parts[0].count in body should be less than or equal to 5"]
    );
}

#[allow(clippy::needless_pass_by_value)] // reads better in the tables below
fn root(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

#[rstest]
#[case(json!({}), "s.type: Required value: must not be empty at the root")]
#[case(json!({"type": "array", "items": {"type": "string"}}), "s.type: Invalid value: \"array\": must be object at the root")]
#[case(root(json!({"a": {}})), "s.properties[a].type: Required value: must not be empty for specified object fields")]
#[case(root(json!({"a": {"type": "array", "items": {}}})),
    "s.properties[a].items.type: Required value: must not be empty for specified array items")]
#[case(root(json!({"a": {"type": "object", "anyOf": [{"properties": {"b": {"minimum": 1}}}]}})),
    "s.properties[a].properties[b]: Required value: because it is defined in s.properties[a].anyOf[0].properties[b]")]
#[case(root(json!({"a": {"type": "string", "allOf": [{"type": "string"}]}})),
    "s.properties[a].allOf[0].type: Forbidden: must be empty to be structural")]
#[case(root(json!({"a": {"type": "object", "properties": {"b": {"type": "string"}}, "default": {"c": 1}}})),
    "s.properties[a].default: Invalid value: {\"c\":1}: must not have unknown fields")]
#[case(root(json!({"a": {"type": "strange"}})),
    "s.properties[a].type: Unsupported value: \"strange\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"")]
#[case(root(json!({"a": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}})),
    "s.properties[a].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set")]
#[case(root(json!({"a": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "reason": "No"}]}})),
    "s.properties[a].x-kubernetes-validations[0].reason: Unsupported value: \"No\": supported values: \"FieldValueRequired\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueDuplicate\"")]
#[case(root(json!({"a": {"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}}})),
    "s.properties[a].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[a]")]
fn schemas_that_are_not_structural_are_refused(#[case] schema: Value, #[case] expected: &str) {
    assert_eq!(texts(&check(&schema, "s")), [expected]);
}

#[rstest]
#[case("Pod", "spec.containers", Some(ListType::Map), &["name"], Some("name"))]
#[case("Pod", "spec.tolerations", Some(ListType::Atomic), &[], None)]
#[case("Pod", "spec.volumes", Some(ListType::Map), &["name"], Some("name"))]
#[case("Pod", "spec.hostAliases", Some(ListType::Map), &["ip"], Some("ip"))]
#[case("Pod", "status.conditions", Some(ListType::Map), &["type"], Some("type"))]
#[case("Pod", "metadata.ownerReferences", Some(ListType::Map), &["uid"], Some("uid"))]
#[case("Pod", "metadata.finalizers", Some(ListType::Set), &[], None)]
#[case("Service", "spec.ports", Some(ListType::Map), &["port", "protocol"], Some("port"))]
fn built_in_lists_have_their_types(
    #[case] kind: &str,
    #[case] path: &str,
    #[case] list_type: Option<ListType>,
    #[case] keys: &[&str],
    #[case] merge_key: Option<&str>,
) {
    let schema = builtin::schema_of(&Gvk::new("", "v1", kind)).unwrap();
    let field = path.split('.').fold(&*schema, |schema, name| schema.field(name).unwrap());
    assert_eq!(field.list_type, list_type);
    assert_eq!(field.list_map_keys.iter().map(|key| &**key).collect::<Vec<_>>(), keys);
    assert_eq!(field.patch_merge_key.as_deref(), merge_key);
}

#[test]
fn volumes_retain_keys_and_selectors_are_atomic() {
    let pod = builtin::schema_of(&Gvk::new("", "v1", "Pod")).unwrap();
    let spec = pod.field("spec").unwrap();
    let strategy = spec.field("volumes").unwrap().patch_strategy.unwrap();
    assert!(strategy.merge && strategy.retain_keys && !strategy.replace);
    assert_eq!(spec.field("nodeSelector").unwrap().map_type, Some(super::MapType::Atomic));
    let revision = builtin::schema_of(&Gvk::new("apps", "v1", "ControllerRevision")).unwrap();
    assert_eq!(revision.field("data").unwrap().map_type, Some(super::MapType::Atomic));
    let ports = spec.field("containers").unwrap().element().unwrap().field("ports").unwrap().element().unwrap();
    assert_eq!(ports.field("protocol").unwrap().default, Some(json!("TCP")));
}

#[test]
fn every_built_in_kind_has_a_schema() {
    for gvk in builtin::kinds() {
        let schema = builtin::schema_of(&gvk).unwrap_or_else(|| panic!("{gvk}"));
        assert!(schema.definition.is_some(), "{gvk}");
    }
}

#[test]
fn schemas_inside_of_definitions_are_pruned_at_any_depth() {
    let schema = builtin::schema_of(&Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition")).unwrap();
    let mut value = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {
        "type": "object", "odd": 1, "properties": {"a": {"items": {"odd": 2, "type": "string"}, "default": {"kept": [1]}}},
        "additionalProperties": {"odd": 3},
    }}}]}});
    let base = "spec.versions[0].schema.openAPIV3Schema";
    assert_eq!(
        prune(&schema, &mut value),
        [format!("{base}.additionalProperties.odd"), format!("{base}.odd"), format!("{base}.properties.a.items.odd"),]
    );
    assert_eq!(value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["a"]["default"], json!({"kept": [1]}));
}

#[rstest]
#[case("ConfigMap", json!({"data": {"a": 1}}), "json: cannot unmarshal number into Go struct field ConfigMap.data of type string")]
#[case("Pod", json!({"spec": {"containers": [{"name": 1}]}}),
    "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string")]
#[case("Pod", json!({"spec": {"containers": {}}}),
    "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container")]
#[case("Pod", json!({"spec": {"terminationGracePeriodSeconds": "x"}}),
    "json: cannot unmarshal string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64")]
#[case("Pod", json!({"spec": []}), "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec")]
fn wrong_types_in_built_ins_fail_to_decode(#[case] kind: &str, #[case] value: Value, #[case] expected: &str) {
    let schema = builtin::schema_of(&Gvk::new("", "v1", kind)).unwrap();
    assert_eq!(decode::check_types(&schema, kind, &value).unwrap_err(), expected);
}

#[test]
fn a_schema_survives_being_published() {
    let schema = gadget();
    let published = schema.to_openapi();
    assert_eq!(Schema::parse_resource(&published).to_openapi(), published);
}

#[test]
fn a_schema_of_thousands_of_fields_works() {
    let fields: serde_json::Map<String, Value> = (0..3_000)
        .map(|n| {
            let field = json!({"type": "object", "default": {}, "properties": {
                "value": {"type": "integer", "default": n, "minimum": 0}, "name": {"type": "string", "maxLength": 9}}});
            (format!("field{n}"), field)
        })
        .collect();
    let schema = Schema::from_openapi_v3(&root(json!({"spec": {"type": "object", "properties": fields}}))).unwrap();
    let mut value = json!({"spec": {"field7": {"value": -1, "odd": 1}}});
    assert_eq!(prune(&schema, &mut value), ["spec.field7.odd"]);
    default(&schema, &mut value);
    assert_eq!(value["spec"]["field2999"], json!({"value": 2999}));
    assert_eq!(value["spec"].as_object().unwrap().len(), 3_000);
    assert_eq!(
        texts(&validate(&schema, &value, None)),
        ["spec.field7.value: Invalid value: -1: spec.field7.value in body should be greater than or equal to 0"]
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "spec", "metadata", "kind"]).prop_map(str::to_owned)
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = (prop::sample::select(vec!["string", "integer", "number", "boolean"]), any::<bool>(), any_json()).prop_map(
        |(kind, nullable, default)| match default {
            Value::Null => json!({"type": kind, "nullable": nullable, "minimum": 1, "maxLength": 2}),
            default => json!({"type": kind, "nullable": nullable, "default": default, "pattern": "^a"}),
        },
    );
    leaf.prop_recursive(4, 32, 4, |inner| {
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        prop_oneof![
            (prop::collection::btree_map(name(), inner.clone(), 0..4), flags).prop_map(|(fields, flags)| json!({
                "type": "object", "properties": fields, "required": ["a"],
                "x-kubernetes-preserve-unknown-fields": flags.0, "nullable": flags.1,
                "x-kubernetes-embedded-resource": flags.2,
            })),
            inner.clone().prop_map(|items| json!({
                "type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"],
            })),
            inner.clone().prop_map(|value| json!({"type": "object", "additionalProperties": value})),
            inner.prop_map(|value| json!({"anyOf": [value, {"type": "string"}], "x-kubernetes-int-or-string": true})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pruning_twice_is_pruning_once(schema in any_schema(), value in any_json()) {
        let schema = Schema::parse_resource(&schema);
        let mut pruned = value;
        prune(&schema, &mut pruned);
        let once = pruned.clone();
        prop_assert_eq!(prune(&schema, &mut pruned), Vec::<String>::new());
        prop_assert_eq!(pruned, once);
    }

    #[test]
    fn defaulting_twice_is_defaulting_once(schema in any_schema(), value in any_json()) {
        let schema = Schema::parse_resource(&schema);
        let mut once = value;
        default(&schema, &mut once);
        let mut twice = once.clone();
        default(&schema, &mut twice);
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn an_unchanged_object_is_always_valid(schema in any_schema(), value in any_json()) {
        let schema = Schema::parse_resource(&schema);
        prop_assert_eq!(validate(&schema, &value, Some(&value)), Vec::new());
        // And nothing panics on the way to the errors of a new one.
        let _ = validate_object(&schema, None, &value, None);
    }

    #[test]
    fn any_json_can_be_offered_as_a_schema(value in any_json()) {
        let _ = check(&value, "");
        let _ = Schema::parse(&value).to_openapi();
    }
}
