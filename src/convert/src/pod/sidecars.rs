//! The console log, and hook sidecars. Source: spec/pod.md §4.4, §4.6.

use std::collections::BTreeSet;

use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::{Container, VolumeMount};
use serde::Deserialize;

use super::compute::{variable, verbosity, xdg_environment};
use super::support::{Support, unprivileged};
use super::{Context, PodError, security, some_list};
use crate::paths::{POD_INFO, PRIVATE};
use crate::settings::Settings;
use crate::vmi;

/// The volume in which hooks put their sockets.
pub(super) const HOOK_SOCKETS_VOLUME: &str = "hook-sidecar-sockets";
pub(super) const HOOK_SOCKETS: &str = "/var/run/kubevirt-hooks";
/// The volume with information about the pod's networks.
pub(super) const NETWORK_INFO_VOLUME: &str = "network-info-annotation";

/// A sidecar that takes part in making the domain.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HookSidecar {
    /// The image; empty for the cluster's shim.
    pub image: Option<String>,
    /// When to pull the image.
    pub image_pull_policy: Option<String>,
    /// The command.
    pub command: Vec<String>,
    /// The command's arguments.
    pub args: Vec<String>,
    /// A script, from a ConfigMap.
    pub config_map: Option<HookConfigMap>,
    /// A claim to mount.
    pub pvc: Option<HookClaim>,
    /// The binding plugin it belongs to.
    #[serde(skip)]
    pub plugin: Option<String>,
    /// Whether it wants to know the pod's network devices.
    #[serde(skip)]
    pub device_info: bool,
}

/// A hook's script.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HookConfigMap {
    /// The ConfigMap.
    pub name: String,
    /// The key in it.
    pub key: String,
    /// Where the sidecar finds it.
    pub hook_path: String,
}

/// A hook's claim.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HookClaim {
    /// The claim.
    pub name: String,
    /// Where the sidecar finds it.
    pub volume_path: String,
    /// Where `compute` finds it, if it should.
    pub shared_compute_path: String,
}

/// The hook sidecars a VMI asks for by annotation.
///
/// # Errors
/// [`PodError::BadHookSidecars`].
pub fn hook_sidecars(vmi: &VirtualMachineInstance) -> Result<Vec<HookSidecar>, PodError> {
    match vmi::annotation(vmi, "hooks.kubevirt.io/hookSidecars") {
        Some(text) => serde_json::from_str(text).map_err(|e| PodError::BadHookSidecars(e.to_string())),
        None => Ok(Vec::new()),
    }
}

/// All hook sidecars: those asked for, then those of network binding plugins, one a plugin.
pub(super) fn requested(vmi: &VirtualMachineInstance, cx: &Context<'_>) -> Result<Vec<HookSidecar>, PodError> {
    let settings = Settings::new(cx.config);
    let mut sidecars = hook_sidecars(vmi)?;
    let mut seen = BTreeSet::new();
    for plugin in vmi::interfaces(vmi).filter_map(|i| i.binding.as_ref()) {
        let Some(registered) = settings.binding(&plugin.name).filter(|_| seen.insert(&plugin.name)) else { continue };
        if let Some(image) = registered.sidecar_image.clone().filter(|i| !i.is_empty()) {
            sidecars.push(HookSidecar {
                image: Some(image),
                image_pull_policy: Some(settings.image_pull_policy().to_owned()),
                plugin: Some(plugin.name.clone()),
                device_info: registered.downward_api.as_deref() == Some("device-info"),
                ..HookSidecar::default()
            });
        }
    }
    Ok(sidecars)
}

/// The container that prints what the guest writes to its console.
pub(super) fn console_log(vmi: &VirtualMachineInstance, cx: &Context<'_>, settings: Settings<'_>) -> Result<Option<Container>, PodError> {
    if !vmi::logs_serial_console(vmi, settings.serial_console_log()) {
        return Ok(None);
    }
    Ok(Some(Container {
        name: "guest-console-log".to_owned(),
        image: Some(cx.launcher_image.to_owned()),
        image_pull_policy: Some(settings.image_pull_policy().to_owned()),
        command: Some(vec!["/usr/bin/virt-tail".to_owned()]),
        args: Some(vec!["--logfile".to_owned(), format!("{PRIVATE}/{}/virt-serial0-log", vmi::uid(vmi))]),
        env: Some(vec![variable("VIRT_LAUNCHER_LOG_VERBOSITY", &verbosity(vmi, settings)?.to_string())]),
        resources: Some(Support::ConsoleLog.resources(vmi, settings)),
        restart_policy: Some("Always".to_owned()),
        security_context: Some(unprivileged()),
        volume_mounts: Some(vec![VolumeMount {
            name: "private".to_owned(),
            mount_path: PRIVATE.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }))
}

/// The containers of hook sidecars.
pub(super) fn containers(
    vmi: &VirtualMachineInstance,
    cx: &Context<'_>,
    settings: Settings<'_>,
    sidecars: &[HookSidecar],
) -> Vec<Container> {
    sidecars.iter().enumerate().map(|(index, sidecar)| container(vmi, cx, settings, sidecar, index)).collect()
}

fn container(vmi: &VirtualMachineInstance, cx: &Context<'_>, settings: Settings<'_>, sidecar: &HookSidecar, index: usize) -> Container {
    let name = format!("hook-sidecar-{index}");
    let non_root = vmi::is_non_root(vmi);
    let mut env = if non_root { xdg_environment() } else { Vec::new() };
    env.push(variable("CONTAINER_NAME", &name));
    env.extend(sidecar.plugin.as_deref().map(|p| variable("NETWORK_BINDING_PLUGIN_NAME", p)));
    let mut mounts = vec![VolumeMount {
        name: HOOK_SOCKETS_VOLUME.to_owned(),
        mount_path: HOOK_SOCKETS.to_owned(),
        sub_path: Some(name.clone()),
        ..VolumeMount::default()
    }];
    if sidecar.device_info {
        mounts.push(VolumeMount { name: NETWORK_INFO_VOLUME.to_owned(), mount_path: POD_INFO.to_owned(), ..VolumeMount::default() });
    }
    if let Some(script) = &sidecar.config_map {
        mounts.push(VolumeMount {
            name: script.name.clone(),
            mount_path: script.hook_path.clone(),
            sub_path: Some(script.key.clone()),
            ..VolumeMount::default()
        });
    }
    if let Some(claim) = &sidecar.pvc {
        mounts.push(VolumeMount { name: claim.name.clone(), mount_path: claim.volume_path.clone(), ..VolumeMount::default() });
    }
    Container {
        name,
        image: Some(sidecar.image.clone().filter(|i| !i.is_empty()).unwrap_or_else(|| cx.sidecar_shim_image.to_owned())),
        image_pull_policy: sidecar.image_pull_policy.clone().filter(|p| !p.is_empty()),
        command: some_list(sidecar.command.clone()),
        args: some_list(sidecar.args.clone()),
        env: Some(env),
        resources: Some(Support::Hook.resources(vmi, settings)),
        security_context: Some(security::helper(vmi, non_root.then(security::drop_all))),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}
