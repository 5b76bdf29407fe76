//! The daemons that serve shared folders. Source: spec/pod.md §4.5.

use api::v1::{VirtualMachineInstance, Volume};
use k8s_openapi::api::core::v1::{Container, SecurityContext, VolumeMount};

use super::Context;
use super::support::{Support, unprivileged};
use crate::paths::{PRIVATE, SERVICE_ACCOUNT, VIRTIOFS};
use crate::settings::Settings;
use crate::vmi;

/// The volume with the daemons' sockets.
pub(super) const SOCKETS_VOLUME: &str = "virtiofs-containers";

/// The volumes that are shared folders; those that are paths of a container are served by a container injected later.
fn shared(vmi: &VirtualMachineInstance) -> impl Iterator<Item = &Volume> {
    let folders = &vmi.spec.domain.devices.filesystems;
    vmi.spec.volumes.iter().filter(|v| folders.iter().any(|f| f.name == v.name) && v.container_path.is_none())
}

pub(super) fn containers(vmi: &VirtualMachineInstance, cx: &Context<'_>, settings: Settings<'_>) -> Vec<Container> {
    shared(vmi).map(|volume| container(vmi, cx, settings, volume)).collect()
}

/// The arguments of the daemon that serves a folder under the name of a volume.
pub(super) fn daemon_args(volume: &str, directory: &str) -> Vec<String> {
    vec![
        format!("--socket-path={VIRTIOFS}/{volume}.sock"),
        format!("--shared-dir={directory}"),
        "--sandbox=none".to_owned(),
        "--cache=auto".to_owned(),
        "--migration-on-error=guest-error".to_owned(),
        "--migration-mode=find-paths".to_owned(),
    ]
}

fn directory(volume: &Volume) -> String {
    let name = &volume.name;
    if volume.config_map.is_some() {
        format!("{PRIVATE}/config-map/{name}")
    } else if volume.secret.is_some() {
        format!("{PRIVATE}/secret/{name}")
    } else if volume.downward_api.is_some() {
        format!("{PRIVATE}/downwardapi/{name}")
    } else if volume.service_account.is_some() {
        SERVICE_ACCOUNT.to_owned()
    } else {
        format!("/{name}")
    }
}

fn container(vmi: &VirtualMachineInstance, cx: &Context<'_>, settings: Settings<'_>, volume: &Volume) -> Container {
    let directory = directory(volume);
    let mut args = daemon_args(&volume.name, &directory);
    let mount = |name: &str, path: String| VolumeMount { name: name.to_owned(), mount_path: path, ..VolumeMount::default() };
    let mut mounts = vec![mount(SOCKETS_VOLUME, VIRTIOFS.to_owned())];
    if volume.service_account.is_some() {
        args.push(format!("--translate-uid=host:{}:0:1", vmi::NON_ROOT_UID));
    } else {
        mounts.push(mount(&volume.name, directory));
    }
    Container {
        name: format!("virtiofs-{}", volume.name),
        image: Some(cx.launcher_image.to_owned()),
        image_pull_policy: Some(settings.image_pull_policy().to_owned()),
        command: Some(vec!["/usr/libexec/virtiofsd".to_owned()]),
        args: Some(args),
        resources: Some(Support::Virtiofs.resources(vmi, settings)),
        security_context: Some(SecurityContext { run_as_group: Some(vmi::NON_ROOT_UID), ..unprivileged() }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}
