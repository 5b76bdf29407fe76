//! DaemonSets: a pod on every node that fits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use serde_json::{Value, json};

use super::rollout::share;
use super::{availability, create_pod, delete_pod, follow_pods, hash, uid, write_status};
use crate::client::Answer;
use crate::cluster::Shared;
use crate::controllers::work;
use crate::labels::{contains, fits_node_selector};
use crate::owners::EXPECTATION;
use crate::pods;
use crate::queue::Queue;
use crate::recorder::Source;
use crate::scheduler::filter::tolerates;
use crate::store::{Key, Store, spawn_watch};

const HASH: &str = "controller-revision-hash";

/// Taints that daemons live with.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

struct Controller {
    shared: Shared,
    sets: Arc<Store<DaemonSet>>,
    source: Source,
}

/// Starts it.
pub(super) fn start(shared: &Shared) {
    let queue: Queue<Key> = Queue::new();
    let sets = Store::<DaemonSet>::new();
    let add = queue.clone();
    sets.on_change(move |change| {
        if change.new.is_some() {
            add.add(change.key.clone());
        }
    });
    let add = queue.clone();
    follow_pods::<DaemonSet>(shared, move |key| add.add(key));
    let (add, all) = (queue.clone(), sets.clone());
    shared.nodes.on_change(move |change| {
        let matters = match (change.old, change.new) {
            (Some(old), Some(new)) => old.metadata.labels != new.metadata.labels || old.spec != new.spec,
            _ => true,
        };
        if matters {
            all.keys().into_iter().for_each(|key| add.add(key));
        }
    });
    spawn_watch(shared.client.clone(), sets.clone(), shared.stop.clone());
    let controller = Arc::new(Controller { shared: shared.clone(), sets, source: Source::component("daemonset-controller") });
    let shared = shared.clone();
    tokio::spawn(async move {
        controller.sets.synced().await;
        shared.pods.synced().await;
        shared.nodes.synced().await;
        work(&shared, &queue, |key: Key| {
            let controller = controller.clone();
            async move { controller.reconcile(&key).await }
        })
        .await;
    });
}

fn tolerations(spec: &DaemonSetSpec) -> Vec<Toleration> {
    let pod = spec.template.spec.as_ref();
    let mut list: Vec<Toleration> = pod.and_then(|pod| pod.tolerations.clone()).unwrap_or_default();
    let host = pod.and_then(|pod| pod.host_network) == Some(true);
    let extra = host.then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    for (key, effect) in TOLERATED.into_iter().chain(extra) {
        list.push(Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        });
    }
    list
}

