//! The domain as a launcher reports it (node.md §3.6): what the handler needs of it, under upstream's JSON names.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A domain: identity, description, state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DomainObject {
    /// Whose domain it is.
    #[serde(alias = "ObjectMeta")]
    pub metadata: ObjectMetadata,
    /// What it is made of.
    #[serde(rename = "Spec", default)]
    pub spec: DomainFacts,
    /// What it is doing.
    #[serde(rename = "Status", default)]
    pub status: DomainStatus,
}

/// Whose domain it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMetadata {
    /// The VMI's name.
    #[serde(default)]
    pub name: String,
    /// The VMI's namespace.
    #[serde(default)]
    pub namespace: String,
    /// The VMI's UID; empty when it is not known.
    #[serde(default)]
    pub uid: String,
    /// The domain is gone since then (RFC 3339); what the rest says is its last state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<String>,
}

/// What a domain is doing, in upstream's words (hypervisor.md §3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DomainStatus {
    /// `NoState`, `Running`, `Blocked`, `Paused`, `ShuttingDown`, `Shutoff`, `Crashed`, `PMSuspended`; of the handler's own, `Unknown`.
    pub status: Cow<'static, str>,
    /// Why; meaningful only with the status.
    pub reason: Cow<'static, str>,
    /// Network interfaces as the guest agent sees them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<GuestAddresses>,
    /// The guest's operating system, where the agent told.
    #[serde(rename = "OSInfo", skip_serializing_if = "Option::is_none")]
    pub os_info: Option<Box<GuestOsFacts>>,
    /// `thawed` or `frozen`, where the agent told.
    #[serde(rename = "FSFreezeStatus", skip_serializing_if = "Option::is_none")]
    pub fs_freeze_status: Option<String>,
    /// How often the guest panicked.
    pub panic_count: u32,
}

/// A network interface as the guest agent sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GuestAddresses {
    /// The MAC address.
    pub mac: String,
    /// The first address.
    pub ip: String,
    /// All addresses.
    #[serde(rename = "ipAddresses")]
    pub ips: Vec<String>,
    /// The name in the guest.
    pub interface_name: String,
}

/// The guest's operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GuestOsFacts {
    /// `Fedora Linux`.
    pub name: String,
    /// `6.11.4-301.fc41.x86_64`.
    pub kernel_release: String,
    /// `41 (Cloud Edition)`.
    pub version: String,
    /// `Fedora Linux 41 (Cloud Edition)`.
    pub pretty_name: String,
    /// `41`.
    pub version_id: String,
    /// `#1 SMP …`.
    pub kernel_version: String,
    /// `x86_64`.
    pub machine: String,
    /// `fedora`.
    pub id: String,
}

/// What a domain is made of, as far as the handler looks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DomainFacts {
    /// `NAMESPACE_NAME`.
    pub name: String,
    /// The domain's UUID.
    #[serde(rename = "UUID")]
    pub uuid: String,
    /// `kvm` or `qemu`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The canonical machine type.
    pub machine: Option<String>,
    /// The guest's architecture, `x86_64`.
    pub arch: Option<String>,
    /// It has the ACPI feature, so that it hears the power button.
    pub acpi: bool,
    /// Bytes the guest has now.
    pub current_memory: Option<u64>,
    /// Channels between host and guest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// Disks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// Network interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Nic>,
    /// What the launcher remembers about it.
    #[serde(rename = "Metadata")]
    pub records: Records,
}

/// A channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Channel {
    /// `org.qemu.guest_agent.0`.
    pub name: String,
    /// `connected` or `disconnected`.
    pub state: String,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Disk {
    /// The volume's name.
    pub alias: String,
    /// The target in the guest, `vda`.
    pub target: String,
    /// The file or device behind it; empty for a drive without a medium.
    pub source: String,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Nic {
    /// The network's name.
    pub alias: String,
    /// The MAC address.
    #[serde(rename = "MAC")]
    pub mac: String,
    /// Queues, where there are several.
    pub queues: Option<u32>,
    /// The link is down.
    pub link_down: bool,
}

/// What a launcher remembers about its domain; lost when it dies (node.md §4.1). Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Records {
    /// The VMI's UID.
    #[serde(rename = "UID")]
    pub uid: String,
    /// How long the guest may take to shut down, and since when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<GracePeriodRecord>,
    /// The last migration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration: Option<Box<MigrationRecord>>,
    /// The last change of credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_credential: Option<Box<AccessCredentialRecord>>,
    /// The last memory dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_dump: Option<Box<MemoryDumpRecord>>,
}

/// How long a guest may take to shut down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GracePeriodRecord {
    /// Seconds.
    pub deletion_grace_period_seconds: i64,
    /// When it was first asked to.
    pub deletion_timestamp: Option<String>,
    /// The launcher was told to end.
    pub marked_for_graceful_shutdown: Option<bool>,
}

/// A migration as the launcher sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MigrationRecord {
    /// The migration's UID; empty where an ordinary pause was mistaken for one.
    #[serde(rename = "UID")]
    pub uid: String,
    /// When it began.
    pub start_timestamp: Option<String>,
    /// When it ended.
    pub end_timestamp: Option<String>,
    /// It failed.
    pub failed: bool,
    /// Why.
    pub failure_reason: String,
    /// How calling it off goes.
    pub abort_status: String,
    /// `PreCopy`, `PostCopy` or `Paused`.
    pub mode: String,
}

/// A change of the guest's credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AccessCredentialRecord {
    /// The guest took them.
    pub succeeded: bool,
    /// Why not.
    pub message: String,
}

/// A memory dump.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MemoryDumpRecord {
    /// The file's name.
    pub file_name: String,
    /// When it began.
    pub start_timestamp: Option<String>,
    /// When it ended.
    pub end_timestamp: Option<String>,
    /// It is complete.
    pub completed: bool,
    /// It failed.
    pub failed: bool,
    /// Why.
    pub failure_reason: String,
}
