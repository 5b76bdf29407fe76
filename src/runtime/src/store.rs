//! Stores: what a component knows of the cluster, kept up to date by a [`crate::Reflector`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use tokio::sync::watch;

/// The name of an object within its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectKey {
    /// The key of `namespace/name`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of the object with this metadata.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self { namespace: metadata.namespace.clone().unwrap_or_default(), name: metadata.name.clone().unwrap_or_default() }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// One change of one object.
#[derive(Debug)]
pub struct Change<'a, K> {
    /// The object before; absent for a new one.
    pub old: Option<&'a Arc<K>>,
    /// The object after; absent for a deleted one.
    pub new: Option<&'a Arc<K>>,
}

impl<K> Change<'_, K> {
    /// The newest state known, of a deleted object its last.
    pub fn latest(&self) -> Option<&Arc<K>> {
        self.new.or(self.old)
    }
}

type IndexFn<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;
type Handler<K> = Arc<dyn Fn(&Change<'_, K>) + Send + Sync>;

/// The objects of one kind. Clones share the state.
///
/// Guarantees: objects only move forward in resourceVersion; handlers see every change once, in order, after it can be
/// read; iteration is by key. A write of our own may be recorded at once ([`Store::record_write`]), so that the next
/// reconciliation does not act on a state it has itself left behind.
pub struct Store<K> {
    inner: Arc<Inner<K>>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

struct Inner<K> {
    project: Option<fn(&mut K)>,
    state: Mutex<State<K>>,
    handlers: Mutex<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
}

struct State<K> {
    objects: BTreeMap<ObjectKey, Arc<K>>,
    indexes: BTreeMap<&'static str, Index<K>>,
    /// The newest version the watch has delivered: whatever is not newer is already in here, or already gone.
    delivered: u64,
}

struct Index<K> {
    values_of: IndexFn<K>,
    entries: BTreeMap<String, BTreeSet<ObjectKey>>,
}

impl<K> Default for Store<K>
where
    K: Resource<DynamicType = ()> + Clone,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<K> std::fmt::Debug for Store<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

fn version(metadata: &ObjectMeta) -> Option<u64> {
    metadata.resource_version.as_deref()?.parse().ok()
}

impl<K> Store<K>
where
    K: Resource<DynamicType = ()> + Clone,
{
    /// An empty store that waits for its first list.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// An empty store that drops what nobody reads before an object is kept.
    pub fn projected(project: fn(&mut K)) -> Self {
        Self::with(Some(project))
    }

    fn with(project: Option<fn(&mut K)>) -> Self {
        let state = State { objects: BTreeMap::new(), indexes: BTreeMap::new(), delivered: 0 };
        Self {
            inner: Arc::new(Inner {
                project,
                state: Mutex::new(state),
                handlers: Mutex::new(Vec::new()),
                synced: watch::Sender::new(false),
            }),
        }
    }

    /// A store that stays empty and counts as complete: the kind does not exist in this cluster.
    pub fn absent() -> Self {
        let store = Self::new();
        store.inner.synced.send_replace(true);
        store
    }

    /// Adds an index: `values_of` names what an object is found by.
    #[must_use]
    pub fn indexed(self, name: &'static str, values_of: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Self {
        {
            let mut state = self.state();
            let mut entries: BTreeMap<String, BTreeSet<ObjectKey>> = BTreeMap::new();
            for (key, object) in &state.objects {
                for value in values_of(object) {
                    entries.entry(value).or_default().insert(key.clone());
                }
            }
            state.indexes.insert(name, Index { values_of: Box::new(values_of), entries });
        }
        self
    }

    /// Calls `handler` for every change from now on, and for every object there is already.
    pub fn subscribe(&self, handler: impl Fn(&Change<'_, K>) + Send + Sync + 'static) {
        let handler: Handler<K> = Arc::new(handler);
        self.inner.handlers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&handler));
        for object in self.list() {
            handler(&Change { old: None, new: Some(&object) });
        }
    }

    /// The object of that key.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.state().objects.get(key).cloned()
    }

    /// The object of that namespace (empty: cluster-scoped) and name.
    pub fn named(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.get(&ObjectKey::new(namespace, name))
    }

    /// All objects, by key.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.state().objects.values().cloned().collect()
    }

    /// All objects of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.state()
            .objects
            .range(ObjectKey::new(namespace, "")..)
            .take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, object)| Arc::clone(object))
            .collect()
    }

    /// The objects an index finds by `value`, by key; none for an index that does not exist.
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        let state = self.state();
        let keys = state.indexes.get(index).and_then(|index| index.entries.get(value));
        keys.into_iter().flatten().filter_map(|key| state.objects.get(key).cloned()).collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.state().objects.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.state().objects.is_empty()
    }

    /// Whether the first list is complete.
    pub fn has_synced(&self) -> bool {
        *self.inner.synced.borrow()
    }

    /// Waits for the first list.
    pub async fn synced(&self) {
        let mut synced = self.inner.synced.subscribe();
        // The sender lives in `self`.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Takes in the result of a write of our own, unless the watch has already gone past it.
    pub fn record_write(&self, object: K) {
        let newer = version(object.meta()).is_some_and(|version| version > self.state().delivered);
        if newer {
            self.put(object);
        }
    }

    /// Takes in an object from the watch.
    pub(crate) fn apply(&self, object: K) {
        self.delivered(version(object.meta()));
        self.put(object);
    }

    /// Takes in a deletion from the watch; `object` is its last state.
    pub(crate) fn delete(&self, object: &K) {
        let at = version(object.meta());
        self.delivered(at);
        let key = ObjectKey::of(object.meta());
        let old = {
            let mut state = self.state();
            let successor =
                state.objects.get(&key).is_some_and(|known| version(known.meta()).zip(at).is_some_and(|(known, at)| known > at));
            if successor { None } else { state.remove(&key) }
        };
        if let Some(old) = old {
            self.notify(&Change { old: Some(&old), new: None });
        }
    }

    /// Takes in a complete list as of `at`.
    pub(crate) fn replace(&self, objects: Vec<K>, at: Option<u64>) {
        let mut gone: BTreeSet<ObjectKey> = self.state().objects.keys().cloned().collect();
        for object in objects {
            gone.remove(&ObjectKey::of(object.meta()));
            self.apply(object);
        }
        for key in gone {
            let old = {
                let mut state = self.state();
                // Ours and newer than the list: the watch will bring it.
                let newer =
                    state.objects.get(&key).is_some_and(|known| version(known.meta()).zip(at).is_some_and(|(known, at)| known > at));
                if newer { None } else { state.remove(&key) }
            };
            if let Some(old) = old {
                self.notify(&Change { old: Some(&old), new: None });
            }
        }
        self.delivered(at);
        self.inner.synced.send_replace(true);
    }

    /// Notes how far the watch has come.
    pub(crate) fn delivered(&self, at: Option<u64>) {
        if let Some(at) = at {
            let mut state = self.state();
            state.delivered = state.delivered.max(at);
        }
    }

    fn put(&self, mut object: K) {
        object.meta_mut().managed_fields = None;
        if let Some(project) = self.inner.project {
            project(&mut object);
        }
        let key = ObjectKey::of(object.meta());
        // Decoding and trimming leave room at the end of every list, which is most of a pod's memory: a clone has none.
        let new = Arc::new(object.clone());
        let old = {
            let mut state = self.state();
            let outdated = state.objects.get(&key).is_some_and(|known| {
                let same_object = known.meta().uid == new.meta().uid;
                let versions = version(known.meta()).zip(version(new.meta()));
                same_object && versions.is_some_and(|(known, new)| known >= new)
            });
            if outdated {
                return;
            }
            let old = state.remove(&key);
            state.insert(key, Arc::clone(&new));
            old
        };
        self.notify(&Change { old: old.as_ref(), new: Some(&new) });
    }

    fn notify(&self, change: &Change<'_, K>) {
        let handlers = self.inner.handlers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for handler in handlers {
            handler(change);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> State<K> {
    fn insert(&mut self, key: ObjectKey, object: Arc<K>) {
        for index in self.indexes.values_mut() {
            for value in (index.values_of)(&object) {
                index.entries.entry(value).or_default().insert(key.clone());
            }
        }
        self.objects.insert(key, object);
    }

    fn remove(&mut self, key: &ObjectKey) -> Option<Arc<K>> {
        let object = self.objects.remove(key)?;
        for index in self.indexes.values_mut() {
            for value in (index.values_of)(&object) {
                if let Some(keys) = index.entries.get_mut(&value) {
                    keys.remove(key);
                    if keys.is_empty() {
                        index.entries.remove(&value);
                    }
                }
            }
        }
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn map(name: &str, version: u64, label: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                namespace: Some("ns".into()),
                name: Some(name.into()),
                uid: Some(format!("uid-{name}")),
                resource_version: Some(version.to_string()),
                labels: Some([("l".to_owned(), label.to_owned())].into()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    fn names(found: &[Arc<ConfigMap>]) -> Vec<&str> {
        found.iter().filter_map(|object| object.metadata.name.as_deref()).collect()
    }

    fn store() -> Store<ConfigMap> {
        Store::new().indexed("l", |object: &ConfigMap| object.metadata.labels.iter().flat_map(|labels| labels.values().cloned()).collect())
    }

    #[test]
    fn indexes_follow_changes() {
        let store = store();
        store.replace(vec![map("a", 1, "x"), map("b", 2, "x")], Some(2));
        assert!(store.has_synced());
        assert_eq!(names(&store.by_index("l", "x")), ["a", "b"]);
        store.apply(map("a", 3, "y"));
        assert_eq!(names(&store.by_index("l", "x")), ["b"]);
        store.delete(&map("b", 4, "x"));
        assert!(store.by_index("l", "x").is_empty());
        store.replace(vec![map("c", 5, "x")], Some(6));
        assert_eq!(names(&store.list()), ["c"]);
        assert!(store.by_index("l", "y").is_empty());
        assert_eq!(names(&store.in_namespace("ns")), ["c"]);
        assert!(store.in_namespace("n").is_empty());
    }

    #[test]
    fn own_writes_are_seen_at_once_and_never_go_back() {
        let store = store();
        store.replace(vec![], Some(10));
        store.record_write(map("a", 12, "new"));
        assert_eq!(names(&store.by_index("l", "new")), ["a"]);
        // The watch lags behind our write.
        store.apply(map("a", 11, "old"));
        assert_eq!(names(&store.by_index("l", "new")), ["a"]);
        // Deleted by somebody, then a slow answer to our write arrives.
        store.delete(&map("a", 13, "new"));
        store.record_write(map("a", 12, "new"));
        assert!(store.is_empty());
    }

    #[test]
    fn handlers_see_each_change_once() {
        let store = store();
        store.apply(map("a", 1, "x"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&log);
        store.subscribe(move |change| {
            let version =
                |object: Option<&Arc<ConfigMap>>| object.and_then(|object| object.metadata.resource_version.clone()).unwrap_or_default();
            seen.lock().unwrap().push(format!("{}>{}", version(change.old), version(change.new)));
        });
        store.record_write(map("a", 2, "x"));
        store.apply(map("a", 2, "x"));
        store.replace(vec![], Some(3));
        assert_eq!(*log.lock().unwrap(), [">1", "1>2", "2>"]);
    }
}
