use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::rules::validate;
use super::{AccessCheck, Authorize, CelError, Composed, Environment, Program, Variables};
use crate::error::FieldError;
use crate::schema::Schema;

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn with_rules(rules: &Value) -> Value {
    json!({"type": "object", "properties": {
        "size": {"type": "integer"}, "replicas": {"type": "integer"}, "ratio": {"type": "number"},
        "name": {"type": "string"}, "namespace": {"type": "string"}, "foo-bar": {"type": "string"},
        "my_field": {"type": "string"}, "since": {"type": "string", "format": "date-time"},
        "wait": {"type": "string", "format": "duration"}, "blob": {"type": "string", "format": "byte"},
        "port": {"x-kubernetes-int-or-string": true}, "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "items": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"k": {"type": "string"}}},
    }, "x-kubernetes-validations": rules})
}

fn schema(rule: &Value) -> Schema {
    let schema = json!({"type": "object", "properties": {"spec": with_rules(&json!([rule]))}});
    Schema::from_openapi_v3(&schema).unwrap_or_else(|errors| panic!("{:?}", texts(&errors)))
}

fn run(rule: &str, spec: &Value) -> Vec<String> {
    texts(&validate(&schema(&json!({"rule": rule})), &json!({"spec": spec}), None))
}

#[rstest]
#[case("self.replicas <= self.size", json!({"replicas": 1, "size": 2}), true)]
#[case("self.replicas <= self.size", json!({"replicas": 3, "size": 2}), false)]
#[case("!has(self.name) || self.name.startsWith('a')", json!({}), true)]
#[case("has(self.name)", json!({"name": null}), false)]
#[case("self.ratio == 3.0", json!({"ratio": 3}), true)]
#[case("self.__namespace__ == 'n' && self.foo__dash__bar == 'b' && self.my_field == 'm'",
    json!({"namespace": "n", "foo-bar": "b", "my_field": "m"}), true)]
#[case("self.since > timestamp('2024-01-01T00:00:00Z')", json!({"since": "2025-01-01T00:00:00Z"}), true)]
#[case("self.wait <= duration('1h')", json!({"wait": "30m"}), true)]
#[case("size(self.blob) == 3", json!({"blob": "YWJj"}), true)]
#[case("type(self.port) == int ? self.port > 0 : self.port.endsWith('%')", json!({"port": "5%"}), true)]
#[case("type(self.port) == int ? self.port > 0 : self.port.endsWith('%')", json!({"port": 0}), false)]
#[case("self.labels.all(k, k.startsWith('x')) && self.labels['x-y'] == 'v'", json!({"labels": {"x-y": "v"}}), true)]
#[case("self.items.map(i, i.n).sum() == 6", json!({"items": [{"n": 1}, {"n": 2}, {"n": 3}]}), true)]
#[case("self.items.exists_one(i, i.s == 'a')", json!({"items": [{"s": "a"}, {"s": "a"}]}), false)]
#[case("self.?name.orValue('none') == 'none'", json!({}), true)]
#[case("cel.bind(n, self.size * 2, n * n == 16)", json!({"size": 2}), true)]
#[case("self.?name.optMap(n, n + '!').orValue('-') == 'a!'", json!({"name": "a"}), true)]
#[case("quantity('1Gi').isGreaterThan(quantity('500Mi'))", json!({}), true)]
#[case("self.name.matches('^[a-z]+$') && isURL('https://a.b')", json!({"name": "abc"}), true)]
#[case("self.name.find('[0-9]+') == '42'", json!({"name": "a42b"}), true)]
#[case("has(self.open.k) && self.open.k == 'v'", json!({"open": {"k": "v", "unknown": 1}}), true)]
#[case("'a' in self.tags && self.tags.all(t, size(t) == 1)", json!({"tags": ["b", "a"]}), true)]
#[case("sets.contains(self.tags, ['a'])", json!({"tags": ["a"]}), true)]
fn rules_are_evaluated(#[case] rule: &str, #[case] spec: Value, #[case] holds: bool) {
    let expected: Vec<String> = if holds { Vec::new() } else { vec![format!("spec: Invalid value: failed rule: {rule}")] };
    assert_eq!(run(rule, &spec), expected);
}

