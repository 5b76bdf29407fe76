//! Area vmi: a VirtualMachineInstance at its creation, its launcher pod and its domain.

use admission::review::{self, Known};
use admission::{Operation, default_vmi};
use anyhow::Result;
use api::v1::{VirtualMachineInstance, VirtualMachineInstancePreset};
use serde_json::{Map, Value, json};

use super::case::{Case, rejection, with_seeds};
use super::vmi_render;

/// The result of a case.
pub fn run(case: &Case, host: Option<&vmi_render::Host>) -> Result<Value> {
    let mut vmi: VirtualMachineInstance = serde_json::from_value(case.subject.clone())?;
    let presets: Vec<VirtualMachineInstancePreset> = case
        .others
        .iter()
        .filter(|o| o.get("kind").and_then(Value::as_str) == Some("VirtualMachineInstancePreset"))
        .map(|o| serde_json::from_value(o.clone()))
        .collect::<Result<_, _>>()?;
    let mut out = Map::new();
    if let Err(denial) = with_seeds(|seeds| default_vmi(&mut vmi, &presets, &case.config, seeds)) {
        rejection(&denial, &mut out);
        return Ok(Value::Object(out));
    }
    // The reference was measured before the steps that only mark the object as new.
    vmi.metadata.finalizers = None;
    if let Some(status) = &mut vmi.status {
        status.phase = None;
        status.phase_transition_timestamps.clear();
    }
    let object = serde_json::to_value(&vmi)?;
    out.insert("mutated".into(), object.clone());
    let request = review::Request { operation: Operation::Create, ..case.request(&object) };
    if let Err(denial) = case.with_lookups(|known: &Known| review::validate(&request, &case.config, known)) {
        rejection(&denial, &mut out);
        return Ok(Value::Object(out));
    }
    out.insert("allowed".into(), json!(true));
    if let Some(host) = host {
        let claims = case
            .others
            .iter()
            .filter(|o| o.get("kind").and_then(Value::as_str) == Some("PersistentVolumeClaim"))
            .map(|o| serde_json::from_value(o.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        match vmi_render::pod(&vmi, &claims, &case.config, host) {
            Ok(pod) => out.insert("pod".into(), pod),
            Err(error) => out.insert("podErr".into(), json!(error.to_string())),
        };
        match vmi_render::domain(&vmi, &case.config, host) {
            Ok(domain) => out.insert("domain".into(), json!(domain)),
            Err(error) => out.insert("domErr".into(), json!(error.to_string())),
        };
    }
    Ok(Value::Object(out))
}
