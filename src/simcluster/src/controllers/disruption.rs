//! PodDisruptionBudgets: how many pods may be evicted now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::work;
use crate::client::{Answer, Client, collection, optional, path_of};
use crate::cluster::Shared;
use crate::labels::selects;
use crate::owners::controller;
use crate::pods;
use crate::queue::Queue;
use crate::store::{Key, Store, lock, spawn_watch};

/// Pause in which changes of pods are gathered into one write.
const GATHER: Duration = Duration::from_millis(10);

/// The selectors of the budgets of each namespace.
type Selectors = Arc<Mutex<BTreeMap<String, BTreeMap<String, LabelSelector>>>>;

/// Starts it.
pub(crate) fn start(shared: &Shared) {
    let queue: Queue<Key> = Queue::new();
    let budgets = Store::<PodDisruptionBudget>::new();
    let selectors: Selectors = Arc::default();
    let (add, known) = (queue.clone(), selectors.clone());
    budgets.on_change(move |change| {
        let mut known = lock(&known);
        let budgets = known.entry(change.key.namespace.clone()).or_default();
        match change.new.and_then(|budget| budget.spec.as_ref()).and_then(|spec| spec.selector.clone()) {
            Some(selector) => {
                budgets.insert(change.key.name.clone(), selector);
            }
            None => {
                budgets.remove(&change.key.name);
            }
        }
        if budgets.is_empty() {
            known.remove(&change.key.namespace);
        }
        add.add(change.key.clone());
    });
    let add = queue.clone();
    shared.pods.on_change(move |change| {
        let known = lock(&selectors);
        let Some(budgets) = known.get(&change.key.namespace) else { return };
        let face = |pod: Option<&Arc<Pod>>| pod.map(|pod| (pod.metadata.labels.clone(), pods::is_ready(pod), pods::is_active(pod)));
        if face(change.old) == face(change.new) {
            return;
        }
        for (name, selector) in budgets {
            let selected =
                |pod: Option<&Arc<Pod>>| pod.and_then(|pod| pod.metadata.labels.as_ref()).is_some_and(|labels| selects(selector, labels));
            if selected(change.old) || selected(change.new) {
                add.add_after(Key::new(change.key.namespace.clone(), name.clone()), GATHER);
            }
        }
    });
    spawn_watch(shared.client.clone(), budgets.clone(), shared.stop.clone());
    let shared = shared.clone();
    tokio::spawn(async move {
        budgets.synced().await;
        shared.pods.synced().await;
        work(&shared, &queue, |key: Key| {
            let (shared, budgets) = (shared.clone(), budgets.clone());
            async move { reconcile(&shared, &budgets, &key).await.map(|()| None) }
        })
        .await;
    });
}

fn scaled(value: &IntOrString, total: i64) -> i64 {
    match value {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            (percent * total + 99) / 100
        }
    }
}

/// How many pods the controllers of some pods want: by `/scale`, each controller once.
async fn expected(client: &Client, selected: &[Arc<Pod>]) -> Answer<i64> {
    let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
    for pod in selected {
        let Some(owner) = controller(&pod.metadata) else { continue };
        if wanted.contains_key(&owner.uid) {
            continue;
        }
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        let plural = format!("{}s", owner.kind.to_lowercase());
        let path = format!("{}/{}/scale", collection(group, version, &plural, &namespace), owner.name);
        let scale: Option<Value> = optional(client.get(&path).await)?;
        let replicas = scale.and_then(|scale| scale["spec"]["replicas"].as_i64()).unwrap_or(1);
        wanted.insert(owner.uid.clone(), replicas);
    }
    Ok(wanted.values().sum())
}

async fn reconcile(shared: &Shared, budgets: &Store<PodDisruptionBudget>, key: &Key) -> Answer<()> {
    let Some(budget) = budgets.get(key) else { return Ok(()) };
    let Some(spec) = &budget.spec else { return Ok(()) };
    let selected: Vec<Arc<Pod>> = shared
        .pods
        .in_namespace(&key.namespace)
        .into_iter()
        .filter(|pod| !pods::is_terminal(pod))
        .filter(|pod| {
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            spec.selector.as_ref().is_some_and(|selector| selects(selector, &labels))
        })
        .collect();
    let count = i64::try_from(selected.len()).unwrap_or(i64::MAX);
    let healthy = selected.iter().filter(|pod| pods::is_ready(pod) && pods::is_active(pod)).count();
    let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
    let (total, desired) = if let Some(most) = &spec.max_unavailable {
        let total = expected(&shared.client, &selected).await?;
        (total, (total - scaled(most, total)).max(0))
    } else if let Some(least @ IntOrString::String(_)) = &spec.min_available {
        let total = expected(&shared.client, &selected).await?;
        (total, scaled(least, total))
    } else {
        (count, spec.min_available.as_ref().map_or(0, |least| scaled(least, count)))
    };
    let allowed = if total == 0 { 0 } else { (healthy - desired).max(0) };
    let status = budget.status.clone().unwrap_or_default();
    // Evictions that the API server granted and whose pods are gone or going.
    let disrupted: BTreeMap<String, Value> = status
        .disrupted_pods
        .iter()
        .flatten()
        .filter(|(name, _)| selected.iter().any(|pod| pod.metadata.name.as_ref() == Some(name) && pods::is_active(pod)))
        .map(|(name, time)| (name.clone(), json!(time)))
        .collect();
    let reserved = i64::try_from(disrupted.len()).unwrap_or(0);
    let allowed = (allowed - reserved).max(0);
    let (holds, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let old = status.conditions.iter().flatten().find(|condition| condition.type_ == "DisruptionAllowed");
    let same = old.is_some_and(|old| old.status == holds && old.reason == reason)
        && (i64::from(status.current_healthy), i64::from(status.desired_healthy)) == (healthy, desired)
        && (i64::from(status.expected_pods), i64::from(status.disruptions_allowed)) == (total, allowed)
        && status.observed_generation == budget.metadata.generation
        && status.disrupted_pods.iter().flatten().count() == disrupted.len();
    if same {
        return Ok(());
    }
    let since = old
        .filter(|old| old.status == holds)
        .map_or_else(|| shared.timestamp(), |old| apiserver::env::rfc3339(&old.last_transition_time.0));
    let body = json!({
        "metadata": {"resourceVersion": budget.metadata.resource_version},
        "status": {
            "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": total, "disruptionsAllowed": allowed,
            "observedGeneration": budget.metadata.generation,
            "disruptedPods": if disrupted.is_empty() { Value::Null } else { json!(disrupted) },
            "conditions": [{
                "type": "DisruptionAllowed", "status": holds, "reason": reason, "message": "", "lastTransitionTime": since,
                "observedGeneration": budget.metadata.generation
            }]
        }
    });
    let path = format!("{}/status", path_of::<PodDisruptionBudget>(&key.namespace, &key.name));
    optional(shared.client.merge(&path, &body).await).map(drop)
}
