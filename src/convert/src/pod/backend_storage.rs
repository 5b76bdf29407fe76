//! The volume that keeps the guest's own state: TPM, EFI variables, block tracking. Source: spec/pod.md §7.

use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, Volume, VolumeMount};

use super::{Context, PodError};
use crate::paths::PRIVATE;
use crate::vmi;

const VOLUME: &str = "vm-state";

/// The volumes and `compute`'s mounts of the guest's own state; nothing for a guest that keeps none.
pub(super) fn render(vmi: &VirtualMachineInstance, cx: &Context<'_>) -> Result<(Vec<Volume>, Vec<VolumeMount>), PodError> {
    if !vmi::needs_backend_storage(vmi) {
        return Ok((Vec::new(), Vec::new()));
    }
    let claim = cx.backend_storage_claim.ok_or(PodError::BackendStorageNotFound)?;
    let non_root = vmi::is_non_root(vmi);
    let mut volumes = vec![Volume {
        name: VOLUME.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name: claim.to_owned(), read_only: None }),
        ..Volume::default()
    }];
    let state = |path: String, sub_path: &str| VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: path,
        sub_path: Some(sub_path.to_owned()),
        ..VolumeMount::default()
    };
    let mut mounts = vec![state("/run/kubevirt-private/backend-storage-meta".to_owned(), "meta")];
    if non_root {
        // Directories above the mounts, which the launcher must be able to write to.
        for (name, path) in [("private-libvirt", format!("{PRIVATE}/libvirt")), ("private-libvirt-qemu", format!("{PRIVATE}/libvirt/qemu"))]
        {
            volumes.push(Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() });
            mounts.push(VolumeMount { name: name.to_owned(), mount_path: path, ..VolumeMount::default() });
        }
    }
    let at = |unprivileged: &str, root: &str| if non_root { format!("{PRIVATE}/{unprivileged}") } else { root.to_owned() };
    if vmi::has_persistent_tpm(vmi) {
        mounts.push(state(at("libvirt/qemu/swtpm", "/var/lib/libvirt/swtpm"), "swtpm"));
        mounts.push(state(at("var/lib/swtpm-localca", "/var/lib/swtpm-localca"), "swtpm-localca"));
    }
    if vmi::has_persistent_efi(vmi) {
        mounts.push(state(at("libvirt/qemu/nvram", "/var/lib/libvirt/qemu/nvram"), "nvram"));
    }
    if vmi::tracks_changed_blocks(vmi) {
        mounts.push(state(at("libvirt/qemu/cbt", "/var/lib/libvirt/qemu/cbt"), "cbt"));
    }
    Ok((volumes, mounts))
}
