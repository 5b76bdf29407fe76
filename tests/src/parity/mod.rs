//! Parity with KubeVirt: what this project makes of a case, and whether that is what KubeVirt made of it.
//!
//! Nothing but the product's own code makes the results; [`compare`] judges them, and holds no rule either. The measured cases
//! are in `tests/parity`, one area a file.

mod admissions;
mod case;
pub mod compare;
mod controller;
mod instancetypes;
mod migration_policy;
pub mod pack;
mod reconcile;
pub mod schema;
mod status;
mod vmi;
mod vmi_lifecycle;
mod vmi_render;
mod vmi_status;
mod xml;

use anyhow::{Error, Result, bail};
use serde_json::Value;

pub use case::Case;
pub use vmi_render::Host;

/// What the product makes of a case: one JSON object, whose keys are the stages of its area.
///
/// `host` has the facts of the node, for pods and domains; without it those stages are left out.
///
/// # Errors
/// The area is not measured, or the case has objects that cannot be read.
pub fn render(area: &str, case: &Case, host: Option<&Host>) -> Result<Value> {
    Ok(match area {
        "vmi" => vmi::run(case, host)?,
        "vm" => {
            let mut out = admissions::vm(case);
            instancetypes::expanded(case, &mut out)?;
            controller::run(case, &mut out)?;
            Value::Object(out)
        }
        "admission-other" => admissions::other(case)?,
        "instancetype" => instancetypes::run(case)?,
        "migration-policy" => migration_policy::run(case)?,
        "status" => status::answer(case.documents().cloned().collect()).map_err(Error::msg)?,
        "vmi-lifecycle" => vmi_lifecycle::answer(case.documents().cloned().collect()).map_err(Error::msg)?,
        "vmi-status" => vmi_status::answer(&case.subject)?,
        other => bail!("the area {other} is not measured yet"),
    })
}
