//! What only the API server can judge: workloads that it is asked to create, in a dry run (spec/admission.md §12.1, KV13, KV14).

use api::v1::{KubeVirt, NodePlacement};
use serde_json::{Value, json};

use super::{Request, decode};
use crate::Operation;
use crate::validate::same;

/// An object to be created in a dry run before a request is judged; what the API server says goes to [`super::Known::refused`].
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The kind: `Deployment` or `DaemonSet`, both of `apps/v1`.
    pub kind: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The object.
    pub object: Value,
}

/// What must be tried before a request is judged: placements of the components that an update of the installation changes.
pub fn trials(request: &Request<'_>) -> Vec<Trial> {
    if request.kind != "KubeVirt" || request.operation != Operation::Update {
        return Vec::new();
    }
    // What cannot be read is refused when it is judged.
    let (Ok(new), Some(Ok(old))) = (decode::<KubeVirt>(request.object), request.old.map(decode::<KubeVirt>)) else { return Vec::new() };
    let sides = [("Deployment", &new.spec.infra, &old.spec.infra), ("DaemonSet", &new.spec.workloads, &old.spec.workloads)];
    let changed = sides.into_iter().filter(|(_, new, old)| !same(new, old));
    changed
        .filter_map(|(kind, new, _)| {
            let placement = new.as_ref()?.node_placement.as_ref()?;
            let namespace = super::namespace_of(request).to_owned();
            Some(Trial { kind, object: workload(kind, &namespace, placement), namespace })
        })
        .collect()
}

/// The smallest workload with a placement.
fn workload(kind: &str, namespace: &str, placement: &NodePlacement) -> Value {
    let (label, pod) = (json!({"kubevirt.io/choose-me": ""}), "placement-verification-pod");
    let mut spec = json!(placement);
    spec["containers"] = json!([{"name": pod, "image": "test.only:latest"}]);
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": "placement-validation-webhook", "namespace": namespace},
        "spec": {"selector": {"matchLabels": label}, "template": {"metadata": {"generateName": pod, "labels": label}, "spec": spec}},
    });
    if kind == "Deployment" {
        object["spec"]["replicas"] = json!(1);
    }
    object
}
