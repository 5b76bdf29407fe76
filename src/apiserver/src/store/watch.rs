//! Watches: a position in a resource's history and a signal that there may be more.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Event, Gone, Store};
use crate::resource::GroupResource;

/// Signals of one resource: one for watches of all namespaces, one for each namespace that is watched.
pub(super) struct Wakers {
    all: watch::Sender<()>,
    namespaces: BTreeMap<String, watch::Sender<()>>,
}

impl Default for Wakers {
    fn default() -> Self {
        Self { all: watch::Sender::new(()), namespaces: BTreeMap::new() }
    }
}

impl Wakers {
    /// Wakes the watches that a change in `namespace` concerns, or everyone.
    pub(super) fn wake(&mut self, namespace: &str, everyone: bool) {
        if everyone {
            self.wake_all();
            return;
        }
        self.all.send_replace(());
        if let Some(sender) = self.namespaces.get(namespace) {
            sender.send_replace(());
        }
    }

    pub(super) fn wake_all(&mut self) {
        self.all.send_replace(());
        self.namespaces.retain(|_, sender| {
            sender.send_replace(());
            sender.receiver_count() > 0
        });
    }

    /// Watches that are open.
    pub(super) fn count(&self) -> usize {
        self.all.receiver_count() + self.namespaces.values().map(watch::Sender::receiver_count).sum::<usize>()
    }

    pub(super) fn subscribe(&mut self, namespace: Option<&str>) -> watch::Receiver<()> {
        match namespace {
            None => self.all.subscribe(),
            Some(namespace) => self.namespaces.entry(namespace.to_owned()).or_insert_with(|| watch::Sender::new(())).subscribe(),
        }
    }
}

/// The changes of one resource after a revision, in order, each exactly once.
pub struct WatchStream {
    store: Store,
    gr: GroupResource,
    namespace: Option<String>,
    position: u64,
    signal: watch::Receiver<()>,
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
        signal: watch::Receiver<()>,
        durable: Option<watch::Receiver<u64>>,
    ) -> Self {
        Self { store, gr, namespace, position, signal, durable }
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
        self.signal.mark_unchanged();
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
            // The senders live in the store, which this stream holds: the channels do not close.
            match &mut self.durable {
                None => {
                    let _ = self.signal.changed().await;
                }
                Some(durable) => {
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