#[rstest]
#[case("self.items[5].n == 1", json!({"items": []}),
    "spec: Invalid value: \"object\": index out of bounds: 5 evaluating rule: self.items[5].n == 1")]
#[case("self.labels['x'] == ''", json!({"labels": {}}),
    "spec: Invalid value: \"object\": no such key: x evaluating rule: self.labels['x'] == ''")]
#[case("self.items.map(i, i.n).sum() > 0", json!({"items": [{"n": i64::MAX}, {"n": 1}]}),
    "spec: Invalid value: \"object\": integer overflow evaluating rule: self.items.map(i, i.n).sum() > 0")]
#[case("1 / self.size == 1", json!({"size": 0}), "spec: Invalid value: \"object\": division by zero evaluating rule: 1 / self.size == 1")]
fn rules_that_cannot_be_evaluated_say_why(#[case] rule: &str, #[case] spec: Value, #[case] expected: &str) {
    assert_eq!(run(rule, &spec), [expected]);
}

#[rstest]
#[case("self.nope == 1", "compilation failed: ERROR: <input>:1:5: undefined field 'nope'\n | self.nope == 1\n | ....^")]
#[case("true &&\n nope", "compilation failed: ERROR: <input>:2:2: undeclared reference to 'nope' (in container '')\n |  nope\n | .^")]
#[case("self.size", "cel expression must evaluate to a bool")]
#[case(
    "self.size == 'a'",
    "compilation failed: ERROR: <input>:1:11: found no matching overload for '_==_' applied to '(int, string)'\n | self.size == 'a'\n | ..........^"
)]
#[case(
    "self.ratio > 'a'",
    "compilation failed: ERROR: <input>:1:12: found no matching overload for '_>_' applied to '(double, string)'\n | self.ratio > 'a'\n | ...........^"
)]
#[case(
    "self.items.all(i, i.x == 1)",
    "compilation failed: ERROR: <input>:1:20: undefined field 'x'\n | self.items.all(i, i.x == 1)\n | ...................^"
)]
#[case(
    "Object{}.x == 1",
    "compilation failed: ERROR: <input>:1:1: undeclared reference to 'Object' (in container '')\n | Object{}.x == 1\n | ^"
)]
#[case(
    "self.name.frobnicate()",
    "compilation failed: ERROR: <input>:1:11: undeclared reference to 'frobnicate' (in container '')\n | self.name.frobnicate()\n | ..........^"
)]
fn rules_that_do_not_compile_are_refused(#[case] rule: &str, #[case] expected: &str) {
    let schema = json!({"type": "object", "properties": {"spec": with_rules(&json!([{"rule": rule, "message": "m"}]))}});
    let errors = texts(&Schema::from_openapi_v3(&schema).unwrap_err());
    assert_eq!(errors.len(), 1, "{errors:?}");
    let (_, detail) = errors[0].split_once("\"OptionalOldSelf\":null}: ").unwrap();
    assert_eq!(detail, expected);
}

#[test]
fn transition_rules_need_an_old_value() {
    let schema = schema(&json!({"rule": "self.name == oldSelf.name", "message": "name is fixed"}));
    let object = |name: &str, size: i64| json!({"spec": {"name": name, "size": size}});
    assert_eq!(validate(&schema, &object("a", 1), None), Vec::new());
    assert_eq!(validate(&schema, &object("a", 2), Some(&object("a", 1))), Vec::new());
    assert_eq!(texts(&validate(&schema, &object("b", 1), Some(&object("a", 1)))), ["spec: Invalid value: name is fixed"]);
}

#[test]
fn optional_old_self_runs_on_creation() {
    let rule = json!({"rule": "oldSelf.hasValue() || self.size == 1", "optionalOldSelf": true, "message": "starts at one"});
    let schema = schema(&rule);
    let object = |size: i64| json!({"spec": {"size": size}});
    assert_eq!(texts(&validate(&schema, &object(2), None)), ["spec: Invalid value: starts at one"]);
    assert_eq!(validate(&schema, &object(2), Some(&object(1))), Vec::new());
}

