//! A VirtualMachine, new or changed (spec/admission.md §6).

use api::config::ClusterConfig;
use api::quantity::{self, Amount};
use api::v1::values::run_strategy;
use api::v1::{DataVolumeTemplateSpec, VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceSpec, VirtualMachineSpec};

use super::spec::{SpecContext, validate_spec};
use super::{compute, metadata, network, remaining, same, volume_requests};
use crate::defaults::set_spec_defaults;
use crate::instancetype::{self, Resolved};
use crate::{CauseKind, Causes, Denial, Operation, Requester};

/// A VirtualMachine under judgement, with what the cluster knows about it.
pub struct VmReview<'a> {
    /// The virtual machine.
    pub vm: &'a VirtualMachine,
    /// The one before, for an update.
    pub old: Option<&'a VirtualMachine>,
    /// The instance type and the preference it refers to, as far as they exist.
    pub resolved: &'a Resolved,
    /// Its running instance, if it is ready and has one.
    pub vmi: Option<&'a VirtualMachineInstance>,
    /// What is to be done.
    pub operation: Operation,
    /// The namespace of the request.
    pub namespace: &'a str,
    /// Who asks.
    pub requester: &'a Requester,
    /// The cluster's configuration.
    pub config: &'a ClusterConfig,
}

/// Judges a VirtualMachine.
///
/// Flow (§6.1): nothing for one that is being deleted; defaults on a copy; removed bindings of a new one; every rule of the
/// template and of the machine together; namespaces and locks of snapshots and restores; volume requests. Warnings are returned.
///
/// # Errors
/// The first step that fails, with all its causes.
pub fn validate_vm(review: &VmReview<'_>) -> Result<Vec<String>, Denial> {
    let VmReview { vm, config, .. } = *review;
    if vm.metadata.deletion_timestamp.is_some() {
        return Ok(Vec::new());
    }
    let original = vm.spec.template.spec.as_deref().cloned().unwrap_or_default();
    let mut template = original.clone();
    expand_template(review, &mut template)?;
    set_spec_defaults(&mut template, config)?;
    instancetype::check_requirements(review.resolved, &template)?;
    let cx = SpecContext { base: "spec.template.spec", spec: &template, config };
    if review.operation == Operation::Create {
        let mut causes = Causes::default();
        network::discontinued_gates(&SpecContext { spec: &original, ..cx }, &mut causes);
        causes.into_result()?;
        let mut causes = Causes::default();
        network::discontinued_bindings(&cx, &mut causes);
        causes.into_result()?;
    }
    let mut causes = Causes::default();
    let meta = vm.spec.template.metadata.as_deref().cloned().unwrap_or_default();
    let annotations = meta.annotations.unwrap_or_default();
    let labels = meta.labels.unwrap_or_default();
    metadata::validate("spec.template.metadata", &labels, &annotations, review.requester, config, &mut causes);
    remaining::grace_annotations(&cx, "spec.template.metadata", &annotations, &mut causes);
    causes.extend(validate_spec(&cx));
    machine_rules("spec", &vm.spec, &cx, &mut causes);
    causes.into_result()?;
    namespaces(review)?;
    locks(review)?;
    volume_requests::validate(vm, review.vmi, config)?;
    let mut warnings = Vec::new();
    if vm.spec.running.is_some() {
        warnings.push("spec.running is deprecated, please use spec.runStrategy instead.".to_owned());
    }
    Ok(warnings)
}

/// Steps 3 of the flow: CPUs that can be spread evenly (VM16), and no field that the instance type sets too (VM17).
fn expand_template(review: &VmReview<'_>, template: &mut VirtualMachineInstanceSpec) -> Result<(), Denial> {
    let resolved = review.resolved;
    if let Some(instancetype) = &resolved.instancetype {
        let mut causes = Causes::default();
        instancetype::check_spread(instancetype, resolved.preference.as_ref(), &mut causes);
        causes.into_result()?;
    }
    let metadata = review.vm.spec.template.metadata.as_deref();
    let mut annotations = metadata.and_then(|m| m.annotations.clone()).unwrap_or_default();
    instancetype::apply("spec.template.spec", resolved, template, &mut annotations).map_err(|paths| {
        let mut causes = Causes::default();
        for path in paths {
            let message = instancetype::conflict_message(std::slice::from_ref(&path));
            causes.invalid(path, message);
        }
        Denial::invalid(causes.0)
    })
}

/// SW2: a changed status; volume requests and locks.
///
/// # Errors
/// The first rule that is broken.
pub fn validate_vm_status(review: &VmReview<'_>) -> Result<(), Denial> {
    volume_requests::validate(review.vm, review.vmi, review.config)?;
    locks(review)
}

