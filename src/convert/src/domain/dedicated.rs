//! Dedicated CPUs: pins of vCPUs, I/O threads and the emulator. Source: spec/domain-xml.md §14.1.

use api::v1::VirtualMachineInstance;
use domain::{CpuTune, Domain, EmulatorPin, IoThreadPin, State, VcpuPin, YesNo};

use super::cpu_pool::CpuPool;
use super::{Context, ConvertError, numa};
use crate::vmi;

/// Pins everything and, where asked for, passes the host's NUMA layout on.
pub(super) fn adjust(vmi: &VirtualMachineInstance, cx: &Context, out: &mut Domain) -> Result<(), ConvertError> {
    let passthrough = numa::is_passed_through(vmi);
    let topology = out.cpu.topology.clone().unwrap_or_default();
    let (cores, threads) = (topology.cores.max(1), topology.threads.max(1));
    let unplugged = out.vcpus.iter().flat_map(|v| &v.vcpus).filter(|v| v.enabled == YesNo::No).count() as u32;
    let sockets = topology.sockets.max(1).saturating_sub(unplugged / (cores * threads));
    let mut pool = CpuPool::new(&cx.topology, &cx.cpuset, threads, passthrough);
    let cpus = pool.take_cores(sockets * cores)?;
    let mut tune = CpuTune::default();
    for (vcpu, cpu) in (0..).zip(&cpus) {
        tune.vcpu_pins.push(VcpuPin { vcpu, cpuset: cpu.to_string() });
    }
    let features = out.features.get_or_insert_default();
    if vmi.spec.architecture.as_deref() == Some("amd64") {
        features.kvm.get_or_insert_default().hint_dedicated = Some(State::new(true));
    }
    if vmi::is_realtime(vmi) {
        features.pmu = Some(State::new(false));
    }
    let supplemental = if vmi::has_supplemental_pool(vmi) { vmi::supplemental_threads(vmi) } else { 0 };
    for iothread in 1..=supplemental {
        let cpu = pool.take_thread().ok_or(ConvertError::NoIoThread)?;
        tune.iothread_pins.push(IoThreadPin { iothread, cpuset: cpu.to_string() });
    }
    if vmi::isolates_emulator(vmi) {
        let mut emulator = pool.take_thread().ok_or(ConvertError::NoEmulatorThread("no thread is left"))?.to_string();
        if vmi::wants_even_parity(vmi) && (cpus.len() as u32 + supplemental).is_multiple_of(2) {
            let second = pool.take_thread().ok_or(ConvertError::NoEmulatorThread("no second thread is left for even parity"))?;
            emulator = format!("{emulator},{second}");
        }
        tune.emulator_pin = Some(EmulatorPin { cpuset: emulator });
    }
    if supplemental == 0
        && let Some(iothreads) = out.iothreads
    {
        tune.iothread_pins = pin_iothreads(vmi, cx, iothreads, tune.emulator_pin.as_ref());
    }
    out.cpu_tune = Some(tune);
    if passthrough {
        numa::pass_through(vmi, cx, &cpus, out)?;
    }
    Ok(())
}

/// I/O threads share the emulator's CPU, or else are spread over those of the vCPUs.
fn pin_iothreads(vmi: &VirtualMachineInstance, cx: &Context, iothreads: u32, emulator: Option<&EmulatorPin>) -> Vec<IoThreadPin> {
    if let Some(emulator) = emulator {
        return vec![IoThreadPin { iothread: 1, cpuset: emulator.cpuset.clone() }];
    }
    let vcpus = vmi::cpu_product(vmi.spec.domain.cpu.as_ref()) as usize;
    let iothreads = iothreads as usize;
    let pin = |index: usize, cpus: &[u32]| IoThreadPin {
        iothread: index as u32 + 1,
        cpuset: cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    if vcpus == 0 || iothreads == 0 {
        return Vec::new();
    }
    if iothreads >= vcpus {
        return (0..iothreads).filter_map(|t| Some(pin(t, &[*cx.cpuset.get(t % vcpus)?]))).collect();
    }
    let (share, longer) = (vcpus / iothreads, vcpus % iothreads);
    let mut start = 0;
    (0..iothreads)
        .map(|t| {
            let end = start + share + usize::from(t < longer);
            let cpus = cx.cpuset.get(start..end.min(cx.cpuset.len())).unwrap_or_default();
            start = end;
            pin(t, cpus)
        })
        .collect()
}
