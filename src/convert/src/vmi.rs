//! Questions about a VMI that both its pod and its domain depend on.

use api::quantity::{self, Amount};
use api::v1::{self, VirtualMachineInstance};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use sha2::{Digest, Sha256};

/// The user and group of launchers that are not root.
pub const NON_ROOT_UID: i64 = 107;

/// The most queues a NIC gets.
const MAX_QUEUES: u32 = 256;

/// How long a guest may take to shut down when its spec does not say, in seconds.
pub const DEFAULT_GRACE_PERIOD_SECONDS: i64 = 30;

/// The VMI's name.
pub fn name(vmi: &VirtualMachineInstance) -> &str {
    vmi.metadata.name.as_deref().unwrap_or_default()
}

/// The VMI's namespace.
pub fn namespace(vmi: &VirtualMachineInstance) -> &str {
    vmi.metadata.namespace.as_deref().unwrap_or_default()
}

/// The VMI's UID.
pub fn uid(vmi: &VirtualMachineInstance) -> &str {
    vmi.metadata.uid.as_deref().unwrap_or_default()
}

/// The libvirt domain's name, `NAMESPACE_NAME`.
pub fn domain_name(vmi: &VirtualMachineInstance) -> String {
    format!("{}_{}", namespace(vmi), name(vmi))
}

/// The annotation `key`.
pub fn annotation<'a>(vmi: &'a VirtualMachineInstance, key: &str) -> Option<&'a str> {
    vmi.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The label `key`.
pub fn label<'a>(vmi: &'a VirtualMachineInstance, key: &str) -> Option<&'a str> {
    vmi.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// The host name of the guest and of its pod: as asked for, else the first label of the name, cut to what DNS allows.
pub fn hostname(vmi: &VirtualMachineInstance) -> String {
    if let Some(hostname) = vmi.spec.hostname.as_deref().filter(|h| !h.is_empty()) {
        return hostname.to_owned();
    }
    name(vmi).split('.').next().unwrap_or_default().chars().take(63).collect()
}

/// Whether the launcher runs without root (spec/pod.md §3).
pub fn is_non_root(vmi: &VirtualMachineInstance) -> bool {
    annotation(vmi, "kubevirt.io/nonroot").is_some() || vmi.status.as_ref().and_then(|s| s.runtime_user).is_some_and(|user| user != 0)
}

/// A flag that counts as on unless it is switched off.
pub fn unless_off(flag: Option<bool>) -> bool {
    flag.unwrap_or(true)
}

/// Whether `state` is present and not switched off.
pub fn is_on(state: Option<&v1::FeatureState>) -> bool {
    state.is_some_and(|s| unless_off(s.enabled))
}

/// The product of the CPU topology, factors of zero left out; 0 when there is none.
pub fn cpu_product(cpu: Option<&v1::CPU>) -> i64 {
    let Some(cpu) = cpu else { return 0 };
    let factors = [cpu.cores, cpu.sockets, cpu.threads].map(Option::unwrap_or_default);
    if factors == [0, 0, 0] { 0 } else { factors.into_iter().filter(|f| *f != 0).fold(1, |n: i64, f| n.saturating_mul(f.into())) }
}

/// A request of the VMI's own resources.
pub fn request(vmi: &VirtualMachineInstance, resource: &str) -> Option<Amount> {
    amount(vmi.spec.domain.resources.as_ref()?.requests.get(resource))
}

/// A limit of the VMI's own resources.
pub fn limit(vmi: &VirtualMachineInstance, resource: &str) -> Option<Amount> {
    amount(vmi.spec.domain.resources.as_ref()?.limits.get(resource))
}

/// A quantity's value; what is no quantity counts as absent (admission and the schema refuse it).
pub fn amount(quantity: Option<&Quantity>) -> Option<Amount> {
    quantity::parse(&quantity?.0)
}

/// The memory the guest is told it has: `memory.guest`, if set.
pub fn guest_memory(vmi: &VirtualMachineInstance) -> Option<Amount> {
    amount(vmi.spec.domain.memory.as_ref()?.guest.as_ref())
}

/// The page size of the guest's huge pages.
pub fn hugepage_size(vmi: &VirtualMachineInstance) -> Option<&str> {
    let hugepages = vmi.spec.domain.memory.as_ref()?.hugepages.as_ref()?;
    Some(hugepages.page_size.as_deref().unwrap_or_default())
}

/// Whether vCPUs own host CPUs.
pub fn has_dedicated_cpus(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.domain.cpu.as_ref().and_then(|c| c.dedicated_cpu_placement) == Some(true)
}

/// Whether the emulator has a host CPU of its own.
pub fn isolates_emulator(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.domain.cpu.as_ref().and_then(|c| c.isolate_emulator_thread) == Some(true)
}

/// Whether the guest asks for real-time scheduling.
pub fn is_realtime(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.domain.cpu.as_ref().is_some_and(|c| c.realtime.is_some())
}

/// The number of threads of the supplemental I/O pool.
pub fn supplemental_threads(vmi: &VirtualMachineInstance) -> u32 {
    vmi.spec.domain.io_threads.as_ref().and_then(|t| t.supplemental_pool_thread_count).unwrap_or_default()
}

/// Whether I/O threads come from the supplemental pool.
pub fn has_supplemental_pool(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.domain.io_threads_policy.as_deref() == Some("supplementalPool")
}

