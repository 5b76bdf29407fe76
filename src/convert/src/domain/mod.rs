//! The libvirt domain of a VMI.
//!
//! Flow: [`domain()`] runs one function a part in a fixed order, which is also the order in which later parts see earlier
//! ones; then dedicated CPUs, NUMA and PCI placement change what is there. It is run anew on every synchronisation; what
//! depends on the running pod (cache modes, tap devices, hotplug ports) is laid over afterwards by [`disk_cache`],
//! [`taps`] and [`hotplug_ports`].
//!
//! Guarantees: pure; the same input gives the same domain.
//!
//! Errors: [`ConvertError`], in upstream's words where they reach a client.

mod architecture;
mod clock;
mod context;
mod controllers;
mod cpu;
mod cpu_pool;
mod dedicated;
mod device_names;
pub mod disk_cache;
mod disk_source;
mod disks;
pub mod efi;
mod features;
pub mod host_devices;
pub mod hotplug_ports;
mod interfaces;
mod iothreads;
pub mod live;
mod memory;
mod numa;
mod os;
mod peripherals;
mod placement;
mod security;
pub mod taps;

use api::v1::VirtualMachineInstance;
use domain::{BadPciAddress, Domain, Metadata, QEMU_NAMESPACE};

pub use architecture::Architecture;
pub use context::{BlockSizes, ContainerDiskFormat, Context, HostCell, HostCpu, HostTopology, Hypervisor, Smbios, parse_cpu_list};
pub use interfaces::attachments as interface_attachments;

use crate::vmi;

/// Why there is no domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The hypervisor's device is missing and emulation is not allowed.
    #[error("{0} not present and emulation is not allowed")]
    HypervisorMissing(&'static str),
    /// A name that is no name of a file, where one becomes part of a path.
    #[error("{0:?} can not be used in a path")]
    UnsafeName(String),
    /// More than a guest can have.
    #[error("a guest can not have more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most.
        most: u32,
    },
    /// A quantity of memory below zero.
    #[error("Memory size '{0}' must be greater than or equal to 0")]
    NegativeMemory(String),
    /// A disk without a volume.
    #[error("no matching volume with name {0} found")]
    VolumeNotFound(String),
    /// A volume that cannot be a disk.
    #[error("disk {0} references an unsupported source")]
    UnsupportedSource(String),
    /// A hotplugged volume that cannot be.
    #[error("hotplug disk {0} references an unsupported source")]
    UnsupportedHotplugSource(String),
    /// A PCI address on a disk that is not on PCI.
    #[error("setting a pci address is not allowed for non-virtio bus types, for disk {0}")]
    PciAddressNotOnVirtio(String),
    /// A PCI address in another form than `dddd:bb:ss.f`.
    #[error("failed to configure {what}: {source}")]
    PciAddress {
        /// The device.
        what: String,
        /// What is wrong.
        source: BadPciAddress,
    },
    /// A shareable disk with a host cache.
    #[error("a sharable disk requires cache = none got: {0}")]
    ShareableWithCache(String),
    /// An error policy libvirt does not have.
    #[error("error policy {0} not recognized")]
    UnknownErrorPolicy(String),
    /// A block size the architecture cannot have.
    #[error("custom block size (logical={logical}, physical={physical}) exceeds the maximum supported size of 4096 for architecture s390x")]
    BlockSizeTooLarge {
        /// The logical block size in bytes.
        logical: u64,
        /// The physical block size in bytes.
        physical: u64,
    },
    /// The block size of the volume behind a disk is not known.
    #[error("failed to detect the block size of the volume of disk {0}")]
    BlockSizeUnknown(String),
    /// No format is known of a container disk.
    #[error("no disk info provided for volume {0}")]
    NoDiskInfo(String),
    /// An interface without a network.
    #[error("failed to find network {0}")]
    NetworkNotFound(String),
    /// A passt interface of which the pod's interface is not known.
    #[error("failed to find the pod interface of network {0}")]
    PodInterfaceUnknown(String),
    /// EFI firmware that is not installed.
    #[error("EFI OVMF roms missing for booting in EFI mode with SecureBoot={secure_boot}{kind}")]
    EfiMissing {
        /// Whether secure boot is wanted.
        secure_boot: bool,
        /// The confidential computing it is for, with a leading blank, or nothing.
        kind: &'static str,
    },
    /// ACPI tables asked for without a volume.
    #[error("No ACPI tables were set. Expecting at least one.")]
    AcpiWithoutTables,
    /// The volume with an ACPI table does not exist.
    #[error("Volume not found for ACPI table: {0}")]
    AcpiVolumeNotFound(String),
    /// The volume with an ACPI table is no secret.
    #[error("Firmware's volume type is unsupported for ACPI table: {0}")]
    AcpiVolumeNotSecret(String),
    /// A watchdog without the model of its architecture.
    #[error("watchdog {0} can't be mapped, no watchdog type specified")]
    WatchdogUnmapped(String),
    /// A watchdog on arm64.
    #[error("watchdog is not supported on architecture ARM64")]
    WatchdogOnArm64,
    /// A sound card libvirt does not have.
    #[error("invalid sound model {0}")]
    SoundModel(String),
    /// An input on a bus it cannot be on.
    #[error("input contains unsupported bus {0}")]
    InputBus(String),
    /// An input that is no tablet.
    #[error("input contains unsupported type {0}")]
    InputType(String),
    /// Not enough host CPUs.
    #[error("not enough exclusive threads provided, could not fit {0} core(s)")]
    NotEnoughThreads(u32),
    /// Host CPUs are there, but guest cores would span host NUMA cells.
    #[error("could not fit {0} core(s) without crossing numa cell boundaries for individual cores")]
    CoreSpansCells(u32),
    /// No host CPU is left for the emulator.
    #[error("no CPU allocated for the emulation thread: {0}")]
    NoEmulatorThread(&'static str),
    /// No host CPU is left for an I/O thread.
    #[error("no CPU allocated for an iothread")]
    NoIoThread,
    /// NUMA passthrough without huge pages.
    #[error("failed to provide numa topology without hugepages")]
    NumaWithoutHugepages,
    /// A page size that is no quantity.
    #[error("could not parse hugepage value {0}")]
    HugepageSize(String),
    /// Less memory than a page for every cell.
    #[error("not enough memory requested to allocate at least one hugepage per numa node: {memory} < {needed}")]
    TooFewHugepages {
        /// The guest's memory in bytes.
        memory: u64,
        /// The least it could be.
        needed: u64,
    },
    /// Memory that is no multiple of the page size.
    #[error("requested memory can't be divided through the numa page size: {memory} mod {page} != 0")]
    UnalignedHugepages {
        /// The guest's memory in bytes.
        memory: u64,
        /// The page size in bytes.
        page: u64,
    },
    /// A vCPU on a host CPU of no cell.
    #[error("vcpu {vcpu} is mapped to a not existing host cpu set {cpu}")]
    UnknownHostCpu {
        /// The vCPU.
        vcpu: u32,
        /// The host CPU.
        cpu: u32,
    },
    /// Nothing is free on the root bus.
    #[error("no space left on the root PCI bus")]
    RootBusFull,
    /// All bus numbers are taken.
    #[error("PCI bus numbers are exhausted")]
    BusNumbersExhausted,
    /// A device cannot be placed near its NUMA cell although that was asked for.
    #[error("host device {0} can not be placed on a guest NUMA cell")]
    Unplaceable(String),
    /// Host devices asked for and found differ in number.
    #[error("the number of {kind} do not match the number of devices: {created} created, {wanted} in the spec")]
    HostDeviceCount {
        /// What kind of devices.
        kind: &'static str,
        /// How many were found.
        created: usize,
        /// How many the VMI has.
        wanted: usize,
    },
    /// A USB device's address is not `BUS:DEVICE`.
    #[error("failed to parse the USB address {0}")]
    UsbAddress(String),
    /// An SR-IOV interface without a PCI address.
    #[error("failed to create SR-IOV host-devices: no PCI address for network {0}")]
    SriovAddressUnknown(String),
}

