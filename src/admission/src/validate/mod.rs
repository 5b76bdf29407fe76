//! What is allowed in (spec/admission.md §5-§13).

mod access;
mod affinity;
mod arch;
mod backup;
mod compute;
mod devices;
mod disks;
mod dra;
mod eviction;
mod hotplug;
mod kubevirt;
mod launch_security;
mod metadata;
mod migration;
mod network;
mod pool;
mod remaining;
mod replicaset;
mod snapshot;
mod spec;
mod transfer;
mod types;
mod vm;
mod vmi;
mod vmi_update;
mod volume_requests;
mod volumes;

pub use self::backup::{validate_backup_create, validate_backup_tracker_create};
pub use self::eviction::{Eviction, EvictionAnswer, HotplugOwner, validate_eviction};
pub use self::kubevirt::{
    KubeVirtWorkloads, PlacementRefusals, validate_kubevirt_create, validate_kubevirt_delete, validate_kubevirt_update,
};
pub use self::migration::{default_migration, validate_migration_create, validate_migration_policy, validate_migration_update};
pub use self::network::refused_at_creation;
pub use self::pool::{PoolReview, validate_pool};
pub use self::replicaset::{validate_preset, validate_replicaset};
pub use self::snapshot::{
    RestoreLookups, validate_restore_create, validate_restore_update, validate_snapshot_create, validate_snapshot_update,
};
pub use self::spec::{SpecContext, validate_spec};
pub use self::transfer::{default_clone, validate_clone, validate_export_create, validate_export_update};
pub use self::types::{validate_instancetype, validate_preference};
pub(crate) use self::vm::memory_hotplug;
pub use self::vm::{VmReview, validate_vm, validate_vm_status};
pub use self::vmi::validate_vmi_create;
pub use self::vmi_update::{revert_status, validate_vmi_update};

/// Whether two values are the same on the wire: what is unset, zero or empty is equal.
pub(crate) fn same<T: serde::Serialize>(a: &T, b: &T) -> bool {
    matches!((serde_json::to_value(a), serde_json::to_value(b)), (Ok(a), Ok(b)) if a == b)
}
