//! Statistics of a domain (hypervisor.md §11, §16). What a hypervisor does not know is absent.

/// Statistics of one active domain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DomainStats {
    /// The domain's name.
    pub name: String,
    /// The domain's UUID.
    pub uuid: String,
    /// Processor time of the whole process.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Each processor.
    pub vcpus: Vec<VcpuStats>,
    /// Each network interface.
    pub net: Vec<NetStats>,
    /// Each disk.
    pub block: Vec<BlockStats>,
}

/// Processor time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// Used in total.
    pub time: u64,
    /// Used in user mode.
    pub user: u64,
    /// Used in system mode.
    pub system: u64,
}

/// Memory in KiB, faults and swap in counts and KiB as libvirt has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// What the balloon leaves the guest.
    pub actual_balloon: u64,
    /// Not used by the guest at all.
    pub unused: u64,
    /// What the guest could use.
    pub available: u64,
    /// What the guest could use without swapping.
    pub usable: u64,
    /// The guest's disk caches.
    pub cached: u64,
    /// Resident memory of the process.
    pub rss: u64,
    /// Read back from swap.
    pub swap_in: u64,
    /// Written to swap.
    pub swap_out: u64,
    /// Page faults that needed I/O.
    pub major_faults: u64,
    /// Page faults that needed none.
    pub minor_faults: u64,
}

/// What a processor is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VcpuState {
    /// Not plugged (0).
    #[default]
    Offline,
    /// Running (1).
    Running,
    /// Waiting (2).
    Blocked,
}

/// One processor; times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VcpuStats {
    /// What it is doing.
    pub state: VcpuState,
    /// Used.
    pub time: u64,
    /// Spent waiting for I/O.
    pub wait: u64,
    /// Spent waiting for a host processor.
    pub delay: u64,
}

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// The host's device, `tap0`.
    pub name: String,
    /// Received bytes.
    pub rx_bytes: u64,
    /// Received packets.
    pub rx_packets: u64,
    /// Sent bytes.
    pub tx_bytes: u64,
    /// Sent packets.
    pub tx_packets: u64,
}

/// One disk; times in nanoseconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockStats {
    /// The target in the guest, `vda`.
    pub name: String,
    /// The file or device behind it.
    pub path: String,
    /// Read requests.
    pub read_requests: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Write requests.
    pub write_requests: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Size the guest sees.
    pub capacity: u64,
}

/// How fast a guest dirties its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirtyRate {
    /// MiB a second.
    pub mib_per_second: u64,
    /// Seconds it was measured for.
    pub period_seconds: u32,
}
