//! `parity AREA [--host-facts FILE] CASE`: what this project makes of a parity case, as one JSON object.
//!
//! Nothing but the product's own code runs here; the comparers beside the cases judge what it prints.

mod admissions;
mod case;
mod controller;
mod instancetypes;
mod reconcile;
mod status;
mod vmi;
mod vmi_lifecycle;
mod vmi_render;
mod vmi_status;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;
use serde_json::Value;

/// Shows what the product makes of a parity case.
#[derive(Parser)]
struct Args {
    /// The area, for example `vmi`.
    area: String,
    /// The facts of the node, for pods and domains.
    #[arg(long)]
    host_facts: Option<PathBuf>,
    /// The case's file.
    case: PathBuf,
}

#[allow(clippy::print_stdout, reason = "the program's output")]
fn main() -> Result<()> {
    let args = Args::parse();
    let case = case::Case::read(&args.case)?;
    let result = match args.area.as_str() {
        "vmi" => vmi::run(&case, args.host_facts.as_deref())?,
        "vm" => {
            let mut out = admissions::vm(&case);
            instancetypes::expanded(&case, &mut out)?;
            controller::run(&case, &mut out)?;
            Value::Object(out)
        }
        "admission-other" => admissions::other(&case)?,
        "instancetype" => instancetypes::run(&case)?,
        "status" => status::answer(case.documents().cloned().collect()).map_err(anyhow::Error::msg)?,
        "vmi-status" => vmi_status::answer(&case.subject)?,
        "vmi-lifecycle" => vmi_lifecycle::answer(case.documents().cloned().collect()).map_err(anyhow::Error::msg)?,
        other => bail!("the area {other} is not measured yet"),
    };
    println!("{result}");
    Ok(())
}
