//! Watched objects: one list and watch a kind, decoded once, shared by everybody who wants to know.
//!
//! A [`Store`] holds the objects and calls its listeners, in order of registration, for each change, while the watch task
//! runs: listeners only update indexes and fill queues. Order is the server's, so runs are reproducible.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::TryStreamExt;
use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::core::WatchEvent;
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Client, Object, RequestError, collection_of};

/// Namespace (empty for cluster-scoped objects) and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub(crate) fn of<K: Object>(object: &K) -> Self {
        let meta = object.metadata();
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// A change of one object: before and after; one of them is always there.
pub(crate) struct Change<'a, K> {
    pub(crate) key: &'a Key,
    pub(crate) old: Option<&'a Arc<K>>,
    pub(crate) new: Option<&'a Arc<K>>,
}

type Listener<K> = Box<dyn Fn(&Change<'_, K>) + Send + Sync>;

/// Locks, whatever happened to the last holder: all state here is consistent between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The objects of one kind.
pub(crate) struct Store<K> {
    items: Mutex<BTreeMap<Key, Arc<K>>>,
    listeners: OnceLock<Vec<Listener<K>>>,
    building: Mutex<Vec<Listener<K>>>,
    /// Takes out of an object what nobody here reads.
    trim: fn(&mut K),
    synced: watch::Sender<bool>,
}

impl<K: Object> Store<K> {
    pub(crate) fn new() -> Arc<Self> {
        Self::trimmed(|_| {})
    }

    /// A store of objects without what `trim` takes out of them.
    pub(crate) fn trimmed(trim: fn(&mut K)) -> Arc<Self> {
        Arc::new(Self {
            trim,
            items: Mutex::new(BTreeMap::new()),
            listeners: OnceLock::new(),
            building: Mutex::new(Vec::new()),
            synced: watch::Sender::new(false),
        })
    }

    /// Adds a listener; all are added before the watch starts.
    pub(crate) fn on_change(&self, listener: impl Fn(&Change<'_, K>) + Send + Sync + 'static) {
        lock(&self.building).push(Box::new(listener));
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        lock(&self.items).get(key).cloned()
    }

    /// All objects of a namespace, in order of their names.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let from = Key::new(namespace, "");
        lock(&self.items).range(from..).take_while(|(key, _)| key.namespace == namespace).map(|(_, object)| object.clone()).collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        lock(&self.items).values().cloned().collect()
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        lock(&self.items).keys().cloned().collect()
    }

    /// Waits until the first list is in.
    pub(crate) async fn synced(&self) {
        let mut receiver = self.synced.subscribe();
        let _ = receiver.wait_for(|synced| *synced).await;
    }

    fn tell(&self, change: &Change<'_, K>) {
        let listeners = self.listeners.get_or_init(|| std::mem::take(&mut *lock(&self.building)));
        for listener in listeners {
            listener(change);
        }
    }

    fn put(&self, mut object: K) {
        let key = Key::of(&object);
        object.metadata_mut().managed_fields = None;
        (self.trim)(&mut object);
        // Decoding leaves room at the end of every list, which for pods is most of their memory: a clone has none.
        let object = Arc::new(object.clone());
        let old = lock(&self.items).insert(key.clone(), object.clone());
        let same = old.as_ref().is_some_and(|old| old.metadata().resource_version == object.metadata().resource_version);
        if !same {
            self.tell(&Change { key: &key, old: old.as_ref(), new: Some(&object) });
        }
    }

    /// Forgets an object; its last state is what listeners see as old.
    fn drop_object(&self, key: &Key, last: Option<K>) {
        let removed = lock(&self.items).remove(key);
        if let Some(old) = last.map(Arc::new).or(removed) {
            self.tell(&Change { key, old: Some(&old), new: None });
        }
    }
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "K: Object"))]
struct List<K> {
    #[serde(default)]
    metadata: ListMeta,
    items: Option<Vec<K>>,
}

/// Pause before a failed watch is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Watches a kind until told to stop.
pub(crate) fn spawn_watch<K: Object>(client: Client, store: Arc<Store<K>>, stop: CancellationToken) {
    spawn_selected(client, store, stop, Scope::default());
}

/// Which objects of a kind are watched.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope {
    /// All namespaces when empty.
    pub(crate) namespace: &'static str,
    /// A field selector.
    pub(crate) fields: &'static str,
}

/// Watches some objects of a kind until told to stop.
pub(crate) fn spawn_selected<K: Object>(client: Client, store: Arc<Store<K>>, stop: CancellationToken, scope: Scope) {
    tokio::spawn(async move {
        let mut version: Option<String> = None;
        loop {
            let round = follow(&client, &store, &mut version, scope);
            let failed = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                result = round => result.err(),
            };
            if let Some(error) = failed {
                if error.is_gone() {
                    version = None;
                    continue;
                }
                tracing::debug!(kind = K::KIND, %error, "watch failed");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    });
}

/// Lists if need be, then watches until the server ends it.
async fn follow<K: Object>(client: &Client, store: &Store<K>, version: &mut Option<String>, scope: Scope) -> Answer<()> {
    let path = collection_of::<K>(scope.namespace);
    let selector = if scope.fields.is_empty() { String::new() } else { format!("fieldSelector={}&", scope.fields) };
    let from = if let Some(from) = version {
        from.clone()
    } else {
        let listed = relist(client, store, &format!("{path}?{selector}limit=0")).await?;
        *version = Some(listed.clone());
        listed
    };
    let uri = format!("{path}?{selector}watch=1&allowWatchBookmarks=true&resourceVersion={from}&timeoutSeconds=290");
    let request = Request::get(uri).header("user-agent", "simcluster").body(Vec::new())?;
    let mut events = std::pin::pin!(client.0.request_events::<K>(request).await.map_err(RequestError::from)?);
    while let Some(event) = events.try_next().await.map_err(RequestError::from)? {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                version.clone_from(&object.metadata().resource_version);
                store.put(object);
            }
            WatchEvent::Deleted(object) => {
                version.clone_from(&object.metadata().resource_version);
                let key = Key::of(&object);
                store.drop_object(&key, Some(object));
            }
            WatchEvent::Bookmark(bookmark) => *version = Some(bookmark.metadata.resource_version),
            WatchEvent::Error(status) => return Err(RequestError::from(kube::Error::Api(status))),
        }
    }
    Ok(())
}

async fn relist<K: Object>(client: &Client, store: &Store<K>, path: &str) -> Answer<String> {
    let list: List<K> = client.get(path).await?;
    let mut present = std::collections::BTreeSet::new();
    for object in list.items.unwrap_or_default() {
        present.insert(Key::of(&object));
        store.put(object);
    }
    for key in store.keys() {
        if !present.contains(&key) {
            store.drop_object(&key, None);
        }
    }
    store.synced.send_replace(true);
    Ok(list.metadata.resource_version.unwrap_or_default())
}
