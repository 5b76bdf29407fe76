//! Disks, LUNs and CD-ROMs. Source: spec/domain-xml.md §8.1, §8.2, §8.4.

use std::collections::BTreeMap;

use api::v1::{self, VirtualMachineInstance, VolumeStatus};
use domain::{Address, Alias, BlockIo, Boot, Disk, DiskDriver, DiskTarget, Presence, Reservations, ReservationsSource};

use super::cpu::Topology;
use super::iothreads::IoThreads;
use super::security::virtio_iommu;
use super::{Architecture, Context, ConvertError, device_names, disk_source};
use crate::paths::SHARE;
use crate::vmi;

/// The largest block s390x boots from.
const S390X_BLOCK_SIZE: u64 = 4096;

/// The bus of a disk, whatever its kind; empty when unset.
pub(super) fn bus_of(disk: &v1::Disk) -> &str {
    let bus = match (&disk.disk, &disk.lun, &disk.cdrom) {
        (Some(d), _, _) => d.bus.as_deref(),
        (_, Some(l), _) => l.bus.as_deref(),
        (_, _, Some(c)) => c.bus.as_deref(),
        _ => None,
    };
    bus.unwrap_or_default()
}

/// Whether a disk is on `bus`.
pub(super) fn is_on_bus(disk: &v1::Disk, bus: &str) -> bool {
    bus_of(disk) == bus
}

/// What the status says about volumes, sorted by how they came to the guest.
struct Known<'a> {
    status: BTreeMap<&'a str, &'a VolumeStatus>,
    migration_target: bool,
    any_permanent: bool,
}

impl<'a> Known<'a> {
    fn of(vmi: &'a VirtualMachineInstance, cx: &Context) -> Self {
        let status: BTreeMap<_, _> = vmi.status.iter().flat_map(|s| &s.volume_status).map(|v| (v.name.as_str(), v)).collect();
        let any_permanent = status.values().any(|v| v.hotplug_volume.is_none());
        Self { status, migration_target: cx.migration_target, any_permanent }
    }

    fn hotplugged(&self, name: &str) -> Option<&'a VolumeStatus> {
        self.status.get(name).copied().filter(|v| v.hotplug_volume.is_some() && !self.migration_target)
    }

    /// Whether the disk is part of the domain: it was there from the start, or what is to be plugged has arrived.
    fn is_included(&self, name: &str) -> bool {
        let permanent = self.status.get(name).is_some_and(|v| v.hotplug_volume.is_none());
        let arrived = self.hotplugged(name).is_some_and(|v| matches!(v.phase.as_deref(), Some("MountedToPod" | "Ready")));
        permanent || !self.any_permanent || arrived
    }
}

pub(super) fn render(
    vmi: &VirtualMachineInstance,
    cx: &Context,
    arch: Architecture,
    topology: &Topology,
    threads: Option<&IoThreads>,
) -> Result<Vec<Disk>, ConvertError> {
    let known = Known::of(vmi, cx);
    let names = device_names::assign(vmi);
    let mut turns = threads.map(IoThreads::hand_out);
    let mut out = Vec::new();
    for (spec, device) in vmi.spec.domain.devices.disks.iter().zip(names) {
        let mut disk = basics(vmi, cx, arch, topology, spec, &device)?;
        let volume = vmi::volume(vmi, &spec.name);
        match volume {
            None if spec.cdrom.is_some() => disk_source::empty(&mut disk),
            None => return Err(ConvertError::VolumeNotFound(spec.name.clone())),
            Some(volume) if known.hotplugged(&spec.name).is_some() => disk_source::hotplugged(cx, volume, &mut disk)?,
            Some(volume) => disk_source::permanent(vmi, cx, arch, volume, &mut disk)?,
        }
        disk.block_io = block_io(cx, arch, spec)?;
        let driver = disk.driver.get_or_insert_default();
        if let Some(turns) = &mut turns {
            (driver.iothread, driver.iothreads) = turns.next(spec);
        }
        driver.error_policy = Some(error_policy(spec)?);
        if known.is_included(&spec.name) || volume.is_none() {
            out.push(disk);
        }
    }
    Ok(out)
}

