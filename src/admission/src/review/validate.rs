//! The validating webhooks (spec/admission.md §1.3, §1.4).

use api::backup::v1alpha1::VirtualMachineBackup;
use api::clone::v1beta1::VirtualMachineClone;
use api::config::ClusterConfig;
use api::export::v1::VirtualMachineExport;
use api::instancetype::v1beta1::{VirtualMachineInstancetype, VirtualMachinePreference};
use api::migrations::v1alpha1::MigrationPolicy;
use api::plugin::v1alpha1::Plugin;
use api::pool::v1beta1::VirtualMachinePool;
use api::snapshot::v1beta1::{VirtualMachineRestore, VirtualMachineSnapshot, VirtualMachineSnapshotContent};
use api::v1::{
    KubeVirt, VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceMigration, VirtualMachineInstancePreset,
    VirtualMachineInstanceReplicaSet,
};
use serde_json::Value;

use super::known::kinds;
use super::mutate::forgiving;
use super::{Known, Request, Stop, is_going, namespace_of, outsized};
use crate::instancetype::{self, Resolved};
use crate::{
    CauseKind, Denial, KubeVirtWorkloads, Operation, PlacementRefusals, PoolReview, RestoreLookups, VmReview, validate_backup_create,
    validate_backup_tracker_create, validate_clone, validate_export_create, validate_export_update, validate_instancetype,
    validate_kubevirt_create, validate_kubevirt_delete, validate_kubevirt_update, validate_migration_create, validate_migration_policy,
    validate_migration_update, validate_plugin, validate_pool, validate_preference, validate_preset, validate_replicaset,
    validate_restore_create, validate_restore_update, validate_snapshot_create, validate_snapshot_update, validate_vm, validate_vm_status,
    validate_vmi_create, validate_vmi_update,
};

/// Judges an object. Warnings for the client are returned.
///
/// # Errors
/// The request is refused, or an object must be looked up first.
pub fn validate(request: &Request<'_>, config: &ClusterConfig, known: &Known) -> Result<Vec<String>, Stop> {
    if let Some(refusal) = outsized::refusal(request.object) {
        return Err(refusal.into());
    }
    let quiet = |outcome: Result<(), Denial>| outcome.map(|()| Vec::new()).map_err(Stop::from);
    let update = request.operation == Operation::Update;
    if request.subresource == "status" {
        return status(request, config, known);
    }
    match request.kind {
        "VirtualMachine" => vm(request, config, known),
        "VirtualMachineInstance" => {
            request.check_form()?;
            let vmi: VirtualMachineInstance = request.decode()?;
            match request.decode_old()?.filter(|_| update) {
                Some(old) => quiet(validate_vmi_update(&vmi, &old, request.requester, config)),
                None => quiet(validate_vmi_create(&vmi, request.requester, config)),
            }
        }
        "VirtualMachineInstanceReplicaSet" => {
            request.check_form()?;
            let rs: VirtualMachineInstanceReplicaSet = request.decode()?;
            quiet(validate_replicaset(&rs, request.operation, config))
        }
        "VirtualMachinePool" => {
            request.check_form()?;
            if absent(request.object, "/spec/virtualMachineTemplate") {
                return Err(Denial::cause(CauseKind::Required, "spec.template", NO_TEMPLATE).into());
            }
            if absent(request.object, "/spec/virtualMachineTemplate/spec/template") {
                let field = "spec.virtualMachineTemplate.spec.template";
                return Err(Denial::cause(CauseKind::Required, field, NO_TEMPLATE).into());
            }
            let pool: VirtualMachinePool = request.decode()?;
            let old = request.decode_old::<VirtualMachinePool>();
            let unread = unread(&old, "Could not fetch old vmpool");
            let review = PoolReview {
                pool: &pool,
                selector: (!absent(request.object, "/spec/selector")).then_some(&pool.spec.selector),
                old: old.as_ref().ok().and_then(Option::as_ref),
                operation: request.operation,
                requester: request.requester,
                config,
            };
            quiet(validate_pool(&review).and(unread))
        }
        "VirtualMachineInstancePreset" => {
            request.check_form()?;
            let preset: VirtualMachineInstancePreset = request.decode()?;
            quiet(validate_preset(&preset))
        }
        "VirtualMachineInstanceMigration" => migration(request, config, known),
        "MigrationPolicy" => {
            let policy: MigrationPolicy = request.decode()?;
            let old: Option<MigrationPolicy> = request.decode_old()?;
            quiet(validate_migration_policy(&policy, old.as_ref(), config))
        }
        "VirtualMachineInstancetype" | "VirtualMachineClusterInstancetype" => {
            request.check_form()?;
            let object: VirtualMachineInstancetype = request.decode()?;
            Ok(validate_instancetype(&object.spec)?)
        }
        "VirtualMachinePreference" | "VirtualMachineClusterPreference" => {
            request.check_form()?;
            let object: VirtualMachinePreference = request.decode()?;
            Ok(validate_preference(&object.spec)?)
        }
        "Plugin" => {
            let plugin: Plugin = request.decode()?;
            quiet(validate_plugin(&plugin.spec, request.operation, config))
        }
        "KubeVirt" => kubevirt(request, known),
        _ => storage(request, config, known),
    }
}