/// VM2-VM15, with fields below `base`.
pub(super) fn machine_rules(base: &str, spec: &VirtualMachineSpec, cx: &SpecContext<'_>, causes: &mut Causes) {
    data_volume_templates(base, spec, cx.spec, causes);
    run_strategy_rules(base, spec, cx.config, causes);
    if cx.config.live_update() {
        let cpu = cx.spec.domain.cpu.as_ref();
        if cpu.is_some_and(|c| c.sockets.unwrap_or_default() != 0) {
            compute::sockets(cx, causes);
        }
        let limited = cx.spec.domain.memory.as_ref().is_some_and(|m| m.max_guest.is_some());
        if limited && let Some(message) = memory_hotplug(cx.spec) {
            causes.invalid(cx.domain("memory.guest"), message);
        }
    }
}

/// VM2-VM9.
fn data_volume_templates(base: &str, spec: &VirtualMachineSpec, template: &VirtualMachineInstanceSpec, causes: &mut Causes) {
    for (i, entry) in spec.data_volume_templates.iter().enumerate() {
        let at = format!("{base}.dataVolumeTemplate[{i}]");
        let name = entry.metadata.as_ref().and_then(|m| m.name.clone()).unwrap_or_default();
        if name.is_empty() {
            let field = format!("{at}.name");
            let message = format!("'name' field must not be empty for DataVolumeTemplate entry {field}.");
            causes.required(field, message);
            continue;
        }
        if let Some((field, message)) = data_volume_source(entry) {
            causes.invalid(format!("{at}.{field}"), message);
            continue;
        }
        let referenced = template.volumes.iter().any(|v| {
            v.persistent_volume_claim.as_ref().is_some_and(|p| p.claim_name == name)
                || v.data_volume.as_ref().is_some_and(|d| d.name == name)
        });
        if !referenced {
            let message = format!("DataVolumeTemplate entry {at} must be referenced in the VMI template's 'volumes' list");
            causes.required(at, message);
        }
    }
}

/// VM3-VM8: the first thing wrong with a DataVolume's storage and source, with its field.
fn data_volume_source(entry: &DataVolumeTemplateSpec) -> Option<(&'static str, &'static str)> {
    let spec = &entry.spec;
    match (&spec.pvc, &spec.storage) {
        (None, None) => return Some(("PVC.Storage", "Missing Data volume PVC or Storage")),
        (Some(_), Some(_)) => return Some(("PVC.Storage", "Duplicate storage definition, both target storage and target pvc defined")),
        _ => {}
    }
    let external = spec.pvc.as_ref().is_some_and(|p| p.data_source.is_some() || p.data_source_ref.is_some())
        || spec.storage.as_ref().is_some_and(|s| s.data_source.is_some() || s.data_source_ref.is_some());
    if external {
        let inner = spec.source.is_some() || spec.source_ref.is_some();
        return inner.then_some(("source", "External population is incompatible with Source and SourceRef"));
    }
    let Some(source) = &spec.source else {
        let message = "Data volume should have either Source, SourceRef, or be externally populated";
        return spec.source_ref.is_none().then_some(("source.sourceRef", message));
    };
    let members = [
        source.http.is_some(),
        source.s3.is_some(),
        source.gcs.is_some(),
        source.registry.is_some(),
        source.pvc.is_some(),
        source.upload.is_some(),
        source.blank.is_some(),
        source.imageio.is_some(),
        source.vddk.is_some(),
        source.snapshot.is_some(),
    ];
    match members.iter().filter(|m| **m).count() {
        0 => Some(("source", "Missing dataVolume valid source")),
        1 => None,
        _ => Some(("source", "Multiple dataVolume sources")),
    }
}

/// VM10-VM13.
fn run_strategy_rules(base: &str, spec: &VirtualMachineSpec, config: &ClusterConfig, causes: &mut Causes) {
    let running = format!("{base}.running");
    match (spec.running, spec.run_strategy.as_deref()) {
        (Some(_), Some(_)) => {
            let message = "Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead";
            causes.invalid(running, message);
        }
        (None, None) => causes.invalid(running, "RunStrategy must be specified"),
        _ => {}
    }
    let Some(strategy) = spec.run_strategy.as_deref() else { return };
    let field = format!("{base}.runStrategy");
    if strategy == run_strategy::WAIT_AS_RECEIVER {
        if config.gate("DecentralizedLiveMigration") {
            return;
        }
        let message =
            format!("Invalid RunStrategy ({strategy}), DecentralizedLiveMigration feature gate is not enabled in kubevirt resource");
        causes.invalid(field, message);
        return;
    }
    let known = [run_strategy::HALTED, run_strategy::MANUAL, run_strategy::ALWAYS, run_strategy::RERUN_ON_FAILURE, run_strategy::ONCE];
    if !known.contains(&strategy) {
        causes.invalid(field, format!("Invalid RunStrategy ({strategy})"));
    }
}

