//! Container disks and kernel boot images: image volumes, or the classic sidecars. Source: spec/pod.md §4.3.

use api::v1::{KernelBootContainer, VirtualMachineInstance};
use k8s_openapi::api::core::v1::{Container, ImageVolumeSource, Volume, VolumeMount};

use super::support::{Support, unprivileged};
use super::{Context, security};
use crate::paths::{EPHEMERAL, IMAGE_VOLUMES, KERNEL_BOOT, KERNEL_BOOT_VOLUME};
use crate::settings::Settings;
use crate::vmi;

const LAUNCHER_VOLUME: &str = "launcher-volume";
const BINARY_VOLUME: &str = "virt-bin-share-dir";
/// The volume of classic container disks.
pub(super) const DISKS_VOLUME: &str = "container-disks";

/// An image that becomes a disk or a kernel.
struct Image<'a> {
    /// The name of its volume.
    volume: &'a str,
    reference: String,
    pull_policy: Option<String>,
    /// The name of what it provides: `disk_0`, `kernel-boot`.
    artifact: String,
    /// Where an image volume of it is mounted.
    mount_path: String,
    /// Whether the reference was pinned by a migration.
    pinned: bool,
}

#[derive(Default)]
pub(super) struct Rendered {
    pub(super) init_containers: Vec<Container>,
    pub(super) sidecars: Vec<Container>,
}

/// The image with kernel and initrd.
pub(super) fn kernel_boot(vmi: &VirtualMachineInstance) -> Option<&KernelBootContainer> {
    vmi.spec.domain.firmware.as_ref()?.kernel_boot.as_ref()?.container.as_ref()
}

fn images<'a>(vmi: &'a VirtualMachineInstance, cx: &Context<'_>) -> Vec<Image<'a>> {
    let disks = vmi.spec.volumes.iter().enumerate().filter_map(|(index, volume)| {
        let disk = volume.container_disk.as_ref().filter(|_| volume.name != KERNEL_BOOT_VOLUME)?;
        Some((
            volume.name.as_str(),
            &disk.image,
            disk.image_pull_policy.as_ref(),
            format!("disk_{index}"),
            format!("{IMAGE_VOLUMES}/disk_{index}"),
        ))
    });
    let kernel = kernel_boot(vmi)
        .map(|k| (KERNEL_BOOT_VOLUME, &k.image, k.image_pull_policy.as_ref(), "kernel-boot".to_owned(), KERNEL_BOOT.to_owned()));
    disks
        .chain(kernel)
        .map(|(volume, reference, pull_policy, artifact, mount_path)| {
            let pinned = cx.pinned_images.get(volume);
            Image {
                volume,
                reference: pinned.unwrap_or(reference).clone(),
                pull_policy: pull_policy.filter(|p| !p.is_empty()).cloned(),
                artifact,
                mount_path,
                pinned: pinned.is_some_and(|p| p.contains("@sha256:")),
            }
        })
        .collect()
}

/// The images of which the digest has to be learned by running them.
fn digest_wanted<'i, 'a>(vmi: &VirtualMachineInstance, images: &'i [Image<'a>]) -> Vec<&'i Image<'a>> {
    if vmi::annotation(vmi, "kubevirt.io/image-volume-skip-digest-resolution") == Some("true") {
        return Vec::new();
    }
    images.iter().filter(|i| !i.pinned).collect()
}

/// Volumes and `compute`'s mounts of image volumes.
pub(super) fn image_volumes(vmi: &VirtualMachineInstance, cx: &Context<'_>, settings: Settings<'_>) -> (Vec<Volume>, Vec<VolumeMount>) {
    let images = images(vmi, cx);
    let volume = |name: &str, reference: &str, pull_policy: Option<String>| Volume {
        name: name.to_owned(),
        image: Some(ImageVolumeSource { reference: Some(reference.to_owned()), pull_policy }),
        ..Volume::default()
    };
    let mut volumes: Vec<Volume> = images.iter().map(|i| volume(i.volume, &i.reference, i.pull_policy.clone())).collect();
    if !digest_wanted(vmi, &images).is_empty() {
        volumes.push(volume(LAUNCHER_VOLUME, cx.launcher_image, Some(settings.image_pull_policy().to_owned())));
    }
    let mounts = images
        .iter()
        .map(|i| VolumeMount {
            name: i.volume.to_owned(),
            mount_path: i.mount_path.clone(),
            read_only: Some(true),
            ..VolumeMount::default()
        })
        .collect();
    (volumes, mounts)
}

