//! What strangers send: patches, selectors, expressions, bodies and whole requests, made up at random from a fixed seed. Nothing
//! may panic or answer 500, and the laws of the engines hold. `APISERVER_FUZZ=100` asks for a hundred times as many.

#![allow(clippy::unwrap_used, reason = "tests may assume")]

use std::sync::Arc;

use bytes::Bytes;
use ferrovirt_apiserver::auth::UserInfo;
use ferrovirt_apiserver::cel::{Environment, Program, Variables};
use ferrovirt_apiserver::env::{Entropy, Env};
use ferrovirt_apiserver::fieldmanager::{self, Manager, Operation, Tracked};
use ferrovirt_apiserver::http::{ApiServer, protobuf};
use ferrovirt_apiserver::net::Unreachable;
use ferrovirt_apiserver::patch;
use ferrovirt_apiserver::resource::Gvk;
use ferrovirt_apiserver::schema::{self, Schema};
use ferrovirt_apiserver::selector::{FieldSelector, LabelSelector};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

/// Runs a property on values of a fixed sequence.
fn check<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let times: u32 = std::env::var("APISERVER_FUZZ").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let config = Config { cases: cases * times, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    if let Err(error) = runner.run(&strategy, property) {
        panic!("{error}");
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c", "name", "k", "metadata", "spec", "data", "labels", "containers", "image", "ports"]).prop_map(ToOwned::to_owned),
        1 => "[ -~]{0,6}",
        1 => "\\PC{0,3}",
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-5_i64..5).prop_map(Value::from),
        prop::sample::select(vec![json!(1.5), json!(i64::MAX), json!(u64::MAX), json!(-0.0), json!(1e300)]),
        word().prop_map(Value::from),
    ]
}

fn value(nulls: bool) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![9 => scalar(), u32::from(nulls) => Just(Value::Null)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object(nulls: bool) -> impl Strategy<Value = Value> {
    prop::collection::btree_map(word(), value(nulls), 0..5).prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// Objects of a built-in kind with lists of every kind, some of them misshapen.
fn deployment() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let port = (1..4_u16, prop::sample::select(vec!["TCP", "UDP"]))
        .prop_map(|(port, protocol)| json!({"containerPort": port, "protocol": protocol}));
    let environment = (name.clone(), 0..3_u8).prop_map(|(name, value)| json!({"name": name, "value": value.to_string()}));
    let container =
        (name.clone(), prop::option::of(name.clone()), prop::collection::vec(port, 0..3), prop::collection::vec(environment, 0..3))
            .prop_map(|(name, image, ports, env)| {
                let mut container = json!({"name": name, "ports": unique(ports, &["containerPort"]), "env": unique(env, &["name"])});
                if let Some(image) = image {
                    container["image"] = image.into();
                }
                container
            });
    let labels = prop::collection::btree_map(name.clone(), 0..3_u8, 0..3)
        .prop_map(|map| Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value.to_string().into())).collect()));
    (labels, prop::option::of(0..5_u8), prop::collection::vec(container, 0..3), prop::collection::btree_set(name, 0..3)).prop_map(
        |(labels, replicas, containers, finalizers)| {
            let mut object = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": labels, "finalizers": finalizers},
                "spec": {"template": {"spec": {"containers": unique(containers, &["name"])}}}
            });
            if let Some(replicas) = replicas {
                object["spec"]["replicas"] = replicas.into();
            }
            object
        },
    )
}

/// The items of a list, the first of each key.
fn unique(items: Vec<Value>, keys: &[&str]) -> Value {
    let mut seen: Vec<Vec<Value>> = Vec::new();
    let new = |item: &Value| {
        let key: Vec<Value> = keys.iter().map(|key| item[*key].clone()).collect();
        let fresh = !seen.contains(&key);
        seen.push(key);
        fresh
    };
    let mut new = new;
    Value::Array(items.into_iter().filter(|item| new(item)).collect())
}

fn deployment_schema() -> Arc<Schema> {
    schema::builtin::schema_of(&Gvk::new("apps", "v1", "Deployment")).unwrap()
}

