//! vCPUs, topology and CPU model. Source: spec/domain-xml.md §6.3, §6.2 (synthetic NUMA).

use api::quantity::Amount;
use api::v1::VirtualMachineInstance;
use domain::{Cpu, CpuFeature, CpuModel, CpuTopology, Domain, Numa, NumaCell, Vcpu, VcpuCount, Vcpus};

use super::{Architecture, ConvertError, memory};
use crate::vmi;

const HOST_MODEL: &str = "host-model";
const HOST_PASSTHROUGH: &str = "host-passthrough";

/// The guest's CPUs as they are now, without sockets yet to be plugged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Topology {
    pub(super) sockets: u32,
    pub(super) cores: u32,
    pub(super) threads: u32,
}

impl Topology {
    pub(super) fn of(vmi: &VirtualMachineInstance) -> Self {
        let cpu = vmi.spec.domain.cpu.as_ref();
        let [sockets, cores, threads] =
            [cpu.and_then(|c| c.sockets), cpu.and_then(|c| c.cores), cpu.and_then(|c| c.threads)].map(Option::unwrap_or_default);
        let mut sockets = sockets;
        if [sockets, cores, threads] == [0, 0, 0] {
            let cpus = vmi::limit(vmi, "cpu").or_else(|| vmi::request(vmi, "cpu"));
            sockets = cpus.map(Amount::value).and_then(|v| u32::try_from(v).ok()).unwrap_or_default();
        }
        Self { sockets: sockets.max(1), cores: cores.max(1), threads: threads.max(1) }
    }

    /// vCPUs in all; at least 1.
    pub(super) fn vcpus(&self) -> u32 {
        self.sockets.saturating_mul(self.cores).saturating_mul(self.threads)
    }
}

/// More vCPUs than any hypervisor takes; what is beyond is an error before memory is spent on it.
const MAX_VCPUS: u32 = 8192;

pub(super) fn render(vmi: &VirtualMachineInstance, arch: Architecture, topology: &Topology, out: &mut Domain) -> Result<(), ConvertError> {
    let max_sockets = vmi.spec.domain.cpu.as_ref().and_then(|c| c.max_sockets).filter(|m| *m != 0 && arch.has_cpu_hotplug());
    let sockets = max_sockets.unwrap_or(topology.sockets);
    let count = Topology { sockets, ..*topology }.vcpus();
    if count > MAX_VCPUS {
        return Err(ConvertError::TooMany { what: "vCPUs", most: MAX_VCPUS });
    }
    if max_sockets.is_some() {
        let plugged = topology.vcpus();
        // Sockets of the current configuration beyond the first can be unplugged as well.
        let fixed = topology.cores.saturating_mul(topology.threads);
        let vcpu = |id| Vcpu { id, enabled: (id < plugged).into(), hotpluggable: Some((id >= fixed).into()), order: None };
        out.vcpus = Some(Vcpus { vcpus: (0..count).map(vcpu).collect() });
    }
    out.vcpu = Some(VcpuCount { placement: Some("static".to_owned()), count, ..VcpuCount::default() });
    out.cpu = model(vmi, arch);
    out.cpu.topology = Some(CpuTopology { sockets, cores: topology.cores, threads: topology.threads, ..CpuTopology::default() });
    let asks_for_numa = vmi.spec.domain.cpu.as_ref().is_some_and(|c| c.numa.is_some());
    if memory::needs_memfd(vmi, arch) && !asks_for_numa {
        // Memory of a file needs a cell to belong to.
        out.cpu.numa = Some(Numa {
            cells: vec![NumaCell {
                id: 0,
                cpus: Some(format!("0-{}", count - 1)),
                memory: out.memory.value / 1024,
                unit: Some("KiB".to_owned()),
                ..NumaCell::default()
            }],
        });
    }
    Ok(())
}

fn model(vmi: &VirtualMachineInstance, arch: Architecture) -> Cpu {
    let mut out = Cpu::default();
    let Some(spec) = &vmi.spec.domain.cpu else {
        out.mode = Some(HOST_MODEL.to_owned());
        return out;
    };
    let model = spec.model.as_deref().unwrap_or_default();
    let from_host = matches!(model, HOST_MODEL | HOST_PASSTHROUGH);
    if from_host {
        out.mode = Some(model.to_owned());
    } else if model.is_empty() {
        out.mode = Some(HOST_MODEL.to_owned());
    } else {
        out.mode = Some("custom".to_owned());
        out.model = Some(CpuModel { name: model.to_owned(), fallback: None });
    }
    out.features =
        spec.features.iter().map(|f| CpuFeature { name: f.name.clone(), policy: f.policy.clone().filter(|p| !p.is_empty()) }).collect();
    // QEMU removed MPX, yet older models still name it.
    if arch == Architecture::Amd64 && !from_host && !spec.features.iter().any(|f| f.name == "mpx") {
        out.features.push(CpuFeature { name: "mpx".to_owned(), policy: Some("disable".to_owned()) });
    }
    out
}

/// A CPU that is emulated cannot be the host's.
pub(super) fn force_emulated(cpu: &mut Cpu) {
    if matches!(cpu.mode.as_deref(), Some(HOST_MODEL | HOST_PASSTHROUGH)) {
        cpu.mode = Some("custom".to_owned());
        cpu.model = Some(CpuModel { name: "max".to_owned(), fallback: None });
    }
}
