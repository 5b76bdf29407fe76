//! Whether the template changed in a way that only a restart brings to the guest (spec controllers §3.9).

use api::v1::values::{interface_state, update_volumes_strategy};
use api::v1::{VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceSpec};

use super::{Observed, instancetypes, revision, template_spec};
use crate::conditions::{self, TRUE};
use crate::storage::{claim_name, is_hotpluggable};

/// Whether a restart is needed; `None` when nothing is known of the instance's origin.
pub(super) fn evaluate(observed: &Observed<'_>, vmi: &VirtualMachineInstance, vm: &VirtualMachine) -> Option<bool> {
    let last = revision::last_spec(observed)?;
    // What instance types and preferences make of both; one that cannot be applied proves nothing.
    let resolved = observed.lookups.started.as_ref()?;
    let mut started = instancetypes::applied(resolved, &last.template.spec.as_deref().cloned().unwrap_or_default()).ok()?;
    let wanted = instancetypes::applied(&observed.lookups.resolved, &template_spec(vm)).ok()?;
    follow_volumes(vm, &mut started, &wanted);
    follow_interfaces(vmi, &mut started, &wanted);
    follow_firmware(vmi, &mut started, &wanted);
    if observed.config.live_update() {
        follow_live(&mut started, &wanted);
    }
    Some(started != wanted)
}

/// Volumes that can be plugged, with their disks; claims that are migrated.
fn follow_volumes(vm: &VirtualMachine, started: &mut VirtualMachineInstanceSpec, wanted: &VirtualMachineInstanceSpec) {
    let migrated = vm.spec.update_volumes_strategy.as_deref() == Some(update_volumes_strategy::MIGRATION);
    let volume = |spec: &VirtualMachineInstanceSpec, name: &str| spec.volumes.iter().find(|volume| volume.name == name).cloned();
    let mut names: Vec<String> = started.volumes.iter().chain(&wanted.volumes).map(|volume| volume.name.clone()).collect();
    names.sort();
    names.dedup();
    let follows = names.iter().all(|name| match (volume(started, name), volume(wanted, name)) {
        (Some(old), Some(new)) if old == new => true,
        (Some(old), Some(new)) if migrated && claim_name(&old).is_some() && claim_name(&new).is_some() => true,
        (old, new) => old.iter().chain(&new).all(is_hotpluggable),
    });
    if !follows {
        return;
    }
    let pluggable = |name: &str| [volume(started, name), volume(wanted, name)].iter().flatten().any(is_hotpluggable);
    let disk = |spec: &VirtualMachineInstanceSpec, name: &str| spec.domain.devices.disks.iter().find(|disk| disk.name == name).cloned();
    let mut disks: Vec<String> =
        started.domain.devices.disks.iter().chain(&wanted.domain.devices.disks).map(|disk| disk.name.clone()).collect();
    disks.sort();
    disks.dedup();
    let disks_follow = disks.iter().all(|name| match (disk(started, name), disk(wanted, name)) {
        (Some(old), Some(new)) => old == new || pluggable(name),
        // The drive stays when its medium goes.
        (Some(old), None) => old.cdrom.is_none() && pluggable(name),
        (None, Some(new)) => new.cdrom.is_none() && pluggable(name),
        (None, None) => true,
    });
    started.volumes.clone_from(&wanted.volumes);
    if disks_follow {
        started.domain.devices.disks.clone_from(&wanted.domain.devices.disks);
    }
}

/// Interfaces that can be plugged: added, marked absent, or gone once they were; networks with them.
fn follow_interfaces(vmi: &VirtualMachineInstance, started: &mut VirtualMachineInstanceSpec, wanted: &VirtualMachineInstanceSpec) {
    let stored = vmi.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let migratable = conditions::is(stored, "LiveMigratable", TRUE);
    let absent_before = |name: &str| {
        let known = vmi.spec.domain.devices.interfaces.iter().chain(&started.domain.devices.interfaces);
        known.filter(|interface| interface.name == name).any(|interface| interface.state.as_deref() == Some(interface_state::ABSENT))
            || !vmi.spec.domain.devices.interfaces.iter().any(|interface| interface.name == name)
    };
    let interfaces_follow = started.domain.devices.interfaces.iter().all(|old| {
        match wanted.domain.devices.interfaces.iter().find(|new| new.name == old.name) {
            None => absent_before(&old.name),
            Some(new) => {
                let mut same = old.clone();
                same.state.clone_from(&new.state);
                same == *new
            }
        }
    });
    let networks_follow = started.networks.iter().all(|old| match wanted.networks.iter().find(|new| new.name == old.name) {
        None => absent_before(&old.name),
        Some(new) => {
            let mut same = old.clone();
            if let (Some(ours), Some(theirs)) = (&mut same.multus, &new.multus)
                && migratable
            {
                ours.network_name.clone_from(&theirs.network_name);
            }
            same == *new
        }
    });
    let pod_network_added = wanted.networks.iter().any(|new| new.pod.is_some() && !started.networks.iter().any(|old| old.name == new.name));
    if interfaces_follow && networks_follow && !pod_network_added {
        started.networks.clone_from(&wanted.networks);
        started.domain.devices.interfaces.clone_from(&wanted.domain.devices.interfaces);
    }
}

/// The UUID that the guest has anyway, written down later.
fn follow_firmware(vmi: &VirtualMachineInstance, started: &mut VirtualMachineInstanceSpec, wanted: &VirtualMachineInstanceSpec) {
    let uuid = |spec: &VirtualMachineInstanceSpec| spec.domain.firmware.as_deref().and_then(|firmware| firmware.uuid.clone());
    let in_use = uuid(&vmi.spec);
    if in_use.is_some() && in_use == uuid(wanted) {
        started.domain.firmware.get_or_insert_default().uuid = in_use;
    }
}

/// What live updates bring to the guest.
fn follow_live(started: &mut VirtualMachineInstanceSpec, wanted: &VirtualMachineInstanceSpec) {
    if let (Some(ours), Some(theirs)) = (&mut started.domain.cpu, &wanted.domain.cpu) {
        ours.sockets = theirs.sockets;
    }
    if let (Some(ours), Some(theirs)) = (&mut started.domain.memory, &wanted.domain.memory) {
        ours.guest.clone_from(&theirs.guest);
    }
    started.node_selector.clone_from(&wanted.node_selector);
    started.affinity.clone_from(&wanted.affinity);
    started.tolerations.clone_from(&wanted.tolerations);
}
