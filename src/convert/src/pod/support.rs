//! Resources of the containers beside `compute`. Source: spec/pod.md §5.7.

use std::collections::BTreeMap;

use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::{ResourceRequirements, SecurityContext};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::overhead::is_guaranteed;
use crate::settings::Settings;
use crate::vmi;

/// A kind of support container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// Copies the container-disk program for classic container disks.
    ContainerDiskCopy,
    /// Serves a container disk, or tells its digest.
    ContainerDisk,
    Virtiofs,
    Hook,
    ConsoleLog,
    HotplugDisk,
}

struct Defaults {
    cpu: (&'static str, &'static str),
    memory: (&'static str, &'static str),
}

impl Support {
    /// The name under which the cluster configures it.
    fn key(self) -> &'static str {
        match self {
            Self::ContainerDiskCopy | Self::ContainerDisk => "container-disk",
            Self::Virtiofs => "virtiofs",
            Self::Hook => "sidecar",
            Self::ConsoleLog => "guest-console-log",
            Self::HotplugDisk => "hotplug-disk",
        }
    }

    /// Requests and limits; hook sidecars have some only where requests must equal limits.
    fn defaults(self, matched: bool) -> Option<Defaults> {
        let (cpu, memory) = match self {
            Self::ContainerDiskCopy if matched => (("10m", "10m"), ("40M", "40M")),
            Self::ContainerDiskCopy => (("10m", "100m"), ("1M", "40M")),
            Self::ContainerDisk => (("1m", "10m"), ("1M", "40M")),
            Self::Virtiofs => (("10m", "100m"), ("1M", "80M")),
            Self::Hook if matched => (("200m", "200m"), ("64M", "64M")),
            Self::Hook => return None,
            Self::ConsoleLog => (("5m", "15m"), ("35M", "60M")),
            Self::HotplugDisk => (("10m", "100m"), ("2M", "80M")),
        };
        Some(Defaults { cpu, memory })
    }

    /// The container's resources: defaults, overridden by the cluster; requests equal limits in pods that must be
    /// Guaranteed.
    pub(super) fn resources(self, vmi: &VirtualMachineInstance, settings: Settings<'_>) -> ResourceRequirements {
        let matched = self != Self::HotplugDisk && (vmi::has_dedicated_cpus(vmi) || is_guaranteed(vmi));
        let mut requests: BTreeMap<String, Quantity> = BTreeMap::new();
        let mut limits: BTreeMap<String, Quantity> = BTreeMap::new();
        if let Some(defaults) = self.defaults(matched) {
            for (name, (request, limit)) in [("cpu", defaults.cpu), ("memory", defaults.memory)] {
                requests.insert(name.to_owned(), Quantity(request.to_owned()));
                limits.insert(name.to_owned(), Quantity(limit.to_owned()));
            }
        }
        for name in ["cpu", "memory"] {
            let (request, limit) = settings.support_resources(self.key(), name);
            requests.extend(request.map(|q| (name.to_owned(), q)));
            limits.extend(limit.map(|q| (name.to_owned(), q)));
        }
        if matched {
            requests = limits.clone();
        }
        if self == Self::ContainerDisk {
            requests.insert("ephemeral-storage".to_owned(), Quantity("50M".to_owned()));
        }
        ResourceRequirements {
            requests: (!requests.is_empty()).then_some(requests),
            limits: (!limits.is_empty()).then_some(limits),
            claims: None,
        }
    }
}

/// The security context of helpers that need no privilege at all.
pub(super) fn unprivileged() -> SecurityContext {
    SecurityContext {
        run_as_user: Some(vmi::NON_ROOT_UID),
        run_as_non_root: Some(true),
        allow_privilege_escalation: Some(false),
        capabilities: Some(super::security::drop_all()),
        ..SecurityContext::default()
    }
}
