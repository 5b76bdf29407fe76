//! Exports and clones (spec/admission.md §4.5, §10.3, §10.5).

use api::clone::v1beta1::VirtualMachineClone;
use api::config::ClusterConfig;
use api::export::v1::VirtualMachineExport;
use k8s_openapi::api::core::v1::TypedLocalObjectReference;

use super::same;
use crate::{CauseKind, Causes, Denial, Operation, text};

/// EX1-EX5.
///
/// # Errors
/// Every rule that is broken.
pub fn validate_export_create(export: &VirtualMachineExport, config: &ClusterConfig) -> Result<(), Denial> {
    let source = &export.spec.source;
    let mut causes = Causes::default();
    let kinds = [
        ("PersistentVolumeClaim", "PVC", "PVC", ""),
        ("VirtualMachineSnapshot", "VMSnapshot", "VMSnapshot", "snapshot.kubevirt.io"),
        ("VirtualMachine", "Virtual Machine", "VM", "kubevirt.io"),
        ("VirtualMachineBackup", "VirtualMachineBackup", "VirtualMachineBackup", "backup.kubevirt.io"),
        ("VirtualMachineTemplate", "VirtualMachineTemplate", "VirtualMachineTemplate", "template.kubevirt.io"),
    ];
    let Some((kind, title, short, group)) = kinds.into_iter().find(|(kind, ..)| *kind == source.kind) else {
        causes.invalid("spec.source.kind", "invalid kind");
        return causes.into_result();
    };
    if kind == "VirtualMachineTemplate" && !templates_exportable(config) {
        let message = "VirtualMachineTemplate source requires the OCIExport feature gate and virt-template deployment to be enabled";
        causes.invalid("spec.source.kind", message);
        return causes.into_result();
    }
    if source.name.is_empty() {
        causes.invalid("spec.source.name", format!("{title} name must not be empty"));
    }
    let given = source.api_group.as_deref().unwrap_or_default();
    if given != group {
        let message = if group.is_empty() {
            format!("{short} API group must be missing or blank")
        } else {
            format!("{short} API group must be {group}")
        };
        causes.invalid("spec.source.APIGroup", message);
    }
    causes.into_result()
}

fn templates_exportable(config: &ClusterConfig) -> bool {
    let deployed = config.configuration().virt_template_deployment.as_ref().and_then(|d| d.enabled).unwrap_or(true);
    config.gate("OCIExport") && config.gate("Template") && deployed
}

/// EX6.
///
/// # Errors
/// The specification changed.
pub fn validate_export_update(new: &VirtualMachineExport, old: &VirtualMachineExport) -> Result<(), Denial> {
    if same(&new.spec, &old.spec) {
        return Ok(());
    }
    Err(Denial::cause(CauseKind::Invalid, "spec", "spec in immutable after creation"))
}

/// MCL1, MCL2: a target, and a name for it. `suffix` makes five random characters.
pub fn default_clone(clone: &mut VirtualMachineClone, suffix: &mut dyn FnMut() -> String) {
    let source = clone.spec.source.name.clone();
    let mut name = || format!("clone-{source}-{}", suffix());
    match &mut clone.spec.target {
        None => {
            clone.spec.target =
                Some(TypedLocalObjectReference { api_group: Some("kubevirt.io".into()), kind: "VirtualMachine".into(), name: name() });
        }
        Some(target) if target.name.is_empty() => target.name = name(),
        Some(_) => {}
    }
}

/// CL1-CL13.
///
/// # Errors
/// Every rule that is broken.
pub fn validate_clone(clone: &VirtualMachineClone, operation: Operation, config: &ClusterConfig) -> Result<(), Denial> {
    if operation == Operation::Create && !config.gate("Snapshot") {
        return Err(Denial::bad_request("snapshot feature gate is not enabled"));
    }
    let spec = &clone.spec;
    let mut causes = Causes::default();
    let template = spec.template.clone().unwrap_or_default();
    for (field, filters) in [
        ("spec.annotations", &spec.annotation_filters),
        ("spec.labels", &spec.label_filters),
        ("spec.template.annotations", &template.annotation_filters),
        ("spec.template.labels", &template.label_filters),
    ] {
        for filter in filters {
            validate_filter(field, filter, &mut causes);
        }
    }
    let source = &spec.source;
    if !["VirtualMachine", "VirtualMachineSnapshot"].contains(&source.kind.as_str()) {
        causes.invalid("spec.Source.Kind", "Source kind is not supported");
    }
    if spec.target.as_ref().is_some_and(|t| t.kind != "VirtualMachine") {
        causes.invalid("spec.Target.Kind", "Target kind is not supported");
    }
    if source.api_group.as_deref().unwrap_or_default().is_empty() {
        causes.invalid("spec.Source.APIGroup", "Source's APIGroup cannot be empty");
    }
    if source.kind.is_empty() {
        causes.invalid("spec.Source", "Source's Kind cannot be empty");
    }
    if source.name.is_empty() {
        causes.invalid("spec.Source.Name", "Source's name cannot be empty");
    }
    if let Some(target) = &spec.target
        && source.kind == "VirtualMachine"
        && target.kind == "VirtualMachine"
        && target.name == source.name
    {
        causes.invalid("spec.target.name", "Target name cannot be equal to source name when both are VirtualMachines");
    }
    for (interface, mac) in &spec.new_mac_addresses {
        let field = format!("spec.newMacAddresses.{interface}");
        if mac.is_empty() {
            continue;
        }
        if text::mac_length(mac) != Some(6) {
            causes.invalid(field, format!("interface {interface} has malformed MAC address ({mac})."));
        }
    }
    for (i, patch) in spec.patches.iter().enumerate() {
        if serde_json::from_str::<serde_json::Value>(patch).is_err() {
            causes.invalid(format!("spec.patches[{i}]"), format!("patch is not valid JSON ({patch})"));
        }
    }
    causes.into_result()
}

/// CL2-CL4. An empty filter selects nothing and is let through.
fn validate_filter(field: &str, filter: &str, causes: &mut Causes) {
    if filter == "!" {
        causes.invalid(field, "a negation character is not a valid filter");
        return;
    }
    let wrong = |what: &str, rule: &str| format!("{field} filter {filter} is invalid: cannot contain a {what}; FilterRules: {rule}");
    if filter.chars().skip(1).any(|c| c == '!') {
        let rule = "NegationChar can be only used at the beginning of the filter";
        causes.invalid(field, wrong("negation character (!)", rule));
    }
    if filter.chars().rev().skip(1).any(|c| c == '*') {
        let rule = "WildcardChar can be only at the end of the filter";
        causes.invalid(field, wrong("wildcard character (*)", rule));
    }
}
