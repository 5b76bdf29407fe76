//! What changes in a domain that runs: disks, media, links, memory. Source: spec/domain-xml.md §15.
//!
//! A running domain is compared with the domain its VMI gives now. Only disks on SCSI and virtio that lie in the hotplug
//! folder, CD-ROM media, links of interfaces and the memory device follow; all else waits for the next start.

use std::collections::{BTreeMap, BTreeSet};

use api::v1::VirtualMachineInstance;
use domain::{Disk, DiskSource, Domain, Interface, LinkState, Memory, MemoryDevice, MemoryTarget};

use super::disk_cache::backend;
use super::{ConvertError, memory};
use crate::paths::HOTPLUG_DISKS;
use crate::vmi;

/// The piece in which memory is plugged, in bytes: as large as a page.
const MEMORY_BLOCK: u64 = 2 << 20;
const MEMORY_BLOCK_HUGE: u64 = 1 << 30;

/// The disks that come, go, and change their medium.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskChanges {
    /// To be taken out, as they are.
    pub detach: Vec<Disk>,
    /// To be put in, once their backends can be opened and their cache mode is set.
    pub attach: Vec<Disk>,
    /// Drives with another medium, or none.
    pub media: Vec<Disk>,
}

fn is_hotplugged(disk: &Disk) -> bool {
    backend(disk).is_some_and(|path| path.strip_prefix(HOTPLUG_DISKS).is_some_and(|rest| rest.starts_with('/')))
}

/// Whether disks on the bus can come and go.
fn is_on_hotplug_bus(disk: &Disk) -> bool {
    matches!(disk.target.bus.as_deref(), None | Some("" | "virtio" | "scsi"))
}

fn by_device(domain: &Domain) -> BTreeMap<&str, &Disk> {
    domain.devices.disks.iter().filter_map(|d| Some((d.target.dev.as_deref()?, d))).collect()
}

/// The changes from the disks of the running domain to those it should have, in the order of the domains.
pub fn disk_changes(running: &Domain, wanted: &Domain) -> DiskChanges {
    let (old, new) = (by_device(running), by_device(wanted));
    let moves = |disk: &&Disk| is_hotplugged(disk) && is_on_hotplug_bus(disk);
    let missing = |disk: &&Disk, others: &BTreeMap<&str, &Disk>| disk.target.dev.as_deref().is_some_and(|dev| !others.contains_key(dev));
    let medium = |disk: &Disk| -> Option<Disk> {
        let exchangeable = |disk: &Disk| disk.device == "cdrom" && (backend(disk).is_none() || is_hotplugged(disk));
        if !exchangeable(disk) {
            return None;
        }
        let source = match new.get(disk.target.dev.as_deref()?) {
            Some(other) if exchangeable(other) => other.source.clone(),
            Some(_) => return None,
            None => DiskSource::default(),
        };
        (source.path() != disk.source.path()).then(|| with_medium(disk, source))
    };
    DiskChanges {
        detach: running.devices.disks.iter().filter(moves).filter(|d| missing(d, &new)).cloned().collect(),
        attach: wanted.devices.disks.iter().filter(moves).filter(|d| missing(d, &old)).cloned().collect(),
        media: running.devices.disks.iter().filter_map(medium).collect(),
    }
}

/// A drive with another medium.
fn with_medium(drive: &Disk, source: DiskSource) -> Disk {
    let mut drive = drive.clone();
    let kind = if source.file.is_some() { "file" } else { "block" };
    kind.clone_into(&mut drive.kind);
    drive.source = source;
    drive.backing_store = None;
    "raw".clone_into(&mut drive.driver.get_or_insert_default().kind);
    drive
}

/// The interfaces of the running domain with another link state than they should have, with that state.
pub fn link_changes(running: &Domain, wanted: &Domain) -> Vec<Interface> {
    let name = |i: &Interface| i.alias.as_ref().map(|a| a.name.clone());
    // No element is a link that is up.
    let state = |i: &Interface| i.link.as_ref().map_or_else(|| "up".to_owned(), |l| l.state.clone());
    let states: BTreeMap<_, _> = wanted.devices.interfaces.iter().filter_map(|i| Some((name(i)?, state(i)))).collect();
    running
        .devices
        .interfaces
        .iter()
        .filter_map(|interface| {
            let wanted = states.get(&name(interface)?)?;
            (*wanted != state(interface)).then(|| Interface { link: Some(LinkState { state: wanted.clone() }), ..interface.clone() })
        })
        .collect()
}

