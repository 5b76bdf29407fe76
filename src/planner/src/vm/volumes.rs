//! Volumes plugged into and out of a running guest (spec controllers §3.10): by request, or by editing the template.

use api::v1::values::{update_volumes_strategy, vmi_condition};
use api::v1::{AddVolumeOptions, VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceSpec, VirtualMachineVolumeRequest, Volume};
use serde_json::json;

use super::{Observed, template_spec_mut};
use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, kinds};
use crate::storage::{claim_name, is_hotpluggable};
use crate::vmi::Phase;

/// The volume a request adds.
fn volume(options: &AddVolumeOptions) -> Volume {
    let mut volume = Volume { name: options.name.clone(), ..Volume::default() };
    if let Some(source) = &options.volume_source.data_volume {
        let mut source = source.clone();
        source.hotpluggable = Some(true);
        volume.data_volume = Some(source);
    } else if let Some(source) = &options.volume_source.persistent_volume_claim {
        let mut source = source.clone();
        source.hotpluggable = Some(true);
        volume.persistent_volume_claim = Some(source);
    }
    volume
}

fn add(spec: &mut VirtualMachineInstanceSpec, options: &AddVolumeOptions) {
    if spec.volumes.iter().any(|known| known.name == options.name) {
        return;
    }
    spec.volumes.push(volume(options));
    if !spec.domain.devices.disks.iter().any(|known| known.name == options.name) {
        let mut disk = options.disk.clone();
        disk.name.clone_from(&options.name);
        spec.domain.devices.disks.push(disk);
    }
}

fn remove(spec: &mut VirtualMachineInstanceSpec, name: &str) {
    spec.volumes.retain(|known| known.name != name);
    spec.domain.devices.disks.retain(|known| known.name != name);
}

/// Applies the VM's volume requests to its template, and has a running guest do the same.
pub(super) fn apply_requests(observed: &Observed<'_>, vm: &mut VirtualMachine, after: &mut Vec<Action>) {
    let requests = observed.vm.status.as_ref().map(|status| status.volume_requests.clone()).unwrap_or_default();
    let vmi = observed.vmi.filter(|vmi| !metadata::is_deleting(&vmi.metadata));
    for request in requests {
        if let Some(options) = request.add_volume_options.as_deref() {
            add(template_spec_mut(vm), options);
            if let Some(vmi) = vmi.filter(|vmi| !vmi.spec.volumes.iter().any(|known| known.name == options.name)) {
                after.push(call(vmi, "addvolume", json!(options)));
            }
        }
        if let Some(options) = &request.remove_volume_options {
            remove(template_spec_mut(vm), &options.name);
            if let Some(vmi) = vmi.filter(|vmi| vmi.spec.volumes.iter().any(|known| known.name == options.name)) {
                after.push(call(vmi, "removevolume", json!(options)));
            }
        }
    }
}

fn call(vmi: &VirtualMachineInstance, subresource: &'static str, body: serde_json::Value) -> Action {
    Action::Call {
        object: ObjectRef::of(&kinds::VMI_SUBRESOURCES, &vmi.metadata),
        subresource,
        body,
        on_failure: OnFailure {
            reason: "HotPlugVolumeError".into(),
            prefix: "Error encountered while handling volume hotplug requests: ".to_owned(),
            ..OnFailure::default()
        },
    }
}

/// Whether the template reflects a request (spec controllers §3.10, "Trimmed when").
pub(super) fn is_done(request: &VirtualMachineVolumeRequest, template: &VirtualMachineInstanceSpec) -> bool {
    let listed = |name: &str| {
        (template.volumes.iter().any(|known| known.name == name), template.domain.devices.disks.iter().any(|known| known.name == name))
    };
    let added = request.add_volume_options.as_deref().is_some_and(|options| listed(&options.name) == (true, true));
    let removed = request.remove_volume_options.as_ref().is_some_and(|options| listed(&options.name) == (false, false));
    added || removed
}

/// Brings volumes that can be plugged from the template to the running guest. A claim is never changed in place: the old one
/// has to be gone from the guest before the new one comes.
pub(super) fn hotplug(observed: &Observed<'_>, vm: &VirtualMachine, target: &mut VirtualMachineInstance) {
    if !observed.config.gate("DeclarativeHotplugVolumes") || observed.config.gate("HotplugVolumes") {
        return;
    }
    let migrates = vm.spec.update_volumes_strategy.as_deref() == Some(update_volumes_strategy::MIGRATION);
    if Phase::of(target) != Phase::Running || metadata::is_deleting(&target.metadata) || migrates {
        return;
    }
    let Some(template) = vm.spec.template.spec.as_deref() else { return };
    let stored = target.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if crate::conditions::is(stored, vmi_condition::VOLUMES_CHANGE, crate::conditions::TRUE) {
        return;
    }
    let keeps = |known: &Volume| {
        let same = |wanted: &&Volume| wanted.name == known.name && claim_name(wanted) == claim_name(known);
        !is_hotpluggable(known) || known.memory_dump.is_some() || template.volumes.iter().any(|wanted| same(&wanted))
    };
    let removed: Vec<String> = target.spec.volumes.iter().filter(|known| !keeps(known)).map(|known| known.name.clone()).collect();
    target.spec.volumes.retain(|known| !removed.contains(&known.name));
    // A drive stays without its medium.
    target.spec.domain.devices.disks.retain(|disk| {
        !removed.contains(&disk.name) || (disk.cdrom.is_some() && template.domain.devices.disks.iter().any(|known| known.name == disk.name))
    });
    let reported = target.status.as_ref().map(|status| status.volume_status.as_slice()).unwrap_or_default();
    for wanted in template.volumes.iter().filter(|wanted| is_hotpluggable(wanted) && wanted.memory_dump.is_none()) {
        let known = target.spec.volumes.iter().any(|known| known.name == wanted.name) || removed.contains(&wanted.name);
        if known || reported.iter().any(|status| status.name == wanted.name) {
            continue;
        }
        target.spec.volumes.push(wanted.clone());
        let disks = &mut target.spec.domain.devices.disks;
        if let Some(disk) = template.domain.devices.disks.iter().find(|disk| disk.name == wanted.name)
            && !disks.iter().any(|known| known.name == disk.name)
        {
            disks.push(disk.clone());
        }
    }
}
