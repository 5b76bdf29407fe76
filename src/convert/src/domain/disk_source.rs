//! Where a disk's data comes from. Source: spec/domain-xml.md §8.3, §8.6, §8.9.

use api::v1::{VirtualMachineInstance, Volume};
use domain::{BackingStore, DataStore, Disk, DiskDriver, DiskSource, Format, Presence};

use super::os::base_name;
use super::{Architecture, Context, ConvertError};
use crate::paths::{CONTAINER_DISKS, EMPTY_DISKS, EPHEMERAL, HOTPLUG_DISKS, PRIVATE};
use crate::vmi;

const DISCARD: &str = "unmap";
const FILE: &str = "file";
const BLOCK: &str = "block";
const RAW: &str = "raw";
const QCOW2: &str = "qcow2";

fn set(disk: &mut Disk, kind: &str, format: &str, source: DiskSource) {
    let reservations = disk.source.reservations.take();
    kind.clone_into(&mut disk.kind);
    disk.source = DiskSource { reservations, ..source };
    format.clone_into(&mut driver(disk).kind);
}

fn driver(disk: &mut Disk) -> &mut DiskDriver {
    disk.driver.get_or_insert_default()
}

fn discard(disk: &mut Disk) {
    driver(disk).discard = Some(DISCARD.to_owned());
}

fn discard_unless_preallocated(disk: &mut Disk, cx: &Context, volume: &str) {
    if !cx.preallocated_volumes.contains(volume) {
        discard(disk);
    }
}

/// The source of a drive without a medium.
pub(super) fn empty(disk: &mut Disk) {
    set(disk, BLOCK, RAW, DiskSource::default());
    discard(disk);
}

/// The source of a volume that the guest started with.
pub(super) fn permanent(
    vmi: &VirtualMachineInstance,
    cx: &Context,
    arch: Architecture,
    volume: &Volume,
    disk: &mut Disk,
) -> Result<(), ConvertError> {
    let name = &volume.name;
    let file = |disk: &mut Disk, format: &str, path: String| set(disk, FILE, format, DiskSource::file(path));
    let overlay = format!("{EPHEMERAL}/disk-data/{name}/disk.qcow2");
    let cloud_init = |image: &str| format!("{}/{}/{}/{image}", cx.cloud_init_directory, vmi::namespace(vmi), vmi::name(vmi));
    if volume.container_disk.is_some() {
        let format = cx.container_disk_formats.get(name).ok_or_else(|| ConvertError::NoDiskInfo(name.clone()))?;
        let index = vmi.spec.volumes.iter().position(|v| v.name == *name).unwrap_or_default();
        file(disk, QCOW2, overlay);
        discard(disk);
        disk.backing_store = Some(backing(FILE, format.libvirt(), DiskSource::file(format!("{CONTAINER_DISKS}/disk_{index}.img"))));
    } else if volume.cloud_init_no_cloud.is_some() {
        file(disk, RAW, cloud_init("noCloud.iso"));
    } else if volume.cloud_init_config_drive.is_some() {
        file(disk, RAW, cloud_init("configdrive.iso"));
    } else if volume.sysprep.is_some() {
        file(disk, RAW, format!("{PRIVATE}/sysprep-disks/{name}.iso"));
    } else if let Some(host) = &volume.host_disk {
        let path = format!("{PRIVATE}/vmi-disks/{name}/{}", base_name(&host.path)?);
        file(disk, RAW, path);
        track_changes(cx, name, disk);
    } else if volume.persistent_volume_claim.is_some() || volume.data_volume.is_some() {
        if cx.block_volumes.contains(name) {
            set(disk, BLOCK, RAW, DiskSource { name: Some(name.clone()), ..DiskSource::block(format!("/dev/{name}")) });
        } else {
            file(disk, RAW, format!("{PRIVATE}/vmi-disks/{name}/disk.img"));
        }
        discard_unless_preallocated(disk, cx, name);
        track_changes(cx, name, disk);
    } else if volume.ephemeral.is_some() {
        file(disk, QCOW2, overlay);
        discard(disk);
        disk.backing_store = Some(if cx.block_volumes.contains(name) {
            backing(BLOCK, RAW, DiskSource { name: Some(name.clone()), ..DiskSource::block(format!("/dev/{name}")) })
        } else {
            backing(FILE, RAW, DiskSource::file(format!("{PRIVATE}/vmi-disks/{name}/disk.img")))
        });
    } else if volume.empty_disk.is_some() {
        file(disk, QCOW2, format!("{EMPTY_DISKS}/{name}.qcow2"));
        discard(disk);
    } else if volume.config_map.is_some() {
        file(disk, RAW, format!("{PRIVATE}/config-map-disks/{name}.iso"));
    } else if volume.secret.is_some() {
        file(disk, RAW, format!("{PRIVATE}/secret-disks/{name}.iso"));
    } else if volume.downward_api.is_some() {
        file(disk, RAW, format!("{PRIVATE}/downwardapi-disks/{name}.iso"));
    } else if volume.service_account.is_some() {
        // There is one account, so there is one image.
        file(disk, RAW, format!("{PRIVATE}/service-account-disk/service-account.iso"));
    } else if volume.downward_metrics.is_some() {
        disk.driver = Some(DiskDriver { name: "qemu".to_owned(), ..DiskDriver::default() });
        file(disk, RAW, format!("{PRIVATE}/downwardapi-disks/vhostmd0"));
        disk.readonly = Some(Presence {});
        disk.model = Some(arch.virtio_model(vmi).to_owned());
    } else {
        return Err(ConvertError::UnsupportedSource(name.clone()));
    }
    Ok(())
}

/// The source of a volume that was plugged into the running guest.
pub(super) fn hotplugged(cx: &Context, volume: &Volume, disk: &mut Disk) -> Result<(), ConvertError> {
    let name = &volume.name;
    if volume.host_disk.is_none() && volume.persistent_volume_claim.is_none() && volume.data_volume.is_none() {
        return Err(ConvertError::UnsupportedHotplugSource(name.clone()));
    }
    if cx.block_volumes.contains(name) {
        set(disk, BLOCK, RAW, DiskSource::block(format!("{HOTPLUG_DISKS}/{name}")));
    } else {
        set(disk, FILE, RAW, DiskSource::file(format!("{HOTPLUG_DISKS}/{name}.img")));
    }
    discard_unless_preallocated(disk, cx, name);
    track_changes(cx, name, disk);
    Ok(())
}

fn backing(kind: &str, format: &str, source: DiskSource) -> BackingStore {
    BackingStore { kind: Some(kind.to_owned()), format: Some(Format::new(format)), source: Some(source), ..BackingStore::default() }
}

/// Puts the overlay that tracks changed blocks, if there is one, before the data.
fn track_changes(cx: &Context, volume: &str, disk: &mut Disk) {
    let Some(overlay) = cx.block_tracking_overlays.get(volume) else { return };
    let kind = disk.kind.clone();
    let mut data = std::mem::take(&mut disk.source);
    let (name, reservations) = (data.name.take(), data.reservations.take());
    let store = DataStore { kind: Some(kind), format: Some(Format::new(RAW)), source: Some(data) };
    set(disk, FILE, QCOW2, DiskSource { name, data_store: Some(Box::new(store)), ..DiskSource::file(overlay) });
    disk.source.reservations = reservations;
}
