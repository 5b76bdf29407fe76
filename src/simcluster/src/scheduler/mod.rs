//! The scheduler: gives pods their node, or says why none fits.
//!
//! Flow: pending pods wait in order of priority, then age. Each is checked against every node ([`filter`],
//! [`neighbours`], [`volumes`]); the best-scoring node ([`score`]) is taken and the pod bound. A pod that fits nowhere gets
//! the condition `PodScheduled=False` and a `FailedScheduling` event, and is parked until the cluster changes, with a
//! back-off from one to ten seconds.
//!
//! Guarantees: a pod counts on its node from the decision on; equal inputs give equal decisions; status and event are
//! written only when the reason changed.

pub(crate) mod filter;
pub(crate) mod info;
mod neighbours;
mod score;
mod volumes;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::filter::Misfit;
use self::info::{NodeInfo, PodInfo};
use self::neighbours::Neighbours;
use self::volumes::VolumeStores;
use crate::client::path_of;
use crate::cluster::Shared;
use crate::pods;
use crate::recorder::Source;
use crate::storage::ANNOTATION_SELECTED_NODE;
use crate::store::{Key, Store, lock};

/// The scheduler's name in pods and events.
pub(crate) const NAME: &str = "default-scheduler";

const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// Priority (highest first), sequence, pod.
type Turn = (Reverse<i32>, u64, Key);

struct Parked {
    info: Arc<PodInfo>,
    until: Instant,
    /// [`State::changes`] when the pod was parked: it is tried again only after a change.
    seen: u64,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, NodeInfo>,
    /// Where pods are counted.
    placed: BTreeMap<Key, String>,
    active: BTreeSet<Turn>,
    turns: BTreeMap<Key, (Turn, Arc<PodInfo>)>,
    parked: BTreeMap<Key, Parked>,
    attempts: BTreeMap<Key, u32>,
    sequence: u64,
    /// Counts changes that can make pods fit.
    changes: u64,
}

/// What came out of one attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Bind to this node.
    Bind(String),
    /// This node, once these claims are provisioned for it.
    Provision { node: String, claims: Vec<Key> },
    /// No node fits.
    Unschedulable(String),
}

/// The scheduler.
pub(crate) struct Scheduler {
    shared: Shared,
    stores: VolumeStores,
    namespaces: Arc<Store<Namespace>>,
    state: Mutex<State>,
    wake: Notify,
    source: Source,
}

impl Scheduler {
    /// Creates it and registers its listeners.
    pub(crate) fn new(shared: &Shared) -> Arc<Self> {
        let scheduler = Arc::new(Self {
            shared: shared.clone(),
            stores: VolumeStores { claims: shared.claims.clone(), volumes: shared.volumes.clone(), classes: shared.classes.clone() },
            namespaces: shared.namespaces.clone(),
            state: Mutex::default(),
            wake: Notify::new(),
            source: Source::component(NAME),
        });
        let listener = scheduler.clone();
        shared.pods.on_change(move |change| listener.pod_changed(change.key, change.new));
        let listener = scheduler.clone();
        shared.nodes.on_change(move |change| {
            listener.node_changed(change.key, change.old.map(AsRef::as_ref), change.new);
        });
        let listener = scheduler.clone();
        shared.claims.on_change(move |_| listener.cluster_changed());
        let listener = scheduler.clone();
        shared.volumes.on_change(move |_| listener.cluster_changed());
        let listener = scheduler.clone();
        shared.classes.on_change(move |_| listener.cluster_changed());
        scheduler
    }

    fn cluster_changed(&self) {
        let mut state = lock(&self.state);
        state.wake_parked();
        drop(state);
        self.wake.notify_one();
    }

    fn node_changed(&self, key: &Key, old: Option<&Node>, new: Option<&Arc<Node>>) {
        let mut state = lock(&self.state);
        match new {
            Some(node) => {
                state.nodes.entry(key.name.clone()).or_default().set_node(node);
                if old.is_some_and(|old| !volumes::node_matters(old, node)) {
                    return;
                }
            }
            None => {
                if let Some(info) = state.nodes.get_mut(&key.name) {
                    info.node = None;
                    if info.pods.is_empty() {
                        state.nodes.remove(&key.name);
                    }
                }
            }
        }
        state.wake_parked();
        drop(state);
        self.wake.notify_one();
    }