/// The interfaces to plug in: those the pod has a network for (`ready`, by network) and the running domain does not have.
pub fn plugged_interfaces(running: &Domain, wanted: &Domain, ready: &BTreeSet<String>) -> Vec<Interface> {
    let name = |i: &Interface| i.alias.as_ref().map(|a| a.name.clone());
    let present: BTreeSet<String> = running.devices.interfaces.iter().filter_map(name).collect();
    let is_new = |i: &&Interface| name(i).is_some_and(|n| ready.contains(&n) && !present.contains(&n));
    wanted.devices.interfaces.iter().filter(is_new).cloned().collect()
}

/// The interfaces to take out: marked absent in the VMI, and on the tap that was made for their network.
pub fn unplugged_interfaces(vmi: &VirtualMachineInstance, running: &Domain) -> Vec<Interface> {
    let absent: BTreeSet<&str> =
        vmi.spec.domain.devices.interfaces.iter().filter(|i| i.state.as_deref() == Some("absent")).map(|i| i.name.as_str()).collect();
    let is_gone = |i: &&Interface| {
        let Some(name) = i.alias.as_ref().map(|a| a.name.as_str()).filter(|n| absent.contains(n)) else { return false };
        let tap = super::taps::device_name(false, &vmi::pod_interface_name(name));
        i.target.as_ref().is_some_and(|t| t.dev == tap)
    };
    running.devices.interfaces.iter().filter(is_gone).cloned().collect()
}

/// The device that brings the guest from the memory it booted with to the memory it should have; `None` for a guest that
/// cannot grow. It is attached once more is requested than the guest booted with, and updated from then on.
///
/// # Errors
/// [`ConvertError::NegativeMemory`].
pub fn memory_device(vmi: &VirtualMachineInstance) -> Result<Option<MemoryDevice>, ConvertError> {
    let spec = vmi.spec.domain.memory.as_ref();
    let at_boot = vmi.status.as_ref().and_then(|s| s.memory.as_ref()).and_then(|m| vmi::amount(m.guest_at_boot.as_ref()));
    let (Some(max), Some(at_boot)) = (spec.and_then(|m| vmi::amount(m.max_guest.as_ref())), at_boot) else { return Ok(None) };
    let (guest, max, at_boot) = (memory::guest_bytes(vmi)?, memory::bytes(max)?, memory::bytes(at_boot)?);
    if max <= at_boot {
        return Ok(None);
    }
    let block = if vmi::hugepage_size(vmi) == Some("1Gi") { MEMORY_BLOCK_HUGE } else { MEMORY_BLOCK };
    Ok(Some(MemoryDevice {
        model: "virtio-mem".to_owned(),
        target: Some(MemoryTarget {
            size: Some(Memory::bytes(max - at_boot)),
            requested: Some(Memory::bytes(guest.saturating_sub(at_boot))),
            current: Some(Memory::bytes(0)),
            node: Some(0),
            block: Some(Memory::bytes(block)),
        }),
        ..MemoryDevice::default()
    }))
}

#[cfg(test)]
mod tests {
    use domain::{Alias, Devices, DiskTarget, InterfaceTarget};
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn disk(device: &str, bus: &str, dev: &str, path: &str) -> Disk {
        Disk {
            device: device.into(),
            source: if path.is_empty() { DiskSource::default() } else { DiskSource::file(path) },
            target: DiskTarget { bus: Some(bus.into()), dev: Some(dev.into()), tray: None },
            ..Disk::default()
        }
    }

    fn with_disks(disks: Vec<Disk>) -> Domain {
        Domain { devices: Devices { disks, ..Devices::default() }, ..Domain::default() }
    }

    const HOT: &str = "/var/run/kubevirt/hotplug-disks/a.img";

    #[rstest]
    #[case::plugged(vec![], vec![disk("disk", "scsi", "sda", HOT)], "sda", "")]
    #[case::unplugged(vec![disk("disk", "virtio", "vdb", HOT)], vec![], "", "vdb")]
    #[case::unchanged(vec![disk("disk", "scsi", "sda", HOT)], vec![disk("disk", "scsi", "sda", HOT)], "", "")]
    #[case::permanent(vec![disk("disk", "scsi", "sda", "/d/disk.img")], vec![], "", "")]
    #[case::not_on_sata(vec![], vec![disk("disk", "sata", "sda", HOT)], "", "")]
    #[case::a_folder_of_a_like_name(vec![], vec![disk("disk", "scsi", "sda", "/var/run/kubevirt/hotplug-disks-of-mine/a")], "", "")]
    fn disks(#[case] running: Vec<Disk>, #[case] wanted: Vec<Disk>, #[case] attach: &str, #[case] detach: &str) {
        let changes = disk_changes(&with_disks(running), &with_disks(wanted));
        let names = |disks: &[Disk]| disks.iter().filter_map(|d| d.target.dev.clone()).collect::<Vec<_>>().join(" ");
        assert_eq!((names(&changes.attach), names(&changes.detach)), (attach.to_owned(), detach.to_owned()));
        assert!(changes.media.is_empty());
    }

