//! Backups (spec/admission.md §10.4). What a backup's fields may be is the CRD's business.

use api::backup::v1alpha1::VirtualMachineBackup;
use api::config::ClusterConfig;

use super::same;
use crate::{CauseKind, Denial};

fn gate(config: &ClusterConfig) -> Result<(), Denial> {
    if config.gate("IncrementalBackup") { Ok(()) } else { Err(Denial::bad_request("IncrementalBackup feature gate not enabled")) }
}

/// BK1-BK3. `others` are the namespace's backups.
///
/// # Errors
/// The gate is off, or another backup is in the way.
pub fn validate_backup_create(
    backup: &VirtualMachineBackup,
    others: &[VirtualMachineBackup],
    config: &ClusterConfig,
) -> Result<(), Denial> {
    gate(config)?;
    let done = |b: &VirtualMachineBackup| {
        let conditions = b.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
        conditions.iter().any(|c| ["Complete", "Failed"].contains(&c.type_.as_str()) && c.status == "True")
    };
    for other in others {
        let name = other.metadata.name.as_deref().unwrap_or_default();
        if other.metadata.name == backup.metadata.name {
            let message = format!("VirtualMachineBackup {name:?} already exists");
            return Err(Denial::cause(CauseKind::Invalid, "metadata.name", message));
        }
        if same(&other.spec.source, &backup.spec.source) && !done(other) {
            let message = format!("VirtualMachineBackup {name:?} in progress for source");
            return Err(Denial::cause(CauseKind::Invalid, "spec.source", message));
        }
    }
    Ok(())
}

/// BK4.
///
/// # Errors
/// The gate is off.
pub fn validate_backup_tracker_create(config: &ClusterConfig) -> Result<(), Denial> {
    gate(config)
}
