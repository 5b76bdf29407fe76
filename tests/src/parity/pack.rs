//! The packed cases: a file an area, a JSON object a line.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::Host;

/// A measured case.
#[derive(Debug, Deserialize)]
pub struct Packed {
    /// Its name.
    pub name: String,
    /// Its documents, the subject last.
    pub documents: Vec<Value>,
    /// What KubeVirt made of it.
    pub expected: Value,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("parity").join(name)
}

/// A file of the cases' folder.
///
/// # Errors
/// It cannot be read.
pub fn text(name: &str) -> Result<String> {
    let path = file(name);
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// The cases of an area.
///
/// # Errors
/// There is no such area, or a line is no case.
pub fn cases(area: &str) -> Result<Vec<Packed>> {
    let content = text(&format!("{area}.jsonl"))?;
    content.lines().map(|line| serde_json::from_str(line).with_context(|| format!("a case of {area}"))).collect()
}

/// The facts of the node that pods and domains depend on.
///
/// # Errors
/// They cannot be read.
pub fn host() -> Result<Host> {
    serde_json::from_str(&text("host.json")?).context("decoding the host's facts")
}
