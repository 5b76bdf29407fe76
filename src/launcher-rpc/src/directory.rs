//! How a handler finds its launchers, and what it must not forget about them.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Launcher, Notify, Result};

/// Names of the sockets a guest's devices listen on (node.md §2).
pub mod sockets {
    /// The first serial console.
    pub const SERIAL: &str = "virt-serial0";
    /// The framebuffer server.
    pub const VNC: &str = "virt-vnc";
    /// Slots for USB devices of remote clients, one socket each.
    pub const USB_REDIRECTIONS: u32 = 4;
    /// The guest's VSOCK ports behind one socket: the client says `CONNECT port` in a line, and reads `OK port`.
    pub const VSOCK: &str = "virt-vsock";

    /// The socket of a slot for a USB device.
    pub fn usb_redirection(slot: u32) -> String {
        format!("virt-usbredir-{slot}")
    }

    /// All of them.
    pub fn all() -> Vec<String> {
        let named = [SERIAL, VNC, VSOCK].map(str::to_owned);
        named.into_iter().chain((0..USB_REDIRECTIONS).map(usb_redirection)).collect()
    }
}

/// Whether a pod's launcher is there (node.md §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It listens.
    Ready,
    /// The pod is here, its launcher does not listen (yet, or any more).
    NotListening,
    /// There is no such pod on this node.
    Gone,
    /// It was found not to answer, and nobody took that back.
    Unresponsive,
}

/// What a handler writes down about a launcher before it first talks to it, and strikes out when the launcher is done with: after
/// a restart the only source of which launchers there are (node.md §2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GhostRecord {
    /// The VMI's namespace.
    pub namespace: String,
    /// The VMI's name.
    pub name: String,
    /// The VMI's UID.
    pub uid: String,
    /// The launcher pod's UID.
    pub pod_uid: String,
}

/// A byte stream to a device of a guest.
pub trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// A [`Pipe`] of any kind.
pub type BoxPipe = Box<dyn Pipe>;

/// The launchers of a node. Survives the handler, as the node's disk does.
#[async_trait]
pub trait LauncherDirectory: Send + Sync {
    /// Whether the pod's launcher is there.
    async fn presence(&self, pod_uid: &str) -> Presence;

    /// Connects to the pod's launcher.
    async fn connect(&self, pod_uid: &str) -> Result<Arc<dyn Launcher>>;

    /// From now on the pod's launcher reaches `notify`, and nobody else.
    async fn attach(&self, pod_uid: &str, notify: Arc<dyn Notify>) -> Result<()>;

    /// Marks the pod's launcher as one that does not answer.
    async fn mark_unresponsive(&self, pod_uid: &str);

    /// The pod's addresses, the primary one first; empty where they are not known.
    async fn addresses(&self, pod_uid: &str) -> Vec<String>;

    /// Opens a socket of the pod's guest, one of [`sockets`].
    ///
    /// # Errors
    /// `NotFound` when there is no such socket.
    async fn open(&self, pod_uid: &str, vmi_uid: &str, socket: &str) -> io::Result<BoxPipe>;

    /// Writes a record down.
    ///
    /// # Errors
    /// There is one for the same namespace and name, but another UID or pod.
    async fn add_record(&self, record: GhostRecord) -> Result<()>;

    /// Strikes the record of this incarnation out, if there is one.
    async fn remove_record(&self, namespace: &str, name: &str, uid: &str);

    /// The record for a namespace and name.
    async fn record(&self, namespace: &str, name: &str) -> Option<GhostRecord>;

    /// All records, by namespace and name.
    async fn records(&self) -> Vec<GhostRecord>;
}