/// Whether the emulator's CPUs are to come to an even number.
pub fn wants_even_parity(vmi: &VirtualMachineInstance) -> bool {
    annotation(vmi, "alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity").is_some()
}

/// Whether memory is encrypted by AMD SEV, SEV-ES or SEV-SNP.
pub fn is_sev(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.domain.launch_security.as_ref().is_some_and(|l| l.sev.is_some() || l.snp.is_some())
}

/// Whether the guest is an Intel trust domain.
pub fn is_tdx(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.domain.launch_security.as_ref().is_some_and(|l| l.tdx.is_some())
}

/// Whether the guest uses IBM Secure Execution.
pub fn is_secure_execution(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.domain.launch_security.is_some() && vmi.spec.architecture.as_deref() == Some("s390x")
}

/// Whether there is a TPM.
pub fn has_tpm(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.domain.devices.tpm.as_ref().is_some_and(|t| unless_off(t.enabled))
}

/// Whether the TPM keeps its state over restarts.
pub fn has_persistent_tpm(vmi: &VirtualMachineInstance) -> bool {
    has_tpm(vmi) && vmi.spec.domain.devices.tpm.as_ref().and_then(|t| t.persistent) == Some(true)
}

/// The EFI settings, when the guest boots by EFI.
pub fn efi(vmi: &VirtualMachineInstance) -> Option<&v1::EFI> {
    vmi.spec.domain.firmware.as_ref()?.bootloader.as_ref()?.efi.as_ref()
}

/// Whether EFI variables survive restarts.
pub fn has_persistent_efi(vmi: &VirtualMachineInstance) -> bool {
    efi(vmi).and_then(|e| e.persistent) == Some(true)
}

/// Whether changed block tracking has, or is getting, overlays.
pub fn tracks_changed_blocks(vmi: &VirtualMachineInstance) -> bool {
    vmi.status
        .as_ref()
        .and_then(|s| s.changed_block_tracking.as_ref())
        .is_some_and(|t| matches!(t.state.as_str(), "Initializing" | "Enabled"))
}

/// Whether state is kept in a volume of its own (spec/pod.md §7).
pub fn needs_backend_storage(vmi: &VirtualMachineInstance) -> bool {
    has_persistent_tpm(vmi) || has_persistent_efi(vmi) || tracks_changed_blocks(vmi)
}

/// Whether the guest depends on the host's TSC frequency: the `invtsc` feature, or Hyper-V reenlightenment.
pub fn requires_tsc(vmi: &VirtualMachineInstance) -> bool {
    let domain = &vmi.spec.domain;
    let invtsc = domain
        .cpu
        .as_ref()
        .is_some_and(|c| c.features.iter().any(|f| f.name == "invtsc" && matches!(f.policy.as_deref(), Some("require" | "force"))));
    let reenlightenment = domain
        .features
        .as_ref()
        .and_then(|f| f.hyperv.as_ref())
        .and_then(|h| h.reenlightenment.as_ref())
        .is_some_and(|r| r.enabled == Some(true));
    invtsc || reenlightenment
}

/// The TSC frequency chosen for the guest, in Hz.
pub fn tsc_frequency(vmi: &VirtualMachineInstance) -> Option<i64> {
    vmi.status.as_ref()?.topology_hints.as_ref()?.tsc_frequency
}

/// The interfaces that are not marked absent.
pub fn interfaces(vmi: &VirtualMachineInstance) -> impl Iterator<Item = &v1::Interface> {
    vmi.spec.domain.devices.interfaces.iter().filter(|i| i.state.as_deref() != Some("absent"))
}

/// The network of that name.
pub fn network<'a>(vmi: &'a VirtualMachineInstance, name: &str) -> Option<&'a v1::Network> {
    vmi.spec.networks.iter().find(|n| n.name == name)
}

/// The volume of that name.
pub fn volume<'a>(vmi: &'a VirtualMachineInstance, name: &str) -> Option<&'a v1::Volume> {
    vmi.spec.volumes.iter().find(|v| v.name == name)
}

/// Whether any interface is passt's.
pub fn has_passt(vmi: &VirtualMachineInstance) -> bool {
    interfaces(vmi).any(|i| i.passt_binding.is_some())
}

/// Whether any interface is an SR-IOV function.
pub fn has_sriov(vmi: &VirtualMachineInstance) -> bool {
    interfaces(vmi).any(|i| i.sriov.is_some())
}

/// The name of a secondary network's interface in the pod: `pod` and 11 digits of a hash.
pub fn pod_interface_name(network: &str) -> String {
    format!("pod{}", hex(&Sha256::digest(network.as_bytes()), 11))
}

/// The first `digits` digits of `bytes` in hexadecimal.
pub(crate) fn hex(bytes: &[u8], digits: usize) -> String {
    let nibbles = bytes.iter().flat_map(|b| [b >> 4, b & 0xf]);
    nibbles.take(digits).filter_map(|n| char::from_digit(n.into(), 16)).collect()
}

/// How many queues a multi-queue NIC gets for `vcpus`.
pub fn nic_queues(vcpus: u32) -> u32 {
    vcpus.min(MAX_QUEUES)
}

/// Whether the guest's console is logged: as the VMI says, else as the cluster does.
pub fn logs_serial_console(vmi: &VirtualMachineInstance, cluster_logs: bool) -> bool {
    let devices = &vmi.spec.domain.devices;
    unless_off(devices.autoattach_serial_console) && devices.log_serial_console.unwrap_or(cluster_logs)
}
