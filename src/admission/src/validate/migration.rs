//! Migrations and migration policies (spec/admission.md §4.4, §9).

use api::config::ClusterConfig;
use api::migrations::v1alpha1::MigrationPolicy;
use api::names;
use api::quantity;
use api::v1::values::{migration_phase, vmi_condition, vmi_phase};
use api::v1::{ExperimentalMigrationOptions, StallDetectorOptions, VirtualMachineInstance, VirtualMachineInstanceMigration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::same;
use crate::{CauseKind, Causes, Denial, Requester};

/// MMI1, MMI2: the label with the instance's name, and the finalizer.
pub fn default_migration(migration: &mut VirtualMachineInstanceMigration) {
    let name = migration.spec.vmi_name.clone().unwrap_or_default();
    migration.metadata.labels.get_or_insert_default().insert(names::MIGRATION_SELECTOR_LABEL.into(), name);
    migration.metadata.finalizers.get_or_insert_default().push(names::MIGRATION_FINALIZER.into());
}

fn phase(migration: &VirtualMachineInstanceMigration) -> &str {
    migration.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

fn is_final(migration: &VirtualMachineInstanceMigration) -> bool {
    [migration_phase::SUCCEEDED, migration_phase::FAILED].contains(&phase(migration))
}

/// MG1-MG8; the first rule that is broken decides. `others` are the namespace's migrations.
///
/// # Errors
/// The rule that is broken.
pub fn validate_migration_create(
    migration: &VirtualMachineInstanceMigration,
    vmi: Option<&VirtualMachineInstance>,
    others: &[VirtualMachineInstanceMigration],
    requester: &Requester,
    config: &ClusterConfig,
) -> Result<(), Denial> {
    let spec = &migration.spec;
    let name = spec.vmi_name.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Err(Denial::cause(CauseKind::Required, "spec.vmiName", "vmiName is missing"));
    }
    if spec.priority.is_some() && !requester.is_component(config, "kubevirt-controller") {
        let message = "Migration priority queue, only virt-controller is allowed to set priority field";
        return Err(Denial::cause(CauseKind::Forbidden, "spec.migrationPriority", message));
    }
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    let Some(vmi) = vmi else {
        return Err(Denial::bad_request(format!("the VMI \"{namespace}/{name}\" does not exist")));
    };
    let decentralized = spec.send_to.is_some() != spec.receive.is_some();
    migratable(vmi, decentralized)?;
    let active = others.iter().find(|m| {
        let label = m.metadata.labels.as_ref().and_then(|l| l.get(names::MIGRATION_SELECTOR_LABEL));
        m.metadata.namespace == migration.metadata.namespace && label.map(String::as_str) == Some(name) && !is_final(m)
    });
    if let Some(active) = active {
        let uid = active.metadata.uid.as_deref().unwrap_or_default();
        let message =
            format!("in-flight migration detected. Active migration job ({uid}) is currently already in progress for VMI {name}.");
        return Err(Denial::bad_request(message));
    }
    if (spec.send_to.is_some() || spec.receive.is_some()) && !config.gate("DecentralizedLiveMigration") {
        let message = "DecentralizedLiveMigration feature gate is not enabled in kubevirt resource";
        return Err(Denial::cause(CauseKind::NotSupported, "", message));
    }
    if let (Some(send), Some(receive)) = (&spec.send_to, &spec.receive)
        && send.migration_id != receive.migration_id
    {
        let message = format!("sendTo migrationID {} does not match receive migrationID {}", send.migration_id, receive.migration_id);
        return Err(Denial::cause(CauseKind::Invalid, "", message));
    }
    Ok(())
}

/// MG4, MG5.
fn migratable(vmi: &VirtualMachineInstance, decentralized: bool) -> Result<(), Denial> {
    let Some(status) = &vmi.status else { return Ok(()) };
    if [vmi_phase::SUCCEEDED, vmi_phase::FAILED].contains(&status.phase.as_deref().unwrap_or_default()) {
        return Err(Denial::bad_request("Cannot migrate VMI in finalized state."));
    }
    for condition in status.conditions.iter().filter(|c| c.r#type == vmi_condition::LIVE_MIGRATABLE && c.status == "False") {
        let reason = condition.reason.as_deref().unwrap_or_default();
        let only_disks = reason == names::reason::DISKS_NOT_LIVE_MIGRATABLE;
        if !(decentralized && only_disks) {
            let message = condition.message.as_deref().unwrap_or_default();
            return Err(Denial::bad_request(format!("Cannot migrate VMI, Reason: {reason}, Message: {message}")));
        }
    }
    Ok(())
}

/// MG9-MG11.
///
/// # Errors
/// The rule that is broken.
pub fn validate_migration_update(new: &VirtualMachineInstanceMigration, old: &VirtualMachineInstanceMigration) -> Result<(), Denial> {
    let refuse = |message: &str| Err(Denial::cause(CauseKind::NotSupported, "", message));
    if !same(&new.spec, &old.spec) {
        return refuse("update of Migration object's spec is restricted");
    }
    if is_final(new) {
        return Ok(());
    }
    let label =
        |m: &VirtualMachineInstanceMigration| m.metadata.labels.as_ref().and_then(|l| l.get(names::MIGRATION_SELECTOR_LABEL).cloned());
    if let Some(before) = label(old) {
        if new.metadata.labels.is_none() {
            return refuse("selector label can't be removed from an in-flight migration");
        }
        if label(new).as_ref() != Some(&before) {
            return refuse("selector label can't be modified on an in-flight migration");
        }
    }
    Ok(())
}

/// MP1-MP11.
///
/// # Errors
/// Every rule that is broken.
pub fn validate_migration_policy(new: &MigrationPolicy, old: Option<&MigrationPolicy>, config: &ClusterConfig) -> Result<(), Denial> {
    let (spec, before) = (&new.spec, old.map(|o| &o.spec));
    let mut causes = Causes::default();
    if spec.completion_timeout_per_gib.is_some_and(|n| n < 0) {
        causes.invalid("spec.completionTimeoutPerGiB", "must not be negative");
    }
    let (stall, tuning) = (config.gate("MigrationStallDetection"), config.gate("MigrationDowntimeTuning"));
    let downtime_changed = spec.max_downtime_ms.is_some() && before.and_then(|b| b.max_downtime_ms) != spec.max_downtime_ms;
    if downtime_changed && !stall && !tuning {
        causes.invalid("spec.maxDowntimeMs", DOWNTIME_GATES);
    }
    if let Some(experimental) = spec.experimental.as_deref() {
        validate_experimental(experimental, before.and_then(|b| b.experimental.as_deref()), (stall, tuning), &mut causes);
    }
    if spec.bandwidth_per_migration.as_ref().is_some_and(|q| quantity::amount(q).sign() < 0) {
        causes.invalid("spec.bandwidthPerMigration", "must not be negative");
    }
    causes.into_result()
}

/// MP3-MP10; `stall` and `tuning` are the gates of the two ways to deal with slow migrations.
fn validate_experimental(
    experimental: &ExperimentalMigrationOptions,
    before: Option<&ExperimentalMigrationOptions>,
    (stall, tuning): (bool, bool),
    causes: &mut Causes,
) {
    let tuning_changed =
        experimental.downtime_tuning.is_some() && !same(&before.and_then(|e| e.downtime_tuning.clone()), &experimental.downtime_tuning);
    if tuning_changed && !tuning {
        let message = "experimental.downtimeTuning cannot be modified without enabling the MigrationDowntimeTuning feature gate";
        causes.invalid("spec.experimental.downtimeTuning", message);
    }
    if experimental.stall_detector.is_some() && experimental.downtime_tuning.is_some() {
        let message = "experimental.stallDetector and experimental.downtimeTuning are mutually exclusive; the stall detection path manages its own downtime schedule";
        causes.invalid("spec.experimental", message);
    }
    let stall_changed =
        experimental.stall_detector.is_some() && !same(&before.and_then(|e| e.stall_detector.clone()), &experimental.stall_detector);
    if stall_changed && !stall {
        let message = "experimental.stallDetector cannot be modified without enabling the MigrationStallDetection feature gate";
        causes.invalid("spec.experimental.stallDetector", message);
    }
    if let Some(detector) = &experimental.stall_detector {
        stall_detector(detector, causes);
    }
}

/// Who may change the longest pause.
pub(super) const DOWNTIME_GATES: &str =
    "maxDowntimeMs cannot be modified without enabling the MigrationStallDetection or MigrationDowntimeTuning feature gate";

/// What is wrong with a factor in thousandths.
type Range = fn(i64) -> Option<&'static str>;

/// MP6-MP10.
fn stall_detector(detector: &StallDetectorOptions, causes: &mut Causes) {
    let base = "spec.experimental.stallDetector";
    let at_least_one: Range = |n| (n < 1000).then_some("must be greater than or equal to 1");
    let fraction: Range = |n| match n {
        _ if n < 0 => Some("must be greater than or equal to 0"),
        _ if n > 1000 => Some("must be less than or equal to 1"),
        _ => None,
    };
    let open_fraction: Range = |n| match n {
        _ if n <= 0 => Some("must be greater than 0"),
        _ if n > 1000 => Some("must be less than or equal to 1"),
        _ => None,
    };
    for (name, value, range) in [
        ("ewmaAlpha", &detector.ewma_alpha, open_fraction),
        ("precopyPossibleFactor", &detector.precopy_possible_factor, at_least_one),
        ("patienceWindowDecayFactor", &detector.patience_window_decay_factor, fraction),
        ("completionTimeoutFactor", &detector.completion_timeout_factor, at_least_one),
    ] {
        let Some(value) = value else { continue };
        let message = match scalar(value) {
            Err(message) => Some(message),
            Ok(thousandths) => range(thousandths).map(str::to_owned),
        };
        if let Some(message) = message {
            causes.invalid(format!("{base}.{name}"), message);
        }
    }
}

/// A factor in thousandths.
fn scalar(value: &Quantity) -> Result<i64, String> {
    let amount = quantity::amount(value);
    if amount.sign() < 0 {
        return Err(format!("invalid scalar {:?}: must not be negative", value.0));
    }
    let milli = amount.milli_value();
    if quantity::Amount::milli(milli).minus(amount).is_zero() {
        Ok(milli)
    } else {
        Err(format!("invalid scalar {:?}: must have at most 3 decimal places", value.0))
    }
}
