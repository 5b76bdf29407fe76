//! The controllers of kube-controller-manager that manifests rely on.

pub(crate) mod data_volumes;
pub(crate) mod disruption;
pub(crate) mod endpoints;
pub(crate) mod ephemeral;
pub(crate) mod garbage;
pub(crate) mod namespace;
pub(crate) mod node_lifecycle;
pub(crate) mod service_account;
pub(crate) mod volumes;
pub(crate) mod workloads;

use std::time::Duration;

use crate::client::Answer;
use crate::cluster::Shared;
use crate::queue::Queue;

/// Works off a queue until the cluster stops: what fails is tried again later, and what asks for it is looked at again.
pub(crate) async fn work<T, F, R>(shared: &Shared, queue: &Queue<T>, reconcile: F)
where
    T: Ord + Clone + std::fmt::Debug,
    F: Fn(T) -> R,
    R: Future<Output = Answer<Option<Duration>>>,
{
    loop {
        let key = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            key = queue.next() => key,
        };
        match reconcile(key.clone()).await {
            Ok(again) => {
                queue.done(&key);
                if let Some(delay) = again {
                    queue.add_after(key, delay);
                }
            }
            Err(error) => {
                tracing::debug!(%error, ?key, "controller will try again");
                queue.retry(key);
            }
        }
    }
}

/// Treats "it is there already" as done.
pub(crate) fn existing_is_fine<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == 409 => Ok(None),
        Err(error) => Err(error),
    }
}
