//! The node agent's decision about a VMI's phase, row by row.

use anyhow::{Context, Result};
use api::v1::VirtualMachineInstance;
use planner::node::{Domain, DomainStatus, Launcher, phase};
use serde_json::{Value, json};

/// The phase that follows in each row of a table.
pub(crate) fn answer(table: &Value) -> Result<Value> {
    let rows = table.get("rows").and_then(Value::as_array).context("a table has rows")?;
    let next: Vec<String> = rows.iter().map(row).collect::<Result<_>>()?;
    Ok(json!({"rows": next}))
}

fn row(row: &Value) -> Result<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let vmi: VirtualMachineInstance = serde_json::from_value(json!({
        "metadata": {"annotations": row["annotations"]},
        "spec": {"domain": {"devices": {}}, "terminationGracePeriodSeconds": row["terminationGracePeriodSeconds"]},
        "status": {"phase": row["phase"], "migrationState": row["migrationState"]}
    }))?;
    let domain = row.get("domain").filter(|domain| domain.is_object()).map(|domain| Domain {
        status: DomainStatus::parse(&text(&domain["status"])),
        reason: text(&domain["reason"]).into(),
        acpi: domain["acpi"].as_bool().unwrap_or_default(),
        ..Domain::default()
    });
    let flag = |name: &str| row["launcher"][name].as_bool().unwrap_or_default();
    let launcher = Launcher { initialized: flag("initialized"), unresponsive: flag("unresponsive") };
    Ok(phase::next(&vmi, domain.as_ref(), launcher).to_owned())
}
