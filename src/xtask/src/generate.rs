//! Writes, or checks, the generated part of `deploy/`.

use anyhow::{Context, Result, bail};
use planner::install::{Installation, objects};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes every generated file, or with `check` names the stale ones and fails.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let deploy = root.join("deploy");
    let wanted = files()?;
    let mut stale: Vec<PathBuf> = Vec::new();
    for (name, text) in &wanted {
        let path = deploy.join(name);
        if fs::read_to_string(&path).is_ok_and(|old| old == *text) {
            continue;
        }
        if !check {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
            }
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        stale.push(path);
    }
    for path in &stale {
        println!("{} {}", if check { "stale:" } else { "wrote" }, path.display());
    }
    if check && !stale.is_empty() {
        bail!("{} generated files are stale; run `cargo run -p xtask -- generate`", stale.len());
    }
    Ok(())
}

/// File name below `deploy/` → text.
fn files() -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for crd in api::crd::all()? {
        let name = crd.metadata.name.clone().context("a CustomResourceDefinition has no name")?;
        all.insert(format!("crds/{name}.yaml"), api::crd::to_yaml(&crd)?);
    }
    // The trust bundle and the secrets belong to one cluster; the administrator's certificates go in their place.
    let installation = Installation {
        namespace: "kubevirt".into(),
        registry: "ferrovirt".into(),
        tag: concat!("v", env!("CARGO_PKG_VERSION")).into(),
        replicas: 2,
        ca_bundle: String::new(),
        secrets: Vec::new(),
        infra_anywhere: false,
    };
    let documents = objects(&installation).iter().map(yaml).collect::<Result<Vec<_>>>()?;
    all.insert("kubevirt.yaml".into(), documents.join("---\n"));
    Ok(all)
}

fn yaml(value: &serde_json::Value) -> Result<String> {
    let text = serde_saphyr::to_string(value)?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}
