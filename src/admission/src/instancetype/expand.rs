//! Instance type and preference folded into a virtual machine (spec/instancetype.md §8).

use api::config::ClusterConfig;
use api::v1::VirtualMachine;

use super::{Resolved, apply, conflict_message};
use crate::Denial;
use crate::defaults::{attach_default_network, attach_disks, set_spec_defaults};

/// The virtual machine without references: everything they stand for is in its template.
///
/// # Errors
/// The template sets what the instance type sets.
pub fn expand(vm: &VirtualMachine, resolved: &Resolved, config: &ClusterConfig) -> Result<VirtualMachine, Denial> {
    if vm.spec.instancetype.is_none() && vm.spec.preference.is_none() {
        return Ok(vm.clone());
    }
    let mut vm = vm.clone();
    let spec = vm.spec.template.spec.get_or_insert_default();
    attach_disks(spec);
    attach_default_network(spec, config)?;
    let metadata = vm.spec.template.metadata.get_or_insert_default();
    apply("spec.template.spec", resolved, spec, metadata.annotations.get_or_insert_default())
        .map_err(|paths| Denial::bad_request(conflict_message(&paths)))?;
    if metadata.annotations.as_ref().is_some_and(std::collections::BTreeMap::is_empty) {
        metadata.annotations = None;
    }
    set_spec_defaults(spec, config)?;
    vm.spec.instancetype = None;
    vm.spec.preference = None;
    if let Some(status) = &mut vm.status {
        status.instancetype_ref = None;
        status.preference_ref = None;
    }
    Ok(vm)
}
