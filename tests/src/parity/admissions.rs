//! Areas vm (its admission) and admission-other.

use admission::EvictionAnswer;
use admission::review::{self, Request};
use anyhow::Result;
use api::v1::VirtualMachineInstance;
use serde_json::{Map, Value, json};

use super::case::{Case, rejection, with_seeds};

/// A VirtualMachine, created or updated: `mutated`, `allowed`, `causes`, `message`.
pub fn vm(case: &Case) -> Map<String, Value> {
    let mut out = Map::new();
    review_both(case, true, &mut out);
    out
}

/// Any other kind.
pub fn other(case: &Case) -> Result<Value> {
    if case.subject.get("kind").and_then(Value::as_str) == Some("Eviction") {
        return eviction(case);
    }
    let mut out = Map::new();
    let kind = case.subject.get("kind").and_then(Value::as_str).unwrap_or_default();
    // Instances are updated in this area, and their mutation shows in the area vmi.
    let mutates = ["VirtualMachineInstanceMigration", "VirtualMachineClone"].contains(&kind) && case.stored.is_none();
    review_both(case, mutates, &mut out);
    Ok(Value::Object(out))
}

fn review_both(case: &Case, mutates: bool, out: &mut Map<String, Value>) {
    let mut object = case.subject.clone();
    if mutates {
        let request = case.request(&case.subject);
        let outcome = case.with_lookups(|known| with_seeds(|seeds| review::mutate(&request, &case.config, known, seeds)));
        match outcome {
            Err(denial) => return rejection(&denial, out),
            Ok(mutated) => {
                if let Some(changed) = mutated.object {
                    object = changed;
                }
                out.insert("mutated".into(), masked(&object));
            }
        }
    }
    let request = Request { object: &object, ..case.request(&object) };
    match case.with_lookups(|known| review::validate(&request, &case.config, known)) {
        Err(denial) => rejection(&denial, out),
        Ok(_) => drop(out.insert("allowed".into(), json!(true))),
    }
}

/// A generated clone target ends in `-xxxxx`.
fn masked(object: &Value) -> Value {
    let mut object = object.clone();
    let source = object.pointer("/spec/source/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if object.get("kind").and_then(Value::as_str) == Some("VirtualMachineClone")
        && let Some(Value::String(name)) = object.pointer_mut("/spec/target/name")
        && name.starts_with(&format!("clone-{source}-"))
    {
        *name = format!("clone-{source}-xxxxx");
    }
    object
}

fn eviction(case: &Case) -> Result<Value> {
    let request = case.request(&case.subject);
    let answer = case.with_lookups(|known| review::evict(&request, &case.config, known));
    let mut out = Map::new();
    match answer {
        Err(denial) => rejection(&denial, &mut out),
        Ok(EvictionAnswer::Allow) => drop(out.insert("allowed".into(), json!(true))),
        Ok(EvictionAnswer::Deny(message)) => {
            out.insert("allowed".into(), json!(false));
            out.insert("message".into(), json!(message));
        }
        Ok(EvictionAnswer::Mark { node, message, descheduler }) => {
            out.insert("allowed".into(), json!(false));
            out.insert("message".into(), json!(message));
            let vmi = case.others.iter().find(|o| o.get("kind").and_then(Value::as_str) == Some("VirtualMachineInstance"));
            if let Some(vmi) = vmi {
                let mut vmi: VirtualMachineInstance = serde_json::from_value(vmi.clone())?;
                review::mark_for_evacuation(&mut vmi, &node, descheduler);
                out.insert("vmi".into(), serde_json::to_value(&vmi)?);
            }
        }
    }
    Ok(Value::Object(out))
}