/// VM15: why memory cannot be plugged into a guest; the first reason.
pub(crate) fn memory_hotplug(spec: &VirtualMachineInstanceSpec) -> Option<String> {
    let domain = &spec.domain;
    let cpu = domain.cpu.as_ref();
    if cpu.is_some_and(|c| c.realtime.is_some()) {
        return Some("Memory hotplug is not compatible with realtime VMs".into());
    }
    if cpu.and_then(|c| c.numa.as_ref()).is_some_and(|n| n.guest_mapping_passthrough.is_some()) {
        return Some("Memory hotplug is not compatible with guest mapping passthrough".into());
    }
    if domain.launch_security.is_some() {
        return Some("Memory hotplug is not compatible with encrypted VMs".into());
    }
    let memory = domain.memory.as_ref()?;
    let Some(guest) = memory.guest.as_ref().map(quantity::amount) else {
        return Some("Guest memory must be configured when memory hotplug is enabled".into());
    };
    let max = memory.max_guest.as_ref().map(quantity::amount)?;
    if guest > max {
        return Some("Guest memory is greater than the configured maxGuest memory".into());
    }
    let giant = memory.hugepages.as_ref().is_some_and(|h| h.page_size.as_deref() == Some("1Gi"));
    let (unit, bytes) = if giant { ("1Gi", 1_i64 << 30) } else { ("2Mi", 2 << 20) };
    if guest.value() % bytes != 0 {
        return Some(format!("Guest memory must be {unit} aligned"));
    }
    if max.value() % bytes != 0 {
        return Some(format!("MaxGuest must be {unit} aligned"));
    }
    if spec.architecture.as_deref() != Some("amd64") {
        return Some("Memory hotplug is only available for x86_64 VMs".into());
    }
    if guest < Amount::bytes(1 << 30) {
        return Some("Memory hotplug is only available for VMs with at least 1Gi of guest memory".into());
    }
    None
}

/// VM19.
fn namespaces(review: &VmReview<'_>) -> Result<(), Denial> {
    let vm = review.vm;
    if review.old.is_some_and(|o| same(&o.spec.data_volume_templates, &vm.spec.data_volume_templates)) {
        return Ok(());
    }
    let own = vm.metadata.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(review.namespace);
    let mut causes = Causes::default();
    for (i, entry) in vm.spec.data_volume_templates.iter().enumerate() {
        let namespace = entry.metadata.as_ref().and_then(|m| m.namespace.as_deref()).unwrap_or_default();
        if !namespace.is_empty() && namespace != own {
            let message = format!("Embedded DataVolume namespace {namespace} differs from VM namespace {own}");
            causes.invalid(format!("spec.dataVolumeTemplates[{i}]"), message);
        }
    }
    causes.into_result()
}

/// VM20-VM22: what may not change while a snapshot or a restore works on the machine.
fn locks(review: &VmReview<'_>) -> Result<(), Denial> {
    let (new, Some(old), Some(status)) = (review.vm, review.old, &review.vm.status) else { return Ok(()) };
    if review.operation != Operation::Update {
        return Ok(());
    }
    let refuse = |message: String| Err(Denial::cause(CauseKind::NotSupported, "spec", message));
    if let Some(snapshot) = &status.snapshot_in_progress
        && !same(&new.spec, &old.spec)
    {
        let volumes = |vm: &VirtualMachine| vm.spec.template.spec.as_ref().map(|s| s.volumes.clone()).unwrap_or_default();
        if !same(&volumes(new), &volumes(old)) {
            return refuse(format!("Cannot update vm disks or volumes until snapshot {snapshot:?} completes"));
        }
        if new.spec.running != old.spec.running || new.spec.run_strategy != old.spec.run_strategy {
            return refuse(format!("Cannot update vm running state until snapshot {snapshot:?} completes"));
        }
    }
    if let Some(restore) = &status.restore_in_progress
        && !same(&new.spec, &old.spec)
        && effective_strategy(new) != effective_strategy(old)
    {
        return refuse(format!("Cannot update VM runStrategy until restore {restore:?} completes"));
    }
    Ok(())
}

/// The run strategy, with the deprecated `running` translated.
fn effective_strategy(vm: &VirtualMachine) -> &str {
    match (vm.spec.running, vm.spec.run_strategy.as_deref()) {
        (Some(_), Some(_)) => "Unknown",
        (Some(true), None) => run_strategy::ALWAYS,
        (Some(false), None) => run_strategy::HALTED,
        (None, strategy) => strategy.unwrap_or(run_strategy::HALTED),
    }
}