/// Whether a daemon should run on a node, and whether one that runs may go on.
fn fits(spec: &DaemonSetSpec, tolerations: &[Toleration], node: &Node) -> (bool, bool) {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let pod = spec.template.spec.as_ref();
    let selected = pod.and_then(|pod| pod.node_selector.as_ref()).is_none_or(|selector| contains(selector, &labels));
    let affine = pod
        .and_then(|pod| pod.affinity.as_ref())
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref())
        .is_none_or(|selector| fits_node_selector(selector, name, &labels));
    let named = pod.and_then(|pod| pod.node_name.as_deref()).is_none_or(|wanted| wanted.is_empty() || wanted == name);
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let bears = |effects: &[&str]| {
        let hostile = |taint: &&Taint| effects.contains(&taint.effect.as_str());
        taints.iter().filter(hostile).all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
    };
    let here = selected && affine && named;
    (here && bears(&["NoSchedule", "NoExecute"]), here && bears(&["NoExecute"]))
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Answer<Option<Duration>> {
        let Some(set) = self.sets.get(key) else { return Ok(None) };
        let Some(spec) = set.spec.as_ref().filter(|_| set.metadata.deletion_timestamp.is_none()) else { return Ok(None) };
        let id = uid(&set.metadata);
        if !self.shared.owners.settled(id) {
            // Seeing the pods brings the set back here.
            return Ok(Some(EXPECTATION));
        }
        let tolerations = tolerations(spec);
        let hash = hash(&spec.template);
        let mut by_node: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
        for pod in self.shared.owners.pods_of(id) {
            by_node.entry(target(&pod)).or_default().push(pod);
        }
        let mut figures = Figures::default();
        let mut again = None;
        let mut outdated = Vec::new();
        for node in self.shared.nodes.all() {
            let name = node.metadata.name.clone().unwrap_or_default();
            let (should, may) = fits(spec, &tolerations, &node);
            let here = by_node.remove(&name).unwrap_or_default();
            let (active, ended): (Vec<_>, Vec<_>) = here.into_iter().partition(|pod| pods::is_active(pod));
            for pod in ended.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
                delete_pod(&self.shared, &self.source, set.as_ref(), pod).await?;
            }
            figures.count(&self.shared, spec, should, &active, &hash, &mut again);
            if should && active.is_empty() && ended.is_empty() {
                self.create(&set, spec, &name, &hash, &tolerations).await?;
            }
            let surplus = usize::from(may);
            for pod in active.iter().skip(surplus) {
                delete_pod(&self.shared, &self.source, set.as_ref(), pod).await?;
            }
            if should {
                outdated.extend(active.into_iter().take(1).filter(|pod| !is_current(pod, &hash)));
            }
        }
        // Pods for nodes that are gone are removed with them.
        self.update(&set, spec, &figures, outdated).await?;
        self.status(&set, &figures).await?;
        Ok(again)
    }

    async fn create(&self, set: &DaemonSet, spec: &DaemonSetSpec, node: &str, hash: &str, tolerations: &[Toleration]) -> Answer<()> {
        create_pod(&self.shared, &self.source, set, &spec.template, |pod| {
            pod["metadata"]["labels"][HASH] = json!(hash);
            pod["spec"]["tolerations"] = json!(tolerations);
            pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = json!({
                "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
            });
        })
        .await
    }

    /// Replaces pods of an older template, as many at a time as the strategy allows.
    async fn update(&self, set: &DaemonSet, spec: &DaemonSetSpec, figures: &Figures, outdated: Vec<Arc<Pod>>) -> Answer<()> {
        let strategy = spec.update_strategy.as_ref();
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
            return Ok(());
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let allowed = share(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), "1", figures.desired, true).max(1);
        let (broken, working): (Vec<_>, Vec<_>) = outdated.into_iter().partition(|pod| !pods::is_ready(pod));
        let mut left = (allowed - (figures.desired - figures.available)).max(0);
        for pod in &broken {
            delete_pod(&self.shared, &self.source, set, pod).await?;
        }
        for pod in working {
            if left == 0 {
                break;
            }
            left -= 1;
            delete_pod(&self.shared, &self.source, set, &pod).await?;
        }
        Ok(())
    }

    async fn status(&self, set: &DaemonSet, figures: &Figures) -> Answer<()> {
        let new = json!({
            "currentNumberScheduled": figures.current, "desiredNumberScheduled": figures.desired,
            "numberMisscheduled": figures.misplaced, "numberReady": figures.ready, "numberAvailable": figures.available,
            "numberUnavailable": figures.desired - figures.available, "updatedNumberScheduled": figures.updated,
            "observedGeneration": set.metadata.generation
        });
        let old: Option<Value> = set.status.as_ref().map(|status| {
            json!({
                "currentNumberScheduled": status.current_number_scheduled,
                "desiredNumberScheduled": status.desired_number_scheduled,
                "numberMisscheduled": status.number_misscheduled, "numberReady": status.number_ready,
                "numberAvailable": status.number_available.unwrap_or(0),
                "numberUnavailable": status.number_unavailable.unwrap_or(0),
                "updatedNumberScheduled": status.updated_number_scheduled.unwrap_or(0),
                "observedGeneration": status.observed_generation
            })
        });
        write_status(&self.shared, set, old.as_ref(), new).await
    }
}

#[derive(Default)]
struct Figures {
    desired: i32,
    current: i32,
    misplaced: i32,
    ready: i32,
    available: i32,
    updated: i32,
}

impl Figures {
    fn count(
        &mut self,
        shared: &Shared,
        spec: &DaemonSetSpec,
        should: bool,
        active: &[Arc<Pod>],
        hash: &str,
        again: &mut Option<Duration>,
    ) {
        if !should {
            self.misplaced += i32::from(!active.is_empty());
            return;
        }
        self.desired += 1;
        let Some(pod) = active.first() else { return };
        self.current += 1;
        self.updated += i32::from(is_current(pod, hash));
        self.ready += i32::from(pods::is_ready(pod));
        match availability(shared, pod, spec.min_ready_seconds.unwrap_or(0)) {
            Ok(()) => self.available += 1,
            Err(Some(left)) => *again = Some(again.map_or(left, |again| again.min(left))),
            Err(None) => {}
        }
    }
}

fn is_current(pod: &Pod, hash: &str) -> bool {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(HASH)).is_some_and(|found| found == hash)
}

/// The node that a daemon's pod is for, whether it is there yet or not.
fn target(pod: &Pod) -> String {
    let node = pods::node(pod);
    if !node.is_empty() {
        return node.to_owned();
    }
    pod.spec
        .as_ref()
        .and_then(|spec| spec.affinity.as_ref())
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref())
        .and_then(|selector| selector.node_selector_terms.first())
        .and_then(|term| term.match_fields.as_deref())
        .and_then(|fields| fields.first())
        .and_then(|field| field.values.as_deref())
        .and_then(|values| values.first())
        .cloned()
        .unwrap_or_default()
}
