//! What virt-handler decides about one VMI of its node: pure functions of what it observed (node.md §6).
//!
//! [`decide()`] says what to do with the domain, [`phase::next`] which phase follows, [`status::compute`] the whole status. virt-handler
//! observes, carries out and writes; it has no rules of its own.
//!
//! The happy path: a Scheduled VMI without a domain is *updated* (its launcher defines and starts the domain); the pass that sees the
//! domain run writes Running and does nothing else; a Running VMI that is deleted is *shut down*, again and again until the guest obeys
//! or its grace period is over; the pass that sees the domain off writes the final phase, then has the domain *deleted*.

pub mod conditions;
pub mod decide;
pub mod interfaces;
pub mod io_error;
pub mod migratable;
pub mod phase;
pub mod shutdown;
pub mod status;
pub mod volumes;

use std::borrow::Cow;

use k8s_openapi::jiff::Timestamp;

pub use decide::{Decision, Observed, Operation, Refusal, decide};

/// What a domain is doing (hypervisor.md §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DomainStatus {
    /// The launcher has nothing to say about it.
    NoState,
    /// It runs.
    Running,
    /// It runs, but waits for a resource.
    Blocked,
    /// Its processors stand still.
    Paused,
    /// The guest powered off, its process is about to end.
    ShuttingDown,
    /// It has no process.
    Shutoff,
    /// The guest crashed.
    Crashed,
    /// The guest suspended itself.
    PmSuspended,
    /// The launcher cannot be reached: nothing is known.
    Unknown,
    /// The launcher said nothing, or a word this version does not know.
    #[default]
    Unsaid,
}

impl DomainStatus {
    /// The status with upstream's word for it.
    pub fn parse(word: &str) -> Self {
        match word {
            "NoState" => Self::NoState,
            "Running" => Self::Running,
            "Blocked" => Self::Blocked,
            "Paused" => Self::Paused,
            "ShuttingDown" => Self::ShuttingDown,
            "Shutoff" => Self::Shutoff,
            "Crashed" => Self::Crashed,
            "PMSuspended" => Self::PmSuspended,
            "Unknown" => Self::Unknown,
            _ => Self::Unsaid,
        }
    }

    /// Whether the domain counts as alive (node.md §6.3).
    pub fn is_alive(self) -> bool {
        match self {
            Self::NoState | Self::Running | Self::Blocked | Self::Paused | Self::ShuttingDown | Self::PmSuspended | Self::Unknown => true,
            Self::Shutoff | Self::Crashed | Self::Unsaid => false,
        }
    }
}

/// Why a domain is in its state. The words mean something only with the status.
pub mod reasons {
    /// Nobody said.
    pub const UNKNOWN: &str = "Unknown";
    /// On request.
    pub const USER: &str = "User";
    /// For a migration.
    pub const MIGRATION: &str = "Migration";
    /// While it starts.
    pub const STARTING_UP: &str = "StartingUp";
    /// The source of a post-copy migration.
    pub const POSTCOPY: &str = "Postcopy";
    /// A post-copy migration broke.
    pub const POSTCOPY_FAILED: &str = "PostcopyFailed";
    /// A disk failed.
    pub const IO_ERROR: &str = "IOError";
    /// The guest powered off.
    pub const SHUTDOWN: &str = "Shutdown";
    /// Its plug was pulled.
    pub const DESTROYED: &str = "Destroyed";
    /// It moved elsewhere.
    pub const MIGRATED: &str = "Migrated";
    /// The guest crashed, or its process died.
    pub const CRASHED: &str = "Crashed";
    /// The guest's kernel panicked.
    pub const PANICKED: &str = "Panicked";
    /// Saved to a file.
    pub const SAVED: &str = "Saved";
    /// Restored from a snapshot taken while off.
    pub const FROM_SNAPSHOT: &str = "FromSnapshot";
}

/// A domain as its launcher last reported it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Domain {
    /// UID of the VMI it belongs to; empty where that is not known.
    pub uid: String,
    /// It is gone; what the rest says is its last state (node.md §5).
    pub deleted: bool,
    /// What it is doing.
    pub status: DomainStatus,
    /// Why; see [`reasons`].
    pub reason: Cow<'static, str>,
    /// It hears the power button.
    pub acpi: bool,
    /// Its processors are emulated.
    pub emulated: bool,
    /// The canonical machine type.
    pub machine: Option<String>,
    /// Bytes the guest has now.
    pub current_memory: Option<u64>,
    /// The guest agent's channel is connected.
    pub agent_connected: bool,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Its network interfaces.
    pub nics: Vec<Nic>,
    /// The network interfaces as the guest agent sees them.
    pub guest_nics: Vec<GuestNic>,
    /// The guest's operating system, where the agent told.
    pub os: Option<Box<api::v1::VirtualMachineInstanceGuestOSInfo>>,
    /// `thawed` or `frozen`, where the agent told.
    pub fs_freeze: Option<String>,
    /// How often the guest panicked.
    pub panics: u32,
    /// How long the guest may take to shut down; absent before the launcher knew the VMI.
    pub grace: Option<Grace>,
    /// The last migration.
    pub migration: Option<Box<Migration>>,
    /// How the last change of the guest's credentials went.
    pub credentials: Option<Box<Credentials>>,
}

impl Domain {
    /// Whether the domain exists and lives.
    pub fn is_alive(&self) -> bool {
        !self.deleted && self.status.is_alive()
    }

    /// Whether it is paused for this reason.
    pub fn is_paused_for(&self, reason: &str) -> bool {
        self.status == DomainStatus::Paused && self.reason == reason
    }
}

/// A disk of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// The volume's name.
    pub volume: String,
    /// The target in the guest, `vda`.
    pub target: String,
    /// There is something in the drive.
    pub has_medium: bool,
}

/// A network interface of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// The network's name.
    pub network: String,
    /// The MAC address.
    pub mac: String,
    /// Queues, where there are several.
    pub queues: Option<i32>,
    /// The link is down.
    pub link_down: bool,
}

/// A network interface as the guest agent sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestNic {
    /// The name in the guest.
    pub name: String,
    /// The MAC address.
    pub mac: String,
    /// Addresses.
    pub ips: Vec<String>,
}

/// How long a guest may take to shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grace {
    /// Seconds.
    pub seconds: i64,
    /// When it was first asked to.
    pub since: Option<Timestamp>,
    /// Its pod was told to end.
    pub marked: bool,
}

/// A migration as the launcher sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// The migration's UID; empty where a pause was mistaken for one.
    pub uid: String,
    /// It began.
    pub started: bool,
    /// It ended.
    pub ended: bool,
}

/// How a change of the guest's credentials went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The guest took them.
    pub succeeded: bool,
    /// Why not.
    pub message: String,
}

/// How far the launcher can be reached (node.md §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// It was there, or will not come any more; else it may still come.
    pub initialized: bool,
    /// It does not answer, or is gone.
    pub unresponsive: bool,
}

impl Launcher {
    /// It answers.
    pub const FINE: Self = Self { initialized: true, unresponsive: false };
    /// It may still come.
    pub const AWAITED: Self = Self { initialized: false, unresponsive: false };
    /// It is gone.
    pub const GONE: Self = Self { initialized: true, unresponsive: true };
}