/// The domain of `vmi`, given the facts in `cx`.
///
/// # Errors
/// [`ConvertError`].
pub fn domain(vmi: &VirtualMachineInstance, cx: &Context) -> Result<Domain, ConvertError> {
    os::check_names(vmi)?;
    let arch = cx.guest_architecture(vmi);
    let mut out = Domain {
        name: vmi::domain_name(vmi),
        xmlns_qemu: Some(QEMU_NAMESPACE.to_owned()),
        metadata: Some(Metadata::default()),
        ..Domain::default()
    };
    let topology = cpu::Topology::of(vmi);
    out.devices.interfaces = interfaces::render(vmi, cx, arch, &topology)?;
    peripherals::render(vmi, cx, arch, &mut out.devices)?;
    host_devices::append(cx, &mut out.devices);
    peripherals::watchdog(vmi, arch, &mut out.devices)?;
    peripherals::serial_console(vmi, cx, &mut out.devices);
    out.launch_security = security::render(vmi, arch);
    out.clock = clock::render(vmi);
    out.features = Some(features::render(vmi, arch));
    out.sysinfo = Some(os::sysinfo(vmi, cx));
    out.os = os::render(vmi, cx, arch)?;
    let threads = iothreads::IoThreads::plan(vmi)?;
    out.devices.disks = disks::render(vmi, cx, arch, &topology, threads.as_ref())?;
    controllers::render(vmi, cx, arch, &topology, threads.as_ref(), &mut out.devices);
    out.qemu_commandline = os::qemu_commandline(vmi, cx, arch);
    out.iothreads = threads.as_ref().map(iothreads::IoThreads::total);
    memory::render(vmi, arch, &mut out)?;
    cpu::render(vmi, arch, &topology, &mut out)?;
    out.on_reboot = os::on_reboot(vmi);
    out.iommufd = cx.iommufd.then(security::iommufd);
    out.kind = hypervisor(vmi, cx)?;
    if cx.is_cross_architecture(vmi) {
        out.devices.emulator = Some(arch.emulator().to_owned());
        out.devices.graphics.clear();
        out.devices.videos.clear();
        cpu::force_emulated(&mut out.cpu);
    }
    if vmi::has_dedicated_cpus(vmi) {
        dedicated::adjust(vmi, cx, &mut out)?;
    }
    placement::adjust(vmi, cx, arch, &mut out)?;
    Ok(out)
}

/// The domain's type (spec/domain-xml.md §6.1). Emulation that is merely allowed does not replace a hypervisor that is there.
fn hypervisor(vmi: &VirtualMachineInstance, cx: &Context) -> Result<String, ConvertError> {
    let (native, device) = match cx.hypervisor {
        Hypervisor::Kvm => ("kvm", "kvm"),
        Hypervisor::HypervDirect => ("hyperv", "mshv"),
    };
    let kind = if cx.is_cross_architecture(vmi) {
        "qemu"
    } else if cx.hypervisor_device {
        native
    } else if cx.allow_emulation {
        "qemu"
    } else {
        return Err(ConvertError::HypervisorMissing(device));
    };
    Ok(kind.to_owned())
}
