//! Pods by their controller.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use tokio::time::Instant;

use crate::store::{Key, Store, lock};

/// The reference to the controller, if there is one.
pub(crate) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

#[derive(Default)]
struct State {
    owned: BTreeMap<String, BTreeSet<Key>>,
    orphans: BTreeMap<String, BTreeSet<Key>>,
    /// Pods that were created but not seen yet, by controller, and when the last of them was.
    expected: BTreeMap<String, (Instant, BTreeSet<Key>)>,
}

/// How long unseen pods are waited for; a watch that lost them is repaired by then.
pub(crate) const EXPECTATION: Duration = Duration::from_secs(30);

/// The index.
pub(crate) struct Owners {
    pods: Arc<Store<Pod>>,
    state: Mutex<State>,
}

fn remove<K: Ord>(map: &mut BTreeMap<K, BTreeSet<Key>>, group: &K, key: &Key) {
    if let Some(set) = map.get_mut(group) {
        set.remove(key);
        if set.is_empty() {
            map.remove(group);
        }
    }
}

impl Owners {
    /// Creates it and follows the pods.
    pub(crate) fn new(pods: &Arc<Store<Pod>>) -> Arc<Self> {
        let owners = Arc::new(Self { pods: pods.clone(), state: Mutex::default() });
        let listener = owners.clone();
        pods.on_change(move |change| {
            let uid = |pod: Option<&Arc<Pod>>| pod.and_then(|pod| controller(&pod.metadata)).map(|owner| owner.uid.clone());
            let (before, now) = (uid(change.old), uid(change.new));
            let mut state = lock(&listener.state);
            if let Some(uid) = &now
                && let Some((_, expected)) = state.expected.get_mut(uid)
            {
                expected.remove(change.key);
                if expected.is_empty() {
                    state.expected.remove(uid);
                }
            }
            if before == now && change.old.is_some() && change.new.is_some() {
                return;
            }
            if change.old.is_some() {
                match &before {
                    Some(uid) => remove(&mut state.owned, uid, change.key),
                    None => remove(&mut state.orphans, &change.key.namespace, change.key),
                }
            }
            if change.new.is_some() {
                match now {
                    Some(uid) => state.owned.entry(uid).or_default().insert(change.key.clone()),
                    None => state.orphans.entry(change.key.namespace.clone()).or_default().insert(change.key.clone()),
                };
            }
        });
        owners
    }

    /// The pods of a controller.
    pub(crate) fn pods_of(&self, uid: &str) -> Vec<Arc<Pod>> {
        let keys: Vec<Key> = lock(&self.state).owned.get(uid).into_iter().flatten().cloned().collect();
        keys.iter().filter_map(|key| self.pods.get(key)).collect()
    }

    /// The pods of a namespace that have no controller.
    pub(crate) fn orphans(&self, namespace: &str) -> Vec<Arc<Pod>> {
        let keys: Vec<Key> = lock(&self.state).orphans.get(namespace).into_iter().flatten().cloned().collect();
        keys.iter().filter_map(|key| self.pods.get(key)).collect()
    }

    /// A pod was created: nothing more is decided for its controller until it was seen.
    pub(crate) fn expect(&self, uid: &str, key: Key) {
        // The lock comes first: a pod that is seen from here on finds its expectation.
        let mut state = lock(&self.state);
        if self.pods.get(&key).is_none() {
            let entry = state.expected.entry(uid.to_owned()).or_insert_with(|| (Instant::now(), BTreeSet::new()));
            entry.0 = Instant::now();
            entry.1.insert(key);
        }
    }

    /// Whether all created pods of a controller were seen, or are not waited for any longer.
    pub(crate) fn settled(&self, uid: &str) -> bool {
        let mut state = lock(&self.state);
        let waiting = state.expected.get(uid).is_some_and(|(since, _)| since.elapsed() < EXPECTATION);
        if !waiting {
            state.expected.remove(uid);
        }
        !waiting
    }
}
