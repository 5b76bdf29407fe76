//! Whether a pod fits a node, checked in kube-scheduler's order and words; the first check that fails gives the reasons.

use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::info::{NodeInfo, PodInfo};
use crate::labels::{contains, fits_node_selector};

/// Why a node does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) reasons: Vec<String>,
    /// Whether removing other pods could make it fit.
    pub(crate) resolvable: bool,
}

impl Misfit {
    pub(crate) fn unresolvable(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: false }
    }

    pub(crate) fn resolvable(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: true }
    }
}

/// Whether a toleration covers a taint.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
        "Exists" => true,
        _ => false,
    }
}

fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration], effects: &[&str]) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|taint| effects.contains(&taint.effect.as_str()))
        .find(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// How many `PreferNoSchedule` taints of the node the pod does not tolerate.
pub(crate) fn disliked_taints(pod: &PodInfo, node: &NodeInfo) -> usize {
    let tolerations = pod.spec().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let taints = node.node.as_ref().and_then(|node| node.spec.as_ref()).and_then(|spec| spec.taints.as_deref());
    taints
        .unwrap_or_default()
        .iter()
        .filter(|taint| taint.effect == "PreferNoSchedule")
        .filter(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
        .count()
}

/// Whether the node selector and required node affinity of a pod accept a node.
pub(crate) fn fits_affinity(pod: &PodInfo, name: &str, node: &NodeInfo) -> bool {
    let Some(spec) = pod.spec() else { return true };
    if let Some(selector) = &spec.node_selector
        && !contains(selector, &node.labels)
    {
        return false;
    }
    spec.affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref())
        .is_none_or(|selector| fits_node_selector(selector, name, &node.labels))
}

fn ports_conflict(pod: &PodInfo, node: &NodeInfo) -> bool {
    pod.ports.iter().any(|(address, protocol, port)| {
        node.ports.keys().any(|(other, other_protocol, other_port)| {
            port == other_port && protocol == other_protocol && (address == other || address == "0.0.0.0" || other == "0.0.0.0")
        })
    })
}

/// The checks that look at the pod and one node only.
pub(crate) fn fits(pod: &PodInfo, name: &str, node: &NodeInfo) -> Result<(), Misfit> {
    let Some(object) = &node.node else { return Err(Misfit::unresolvable("node(s) were unschedulable")) };
    let node_spec = object.spec.as_ref();
    let taints = node_spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let tolerations = pod.spec().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    if node_spec.and_then(|spec| spec.unschedulable) == Some(true) {
        let taint = Taint { key: "node.kubernetes.io/unschedulable".to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() };
        if !tolerations.iter().any(|toleration| tolerates(toleration, &taint)) {
            return Err(Misfit::unresolvable("node(s) were unschedulable"));
        }
    }
    if let Some(taint) = untolerated(taints, tolerations, &["NoSchedule", "NoExecute"]) {
        return Err(Misfit::unresolvable(format!(
            "node(s) had untolerated taint {{{}: {}}}",
            taint.key,
            taint.value.as_deref().unwrap_or_default()
        )));
    }
    if !fits_affinity(pod, name, node) {
        return Err(Misfit::unresolvable("node(s) didn't match Pod's node affinity/selector"));
    }
    if ports_conflict(pod, node) {
        return Err(Misfit::resolvable("node(s) didn't have free ports for the requested pod ports"));
    }
    fits_resources(pod, node)
}

fn fits_resources(pod: &PodInfo, node: &NodeInfo) -> Result<(), Misfit> {
    let mut reasons = Vec::new();
    let mut resolvable = true;
    let limit = node.allocatable.get("pods").copied().unwrap_or(110_000);
    if i128::try_from(node.pods.len()).unwrap_or(i128::MAX).saturating_add(1).saturating_mul(1000) > limit {
        reasons.push("Too many pods".to_owned());
    }
    for (name, request) in pod.requests.iter().filter(|(_, request)| **request > 0) {
        let allocatable = node.allocatable.get(name).copied().unwrap_or(0);
        let requested = node.requested.get(name).copied().unwrap_or(0);
        if *request > allocatable - requested {
            reasons.push(format!("Insufficient {name}"));
            resolvable &= *request <= allocatable;
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Misfit { reasons, resolvable }) }
}
