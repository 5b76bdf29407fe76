//! What host and hypervisor can do, as a value (hypervisor.md §11, node.md §12).

use serde::{Deserialize, Serialize};

/// What host and hypervisor can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The emulator's version, `QEMU 9.1.0`.
    pub version: String,
    /// The host's architecture in Kubernetes' words, `amd64`.
    pub arch: String,
    /// Hardware acceleration is there.
    pub kvm: bool,
    /// Machine types the emulator knows.
    pub machines: Vec<String>,
    /// The processor a guest gets that asks for the host's model.
    pub host_model: Option<HostModel>,
    /// Processor models the hypervisor knows.
    pub cpu_models: Vec<CpuModel>,
    /// Processor features a guest can require on this host.
    pub cpu_features: Vec<String>,
    /// NUMA cells of the host.
    pub cells: Vec<NumaCell>,
    /// The time stamp counter, where the host has a usable one.
    pub tsc: Option<Tsc>,
    /// Hyper-V enlightenments the host can give.
    pub hyperv: Vec<String>,
    /// Guests can have encrypted memory (AMD SEV).
    pub sev: bool,
    /// Guests can have encrypted registers (AMD SEV-ES).
    pub sev_es: bool,
    /// Guests can have integrity-protected memory (AMD SEV-SNP).
    pub sev_snp: bool,
    /// Guests can be trust domains (Intel TDX).
    pub tdx: bool,
    /// Guests can be protected by the ultravisor (IBM Secure Execution).
    pub s390_pv: bool,
    /// The host gives its guests real-time guarantees.
    pub realtime: bool,
}

/// A processor model the hypervisor knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuModel {
    /// `Haswell-noTSX`.
    pub name: String,
    /// Whether this host can run it.
    pub usable: Usable,
}

/// Whether a host can run a processor model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Usable {
    /// It can.
    Yes,
    /// It lacks features.
    No,
    /// The hypervisor does not say.
    Unknown,
}

/// The processor a guest gets that asks for the host's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostModel {
    /// The nearest named model.
    pub name: String,
    /// `Intel`.
    pub vendor: String,
    /// Features the host has on top of the model.
    pub required_features: Vec<String>,
}

/// A NUMA cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumaCell {
    /// Its number.
    pub id: u32,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Its processors.
    pub cpus: Vec<u32>,
}

/// The time stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tsc {
    /// Hertz.
    pub frequency: u64,
    /// The hardware can scale it for a guest.
    pub scalable: bool,
}
