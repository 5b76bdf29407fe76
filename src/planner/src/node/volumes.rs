//! `status.volumeStatus` (node.md §6.11).

use std::time::Duration;

use api::v1::values::volume_phase;
use api::v1::{VirtualMachineInstance, VolumeStatus};

use super::Domain;

/// A hotplugged volume without a target is looked at again after this long.
const TARGET_AGAIN: Duration = Duration::from_secs(1);

/// A change of a hotplugged volume's phase, worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeEvent {
    /// `VolumeReady`, `VolumeMountedToPod`, `VolumeUnMountedFromPod`, `VolumeUnplugged`.
    pub reason: &'static str,
    /// In words.
    pub message: String,
}

/// The volumes as they are now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volumes {
    /// The statuses, by name.
    pub statuses: Vec<VolumeStatus>,
    /// What changed.
    pub events: Vec<VolumeEvent>,
    /// Look again after this long.
    pub again: Option<Duration>,
}

/// Computes the volumes; `mounted` says whether a hotplugged volume is in the launcher's pod.
pub fn compute(vmi: &VirtualMachineInstance, domain: Option<&Domain>, mounted: impl Fn(&str) -> bool) -> Volumes {
    let known = vmi.status.as_ref().map(|status| status.volume_status.as_slice()).unwrap_or_default();
    let mut volumes = Volumes::default();
    for old in known {
        let mut status = old.clone();
        let in_spec = vmi.spec.volumes.iter().any(|volume| volume.name == old.name);
        let disk = domain.into_iter().flat_map(|domain| &domain.disks).find(|disk| disk.volume == old.name && disk.has_medium);
        status.target = disk.map(|disk| disk.target.clone()).unwrap_or_default();
        if status.hotplug_volume.is_some() && status.memory_dump_volume.is_none() {
            if status.target.is_empty() {
                volumes.again = Some(TARGET_AGAIN);
            }
            let phase = old.phase.as_deref().unwrap_or_default();
            if let Some((phase, reason, message)) = hotplug_phase(&status, phase, in_spec, mounted(&old.name)) {
                status.phase = Some(phase.to_owned());
                status.reason = Some(reason.to_owned());
                status.message = Some(message.clone());
                volumes.events.push(VolumeEvent { reason, message });
            }
        }
        volumes.statuses.push(status);
    }
    volumes.statuses.sort_by(|a, b| a.name.cmp(&b.name));
    volumes
}

fn hotplug_phase(status: &VolumeStatus, phase: &str, in_spec: bool, mounted: bool) -> Option<(&'static str, &'static str, String)> {
    let name = &status.name;
    let coming = matches!(phase, volume_phase::BOUND | volume_phase::PENDING | volume_phase::ATTACHED_TO_NODE);
    let there = matches!(phase, volume_phase::READY | volume_phase::MOUNTED_TO_POD | volume_phase::ATTACHED_TO_NODE);
    if !status.target.is_empty() {
        let message = format!("Successfully attach hotplugged volume {name} to VM");
        (phase != volume_phase::READY).then_some((volume_phase::READY, "VolumeReady", message))
    } else if mounted && in_spec && coming {
        Some((volume_phase::MOUNTED_TO_POD, "VolumeMountedToPod", format!("Volume {name} has been mounted in virt-launcher pod")))
    } else if !mounted && !in_spec && there {
        Some((
            volume_phase::UN_MOUNTED_FROM_POD,
            "VolumeUnMountedFromPod",
            format!("Volume {name} has been unmounted from virt-launcher pod"),
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use api::v1::{HotplugVolumeStatus, Volume};
    use rstest::rstest;

    use super::*;
    use crate::node::Disk;

    fn vmi(phase: Option<&str>, in_spec: bool) -> VirtualMachineInstance {
        let mut vmi = VirtualMachineInstance::default();
        if in_spec {
            vmi.spec.volumes = vec![Volume { name: "vol".to_owned(), ..Volume::default() }];
        }
        vmi.status.get_or_insert_default().volume_status = vec![VolumeStatus {
            name: "vol".to_owned(),
            phase: phase.map(str::to_owned),
            hotplug_volume: phase.map(|_| HotplugVolumeStatus::default()),
            ..VolumeStatus::default()
        }];
        vmi
    }

    fn with_disk() -> Domain {
        let disk = Disk { volume: "vol".to_owned(), target: "sda".to_owned(), has_medium: true };
        Domain { disks: vec![disk], ..Domain::default() }
    }

    #[rstest]
    #[case::attached(Some("MountedToPod"), true, true, true, Some("Ready"))]
    #[case::still_attached(Some("Ready"), true, true, true, None)]
    #[case::mounted(Some("AttachedToNode"), true, false, true, Some("MountedToPod"))]
    #[case::not_mounted_yet(Some("AttachedToNode"), true, false, false, None)]
    #[case::gone(Some("Ready"), false, false, false, Some("UnMountedFromPod"))]
    #[case::detached_not_yet_unmounted(Some("Ready"), false, false, true, None)]
    #[case::ordinary(None, true, true, false, None)]
    fn phases(
        #[case] phase: Option<&str>,
        #[case] in_spec: bool,
        #[case] attached: bool,
        #[case] mounted: bool,
        #[case] expected: Option<&str>,
    ) {
        let domain = with_disk();
        let volumes = compute(&vmi(phase, in_spec), attached.then_some(&domain), |_| mounted);
        assert_eq!(volumes.statuses[0].target, if attached { "sda" } else { "" });
        assert_eq!(volumes.statuses[0].phase.as_deref(), expected.or(phase));
        assert_eq!(volumes.events.len(), usize::from(expected.is_some()));
        assert_eq!(volumes.again.is_some(), phase.is_some() && !attached);
    }
}
