//! An instance type, applied (spec/instancetype.md §2).

use std::collections::BTreeMap;

use api::instancetype::v1beta1::{VirtualMachineInstancetypeSpec, VirtualMachinePreferenceSpec};
use api::quantity;
use api::v1::VirtualMachineInstanceSpec;

use super::topology;

/// Conflicts found so far, with the path they are below.
struct Conflicts<'a> {
    base: &'a str,
    paths: Vec<String>,
}

impl Conflicts<'_> {
    /// Notes a field that is set on both sides.
    fn note(&mut self, path: &str, both: bool) -> bool {
        if both {
            self.paths.push(format!("{}.{path}", self.base));
        }
        both
    }
}

/// Sets everything the instance type sets; the conflicting fields are returned.
pub(super) fn apply(
    base: &str,
    instancetype: &VirtualMachineInstancetypeSpec,
    preference: Option<&VirtualMachinePreferenceSpec>,
    spec: &mut VirtualMachineInstanceSpec,
    annotations: &mut BTreeMap<String, String>,
) -> Vec<String> {
    let mut conflicts = Conflicts { base, paths: Vec::new() };
    let set = |v: &Option<String>| v.as_deref().is_some_and(|s| !s.is_empty());
    if !instancetype.node_selector.is_empty() && !conflicts.note("nodeSelector", !spec.node_selector.is_empty()) {
        spec.node_selector.clone_from(&instancetype.node_selector);
    }
    if set(&instancetype.scheduler_name) && !conflicts.note("schedulerName", set(&spec.scheduler_name)) {
        spec.scheduler_name.clone_from(&instancetype.scheduler_name);
    }
    cpu(instancetype, preference, spec, &mut conflicts);
    memory(instancetype, spec, &mut conflicts);
    let count = instancetype.io_threads.as_ref().and_then(|t| t.supplemental_pool_thread_count);
    if let Some(count) = count {
        let threads = spec.domain.io_threads.get_or_insert_default();
        if !conflicts.note("domain.ioThreads.supplementalPoolThreadCount", threads.supplemental_pool_thread_count.is_some()) {
            threads.supplemental_pool_thread_count = Some(count);
        }
    }
    if instancetype.io_threads_policy.is_some() && !conflicts.note("domain.ioThreadsPolicy", spec.domain.io_threads_policy.is_some()) {
        spec.domain.io_threads_policy.clone_from(&instancetype.io_threads_policy);
    }
    if instancetype.launch_security.is_some() && !conflicts.note("domain.launchSecurity", spec.domain.launch_security.is_some()) {
        spec.domain.launch_security.clone_from(&instancetype.launch_security);
    }
    let devices = &mut spec.domain.devices;
    if !instancetype.gpus.is_empty() && !conflicts.note("domain.devices.gpus", !devices.gpus.is_empty()) {
        devices.gpus.clone_from(&instancetype.gpus);
    }
    if !instancetype.host_devices.is_empty() && !conflicts.note("domain.devices.hostDevices", !devices.host_devices.is_empty()) {
        devices.host_devices.clone_from(&instancetype.host_devices);
    }
    for (key, value) in &instancetype.annotations {
        if annotations.get(key).is_some_and(|v| v != value) {
            conflicts.paths.push(format!("annotations.{key}"));
        } else {
            annotations.insert(key.clone(), value.clone());
        }
    }
    conflicts.paths
}

fn cpu(
    instancetype: &VirtualMachineInstancetypeSpec,
    preference: Option<&VirtualMachinePreferenceSpec>,
    spec: &mut VirtualMachineInstanceSpec,
    conflicts: &mut Conflicts<'_>,
) {
    let from = &instancetype.cpu;
    let resources = spec.domain.resources.clone().unwrap_or_default();
    let cpu = spec.domain.cpu.get_or_insert_default();
    conflicts.note("domain.resources.requests.cpu", resources.requests.contains_key("cpu"));
    conflicts.note("domain.resources.limits.cpu", resources.limits.contains_key("cpu"));
    for (path, value) in [("domain.cpu.sockets", cpu.sockets), ("domain.cpu.cores", cpu.cores), ("domain.cpu.threads", cpu.threads)] {
        conflicts.note(path, value.unwrap_or_default() != 0);
    }
    let model = cpu.model.as_deref().is_some_and(|m| !m.is_empty());
    if from.model.is_some() && !conflicts.note("domain.cpu.model", model) {
        cpu.model.clone_from(&from.model);
    }
    if from.dedicated_cpu_placement.is_some()
        && !conflicts.note("domain.cpu.dedicatedCPUPlacement", cpu.dedicated_cpu_placement == Some(true))
    {
        cpu.dedicated_cpu_placement = from.dedicated_cpu_placement;
    }
    if from.isolate_emulator_thread.is_some()
        && !conflicts.note("domain.cpu.isolateEmulatorThread", cpu.isolate_emulator_thread == Some(true))
    {
        cpu.isolate_emulator_thread = from.isolate_emulator_thread;
    }
    if from.numa.is_some() && !conflicts.note("domain.cpu.numa", cpu.numa.is_some()) {
        cpu.numa.clone_from(&from.numa);
    }
    if from.realtime.is_some() && !conflicts.note("domain.cpu.realtime", cpu.realtime.is_some()) {
        cpu.realtime.clone_from(&from.realtime);
    }
    if from.max_sockets.is_some() {
        cpu.max_sockets = from.max_sockets;
    }
    let topology = topology::place(from.guest, preference);
    cpu.sockets = Some(topology.sockets);
    cpu.cores = Some(topology.cores);
    cpu.threads = Some(topology.threads);
}

/// Reports the first conflict only.
fn memory(instancetype: &VirtualMachineInstancetypeSpec, spec: &mut VirtualMachineInstanceSpec, conflicts: &mut Conflicts<'_>) {
    let from = &instancetype.memory;
    let memory = spec.domain.memory.get_or_insert_default();
    let resources = spec.domain.resources.get_or_insert_default();
    let conflict = conflicts.note("domain.memory.guest", memory.guest.is_some())
        || conflicts.note("domain.memory.hugepages", memory.hugepages.is_some() && from.hugepages.is_some())
        || conflicts.note("domain.memory.maxGuest", memory.max_guest.is_some() && from.max_guest.is_some())
        || conflicts.note("domain.resources.requests.memory", resources.requests.contains_key("memory"))
        || conflicts.note("domain.resources.limits.memory", resources.limits.contains_key("memory"));
    if conflict {
        return;
    }
    memory.guest = Some(from.guest.clone());
    if from.hugepages.is_some() {
        memory.hugepages.clone_from(&from.hugepages);
    }
    if from.max_guest.is_some() {
        memory.max_guest.clone_from(&from.max_guest);
    }
    let percent = from.overcommit_percent.unwrap_or_default();
    if percent > 0 {
        let guest = quantity::amount(&from.guest);
        // Single precision, as upstream computes it.
        let request = guest.value() as f32 * (1.0 - percent as f32 / 100.0);
        resources.requests.insert("memory".into(), guest.with_value(request as i64).quantity());
    }
}
