//! Selectors as query parameters and objects.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn world() -> Vec<(&'static str, BTreeMap<String, String>)> {
    let labels = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    vec![
        ("a", labels(&[("env", "prod"), ("tier", "1")])),
        ("b", labels(&[("env", "dev")])),
        ("c", labels(&[("env", "test"), ("tier", "3")])),
        ("d", labels(&[])),
    ]
}

fn matched(selector: &LabelSelector) -> String {
    world().into_iter().filter(|(_, labels)| selector.matches(labels)).map(|(name, _)| name).collect()
}

#[rstest]
#[case("env=prod", "a")]
#[case("env==prod", "a")]
#[case("env!=prod", "bcd")]
#[case("env in (prod,dev)", "ab")]
#[case("env notin (prod,dev)", "cd")]
#[case("env", "abc")]
#[case("!env", "d")]
#[case("tier>1", "c")]
#[case("tier<3", "a")]
#[case("env=prod,tier=1", "a")]
#[case("env in (prod),tier", "a")]
#[case("env=", "")]
#[case("", "abcd")]
#[case("env in ()", "")]
#[case("in in (in,notin)", "")]
fn label_selectors(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(matched(&LabelSelector::parse(text).unwrap()), expected);
}

#[rstest]
#[case("env=prod=dev", "found '=', expected: ',' or 'end of string'")]
#[case("env in prod", "unable to parse requirement: found 'prod' expected: '('")]
#[case("bad key=1", "unable to parse requirement: found 'key', expected: in, notin, =, ==, !=, gt, lt")]
#[case("env=bad value!", "found 'value', expected: ',' or 'end of string'")]
#[case("tier>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer")]
#[case(",", "found ',', expected: !, identifier, or 'end of string'")]
#[case("a,", "found '', expected: identifier after ','")]
#[case(
    "-x=1",
    "unable to parse requirement: <nil>: Invalid value: \"-x\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)]
fn label_selectors_refused(#[case] text: &str, #[case] why: &str) {
    let error = LabelSelector::parse(text).unwrap_err();
    assert_eq!((error.code, &*error.message), (400, why));
}

#[rstest]
#[case(json!({"matchLabels": {"env": "prod"}}), "a")]
#[case(json!({"matchExpressions": [{"key": "env", "operator": "In", "values": ["dev", "test"]}]}), "bc")]
#[case(json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}, {"key": "env", "operator": "NotIn", "values": ["prod"]}]}), "c")]
#[case(json!({"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]}), "d")]
#[case(json!({}), "abcd")]
#[case(Value::Null, "")]
fn selector_objects(#[case] object: Value, #[case] expected: &str) {
    assert_eq!(matched(&LabelSelector::from_object(Some(&object)).unwrap()), expected);
}

#[rstest]
#[case(json!({"matchExpressions": [{"key": "a", "operator": "Near"}]}), "\"Near\" is not a valid label selector operator")]
#[case(json!({"matchExpressions": [{"key": "a", "operator": "In"}]}), "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")]
fn selector_objects_refused(#[case] object: Value, #[case] why: &str) {
    assert_eq!(LabelSelector::from_object(Some(&object)).unwrap_err().message, why);
}

#[rstest]
#[case("metadata.name=a", "metadata.name", "a", true)]
#[case("metadata.name==a", "metadata.name", "b", false)]
#[case("metadata.name!=a", "metadata.name", "b", true)]
#[case("x=a\\,b\\=c", "x", "a,b=c", true)]
#[case("spec.nodeName=", "other", "", true)]
#[case("", "x", "y", true)]
fn field_selectors(#[case] text: &str, #[case] field: &str, #[case] value: &str, #[case] expected: bool) {
    let selector = FieldSelector::parse(text).unwrap();
    assert_eq!(selector.matches(|name| (name == field).then(|| value.to_owned())), expected);
    assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
}

#[rstest]
#[case("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'")]
#[case("metadata.name in (a,b)", "invalid selector: 'metadata.name in (a,b)'; can't understand 'b)'")]
#[case("a=b\\c", "invalid field selector: invalid escape sequence: \\c")]
fn field_selectors_refused(#[case] text: &str, #[case] why: &str) {
    assert_eq!(FieldSelector::parse(text).unwrap_err().message, why);
}

proptest! {
    #[test]
    fn nothing_panics_and_printing_round_trips(text in "[a-z0-9!=<>(), in./\\\\-]{0,24}") {
        let _ = FieldSelector::parse(&text);
        if let Ok(selector) = LabelSelector::parse(&text) {
            let printed = selector.to_string();
            prop_assert_eq!(LabelSelector::parse(&printed).unwrap().to_string(), printed);
        }
    }
}
