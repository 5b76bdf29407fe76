//! Making an instance from a VM, and stopping one (spec controllers §3.4, startVMI and stopVMI).

use admission::instancetype::apply_autoattach;
use api::names::{self, reason};
use api::v1::values::{memory_dump_phase, start_strategy};
use api::v1::{
    ChangedBlockTrackingStatus, Disk, Firmware, Input, Interface, InterfaceBridge, InterfaceMasquerade, Network, PodNetwork,
    VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceStatus,
};
use uuid::Uuid;

use super::requests::Request;
use super::{Observed, RunStrategy, instancetypes, memory_dump, revision, template_spec};
use crate::creation::failed_validation;
use crate::metadata;
use crate::plan::{Action, ObjectRef, OnFailure, PlanError, Tolerate, kinds};

/// Put before what keeps an instance from being started.
pub(super) const FAILURE: &str = "Failure while starting VMI: ";

/// An instance that cannot be started.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refused {
    /// Why.
    pub(super) error: PlanError,
    /// What an event says about it, where there is one.
    pub(super) event: Option<String>,
}

impl Refused {
    fn because(text: &str) -> Self {
        Self { error: PlanError::new(reason::FAILED_CREATE, format!("{FAILURE}{text}")), event: None }
    }
}

/// The namespace of UUIDs made from names: part of KubeVirt's contract, guests see the result.
const FIRMWARE_NAMESPACE: Uuid = Uuid::from_u128(0x6a1a_24a1_4061_4607_8bf4_a396_3d0c_5895);

/// The firmware UUID of machines that were never given one: it follows from the name.
pub fn legacy_firmware_uuid(name: &str) -> String {
    Uuid::new_v5(&FIRMWARE_NAMESPACE, name.as_bytes()).to_string()
}

/// The writes that start an instance: the record of the template, then the VMI.
pub(super) fn start(observed: &Observed<'_>, vm: &VirtualMachine, strategy: &RunStrategy) -> Result<Vec<Action>, Refused> {
    let mut actions = revision::record(observed, vm).map_err(|error| Refused::because(&error.message))?;
    let vmi = instance(observed, vm, strategy)?;
    let subject = observed.reference();
    let name = observed.name();
    let body = serde_json::to_value(&vmi).map_err(|error| Refused::because(&error.to_string()))?;
    actions.push(Action::Create {
        object: ObjectRef { name: String::new(), ..ObjectRef::of(&kinds::VMI, &vmi.metadata) },
        body,
        on_failure: OnFailure {
            reason: reason::FAILED_CREATE.into(),
            prefix: FAILURE.to_owned(),
            event: Some((subject.clone(), "Error creating virtual machine instance: ".to_owned())),
            tolerate: Tolerate::Nothing,
            ..OnFailure::default()
        },
    });
    let text = format!("Started the virtual machine by creating the new virtual machine instance {name}");
    actions.push(Action::normal(&subject, "SuccessfulCreate", text));
    Ok(actions)
}

/// The instance a VM makes.
fn instance(observed: &Observed<'_>, vm: &VirtualMachine, strategy: &RunStrategy) -> Result<VirtualMachineInstance, Refused> {
    let template = vm.spec.template.metadata.as_deref().cloned().unwrap_or_default();
    let mut vmi = VirtualMachineInstance { metadata: template, spec: template_spec(vm), status: None };
    let meta = &mut vmi.metadata;
    meta.name.clone_from(&vm.metadata.name);
    meta.namespace.clone_from(&vm.metadata.namespace);
    meta.generate_name = None;
    meta.uid = None;
    meta.resource_version = None;
    meta.creation_timestamp = None;
    meta.owner_references = Some(vec![observed.reference().controller_reference()]);
    metadata::add_finalizer(meta, names::VM_FINALIZER);
    metadata::set(&mut meta.annotations, names::VM_GENERATION_ANNOTATION, Some(&vm.metadata.generation.unwrap_or_default().to_string()));
    if *strategy == RunStrategy::WaitAsReceiver {
        metadata::set(&mut meta.annotations, names::CREATE_MIGRATION_TARGET_ANNOTATION, Some("true"));
    }
    if matches!(Request::first(vm), Request::Start { paused: true }) {
        vmi.spec.start_strategy = Some(start_strategy::PAUSED.to_owned());
    }
    if let Some(dump) = vm.status.as_ref().and_then(|status| status.memory_dump_request.as_ref())
        && dump.phase == memory_dump_phase::COMPLETED
    {
        memory_dump::remove_volume(&mut vmi.spec, &dump.claim_name);
    }
    let firmware = vmi.spec.domain.firmware.get_or_insert_default();
    if firmware.uuid.as_deref().unwrap_or_default().is_empty() {
        firmware.uuid = Some(legacy_firmware_uuid(observed.name()));
    }
    default_disks(&mut vmi);
    // What is attached by itself is settled before anything is attached.
    if let Some(preference) = &observed.lookups.resolved.preference {
        apply_autoattach(preference, &mut vmi.spec);
    }
    default_input(&mut vmi);
    default_network(observed, &mut vmi)?;
    instancetypes::apply(observed, &mut vmi).map_err(|text| {
        let told = format!("Error creating virtual machine instance: Failed to apply instancetype: {text}");
        Refused { event: Some(told), ..Refused::because(&text) }
    })?;
    if let Some(text) = failed_validation(&vmi.spec, observed.config) {
        return Err(Refused::because(&text));
    }
    vmi.status = Some(VirtualMachineInstanceStatus {
        virtual_machine_revision_name: Some(revision::name(observed)),
        changed_block_tracking: block_tracking(observed, vm),
        ..VirtualMachineInstanceStatus::default()
    });
    Ok(vmi)
}

