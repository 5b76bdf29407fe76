//! The planner's answers to parity cases: `parity AREA FILE`.

extern crate ferrovirt_planner as planner;

#[path = "../../../tests/src/bin/parity/reconcile.rs"]
mod reconcile;
#[path = "../../../tests/src/bin/parity/status.rs"]
mod status;
#[path = "../../../tests/src/bin/parity/vmi_lifecycle.rs"]
mod vmi_lifecycle;

fn main() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let (Some(area), Some(file)) = (args.next(), args.next()) else { return Err("usage: parity AREA FILE".to_owned()) };
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let documents: Result<Vec<serde_json::Value>, _> = text.split("\n---\n").map(serde_json::from_str).collect();
    let documents = documents.map_err(|error| format!("{file}: {error}"))?;
    let answer = match area.as_str() {
        "vmi-lifecycle" => vmi_lifecycle::answer(documents)?,
        "status" => status::answer(documents)?,
        other => return Err(format!("unknown area {other}")),
    };
    #[allow(clippy::print_stdout, reason = "the answer is the program's output")]
    {
        println!("{answer}");
    }
    Ok(())
}
