//! `ferrovirt manifests`: what an administrator applies to a cluster.

use crate::cluster::{NAMESPACE, TAG};
use planner::install::{Installation, objects};

/// Why the manifests cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object cannot be written as YAML.
    #[error("writing YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// The CustomResourceDefinitions and the objects of an installation, as one YAML stream that can be applied front to back.
///
/// Certificates belong to one cluster: the administrator's secrets and trust bundle go in the place of the empty ones.
///
/// # Errors
/// An object cannot be made or written as YAML.
pub fn text(registry: &str, replicas: u32) -> Result<String, Error> {
    let installation = Installation {
        namespace: NAMESPACE.to_owned(),
        registry: registry.to_owned(),
        tag: TAG.to_owned(),
        replicas,
        ca_bundle: String::new(),
        secrets: Vec::new(),
        infra_anywhere: false,
    };
    let mut all = api::crd::values();
    all.extend(objects(&installation));
    let documents = all.iter().map(serde_saphyr::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.join("---\n"))
}
