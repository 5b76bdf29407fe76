//! Interfaces plugged into and out of a running guest (spec controllers §3.10, "Network sync").

use api::v1::values::interface_state::ABSENT;
use api::v1::{Interface, VirtualMachine, VirtualMachineInstance};

use super::{Observed, template_spec_mut};
use crate::conditions::{self, TRUE};
use crate::metadata;

/// Brings the template's interfaces to the instance, and forgets interfaces that are gone for good from both.
pub(super) fn sync(observed: &Observed<'_>, vm: &mut VirtualMachine, target: Option<&mut VirtualMachineInstance>) {
    let Some(target) = target.filter(|target| !metadata::is_deleting(&target.metadata)) else {
        if observed.vmi.is_none() {
            forget(vm, None);
        }
        return;
    };
    let Some(template) = vm.spec.template.spec.as_deref() else { return };
    let ordinal = has_ordinal_names(target);
    for wanted in &template.domain.devices.interfaces {
        let known = target.spec.domain.devices.interfaces.iter_mut().find(|known| known.name == wanted.name);
        match known {
            Some(known) if known.state.as_deref() != Some(ABSENT) && (wanted.state.as_deref() != Some(ABSENT) || !ordinal) => {
                known.state.clone_from(&wanted.state);
            }
            None if is_pluggable(wanted) => {
                let Some(network) = template.networks.iter().find(|network| network.name == wanted.name) else { continue };
                target.spec.domain.devices.interfaces.push(wanted.clone());
                target.spec.networks.push(network.clone());
            }
            Some(_) | None => {}
        }
    }
    rename_networks(vm, target);
    drop_unplugged(target);
    forget(vm, Some(target));
}

fn is_pluggable(interface: &Interface) -> bool {
    (interface.bridge.is_some() || interface.sriov.is_some()) && interface.state.as_deref() != Some(ABSENT)
}

/// Whether the pod's interfaces are named by position: then none can go.
fn has_ordinal_names(vmi: &VirtualMachineInstance) -> bool {
    let reported = vmi.status.as_ref().map(|status| status.interfaces.as_slice()).unwrap_or_default();
    reported
        .iter()
        .filter_map(|interface| interface.pod_interface_name.as_deref())
        .any(|name| name.strip_prefix("net").is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())))
}

/// Another NetworkAttachmentDefinition takes effect with the next migration.
fn rename_networks(vm: &VirtualMachine, target: &mut VirtualMachineInstance) {
    let stored = target.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if !conditions::is(stored, "LiveMigratable", TRUE) {
        return;
    }
    let wanted = vm.spec.template.spec.as_deref().map(|spec| spec.networks.as_slice()).unwrap_or_default();
    for network in &mut target.spec.networks {
        let named = wanted.iter().find(|wanted| wanted.name == network.name).and_then(|wanted| wanted.multus.as_ref());
        if let (Some(known), Some(named)) = (&mut network.multus, named) {
            known.network_name.clone_from(&named.network_name);
        }
    }
}

/// Interfaces of the instance that are absent and no longer reported.
fn drop_unplugged(target: &mut VirtualMachineInstance) {
    let reported: Vec<String> =
        target.status.iter().flat_map(|status| &status.interfaces).filter_map(|interface| interface.name.clone()).collect();
    let interfaces = &mut target.spec.domain.devices.interfaces;
    let gone: Vec<String> = interfaces
        .iter()
        .filter(|interface| interface.state.as_deref() == Some(ABSENT) && !reported.contains(&interface.name))
        .map(|interface| interface.name.clone())
        .collect();
    interfaces.retain(|interface| !gone.contains(&interface.name));
    target.spec.networks.retain(|network| !gone.contains(&network.name));
}

/// Interfaces of the VM that are absent, from the instance as well.
fn forget(vm: &mut VirtualMachine, vmi: Option<&VirtualMachineInstance>) {
    if vm.spec.template.spec.is_none() {
        return;
    }
    let spec = template_spec_mut(vm);
    let in_use = |name: &str| {
        vmi.is_some_and(|vmi| {
            vmi.spec.domain.devices.interfaces.iter().any(|interface| interface.name == name)
                || vmi.status.iter().flat_map(|status| &status.interfaces).any(|interface| interface.name.as_deref() == Some(name))
        })
    };
    let gone: Vec<String> = spec
        .domain
        .devices
        .interfaces
        .iter()
        .filter(|interface| interface.state.as_deref() == Some(ABSENT) && !in_use(&interface.name))
        .map(|interface| interface.name.clone())
        .collect();
    spec.domain.devices.interfaces.retain(|interface| !gone.contains(&interface.name));
    spec.networks.retain(|network| !gone.contains(&network.name));
}
