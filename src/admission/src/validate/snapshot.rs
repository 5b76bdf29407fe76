//! Snapshots and restores (spec/admission.md §10.1, §10.2).

use api::config::ClusterConfig;
use api::snapshot::v1beta1::{
    VirtualMachineRestore, VirtualMachineRestoreSpec, VirtualMachineSnapshot, VirtualMachineSnapshotContent, VolumeRestoreOverride,
};
use api::v1::{VirtualMachine, VirtualMachineSpec};
use k8s_openapi::api::core::v1::TypedLocalObjectReference;

use super::same;
use crate::{CauseKind, Causes, Denial};

const IMMUTABLE: &str = "spec in immutable after creation";

/// What must be a virtual machine: SN2-SN4, RE2-RE4.
fn is_machine(at: &str, reference: &TypedLocalObjectReference, causes: &mut Causes) {
    match reference.api_group.as_deref() {
        None => causes.add(CauseKind::NotFound, format!("{at}.apiGroup"), "missing apiGroup"),
        Some("kubevirt.io") if reference.kind != "VirtualMachine" => causes.invalid(format!("{at}.kind"), "invalid kind"),
        Some("kubevirt.io") => {}
        Some(_) => causes.invalid(format!("{at}.apiGroup"), "invalid apiGroup"),
    }
}

/// SN1-SN4.
///
/// # Errors
/// The gate is off, or the source is no virtual machine.
pub fn validate_snapshot_create(snapshot: &VirtualMachineSnapshot, config: &ClusterConfig) -> Result<(), Denial> {
    if !config.gate("Snapshot") {
        return Err(Denial::bad_request("snapshot feature gate not enabled"));
    }
    let mut causes = Causes::default();
    is_machine("spec.source", &snapshot.spec.source, &mut causes);
    causes.into_result()
}

/// SN5.
///
/// # Errors
/// The specification changed.
pub fn validate_snapshot_update(new: &VirtualMachineSnapshot, old: &VirtualMachineSnapshot) -> Result<(), Denial> {
    if same(&new.spec, &old.spec) { Ok(()) } else { Err(Denial::cause(CauseKind::Invalid, "spec", IMMUTABLE)) }
}

/// What a restore's rules look up. Objects are those of the restore's namespace.
#[derive(Clone, Debug, Default)]
pub struct RestoreLookups {
    /// The target, if it exists.
    pub target: Option<VirtualMachine>,
    /// The snapshot, if it exists.
    pub snapshot: Option<VirtualMachineSnapshot>,
    /// The content the snapshot names, if it exists.
    pub content: Option<VirtualMachineSnapshotContent>,
    /// All restores.
    pub restores: Vec<VirtualMachineRestore>,
}

/// RE1-RE12.
///
/// # Errors
/// The gate is off, the snapshot is unusable, or rules are broken.
pub fn validate_restore_create(restore: &VirtualMachineRestore, lookups: &RestoreLookups, config: &ClusterConfig) -> Result<(), Denial> {
    if !config.gate("Snapshot") {
        return Err(Denial::bad_request("Snapshot/Restore feature gate not enabled"));
    }
    let mut causes = Causes::default();
    let spec = &restore.spec;
    is_machine("spec.target", &spec.target, &mut causes);
    if causes.0.is_empty() {
        // Without a snapshot the controller waits for one, and nothing of the first two rules is said.
        if let Some(snapshot) = &lookups.snapshot {
            patches(&spec.patches, &mut causes);
            foreign_state(snapshot, lookups, &mut causes)?;
        }
        overrides(&spec.volume_restore_overrides, &mut causes);
        policies(spec, &mut causes);
    }
    let unfinished = |r: &&VirtualMachineRestore| r.status.as_ref().is_none_or(|s| s.complete != Some(true));
    for other in lookups.restores.iter().filter(|r| same(&r.spec.target, &spec.target)).filter(unfinished) {
        let name = other.metadata.name.as_deref().unwrap_or_default();
        causes.invalid("spec.target", format!("VirtualMachineRestore {name:?} in progress"));
    }
    causes.into_result()
}

