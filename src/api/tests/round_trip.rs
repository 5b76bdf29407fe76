//! Nothing that a schema knows is lost when an object is read and written again; and writing is stable.

#![allow(clippy::unwrap_used, reason = "tests may assume")]

use ferrovirt_api as api;
use k8s_openapi::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The object, read and written; `None` if it is of no known kind, an error if it cannot be read.
fn round(object: &Value) -> Option<Result<Value, String>> {
    fn of<T: Resource + DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(object: &Value) -> Option<Result<Value, String>> {
        if object["kind"] != T::KIND {
            return None;
        }
        let read: T = match serde_json::from_value(object.clone()) {
            Ok(read) => read,
            Err(error) => return Some(Err(error.to_string())),
        };
        let written = serde_json::to_value(&read).unwrap();
        let again: T = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), written, "writing is stable");
        Some(Ok(written))
    }
    None.or_else(|| of::<api::v1::KubeVirt>(object))
        .or_else(|| of::<api::v1::VirtualMachine>(object))
        .or_else(|| of::<api::v1::VirtualMachineInstance>(object))
        .or_else(|| of::<api::v1::VirtualMachineInstanceMigration>(object))
        .or_else(|| of::<api::v1::VirtualMachineInstancePreset>(object))
        .or_else(|| of::<api::v1::VirtualMachineInstanceReplicaSet>(object))
        .or_else(|| of::<api::pool::v1beta1::VirtualMachinePool>(object))
        .or_else(|| of::<api::instancetype::v1beta1::VirtualMachineInstancetype>(object))
        .or_else(|| of::<api::instancetype::v1beta1::VirtualMachineClusterInstancetype>(object))
        .or_else(|| of::<api::instancetype::v1beta1::VirtualMachinePreference>(object))
        .or_else(|| of::<api::instancetype::v1beta1::VirtualMachineClusterPreference>(object))
        .or_else(|| of::<api::snapshot::v1beta1::VirtualMachineSnapshot>(object))
        .or_else(|| of::<api::snapshot::v1beta1::VirtualMachineSnapshotContent>(object))
        .or_else(|| of::<api::snapshot::v1beta1::VirtualMachineRestore>(object))
        .or_else(|| of::<api::clone::v1beta1::VirtualMachineClone>(object))
        .or_else(|| of::<api::export::v1::VirtualMachineExport>(object))
        .or_else(|| of::<api::backup::v1alpha1::VirtualMachineBackup>(object))
        .or_else(|| of::<api::backup::v1alpha1::VirtualMachineBackupTracker>(object))
        .or_else(|| of::<api::migrations::v1alpha1::MigrationPolicy>(object))
        .or_else(|| of::<api::plugin::v1alpha1::Plugin>(object))
}

/// The schema of every kind.
fn schemas() -> BTreeMap<String, Value> {
    let definitions = api::crd::all().unwrap();
    let schema = |d: &Value| d["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    let definitions = definitions.iter().map(|d| serde_json::to_value(d).unwrap());
    definitions.map(|d| (d["spec"]["names"]["kind"].as_str().unwrap().to_owned(), schema(&d))).collect()
}

/// What is zero is left out where upstream leaves it out.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
        Value::Bool(true) => false,
    }
}

fn equal(before: &Value, after: &Value) -> bool {
    let amount = |v: &Value| api::quantity::parse(&v.as_str().map_or_else(|| v.to_string(), str::to_owned)).map(|a| a.to_string());
    before == after || (after.is_string() && amount(before).is_some() && amount(before) == amount(after))
}

/// Paths that the schema knows and that are gone.
fn lost(path: &str, before: &Value, after: Option<&Value>, schema: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (before, None) if says_nothing(before) => {}
        (_, None) => found.push(format!("{path}: {before}")),
        (Value::Object(a), Some(Value::Object(b))) => {
            for (key, value) in a {
                let known = schema["properties"].get(key).or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()));
                let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
                if let Some(known) = known.or(open.then_some(&Value::Null)) {
                    lost(&format!("{path}.{key}"), value, b.get(key), known, found);
                }
            }
        }
        (Value::Array(a), Some(Value::Array(b))) if a.len() == b.len() => {
            for (i, (x, y)) in a.iter().zip(b).enumerate() {
                lost(&format!("{path}[{i}]"), x, Some(y), &schema["items"], found);
            }
        }
        (before, Some(after)) if equal(before, after) => {}
        (before, Some(after)) => found.push(format!("{path}: {before} became {after}")),
    }
}

#[test]
fn what_is_read_and_written_is_what_was_there() {
    let schemas = schemas();
    let files = [
        include_str!("../../../tests/parity/vmi.jsonl"),
        include_str!("../../../tests/parity/vm.jsonl"),
        include_str!("../../../tests/parity/instancetype.jsonl"),
        include_str!("../../../tests/parity/admission-other.jsonl"),
        include_str!("../../../tests/parity/migration-policy.jsonl"),
        include_str!("../../../tests/parity/status.jsonl"),
        include_str!("../../../tests/parity/vmi-lifecycle.jsonl"),
    ];
    let (mut kinds, mut total, mut losses) = (std::collections::BTreeSet::new(), 0, Vec::new());
    for line in files.iter().flat_map(|f| f.lines()) {
        let case: Value = serde_json::from_str(line).unwrap();
        for object in case["documents"].as_array().unwrap() {
            // Objects that are wrong on purpose cannot be read.
            let Some(Ok(written)) = round(object) else { continue };
            let kind = object["kind"].as_str().unwrap();
            let before = json!({"spec": object["spec"], "status": object["status"]});
            let mut found = Vec::new();
            lost("", &before, Some(&written), &schemas[kind], &mut found);
            losses.extend(found.into_iter().map(|l| format!("{} {kind}{l}", case["name"])));
            kinds.insert(kind.to_owned());
            total += 1;
        }
    }
    assert!(losses.is_empty(), "{} losses:\n{}", losses.len(), losses.join("\n"));
    assert!(total > 600 && kinds.len() >= 15, "{total} objects of {kinds:?}");
}

#[test]
fn an_unknown_field_is_dropped_and_an_empty_object_can_be_read() {
    for (kind, _) in schemas() {
        let empty = round(&json!({"kind": kind, "spec": {"nobodyKnows": {"this": 1}}})).unwrap_or_else(|| panic!("{kind} has no type"));
        let written = empty.unwrap();
        assert!(!written.to_string().contains("nobodyKnows"), "{kind}");
        assert_eq!(written["kind"], kind.as_str());
    }
}