#[test]
fn messages_reasons_and_paths_are_those_of_the_rule() {
    let rule = json!({"rule": "self.size > 5", "messageExpression": "'size is ' + string(self.size)",
        "reason": "FieldValueForbidden", "fieldPath": ".size"});
    let spec = json!({"spec": {"size": 3}});
    assert_eq!(texts(&validate(&schema(&rule), &spec, None)), ["spec.size: Forbidden: size is 3"]);
    let broken = json!({"rule": "self.size > 5", "messageExpression": "self.name", "message": "too small"});
    assert_eq!(texts(&validate(&schema(&broken), &spec, None)), ["spec: Invalid value: too small"]);
}

#[test]
fn an_unchanged_value_that_a_new_rule_refuses_is_tolerated() {
    let schema = schema(&json!({"rule": "self.size > 5"}));
    let old = json!({"spec": {"size": 1}});
    assert_eq!(validate(&schema, &old, Some(&old)), Vec::new());
    assert_eq!(validate(&schema, &json!({"spec": {"size": 2}}), Some(&old)).len(), 1);
}

#[test]
fn the_order_of_sets_does_not_matter() {
    let schema = schema(&json!({"rule": "self.tags == oldSelf.tags", "message": "fixed"}));
    let object = |tags: Value| json!({"spec": {"tags": tags}});
    let old = object(json!(["a", "b"]));
    assert_eq!(validate(&schema, &object(json!(["b", "a"])), Some(&old)), Vec::new());
    assert_eq!(validate(&schema, &object(json!(["b", "c"])), Some(&old)).len(), 1);
}

#[test]
fn nested_loops_over_long_lists_are_cut_short() {
    let rule = "self.items.all(a, self.items.all(b, self.items.all(c, a.n + b.n + c.n >= 0)))";
    let items: Vec<Value> = (0..400).map(|n| json!({"n": n})).collect();
    let errors = run(rule, &json!({"items": items}));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("cost limit exceeded"), "{errors:?}");
}

struct OnlyGet;

impl Authorize for OnlyGet {
    fn check(&self, check: &AccessCheck) -> Result<(bool, String), String> {
        if check.verb == "fail" {
            return Err("broken".to_owned());
        }
        Ok((check.verb == "get" && check.resource == "pods", "because".to_owned()))
    }
}

#[rstest]
#[case("object.metadata.name == request.name", Ok(true))]
#[case("oldObject == null", Ok(true))]
#[case("object.metadata.labels['a-b'] == 'c'", Ok(true))]
#[case("request.namespace == 'ns' && namespaceObject.metadata.name == 'ns'", Ok(true))]
#[case("variables.big && variables.bigger", Ok(true))]
#[case("has(object.spec.nope)", Ok(false))]
#[case("object.spec.nope == 1", Err("no such key: nope"))]
#[case("variables.broken", Err("composited variable \"broken\" fails to evaluate: no such key: nope"))]
#[case("variables.big || variables.missing", Err("undefined field 'missing'"))]
#[case("authorizer.group('').resource('pods').namespace('ns').check('get').allowed()", Ok(true))]
#[case("authorizer.requestResource.check('get').reason() == 'because'", Ok(true))]
#[case("authorizer.requestResource.check('fail').error() == 'broken'", Ok(true))]
#[case("authorizer.path('/healthz').check('get').allowed()", Ok(false))]
#[case("params.limit", Err("undeclared reference to 'params'"))]
fn policies_see_their_variables(#[case] source: &str, #[case] expected: Result<bool, &str>) {
    let object = json!({"metadata": {"name": "n", "labels": {"a-b": "c"}}, "spec": {"replicas": 5}});
    let request = json!({"name": "n", "namespace": "ns"});
    let namespace = json!({"metadata": {"name": "ns"}});
    let mut env = Environment::admission(false, true);
    let mut programs = Vec::new();
    for (name, source) in [("big", "object.spec.replicas > 1"), ("broken", "object.spec.nope"), ("bigger", "variables.big && true")] {
        programs.push((name.to_owned(), Program::compile(source, &env).unwrap()));
        env = env.with_composed(name);
    }
    let composed = Composed::new(&programs);
    let authorizer = Arc::new(OnlyGet);
    let asked = AccessCheck { resource: "pods".to_owned(), ..AccessCheck::default() };
    let variables = Variables::new()
        .with("object", &object)
        .with("oldObject", &Value::Null)
        .with("request", &request)
        .with("namespaceObject", &namespace)
        .with_authorizer(authorizer, Some(asked))
        .with_composed(&composed);
    let result = Program::compile(source, &env).and_then(|program| program.eval_bool(&variables));
    match (result, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(CelError::Run(text) | CelError::Compile(text)), Err(expected)) => {
            assert!(text.contains(expected), "{text}");
        }
        (found, expected) => panic!("{found:?}, not {expected:?}"),
    }
}

