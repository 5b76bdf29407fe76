//! The launcher's state, and the commands of its handler by name.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::v1::VirtualMachineInstance;
use async_trait::async_trait;
use hypervisor::{Domain, Hypervisor, HypervisorError};
use launcher_rpc::cmd::VirtualMachineOptions;
use launcher_rpc::local::Sockets;
use launcher_rpc::{BoxPipe, DomainObject, Executed, Picture, Result, RpcError, sockets};
use runtime::Clock;

use crate::agent::AgentStore;
use crate::convert::Conversion;
use crate::records::Records;
use crate::storage::Disks;
use crate::vsock;

/// Whose launcher it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The VMI's namespace.
    pub namespace: String,
    /// The VMI's name.
    pub name: String,
    /// The VMI's UID.
    pub uid: String,
}

impl Identity {
    /// The domain's name (node.md §3.6).
    pub fn domain_name(&self) -> String {
        format!("{}_{}", self.namespace, self.name)
    }
}

/// A launcher. Clones share it.
#[derive(Clone)]
pub struct Launcher {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Launcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launcher").field("identity", &self.inner.identity).finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) identity: Identity,
    pub(crate) domain_name: String,
    pub(crate) hypervisor: Arc<dyn Hypervisor>,
    pub(crate) convert: Conversion,
    pub(crate) disks: Arc<dyn Disks>,
    pub(crate) clock: Clock,
    pub(crate) records: Records,
    /// Serialises what changes the domain (node.md §7).
    pub(crate) modify: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// What commands leave behind for later ones.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Somebody asked for the pause: a sync must not end it.
    pub(crate) paused_by_user: bool,
    /// The spec that the domain's devices were last brought in line with, as a hash.
    pub(crate) synced_spec: Option<u64>,
    /// What the agent told.
    pub(crate) agent: AgentStore,
    /// Counts freezes, so that a thaw by timer only ends its own.
    pub(crate) freezes: u64,
    /// Probes of the guest agent pass without asking.
    pub(crate) probes_paused: bool,
    /// The guest's clock was set after an unpause, or that is under way.
    pub(crate) time_synced: bool,
}

