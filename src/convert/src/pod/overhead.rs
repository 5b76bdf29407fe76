//! What a guest costs beside its memory. Source: spec/pod.md §5.6.

use api::quantity::{self, Amount};
use api::v1::VirtualMachineInstance;

use crate::settings::Settings;
use crate::vmi;

const MI: i64 = 1 << 20;

/// virt-launcher-monitor, virt-launcher, virtlogd, virtqemud, and QEMU without its guest.
const PROCESSES_MI: [i64; 5] = [25, 100, 25, 40, 50];
const PER_VCPU_MI: i64 = 8;
const IOTHREAD_MI: i64 = 8;
const GRAPHICS_MI: i64 = 32;
/// UEFI flash of arm64 guests.
const ARM64_MI: i64 = 128;
/// MMIO space of passed-through devices.
const HOST_DEVICES_MI: i64 = 1024;
const DOWNWARD_METRICS_MI: i64 = 1;
const EXEC_PROBE_MI: i64 = 10;
const EXEC_PROBES_ONCE_MI: i64 = 100;
const SEV_MI: i64 = 256;
const TPM_MI: i64 = 53;
/// Guaranteed pods have nothing to borrow from.
const GUARANTEED_MI: i64 = 100;
const PASST_MI: i64 = 250;

/// The memory that the launcher's own processes, QEMU and the page tables need, in bytes. Computed from the VMI as it is,
/// so page tables count only for an explicit memory request.
pub fn memory_overhead(vmi: &VirtualMachineInstance, settings: Settings<'_>) -> Amount {
    let domain = &vmi.spec.domain;
    let devices = &domain.devices;
    let mi = |n: i64| Amount::bytes(n.saturating_mul(MI));
    let requested = vmi::request(vmi, "memory").map_or(0, Amount::value);
    // One page table entry of 8 bytes for each 4 KiB, over kilobytes rounded up.
    let page_tables = ceil_kilo(requested) * 1000 / 512;
    let mut overhead = Amount::default().plus(Amount::whole(page_tables as i64));
    for process in PROCESSES_MI {
        overhead = overhead.plus(mi(process));
    }
    let vcpus = match &domain.cpu {
        Some(cpu) => vmi::cpu_product(Some(cpu)),
        None => vmi::limit(vmi, "cpu").or_else(|| vmi::request(vmi, "cpu")).map_or(0, Amount::value),
    };
    overhead = overhead.plus(mi(PER_VCPU_MI.saturating_mul(vcpus.max(1)))).plus(mi(IOTHREAD_MI));
    if vmi::unless_off(devices.autoattach_graphics_device) {
        overhead = overhead.plus(mi(GRAPHICS_MI));
    }
    if vmi.spec.architecture.as_deref().filter(|a| !a.is_empty()).unwrap_or(settings.default_architecture()) == "arm64" {
        overhead = overhead.plus(mi(ARM64_MI));
    }
    if !devices.host_devices.is_empty() || !devices.gpus.is_empty() || vmi::has_sriov(vmi) {
        overhead = overhead.plus(mi(HOST_DEVICES_MI));
    }
    if vmi.spec.volumes.iter().any(|v| v.downward_metrics.is_some()) {
        overhead = overhead.plus(mi(DOWNWARD_METRICS_MI));
    }
    let exec_probes =
        [&vmi.spec.liveness_probe, &vmi.spec.readiness_probe].into_iter().flatten().filter(|p| p.exec.is_some()).count() as i64;
    if exec_probes > 0 {
        overhead = overhead.plus(mi(EXEC_PROBE_MI * exec_probes + EXEC_PROBES_ONCE_MI));
    }
    if vmi::is_sev(vmi) {
        overhead = overhead.plus(mi(SEV_MI));
    }
    if vmi::has_tpm(vmi) {
        overhead = overhead.plus(mi(TPM_MI));
    }
    if vmi::has_dedicated_cpus(vmi) || is_guaranteed(vmi) {
        overhead = overhead.plus(mi(GUARANTEED_MI));
    }
    if let Some(added) = domain.memory.as_ref().and_then(|m| m.reserved_overhead.as_ref()).and_then(|r| r.added_overhead.as_ref()) {
        overhead = overhead.plus(vmi::amount(Some(added)).unwrap_or_default());
    }
    if let Some(ratio) = settings.overhead_ratio() {
        let kilos = ceil_kilo(overhead.value());
        let more = ((kilos as f64 * (ratio - 1.0)) as i64).saturating_mul(1000);
        overhead = overhead.plus(Amount::whole(more));
    }
    overhead
}

/// The memory of what serves the guest's networks: passt, and the sidecars of binding plugins (once a plugin).
pub fn network_overhead(vmi: &VirtualMachineInstance, settings: Settings<'_>) -> Amount {
    let mut overhead = Amount::default();
    if vmi::has_passt(vmi) {
        overhead = overhead.plus(Amount::bytes(PASST_MI * MI));
    }
    let mut seen: Vec<&str> = Vec::new();
    for plugin in vmi::interfaces(vmi).filter_map(|i| i.binding.as_ref()) {
        if seen.contains(&plugin.name.as_str()) {
            continue;
        }
        seen.push(&plugin.name);
        let requests = settings.binding(&plugin.name).and_then(|b| b.compute_resource_overhead.as_ref()).map(|o| &o.requests);
        if let Some(memory) = requests.and_then(|r| r.get("memory")).and_then(|q| quantity::parse(&q.0)) {
            overhead = overhead.plus(memory);
        }
    }
    overhead
}

/// Whether Kubernetes will call the pod Guaranteed, as far as the VMI says.
pub(crate) fn is_guaranteed(vmi: &VirtualMachineInstance) -> bool {
    let [request_memory, limit_memory] = [vmi::request(vmi, "memory"), vmi::limit(vmi, "memory")].map(|a| a.map_or(0, Amount::value));
    let [request_cpu, limit_cpu] = [vmi::request(vmi, "cpu"), vmi::limit(vmi, "cpu")].map(|a| a.map_or(0, Amount::milli_value));
    let memory = limit_memory != 0 && (request_memory == 0 || request_memory == limit_memory);
    memory && request_cpu != 0 && request_cpu == limit_cpu
}

/// Bytes in kilobytes, rounded up; wide enough for any request.
fn ceil_kilo(bytes: i64) -> i128 {
    i128::from(bytes.div_euclid(1000)) + i128::from(bytes.rem_euclid(1000) != 0)
}
