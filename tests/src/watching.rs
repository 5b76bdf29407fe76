//! A client that watches a collection.

use crate::world::Refusal;
use anyhow::{Context as _, Result, bail};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::api::{DynamicObject, WatchEvent, WatchParams};

/// An open watch; dropping it hangs up.
pub struct Watching {
    events: BoxStream<'static, kube::Result<WatchEvent<DynamicObject>>>,
}

impl Watching {
    /// Watches from a resource version on.
    pub async fn open(api: &Api<DynamicObject>, version: &str) -> Result<Self> {
        Ok(Self { events: api.watch(&WatchParams::default(), version).await?.boxed() })
    }

    /// Waits for the error that ends the watch.
    pub async fn refusal(&mut self) -> Result<Refusal> {
        while let Some(event) = self.events.try_next().await? {
            if let WatchEvent::Error(status) = event {
                return Ok(Refusal { code: status.code, message: status.message.clone() });
            }
        }
        bail!("the watch ended without an error")
    }

    /// Waits until an object that was added or changed is as wanted.
    pub async fn until(&mut self, holds: impl Fn(&DynamicObject) -> bool) -> Result<()> {
        loop {
            match self.events.try_next().await?.context("the watch ended")? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) if holds(&object) => return Ok(()),
                WatchEvent::Error(status) => bail!("the watch ended: {}", status.message),
                _ => {}
            }
        }
    }
}