impl Launcher {
    /// A launcher for one VMI.
    pub fn new(identity: Identity, hypervisor: Arc<dyn Hypervisor>, convert: Conversion, disks: Arc<dyn Disks>, clock: Clock) -> Self {
        let domain_name = identity.domain_name();
        let inner = Inner {
            identity,
            domain_name,
            hypervisor,
            convert,
            disks,
            clock,
            records: Records::default(),
            modify: tokio::sync::Mutex::new(()),
            state: Mutex::new(State::default()),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Inner {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The domain, if there is one.
    pub(crate) async fn domain(&self) -> Result<Option<Arc<dyn Domain>>> {
        match self.hypervisor.lookup(&self.domain_name).await {
            Ok(domain) => Ok(Some(domain)),
            Err(error) if error.is_no_domain() => Ok(None),
            Err(error) => Err(refused(&error)),
        }
    }

    /// The domain; that there is none is an error.
    pub(crate) async fn existing(&self) -> Result<Arc<dyn Domain>> {
        self.hypervisor.lookup(&self.domain_name).await.map_err(|error| refused(&error))
    }

    /// The present, as records have it.
    pub(crate) fn timestamp(&self) -> String {
        self.clock.time().0.to_string()
    }
}

/// The hypervisor's error as an answer.
pub(crate) fn refused(error: &HypervisorError) -> RpcError {
    RpcError::Refused(error.rpc_text())
}

/// Reads the VMI of a request.
pub(crate) fn parse(vmi: &[u8]) -> Result<VirtualMachineInstance> {
    serde_json::from_slice(vmi).map_err(|error| RpcError::Refused(format!("failed to unmarshal VMI: {error}")))
}

#[async_trait]
impl launcher_rpc::Launcher for Launcher {
    async fn sync_virtual_machine(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        self.inner.sync(vmi, options).await
    }

    async fn pause_virtual_machine(&self, _vmi: &[u8]) -> Result<()> {
        self.inner.pause().await
    }

    async fn unpause_virtual_machine(&self, _vmi: &[u8]) -> Result<()> {
        Inner::unpause(&self.inner).await
    }

    async fn freeze_virtual_machine(&self, _vmi: &[u8], unfreeze_timeout_seconds: i32) -> Result<()> {
        Inner::freeze(&self.inner, unfreeze_timeout_seconds).await
    }

    async fn unfreeze_virtual_machine(&self, _vmi: &[u8]) -> Result<()> {
        self.inner.unfreeze().await
    }

    async fn reset_virtual_machine(&self, _vmi: &[u8]) -> Result<()> {
        self.inner.reset().await
    }

    async fn soft_reboot_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        self.inner.soft_reboot(&parse(vmi)?).await
    }

    async fn shutdown_virtual_machine(&self, _vmi: &[u8]) -> Result<()> {
        self.inner.shutdown().await
    }

    async fn kill_virtual_machine(&self, _vmi: &[u8]) -> Result<()> {
        self.inner.kill().await
    }

    async fn delete_virtual_machine(&self, _vmi: &[u8]) -> Result<()> {
        self.inner.delete().await
    }

    async fn get_domain(&self) -> Result<Option<DomainObject>> {
        self.inner.report().await
    }

    async fn get_domain_stats(&self) -> Result<String> {
        self.inner.stats().await
    }

    async fn get_guest_info(&self) -> Result<String> {
        Ok(self.inner.state().agent.guest_info())
    }

    async fn get_users(&self) -> Result<String> {
        Ok(self.inner.state().agent.users())
    }

    async fn get_filesystems(&self) -> Result<String> {
        Ok(self.inner.state().agent.filesystems())
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn exec(&self, _domain: &str, command: &str, args: &[String], timeout_seconds: i32) -> Result<Executed> {
        self.inner.exec(command, args, timeout_seconds).await
    }

    async fn guest_ping(&self, _domain: &str, timeout_seconds: i32) -> Result<()> {
        self.inner.guest_ping(timeout_seconds).await
    }

    async fn get_qemu_version(&self) -> Result<String> {
        Ok(self.inner.hypervisor.capabilities().version.clone())
    }

    async fn sync_virtual_machine_cpus(&self, vmi: &[u8], _options: &VirtualMachineOptions) -> Result<()> {
        self.inner.sync_cpus(&parse(vmi)?).await
    }

    async fn sync_virtual_machine_memory(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        self.inner.sync_memory(&parse(vmi)?, options).await
    }

    async fn get_domain_dirty_rate(&self) -> Result<i64> {
        let domain = self.inner.existing().await?;
        let rate = domain.dirty_rate(1).await.map_err(|error| refused(&error))?;
        Ok(i64::try_from(rate.mib_per_second).unwrap_or(i64::MAX))
    }

    async fn get_screenshot(&self, _vmi: &[u8]) -> Result<Picture> {
        let domain = self.inner.existing().await?;
        let shot = domain.screenshot().await.map_err(|error| refused(&error))?;
        Ok(Picture { mime: shot.mime, data: shot.data })
    }

    async fn get_sev_info(&self) -> Result<String> {
        self.inner.sev_info().await
    }

    async fn get_launch_measurement(&self, _vmi: &[u8]) -> Result<String> {
        self.inner.launch_measurement().await
    }

    async fn inject_launch_secret(&self, _vmi: &[u8], options: &[u8]) -> Result<()> {
        self.inner.inject_launch_secret(options).await
    }
}

#[async_trait]
impl Sockets for Launcher {
    async fn open(&self, socket: &str) -> io::Result<BoxPipe> {
        let missing = |error: &HypervisorError| io::Error::new(io::ErrorKind::NotFound, error.to_string());
        let domain = self.inner.hypervisor.lookup(&self.inner.domain_name).await.map_err(|error| missing(&error))?;
        let stream = match socket {
            sockets::SERIAL => domain.console().await,
            sockets::VNC => domain.framebuffer().await,
            sockets::VSOCK => return Ok(vsock::serve(domain)),
            other => match (0..sockets::USB_REDIRECTIONS).find(|slot| other == sockets::usb_redirection(*slot)) {
                Some(slot) => domain.usb_redirection(slot).await,
                None => return Err(io::Error::new(io::ErrorKind::NotFound, format!("no socket {socket}"))),
            },
        };
        stream.map(|stream| -> BoxPipe { Box::new(stream) }).map_err(|error| missing(&error))
    }
}
