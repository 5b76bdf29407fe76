//! The revisioned store: one map of encoded objects, a bounded history a resource, watches that read it.
//!
//! # Flow
//! [`Store::commit`] takes the next revision, writes it into `metadata.resourceVersion`, encodes the object once, puts
//! it into the map and its event into the resource's history, and wakes the watches it concerns. A [`WatchStream`] holds
//! a position in the history and no queue of its own, so a slow reader costs nothing; when the history has moved past its
//! position it ends with [`Gone`].
//!
//! # Guarantees
//! Revisions are global, dense and increase by one a commit. A watch from any revision that is still in the history
//! yields exactly the later changes, in order. Lists are snapshots: all objects are of the same moment.
//!
//! # Errors
//! [`StoreError`]: expectations that do not hold, compacted revisions, and a failing disk.

mod history;
mod persist;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;

pub use history::{Event, EventKind, Limits};
pub use persist::PersistError;
pub use watch::WatchStream;

use crate::resource::GroupResource;
use history::History;
use watch::Wakers;

/// Identity of an object. Ordered as lists are: resource, namespace, name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Group and resource.
    pub gr: GroupResource,
    /// Namespace, empty when cluster-scoped.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// From its parts.
    pub fn new(gr: GroupResource, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { gr, namespace: namespace.into(), name: name.into() }
    }
}

/// A stored object: encoded as clients get it, with the few parsed fields that selectors and indexes need.
#[derive(Debug)]
pub struct Stored {
    /// Identity.
    pub key: Key,
    /// The revision that wrote it; `metadata.resourceVersion`.
    pub revision: u64,
    /// The object in its storage version, resource version included.
    pub json: Bytes,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Values of the resource's selectable fields besides name and namespace.
    pub fields: BTreeMap<String, String>,
    /// Where in it things stand.
    places: Places,
}

/// Places in the encoded object.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    /// Where the members after `kind` and `apiVersion` begin.
    untyped: usize,
    /// From where to where the value of `metadata` goes.
    metadata: (usize, usize),
}

impl Stored {
    fn new(key: Key, revision: u64, value: &Value, fields: BTreeMap<String, String>) -> Result<Self, StoreError> {
        let (json, places) = encode(value).map_err(|error| StoreError::Encoding(error.to_string()))?;
        let metadata = value.get("metadata");
        let labels = metadata
            .and_then(|metadata| metadata.get("labels"))
            .and_then(Value::as_object)
            .map(|labels| labels.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
            .unwrap_or_default();
        let uid = metadata.and_then(|metadata| metadata.get("uid")).and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            key,
            revision,
            // Without the room that encoding left at its end.
            json: Bytes::from(json.into_boxed_slice()),
            uid: uid.to_owned(),
            labels,
            fields,
            places,
        })
    }

    /// The decoded object.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or(Value::Null)
    }

    /// The encoded members of the object but `kind` and `apiVersion`, and its closing brace: lists of built-in kinds do
    /// not repeat the type in their items.
    pub fn untyped(&self) -> &[u8] {
        self.json.get(self.places.untyped..).unwrap_or_default()
    }

    /// The encoded `metadata`, a part of [`Stored::json`]; nothing where there is none.
    pub fn metadata(&self) -> Bytes {
        let (begin, end) = self.places.metadata;
        self.json.slice(begin..end)
    }

    /// The line of a watch that says `kind` of this object, newline included, in pieces: the object itself is shared by all
    /// watches, however slowly they read.
    pub fn line(&self, kind: EventKind) -> [Bytes; 3] {
        [Bytes::from_static(kind.opening()), self.json.clone(), Bytes::from_static(b"}\n")]
    }
}

/// What a commit expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing of that key.
    Absent,
    /// The object at this revision.
    Revision(u64),
    /// Whatever is there.
    Any,
}

/// Why a commit or a historical read did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Something of that key exists.
    #[error("the key exists")]
    Exists(u64),
    /// Nothing of that key exists.
    #[error("the key does not exist")]
    Missing,
    /// The object has another revision; the current one is given.
    #[error("the object is at revision {0}")]
    Changed(u64),
    /// The revision is no longer in the history; the oldest that can be read is given.
    #[error("the revision has been compacted, the oldest is {0}")]
    Compacted(u64),
    /// The revision has not happened yet; the current one is given.
    #[error("the revision is in the future, the current one is {0}")]
    Future(u64),
    /// The object cannot be encoded.
    #[error("encode: {0}")]
    Encoding(String),
    /// The log on disk failed; nothing is acknowledged any more.
    #[error("write the log: {0}")]
    Disk(String),
}

