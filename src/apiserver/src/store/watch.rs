//! Watches: a position in a resource's history and a signal that there may be more.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::{Event, Gone, Store};
use crate::resource::GroupResource;

/// Who waits for changes of one resource: in all namespaces, or in one.
///
/// Woken in the order of their arrival. A channel would do, but tokio's `watch` wakes its receivers in random order, and with
/// it everything that one change sets off would happen in another order each time.
#[derive(Default)]
pub(super) struct Wakers {
    arrivals: u64,
    all: BTreeMap<u64, Arc<Notify>>,
    namespaces: BTreeMap<String, BTreeMap<u64, Arc<Notify>>>,
}

impl Wakers {
    /// Wakes the watches that a change in `namespace` concerns, or everyone.
    pub(super) fn wake(&self, namespace: &str, everyone: bool) {
        if everyone {
            self.wake_all();
            return;
        }
        self.all.values().chain(self.namespaces.get(namespace).into_iter().flat_map(BTreeMap::values)).for_each(|one| one.notify_one());
    }

    pub(super) fn wake_all(&self) {
        self.all.values().chain(self.namespaces.values().flat_map(BTreeMap::values)).for_each(|one| one.notify_one());
    }

    /// Watches that are open.
    pub(super) fn count(&self) -> usize {
        self.all.len() + self.namespaces.values().map(BTreeMap::len).sum::<usize>()
    }

    /// Someone who is woken from now on, and the number to strike it out by.
    pub(super) fn subscribe(&mut self, namespace: Option<&str>) -> (u64, Arc<Notify>) {
        self.arrivals += 1;
        let signal = Arc::new(Notify::new());
        let waiting = match namespace {
            None => &mut self.all,
            Some(namespace) => self.namespaces.entry(namespace.to_owned()).or_default(),
        };
        waiting.insert(self.arrivals, signal.clone());
        (self.arrivals, signal)
    }

    pub(super) fn unsubscribe(&mut self, namespace: Option<&str>, number: u64) {
        let Some(namespace) = namespace else {
            self.all.remove(&number);
            return;
        };
        if let Some(waiting) = self.namespaces.get_mut(namespace) {
            waiting.remove(&number);
            if waiting.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
    }
}

/// The changes of one resource after a revision, in order, each exactly once.
pub struct WatchStream {
    store: Store,
    gr: GroupResource,
    namespace: Option<String>,
    position: u64,
    /// Its place among those who wait.
    number: u64,
    signal: Arc<Notify>,
    /// With a log on disk only what is durable is shown.
    durable: Option<watch::Receiver<u64>>,
}

impl std::fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WatchStream({} after {})", self.gr, self.position)
    }
}

/// How many events a watch takes from the history at once, so that the store is never locked for long.
const BATCH: usize = 256;

impl WatchStream {
    pub(super) fn new(
        store: Store,
        gr: GroupResource,
        namespace: Option<String>,
        position: u64,
        (number, signal): (u64, Arc<Notify>),
        durable: Option<watch::Receiver<u64>>,
    ) -> Self {
        Self { store, gr, namespace, position, number, signal, durable }
    }

    /// Every change up to this revision has been yielded.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next changes, without waiting; empty when there are none now.
    ///
    /// # Errors
    /// [`Gone`] when the history has moved past this watch.
    pub fn poll_batch(&mut self) -> Result<Vec<Arc<Event>>, Gone> {
        let upto = self.durable.as_mut().map(|durable| *durable.borrow_and_update());
        let (events, position) = self.store.read_history(&self.gr, self.namespace.as_deref(), self.position, BATCH, upto)?;
        self.position = position;
        Ok(events)
    }

    /// The next changes, at least one. Safe to cancel.
    ///
    /// # Errors
    /// [`Gone`] when the history has moved past this watch.
    pub async fn next_batch(&mut self) -> Result<Vec<Arc<Event>>, Gone> {
        loop {
            let events = self.poll_batch()?;
            if !events.is_empty() {
                return Ok(events);
            }
            match &mut self.durable {
                // What was committed since the look above has left its mark.
                None => self.signal.notified().await,
                Some(durable) => {
                    // The sender lives in the store, which this stream holds: the channel does not close.
                    let _ = durable.changed().await;
                }
            }
        }
    }

    /// The changes one by one, as a [`futures::Stream`] that ends after a [`Gone`].
    pub fn into_stream(self) -> impl futures::Stream<Item = Result<Arc<Event>, Gone>> + Send {
        use futures::StreamExt as _;
        futures::stream::unfold(Some(self), |state| async move {
            let mut watch = state?;
            Some(match watch.next_batch().await {
                Ok(events) => (events.into_iter().map(Ok).collect::<Vec<_>>(), Some(watch)),
                Err(gone) => (vec![Err(gone)], None),
            })
        })
        .flat_map(futures::stream::iter)
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        self.store.unsubscribe(&self.gr, self.namespace.as_deref(), self.number);
    }
}