/// The merge patch from one document to another.
fn difference(from: &Value, to: &Value) -> Value {
    let (Some(from), Some(to)) = (from.as_object(), to.as_object()) else { return to.clone() };
    let gone = from.keys().filter(|name| !to.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = to.iter().filter(|(name, value)| from.get(*name) != Some(value)).map(|(name, value)| {
        let patch = match from.get(name) {
            Some(before) if before.is_object() && value.is_object() => difference(before, value),
            _ => value.clone(),
        };
        (name.clone(), patch)
    });
    Value::Object(gone.chain(changed).collect::<Map<String, Value>>())
}

#[test]
fn the_merge_patch_of_a_difference_leads_there() {
    check(400, (object(false), object(false)), |(from, to)| {
        let patch = difference(&from, &to).to_string();
        prop_assert_eq!(patch::merge_patch(&from, patch.as_bytes()).unwrap(), to);
        Ok(())
    });
    check(300, (object(false), object(false), object(false)), |(from, to, other)| {
        let patch = difference(&from, &to).to_string();
        let once = patch::merge_patch(&other, patch.as_bytes()).unwrap();
        prop_assert_eq!(patch::merge_patch(&once, patch.as_bytes()).unwrap(), once, "twice is once");
        Ok(())
    });
    check(300, (object(true), value(true)), |(object, patch)| {
        let _ = patch::merge_patch(&object, patch.to_string().as_bytes());
        Ok(())
    });
}

#[test]
fn json_patches_apply_as_a_whole_or_not_at_all() {
    let pointer = prop::collection::vec(prop_oneof![3 => word(), 1 => "[0-3]", 1 => Just("-".to_owned())], 0..4)
        .prop_map(|parts| parts.iter().fold(String::new(), |path, part| path + "/" + &part.replace('~', "~0").replace('/', "~1")));
    let name = prop::sample::select(vec!["add", "remove", "replace", "move", "copy", "test", "", "jump"]);
    let operation = (name, pointer.clone(), pointer, value(true))
        .prop_map(|(op, path, from, value)| json!({"op": op, "path": path, "from": from, "value": value}));
    check(600, (object(true), prop::collection::vec(operation, 0..5)), |(object, operations)| {
        let all = patch::json_patch(&object, json!(operations).to_string().as_bytes());
        // One after the other is the same as all at once.
        let single = operations.iter().try_fold(object.clone(), |object, operation| {
            patch::json_patch(&object, json!([operation]).to_string().as_bytes()).map_err(|error| error.code)
        });
        prop_assert_eq!(all.map_err(|error| error.code), single);
        Ok(())
    });
    check(300, prop::collection::vec(any::<u8>(), 0..64), |bytes| {
        let _ = patch::json_patch(&json!({}), &bytes);
        let _ = patch::merge_patch(&json!({}), &bytes);
        Ok(())
    });
}

#[test]
fn strategic_patches_are_idempotent() {
    let schema = deployment_schema();
    check(250, (deployment(), deployment()), |(object, patch)| {
        let once = patch::strategic_merge(&object, &patch, Some(&schema)).unwrap();
        let twice = patch::strategic_merge(&once, &patch, Some(&schema)).unwrap();
        prop_assert_eq!(&twice, &once);
        let names = |of: &Value| -> Vec<Value> {
            of["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten().map(|c| c["name"].clone()).collect()
        };
        for name in names(&object).iter().chain(&names(&patch)) {
            prop_assert_eq!(names(&once).iter().filter(|found| *found == name).count(), 1, "every container once");
        }
        Ok(())
    });
    // Directives and nonsense in any place.
    let directive = prop::sample::select(vec![
        json!({"$patch": "delete"}),
        json!({"$patch": "replace"}),
        json!({"$patch": "odd"}),
        json!({"$retainKeys": ["a"]}),
        json!([{"name": "a", "$patch": "delete"}]),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
        json!({"$deleteFromPrimitiveList/finalizers": ["a", 1]}),
        json!([[1], null, {"$patch": "replace"}]),
        Value::Null,
    ]);
    let place = prop::sample::select(vec![
        "",
        "/spec",
        "/metadata",
        "/spec/template/spec",
        "/spec/template/spec/containers",
        "/metadata/finalizers",
    ]);
    check(250, (deployment(), deployment(), directive, place), |(object, mut patch, directive, place)| {
        match (patch.pointer_mut(place), directive) {
            (Some(Value::Object(map)), Value::Object(more)) => map.extend(more),
            (Some(found), other) => *found = other,
            (None, _) => {}
        }
        let _ = patch::strategic_merge(&object, &patch, Some(&schema));
        let _ = patch::strategic_merge(&object, &patch, None);
        Ok(())
    });
}

fn manager(name: &str, operation: Operation) -> Manager {
    Manager {
        name: name.to_owned(),
        operation,
        api_version: "apps/v1".to_owned(),
        subresource: String::new(),
        time: "2030-01-01T00:00:00Z".to_owned(),
        tracked: Tracked::except(&[]),
    }
}

#[test]
fn applying_again_changes_nothing_and_what_is_no_longer_applied_goes() {
    let schema = deployment_schema();
    let schema = Some(&*schema);
    let one = manager("one", Operation::Apply);
    check(200, (deployment(), deployment(), deployment()), |(first, second, other)| {
        let made = fieldmanager::apply(None, &first, &one, false, schema).unwrap();
        let again = fieldmanager::apply(Some(&made), &first, &one, false, schema).unwrap();
        prop_assert_eq!(&again, &made);
        // The only owner of everything may change everything, and then what it says is all there is.
        let moved = fieldmanager::apply(Some(&made), &second, &one, false, schema).unwrap();
        let fresh = fieldmanager::apply(None, &second, &one, false, schema).unwrap();
        prop_assert_eq!(
            bare(&moved)["metadata"]["labels"].as_object().map_or(0, Map::len),
            bare(&fresh)["metadata"]["labels"].as_object().map_or(0, Map::len)
        );
        // With force everything applied is there, whoever had it.
        let two = manager("two", Operation::Apply);
        let forced = fieldmanager::apply(Some(&moved), &other, &two, true, schema).unwrap();
        prop_assert_eq!(&fieldmanager::apply(Some(&forced), &other, &two, false, schema).unwrap(), &forced, "now it owns them");
        for (name, value) in other["metadata"]["labels"].as_object().unwrap() {
            prop_assert_eq!(&forced["metadata"]["labels"][name], value);
        }
        // An update takes fields over: the first one may conflict, but never fails otherwise.
        let mut updated = second.clone();
        updated["metadata"]["managedFields"] = forced["metadata"]["managedFields"].clone();
        fieldmanager::track_update(Some(&forced), &mut updated, &manager("three", Operation::Update), schema);
        if let Err(error) = fieldmanager::apply(Some(&updated), &first, &one, false, schema) {
            prop_assert_eq!(error.code, 409);
        }
        Ok(())
    });
    check(200, (object(true), object(true)), |(live, applied)| {
        let _ = fieldmanager::apply(Some(&live), &applied, &one, true, schema);
        let mut new = applied;
        fieldmanager::track_update(Some(&live), &mut new, &manager("u", Operation::Update), None);
        Ok(())
    });
}

fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("managedFields");
    object
}

#[test]
fn selectors_survive_printing() {
    let text = prop_oneof![
        2 => r"[a-c]{1,2}(=|==|!=|>|<)[a-c0-9]{0,2}(,!?[a-c](/[a-c])?)?",
        2 => r"[a-c]{1,2} (in|notin) \([a-c]{0,2}(,[a-c]{0,2}){0,2}\)",
        1 => r"[a-c=!<>,() in.]{0,24}",
        1 => r"\PC{0,12}",
    ];
    check(1500, (text, prop::collection::btree_map("[a-c]{1,2}", "[a-c0-9]{0,2}", 0..3)), |(text, labels)| {
        if let Ok(selector) = LabelSelector::parse(&text) {
            let printed = selector.to_string();
            let again = LabelSelector::parse(&printed);
            prop_assert!(again.is_ok(), "{text:?} is printed as {printed:?}");
            prop_assert_eq!(again.unwrap().matches(&labels), selector.matches(&labels));
        }
        if let Ok(selector) = FieldSelector::parse(&text) {
            let again = FieldSelector::parse(&selector.to_string()).unwrap();
            prop_assert_eq!(again.terms(), selector.terms());
        }
        Ok(())
    });
}

/// Expressions that mostly parse.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "object",
            "object.a",
            "object.list",
            "object.map",
            "oldObject",
            "x",
            "true",
            "null",
            "1",
            "-1",
            "2u",
            "1.5",
            "'a'",
            "b'a'",
            "[]",
            "{}",
            "[1, 'a']",
            "{'k': 1}",
            "object.?a.b",
            "9223372036854775807",
            "duration('1h')",
            "timestamp('2030-01-01T00:00:00Z')",
            "quantity('1Gi')",
            "url('https://a')",
            "ip('::1')",
            "semver('1.2.3')",
            "type(1)",
            "optional.none()"
        ])
        .prop_map(ToOwned::to_owned),
        "[a-z'\"0-9.\\[\\](){}+*/%!?:,-]{0,8}",
    ];
    leaf.prop_recursive(5, 24, 3, |inner| {
        let operator = prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"]);
        let method = prop::sample::select(vec![
            "size()",
            "matches('a+')",
            "contains('a')",
            "split(',')",
            "replace('', 'b')",
            "substring(1)",
            "format([1])",
            "sum()",
            "max()",
            "indexOf('a')",
            "isSorted()",
            "flatten()",
            "distinct()",
            "reverse()",
            "charAt(0)",
            "join('')",
            "find('a')",
            "orValue(1)",
            "lowerAscii()",
            "getHours()",
            "asInteger()",
            "isGreaterThan(quantity('1'))",
            "escaped()",
        ]);
        let loops = prop::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            (inner.clone(), method).prop_map(|(a, call)| format!("({a}).{call}")),
            (inner.clone(), loops, inner.clone()).prop_map(|(a, call, b)| format!("({a}).{call}(x, {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("cel.bind(x, {a}, {b})")),
            inner.clone().prop_map(|a| format!("has({a})")),
            inner.clone().prop_map(|a| format!("string({a})")),
            inner.prop_map(|a| format!("Object{{spec: Object.spec{{a: {a}}}}}")),
        ]
    })
}