#[test]
fn expressions_give_strings_and_json() {
    let object = json!({"a": {"b": [1, "x"]}});
    let env = Environment::admission(false, false);
    let variables = Variables::new().with("object", &object);
    let text = Program::compile("'b has ' + string(size(object.a.b))", &env).unwrap();
    assert_eq!(text.eval_string(&variables).unwrap(), "b has 2");
    assert_eq!(text.result_type(), "string");
    let json = Program::compile("{'op': 'add', 'value': object.a.b, 'at': timestamp('2024-01-01T00:00:00Z')}", &env).unwrap();
    assert_eq!(json.eval_json(&variables).unwrap(), json!({"op": "add", "value": [1, "x"], "at": "2024-01-01T00:00:00Z"}));
}

fn any_expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "-9223372036854775808",
        "9223372036854775807",
        "0",
        "2u",
        "1.5",
        "1e308",
        "'a'",
        "b'x'",
        "''",
        "true",
        "null",
        "[]",
        "{}",
        "object",
        "object.a",
        "object.list",
        "object.nope",
        "duration('1h')",
        "timestamp('2024-01-01T00:00:00Z')",
        "duration('9999999999h')",
        "timestamp('9999-12-31T23:59:59Z')",
        "optional.none()",
        "quantity('1Gi')",
        "nope",
        "type(1)",
        "dyn(1)",
        "-1",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let binary = prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"]);
        let method = prop::sample::select(vec![
            "size()",
            "all(x, x == 1)",
            "exists(x, x)",
            "map(x, x + x)",
            "filter(x, true)",
            "a",
            "?a",
            "contains('a')",
            "matches('(')",
            "split('')",
            "substring(1, 0)",
            "charAt(-1)",
            "orValue(1)",
            "optMap(x, x)",
            "value()",
            "getFullYear()",
            "sum()",
            "min()",
            "slice(2, 1)",
            "find('[a')",
            "lowerAscii()",
            "format([1])",
            "reverse()",
            "add(quantity('1'))",
            "replace('a', 'b', -1)",
            "join(',')",
            "indexOf('a', 99)",
            "isSorted()",
        ]);
        let call = prop::sample::select(vec![
            "size",
            "int",
            "uint",
            "double",
            "string",
            "bool",
            "has",
            "type",
            "bytes",
            "duration",
            "timestamp",
            "cidr",
            "ip",
            "url",
            "semver",
            "math.least",
            "sets.contains",
            "base64.decode",
        ]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), method).prop_map(|(a, method)| format!("({a}).{method}")),
            (call, inner.clone()).prop_map(|(call, a)| format!("{call}({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("cel.bind(y, {a}, [y, {b}])")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_expression_brings_the_server_down(source in any_expression()) {
        let object = json!({"a": "x", "list": [1, 2]});
        if let Ok(program) = Program::compile(&source, &Environment::admission(false, false)) {
            let _ = program.eval(&Variables::new().with("object", &object));
        }
    }

    #[test]
    fn no_text_brings_the_parser_down(source in "[a-z0-9'\"()\\[\\]{}.?:!&|<>=+*/ -]{0,24}") {
        let _ = Program::compile(&source, &Environment::admission(false, false));
    }
}
