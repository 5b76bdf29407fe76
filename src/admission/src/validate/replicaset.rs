//! Replica sets and presets (spec/admission.md §8.1, §8.3).

use api::config::ClusterConfig;
use api::v1::{VirtualMachineInstancePreset, VirtualMachineInstanceReplicaSet};

use super::spec::{SpecContext, validate_spec};
use super::{disks, network, remaining};
use crate::{Causes, Denial, Operation, selector};

/// Judges a replica set: its template as it stands, and RS1-RS3.
///
/// # Errors
/// Every rule that is broken.
pub fn validate_replicaset(rs: &VirtualMachineInstanceReplicaSet, operation: Operation, config: &ClusterConfig) -> Result<(), Denial> {
    let mut causes = Causes::default();
    let template = rs.spec.template.spec.as_deref().cloned().unwrap_or_default();
    let cx = SpecContext { base: "spec.template.spec", spec: &template, config };
    let meta = rs.spec.template.metadata.as_deref().cloned().unwrap_or_default();
    remaining::grace_annotations(&cx, "spec.template.metadata", &meta.annotations.unwrap_or_default(), &mut causes);
    causes.extend(validate_spec(&cx));
    match selector::matches(&rs.spec.selector, &meta.labels.unwrap_or_default()) {
        Err(error) => causes.invalid("spec.selector", error),
        Ok(false) => causes.invalid("spec.selector", "selector does not match labels."),
        Ok(true) => {}
    }
    if operation == Operation::Create {
        network::discontinued_gates(&cx, &mut causes);
    }
    causes.into_result()
}

/// Judges a preset: PS1, and the rules of disks and firmware.
///
/// # Errors
/// Every rule that is broken.
pub fn validate_preset(preset: &VirtualMachineInstancePreset) -> Result<(), Denial> {
    let mut causes = Causes::default();
    match preset.spec.domain.as_deref() {
        None => causes.required("spec.domain", "missing domain."),
        Some(domain) => {
            disks::validate("spec.domain.devices.disks", &domain.devices.disks, &mut causes);
            disks::firmware("spec.domain.firmware", domain.firmware.as_deref(), &mut causes);
        }
    }
    causes.into_result()
}
