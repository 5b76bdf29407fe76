//! The watch of one resource's metadata.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use http::Request;
use kube::core::WatchEvent;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::Seen;
use super::graph::Partial;
use crate::client::{Answer, RequestError};
use crate::cluster::Shared;
use crate::discovery::ApiResource;

const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    items: Option<Vec<Partial>>,
}

/// Watches until the cluster stops or the resource is no longer served.
pub(super) fn spawn(shared: Shared, resource: Arc<ApiResource>, seen: mpsc::UnboundedSender<Seen>) {
    tokio::spawn(async move {
        let mut version = None;
        loop {
            let result = tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                result = follow(&shared, &resource, &seen, &mut version) => result,
            };
            match result {
                Ok(()) => {}
                Err(error) if error.is_gone() => version = None,
                Err(error) => {
                    tracing::debug!(%error, resource = resource.name(), "metadata watch failed");
                    version = None;
                    let pause = if error.is_not_found() { 30 } else { 1 };
                    tokio::select! {
                        biased;
                        () = shared.stop.cancelled() => return,
                        () = tokio::time::sleep(Duration::from_secs(pause)) => {}
                    }
                }
            }
        }
    });
}

async fn follow(
    shared: &Shared,
    resource: &Arc<ApiResource>,
    seen: &mpsc::UnboundedSender<Seen>,
    version: &mut Option<String>,
) -> Answer<()> {
    let path = resource.collection("");
    let from = if let Some(from) = version {
        from.clone()
    } else {
        let request = Request::get(&path).header("accept", METADATA_LIST).body(Vec::new())?;
        let list: List = shared.client.0.request(request).await.map_err(RequestError::from)?;
        let mut present = std::collections::BTreeSet::new();
        for object in list.items.unwrap_or_default() {
            present.insert(object.metadata.uid.clone());
            let _ = seen.send(Seen::Changed(resource.clone(), object.metadata));
        }
        let _ = seen.send(Seen::Listed(resource.clone(), present));
        *version = Some(list.metadata.resource_version.clone());
        list.metadata.resource_version
    };
    let uri = format!("{path}?watch=1&allowWatchBookmarks=true&resourceVersion={from}&timeoutSeconds=290");
    let request = Request::get(uri).header("accept", METADATA).body(Vec::new())?;
    let mut events = std::pin::pin!(shared.client.0.request_events::<Partial>(request).await.map_err(RequestError::from)?);
    while let Some(event) = events.try_next().await.map_err(RequestError::from)? {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                *version = Some(object.metadata.resource_version.clone());
                let _ = seen.send(Seen::Changed(resource.clone(), object.metadata));
            }
            WatchEvent::Deleted(object) => {
                *version = Some(object.metadata.resource_version.clone());
                let _ = seen.send(Seen::Gone(resource.clone(), object.metadata.uid));
            }
            WatchEvent::Bookmark(bookmark) => *version = Some(bookmark.metadata.resource_version),
            WatchEvent::Error(status) => return Err(RequestError::from(kube::Error::Api(status))),
        }
    }
    Ok(())
}