/// The history a watch asked for is no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub struct Gone {
    /// The revision asked for.
    pub asked: u64,
    /// The oldest revision a watch may start from.
    pub oldest: u64,
}

/// Computes the selectable fields of an object, `spec.nodeName` → `node01`.
pub type Indexer = Arc<dyn Fn(&Value) -> BTreeMap<String, String> + Send + Sync>;

/// All objects of one resource.
#[derive(Default)]
struct Collection {
    objects: BTreeMap<(String, String), Arc<Stored>>,
    history: History,
    last_write: u64,
    indexer: Option<Indexer>,
    wakers: Wakers,
}

struct Inner {
    revision: u64,
    /// What happened up to here is forgotten, in every resource.
    compacted: u64,
    limits: Limits,
    resources: BTreeMap<GroupResource, Collection>,
    log: Option<persist::Log>,
}

impl Inner {
    /// The oldest revision from which nothing of a resource is missing.
    fn oldest(&self, gr: &GroupResource) -> u64 {
        self.resources.get(gr).map_or(0, |collection| collection.history.oldest()).max(self.compacted)
    }
}

/// The store; clones share it.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    durable: Option<persist::Durable>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store(revision {})", self.revision())
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store in memory.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// An empty store in memory whose histories keep to `limits`.
    pub fn with_limits(limits: Limits) -> Self {
        let inner = Inner { revision: 1, compacted: 0, limits, resources: BTreeMap::new(), log: None };
        Self(Arc::new(Shared { inner: Mutex::new(inner), durable: None }))
    }

    /// A store that keeps its objects in `folder`: what was acknowledged survives a kill, a torn tail of the log is cut off.
    ///
    /// # Errors
    /// The folder cannot be created, locked or read, or holds a log that is damaged before its tail.
    pub fn open(folder: &std::path::Path) -> Result<Self, PersistError> {
        let recovered = persist::recover(folder)?;
        let mut inner = Inner {
            revision: recovered.revision,
            compacted: recovered.revision,
            limits: Limits::default(),
            resources: BTreeMap::new(),
            log: None,
        };
        for (key, revision, value) in recovered.objects {
            let collection = inner.resources.entry(key.gr.clone()).or_default();
            let place = (key.namespace.clone(), key.name.clone());
            let stored = Stored::new(key, revision, &value, BTreeMap::new()).map_err(|error| PersistError::Damaged(error.to_string()))?;
            collection.last_write = collection.last_write.max(revision);
            collection.objects.insert(place, Arc::new(stored));
        }
        let (log, durable) = persist::start(folder, recovered.revision, recovered.file)?;
        inner.log = Some(log);
        Ok(Self(Arc::new(Shared { inner: Mutex::new(inner), durable: Some(durable) })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how a resource's selectable fields are found, and computes them for what is stored already.
    pub fn set_indexer(&self, gr: &GroupResource, indexer: Indexer) {
        let mut inner = self.lock();
        let collection = inner.resources.entry(gr.clone()).or_default();
        for stored in collection.objects.values_mut() {
            let value = stored.value();
            if let Ok(indexed) = Stored::new(stored.key.clone(), stored.revision, &value, indexer(&value)) {
                *stored = Arc::new(indexed);
            }
        }
        collection.indexer = Some(indexer);
    }

    /// The revision of the last commit.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// The revision of the last change in this resource; 0 when there was none.
    pub fn last_write(&self, gr: &GroupResource) -> u64 {
        self.lock().resources.get(gr).map_or(0, |collection| collection.last_write)
    }

    /// How many objects a resource has.
    pub fn count(&self, gr: &GroupResource) -> usize {
        self.lock().resources.get(gr).map_or(0, |collection| collection.objects.len())
    }

    /// Every resource that has objects, in order.
    pub fn resources(&self) -> Vec<GroupResource> {
        let inner = self.lock();
        inner.resources.iter().filter(|(_, c)| !c.objects.is_empty()).map(|(gr, _)| gr.clone()).collect()
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        let inner = self.lock();
        inner.resources.get(&key.gr)?.objects.get(&(key.namespace.clone(), key.name.clone())).cloned()
    }

    /// All objects of a resource (in one namespace, or in all), ordered by namespace and name, and the revision of this
    /// snapshot.
    pub fn list(&self, gr: &GroupResource, namespace: Option<&str>) -> (Vec<Arc<Stored>>, u64) {
        let inner = self.lock();
        let items = inner.resources.get(gr).map_or_else(Vec::new, |c| in_namespace(&c.objects, namespace));
        (items, inner.revision)
    }

    /// As [`Store::list`], as it was at `revision`.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] and [`StoreError::Future`].
    pub fn list_at(&self, gr: &GroupResource, namespace: Option<&str>, revision: u64) -> Result<Vec<Arc<Stored>>, StoreError> {
        let inner = self.lock();
        if revision > inner.revision {
            return Err(StoreError::Future(inner.revision));
        }
        let oldest = inner.oldest(gr);
        if revision < oldest {
            return Err(StoreError::Compacted(oldest));
        }
        let Some(collection) = inner.resources.get(gr) else { return Ok(Vec::new()) };
        if collection.last_write <= revision {
            return Ok(in_namespace(&collection.objects, namespace));
        }
        let mut objects = collection.objects.clone();
        for event in collection.history.after(revision).rev() {
            let key = &event.object.key;
            let place = (key.namespace.clone(), key.name.clone());
            match &event.previous {
                Some(previous) => objects.insert(place, previous.clone()),
                None => objects.remove(&place),
            };
        }
        Ok(in_namespace(&objects, namespace))
    }

    /// Creates, replaces or (with `None`) removes an object. The object's `metadata.resourceVersion` is set here. What a
    /// removal returns is the last state, at the revision of the removal.
    ///
    /// # Errors
    /// The expectation does not hold, or the object cannot be encoded.
    pub fn commit(&self, key: Key, expect: Expect, object: Option<Value>) -> Result<Arc<Stored>, StoreError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        if let Some(failure) = inner.log.as_ref().and_then(persist::Log::failure) {
            return Err(StoreError::Disk(failure));
        }
        let revision = inner.revision + 1;
        let collection = inner.resources.entry(key.gr.clone()).or_default();
        let place = (key.namespace.clone(), key.name.clone());
        let previous = collection.objects.get(&place).cloned();
        match (expect, &previous) {
            (Expect::Absent, Some(previous)) => return Err(StoreError::Exists(previous.revision)),
            (Expect::Revision(_), None) => return Err(StoreError::Missing),
            (Expect::Revision(expected), Some(previous)) if previous.revision != expected => {
                return Err(StoreError::Changed(previous.revision));
            }
            _ => {}
        }
        let (kind, mut value) = match (object, &previous) {
            (Some(value), None) => (EventKind::Added, value),
            (Some(value), Some(_)) => (EventKind::Modified, value),
            (None, Some(previous)) => (EventKind::Deleted, previous.value()),
            (None, None) => return Err(StoreError::Missing),
        };
        set_resource_version(&mut value, revision);
        let fields = collection.indexer.as_ref().map(|indexer| indexer(&value)).unwrap_or_default();
        let stored = Arc::new(Stored::new(key, revision, &value, fields)?);
        if kind == EventKind::Deleted {
            collection.objects.remove(&place);
        } else {
            collection.objects.insert(place, stored.clone());
        }
        inner.revision = revision;
        collection.last_write = revision;
        let trimmed = collection.history.push(Event { kind, object: stored.clone(), previous: previous.clone() }, &inner.limits);
        match &inner.log {
            Some(log) => log.append(kind, &stored),
            None => collection.wakers.wake(&stored.key.namespace, trimmed),
        }
        Ok(stored)
    }

    /// Waits until the commit of this revision cannot be lost; at once for a store in memory.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn durable(&self, revision: u64) -> Result<(), StoreError> {
        match &self.0.durable {
            None => Ok(()),
            Some(durable) => durable.wait(revision).await.map_err(StoreError::Disk),
        }
    }

    /// Forgets the history up to and including `revision`, of every resource; watches from before it end with [`Gone`].
    pub fn compact(&self, revision: u64) {
        let mut inner = self.lock();
        let revision = revision.min(inner.revision);
        inner.compacted = inner.compacted.max(revision);
        for collection in inner.resources.values_mut() {
            collection.history.compact(revision);
            collection.wakers.wake_all();
        }
    }

    /// The changes of a resource (in one namespace, or in all) after revision `from`.
    ///
    /// # Errors
    /// [`Gone`] when the history does not reach back to `from`.
    pub fn watch(&self, gr: &GroupResource, namespace: Option<&str>, from: u64) -> Result<WatchStream, Gone> {
        let mut inner = self.lock();
        let oldest = inner.oldest(gr);
        if from < oldest {
            return Err(Gone { asked: from, oldest });
        }
        let collection = inner.resources.entry(gr.clone()).or_default();
        let signal = collection.wakers.subscribe(namespace);
        let durable = self.0.durable.as_ref().map(persist::Durable::subscribe);
        Ok(WatchStream::new(self.clone(), gr.clone(), namespace.map(str::to_owned), from, signal, durable))
    }

    fn unsubscribe(&self, gr: &GroupResource, namespace: Option<&str>, number: u64) {
        if let Some(collection) = self.lock().resources.get_mut(gr) {
            collection.wakers.unsubscribe(namespace, number);
        }
    }

    /// How many watches are open, of all resources.
    pub fn watches(&self) -> usize {
        self.lock().resources.values().map(|collection| collection.wakers.count()).sum()
    }

    /// The events after `position` that concern a namespace, at most `limit`, and the position after them.
    fn read_history(
        &self,
        gr: &GroupResource,
        namespace: Option<&str>,
        position: u64,
        limit: usize,
        upto: Option<u64>,
    ) -> Result<(Vec<Arc<Event>>, u64), Gone> {
        let inner = self.lock();
        let newest = upto.map_or(inner.revision, |upto| upto.min(inner.revision));
        let oldest = inner.oldest(gr);
        if position < oldest {
            return Err(Gone { asked: position, oldest });
        }
        let Some(collection) = inner.resources.get(gr) else { return Ok((Vec::new(), newest)) };
        let mut events = Vec::new();
        for event in collection.history.after(position) {
            if event.object.revision > newest {
                break;
            }
            if namespace.is_none_or(|namespace| namespace == event.object.key.namespace) {
                events.push(event.clone());
                if events.len() == limit {
                    return Ok((events, event.object.revision));
                }
            }
        }
        Ok((events, newest.max(position)))
    }
}

