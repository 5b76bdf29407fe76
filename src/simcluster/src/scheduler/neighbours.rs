//! Rules about other pods: affinity, anti-affinity, topology spread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, PodAffinityTerm, TopologySpreadConstraint};

use super::filter::{Misfit, fits_affinity};
use super::info::{NodeInfo, PodInfo};
use crate::labels::{Labels, selects};
use crate::store::Store;

/// Topology key and value.
type Domain = (String, String);

/// What the other pods mean for one pod, computed once an attempt.
pub(crate) struct Neighbours {
    /// Domains that a term of existing pods forbids.
    forbidden: BTreeSet<Domain>,
    /// For each required affinity term, the domains with a matching pod.
    wanted: Vec<(String, BTreeSet<String>)>,
    /// Whether the pod itself satisfies all its affinity terms and no pod matches any: the first of its group goes anywhere.
    first_of_group: bool,
    /// For each required anti-affinity term, the domains with a matching pod.
    avoided: Vec<(String, BTreeSet<String>)>,
    /// For each hard spread constraint, the matching pods a domain.
    spread: Vec<Spread>,
    /// Weights of preferred affinity by domain.
    preferred: BTreeMap<Domain, i64>,
}

struct Spread {
    key: String,
    max_skew: i64,
    counts: BTreeMap<String, i64>,
    minimum: i64,
    own: i64,
    hard: bool,
}

/// Whether a pod is meant by a term of `owner`.
fn meant(term: &PodAffinityTerm, owner: &PodInfo, pod: &PodInfo, namespaces: &Store<Namespace>) -> bool {
    let listed = term.namespaces.as_deref().unwrap_or_default();
    let by_selector = term.namespace_selector.as_ref().is_some_and(|selector| {
        let key = crate::store::Key::new("", pod.key.namespace.clone());
        let labels = namespaces.get(&key).and_then(|namespace| namespace.metadata.labels.clone()).unwrap_or_default();
        selects(selector, &labels)
    });
    let in_namespace = by_selector
        || listed.contains(&pod.key.namespace)
        || (listed.is_empty() && term.namespace_selector.is_none() && owner.key.namespace == pod.key.namespace);
    in_namespace
        && term.label_selector.as_ref().is_some_and(|selector| selects(selector, &pod.labels))
        && term.match_label_keys.iter().flatten().all(|key| owner.labels.get(key) == pod.labels.get(key))
}

fn constraints(pod: &PodInfo) -> &[TopologySpreadConstraint] {
    pod.spec().and_then(|spec| spec.topology_spread_constraints.as_deref()).unwrap_or_default()
}

impl Neighbours {
    /// `None` when no rule about other pods applies: the common case, which costs nothing.
    pub(crate) fn of(pod: &PodInfo, nodes: &BTreeMap<String, NodeInfo>, repelling: usize, namespaces: &Store<Namespace>) -> Option<Self> {
        let affinity = pod.spec().and_then(|spec| spec.affinity.as_ref());
        let attracted = pod.required_terms(false);
        let repelled = pod.required_terms(true);
        let preferred_near = affinity
            .and_then(|affinity| affinity.pod_affinity.as_ref())
            .and_then(|terms| terms.preferred_during_scheduling_ignored_during_execution.as_deref())
            .unwrap_or_default();
        let preferred_far = affinity
            .and_then(|affinity| affinity.pod_anti_affinity.as_ref())
            .and_then(|terms| terms.preferred_during_scheduling_ignored_during_execution.as_deref())
            .unwrap_or_default();
        let own_rules = attracted.len() + repelled.len() + preferred_near.len() + preferred_far.len();
        if own_rules == 0 && repelling == 0 && constraints(pod).is_empty() {
            return None;
        }
        let mut result = Self {
            forbidden: BTreeSet::new(),
            wanted: attracted.iter().map(|term| (term.topology_key.clone(), BTreeSet::new())).collect(),
            first_of_group: !attracted.is_empty() && attracted.iter().all(|term| meant(term, pod, pod, namespaces)),
            avoided: repelled.iter().map(|term| (term.topology_key.clone(), BTreeSet::new())).collect(),
            spread: Vec::new(),
            preferred: BTreeMap::new(),
        };
        for node in nodes.values() {
            for key in &node.repelling {
                let Some(other) = node.pods.get(key) else { continue };
                for term in other.required_terms(true) {
                    if let Some(value) = node.labels.get(&term.topology_key)
                        && meant(term, other, pod, namespaces)
                    {
                        result.forbidden.insert((term.topology_key.clone(), value.clone()));
                    }
                }
            }
            if own_rules > 0 {
                for other in node.pods.values() {
                    result.see(pod, other, &node.labels, namespaces, (attracted, repelled));
                    for (terms, sign) in [(preferred_near, 1), (preferred_far, -1)] {
                        for weighted in terms {
                            let term = &weighted.pod_affinity_term;
                            if let Some(value) = node.labels.get(&term.topology_key)
                                && meant(term, pod, other, namespaces)
                            {
                                *result.preferred.entry((term.topology_key.clone(), value.clone())).or_default() +=
                                    sign * i64::from(weighted.weight);
                            }
                        }
                    }
                }
            }
        }
        result.first_of_group &= result.wanted.iter().all(|(_, domains)| domains.is_empty());
        result.spread = constraints(pod).iter().map(|constraint| Spread::of(constraint, pod, nodes)).collect();
        Some(result)
    }