#[test]
fn expressions_compile_and_run_or_say_why_not() {
    let object = json!({"a": "text", "list": [1, 2, "c"], "map": {"k": {"b": null}}, "n": 3.5});
    let environment = Environment::admission(false, false);
    let with_objects = environment.clone().with_objects();
    check(700, expression(), |source| {
        for environment in [&environment, &with_objects] {
            if let Ok(program) = Program::compile(&source, environment) {
                let variables = Variables::new().with("object", &object).with("oldObject", &Value::Null);
                let _ = program.eval(&variables);
                let _ = program.eval_json(&variables);
            }
        }
        Ok(())
    });
}

#[test]
fn expressions_that_could_run_for_ever_are_not_run() {
    let wide = json!({"list": (0..2_000).collect::<Vec<u32>>()});
    let variables = Variables::new().with("object", &wide);
    let environment = Environment::admission(false, false);
    let mut source = "true".to_owned();
    for depth in 1..=4 {
        source = format!("object.list.all(x{depth}, {source})");
        let outcome = Program::compile(&source, &environment).unwrap().eval(&variables).map(|_| ()).map_err(|error| error.to_string());
        let expected = if depth == 1 { Ok(()) } else { Err("operation cancelled: actual cost limit exceeded".to_owned()) };
        assert_eq!(outcome, expected, "{depth} loops");
    }
    // Deeper than any parser's stack.
    for (open, close) in [("(", ")"), ("[", "]"), ("!", ""), ("-", ""), ("object.list.map(x, ", ")"), ("{'a': ", "}")] {
        let source = format!("{}1{}", open.repeat(5_000), close.repeat(5_000));
        assert!(Program::compile(&source, &environment).is_err(), "{open}");
    }
}

