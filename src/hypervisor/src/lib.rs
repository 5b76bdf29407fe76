//! What a node asks of a hypervisor: narrow traits, capabilities as values, errors with libvirt's codes, and the conformance
//! suite that every backend passes (hypervisor.md §2).
//!
//! A backend implements [`Hypervisor`] and [`Domain`] on top of the state machine in `lifecycle`. Guarantees a caller relies on:
//!
//! - **State first, then event.** When an event arrives, [`Domain::state`] already shows it (§4, §9.2).
//! - **Order.** Events of one domain arrive in the order they happened, on every stream.
//! - **Shutdown is a request.** [`Domain::shutdown`] returns before the guest acts; the guest may never act.
//! - **Refusals change nothing** and carry libvirt's code.

mod agent;
mod capabilities;
pub mod conformance;
mod error;
mod event;
mod stats;

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite};

pub use agent::{GuestFilesystem, GuestInfo, GuestInterface, GuestLoad, GuestOs, GuestTimezone, GuestUser};
pub use capabilities::{Capabilities, CpuModel, HostModel, NumaCell, Tsc, Usable};
pub use error::HypervisorError;
pub use event::{DomainEvent, EventKind, JobOperation, JobOutcome};
pub use lifecycle::{AgentState, DomainState, ErrorCode, ErrorDomain, LifecycleEvent};
pub use stats::{BlockStats, CpuStats, DirtyRate, DomainStats, MemoryStats, NetStats, VcpuState, VcpuStats};

/// The answer of every call.
pub type Result<T> = std::result::Result<T, HypervisorError>;

/// Events in the order they happened, of all domains; ends when the connection is closed for good.
pub type EventStream = Pin<Box<dyn Stream<Item = DomainEvent> + Send>>;

/// A byte stream to a device of the guest: a serial console, a framebuffer server.
pub trait GuestStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> GuestStream for T {}

/// A [`GuestStream`] of any kind.
pub type BoxGuestStream = Box<dyn GuestStream>;

/// A connection to a hypervisor.
#[async_trait]
pub trait Hypervisor: Send + Sync + 'static {
    /// What host and hypervisor can do; does not change while the connection lives.
    fn capabilities(&self) -> Arc<Capabilities>;

    /// Every event from now on; nothing that happened before is replayed.
    fn events(&self) -> EventStream;

    /// Gives a domain a configuration, a new one or its next.
    ///
    /// # Errors
    /// `OPERATION_FAILED` when the name belongs to another UUID; `XML_ERROR` without name or type; `CONFIG_UNSUPPORTED` for
    /// what this host does not have.
    async fn define(&self, domain: &domain::Domain) -> Result<Arc<dyn Domain>>;

    /// The domain with this name.
    ///
    /// # Errors
    /// `NO_DOMAIN` when there is none.
    async fn lookup(&self, name: &str) -> Result<Arc<dyn Domain>>;

    /// All domains, active and inactive.
    async fn list(&self) -> Result<Vec<Arc<dyn Domain>>>;

    /// Statistics of the active domains; never waits for a guest.
    async fn stats(&self) -> Result<Vec<DomainStats>>;

    /// What proves that the platform encrypts its guests.
    ///
    /// # Errors
    /// `NO_SUPPORT` where it does not.
    async fn sev_info(&self) -> Result<SevInfo> {
        Err(unsupported("virNodeGetSEVInfo"))
    }
}

fn unsupported(function: &str) -> HypervisorError {
    HypervisorError::new(ErrorCode::NO_SUPPORT, function)
}

/// What a platform with AMD SEV shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SevInfo {
    /// Its Diffie-Hellman key, base64.
    pub pdh: String,
    /// The certificates up to its maker's, base64.
    pub cert_chain: String,
}

/// What was measured when an encrypted guest was set up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SevMeasurement {
    /// The measurement, base64.
    pub measurement: String,
    /// The firmware's interface, first part.
    pub api_major: u32,
    /// The firmware's interface, second part.
    pub api_minor: u32,
    /// The firmware's build.
    pub build_id: u32,
    /// The guest's policy, as bits.
    pub policy: u32,
    /// SHA-256 of the guest's firmware, hexadecimal; empty where it cannot be read.
    pub loader_sha256: String,
}

/// How the processors of a domain that starts stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartMode {
    /// Running.
    Running,
    /// Halted until resumed.
    Paused,
}

/// How a guest is asked to reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebootMode {
    /// By the power button.
    AcpiPowerButton,
    /// By its agent.
    GuestAgent,
}

/// Which description of a domain is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The running domain's, where there is one, else the configuration.
    Live,
    /// The configuration of the next start.
    Inactive,
}

/// What a device change applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The running domain only.
    Live,
    /// The running domain and its configuration.
    LiveAndConfig,
}

/// A device that can be changed while the guest runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Device {
    /// A disk; found by its target.
    Disk(Box<domain::Disk>),
    /// A network interface; found by its MAC address, or alias.
    Interface(Box<domain::Interface>),
    /// A host device; found by its alias.
    HostDevice(Box<domain::HostDevice>),
    /// A memory device; found by its alias.
    Memory(Box<domain::MemoryDevice>),
}

/// An image of the guest's screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screenshot {
    /// `image/png` or `image/x-portable-pixmap`.
    pub mime: String,
    /// The image.
    pub data: Vec<u8>,
}

