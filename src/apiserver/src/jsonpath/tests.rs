//! Paths as in printer columns.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn document() -> Value {
    json!({
        "metadata": {"name": "w", "labels": {"a.b/c": "x"}},
        "spec": {"words": ["one", "two", "three"], "size": 5},
        "status": {"conditions": [
            {"type": "Ready", "status": "True", "n": 1}, {"type": "Paused", "status": "False", "n": 2}
        ]}
    })
}

#[rstest]
#[case(".metadata.name", json!(["w"]))]
#[case("metadata.name", json!(["w"]))]
#[case("{.metadata.name}", json!(["w"]))]
#[case("$.metadata.name", json!(["w"]))]
#[case(".metadata['name']", json!(["w"]))]
#[case(".metadata.labels.a\\.b/c", json!(["x"]))]
#[case(".metadata.labels['a.b/c']", json!(["x"]))]
#[case(".status.conditions[?(@.type=='Ready')].status", json!(["True"]))]
#[case(".status.conditions[?(@.type==\"Paused\")].status", json!(["False"]))]
#[case(".status.conditions[?(@.type!='Ready')].n", json!([2]))]
#[case(".status.conditions[?(@.n>=1)].n", json!([1, 2]))]
#[case(".status.conditions[?(@.n < 2)].n", json!([1]))]
#[case(".status.conditions[?(@.none)].n", json!([]))]
#[case(".status.conditions[*].type", json!(["Ready", "Paused"]))]
#[case(".spec.words[0]", json!(["one"]))]
#[case(".spec.words[-1]", json!(["three"]))]
#[case(".spec.words[1:]", json!(["two", "three"]))]
#[case(".spec.words[:-1]", json!(["one", "two"]))]
#[case(".spec.words[0:3:2]", json!(["one", "three"]))]
#[case(".spec.words[0,2]", json!(["one", "three"]))]
#[case(".spec['size','words']", json!([5, ["one", "two", "three"]]))]
#[case(".spec.*", json!([5, ["one", "two", "three"]]))]
#[case("..type", json!(["Ready", "Paused"]))]
#[case(".none.deeper[3]", json!([]))]
fn paths(#[case] path: &str, #[case] expected: Value) {
    let found: Vec<Value> = JsonPath::parse(path).unwrap().find(&document()).into_iter().cloned().collect();
    assert_eq!(Value::from(found), expected);
}

#[rstest]
#[case("bad[")]
#[case("{.a")]
#[case(".a[?(@.b=='c'")]
#[case(".a['b]")]
#[case(".a[1:2:0]")]
#[case(".a[x]")]
#[case(".a b")]
fn broken_paths(#[case] path: &str) {
    assert!(JsonPath::parse(path).is_err(), "{path}");
}

#[test]
fn plain_paths_can_be_written_at() {
    assert_eq!(JsonPath::parse(".spec.replicas").unwrap().field_names(), Some(vec!["spec", "replicas"]));
    assert_eq!(JsonPath::parse(".spec[0]").unwrap().field_names(), None);
}

proptest! {
    #[test]
    fn nothing_panics(text in "[.a-c0-9\\[\\]?@()='*,:{}$ <>!\\\\é-]{0,24}") {
        if let Ok(path) = JsonPath::parse(&text) {
            let _ = path.find(&document());
        }
    }
}