    fn see(
        &mut self,
        pod: &PodInfo,
        other: &Arc<PodInfo>,
        labels: &Labels,
        namespaces: &Store<Namespace>,
        (attracted, repelled): (&[PodAffinityTerm], &[PodAffinityTerm]),
    ) {
        for (terms, found) in [(attracted, &mut self.wanted), (repelled, &mut self.avoided)] {
            for (term, (key, domains)) in terms.iter().zip(found.iter_mut()) {
                if let Some(value) = labels.get(key.as_str())
                    && meant(term, pod, other, namespaces)
                {
                    domains.insert(value.clone());
                }
            }
        }
    }

    /// Whether a node is allowed.
    pub(crate) fn fits(&self, node: &NodeInfo) -> Result<(), Misfit> {
        for spread in self.spread.iter().filter(|spread| spread.hard) {
            let Some(value) = node.labels.get(&spread.key) else {
                return Err(Misfit::unresolvable("node(s) didn't match pod topology spread constraints (missing required label)"));
            };
            let count = spread.counts.get(value).copied().unwrap_or(0);
            if count + spread.own - spread.minimum > spread.max_skew {
                return Err(Misfit::resolvable("node(s) didn't match pod topology spread constraints"));
            }
        }
        let satisfied = self
            .wanted
            .iter()
            .all(|(key, domains)| node.labels.get(key).is_some_and(|value| self.first_of_group || domains.contains(value)));
        if !satisfied {
            return Err(Misfit::unresolvable("node(s) didn't match pod affinity rules"));
        }
        if self.avoided.iter().any(|(key, domains)| node.labels.get(key).is_some_and(|value| domains.contains(value))) {
            return Err(Misfit::resolvable("node(s) didn't match pod anti-affinity rules"));
        }
        if self.forbidden.iter().any(|(key, value)| node.labels.get(key) == Some(value)) {
            return Err(Misfit::resolvable("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }

    /// How much the node is preferred; comparable between nodes of one attempt only.
    pub(crate) fn preference(&self, node: &NodeInfo) -> i64 {
        let near: i64 =
            self.preferred.iter().filter(|((key, value), _)| node.labels.get(key) == Some(value)).map(|(_, weight)| weight).sum();
        let crowded: i64 = self
            .spread
            .iter()
            .filter_map(|spread| node.labels.get(&spread.key).map(|value| spread.counts.get(value).copied().unwrap_or(0)))
            .sum();
        near - crowded * 10
    }
}

impl Spread {
    fn of(constraint: &TopologySpreadConstraint, pod: &PodInfo, nodes: &BTreeMap<String, NodeInfo>) -> Self {
        let selected = |labels: &Labels| {
            constraint.label_selector.as_ref().is_some_and(|selector| selects(selector, labels))
                && constraint.match_label_keys.iter().flatten().all(|key| labels.get(key) == pod.labels.get(key))
        };
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for (name, node) in nodes {
            let honoured = constraint.node_affinity_policy.as_deref() == Some("Ignore") || fits_affinity(pod, name, node);
            let Some(value) = node.labels.get(&constraint.topology_key).filter(|_| honoured && node.node.is_some()) else {
                continue;
            };
            let count = node
                .pods
                .values()
                .filter(|other| other.key.namespace == pod.key.namespace && selected(&other.labels))
                .filter(|other| other.pod.metadata.deletion_timestamp.is_none())
                .count();
            *counts.entry(value.clone()).or_default() += i64::try_from(count).unwrap_or(i64::MAX);
        }
        let few = i64::try_from(counts.len()).unwrap_or(i64::MAX) < constraint.min_domains.map_or(0, i64::from);
        Self {
            key: constraint.topology_key.clone(),
            max_skew: i64::from(constraint.max_skew),
            minimum: if few { 0 } else { counts.values().copied().min().unwrap_or(0) },
            counts,
            own: i64::from(selected(&pod.labels)),
            hard: constraint.when_unsatisfiable != "ScheduleAnyway",
        }
    }
}