    fn pod_changed(&self, key: &Key, new: Option<&Arc<Pod>>) {
        let mut state = lock(&self.state);
        let Some(pod) = new else {
            state.forget(key);
            let freed = state.displace(key);
            if freed {
                state.wake_parked();
                drop(state);
                self.wake.notify_one();
            }
            return;
        };
        let spec = pod.spec.as_ref();
        if let Some(node) = spec.and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty()) {
            state.forget(key);
            if pods::is_terminal(pod) {
                if state.displace(key) {
                    state.wake_parked();
                    drop(state);
                    self.wake.notify_one();
                }
                return;
            }
            // The requests of a bound pod do not change; status updates need no recount.
            let known = state.placed.get(key).is_some_and(|placed| placed == node);
            if !known || pod.metadata.deletion_timestamp.is_some() {
                state.place(node, Arc::new(PodInfo::placed(pod)));
            }
            return;
        }
        let ours = spec.is_some_and(|spec| {
            spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
        });
        if !ours || pod.metadata.deletion_timestamp.is_some() || pods::is_terminal(pod) {
            state.forget(key);
            return;
        }
        if state.queue(pod) {
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Schedules until the cluster stops.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let (next, timer) = lock(&self.state).next();
            if let Some(info) = next {
                self.schedule(&info).await;
                continue;
            }
            let sleep = async {
                match timer {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = sleep => {}
            }
        }
    }

    fn decide(&self, state: &State, pod: &PodInfo) -> Decision {
        decide(state, pod, &self.stores, &self.namespaces)
    }

    async fn schedule(&self, info: &Arc<PodInfo>) {
        let decision = {
            let mut state = lock(&self.state);
            let decision = self.decide(&state, info);
            match &decision {
                Decision::Bind(node) => {
                    state.attempts.remove(&info.key);
                    state.place(node, info.clone());
                }
                Decision::Provision { .. } => state.park(info, false),
                Decision::Unschedulable(_) => state.park(info, true),
            }
            decision
        };
        match decision {
            Decision::Bind(node) => self.bind(info, &node).await,
            Decision::Provision { node, claims } => {
                for claim in claims {
                    let path = path_of::<k8s_openapi::api::core::v1::PersistentVolumeClaim>(&claim.namespace, &claim.name);
                    let body = json!({"metadata": {"annotations": {ANNOTATION_SELECTED_NODE: node}}});
                    if let Err(error) = self.shared.client.merge(&path, &body).await {
                        tracing::debug!(%error, claim = %claim, "node of a claim not set");
                    }
                }
            }
            Decision::Unschedulable(message) => self.report(info, &message).await,
        }
    }

    async fn bind(&self, info: &Arc<PodInfo>, node: &str) {
        let key = &info.key;
        let path = format!("{}/binding", path_of::<Pod>(&key.namespace, &key.name));
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": info.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node}
        });
        match self.shared.client.create(&path, &binding).await {
            Ok(_) => {
                let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
                self.shared.recorder.record(&self.source, info.pod.as_ref(), "Normal", "Scheduled", &message).await;
            }
            Err(error) => {
                tracing::debug!(%error, pod = %key, "pod not bound");
                let mut state = lock(&self.state);
                state.displace(key);
                if !error.is_not_found() {
                    state.park(info, true);
                    state.wake_parked();
                }
            }
        }
    }

    async fn report(&self, info: &Arc<PodInfo>, message: &str) {
        let known = pods::condition(&info.pod, "PodScheduled").is_some_and(|condition| {
            condition.status == "False"
                && condition.reason.as_deref() == Some("Unschedulable")
                && condition.message.as_deref() == Some(message)
        });
        let reported = self.shared.pods.get(&info.key).is_some_and(|pod| {
            pods::condition(&pod, "PodScheduled").is_some_and(|condition| condition.message.as_deref() == Some(message))
        });
        if known || reported {
            return;
        }
        let body = json!({
            "metadata": {"uid": info.uid},
            "status": {"conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastProbeTime": null, "lastTransitionTime": self.shared.timestamp()
            }]}
        });
        let path = format!("{}/status", path_of::<Pod>(&info.key.namespace, &info.key.name));
        if let Err(error) = self.shared.client.strategic(&path, &body).await {
            tracing::debug!(%error, pod = %info.key, "condition not written");
        }
        self.shared.recorder.record(&self.source, info.pod.as_ref(), "Warning", "FailedScheduling", message).await;
    }
}

/// The choice for one pod; pure.
fn decide(state: &State, pod: &PodInfo, stores: &VolumeStores, namespaces: &Store<Namespace>) -> Decision {
    let candidates: Vec<(&String, &NodeInfo)> = state.nodes.iter().filter(|(_, node)| node.node.is_some()).collect();
    if candidates.is_empty() {
        return Decision::Unschedulable("no nodes available to schedule pods".to_owned());
    }
    let total = candidates.len();
    let volumes = match stores.of(pod) {
        Ok(volumes) => volumes,
        Err(why) => {
            return Decision::Unschedulable(format!(
                "0/{total} nodes are available: {why}. preemption: 0/{total} nodes are available: {total} Preemption is not helpful for scheduling."
            ));
        }
    };
    let repelling = state.nodes.values().map(|node| node.repelling.len()).sum();
    let neighbours = Neighbours::of(pod, &state.nodes, repelling, namespaces);
    let mut best: Option<(i64, &String)> = None;
    let mut misfits: Vec<Misfit> = Vec::new();
    for (name, node) in candidates {
        let fit = filter::fits(pod, name, node)
            .and_then(|()| stores.fits(&volumes, name, node))
            .and_then(|()| neighbours.as_ref().map_or(Ok(()), |neighbours| neighbours.fits(node)));
        if let Err(misfit) = fit {
            misfits.push(misfit);
            continue;
        }
        let score = score::score(pod, name, node, neighbours.as_ref());
        if best.is_none_or(|(highest, _)| score > highest) {
            best = Some((score, name));
        }
    }
    match best {
        None => Decision::Unschedulable(explain(total, &misfits)),
        Some((_, node)) if volumes.waiting.is_empty() => Decision::Bind(node.clone()),
        Some((_, node)) => {
            Decision::Provision { node: node.clone(), claims: volumes.waiting.iter().map(|(claim, _)| Key::of(claim.as_ref())).collect() }
        }
    }
}

