//! When a node's virt-handler is silent (spec controllers §9).
//!
//! Flow: a node is unresponsive when its object is gone or its heartbeat is older than [`TIMEOUT`]; nothing new is sent there
//! any more, and instances on it whose pods are gone or ended are given up.
//! Guarantees: an instance with a pod that may still run is never given up, however silent its node: that pod may hold the
//! disks. Only somebody who knows that the machine is off may delete the pod.

use std::time::Duration;

use api::names;
use api::v1::VirtualMachineInstance;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, Patch, Plan, Tolerate, kinds};
use crate::vmi::{Phase, PodState};

/// How old a heartbeat may be.
pub const TIMEOUT: Duration = Duration::from_mins(5);
/// Between two looks at a node.
pub const RECHECK: Duration = Duration::from_mins(1);

/// What the events are called.
const UNRESPONSIVE: &str = "NodeUnresponsive";

/// Everything the decision depends on.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The node's name.
    pub name: &'a str,
    /// The node, if there is one.
    pub node: Option<&'a Node>,
    /// The instances handed to it, as the API server has them now.
    pub vmis: Vec<VirtualMachineInstance>,
    /// All pods on it, as the API server has them now.
    pub pods: Vec<Pod>,
    /// A virt-handler is among them.
    pub handler_runs: bool,
    /// There is one DaemonSet of virt-handlers, and it has all of them running.
    pub handlers_healthy: bool,
    /// The present.
    pub now: Time,
}

/// Whether the node is there and its handler was heard of lately. Without a heartbeat there never was a handler to miss; one
/// that is no time proves nothing.
pub fn is_responsive(observed: &Observed<'_>) -> bool {
    let Some(node) = observed.node else { return false };
    let Some(heartbeat) = metadata::annotation(&node.metadata, names::HEARTBEAT_ANNOTATION) else { return true };
    let Ok(heard) = heartbeat.trim_matches('"').parse::<Timestamp>() else { return true };
    observed.now.0.as_second() - heard.as_second() <= i64::try_from(TIMEOUT.as_secs()).unwrap_or(i64::MAX)
}

/// Whether a DaemonSet has all its pods where they should be.
pub fn is_healthy(handlers: &DaemonSet) -> bool {
    let Some(status) = &handlers.status else { return false };
    let desired = status.desired_number_scheduled;
    desired == status.current_number_scheduled || desired == status.number_ready
}

/// Plans what a silent node leads to; nothing for a responsive one.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan::default();
    if is_responsive(observed) {
        return plan;
    }
    if let Some(node) = observed.node {
        let subject = ObjectRef::of(&kinds::NODE, &node.metadata);
        if metadata::label(&node.metadata, names::NODE_SCHEDULABLE_LABEL) == Some("true") {
            let text = "virt-handler is not responsive, marking node as unresponsive";
            plan.actions.push(Action::normal(&subject, UNRESPONSIVE, text));
            plan.actions.push(Action::Patch {
                object: subject.clone(),
                subresource: None,
                patch: Patch::Strategic(json!({"metadata": {"labels": {names::NODE_SCHEDULABLE_LABEL: "false"}}})),
                on_failure: OnFailure::default(),
            });
        }
        let live = observed.vmis.iter().any(|vmi| matches!(Phase::of(vmi), Phase::Running | Phase::Scheduled));
        if live && !observed.handler_runs && observed.handlers_healthy {
            let text = format!("virtual machine instances on node {} have no virt-handler", observed.name);
            plan.actions.push(Action::warning(&subject, UNRESPONSIVE, text));
        }
    }
    for vmi in &observed.vmis {
        if matches!(Phase::of(vmi), Phase::Running | Phase::Scheduled) && !observed.pods.iter().any(|pod| may_run(pod, vmi)) {
            give_up(observed, vmi, &mut plan);
        }
    }
    plan
}

/// Whether a pod is the instance's and may still run its guest.
fn may_run(pod: &Pod, vmi: &VirtualMachineInstance) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let terminated =
        !statuses.is_empty() && statuses.iter().all(|status| status.state.as_ref().is_some_and(|state| state.terminated.is_some()));
    metadata::is_controlled_by(&pod.metadata, metadata::uid(&vmi.metadata)) && !PodState::of(pod).is_down() && !terminated
}

fn give_up(observed: &Observed<'_>, vmi: &VirtualMachineInstance, plan: &mut Plan) {
    let subject = ObjectRef::of(&kinds::VMI, &vmi.metadata);
    let text = format!("virt-handler on node {} is not responsive, marking VMI as failed", observed.name);
    plan.actions.push(Action::normal(&subject, UNRESPONSIVE, text));
    let operations = vec![
        json!({"op": "replace", "path": "/status/phase", "value": Phase::Failed.as_str()}),
        json!({"op": "add", "path": "/status/reason", "value": UNRESPONSIVE}),
    ];
    let tolerant = OnFailure { tolerate: Tolerate::NotFound, ..OnFailure::default() };
    plan.actions.push(Action::json_patch(subject, operations).otherwise(tolerant));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Time {
        Time("2026-01-01T00:10:00Z".parse().unwrap())
    }

    fn node(heartbeat: Option<&str>) -> Node {
        let annotations = heartbeat.map(|at| json!({names::HEARTBEAT_ANNOTATION: at}));
        serde_json::from_value(json!({
            "metadata": {"name": "n1", "annotations": annotations, "labels": {names::NODE_SCHEDULABLE_LABEL: "true"}}
        }))
        .unwrap()
    }

    fn observed(node: Option<&Node>) -> Observed<'_> {
        Observed { name: "n1", node, vmis: vec![], pods: vec![], handler_runs: true, handlers_healthy: true, now: now() }
    }

    fn vmi(phase: &str) -> VirtualMachineInstance {
        serde_json::from_value(json!({"metadata": {"name": "vm", "namespace": "ns", "uid": "u"}, "status": {"phase": phase}})).unwrap()
    }

    fn pod(phase: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "ownerReferences": [
                {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "vm", "uid": "u", "controller": true}
            ]},
            "status": {"phase": phase}
        }))
        .unwrap()
    }

    #[test]
    fn silence_is_an_old_heartbeat_or_no_node() {
        let responsive = |heartbeat| is_responsive(&observed(Some(&node(heartbeat))));
        assert!(responsive(None));
        assert!(responsive(Some("nonsense")));
        assert!(responsive(Some("2026-01-01T00:05:00Z")));
        assert!(!responsive(Some("2026-01-01T00:04:59Z")));
        assert!(!is_responsive(&observed(None)));
    }

    #[test]
    fn instances_are_given_up_only_without_a_pod_that_may_run() {
        let silent = node(Some("2026-01-01T00:00:00Z"));
        let failed = |vmi: VirtualMachineInstance, pods: Vec<Pod>| {
            let plan = plan(&Observed { vmis: vec![vmi], pods, ..observed(Some(&silent)) });
            plan.actions.iter().any(|action| action.object().is_some_and(|object| object.kind == "VirtualMachineInstance"))
        };
        assert!(failed(vmi("Running"), vec![]));
        assert!(failed(vmi("Scheduled"), vec![pod("Failed")]));
        assert!(!failed(vmi("Running"), vec![pod("Running")]));
        assert!(!failed(vmi("Running"), vec![pod("Unknown")]));
        assert!(!failed(vmi("Succeeded"), vec![]));
        assert!(plan(&Observed { vmis: vec![vmi("Running")], ..observed(Some(&node(None))) }).is_quiet());
    }
}
