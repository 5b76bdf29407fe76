//! Names of disks in the guest: `vda`, `sdb`, … Source: spec/domain-xml.md §8.1.

use std::collections::BTreeSet;

use api::v1::VirtualMachineInstance;

use super::disks::bus_of;

/// The names of all disks of a VMI, in the order of its spec.
///
/// A name the status records stays with its disk; all others get the first that is free. Disks on sata, scsi and usb share
/// one sequence.
pub(super) fn assign(vmi: &VirtualMachineInstance) -> Vec<String> {
    let recorded = |name: &str| {
        let status = vmi.status.as_ref()?.volume_status.iter().find(|v| v.name == name)?;
        Some(status.target.as_str()).filter(|t| !t.is_empty())
    };
    let disks = &vmi.spec.domain.devices.disks;
    let mut taken: BTreeSet<String> = disks.iter().filter_map(|d| recorded(&d.name)).map(ToOwned::to_owned).collect();
    disks
        .iter()
        .map(|disk| {
            if let Some(name) = recorded(&disk.name) {
                return name.to_owned();
            }
            let prefix = match bus_of(disk) {
                "virtio" => "vd",
                "sata" | "scsi" | "usb" => "sd",
                _ => "",
            };
            // One name more than there are disks is enough to find a free one.
            let name = (0..=disks.len() as u32).map(|i| format!("{prefix}{}", letters(i))).find(|n| !taken.contains(n)).unwrap_or_default();
            taken.insert(name.clone());
            name
        })
        .collect()
}

/// 0 is `a`, 25 `z`, 26 `aa`: base 26 without a zero.
fn letters(index: u32) -> String {
    let mut out = Vec::new();
    let mut rest = index;
    loop {
        out.push(char::from(b'a' + (rest % 26) as u8));
        if rest < 26 {
            break;
        }
        rest = rest / 26 - 1;
    }
    out.iter().rev().collect()
}

/// The place of a name in its sequence; the unit of a disk on SCSI.
pub(super) fn index(name: &str) -> u32 {
    let letters = name.get(2..).unwrap_or_default();
    letters.bytes().filter(u8::is_ascii_lowercase).fold(0_u32, |n, b| n * 26 + u32::from(b - b'a') + 1).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use api::v1::{Disk, DiskTarget, LunTarget, VolumeStatus};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "a")]
    #[case(25, "z")]
    #[case(26, "aa")]
    #[case(51, "az")]
    #[case(52, "ba")]
    #[case(701, "zz")]
    #[case(702, "aaa")]
    fn sequence(#[case] i: u32, #[case] text: &str) {
        assert_eq!(letters(i), text);
        assert_eq!(index(&format!("sd{text}")), i);
    }

    /// spec/domain-xml.md §11.1.
    #[test]
    fn worked_example() {
        let disk = |name: &str, bus: &str| Disk {
            name: name.to_owned(),
            disk: Some(DiskTarget { bus: Some(bus.to_owned()), ..DiskTarget::default() }),
            ..Disk::default()
        };
        let mut vmi = VirtualMachineInstance::default();
        let lun =
            Disk { name: "f".to_owned(), lun: Some(LunTarget { bus: Some("scsi".to_owned()), ..LunTarget::default() }), ..Disk::default() };
        vmi.spec.domain.devices.disks =
            vec![disk("a", "virtio"), disk("b", "sata"), disk("c", "scsi"), disk("d", "virtio"), disk("e", "usb"), lun];
        assert_eq!(assign(&vmi), ["vda", "sda", "sdb", "vdb", "sdc", "sdd"]);
        let recorded = VolumeStatus { name: "c".to_owned(), target: "sda".to_owned(), ..VolumeStatus::default() };
        vmi.status.get_or_insert_default().volume_status = vec![recorded];
        assert_eq!(assign(&vmi), ["vda", "sdb", "sda", "vdb", "sdc", "sdd"]);
    }
}