/// The containers for container disks.
pub(super) fn render(vmi: &VirtualMachineInstance, cx: &Context<'_>, settings: Settings<'_>) -> Rendered {
    let images = images(vmi, cx);
    if settings.gate("ImageVolume") {
        let init_containers = digest_wanted(vmi, &images).into_iter().map(|i| digest_container(vmi, settings, i)).collect();
        return Rendered { init_containers, sidecars: Vec::new() };
    }
    if images.is_empty() {
        return Rendered::default();
    }
    let mut init_containers = vec![copy_container(vmi, cx, settings)];
    init_containers.extend(images.iter().map(|i| classic_container(vmi, settings, i, true)));
    Rendered { init_containers, sidecars: images.iter().map(|i| classic_container(vmi, settings, i, false)).collect() }
}

fn mount(name: &str, path: impl Into<String>) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.into(), ..VolumeMount::default() }
}

fn digest_container(vmi: &VirtualMachineInstance, settings: Settings<'_>, image: &Image<'_>) -> Container {
    Container {
        name: format!("volume{}", image.volume),
        image: Some(image.reference.clone()),
        image_pull_policy: image.pull_policy.clone(),
        command: Some(vec!["/container-disk-binary/usr/bin/container-disk".to_owned()]),
        args: Some(vec!["--no-op".to_owned()]),
        resources: Some(Support::ContainerDisk.resources(vmi, settings)),
        security_context: Some(unprivileged()),
        volume_mounts: Some(vec![VolumeMount { read_only: Some(true), ..mount(LAUNCHER_VOLUME, "/container-disk-binary") }]),
        ..Container::default()
    }
}

fn copy_container(vmi: &VirtualMachineInstance, cx: &Context<'_>, settings: Settings<'_>) -> Container {
    Container {
        name: "container-disk-binary".to_owned(),
        image: Some(cx.launcher_image.to_owned()),
        image_pull_policy: Some(settings.image_pull_policy().to_owned()),
        command: Some(vec!["/usr/bin/cp".to_owned()]),
        args: Some(["--preserve=all", "/usr/bin/container-disk", "/init/usr/bin/container-disk"].map(ToOwned::to_owned).to_vec()),
        resources: Some(Support::ContainerDiskCopy.resources(vmi, settings)),
        security_context: Some(security::helper(vmi, Some(security::drop_all()))),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![mount(BINARY_VOLUME, "/init/usr/bin")]),
        ..Container::default()
    }
}

fn classic_container(vmi: &VirtualMachineInstance, settings: Settings<'_>, image: &Image<'_>, init: bool) -> Container {
    let directory = format!("{EPHEMERAL}/container-disk-data/{}", vmi::uid(vmi));
    let args = if init { vec!["--no-op".to_owned()] } else { vec!["--copy-path".to_owned(), format!("{directory}/{}", image.artifact)] };
    Container {
        name: format!("volume{}{}", image.volume, if init { "-init" } else { "" }),
        image: Some(image.reference.clone()),
        image_pull_policy: image.pull_policy.clone(),
        command: Some(vec!["/usr/bin/container-disk".to_owned()]),
        args: Some(args),
        resources: Some(Support::ContainerDisk.resources(vmi, settings)),
        security_context: Some(unprivileged()),
        volume_mounts: Some(vec![mount(DISKS_VOLUME, directory), mount(BINARY_VOLUME, "/usr/bin")]),
        ..Container::default()
    }
}
