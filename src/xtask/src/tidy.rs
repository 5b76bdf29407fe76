//! House rules that neither rustc nor clippy knows. Each names the rule it keeps and why.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest allowed source file; one operation a file reads better than one file with all of them.
const LONGEST: usize = 600;

/// Crate borders (ARCHITECTURE.md): folder → dependencies that it must not have.
///
/// A crate that must not do I/O does not have the crates for it.
const BORDERS: &[(&str, &[&str])] = &[
    ("src/api", &["tokio", "hyper", "reqwest", "tracing"]),
    ("src/admission", &["tokio", "kube-client", "hyper", "jiff", "rand"]),
    ("src/domain", &["tokio", "api", "kube", "k8s-openapi", "virt"]),
    ("src/convert", &["tokio", "hyper", "rand", "jiff", "virt"]),
    ("src/planner", &["tokio", "hyper", "rand", "runtime", "kube"]),
    ("src/lifecycle", &["tokio", "async-trait", "futures"]),
    ("src/hypervisor", &["kube", "k8s-openapi", "api"]),
    ("src/hypervisor-libvirt", &["kube", "k8s-openapi", "api"]),
    ("src/apiserver", &["api", "admission", "convert", "planner", "runtime", "domain", "kube"]),
    ("src/simcluster", &["api", "admission", "convert", "planner", "domain"]),
    ("fake-hypervisor", &["virt", "kube", "k8s-openapi", "api", "tempfile"]),
];

/// Words that mark unfinished work.
const LEFT_OVERS: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX", "TODO"];

/// Runs every rule, prints each breach, fails when there is one.
pub fn run(root: &Path) -> Result<()> {
    let mut breaches = Vec::new();
    for (folder, forbidden) in BORDERS {
        breaches.extend(borders(root, folder, forbidden)?);
    }
    for path in sources(root)? {
        breaches.extend(source(root, &path)?);
    }
    for breach in &breaches {
        println!("{breach}");
    }
    if !breaches.is_empty() {
        bail!("{} breaches of the house rules", breaches.len());
    }
    Ok(())
}

/// Dependencies (not dev-dependencies) of a crate that it must not have.
fn borders(root: &Path, folder: &str, forbidden: &[&str]) -> Result<Vec<String>> {
    let path = root.join(folder).join("Cargo.toml");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let manifest = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut section = "";
    let mut breaches = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section == "[dependencies]" {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if forbidden.contains(&name) {
                breaches.push(format!("{folder}/Cargo.toml: must not depend on {name}"));
            }
        }
    }
    Ok(breaches)
}

/// Every Rust file of the repository, in order.
fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.join("src"), root.join("fake-hypervisor"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn source(root: &Path, path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
    let mut breaches = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        breaches.push(format!("{name}: {lines} lines, at most {LONGEST}"));
    }
    // This file names the words it looks for.
    if !name.ends_with("xtask/src/tidy.rs") {
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = LEFT_OVERS.iter().find(|word| line.contains(**word)) {
                breaches.push(format!("{name}:{}: left-over `{word}`", number + 1));
            }
        }
    }
    Ok(breaches)
}
