//! Area migration-policy: which policy governs a migration, and the settings that result.

use anyhow::Result;
use api::migrations::v1alpha1::MigrationPolicy;
use api::v1::VirtualMachineInstance;
use planner::migration_policy;
use serde_json::{Map, Value, json};

use super::case::Case;

/// The result of a case.
pub fn run(case: &Case) -> Result<Value> {
    let of_kind = |kind: &'static str| case.others.iter().filter(move |o| o.get("kind").and_then(Value::as_str) == Some(kind));
    let policies: Vec<MigrationPolicy> = of_kind("MigrationPolicy").map(|o| serde_json::from_value(o.clone())).collect::<Result<_, _>>()?;
    let vmi: VirtualMachineInstance = serde_json::from_value(case.subject.clone())?;
    let namespace = of_kind("Namespace").find(|o| o.pointer("/metadata/name").and_then(Value::as_str) == vmi.metadata.namespace.as_deref());
    let labels = namespace.and_then(|o| o.pointer("/metadata/labels")).cloned().unwrap_or_else(|| json!({}));
    let labels = serde_json::from_value(labels)?;
    let chosen = migration_policy::select(&policies, vmi.metadata.labels.as_ref(), &labels);
    let mut out = Map::new();
    if let Some(policy) = chosen {
        out.insert("policy".into(), json!(policy.metadata.name));
    }
    let configuration = migration_policy::settings(case.config.migrations(), chosen.map(|p| &p.spec));
    out.insert("configuration".into(), serde_json::to_value(configuration)?);
    Ok(Value::Object(out))
}