/// Changes bytes here and there, and cuts or repeats parts.
fn broken(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..6);
    changes.prop_map(move |changes| {
        let mut bytes = whole.clone();
        for (index, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => bytes.truncate(at),
                _ => bytes.extend_from_within(at..),
            }
            bytes.truncate(4096);
        }
        bytes
    })
}

/// A ConfigMap as protobuf: `metadata { name: "c" labels { "a": "b" } }`, `data { "k": "v" }`.
fn encoded() -> Vec<u8> {
    let map = b"\x0a\x0d\x0a\x01c\x5a\x06\x0a\x01a\x12\x01b\x12\x00\x12\x06\x0a\x01k\x12\x01v";
    let mut bytes = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12".to_vec();
    bytes.push(u8::try_from(map.len()).unwrap());
    bytes.extend_from_slice(map);
    bytes
}

#[test]
fn decoders_take_or_refuse() {
    check(1500, broken(encoded()), |bytes| {
        let _ = protobuf::decode(&bytes);
        Ok(())
    });
    let documents = [
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {? b : c}}\ndata:\n  k: |\n    text\n  l: >-\n    more\n  m: &x !!str 1\n  n: *x\n",
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\\u0041\\ud83d\\ude00\"},\"data\":{\"k\":\"v\",\"k\":\"w\"}}",
    ];
    for document in documents {
        check(500, broken(document.as_bytes().to_vec()), |bytes| {
            for yaml in [false, true] {
                let _ = ferrovirt_apiserver::registry::decode::parse(&bytes, yaml);
            }
            Ok(())
        });
    }
}

