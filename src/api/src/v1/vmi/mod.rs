//! VirtualMachineInstance, by subject.

mod access;
mod devices;
mod disks;
mod domain;
mod features;
mod migration_state;
mod network;
mod spec;
mod status;
mod volume_status;
mod volumes;

pub use self::access::*;
pub use self::devices::*;
pub use self::disks::*;
pub use self::domain::*;
pub use self::features::*;
pub use self::migration_state::*;
pub use self::network::*;
pub use self::spec::*;
pub use self::status::*;
pub use self::volume_status::*;
pub use self::volumes::*;