/// RE8, RE9.
fn overrides(list: &[VolumeRestoreOverride], causes: &mut Causes) {
    for (i, change) in list.iter().enumerate() {
        let at = format!("spec.volumeRestoreOverrides[{i}]");
        let empty = |v: &Option<String>| v.as_deref().unwrap_or_default().is_empty();
        if empty(&change.volume_name) {
            causes.required(format!("{at}.volumeName"), "must provide a volume name");
        }
        if empty(&change.restore_name) && change.annotations.is_empty() && change.labels.is_empty() {
            causes.required(at, "must provide at least one overriden field");
        }
    }
}

/// RE10, RE11.
fn policies(spec: &VirtualMachineRestoreSpec, causes: &mut Causes) {
    let volumes = ["InPlace", "RandomizeNames", "PrefixTargetName"];
    for (field, what, value, known) in [
        ("volumeRestorePolicy", "volume restore policy", &spec.volume_restore_policy, volumes.as_slice()),
        ("volumeOwnershipPolicy", "volume ownership policy", &spec.volume_ownership_policy, ["Vm", "None"].as_slice()),
    ] {
        if let Some(value) = value.as_deref().filter(|v| !known.contains(v)) {
            causes.invalid(format!("spec.{field}"), format!("{what} \"{value}\" doesn't exist"));
        }
    }
}

/// RE13.
///
/// # Errors
/// The specification changed.
pub fn validate_restore_update(new: &VirtualMachineRestore, old: &VirtualMachineRestore) -> Result<(), Denial> {
    if same(&new.spec, &old.spec) { Ok(()) } else { Err(Denial::cause(CauseKind::Invalid, "spec", IMMUTABLE)) }
}

/// RE5, RE6: patches are taken apart as text, so values with commas or colons are refused, as upstream refuses them.
fn patches(patches: &[String], causes: &mut Causes) {
    for patch in patches {
        for piece in patch.trim_matches(['{', '}']).split(',') {
            let parts: Vec<&str> = piece.split(':').collect();
            let [key, value] = parts.as_slice() else {
                let message = format!("patch format is not valid - one \":\" expected in a single key-value json patch: {piece}");
                causes.invalid("spec.patches", message);
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            let allowed = ["\"/spec/", "\"/metadata/labels/", "\"/metadata/annotations/"].iter().any(|p| value.starts_with(p));
            if key == "\"path\"" && !allowed {
                causes.invalid("spec.patches", format!("patching is valid only for elements under /spec/ only: {piece}"));
            }
        }
    }
}

/// RE7: state kept in claims cannot go to another machine.
fn foreign_state(snapshot: &VirtualMachineSnapshot, lookups: &RestoreLookups, causes: &mut Causes) -> Result<(), Denial> {
    let status = snapshot.status.clone().unwrap_or_default();
    if let Some(target) = &lookups.target
        && status.source_uid.as_ref().is_none_or(|uid| target.metadata.uid.as_ref() == Some(uid))
    {
        return Ok(());
    }
    let Some(name) = status.virtual_machine_snapshot_content_name else {
        return Err(Denial::bad_request("snapshot content name is nil in vmSnapshot status"));
    };
    let Some(content) = &lookups.content else {
        let message = format!("virtualmachinesnapshotcontents.snapshot.kubevirt.io {name:?} not found");
        return Err(Denial::bad_request(message));
    };
    let Some(machine) = &content.spec.source.virtual_machine else {
        return Err(Denial::bad_request("unexpected snapshot source"));
    };
    if keeps_state(machine.spec.as_deref()) {
        let message = "Restore to a different VM is not supported when snapshotted VM has backend storage (persistent TPM or EFI)";
        causes.invalid("spec", message);
    }
    Ok(())
}

fn keeps_state(spec: Option<&VirtualMachineSpec>) -> bool {
    let domain = spec.and_then(|s| s.template.spec.as_deref()).map(|s| &s.domain);
    let tpm = domain.and_then(|d| d.devices.tpm.as_ref()).is_some_and(|t| t.enabled != Some(false) && t.persistent == Some(true));
    let efi = domain.and_then(|d| d.firmware.as_ref()?.bootloader.as_ref()?.efi.as_ref());
    tpm || efi.is_some_and(|e| e.persistent == Some(true))
}
