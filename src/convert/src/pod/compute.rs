//! The container `compute`, in which the launcher and the guest run. Source: spec/pod.md §4.1.

use api::quantity::Amount;
use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::{Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector};

use super::sidecars::HookSidecar;
use super::volumes::Volumes;
use super::{Context, PodError, probes, resources, security, some_list};
use crate::paths::{CONTAINER_DISKS, EPHEMERAL, PRIVATE, SHARE};
use crate::settings::Settings;
use crate::vmi;

/// What the launcher gets beyond the guest's grace period, and the pod beyond the launcher's, in seconds.
pub(super) const GRACE_PERIOD_PADDING_SECONDS: i64 = 15;
/// Above this verbosity libvirt and virtiofsd log everything.
const DEBUG_VERBOSITY: u64 = 5;

/// The seconds the launcher gives the guest to shut down, and itself to clean up.
pub(super) fn launcher_grace_period(vmi: &VirtualMachineInstance) -> i64 {
    vmi.spec.termination_grace_period_seconds.unwrap_or(vmi::DEFAULT_GRACE_PERIOD_SECONDS) + GRACE_PERIOD_PADDING_SECONDS
}

pub(super) fn container(
    vmi: &VirtualMachineInstance,
    cx: &Context<'_>,
    settings: Settings<'_>,
    volumes: &Volumes,
    overhead: Amount,
    sidecars: &[HookSidecar],
) -> Result<Container, PodError> {
    let (program, mut args) = if cx.temporary {
        ("/bin/bash", ["-c", "echo", "bound PVCs"].map(ToOwned::to_owned).to_vec())
    } else {
        ("/usr/bin/virt-launcher-monitor", arguments(vmi, cx, settings, sidecars.len()))
    };
    args.extend(appended_arguments(vmi, settings));
    let mut command = vec![program.to_owned()];
    if settings.gate("CrossArchitectureVirtualization") {
        command.push("--allow-cross-arch-emulation".to_owned());
    }
    Ok(Container {
        name: "compute".to_owned(),
        image: Some(cx.launcher_image.to_owned()),
        image_pull_policy: Some(settings.image_pull_policy().to_owned()),
        command: Some(command),
        args: Some(args),
        env: Some(environment(vmi, settings, &volumes.shared_paths)?),
        ports: some_list(ports(vmi)),
        resources: Some(resources::render(vmi, cx, settings, overhead)?),
        security_context: Some(security::compute(vmi)),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: some_list(volumes.mounts.clone()),
        volume_devices: some_list(volumes.devices.clone()),
        liveness_probe: vmi.spec.liveness_probe.as_ref().map(|p| probes::render(vmi, p)),
        readiness_probe: vmi.spec.readiness_probe.as_ref().map(|p| probes::render(vmi, p)),
        ..Container::default()
    })
}

fn arguments(vmi: &VirtualMachineInstance, cx: &Context<'_>, settings: Settings<'_>, sidecars: usize) -> Vec<String> {
    let pairs = [
        ("--qemu-timeout", format!("{}s", cx.qemu_timeout_seconds + cx.qemu_timeout_jitter_seconds)),
        ("--name", vmi::name(vmi).to_owned()),
        ("--uid", vmi::uid(vmi).to_owned()),
        ("--namespace", vmi::namespace(vmi).to_owned()),
        ("--kubevirt-share-dir", SHARE.to_owned()),
        ("--ephemeral-disk-dir", EPHEMERAL.to_owned()),
        ("--container-disk-dir", CONTAINER_DISKS.to_owned()),
        ("--grace-period-seconds", launcher_grace_period(vmi).to_string()),
        ("--hook-sidecars", sidecars.to_string()),
        ("--ovmf-path", settings.ovmf_path(vmi.spec.architecture.as_deref().unwrap_or_default())),
        ("--disk-memory-limit", settings.disk_verification_memory_limit().to_string()),
        ("--hypervisor", settings.hypervisor().to_owned()),
    ];
    let mut args: Vec<String> = pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
    for (flag, wanted) in [
        ("--run-as-nonroot", vmi::is_non_root(vmi)),
        ("--image-volume", settings.gate("ImageVolume")),
        ("--upgrade-ordinal-ifaces", settings.gate("PodSecondaryInterfaceNamingUpgrade")),
        ("--vgpu-dedicated-hook", settings.gate("VGPULiveMigration")),
        ("--vm-stats-collector", settings.gate("VMStatsCollector")),
        ("--firmware-auto-selection", settings.gate("FirmwareAutoSelection")),
    ] {
        if wanted {
            args.push(flag.to_owned());
        }
    }
    if let Some(filters) = vmi::annotation(vmi, "kubevirt.io/libvirt-log-filters") {
        args.push("--libvirt-log-filters".to_owned());
        args.push(filters.to_owned());
    }
    args
}

