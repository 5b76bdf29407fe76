//! The facts a domain depends on besides its VMI. Source: spec/domain-xml.md §2.

use std::collections::{BTreeMap, BTreeSet};

use api::v1::VirtualMachineInstance;
use domain::HostDevice;

use super::Architecture;
use super::efi::EfiFirmware;
use crate::paths::EPHEMERAL;

/// The hypervisor of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hypervisor {
    /// Linux's own.
    #[default]
    Kvm,
    /// Microsoft's, through `/dev/mshv`.
    HypervDirect,
}

/// The image format of a container disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerDiskFormat {
    /// `raw`
    Raw,
    /// `qcow2`
    Qcow2,
}

impl ContainerDiskFormat {
    /// libvirt's name.
    pub fn libvirt(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// SMBIOS strings for all guests of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Smbios {
    /// `manufacturer`
    pub manufacturer: String,
    /// `family`
    pub family: String,
    /// `product`
    pub product: String,
    /// `sku`
    pub sku: String,
    /// `version`
    pub version: String,
}

/// One CPU of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCpu {
    /// Its number.
    pub id: u32,
    /// The CPUs that share its core, itself included.
    pub siblings: Vec<u32>,
}

/// One NUMA cell of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCell {
    /// Its number.
    pub id: u32,
    /// Its CPUs.
    pub cpus: Vec<HostCpu>,
    /// The distance to each cell, where the host tells.
    pub distances: Vec<(u32, u32)>,
}

/// The host's CPUs and memory, as libvirt's capabilities tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostTopology {
    /// The cells, in the order of the capabilities.
    pub cells: Vec<HostCell>,
}

/// Block sizes of a volume, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockSizes {
    /// The smallest write.
    pub logical: u32,
    /// The size that is written well.
    pub physical: u32,
    /// The smallest piece that can be given back; 0 where unknown.
    pub discard_granularity: u32,
}

/// Host facts, volume facts and cluster settings for one VMI.
#[derive(Clone, Debug)]
pub struct Context {
    /// The launcher's own architecture.
    pub architecture: Architecture,
    /// The hypervisor.
    pub hypervisor: Hypervisor,
    /// Whether the hypervisor's device exists.
    pub hypervisor_device: bool,
    /// Whether guests may be emulated.
    pub allow_emulation: bool,
    /// Whether guests of another architecture may be emulated.
    pub allow_cross_architecture_emulation: bool,
    /// The CPUs of the pod.
    pub cpuset: Vec<u32>,
    /// The host's CPUs.
    pub topology: HostTopology,
    /// Names of the volumes that are block devices.
    pub block_volumes: BTreeSet<String>,
    /// Formats of container disks, by volume.
    pub container_disk_formats: BTreeMap<String, ContainerDiskFormat>,
    /// Block sizes of the volumes, for disks that are to match them, by disk.
    pub block_sizes: BTreeMap<String, BlockSizes>,
    /// Volumes that are allocated in full, of which nothing is given back.
    pub preallocated_volumes: BTreeSet<String>,
    /// Overlays that track changed blocks, by volume.
    pub block_tracking_overlays: BTreeMap<String, String>,
    /// SMBIOS strings; a migration's target gets none.
    pub smbios: Option<Smbios>,
    /// Seconds between memory statistics of the guest; 0 for none.
    pub mem_balloon_stats_period: u32,
    /// The firmware for guests that boot by EFI; see [`super::efi::firmware`].
    pub efi: Option<EfiFirmware>,
    /// Whether libvirt chooses EFI firmware with secure boot by itself.
    pub firmware_auto_selection: bool,
    /// Whether the cluster lets guests hand free pages back.
    pub free_page_reporting: bool,
    /// Whether EFI guests get a Bochs display instead of a VGA one.
    pub bochs_for_efi: bool,
    /// Whether the cluster logs serial consoles of guests that do not say.
    pub serial_console_log: bool,
    /// How interfaces are attached, by name: `tap` or nothing.
    pub interface_attachments: BTreeMap<String, String>,
    /// Generic host devices.
    pub host_devices: Vec<HostDevice>,
    /// GPUs.
    pub gpus: Vec<HostDevice>,
    /// SR-IOV functions.
    pub sriov: Vec<HostDevice>,
    /// Whether an IOMMU file descriptor was handed over.
    pub iommufd: bool,
    /// Whether vsock addresses are the launcher's own rather than the host's.
    pub vsock_is_local: bool,
    /// Whether this is the target of a migration.
    pub migration_target: bool,
    /// The launcher's verbosity.
    pub verbosity: u64,
    /// Whether passed-through devices are placed near their NUMA cell.
    pub pci_numa_placement: bool,
    /// NUMA nodes of the host's PCI devices, by address (`dddd:bb:ss.f`).
    pub pci_numa_nodes: BTreeMap<String, u32>,
    /// Where cloud-init images are made.
    pub cloud_init_directory: String,
    /// Where ignition data is put.
    pub ignition_directory: String,
}

impl Default for Context {
    /// A KVM node for amd64 guests, without any volume or device.
    fn default() -> Self {
        Self {
            architecture: Architecture::Amd64,
            hypervisor: Hypervisor::Kvm,
            hypervisor_device: true,
            allow_emulation: false,
            allow_cross_architecture_emulation: false,
            cpuset: Vec::new(),
            topology: HostTopology::default(),
            block_volumes: BTreeSet::new(),
            container_disk_formats: BTreeMap::new(),
            block_sizes: BTreeMap::new(),
            preallocated_volumes: BTreeSet::new(),
            block_tracking_overlays: BTreeMap::new(),
            smbios: None,
            mem_balloon_stats_period: 0,
            efi: None,
            firmware_auto_selection: false,
            free_page_reporting: true,
            bochs_for_efi: true,
            serial_console_log: true,
            interface_attachments: BTreeMap::new(),
            host_devices: Vec::new(),
            gpus: Vec::new(),
            sriov: Vec::new(),
            iommufd: false,
            vsock_is_local: false,
            migration_target: false,
            verbosity: 2,
            pci_numa_placement: false,
            pci_numa_nodes: BTreeMap::new(),
            cloud_init_directory: format!("{EPHEMERAL}/cloud-init-data"),
            ignition_directory: format!("{EPHEMERAL}/ignition-data"),
        }
    }
}

impl Context {
    /// Whether the guest is emulated because it is made for other hosts.
    pub fn is_cross_architecture(&self, vmi: &VirtualMachineInstance) -> bool {
        let wanted = vmi.spec.architecture.as_deref().filter(|a| !a.is_empty());
        self.allow_cross_architecture_emulation && wanted.is_some_and(|a| Architecture::parse(a) != self.architecture)
    }

    /// The guest's architecture: the launcher's own, but for emulated guests.
    pub fn guest_architecture(&self, vmi: &VirtualMachineInstance) -> Architecture {
        if self.is_cross_architecture(vmi) {
            Architecture::parse(vmi.spec.architecture.as_deref().unwrap_or_default())
        } else {
            self.architecture
        }
    }
}

/// A list of CPUs as the kernel writes it (`0-3,8`); `None` where the text is none.
pub fn parse_cpu_list(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|p| !p.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last < first || last - first > 1 << 16 {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}
