//! A new instance (spec/admission.md §4.2).

use api::config::{ClusterConfig, MAX_VCPUS};
use api::names;
use api::quantity::{self, Amount};
use api::v1::values::vmi_phase;
use api::v1::{
    CPUTopology, MemoryStatus, VirtualMachineInstance, VirtualMachineInstancePhaseTransitionTimestamp, VirtualMachineInstancePreset,
    VirtualMachineInstanceSpec,
};

use super::spec::{pcie_hotplug_capable, set_spec_defaults};
use super::{Seeds, hyperv, objects, presets, text};
use crate::Denial;
use crate::validate::memory_hotplug;

/// What the client is to be told about a new instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaulted {
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

/// The user launchers run as, unless they run as root.
const NON_ROOT_USER: u64 = 107;

/// Completes a new instance.
///
/// Flow, in upstream's order (MVI2-MVI28): presets; defaults of the specification; ACPI off on s390x; defaults of the parts
/// given; Hyper-V dependencies; by architecture; CPU model; status; CPU and memory hotplug limits; annotations; finalizer; phase.
///
/// # Errors
/// Presets conflict, or the cluster's default network cannot be used.
pub fn default_vmi(
    vmi: &mut VirtualMachineInstance,
    presets: &[VirtualMachineInstancePreset],
    config: &ClusterConfig,
    seeds: &mut Seeds<'_>,
) -> Result<Defaulted, Denial> {
    presets::apply(vmi, presets)?;
    set_spec_defaults(&mut vmi.spec, config)?;
    if text(vmi.spec.architecture.as_ref()) == "s390x" {
        let acpi = vmi.spec.domain.features.get_or_insert_default().acpi.get_or_insert_default();
        acpi.enabled.get_or_insert(false);
    }
    objects::set_object_defaults(&mut vmi.spec, seeds.uuid);
    hyperv::set_dependencies(&mut vmi.spec);
    objects::set_architecture_defaults(&mut vmi.spec);
    let cpu = vmi.spec.domain.cpu.get_or_insert_default();
    if text(cpu.model.as_ref()).is_empty() {
        cpu.model = Some(config.cpu_model().unwrap_or("host-model").to_owned());
    }
    status(vmi);
    let live = config.live_update() && text(vmi.spec.architecture.as_ref()) != "arm64";
    if live {
        cpu_hotplug(&mut vmi.spec, config);
        memory_hotplug_limit(&mut vmi.spec, config);
    }
    annotations(vmi, config);
    let status = vmi.status.get_or_insert_default();
    if !config.gate("Root") {
        status.runtime_user = Some(NON_ROOT_USER);
    }
    vmi.metadata.finalizers.get_or_insert_default().push(names::VMI_FINALIZER.into());
    status.phase = Some(vmi_phase::PENDING.into());
    status.phase_transition_timestamps.push(VirtualMachineInstancePhaseTransitionTimestamp {
        phase: Some(vmi_phase::PENDING.into()),
        phase_transition_timestamp: Some(seeds.now.clone()),
    });
    let mut defaulted = Defaulted::default();
    if vmi.metadata.annotations.iter().flatten().any(|(k, _)| k.contains("virtualmachinepreset")) {
        defaulted.warnings.push("kubevirt.io/v1 VirtualMachineInstancePresets is now deprecated and will be removed in v2.".into());
    }
    Ok(defaulted)
}

/// MVI18, MVI19: what the guest starts with.
fn status(vmi: &mut VirtualMachineInstance) {
    let status = vmi.status.get_or_insert_default();
    if let Some(guest) = vmi.spec.domain.memory.as_ref().and_then(|m| m.guest.clone()) {
        let memory = status.memory.get_or_insert_with(MemoryStatus::default);
        memory.guest_at_boot = Some(guest.clone());
        memory.guest_current = Some(guest.clone());
        memory.guest_requested = Some(guest);
    }
    let cpu = vmi.spec.domain.cpu.clone().unwrap_or_default();
    status.current_cpu_topology.get_or_insert(CPUTopology { cores: cpu.cores, sockets: cpu.sockets, threads: cpu.threads });
}

/// MVI20: how many sockets the guest may grow to.
fn cpu_hotplug(spec: &mut VirtualMachineInstanceSpec, config: &ClusterConfig) {
    let cpu = spec.domain.cpu.get_or_insert_default();
    if cpu.max_sockets.unwrap_or_default() != 0 {
        return;
    }
    let sockets = cpu.sockets.unwrap_or_default();
    let mut max = config.maximum_cpu_sockets();
    if max != 0 {
        max = max.max(sockets);
    } else {
        max = sockets.saturating_mul(config.max_hotplug_ratio());
        let per_socket = cpu.cores.unwrap_or_default().saturating_mul(cpu.threads.unwrap_or_default());
        if max.saturating_mul(per_socket) > MAX_VCPUS {
            max = (MAX_VCPUS / per_socket.max(1)).max(sockets);
        }
    }
    cpu.max_sockets = Some(max);
}

/// MVI21: how much memory the guest may grow to, where its memory can grow at all.
fn memory_hotplug_limit(spec: &mut VirtualMachineInstanceSpec, config: &ClusterConfig) {
    let Some(memory) = spec.domain.memory.as_ref().filter(|m| m.max_guest.is_none()) else { return };
    let Some(guest) = memory.guest.as_ref().map(quantity::amount) else { return };
    let wanted =
        config.maximum_guest_memory().unwrap_or_else(|| Amount::bytes(guest.value().saturating_mul(config.max_hotplug_ratio().into())));
    let mut candidate = spec.clone();
    if let Some(memory) = &mut candidate.domain.memory {
        memory.max_guest = Some(wanted.quantity());
    }
    if memory_hotplug(&candidate).is_none() {
        *spec = candidate;
    }
}

/// MVI22-MVI24.
fn annotations(vmi: &mut VirtualMachineInstance, config: &ClusterConfig) {
    let annotations = vmi.metadata.annotations.get_or_insert_default();
    if pcie_hotplug_capable(&vmi.spec) {
        annotations.entry(names::PCI_TOPOLOGY_VERSION_ANNOTATION.into()).or_insert_with(|| "v3".into());
    }
    let isolated = vmi.spec.domain.cpu.as_ref().is_some_and(|c| c.isolate_emulator_thread == Some(true));
    if isolated && config.gate("AlignCPUs") && config.annotation(names::EMULATOR_THREAD_EVEN_PARITY_ANNOTATION).is_some() {
        annotations.insert(names::EMULATOR_THREAD_EVEN_PARITY_ANNOTATION.into(), String::new());
    }
    if vmi.spec.domain.launch_security.as_ref().is_some_and(|l| l.tdx.is_some())
        && let Some(socket) = config.qgs_socket_path()
    {
        annotations.insert(names::QGS_SOCKET_PATH_ANNOTATION.into(), socket);
    }
}
