//! Backups (spec/admission.md §10.4). What a backup's fields may be is the CRD's business.

use api::backup::v1alpha1::VirtualMachineBackup;
use api::config::ClusterConfig;

use super::same;
use crate::{Causes, Denial};

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
    let mut causes = Causes::default();
    let name = backup.metadata.name.as_deref().unwrap_or_default();
    if others.iter().any(|o| o.metadata.name == backup.metadata.name) {
        causes.invalid("metadata.name", format!("VirtualMachineBackup {name:?} already exists"));
    }
    let done = |b: &VirtualMachineBackup| {
        let conditions = b.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
        conditions.iter().any(|c| ["Complete", "Failed"].contains(&c.type_.as_str()) && c.status == "True")
    };
    let busy = others.iter().find(|o| o.metadata.name != backup.metadata.name && same(&o.spec.source, &backup.spec.source) && !done(o));
    if let Some(other) = busy {
        let other = other.metadata.name.as_deref().unwrap_or_default();
        causes.invalid("spec.source", format!("VirtualMachineBackup {other:?} in progress for source"));
    }
    causes.into_result()
}

/// BK4.
///
/// # Errors
/// The gate is off.
pub fn validate_backup_tracker_create(config: &ClusterConfig) -> Result<(), Denial> {
    gate(config)
}
