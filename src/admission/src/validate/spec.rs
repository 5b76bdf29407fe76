//! The rules of an instance's specification that every kind shares, in order (spec/admission.md §5.1).

use api::config::ClusterConfig;
use api::v1::{Network, VirtualMachineInstanceSpec, Volume};

use super::{access, affinity, compute, devices, disks, dra, launch_security, network, remaining, volumes};
use crate::Causes;

/// A specification under judgement, and how its fields are called.
pub struct SpecContext<'a> {
    /// The path of the specification, for example `spec.template.spec`.
    pub base: &'a str,
    /// The specification.
    pub spec: &'a VirtualMachineInstanceSpec,
    /// The cluster's configuration.
    pub config: &'a ClusterConfig,
}

impl SpecContext<'_> {
    /// A field's path.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}.{path}", self.base)
    }

    /// A field's path below `domain`.
    pub(super) fn domain(&self, path: &str) -> String {
        format!("{}.domain.{path}", self.base)
    }

    /// The architecture, or the cluster's default.
    pub(super) fn architecture(&self) -> &str {
        self.spec.architecture.as_deref().filter(|a| !a.is_empty()).unwrap_or_else(|| self.config.default_architecture())
    }

    /// The volume of that name.
    pub(super) fn volume(&self, name: &str) -> Option<&Volume> {
        self.spec.volumes.iter().find(|v| v.name == name)
    }

    /// The network of that name.
    pub(super) fn network(&self, name: &str) -> Option<&Network> {
        self.spec.networks.iter().find(|n| n.name == name)
    }
}

/// Every rule of §5.2-§5.11; nothing stops at the first cause.
pub fn validate_spec(cx: &SpecContext<'_>) -> Causes {
    let mut causes = Causes::default();
    compute::validate(cx, &mut causes);
    affinity::validate(cx, &mut causes);
    network::validate(cx, &mut causes);
    dra::validate(cx, &mut causes);
    devices::validate(cx, &mut causes);
    disks::validate(&cx.domain("devices.disks"), &cx.spec.domain.devices.disks, &mut causes);
    disks::firmware(&cx.domain("firmware"), cx.spec.domain.firmware.as_deref(), &mut causes);
    disks::secure_boot(cx, &mut causes);
    volumes::validate(cx, &mut causes);
    volumes::container_disks(cx, &mut causes);
    access::utility_volumes(cx, &mut causes);
    access::validate(cx, &mut causes);
    remaining::eviction_and_devices(cx, &mut causes);
    launch_security::validate(cx, &mut causes);
    remaining::validate(cx, &mut causes);
    causes
}