    #[rstest]
    #[case::inserted("", Some(HOT), &[HOT])]
    #[case::ejected(HOT, Some(""), &[""])]
    #[case::drive_gone(HOT, None, &[""])]
    #[case::the_same(HOT, Some(HOT), &[])]
    #[case::not_ours("/d/cd.iso", Some(HOT), &[])]
    fn media(#[case] running: &str, #[case] wanted: Option<&str>, #[case] change: &[&str]) {
        let drive = |path: &str| disk("cdrom", "sata", "sda", path);
        let changes = disk_changes(&with_disks(vec![drive(running)]), &with_disks(wanted.map(drive).into_iter().collect()));
        let got: Vec<&str> = changes.media.iter().map(|d| d.source.path().unwrap_or_default()).collect();
        assert_eq!(got, change);
        assert!(changes.media.iter().all(|d| (d.kind == "file") == d.source.file.is_some()));
    }

    fn nic(name: &str, link: Option<&str>) -> Interface {
        Interface { alias: Some(Alias::user(name)), link: link.map(|state| LinkState { state: state.into() }), ..Interface::default() }
    }

    fn with_nics(interfaces: Vec<Interface>) -> Domain {
        Domain { devices: Devices { interfaces, ..Devices::default() }, ..Domain::default() }
    }

    #[test]
    fn links_follow_the_spec() {
        let running = with_nics(vec![nic("a", None), nic("b", Some("down")), nic("c", Some("up")), nic("d", None)]);
        let wanted = with_nics(vec![nic("a", Some("down")), nic("b", None), nic("c", None)]);
        let changes: Vec<_> = link_changes(&running, &wanted).into_iter().map(|i| (i.alias.unwrap().name, i.link.unwrap().state)).collect();
        assert_eq!(changes, [("a".to_owned(), "down".to_owned()), ("b".to_owned(), "up".to_owned())]);
    }

    #[test]
    fn interfaces_come_when_their_network_is_there_and_go_by_their_own_tap() {
        let running = with_nics(vec![nic("a", None)]);
        let wanted = with_nics(vec![nic("a", None), nic("b", None), nic("c", None)]);
        let ready = ["a", "b"].map(ToOwned::to_owned).into();
        let plugged: Vec<_> = plugged_interfaces(&running, &wanted, &ready).into_iter().map(|i| i.alias.unwrap().name).collect();
        assert_eq!(plugged, ["b"]);
        let mut vmi = VirtualMachineInstance::default();
        vmi.spec.domain.devices.interfaces =
            serde_json::from_value(json!([{"name": "red", "state": "absent"}, {"name": "blue", "state": "absent"}, {"name": "up"}]))
                .unwrap();
        let on = |name: &str, dev: String| Interface { target: Some(InterfaceTarget { dev, managed: None }), ..nic(name, None) };
        let own = |name: &str| super::super::taps::device_name(false, &vmi::pod_interface_name(name));
        let running = with_nics(vec![on("red", own("red")), on("blue", "tap0".to_owned()), on("up", own("up"))]);
        let unplugged: Vec<_> = unplugged_interfaces(&vmi, &running).into_iter().map(|i| i.alias.unwrap().name).collect();
        assert_eq!(unplugged, ["red"]);
    }

    /// spec/domain-xml.md §11.8.
    #[rstest]
    #[case("2Gi", "1Gi", "4Gi", None, Some((3 << 30, 1 << 30, 2 << 20)))]
    #[case("3Gi", "1Gi", "4Gi", Some("1Gi"), Some((3 << 30, 2 << 30, 1 << 30)))]
    #[case("1Gi", "1Gi", "4Gi", None, Some((3 << 30, 0, 2 << 20)))]
    #[case("1Gi", "1Gi", "1Gi", None, None)]
    fn memory(
        #[case] guest: &str,
        #[case] at_boot: &str,
        #[case] max: &str,
        #[case] pages: Option<&str>,
        #[case] wanted: Option<(u64, u64, u64)>,
    ) {
        let mut memory = json!({"guest": guest, "maxGuest": max});
        if let Some(size) = pages {
            memory["hugepages"] = json!({"pageSize": size});
        }
        let vmi: VirtualMachineInstance = serde_json::from_value(json!({
            "metadata": {}, "spec": {"domain": {"memory": memory, "devices": {}}}, "status": {"memory": {"guestAtBoot": at_boot}},
        }))
        .unwrap();
        let got = memory_device(&vmi).unwrap().map(|device| {
            let target = device.target.unwrap();
            (target.size.unwrap().value, target.requested.unwrap().value, target.block.unwrap().value)
        });
        assert_eq!(got, wanted);
    }
}
