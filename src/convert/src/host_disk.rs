//! Claims on file systems, as the launcher sees them: files in folders it was given. Source: spec/domain-xml.md §2.

use std::collections::BTreeMap;

use api::quantity::Amount;
use api::v1::{HostDisk, PersistentVolumeClaimInfo, VirtualMachineInstance};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::paths::PRIVATE;
use crate::vmi;

const MI: i64 = 1 << 20;

/// Replaces every claim that the guest started with and that holds a file system by the disk file on it; shared folders and
/// block volumes stay claims, and so does a claim of which nothing is known yet.
pub fn replace_claims(vmi: &mut VirtualMachineInstance) {
    let folders: Vec<String> = vmi.spec.domain.devices.filesystems.iter().map(|f| f.name.clone()).collect();
    let known: BTreeMap<&str, &PersistentVolumeClaimInfo> = vmi
        .status
        .iter()
        .flat_map(|s| &s.volume_status)
        .filter(|v| v.hotplug_volume.is_none())
        .filter_map(|v| Some((v.name.as_str(), v.persistent_volume_claim_info.as_ref()?)))
        .collect();
    for volume in vmi.spec.volumes.iter_mut().filter(|v| !folders.contains(&v.name)) {
        if volume.persistent_volume_claim.is_none() && volume.data_volume.is_none() {
            continue;
        }
        let Some(claim) = known.get(volume.name.as_str()).filter(|c| c.volume_mode.as_deref() != Some("Block")) else { continue };
        volume.host_disk = Some(HostDisk {
            path: format!("{PRIVATE}/vmi-disks/{}/disk.img", volume.name),
            r#type: "DiskOrCreate".to_owned(),
            capacity: capacity(claim),
            shared: Some(claim.access_modes.iter().any(|m| m == "ReadWriteMany")),
        });
        volume.persistent_volume_claim = None;
        volume.data_volume = None;
    }
}

/// What fits whatever happens: the least of what was asked for and what there is, in whole mebibytes.
fn capacity(claim: &PersistentVolumeClaimInfo) -> Option<Quantity> {
    let storage = |map: &BTreeMap<String, Quantity>| vmi::amount(map.get("storage")).map(Amount::value);
    let bytes = match (storage(&claim.requests), storage(&claim.capacity)) {
        (Some(asked), Some(there)) => asked.min(there),
        (asked, there) => asked.or(there)?,
    };
    Some(Amount::bytes(bytes / MI * MI).quantity())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn file_systems_become_files() {
        let claim = |mode: &str, access: &str| json!({"volumeMode": mode, "accessModes": [access], "requests": {"storage": "1Gi"}, "capacity": {"storage": "1073741823"}});
        let status =
            |name: &str, mode: &str, access: &str| json!({"name": name, "target": "", "persistentVolumeClaimInfo": claim(mode, access)});
        let mut hotplugged = status("hot", "Filesystem", "ReadWriteOnce");
        hotplugged["hotplugVolume"] = json!({});
        let mut vmi: VirtualMachineInstance = serde_json::from_value(json!({
            "metadata": {},
            "spec": {
                "domain": {"devices": {"filesystems": [{"name": "folder", "virtiofs": {}}]}},
                "volumes": [
                    {"name": "fs", "persistentVolumeClaim": {"claimName": "a"}},
                    {"name": "dv", "dataVolume": {"name": "b"}},
                    {"name": "block", "persistentVolumeClaim": {"claimName": "c"}},
                    {"name": "hot", "persistentVolumeClaim": {"claimName": "d"}},
                    {"name": "folder", "persistentVolumeClaim": {"claimName": "e"}},
                    {"name": "unknown", "persistentVolumeClaim": {"claimName": "f"}},
                ],
            },
            "status": {"volumeStatus": [
                status("fs", "Filesystem", "ReadWriteMany"), status("dv", "Filesystem", "ReadWriteOnce"), status("block", "Block", "ReadWriteMany"),
                hotplugged, status("folder", "Filesystem", "ReadWriteMany"),
            ]},
        }))
        .unwrap();
        replace_claims(&mut vmi);
        let disks: Vec<_> = vmi.spec.volumes.iter().filter_map(|v| Some((v.name.as_str(), v.host_disk.as_ref()?))).collect();
        assert_eq!(disks.iter().map(|(name, d)| (*name, d.shared)).collect::<Vec<_>>(), [("fs", Some(true)), ("dv", Some(false))]);
        assert_eq!(disks[0].1.path, "/var/run/kubevirt-private/vmi-disks/fs/disk.img");
        assert_eq!(disks[0].1.capacity, Some(Quantity("1023Mi".to_owned())));
        assert!(vmi.spec.volumes[1].data_volume.is_none() && vmi.spec.volumes[2].persistent_volume_claim.is_some());
    }
}