/// `0/3 nodes are available: 1 Insufficient memory, 2 node(s) … . preemption: …`
fn explain(total: usize, misfits: &[Misfit]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in misfits.iter().flat_map(|misfit| &misfit.reasons) {
        *counts.entry(reason).or_default() += 1;
    }
    let list = |counts: BTreeMap<&str, usize>| {
        let mut lines: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        lines.sort();
        lines.join(", ")
    };
    let mut preemption: BTreeMap<&str, usize> = BTreeMap::new();
    for misfit in misfits {
        let why =
            if misfit.resolvable { "No preemption victims found for incoming pod" } else { "Preemption is not helpful for scheduling" };
        *preemption.entry(why).or_default() += 1;
    }
    format!("0/{total} nodes are available: {}. preemption: 0/{total} nodes are available: {}.", list(counts), list(preemption))
}

impl State {
    /// Queues a pending pod; false if nothing that matters changed.
    fn queue(&mut self, pod: &Arc<Pod>) -> bool {
        let info = Arc::new(PodInfo::new(pod));
        let key = info.key.clone();
        let same = |old: &PodInfo| old.pod.spec == pod.spec && old.pod.metadata.labels == pod.metadata.labels && old.uid == info.uid;
        if let Some((_, old)) = self.turns.get_mut(&key)
            && same(old)
        {
            *old = info;
            return false;
        }
        if let Some(parked) = self.parked.get_mut(&key)
            && same(&parked.info)
        {
            parked.info = info;
            return false;
        }
        self.parked.remove(&key);
        self.activate(info);
        true
    }

    fn activate(&mut self, info: Arc<PodInfo>) {
        let key = info.key.clone();
        if let Some((turn, _)) = self.turns.remove(&key) {
            self.active.remove(&turn);
        }
        self.sequence += 1;
        let priority = info.spec().and_then(|spec| spec.priority).unwrap_or(0);
        let turn = (Reverse(priority), self.sequence, key.clone());
        self.active.insert(turn.clone());
        self.turns.insert(key, (turn, info));
    }

    fn forget(&mut self, key: &Key) {
        if let Some((turn, _)) = self.turns.remove(key) {
            self.active.remove(&turn);
        }
        self.parked.remove(key);
        self.attempts.remove(key);
    }

    fn place(&mut self, node: &str, info: Arc<PodInfo>) {
        let key = info.key.clone();
        if let Some(old) = self.placed.insert(key.clone(), node.to_owned())
            && old != node
            && let Some(other) = self.nodes.get_mut(&old)
        {
            other.remove(&key);
        }
        self.nodes.entry(node.to_owned()).or_default().add(info);
    }

    fn displace(&mut self, key: &Key) -> bool {
        let Some(node) = self.placed.remove(key) else { return false };
        let Some(info) = self.nodes.get_mut(&node) else { return false };
        let removed = info.remove(key);
        if info.node.is_none() && info.pods.is_empty() {
            self.nodes.remove(&node);
        }
        removed
    }

    fn park(&mut self, info: &Arc<PodInfo>, back_off: bool) {
        let mut until = Instant::now();
        if back_off {
            let attempts = self.attempts.entry(info.key.clone()).or_default();
            *attempts += 1;
            until += MIN_BACKOFF.saturating_mul(1 << (*attempts - 1).min(4)).min(MAX_BACKOFF);
        }
        let parked = Parked { info: info.clone(), until, seen: self.changes };
        self.parked.insert(info.key.clone(), parked);
    }

    fn wake_parked(&mut self) {
        self.changes += 1;
    }

    /// The next pod to try, or when one may be tried.
    fn next(&mut self) -> (Option<Arc<PodInfo>>, Option<Instant>) {
        let (now, changes) = (Instant::now(), self.changes);
        let due: Vec<Key> =
            self.parked.iter().filter(|(_, parked)| parked.seen < changes && parked.until <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            if let Some(parked) = self.parked.remove(&key) {
                self.activate(parked.info);
            }
        }
        if let Some((_, _, key)) = self.active.pop_first() {
            return (self.turns.remove(&key).map(|(_, info)| info), None);
        }
        (None, self.parked.values().filter(|parked| parked.seen < changes).map(|parked| parked.until).min())
    }
}