fn vm(request: &Request<'_>, config: &ClusterConfig, known: &Known) -> Result<Vec<String>, Stop> {
    request.check_form()?;
    if is_going(request.object) {
        return Ok(Vec::new());
    }
    with_vm(request, config, known, |review| Ok(validate_vm(review)?))
}

fn with_vm(
    request: &Request<'_>,
    config: &ClusterConfig,
    known: &Known,
    judge: impl Fn(&VmReview<'_>) -> Result<Vec<String>, Stop>,
) -> Result<Vec<String>, Stop> {
    let vm: VirtualMachine = request.decode()?;
    let old = request.decode_old::<VirtualMachine>();
    let unread = unread(&old, if request.subresource == "status" { "Could not fetch old vm" } else { "Could not fetch old VM" });
    let old = old.ok().flatten();
    let status = vm.status.clone().unwrap_or_default();
    let mut vmi: Option<VirtualMachineInstance> = None;
    if !status.volume_requests.is_empty() && status.ready == Some(true) {
        vmi = known.get(kinds::VMI, namespace_of(request), vm.metadata.name.as_deref().unwrap_or(request.name))?;
    }
    let namespace = namespace_of(request);
    let resolved = Resolved {
        instancetype: forgiving(instancetype::instancetype(&vm, namespace, known))?,
        preference: forgiving(instancetype::preference(&vm, namespace, known))?,
    };
    let warnings = judge(&VmReview {
        vm: &vm,
        resolved: &resolved,
        old: old.as_ref(),
        vmi: vmi.as_ref(),
        operation: request.operation,
        namespace: namespace_of(request),
        requester: request.requester,
        config,
    })?;
    unread?;
    Ok(warnings)
}

/// VM1, PO1: a template that is not there at all.
const NO_TEMPLATE: &str = "missing virtual machine template.";

/// Whether nothing is set at a JSON pointer.
fn absent(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).is_none_or(Value::is_null)
}

/// VM23, VM24, PO10: the object before cannot be read. What is wrong with the new one is told first.
fn unread<T>(old: &Result<Option<T>, Stop>, message: &str) -> Result<(), Denial> {
    match old {
        Ok(_) => Ok(()),
        Err(_) => Err(Denial::cause(CauseKind::UnexpectedServerResponse, "", message)),
    }
}

/// SW1, SW2.
fn status(request: &Request<'_>, config: &ClusterConfig, known: &Known) -> Result<Vec<String>, Stop> {
    request.check_status_form()?;
    if request.kind != "VirtualMachine" {
        return Ok(Vec::new());
    }
    with_vm(request, config, known, |review| {
        validate_vm_status(review)?;
        Ok(Vec::new())
    })
}

fn migration(request: &Request<'_>, config: &ClusterConfig, known: &Known) -> Result<Vec<String>, Stop> {
    request.check_form()?;
    let migration: VirtualMachineInstanceMigration = request.decode()?;
    if request.operation == Operation::Update {
        if let Some(old) = request.decode_old::<VirtualMachineInstanceMigration>()? {
            validate_migration_update(&migration, &old)?;
        }
        return Ok(Vec::new());
    }
    let name = migration.spec.vmi_name.clone().unwrap_or_default();
    let namespace = namespace_of(request);
    let vmi: Option<VirtualMachineInstance> = known.get(kinds::VMI, namespace, &name)?;
    let others: Vec<VirtualMachineInstanceMigration> = known.list(kinds::MIGRATION, namespace)?;
    validate_migration_create(&migration, vmi.as_ref(), &others, request.requester, config)?;
    Ok(Vec::new())
}

