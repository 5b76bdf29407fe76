//! Whether a result is the measured one: values, not bytes.
//!
//! Dropped: nulls and empty values. Masked: random identifiers, times of the measurement, the launcher's random timeout. Sorted:
//! lists whose order means nothing. Everything else must be equal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::xml;

static UUID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").expect("a pattern"));
static TIME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b20[2-4]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").expect("a pattern"));

/// Identifiers that are given, not random.
const GIVEN: &[&str] = &["0f3c7c4e-6a56-4a3f-9d8f-0d5b8a1f7c11", "5d307ca9-b3ef-428c-8861-06e72d69f223"];

/// Keys by which lists of a pod are sorted.
const NAMED: &[&str] = &["name", "mountPath", "devicePath", "key", "containerPort"];

/// Stages whose emptiness counts too.
const ALWAYS: &[&str] = &["allowed", "ready", "created", "rows"];

/// How often a stage matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Matches.
    pub hits: usize,
    /// Cases that have the stage.
    pub total: usize,
}

/// The scores of many cases.
#[derive(Debug, Default)]
pub struct Tally {
    /// By stage.
    pub stages: BTreeMap<String, Score>,
    /// What did not match, in words.
    pub misses: Vec<String>,
}

impl Tally {
    fn note(&mut self, case: &str, stage: &str, problems: Vec<String>) {
        let score = self.stages.entry(stage.to_owned()).or_default();
        score.total += 1;
        score.hits += usize::from(problems.is_empty());
        self.misses.extend(problems.into_iter().take(5).map(|p| format!("{case}: {stage}{p}")));
    }

    /// Scores a case of any area but `vmi`. With `only`, other stages are not looked at.
    pub fn score(&mut self, case: &str, expected: &Value, got: &Value, only: &[&str]) {
        let (want, have) = (stages(expected), stages(got));
        let names: BTreeSet<&String> = want.keys().chain(have.keys()).collect();
        for stage in names.into_iter().filter(|s| only.is_empty() || only.contains(&s.as_str())) {
            let problems = match (want.get(stage), have.get(stage)) {
                (Some(want), Some(have)) => differences(want, have),
                (Some(want), None) => vec![format!(" is missing, want {want}")],
                (None, have) => vec![format!(" is extra: {}", have.cloned().unwrap_or_default())],
            };
            self.note(case, stage, problems);
        }
    }

    /// Scores a case of the area `vmi`.
    pub fn score_vmi(&mut self, case: &str, expected: &Value, got: &Value) {
        let of = |value: &Value, key: &str| value.get(key).cloned().unwrap_or_default();
        self.note(case, "admission", differences(&of(expected, "allowed"), &of(got, "allowed")));
        if expected.get("allowed") == Some(&Value::Bool(false)) {
            self.note(case, "causes", differences(&causes(&of(expected, "causes")), &causes(&of(got, "causes"))));
        }
        self.note(case, "defaults", differences(&scrub_pod(&of(expected, "mutated")), &scrub_pod(&of(got, "mutated"))));
        if expected.get("pod").is_some() {
            self.note(case, "pod", differences(&scrub_pod(&of(expected, "pod")), &scrub_pod(&of(got, "pod"))));
        }
        if let Some(domain) = expected.get("domain").and_then(Value::as_str) {
            let tree = |text: &str| xml::tree(text, &|t| mask(t, &GIVEN[..1])).unwrap_or_else(|e| json!(e.to_string()));
            let mine = got.get("domain").and_then(Value::as_str).unwrap_or_default();
            self.note(case, "domain", differences(&tree(domain), &tree(mine)));
        }
    }
}

/// The comparable form of a result, by stage.
fn stages(result: &Value) -> Map<String, Value> {
    let mut stages = Map::new();
    for (key, value) in result.as_object().into_iter().flatten().filter(|(k, _)| !["file", "warnings"].contains(&k.as_str())) {
        let value = match key.as_str() {
            "causes" => causes(value),
            "actions" => writes(value),
            "objects" => value.as_array().into_iter().flatten().map(|o| Value::Object(stages_of(o))).collect(),
            _ => scrub(value),
        };
        if ALWAYS.contains(&key.as_str()) || !is_empty(&value) {
            stages.insert(key.clone(), value);
        }
    }
    stages
}

