//! Reflectors: keep a [`Store`] equal to the API server's state by a streaming list and a watch.

use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, pin_mut};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Entropy, ObjectKey, Store};

/// How long one watch request lasts, in seconds.
const WATCH_SECONDS: u32 = 540;
/// A watch without a word for this long beyond its end is dead.
const WATCH_GRACE: Duration = Duration::from_secs(30);
/// The first wait after a failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(800);
/// The longest wait after failures.
const LAST_BACKOFF: Duration = Duration::from_secs(30);
/// Objects a page when the server has no streaming lists.
const PAGE: u32 = 500;
/// Marks the bookmark that ends a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Fills a store from one collection.
///
/// Flow: streaming list (a watch that begins with the present state); where the server refuses it, a paged list; then the
/// watch from there. A watch that ends is resumed where it ended; one that is too old (410) starts over with a list.
/// Guarantees: the store is complete before it counts as synced; what the store's projection drops is never kept.
/// Errors: never fatal; logged, and retried from 0.8 s to 30 s with jitter.
pub struct Reflector<K> {
    api: Api<K>,
    store: Store<K>,
    label_selector: Option<String>,
    field_selector: Option<String>,
    entropy: Entropy,
}

impl<K> Debug for Reflector<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reflector")
            .field("label_selector", &self.label_selector)
            .field("field_selector", &self.field_selector)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("list: {0}")]
    List(#[source] kube::Error),
    #[error("watch: {0}")]
    Watch(#[source] kube::Error),
    #[error("watch: {} {}", .0.code, .0.message)]
    Event(Box<kube::core::Status>),
    #[error("watch: silent beyond its timeout")]
    Silent,
    #[error("watch: ended before the list was complete")]
    Incomplete,
    #[error("streaming lists are not supported")]
    NoStreamingLists,
}

impl Failure {
    /// The resourceVersion is no longer known.
    fn expired(&self) -> bool {
        match self {
            Self::Event(status) | Self::Watch(kube::Error::Api(status)) => status.code == 410,
            _ => false,
        }
    }
}

impl<K> Reflector<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// From `api` into `store`.
    pub fn new(api: Api<K>, store: Store<K>, entropy: &Entropy) -> Self {
        let entropy = entropy.fork(api.resource_url());
        Self { api, store, label_selector: None, field_selector: None, entropy }
    }

    /// Only objects with these labels.
    #[must_use]
    pub fn labels(mut self, selector: &str) -> Self {
        self.label_selector = Some(selector.to_owned());
        self
    }

    /// Only objects with these fields.
    #[must_use]
    pub fn fields(mut self, selector: &str) -> Self {
        self.field_selector = Some(selector.to_owned());
        self
    }

    /// Runs until `shutdown`, on a task of its own.
    pub fn spawn(self, shutdown: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.run() => {}
            }
        })
    }

    async fn run(self) {
        let mut backoff = FIRST_BACKOFF;
        let mut streaming = true;
        let mut resume: Option<String> = None;
        loop {
            let mut progressed = false;
            let failure = match resume.clone() {
                None if streaming => self.watch(None, &mut resume, &mut progressed).await,
                None => self.list(&mut resume).await,
                Some(from) => self.watch(Some(from), &mut resume, &mut progressed).await,
            };
            let Err(failure) = failure else {
                backoff = FIRST_BACKOFF;
                continue;
            };
            if matches!(failure, Failure::NoStreamingLists) {
                streaming = false;
                continue;
            }
            if failure.expired() {
                resume = None;
            }
            if progressed {
                backoff = FIRST_BACKOFF;
            }
            tracing::debug!(collection = self.api.resource_url(), error = %failure, "watch interrupted");
            tokio::time::sleep(self.entropy.jitter(backoff, 1.0)).await;
            backoff = (backoff * 2).min(LAST_BACKOFF);
        }
    }

    async fn list(&self, resume: &mut Option<String>) -> Result<(), Failure> {
        let mut objects = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector.clone_from(&self.label_selector);
        params.field_selector.clone_from(&self.field_selector);
        loop {
            let page = self.api.list(&params).await.map_err(Failure::List)?;
            objects.extend(page.items);
            let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else {
                let at = page.metadata.resource_version.unwrap_or_default();
                self.store.replace(objects, at.parse().ok());
                *resume = Some(at);
                return Ok(());
            };
            params = params.continue_token(&token);
        }
    }

    /// Watches from `from`; without it, starts with the present state. `Ok` when the server ended the request in order.
    async fn watch(&self, from: Option<String>, resume: &mut Option<String>, progressed: &mut bool) -> Result<(), Failure> {
        let params = WatchParams {
            label_selector: self.label_selector.clone(),
            field_selector: self.field_selector.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            send_initial_events: from.is_none(),
        };
        // The present state, until it is complete.
        let mut initial = from.is_none().then(Vec::new);
        let stream = match self.api.watch(&params, from.as_deref().unwrap_or_default()).await {
            Ok(stream) => stream.into_stream(),
            Err(kube::Error::Api(status)) if initial.is_some() && matches!(status.code, 400 | 422) => {
                return Err(Failure::NoStreamingLists);
            }
            Err(error) => return Err(Failure::Watch(error)),
        };
        pin_mut!(stream);
        let silence = Duration::from_secs(u64::from(WATCH_SECONDS)) + WATCH_GRACE;
        loop {
            let event = tokio::time::timeout(silence, stream.next()).await.map_err(|_| Failure::Silent)?;
            let Some(event) = event else {
                return if initial.is_some() { Err(Failure::Incomplete) } else { Ok(()) };
            };
            *progressed = true;
            match event.map_err(Failure::Watch)? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    if let Some(initial) = &mut initial {
                        initial.push(object);
                    } else {
                        *resume = object.resource_version();
                        self.store.apply(object);
                    }
                }
                WatchEvent::Deleted(object) => {
                    if let Some(initial) = &mut initial {
                        let gone = ObjectKey::of(object.meta());
                        initial.retain(|kept| ObjectKey::of(kept.meta()) != gone);
                    } else {
                        *resume = object.resource_version();
                        self.store.delete(&object);
                    }
                }
                WatchEvent::Bookmark(bookmark) => {
                    let at = bookmark.metadata.resource_version;
                    let complete = bookmark.metadata.annotations.contains_key(INITIAL_EVENTS_END);
                    match initial.take() {
                        Some(objects) if complete => self.store.replace(objects, at.parse().ok()),
                        Some(unfinished) => {
                            initial = Some(unfinished);
                            continue;
                        }
                        None => self.store.delivered(at.parse().ok()),
                    }
                    *resume = Some(at);
                }
                WatchEvent::Error(status) => return Err(Failure::Event(status)),
            }
        }
    }
}