fn kubevirt(request: &Request<'_>, known: &Known) -> Result<Vec<String>, Stop> {
    match request.operation {
        Operation::Create => {
            request.check_form()?;
            let existing: Vec<Value> = known.list(kinds::KUBEVIRT, "")?;
            validate_kubevirt_create(existing.len())?;
        }
        Operation::Update => {
            // The operator decodes before it checks the form, so a wrong type is its decoder's to report.
            let new: KubeVirt = request.decode()?;
            request.check_form()?;
            if let Some(old) = request.decode_old::<KubeVirt>()? {
                let refused = PlacementRefusals { infra: known.refusal("Deployment"), workloads: known.refusal("DaemonSet") };
                return Ok(validate_kubevirt_update(&new, &old, refused)?);
            }
        }
        Operation::Delete => {
            let kubevirt: KubeVirt = super::decode(request.old.unwrap_or(request.object))?;
            let any = |kind| known.list::<Value>(kind, "").map(|l| !l.is_empty());
            let workloads = KubeVirtWorkloads { vmis: any(kinds::VMI)?, vms: any(kinds::VM)?, replica_sets: any(kinds::REPLICASET)? };
            validate_kubevirt_delete(&kubevirt, workloads)?;
        }
    }
    Ok(Vec::new())
}

/// Snapshots, restores, exports, backups, clones.
fn storage(request: &Request<'_>, config: &ClusterConfig, known: &Known) -> Result<Vec<String>, Stop> {
    let update = request.operation == Operation::Update;
    let namespace = namespace_of(request);
    match request.kind {
        "VirtualMachineSnapshot" => {
            let snapshot: VirtualMachineSnapshot = request.decode()?;
            match request.decode_old()?.filter(|_| update) {
                Some(old) => validate_snapshot_update(&snapshot, &old)?,
                None => validate_snapshot_create(&snapshot, config)?,
            }
        }
        "VirtualMachineRestore" => {
            let restore: VirtualMachineRestore = request.decode()?;
            match request.decode_old()?.filter(|_| update) {
                Some(old) => validate_restore_update(&restore, &old)?,
                None => validate_restore_create(&restore, &restore_lookups(&restore, namespace, known)?, config)?,
            }
        }
        "VirtualMachineExport" => {
            let export: VirtualMachineExport = request.decode()?;
            match request.decode_old()?.filter(|_| update) {
                Some(old) => validate_export_update(&export, &old)?,
                None => validate_export_create(&export, config)?,
            }
        }
        "VirtualMachineBackup" if !update => {
            let backup: VirtualMachineBackup = request.decode()?;
            let others: Vec<VirtualMachineBackup> = known.list(kinds::BACKUP, namespace)?;
            validate_backup_create(&backup, &others, config)?;
        }
        "VirtualMachineBackupTracker" if !update => validate_backup_tracker_create(config)?,
        "VirtualMachineClone" => {
            let clone: VirtualMachineClone = request.decode()?;
            validate_clone(&clone, request.operation, config)?;
        }
        _ => {}
    }
    Ok(Vec::new())
}

fn restore_lookups(restore: &VirtualMachineRestore, namespace: &str, known: &Known) -> Result<RestoreLookups, Stop> {
    let snapshot: Option<VirtualMachineSnapshot> = known.get(kinds::SNAPSHOT, namespace, &restore.spec.virtual_machine_snapshot_name)?;
    let content = snapshot.as_ref().and_then(|s| s.status.as_ref()?.virtual_machine_snapshot_content_name.clone());
    let content: Option<VirtualMachineSnapshotContent> =
        known.get(kinds::SNAPSHOT_CONTENT, namespace, content.as_deref().unwrap_or_default())?;
    Ok(RestoreLookups {
        target: known.get(kinds::VM, namespace, &restore.spec.target.name)?,
        snapshot,
        content,
        restores: known.list(kinds::RESTORE, namespace)?,
    })
}
