//! The contract between a node's handler and its launchers (node.md §2-§4).
//!
//! [`Launcher`] is what a launcher does for the handler, [`Notify`] what the handler does for its launchers, [`LauncherDirectory`] how the
//! handler finds launchers, by the UID of their pod. In production the first two travel by gRPC over Unix sockets ([`grpc`]); in one
//! process the objects themselves are handed over ([`local`]), because a connection a VM would cost more than the VM.

mod directory;
mod domain;
mod error;
pub mod grpc;
mod launcher;
pub mod local;
mod notify;

pub use directory::{BoxPipe, GhostRecord, LauncherDirectory, Pipe, Presence, sockets};
pub use domain::{
    AccessCredentialRecord, Channel, Disk, DomainFacts, DomainObject, DomainStatus, GracePeriodRecord, GuestAddresses, GuestOsFacts,
    MemoryDumpRecord, MigrationRecord, Nic, ObjectMetadata, Records,
};
pub use error::RpcError;
pub use launcher::{Executed, Launcher, Picture};
pub use notify::{DomainChange, DomainEvent, Notify, Severity, VmiEvent};

/// Messages of the launcher's service, version 1; plain data.
pub mod cmd {
    #![allow(missing_docs, unused_qualifications, unreachable_pub, clippy::pedantic, reason = "generated from proto/cmd.proto")]
    tonic::include_proto!("kubevirt.cmd.v1");
}

mod cmd_info {
    #![allow(missing_docs, unused_qualifications, unreachable_pub, clippy::pedantic, reason = "generated from proto/cmd_info.proto")]
    tonic::include_proto!("kubevirt.cmd.info");
}

mod notify_v1 {
    #![allow(missing_docs, unused_qualifications, unreachable_pub, clippy::pedantic, reason = "generated from proto/notify.proto")]
    tonic::include_proto!("kubevirt.notify.v1");
}

mod notify_info {
    #![allow(missing_docs, unused_qualifications, unreachable_pub, clippy::pedantic, reason = "generated from proto/notify_info.proto")]
    tonic::include_proto!("kubevirt.notify.info");
}

/// An answer across the boundary.
pub type Result<T> = std::result::Result<T, RpcError>;

/// How long calls may take (node.md §3.2, §A).
pub mod timeouts {
    use std::time::Duration;

    /// Queries.
    pub const SHORT: Duration = Duration::from_secs(5);
    /// Commands.
    pub const LONG: Duration = Duration::from_secs(20);
    /// Commands that wait for the guest.
    pub const EXTENDED: Duration = Duration::from_mins(1);
    /// Opening a connection.
    pub const DIAL: Duration = Duration::from_secs(2);
    /// Between two tries of a notification.
    pub const NOTIFY_RETRY: Duration = Duration::from_secs(1);
    /// All tries of a notification together.
    pub const NOTIFY_TOTAL: Duration = Duration::from_secs(20);
}