/// Arguments that temporary pods carry too.
fn appended_arguments(vmi: &VirtualMachineInstance, settings: Settings<'_>) -> Vec<String> {
    let mut args = Vec::new();
    if settings.use_emulation() {
        args.push("--allow-emulation".to_owned());
    }
    let annotations = vmi.metadata.annotations.as_ref();
    let keep = annotations.into_iter().flatten().any(|(key, value)| {
        key.starts_with("kubevirt.io/keep-launcher-alive-after-failure") && (value.is_empty() || value.starts_with("true"))
    });
    if keep {
        args.push("--keep-after-failure".to_owned());
    }
    if vmi::annotation(vmi, "kubevirt.io/func-test-virt-launcher-fail-fast").is_some() {
        args.push("--simulate-crash".to_owned());
    }
    args
}

/// The effective verbosity: the VMI's label, else the cluster's.
pub(super) fn verbosity(vmi: &VirtualMachineInstance, settings: Settings<'_>) -> Result<u64, PodError> {
    match vmi::label(vmi, "logVerbosity") {
        Some(text) => text.parse().map_err(|_| PodError::BadVerbosity(text.to_owned())),
        None => Ok(settings.launcher_verbosity()),
    }
}

/// The variables that keep libvirt's files where a launcher without root may write.
pub(super) fn xdg_environment() -> Vec<EnvVar> {
    vec![variable("XDG_CACHE_HOME", PRIVATE), variable("XDG_CONFIG_HOME", PRIVATE), variable("XDG_RUNTIME_DIR", "/var/run")]
}

/// An environment variable.
pub(super) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

fn environment(vmi: &VirtualMachineInstance, settings: Settings<'_>, shared_paths: &[String]) -> Result<Vec<EnvVar>, PodError> {
    let mut env = if vmi::is_non_root(vmi) { xdg_environment() } else { Vec::new() };
    if !shared_paths.is_empty() {
        env.push(variable("SHARED_FILESYSTEM_PATHS", &shared_paths.join(":")));
    }
    let effective = verbosity(vmi, settings)?;
    if vmi::label(vmi, "logVerbosity").is_some() || effective != Settings::DEFAULT_VERBOSITY {
        env.push(variable("VIRT_LAUNCHER_LOG_VERBOSITY", &effective.to_string()));
    }
    let debug = |label: &str| effective > DEBUG_VERBOSITY || vmi::label(vmi, label).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    if debug("debugLogs") {
        env.push(variable("LIBVIRT_DEBUG_LOGS", "1"));
    }
    if debug("virtiofsdDebugLogs") {
        env.push(variable("VIRTIOFSD_DEBUG_LOGS", "1"));
    }
    env.push(EnvVar {
        name: "POD_NAME".to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { api_version: None, field_path: "metadata.name".to_owned() }),
            ..EnvVarSource::default()
        }),
    });
    Ok(env)
}

fn ports(vmi: &VirtualMachineInstance) -> Vec<ContainerPort> {
    vmi.spec
        .domain
        .devices
        .interfaces
        .iter()
        .flat_map(|i| &i.ports)
        .map(|port| ContainerPort {
            container_port: port.port,
            name: port.name.clone().filter(|n| !n.is_empty()),
            protocol: Some(port.protocol.clone().filter(|p| !p.is_empty()).unwrap_or_else(|| "TCP".to_owned())),
            ..ContainerPort::default()
        })
        .collect()
}