/// Whole requests: the method, path, headers and body of one that works, broken.
#[test]
fn no_request_breaks_the_server() {
    let at: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let env = Env { now: Arc::new(move || at), entropy: Entropy::from_seed(1), dialer: Arc::new(Unreachable) };
    let server = ApiServer::builder(env).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);
    let group = prop::sample::select(vec![
        "/api/v1",
        "/apis/apps/v1",
        "/apis/apiextensions.k8s.io/v1",
        "/apis/authorization.k8s.io/v1",
        "/apis",
        "/openapi/v3",
        "/",
    ]);
    let resource = prop::sample::select(vec![
        "",
        "/namespaces/default/configmaps",
        "/namespaces/default/pods",
        "/namespaces/default/deployments",
        "/customresourcedefinitions",
        "/subjectaccessreviews",
        "/nodes",
        "/namespaces",
    ]);
    let name = prop_oneof![
        Just(String::new()),
        "/[a-c]",
        "/[ -~&&[^?#]]{0,8}",
        Just("/a/status".to_owned()),
        Just("/a/scale".to_owned()),
        Just("/a/log".to_owned())
    ];
    let query = prop::sample::select(vec![
        "",
        "?limit=1",
        "?limit=x",
        "?continue=abc",
        "?fieldSelector=a",
        "?labelSelector=a%20in%20(b",
        "?dryRun=All",
        "?fieldManager=f&force=true",
        "?resourceVersion=0",
        "?resourceVersionMatch=Exact",
        "?fieldValidation=Strict",
        "?propagationPolicy=Foreground",
        "?pretty=1",
        "?%ff=%zz",
    ]);
    let media = prop::sample::select(vec![
        "application/json",
        "application/yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
        "application/vnd.kubernetes.protobuf",
        "text/plain",
        "",
    ]);
    let accept = prop::sample::select(vec![
        "*/*",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "text/html",
        ";;q=,",
    ]);
    let bodies = prop_oneof![
        object(true).prop_map(|object| object.to_string().into_bytes()),
        deployment().prop_map(|object| object.to_string().into_bytes()),
        broken(b"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"}}".to_vec()),
        broken(b"[{\"op\":\"add\",\"path\":\"/data/x\",\"value\":\"y\"},{\"op\":\"copy\",\"from\":\"/data\",\"path\":\"/data/z\"}]".to_vec()),
        broken(encoded()),
        broken(b"{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{\"name\":\"as.b.c\"},\"spec\":{\"group\":\"b.c\",\"scope\":\"Namespaced\",\
\"names\":{\"plural\":\"as\",\"kind\":\"A\"},\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\
\"properties\":{\"spec\":{\"type\":\"object\",\"x-kubernetes-validations\":[{\"rule\":\"self.a > 1\"}]}}}}}]}}".to_vec()),
    ];
    check(
        1200,
        (method, group, resource, name, query, (media, accept, bodies)),
        |(method, group, resource, name, query, (media, accept, body))| {
            let name = if method == "POST" { String::new() } else { name };
            let uri = format!("{group}{resource}{name}{query}");
            let request = Request::builder().method(method).uri(&uri).header("content-type", media).header("accept", accept);
            let Ok(request) = request.body(Full::new(Bytes::from(body.clone()))) else { return Ok(()) };
            let (status, answer) = runtime.block_on(async {
                let response = tower::ServiceExt::oneshot(server.client_service_as(UserInfo::admin()), request).await.unwrap();
                let status = response.status().as_u16();
                (status, response.into_body().collect().await.unwrap().to_bytes())
            });
            let text = String::from_utf8_lossy(&answer);
            // Some mistakes are 500 in the original too: those say what was wrong with the request.
            let excused = [
                "failed to create typed patch object",
                "resourceVersion should not be set",
                "unable to convert",
                "may not be",
                "must be",
                "cannot be",
            ];
            prop_assert!(
                status != 500 || excused.iter().any(|words| text.contains(words)),
                "{method} {uri} {media}: {}\n{text}",
                String::from_utf8_lossy(&body)
            );
            Ok(())
        },
    );
}