fn basics(
    vmi: &VirtualMachineInstance,
    cx: &Context,
    arch: Architecture,
    topology: &Topology,
    spec: &v1::Disk,
    device: &str,
) -> Result<Disk, ConvertError> {
    let bus = bus_of(spec).to_owned();
    let virtio = bus == "virtio";
    let text = |t: &Option<String>| t.clone().filter(|t| !t.is_empty());
    let mut driver = DiskDriver { name: "qemu".to_owned(), cache: text(&spec.cache), io: text(&spec.io), ..DiskDriver::default() };
    if virtio {
        driver.queues = (vmi.spec.domain.devices.block_multi_queue == Some(true)).then(|| topology.vcpus());
        driver.iommu = virtio_iommu(vmi);
    }
    let mut out = Disk {
        target: DiskTarget { bus: Some(bus.clone()).filter(|b| !b.is_empty()), dev: Some(device.to_owned()), tray: None },
        alias: Some(Alias::user(&spec.name)),
        boot: spec.boot_order.and_then(|o| u32::try_from(o).ok()).map(Boot::new),
        ..Disk::default()
    };
    let scsi_address = || (bus == "scsi").then(|| Address::drive(device_names::index(device)));
    let readonly = |wanted: bool| wanted.then_some(Presence {});
    if let Some(target) = &spec.disk {
        "disk".clone_into(&mut out.device);
        out.address = scsi_address();
        if let Some(address) = target.pci_address.as_deref().filter(|a| !a.is_empty()) {
            if !virtio {
                return Err(ConvertError::PciAddressNotOnVirtio(spec.name.clone()));
            }
            let what = || format!("disk {}", spec.name);
            out.address = Some(Address::pci(address).map_err(|source| ConvertError::PciAddress { what: what(), source })?);
        }
        out.model = virtio.then(|| arch.virtio_model(vmi).to_owned());
        out.readonly = readonly(target.readonly == Some(true));
        out.serial = text(&spec.serial);
        if spec.shareable == Some(true) {
            let cache = driver.cache.get_or_insert_with(|| "none".to_owned());
            if cache != "none" {
                return Err(ConvertError::ShareableWithCache(cache.clone()));
            }
            out.shareable = Some(Presence {});
        }
    } else if let Some(target) = &spec.lun {
        "lun".clone_into(&mut out.device);
        out.address = scsi_address();
        out.readonly = readonly(target.readonly == Some(true));
        if target.reservation == Some(true) {
            out.source.reservations = Some(reservations());
        }
    } else if let Some(target) = &spec.cdrom {
        "cdrom".clone_into(&mut out.device);
        out.target.tray = text(&target.tray);
        out.readonly = readonly(vmi::unless_off(target.readonly));
    }
    if spec.cdrom.is_none() {
        if !cx.preallocated_volumes.contains(&spec.name) {
            driver.discard = Some("unmap".to_owned());
        }
        size(vmi, &spec.name, &mut out);
    }
    out.driver = Some(driver);
    Ok(out)
}

fn reservations() -> Reservations {
    Reservations {
        managed: Some("no".to_owned()),
        migration: Some("yes".to_owned()),
        source: Some(ReservationsSource {
            kind: "unix".to_owned(),
            path: Some(format!("{SHARE}/daemons/pr/pr-helper.sock")),
            mode: Some("client".to_owned()),
        }),
    }
}

/// What the claim behind a disk offers, for growing it later.
fn size(vmi: &VirtualMachineInstance, name: &str, out: &mut Disk) {
    let status = vmi.status.iter().flat_map(|s| &s.volume_status).find(|v| v.name == name);
    let Some(claim) = status.and_then(|v| v.persistent_volume_claim_info.as_ref()) else { return };
    out.filesystem_overhead.clone_from(&claim.filesystem_overhead);
    let amount = |map: &BTreeMap<String, _>| vmi::amount(map.get("storage")).and_then(|a| u64::try_from(a.value()).ok());
    if let (Some(requested), Some(capacity)) = (amount(&claim.requests), amount(&claim.capacity)) {
        out.capacity = Some(requested.min(capacity));
    }
}

fn block_io(cx: &Context, arch: Architecture, spec: &v1::Disk) -> Result<Option<BlockIo>, ConvertError> {
    let Some(sizes) = &spec.block_size else { return Ok(None) };
    if let Some(custom) = &sizes.custom {
        let [logical, physical, discard] = [custom.logical, custom.physical, custom.discard_granularity];
        let [wide_logical, wide_physical] = [logical, physical].map(Option::unwrap_or_default);
        if arch == Architecture::S390x && wide_logical.max(wide_physical) > S390X_BLOCK_SIZE {
            return Err(ConvertError::BlockSizeTooLarge { logical: wide_logical, physical: wide_physical });
        }
        let narrow = |n: Option<u64>| n.and_then(|n| u32::try_from(n).ok());
        return Ok(Some(BlockIo {
            logical: narrow(logical.filter(|n| *n != 0)),
            physical: narrow(physical.filter(|n| *n != 0)),
            discard_granularity: narrow(discard),
        }));
    }
    if !vmi::is_on(sizes.match_volume.as_ref()) {
        return Ok(None);
    }
    let unknown = || ConvertError::BlockSizeUnknown(spec.name.clone());
    let found = cx.block_sizes.get(&spec.name).ok_or_else(unknown)?;
    let (logical, physical) = match (found.logical, found.physical) {
        (0, 0) => return Err(unknown()),
        (0, physical) => (physical, physical),
        (logical, 0) => (logical, logical),
        both => both,
    };
    let discard = if found.discard_granularity % logical == 0 { found.discard_granularity } else { found.physical };
    Ok(Some(BlockIo { logical: Some(logical), physical: Some(physical), discard_granularity: Some(discard) }))
}

fn error_policy(spec: &v1::Disk) -> Result<String, ConvertError> {
    match spec.error_policy.as_deref() {
        None => Ok("stop".to_owned()),
        Some(policy @ ("stop" | "ignore" | "report" | "enospace")) => Ok(policy.to_owned()),
        Some(policy) => Err(ConvertError::UnknownErrorPolicy(policy.to_owned())),
    }
}
