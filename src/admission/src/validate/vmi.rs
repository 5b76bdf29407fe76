//! A new instance (spec/admission.md §7.1).

use std::collections::BTreeSet;

use api::config::ClusterConfig;
use api::quantity;
use api::v1::VirtualMachineInstance;

use super::spec::{SpecContext, validate_spec};
use super::{access, arch, disks, metadata, network, remaining, volumes};
use crate::{Causes, Denial, Requester};

/// Judges an instance that has its defaults.
///
/// Network, container disk, utility volume and disk rules run twice, as upstream's do, and their causes are listed twice.
///
/// # Errors
/// Every rule that is broken, in upstream's order.
pub fn validate_vmi_create(vmi: &VirtualMachineInstance, requester: &Requester, config: &ClusterConfig) -> Result<(), Denial> {
    let cx = SpecContext { base: "spec", spec: &vmi.spec, config };
    let mut causes = Causes::default();
    network::discontinued_gates(&cx, &mut causes);
    network::discontinued_bindings(&cx, &mut causes);
    network::validate(&cx, &mut causes);
    volumes::container_disks(&cx, &mut causes);
    access::utility_volumes(&cx, &mut causes);
    disks::validate(&cx.domain("devices.disks"), &vmi.spec.domain.devices.disks, &mut causes);
    causes.extend(validate_spec(&cx));
    mapping(&cx, &mut causes);
    memory(&cx, &mut causes);
    let labels = vmi.metadata.labels.clone().unwrap_or_default();
    let annotations = vmi.metadata.annotations.clone().unwrap_or_default();
    metadata::validate("metadata", &labels, &annotations, requester, config, &mut causes);
    remaining::grace_annotations(&cx, "metadata", &annotations, &mut causes);
    arch::hyperv(&vmi.spec, &mut causes);
    arch::validate(&vmi.spec, &mut causes);
    causes.into_result()
}

/// VC1-VC4.
fn mapping(cx: &SpecContext<'_>, causes: &mut Causes) {
    let devices = &cx.spec.domain.devices;
    let disks: BTreeSet<&str> = devices.disks.iter().map(|d| d.name.as_str()).collect();
    let filesystems: BTreeSet<&str> = devices.filesystems.iter().map(|f| f.name.as_str()).collect();
    for (i, volume) in cx.spec.volumes.iter().enumerate().filter(|(_, v)| v.memory_dump.is_none()) {
        let name = &volume.name;
        let has_disk = disks.contains(name.as_str());
        let has_filesystem = filesystems.contains(name.as_str());
        let field = format!("spec.domain.volumes[{i}]");
        if !has_disk && !has_filesystem {
            causes.invalid(format!("{field}.name"), format!("{field}.name '{name}' not found."));
        }
        let Some(source) = &volume.container_path else { continue };
        if has_disk {
            causes.invalid(&field, format!("ContainerPath volume '{name}' must be mapped to a filesystem, not a disk"));
        }
        if !has_filesystem {
            let message =
                format!("ContainerPath volume '{name}' must have a matching filesystem defined in spec.domain.devices.filesystems");
            causes.invalid(&field, message);
        }
        if let Some(prefix) = ["/var/run/kubevirt", "/var/run/libvirt"].iter().find(|p| source.path.starts_with(**p)) {
            let message = format!("ContainerPath volume '{name}' uses reserved path prefix '{prefix}'");
            causes.invalid(format!("{field}.containerPath.path"), message);
        }
    }
}

/// VC5.
fn memory(cx: &SpecContext<'_>, causes: &mut Causes) {
    let domain = &cx.spec.domain;
    let requested = domain.resources.as_ref().and_then(|r| r.requests.get("memory")).map(quantity::amount).unwrap_or_default();
    let given = domain.memory.as_ref().is_some_and(|m| m.guest.is_some() || m.hugepages.is_some());
    if requested.is_zero() && !given {
        let message = "no memory requested, at least one of 'spec.domain.memory.guest', 'spec.domain.memory.hugepages.pageSize' or 'spec.domain.resources.requests.memory' must be set";
        causes.required("", message);
    }
}
