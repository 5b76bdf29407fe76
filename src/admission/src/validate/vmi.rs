//! A new instance (spec/admission.md §7.1).

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
    let has_disk = |name: &str| devices.disks.iter().any(|d| d.name == name);
    let has_filesystem = |name: &str| devices.filesystems.iter().any(|f| f.name == name);
    for (i, volume) in cx.spec.volumes.iter().enumerate() {
        if volume.memory_dump.is_none() && !has_disk(&volume.name) && !has_filesystem(&volume.name) {
            let field = format!("spec.domain.volumes[{i}].name");
            let message = format!("{field} '{}' not found.", volume.name);
            causes.invalid(field, message);
        }
    }
    for (i, volume) in cx.spec.volumes.iter().enumerate() {
        let Some(path) = &volume.container_path else { continue };
        let field = format!("spec.domain.volumes[{i}]");
        let name = &volume.name;
        if has_disk(name) {
            causes.invalid(&field, format!("ContainerPath volume '{name}' must be mapped to a filesystem, not a disk"));
        }
        if !has_filesystem(name) {
            causes.invalid(&field, format!("ContainerPath volume '{name}' must have a matching filesystem device"));
        }
        for prefix in ["/var/run/kubevirt", "/var/run/libvirt"] {
            if path.path.starts_with(prefix) {
                let message = format!("ContainerPath volume '{name}' uses reserved path prefix '{prefix}'");
                causes.invalid(format!("{field}.containerPath.path"), message);
            }
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