fn stages_of(object: &Value) -> Map<String, Value> {
    stages(object)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Causes, sorted by field.
fn causes(list: &Value) -> Value {
    let text = |cause: &Value, key: &str| cause.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut causes: Vec<[String; 3]> =
        list.as_array().into_iter().flatten().map(|c| [text(c, "field"), text(c, "reason"), text(c, "message")]).collect();
    causes.sort();
    json!(causes)
}

/// The set of writes; whether one is a patch or an update is the implementation's choice.
fn writes(list: &Value) -> Value {
    let writes = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    let write =
        |w: &str| w.strip_prefix("patch ").or(w.strip_prefix("update ")).map_or_else(|| w.to_owned(), |rest| format!("write {rest}"));
    json!(writes.map(write).collect::<BTreeSet<_>>())
}

fn mask(text: &str, given: &[&str]) -> String {
    UUID.replace_all(text, |found: &regex::Captures<'_>| if given.contains(&&found[0]) { found[0].to_owned() } else { "UUID".to_owned() })
        .into_owned()
}

/// Masks and drops what says nothing; conditions are sorted by type.
fn scrub(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(k, v)| (k.clone(), scrub(v))).filter(|(_, v)| !is_empty(v)).collect::<Map<_, _>>().into()
        }
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(scrub).collect();
            let conditions = list.iter().all(|v| v.get("type").is_some() && v.get("status").is_some());
            if conditions {
                list.sort_by_key(|v| v["type"].as_str().unwrap_or_default().to_owned());
            }
            Value::Array(list)
        }
        Value::String(text) => json!(TIME.replace_all(&mask(text, GIVEN), "TIME")),
        other => other.clone(),
    }
}

/// As [`scrub`], for pods and instances: lists of named things are sorted by name, and empty texts stay.
fn scrub_pod(value: &Value) -> Value {
    let drops = |v: &Value| v.is_null() || *v == json!({}) || *v == json!([]);
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(k, v)| (k.clone(), scrub_pod(v))).filter(|(_, v)| !drops(v)).collect::<Map<_, _>>().into()
        }
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(scrub_pod).collect();
            mask_timeout(&mut list);
            if let Some(key) = NAMED.iter().find(|key| !list.is_empty() && list.iter().all(|v| v.get(**key).is_some())) {
                list.sort_by_key(|v| (v[*key].to_string(), v.to_string()));
            }
            Value::Array(list)
        }
        Value::String(text) => json!(mask(text, &GIVEN[..1])),
        other => other.clone(),
    }
}

/// How long a launcher waits for its hypervisor is random by rule: 240 to 359 seconds.
fn mask_timeout(arguments: &mut [Value]) {
    let Some(at) = arguments.iter().position(|a| a == "--qemu-timeout") else { return };
    if let Some(value) = arguments.get_mut(at + 1) {
        let seconds = value.as_str().and_then(|v| v.strip_suffix('s')).and_then(|v| v.parse::<u32>().ok());
        if seconds.is_some_and(|s| (240..360).contains(&s)) {
            *value = json!("TIMEOUT");
        }
    }
}

/// Where two values differ.
pub fn differences(want: &Value, have: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect("", want, have, &mut found);
    found
}

fn collect(path: &str, want: &Value, have: &Value, found: &mut Vec<String>) {
    match (want, have) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                match (a.get(key), b.get(key)) {
                    (Some(x), Some(y)) => collect(&format!("{path}.{key}"), x, y, found),
                    (Some(x), None) => found.push(format!("{path}.{key}: missing, want {x}")),
                    (None, y) => found.push(format!("{path}.{key}: extra {}", y.cloned().unwrap_or_default())),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                found.push(format!("{path}: want {} items, got {}", a.len(), b.len()));
            }
            for (i, (x, y)) in a.iter().zip(b).enumerate() {
                collect(&format!("{path}[{i}]"), x, y, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{path}: want {a}, got {b}")),
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use serde_json::json;

    #[test]
    fn values_are_compared_not_bytes() {
        let want =
            json!({"allowed": false, "causes": [{"field": "b", "message": "2"}, {"field": "a", "message": "1"}], "mutated": {"x": null}});
        let mut tally = Tally::default();
        tally.score(
            "one",
            &want,
            &json!({"allowed": false, "causes": [{"field": "a", "message": "1"}, {"field": "b", "message": "2"}]}),
            &[],
        );
        assert!(tally.misses.is_empty(), "{:?}", tally.misses);
        tally.score("two", &want, &json!({"allowed": false}), &[]);
        assert_eq!((tally.stages["causes"].hits, tally.stages["causes"].total, tally.misses.len()), (1, 2, 1));
    }

    #[test]
    fn a_random_timeout_matches_within_its_range_only() {
        let pod = |t: &str| json!({"allowed": true, "pod": {"args": ["--qemu-timeout", t]}});
        let mut tally = Tally::default();
        tally.score_vmi("in", &pod("287s"), &pod("240s"));
        assert_eq!(tally.stages["pod"].hits, 1);
        tally.score_vmi("out", &pod("287s"), &pod("5s"));
        assert_eq!(tally.stages["pod"].hits, 1);
    }
}
