//! Volumes plugged into running guests (spec/admission.md §7.3).

use std::collections::{BTreeMap, BTreeSet};

use api::config::ClusterConfig;
use api::v1::{Disk, VirtualMachineInstance, Volume};

use super::disks::target;
use super::same;
use crate::{Cause, CauseKind, Causes, Denial};

/// UV1-UV7.
pub(super) fn utility_volumes(new: &VirtualMachineInstance, old: &VirtualMachineInstance, config: &ClusterConfig) -> Result<(), Denial> {
    let list = &new.spec.utility_volumes;
    if list.is_empty() {
        return Ok(());
    }
    let mut causes = Causes::default();
    if !config.gate("UtilityVolumes") {
        causes.invalid("spec.utilityVolumes", "UtilityVolumes feature gate is not enabled");
        return causes.into_result();
    }
    for (i, volume) in list.iter().enumerate() {
        let at = format!("spec.utilityVolumes[{i}]");
        let name = format!("{at}.name");
        if volume.name.is_empty() {
            causes.required(&name, "UtilityVolume 'name' must be set");
        }
        if let Some(j) = list.iter().take(i).position(|v| v.name == volume.name) {
            causes.duplicate(&name, format!("{at} and spec.utilityVolumes[{j}] must not have the same Name."));
        }
        if let Some(j) = new.spec.volumes.iter().rposition(|v| v.name == volume.name) {
            let message = format!(
                "{at} conflicts with spec.volumes[{j}]. UtilityVolume names must be unique across both volumes and utilityVolumes."
            );
            causes.duplicate(&name, message);
        }
        if volume.claim_name.is_empty() {
            causes.required(format!("{at}.claimName"), "UtilityVolume PVC 'claimName' must be set");
        }
    }
    causes.into_result()?;
    if let Some(volume) = list.iter().find(|v| is_permanent(old, &v.name)) {
        let message = format!("utility volume {} cannot be a permanent volume, utility volumes must always be hotplug", volume.name);
        return refuse(message);
    }
    for volume in list {
        if old.spec.utility_volumes.iter().any(|o| o.name == volume.name && !same(o, volume)) {
            return refuse(format!("utility volume {} has changed", volume.name));
        }
    }
    Ok(())
}

fn refuse(message: impl Into<String>) -> Result<(), Denial> {
    Err(Denial::cause(CauseKind::Invalid, "", message))
}

/// Whether a volume was there when the guest started, as the instance's status has it.
fn is_permanent(vmi: &VirtualMachineInstance, name: &str) -> bool {
    let statuses = vmi.status.as_ref().map(|s| s.volume_status.as_slice()).unwrap_or_default();
    statuses.iter().any(|s| s.name == name && s.hotplug_volume.is_none())
}

type ByName<'a> = BTreeMap<&'a str, &'a Volume>;

/// Permanent and plugged volumes of an instance, by the status of another.
fn split<'a>(of: &'a VirtualMachineInstance, by: &VirtualMachineInstance) -> (ByName<'a>, ByName<'a>) {
    of.spec.volumes.iter().map(|v| (v.name.as_str(), v)).partition(|(name, _)| is_permanent(by, name))
}