/// Volumes that nothing uses are disks.
fn default_disks(vmi: &mut VirtualMachineInstance) {
    let devices = &mut vmi.spec.domain.devices;
    for volume in &vmi.spec.volumes {
        let used = devices.disks.iter().any(|disk| disk.name == volume.name)
            || devices.filesystems.iter().any(|filesystem| filesystem.name == volume.name);
        if !used {
            devices.disks.push(Disk { name: volume.name.clone(), ..Disk::default() });
        }
    }
}

fn default_input(vmi: &mut VirtualMachineInstance) {
    let devices = &mut vmi.spec.domain.devices;
    if devices.autoattach_input_device == Some(true) && devices.inputs.is_empty() {
        devices.inputs.push(Input { name: "default-0".to_owned(), ..Input::default() });
    }
}

/// An instance without interfaces is on the pod's network, unless it says it is not.
fn default_network(observed: &Observed<'_>, vmi: &mut VirtualMachineInstance) -> Result<(), Refused> {
    let devices = &mut vmi.spec.domain.devices;
    if devices.autoattach_pod_interface == Some(false) || !vmi.spec.networks.is_empty() || !devices.interfaces.is_empty() {
        return Ok(());
    }
    let mut interface = Interface { name: "default".to_owned(), ..Interface::default() };
    match observed.config.default_network_interface() {
        "masquerade" => interface.masquerade = Some(InterfaceMasquerade::default()),
        _ if !observed.config.permits_bridge_on_pod_network() => {
            return Err(Refused::because("Bridge interface is not enabled in kubevirt-config"));
        }
        _ => interface.bridge = Some(InterfaceBridge::default()),
    }
    vmi.spec.networks.push(Network { name: "default".to_owned(), pod: Some(PodNetwork::default()), ..Network::default() });
    devices.interfaces.push(interface);
    Ok(())
}

/// Whether the new instance tracks changed blocks (spec controllers §3.13).
fn block_tracking(observed: &Observed<'_>, vm: &VirtualMachine) -> Option<ChangedBlockTrackingStatus> {
    if !observed.config.gate("IncrementalBackup") {
        return None;
    }
    let state = if super::status::is_tracked(observed) {
        "Initializing"
    } else {
        let known = vm.status.as_ref().and_then(|status| status.changed_block_tracking.as_ref());
        known.filter(|known| !matches!(known.state.as_str(), "" | "Undefined"))?;
        "Disabled"
    };
    Some(ChangedBlockTrackingStatus { state: state.to_owned(), ..ChangedBlockTrackingStatus::default() })
}

/// The writes that stop an instance; none when it is on its way already.
pub(super) fn stop(observed: &Observed<'_>, vmi: &VirtualMachineInstance) -> Vec<Action> {
    if metadata::is_deleting(&vmi.metadata) {
        return Vec::new();
    }
    let subject = observed.reference();
    let uid = metadata::uid(&vmi.metadata);
    vec![
        Action::Delete {
            object: ObjectRef::of(&kinds::VMI, &vmi.metadata),
            grace_seconds: None,
            propagation: None,
            on_failure: OnFailure {
                reason: reason::FAILED_DELETE.into(),
                prefix: "Failure attempting to delete VMI: ".to_owned(),
                event: Some((subject.clone(), format!("Error deleting virtual machine instance {}: ", metadata::name(&vmi.metadata)))),
                tolerate: Tolerate::NotFound,
                ..OnFailure::default()
            },
        },
        Action::normal(&subject, "SuccessfulDelete", format!("Stopped the virtual machine by deleting the virtual machine instance {uid}")),
    ]
}

/// The firmware a VM keeps from now on: what its name says, unless it has one (spec controllers §3.10).
pub(super) fn persist_firmware(vm: &mut VirtualMachine) {
    let name = metadata::name(&vm.metadata).to_owned();
    let firmware = super::template_spec_mut(vm).domain.firmware.get_or_insert_with(|| Box::new(Firmware::default()));
    if firmware.uuid.as_deref().unwrap_or_default().is_empty() {
        firmware.uuid = Some(legacy_firmware_uuid(&name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_uuids_follow_from_names() {
        assert_eq!(legacy_firmware_uuid("testvm"), "5a9fc181-957e-5c32-9e5a-2de5e9673531");
    }
}
