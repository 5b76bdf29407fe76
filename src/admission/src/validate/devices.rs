//! Which volume a disk shows, boot order, inputs, I/O threads, probes (spec/admission.md §5.6).

use std::collections::{BTreeMap, BTreeSet};

use api::v1::{Probe, Volume};

use super::spec::SpecContext;
use crate::Causes;

/// B1-B12, P1-P4.
pub(super) fn validate(cx: &SpecContext<'_>, causes: &mut Causes) {
    let devices = &cx.spec.domain.devices;
    let volumes: BTreeMap<&str, &Volume> = cx.spec.volumes.iter().map(|v| (v.name.as_str(), v)).collect();
    let mut orders = BTreeSet::new();
    for (i, disk) in devices.disks.iter().enumerate() {
        let field = cx.domain(&format!("devices.disks[{i}]"));
        let volume = volumes.get(disk.name.as_str()).copied();
        match volume {
            None if disk.cdrom.is_none() => {
                causes.invalid(format!("{field}.name"), format!("{field}.Name '{}' not found.", disk.name));
            }
            None if !cx.config.gate("DeclarativeHotplugVolumes") => {
                let message = "DeclarativeHotplugVolumes feature gate not enabled, cannot define an empty CD-ROM disk";
                causes.invalid(format!("{field}.name"), message);
            }
            _ => {}
        }
        if let Some(volume) = volume {
            if disk.lun.is_some() && volume.persistent_volume_claim.is_none() && volume.data_volume.is_none() {
                let at = format!("{field}.lun");
                let message = format!("{at} can only be mapped to a DataVolume or PersistentVolumeClaim volume.");
                causes.invalid(at, message);
            }
            if volume.downward_metrics.is_some() {
                match &disk.disk {
                    None => {
                        let at = format!("{field}.disk");
                        let message = format!("DownwardMetrics volume must be mapped to a disk, but disk is not set on {at}.");
                        causes.required(at, message);
                    }
                    Some(target) => {
                        let bus = target.bus.as_deref().unwrap_or_default();
                        if !["", "virtio"].contains(&bus) {
                            let at = format!("{field}.disk.bus");
                            let message = format!("DownwardMetrics volume must be mapped to virtio bus, but {at} is set to {bus}");
                            causes.invalid(at, message);
                        }
                    }
                }
            }
        }
        if disk.boot_order.is_some_and(|o| !orders.insert(o)) {
            let at = format!("{field}.bootOrder");
            let message = format!("Boot order for {at} already set for a different device.");
            causes.invalid(at, message);
        }
    }
    for (i, interface) in devices.interfaces.iter().enumerate() {
        let Some(order) = interface.boot_order else { continue };
        if order < 1 {
            let at = format!("{}[{i}]", cx.base);
            causes.invalid(format!("{at}.bootOrder"), format!("{at} must have a boot order > 0, if supplied"));
        } else if !orders.insert(order) {
            let at = cx.domain(&format!("devices.interfaces[{i}].bootOrder"));
            let message = format!("Boot order for {at} already set for a different device.");
            causes.invalid(at, message);
        }
    }
    for (i, input) in devices.inputs.iter().enumerate() {
        let field = cx.domain(&format!("devices.inputs[{i}]"));
        if !["virtio", "usb", ""].contains(&input.bus.as_deref().unwrap_or_default()) {
            causes.invalid(format!("{field}.bus"), "Input device can have only virtio or usb bus.");
        }
        if input.r#type != "tablet" {
            causes.invalid(format!("{field}.type"), "Input device can have only tablet type.");
        }
    }
    io_threads(cx, causes);
    let probes = [("readinessProbe", &cx.spec.readiness_probe), ("livenessProbe", &cx.spec.liveness_probe)];
    for (name, probe) in probes {
        if let Some(probe) = probe {
            validate_probe(&cx.at(name), probe, causes);
        }
    }
    if cx.spec.networks.iter().any(|n| n.pod.is_some()) {
        return;
    }
    for (name, probe) in probes {
        if let Some(probe) = probe {
            reaches_no_guest(&cx.at(name), probe, causes);
        }
    }
}

/// B11, B12.
fn io_threads(cx: &SpecContext<'_>, causes: &mut Causes) {
    let Some(policy) = cx.spec.domain.io_threads_policy.as_deref() else { return };
    if !["shared", "auto", "supplementalPool"].contains(&policy) {
        causes.invalid(cx.domain("ioThreadsPolicy"), format!("Invalid IOThreadsPolicy ({policy})"));
    }
    let count = cx.spec.domain.io_threads.as_ref().and_then(|t| t.supplemental_pool_thread_count).unwrap_or_default();
    if policy == "supplementalPool" && count < 1 {
        let message = "the number of iothreads needs to be set and positive for the dedicated policy";
        causes.invalid(cx.domain("ioThreads.count"), message);
    }
}

/// P1, P2.
fn validate_probe(field: &str, probe: &Probe, causes: &mut Causes) {
    let handlers = [probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.exec.is_some(), probe.guest_agent_ping.is_some()];
    match handlers.iter().filter(|h| **h).count() {
        0 => {
            let message = format!("either {field}.tcpSocket, {field}.exec or {field}.httpGet must be set if a {field} is specified");
            causes.required(field, message);
        }
        1 => {}
        _ => causes.invalid(field, format!("{field} must have exactly one probe type set")),
    }
}

/// P3, P4: probes over the network, of a guest without a pod network.
fn reaches_no_guest(field: &str, probe: &Probe, causes: &mut Causes) {
    for (handler, set) in [("httpGet", probe.http_get.is_some()), ("tcpSocket", probe.tcp_socket.is_some())] {
        if set {
            let at = format!("{field}.{handler}");
            let message = format!("{at} is only allowed if the Pod Network is attached");
            causes.invalid(at, message);
        }
    }
}
