//! Which of the nodes that fit is best.

use super::filter::disliked_taints;
use super::info::{NodeInfo, PodInfo};
use super::neighbours::Neighbours;
use crate::labels::fits_term;

/// The share of a resource left free after the pod, in percent.
fn free_after(pod: &PodInfo, node: &NodeInfo, resource: &str) -> i64 {
    let allocatable = node.allocatable.get(resource).copied().unwrap_or(0);
    if allocatable <= 0 {
        return 0;
    }
    let taken = node.requested.get(resource).copied().unwrap_or(0) + pod.requests.get(resource).copied().unwrap_or(0);
    i64::try_from(((allocatable - taken) * 100 / allocatable).clamp(0, 100)).unwrap_or(0)
}

/// The score of a node; higher is better. Weights follow kube-scheduler's defaults.
pub(crate) fn score(pod: &PodInfo, name: &str, node: &NodeInfo, neighbours: Option<&Neighbours>) -> i64 {
    let (cpu, memory) = (free_after(pod, node, "cpu"), free_after(pod, node, "memory"));
    let least_allocated = i64::midpoint(cpu, memory);
    let balanced = 100 - (cpu - memory).abs();
    let preferred: i64 = pod
        .spec()
        .and_then(|spec| spec.affinity.as_ref())
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_deref())
        .unwrap_or_default()
        .iter()
        .filter(|term| fits_term(&term.preference, name, &node.labels))
        .map(|term| i64::from(term.weight))
        .sum();
    let siblings = pod.controller.as_ref().and_then(|controller| node.siblings.get(controller)).copied().unwrap_or(0);
    let disliked = i64::try_from(disliked_taints(pod, node)).unwrap_or(i64::MAX / 1000);
    let near = neighbours.map_or(0, |neighbours| neighbours.preference(node));
    least_allocated + balanced + 2 * preferred + 2 * near - 20 * i64::from(siblings) - 300 * disliked
}
