//! The way back from a launcher to its handler, for as long as the launcher has something to say.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::serve_handler;
use crate::{DomainEvent, Notify, Result, VmiEvent};

/// How often a launcher that is done with is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long a launcher may take to end: it waits this long for its last word to be taken (node.md §1.5).
const FAREWELL: Duration = Duration::from_mins(1);

/// A server for one launcher; it ends with the value.
pub(super) struct Attached {
    listener: Arc<Listener>,
    ended: DropGuard,
}

/// Who takes what the launcher says; nobody, once it is done with.
struct Listener(Mutex<Option<Arc<dyn Notify>>>);

impl Listener {
    fn notify(&self) -> Option<Arc<dyn Notify>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Notify for Listener {
    async fn handle_domain_event(&self, event: DomainEvent) -> Result<()> {
        match self.notify() {
            Some(notify) => notify.handle_domain_event(event).await,
            None => Ok(()),
        }
    }

    async fn handle_k8s_event(&self, event: VmiEvent) -> Result<()> {
        match self.notify() {
            Some(notify) => notify.handle_k8s_event(event).await,
            None => Ok(()),
        }
    }
}

impl Attached {
    /// Listens on `socket`.
    pub(super) fn new(socket: PathBuf, notify: Arc<dyn Notify>) -> Self {
        let ended = CancellationToken::new();
        let served = ended.clone();
        let listener = Arc::new(Listener(Mutex::new(Some(notify))));
        let serving: Arc<dyn Notify> = listener.clone();
        tokio::spawn(async move {
            if let Err(error) = serve_handler(&socket, serving, served).await {
                tracing::error!(%error, socket = %socket.display(), "a launcher cannot reach its handler");
            }
        });
        Self { listener, ended: ended.drop_guard() }
    }

    /// The launcher is done with: its last words are taken, so that it can end, and matter to nobody. `command` is its own socket,
    /// which it removes when it ends.
    pub(super) fn dismiss(self, command: PathBuf) {
        self.listener.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        tokio::spawn(async move {
            let gone = async {
                while command.exists() {
                    tokio::time::sleep(LOOK).await;
                }
            };
            // One that never ends is somebody else's matter.
            let _ = tokio::time::timeout(FAREWELL, gone).await;
            drop(self.ended);
        });
    }
}
