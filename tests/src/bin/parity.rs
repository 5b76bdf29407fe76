//! `parity AREA [--host-facts FILE] CASE`: what this project makes of a parity case, as one JSON object.
//!
//! Nothing but the product's own code runs here; the comparers beside the cases judge what it prints.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use ferrovirt_tests::parity::{Case, Host, render};

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
    let case = Case::read(&args.case)?;
    let host: Option<Host> = match &args.host_facts {
        Some(path) => Some(serde_json::from_str(&std::fs::read_to_string(path)?).context("decoding the host's facts")?),
        None => None,
    };
    println!("{}", render(&args.area, &case, host.as_ref())?);
    Ok(())
}
