//! Users, capabilities, seccomp and SELinux. Source: spec/pod.md §3, §4.1.

use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, PodSpec, SELinuxOptions, SeccompProfile, SecurityContext};

use crate::settings::Settings;
use crate::vmi;

pub(super) fn pod(vmi: &VirtualMachineInstance, settings: Settings<'_>) -> PodSecurityContext {
    let mut context = PodSecurityContext { fs_group: Some(vmi::NON_ROOT_UID), ..PodSecurityContext::default() };
    if vmi::is_non_root(vmi) {
        context.run_as_user = Some(vmi::NON_ROOT_UID);
        context.run_as_group = Some(vmi::NON_ROOT_UID);
        context.run_as_non_root = Some(true);
    } else {
        context.run_as_user = Some(0);
    }
    context.seccomp_profile = seccomp(settings);
    if let Some(kind) = settings.selinux_launcher_type() {
        context.se_linux_options = Some(SELinuxOptions { type_: Some(kind.to_owned()), ..SELinuxOptions::default() });
    }
    context
}

fn seccomp(settings: Settings<'_>) -> Option<SeccompProfile> {
    let profile = settings.seccomp_profile()?;
    if let Some(path) = &profile.localhost_profile {
        return Some(SeccompProfile { type_: "Localhost".to_owned(), localhost_profile: Some(path.clone()) });
    }
    (profile.runtime_default_profile == Some(true)).then(|| SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None })
}

/// `compute`'s own context.
pub(super) fn compute(vmi: &VirtualMachineInstance) -> SecurityContext {
    let add = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
    if vmi::is_non_root(vmi) {
        SecurityContext {
            run_as_user: Some(vmi::NON_ROOT_UID),
            run_as_group: Some(vmi::NON_ROOT_UID),
            run_as_non_root: Some(true),
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { add: add(&["NET_BIND_SERVICE"]), drop: add(&["ALL"]) }),
            ..SecurityContext::default()
        }
    } else {
        SecurityContext {
            run_as_user: Some(0),
            run_as_non_root: Some(false),
            capabilities: Some(Capabilities { add: add(&["NET_BIND_SERVICE", "SYS_NICE"]), drop: None }),
            ..SecurityContext::default()
        }
    }
}

/// The context of a helper that runs as the launcher does.
pub(super) fn helper(vmi: &VirtualMachineInstance, capabilities: Option<Capabilities>) -> SecurityContext {
    if vmi::is_non_root(vmi) {
        SecurityContext { capabilities, run_as_group: Some(vmi::NON_ROOT_UID), ..super::support::unprivileged() }
    } else {
        SecurityContext { run_as_user: Some(0), run_as_non_root: Some(false), capabilities, ..SecurityContext::default() }
    }
}

/// No capabilities.
pub(super) fn drop_all() -> Capabilities {
    Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }
}

/// Gives all containers but `compute` a fixed SELinux level, for runtimes that give each container its own.
pub(super) fn workaround(spec: &mut PodSpec, settings: Settings<'_>) {
    if !settings.gate("DockerSELinuxMCSWorkaround") {
        return;
    }
    let options = SELinuxOptions {
        type_: settings.selinux_launcher_type().map(ToOwned::to_owned),
        level: Some("s0".to_owned()),
        ..SELinuxOptions::default()
    };
    for container in spec.containers.iter_mut().filter(|c| c.name != "compute") {
        container.security_context.get_or_insert_default().se_linux_options = Some(options.clone());
    }
}
