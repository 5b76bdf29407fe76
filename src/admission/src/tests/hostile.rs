//! Whatever is sent: an answer comes, it is the same when asked again, and it does not depend on how often defaults were set.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};

use self::mutations::{Asked, Dice, EXAMPLES, KINDS};
use crate as admission;
use crate::{Operation, review};
use api::config::ClusterConfig;

#[path = "../../fuzz/mutations.rs"]
mod mutations;

/// Asks everything there is to ask about an object; that answers come is what is checked.
fn ask_all(kind: &str, object: &Value, old: Option<&Value>, config: &ClusterConfig) {
    for operation in [Operation::Create, Operation::Update, Operation::Delete] {
        for subresource in ["", "status"] {
            let old = old.filter(|_| operation != Operation::Create);
            let asked = Asked { kind, operation, subresource, object, old };
            let mutated = asked.mutated(config);
            drop(asked.validated(config));
            if let Ok(Some(mutated)) = mutated {
                drop(Asked { object: &mutated, ..asked }.validated(config));
            }
        }
    }
    let eviction = Asked { kind: "Eviction", operation: Operation::Create, subresource: "", object, old: None };
    drop(eviction.answer(config, review::evict));
}

/// Every gate is on, so that as many rules as possible run.
static OPEN: LazyLock<ClusterConfig> = LazyLock::new(|| {
    let gates: Vec<&str> = api::config::gates::all().map(|(name, _)| name).collect();
    super::cluster(&gates, json!({}))
});

/// As a cluster is when nobody configured it.
static CLOSED: LazyLock<ClusterConfig> = LazyLock::new(|| ClusterConfig::from_kubevirt(None));

/// Values that programs choke on.
fn hostile() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!(0)),
        Just(json!(-1)),
        Just(json!(1)),
        Just(json!(u64::MAX)),
        Just(json!(i64::MIN)),
        Just(json!(u32::MAX)),
        Just(json!(1.5e300)),
        Just(json!("")),
        Just(json!("/")),
        Just(json!("..")),
        Just(json!("!")),
        Just(json!("999999999999999999999999Ei")),
        Just(json!("-1Gi")),
        Just(json!("1e-30")),
        Just(json!("0")),
        Just(json!("%")),
        Just(json!("2147483648%")),
        Just(json!("h")),
        Just(json!("1h-")),
        Just(json!("\u{0}\u{202e}é\u{1F980}")),
        Just(json!("x".repeat(5000))),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null])),
        Just(json!([{}])),
        Just(json!({"": {}})),
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
    ]
}

/// Where to change an object, and to what: each number picks among the children of the node it meets.
fn change() -> impl Strategy<Value = (Vec<usize>, Value)> {
    (prop::collection::vec(0_usize..40, 1..9), hostile())
}

fn set(node: &mut Value, path: &[usize], value: &Value) {
    let Some((first, rest)) = path.split_first() else {
        *node = value.clone();
        return;
    };
    match node {
        Value::Object(fields) if !fields.is_empty() => {
            let at = first % fields.len();
            if let Some((_, child)) = fields.iter_mut().nth(at) {
                set(child, rest, value);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = first % list.len();
            set(&mut list[at], rest, value);
        }
        leaf => *leaf = value.clone(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "spec",
        "status",
        "metadata",
        "template",
        "domain",
        "devices",
        "disks",
        "volumes",
        "networks",
        "interfaces",
        "cpu",
        "memory",
        "name",
        "source",
        "target",
        "instancetype",
        "preference",
        "labels",
        "annotations",
        "namespace",
        "configuration",
        "selectors",
    ]);
    hostile().prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_answered(kind in prop::sample::select(KINDS.to_vec()), object in any_json(), old in any_json()) {
        let mut object = object;
        if let Value::Object(fields) = &mut object {
            fields.insert("kind".into(), json!(kind));
            fields.insert("apiVersion".into(), json!("kubevirt.io/v1"));
        }
        ask_all(kind, &object, Some(&old), &OPEN);
    }

    #[test]
    fn changed_examples_are_answered(
        pick in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let examples = &*EXAMPLES;
        let mut object = examples[pick.index(examples.len())].clone();
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let old = examples[other.index(examples.len())].clone();
        for (path, value) in &changes {
            set(&mut object, path, value);
        }
        ask_all(&kind, &object, Some(&old), &OPEN);
        ask_all(&kind, &object, Some(&old), &CLOSED);
    }

    #[test]
    fn any_configuration_is_lived_with(pick in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 1..6)) {
        let examples = &*EXAMPLES;
        let mut kubevirt = json!({"spec": {"configuration": {
            "evictionStrategy": "LiveMigrate", "machineType": "q35", "emulatedMachines": ["q35*"], "cpuRequest": "1",
            "liveUpdateConfiguration": {"maxHotplugRatio": 4, "maxCpuSockets": 8, "maxGuest": "4Gi"},
            "network": {"defaultNetworkInterface": "bridge", "permitBridgeInterfaceOnPodNetwork": true},
            "permittedHostDevices": {"pciHostDevices": [{"resourceName": "r", "pciVendorSelector": "10DE:2342"}]},
        }}});
        for (path, value) in &changes {
            set(&mut kubevirt, path, value);
        }
        let Ok(kubevirt) = serde_json::from_value(kubevirt) else { return Ok(()) };
        let config = ClusterConfig::from_kubevirt(Some(&kubevirt));
        let object = &examples[pick.index(examples.len())];
        ask_all(object["kind"].as_str().unwrap_or_default(), object, None, &config);
    }
}