/// The objects of one namespace, or of all.
fn in_namespace(objects: &BTreeMap<(String, String), Arc<Stored>>, namespace: Option<&str>) -> Vec<Arc<Stored>> {
    match namespace {
        None => objects.values().cloned().collect(),
        Some(namespace) => objects
            .range((Bound::Included((namespace.to_owned(), String::new())), Bound::Unbounded))
            .take_while(|((of, _), _)| of == namespace)
            .map(|(_, stored)| stored.clone())
            .collect(),
    }
}

/// Encodes an object with its type first, and says where things stand.
fn encode(value: &Value) -> serde_json::Result<(Vec<u8>, Places)> {
    let Some(map) = value.as_object() else { return Ok((serde_json::to_vec(value)?, Places::default())) };
    let mut json = Vec::with_capacity(1024);
    let mut before = b'{';
    let mut untyped = 1;
    let mut metadata = (0, 0);
    let is_type = |key: &str| key == "kind" || key == "apiVersion";
    let typed = ["kind", "apiVersion"].into_iter().filter_map(|key| map.get_key_value(key));
    for (key, member) in typed.chain(map.iter().filter(|(key, _)| !is_type(key))) {
        json.push(before);
        before = b',';
        if is_type(key) {
            untyped = usize::MAX;
        } else if untyped == usize::MAX {
            untyped = json.len();
        }
        serde_json::to_writer(&mut json, key)?;
        json.push(b':');
        let begin = json.len();
        serde_json::to_writer(&mut json, member)?;
        if key == "metadata" {
            metadata = (begin, json.len());
        }
    }
    if before == b'{' {
        json.push(b'{');
    }
    if untyped == usize::MAX {
        untyped = json.len();
    }
    json.push(b'}');
    Ok((json, Places { untyped, metadata }))
}

fn set_resource_version(value: &mut Value, revision: u64) {
    if let Some(object) = value.as_object_mut() {
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("resourceVersion".into(), revision.to_string().into());
        }
    }
}
