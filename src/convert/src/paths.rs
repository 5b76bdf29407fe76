//! Where things lie inside the launcher pod. Source: spec/pod.md and spec/domain-xml.md, notation `P`, `S`, `E`.

/// `P`: what only the launcher sees.
pub const PRIVATE: &str = "/var/run/kubevirt-private";
/// `S`: what the launcher shares with the node agent.
pub const SHARE: &str = "/var/run/kubevirt";
/// `E`: overlays and generated images.
pub const EPHEMERAL: &str = "/var/run/kubevirt-ephemeral-disks";
/// Container disks as the launcher sees them.
pub const CONTAINER_DISKS: &str = "/var/run/kubevirt/container-disks";
/// Where hotplugged volumes appear.
pub const HOTPLUG_DISKS: &str = "/var/run/kubevirt/hotplug-disks";
/// Where image volumes of container disks are mounted, by the index of the volume.
pub const IMAGE_VOLUMES: &str = "/var/run/kubevirt-image-volume";
/// Where the image with kernel and initrd is mounted.
pub const KERNEL_BOOT: &str = "/var/run/kubevirt-kernel-boot";
/// The name of the volume with kernel and initrd.
pub const KERNEL_BOOT_VOLUME: &str = "kernel-boot-volume";
/// Images made for empty disks.
pub const EMPTY_DISKS: &str = "/var/run/libvirt/empty-disks";
/// Sockets of the shared folders' daemons.
pub const VIRTIOFS: &str = "/var/run/kubevirt/virtiofs-containers";
/// Where Kubernetes mounts the service account.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/";
/// Where network information is mounted.
pub const POD_INFO: &str = "/etc/podinfo";