/// Objects that are put together wrongly, of every kind: see `mutations`.
#[test]
fn objects_with_wrong_structure_are_answered() {
    let mut dice = Dice(1);
    for kind in KINDS {
        let examples: Vec<&Value> = EXAMPLES.iter().filter(|example| example["kind"] == *kind).collect();
        assert!(!examples.is_empty(), "there is no {kind}");
        for _ in 0..600 {
            let mut object = examples[dice.below(examples.len())].clone();
            let mut old = examples[dice.below(examples.len())].clone();
            mutations::mutate(&mut object, &mut dice);
            if dice.below(3) == 0 {
                mutations::mutate(&mut old, &mut dice);
            }
            ask_all(kind, &object, Some(&old), if dice.below(2) == 0 { &OPEN } else { &CLOSED });
        }
    }
}

#[test]
fn expressions_of_plugins_are_answered() {
    let mut dice = Dice(2);
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..4000 {
        let expression = mutations::expression(&mut dice);
        let plugin = json!({"kind": "Plugin", "metadata": {"name": "o"}, "spec": {
            "domainHooks": [{"cel": {"expression": expression}}], "nodeHooks": [{"socket": "s", "permittedHooks": ["PreVMStart"], "condition": expression}],
        }});
        let asked = Asked { kind: "Plugin", operation: Operation::Create, subresource: "", object: &plugin, old: None };
        match asked.validated(&OPEN) {
            Ok(_) => passed += 1,
            Err(denial) => {
                assert!(denial.message.starts_with("invalid CEL "), "{expression}: {}", denial.message);
                refused += 1;
            }
        }
    }
    assert!(refused > 3000, "{passed} passed, {refused} refused");
}

/// What a mutating webhook adds every time: these are lists and clocks, not defaults.
fn without_marks(mut object: Value) -> Value {
    for path in ["/metadata", "/status"] {
        if let Some(fields) = object.pointer_mut(path).and_then(Value::as_object_mut) {
            fields.remove("finalizers");
            fields.remove("phaseTransitionTimestamps");
        }
    }
    object
}

#[test]
fn setting_defaults_twice_is_setting_them_once() {
    let mut judged = 0;
    for config in [&*CLOSED, &*OPEN] {
        for object in EXAMPLES.iter() {
            let kind = object["kind"].as_str().unwrap();
            let asked = Asked { kind, operation: Operation::Create, subresource: "", object, old: None };
            let Ok(Some(once)) = asked.mutated(config) else { continue };
            let Some(twice) = (Asked { object: &once, ..asked }).mutated(config).unwrap() else { continue };
            assert_eq!(without_marks(twice), without_marks(once), "{kind} {}", object["metadata"]["name"]);
            judged += 1;
        }
    }
    assert!(judged > 300, "{judged} objects have defaults");
}

#[test]
fn an_accepted_object_that_does_not_change_stays_accepted() {
    let config = &*OPEN;
    let mut judged = 0;
    for object in EXAMPLES.iter() {
        let kind = object["kind"].as_str().unwrap();
        if kind == "KubeVirt" {
            // What it says is judged when it changes only.
            continue;
        }
        let create = Asked { kind, operation: Operation::Create, subresource: "", object, old: None };
        let Ok(stored) = create.mutated(config).map(|m| m.unwrap_or_else(|| object.clone())) else { continue };
        if (Asked { object: &stored, ..create }).validated(config).is_err() {
            continue;
        }
        let update = Asked { kind, operation: Operation::Update, subresource: "", object: &stored, old: Some(&stored) };
        let again = update.mutated(config).unwrap().unwrap_or_else(|| stored.clone());
        let verdict = Asked { object: &again, ..update }.validated(config);
        assert!(verdict.is_ok(), "{kind} {}: {}", object["metadata"]["name"], verdict.unwrap_err().message);
        judged += 1;
    }
    assert!(judged > 200, "{judged} objects are accepted");
}

#[test]
fn an_answer_does_not_depend_on_being_asked_before() {
    let config = &*OPEN;
    for object in EXAMPLES.iter() {
        let kind = object["kind"].as_str().unwrap();
        let asked = Asked { kind, operation: Operation::Create, subresource: "", object, old: None };
        assert_eq!(asked.validated(config), asked.validated(config));
    }
}