/// A disk that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// The disk's target in the guest, `vda`.
    pub target: String,
    /// There is no space left, as opposed to any other error.
    pub no_space: bool,
}

/// What a domain is busy with besides running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobInfo {
    /// What is done; nothing when there is no job.
    pub operation: Option<JobOperation>,
    /// Milliseconds since it began.
    pub elapsed_ms: u64,
}

/// One domain. A handle: it stays valid when the domain goes, and answers `NO_DOMAIN` then.
#[async_trait]
pub trait Domain: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// Its UUID.
    fn uuid(&self) -> &str;

    /// Starts it. Its guest boots afterwards.
    async fn create(&self, mode: StartMode) -> Result<()>;

    /// Asks the guest to power off, by the power button.
    async fn shutdown(&self) -> Result<()>;

    /// Ends its process, by a signal that lets it flush (graceful).
    async fn destroy(&self) -> Result<()>;

    /// Halts its processors; no error when they stand still already.
    async fn suspend(&self) -> Result<()>;

    /// Lets its processors run again.
    async fn resume(&self) -> Result<()>;

    /// Pulls the reset line.
    async fn reset(&self) -> Result<()>;

    /// Asks the guest to reboot.
    async fn reboot(&self, mode: RebootMode) -> Result<()>;

    /// Removes its configuration and checkpoints, keeps its NVRAM. A running domain goes on and vanishes when it stops.
    async fn undefine(&self) -> Result<()>;

    /// What it is doing.
    async fn state(&self) -> Result<DomainState>;

    /// Its description.
    async fn description(&self, view: View) -> Result<Arc<domain::Domain>>;

    /// Attaches a device.
    async fn attach_device(&self, device: &Device, scope: Scope) -> Result<()>;

    /// Asks the guest to release a device; an event says when it did.
    async fn detach_device(&self, device: &Device, scope: Scope) -> Result<()>;

    /// Changes a device: the medium of a CD-ROM, a link's state, a memory device's requested size.
    async fn update_device(&self, device: &Device, scope: Scope) -> Result<()>;

    /// Sets the number of processors the guest has.
    async fn set_vcpus(&self, count: u32) -> Result<()>;

    /// Tells the guest that the disk behind `path` has `bytes` bytes.
    async fn block_resize(&self, path: &str, bytes: u64) -> Result<()>;

    /// The disks that failed since the last resume.
    async fn disk_errors(&self) -> Result<Vec<DiskError>>;

    /// What it is busy with.
    async fn job_info(&self) -> Result<JobInfo>;

    /// Ends what it is busy with.
    async fn abort_job(&self) -> Result<()>;

    /// Measures for `seconds` how fast the guest dirties its memory.
    async fn dirty_rate(&self, seconds: u32) -> Result<DirtyRate>;

    /// Sends a command to the guest agent, JSON in, JSON out (`{"return": …}`).
    async fn agent_command(&self, command: &str) -> Result<String>;

    /// What the guest agent says about the guest.
    async fn guest_info(&self) -> Result<GuestInfo>;

    /// Freezes the guest's file systems; how many.
    async fn fs_freeze(&self) -> Result<u32>;

    /// Thaws the guest's file systems; how many.
    async fn fs_thaw(&self) -> Result<u32>;

    /// Sets the guest's clock to seconds and nanoseconds since the epoch.
    async fn set_time(&self, seconds: i64, nanoseconds: u32) -> Result<()>;

    /// Sets a user's password in the guest.
    async fn set_user_password(&self, user: &str, password: &str) -> Result<()>;

    /// Replaces a user's authorised SSH keys in the guest.
    async fn set_authorized_ssh_keys(&self, user: &str, keys: &[String]) -> Result<()>;

    /// A picture of the first screen.
    async fn screenshot(&self) -> Result<Screenshot>;

    /// Opens the first serial console.
    async fn console(&self) -> Result<BoxGuestStream>;

    /// Opens the framebuffer server (RFB).
    async fn framebuffer(&self) -> Result<BoxGuestStream>;

    /// Opens a slot for a USB device of a remote client, from 0.
    ///
    /// # Errors
    /// `NO_SUPPORT` where the hypervisor listens itself, `OPERATION_INVALID` for a guest without that slot.
    async fn usb_redirection(&self, slot: u32) -> Result<BoxGuestStream> {
        let _ = slot;
        Err(unsupported("usb redirection"))
    }

    /// Connects to a VSOCK port of the guest.
    ///
    /// # Errors
    /// `NO_SUPPORT` where the host does that itself, `OPERATION_INVALID` for a guest without the device or a listener.
    async fn vsock(&self, port: u32) -> Result<BoxGuestStream> {
        let _ = port;
        Err(unsupported("vsock"))
    }

    /// What was measured when the encrypted guest was set up.
    async fn sev_measurement(&self) -> Result<SevMeasurement> {
        Err(unsupported("virDomainGetLaunchSecurityInfo"))
    }

    /// Puts a secret into the encrypted guest, which has not run yet; both are base64.
    async fn inject_sev_secret(&self, header: &str, secret: &str) -> Result<()> {
        let _ = (header, secret);
        Err(unsupported("virDomainSetLaunchSecurityState"))
    }
}
