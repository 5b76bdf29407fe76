//! Area instancetype: the admission of instance types and preferences, and of a VirtualMachine that refers to them.

use admission::Operation;
use admission::instancetype;
use admission::review;
use anyhow::Result;
use api::v1::VirtualMachine;
use serde_json::{Map, Value, json};

use super::case::{Case, rejection};
use super::{admissions, controller};

/// The result of a case, without what the VM controller makes of it.
pub fn run(case: &Case) -> Result<Value> {
    let mut out = Map::new();
    let kind = |object: &Value| object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind(&case.subject) == "VirtualMachine" {
        out = admissions::vm(case);
        expanded(case, &mut out)?;
        controller::run(case, &mut out)?;
    }
    let objects: Vec<Value> = case
        .documents()
        .filter(|o| kind(o).ends_with("Instancetype") || kind(o).ends_with("Preference"))
        .map(|o| judged(case, o))
        .collect();
    if !objects.is_empty() {
        out.insert("objects".into(), Value::Array(objects));
    }
    Ok(Value::Object(out))
}

fn judged(case: &Case, object: &Value) -> Value {
    let mut out = Map::new();
    for (key, at) in [("kind", "/kind"), ("name", "/metadata/name")] {
        out.insert(key.into(), object.pointer(at).cloned().unwrap_or_default());
    }
    let request = review::Request { old: None, operation: Operation::Create, ..case.request(object) };
    match case.with_lookups(|known| review::validate(&request, &case.config, known)) {
        Err(denial) => rejection(&denial, &mut out),
        Ok(_) => drop(out.insert("allowed".into(), json!(true))),
    }
    Value::Object(out)
}

/// What the expand-spec subresource returns.
pub(crate) fn expanded(case: &Case, out: &mut Map<String, Value>) -> Result<()> {
    let Some(mutated) = out.get("mutated").filter(|_| out.get("allowed") == Some(&json!(true))) else { return Ok(()) };
    if case.operation() != Operation::Create {
        return Ok(());
    }
    let vm: VirtualMachine = serde_json::from_value(mutated.clone())?;
    if vm.spec.instancetype.is_none() && vm.spec.preference.is_none() {
        return Ok(());
    }
    let namespace = vm.metadata.namespace.clone().unwrap_or_default();
    let found = case.with_lookups(|known| instancetype::find(&vm, &namespace, known));
    match found.and_then(|resolved| instancetype::expand(&vm, &resolved, &case.config)) {
        Ok(vm) => out.insert("expanded".into(), serde_json::to_value(&vm.spec)?),
        Err(denial) => out.insert("expandError".into(), json!(denial.message)),
    };
    Ok(())
}