/// HS1-HS10.
pub(super) fn storage(new: &VirtualMachineInstance, old: &VirtualMachineInstance, config: &ClusterConfig) -> Result<(), Denial> {
    let names: BTreeSet<&str> = new.spec.volumes.iter().filter(|v| v.memory_dump.is_none()).map(|v| v.name.as_str()).collect();
    let declared = names.len();
    let empty_drives = config.gate("DeclarativeHotplugVolumes");
    let devices = &new.spec.domain.devices;
    let required = devices.disks.iter().filter(|d| !(empty_drives && d.cdrom.is_some() && !names.contains(d.name.as_str()))).count()
        + devices.filesystems.len();
    if declared != required {
        return refuse(format!("mismatch between volumes declared ({declared}) and required ({required})"));
    }
    let (new_permanent, new_plugged) = split(new, old);
    let (old_permanent, old_plugged) = split(old, old);
    let migrated: BTreeSet<&str> = new.status.iter().flat_map(|s| &s.migrated_volumes).map(|m| m.volume_name.as_str()).collect();
    let disks = |v: &'_ VirtualMachineInstance| -> BTreeMap<String, Disk> {
        v.spec.domain.devices.disks.iter().map(|d| (d.name.clone(), d.clone())).collect()
    };
    let (new_disks, old_disks) = (disks(new), disks(old));
    if new_permanent.len() != old_permanent.len() {
        return refuse("Number of permanent volumes has changed");
    }
    for (name, volume) in &new_permanent {
        let Some(before) = old_permanent.get(name) else {
            return refuse(format!("permanent volume {name}, not found"));
        };
        if migrated.contains(name) {
            continue;
        }
        if !same(volume, before) {
            return refuse(format!("permanent volume {name}, changed"));
        }
        if !same(&new_disks.get(*name), &old_disks.get(*name)) {
            return refuse(format!("permanent disk {name}, changed"));
        }
    }
    for (name, volume) in &new_plugged {
        plugged(name, volume, old_plugged.get(name).copied(), &new_disks, &old_disks, &migrated)?;
    }
    Ok(())
}

fn plugged(
    name: &str,
    volume: &Volume,
    before: Option<&Volume>,
    new_disks: &BTreeMap<String, Disk>,
    old_disks: &BTreeMap<String, Disk>,
    migrated: &BTreeSet<&str>,
) -> Result<(), Denial> {
    let dump = volume.memory_dump.is_some();
    if let Some(before) = before {
        if !same(volume, before) && !migrated.contains(name) {
            return refuse(format!("hotplug volume {name}, changed"));
        }
        if dump {
            return Ok(());
        }
        let Some(disk) = new_disks.get(name) else {
            return refuse(format!("volume {name} doesn't have a matching disk"));
        };
        if !same(&Some(disk), &old_disks.get(name)) {
            return refuse(format!("hotplug disk {name}, changed"));
        }
        return Ok(());
    }
    if volume.data_volume.is_none() && volume.persistent_volume_claim.is_none() && !dump {
        return refuse(format!("volume {name} is not a PVC or DataVolume"));
    }
    if dump {
        return Ok(());
    }
    let Some(disk) = new_disks.get(name) else {
        return refuse(format!("disk {name} does not exist"));
    };
    if old_disks.contains_key(name) {
        return Ok(());
    }
    match disk_configuration(Some(disk), name, "Hotplug configuration", "") {
        Some(cause) => Err(Denial::invalid(vec![cause])),
        None => Ok(()),
    }
}

/// HD1-HD6: what a plugged disk may be.
pub(super) fn disk_configuration(disk: Option<&Disk>, name: &str, prefix: &str, field: &str) -> Option<Cause> {
    let cause = |field: &str, message: String| Some(Cause { kind: Some(CauseKind::Invalid), field: field.to_owned(), message });
    let Some(disk) = disk else {
        return cause(field, format!("{prefix} for [{name}] requires the disk field to be set."));
    };
    let bus = match target(disk) {
        Some(("disk", bus)) if !["scsi", "virtio"].contains(&bus) => {
            let message = format!("{prefix} for disk [{name}] requires bus to be 'scsi' or 'virtio'. [{bus}] is not permitted.");
            return cause(field, message);
        }
        Some(("lun", bus)) if bus != "scsi" => {
            return cause(field, format!("{prefix} for LUN [{name}] requires bus to be 'scsi'. [{bus}] is not permitted."));
        }
        Some(("disk" | "lun", bus)) => bus,
        _ => {
            return cause(field, format!("{prefix} for [{name}] requires diskDevice of type 'disk' or 'lun' to be used."));
        }
    };
    if disk.dedicated_io_thread == Some(true) && bus != "virtio" {
        return cause(field, format!("{prefix} for [{name}] requires virtio bus for IOThreads."));
    }
    if disk.boot_order.is_some_and(|o| o < 1) {
        let at = "spec.domain.devices.disks[1]";
        return cause(&format!("{at}.bootOrder"), format!("{at} must have a boot order > 0, if supplied"));
    }
    None
}
