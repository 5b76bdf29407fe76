//! Whether a VMI can be migrated: the conditions LiveMigratable and StorageLiveMigratable (node.md §6.9).

use api::config::ClusterConfig;
use api::names::{ALLOW_POD_BRIDGE_LIVE_MIGRATION_ANNOTATION, reason};
use api::v1::values::migration_method;
use api::v1::{VirtualMachineInstance, Volume};

/// What stands in the way of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The condition's reason.
    pub reason: &'static str,
    /// The condition's message.
    pub message: String,
}

/// What was found out about migrating a VMI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migratability {
    /// The first obstacle of those that count for a migration.
    pub obstacle: Option<Obstacle>,
    /// The message when storage cannot be migrated live.
    pub storage: Option<String>,
    /// `BlockMigration` or `LiveMigration`.
    pub method: &'static str,
}

/// Finds out. `node_has_host_model` says whether the node tells what host-model means on it.
pub fn check(vmi: &VirtualMachineInstance, config: &ClusterConfig, node_has_host_model: bool) -> Migratability {
    let (disks, block) = disks(vmi);
    let method = if block { migration_method::BLOCK_MIGRATION } else { migration_method::LIVE_MIGRATION };
    let mut obstacles: Vec<Obstacle> = Vec::new();
    obstacles.extend(interfaces(vmi, config));
    obstacles.extend(cpu(vmi, node_has_host_model));
    obstacles.extend(host_devices(vmi, config));
    obstacles.extend(confidential(vmi));
    obstacles.extend(tsc(vmi));
    obstacles.extend(hyperv_passthrough(vmi));
    let storage =
        obstacles.iter().chain(persistent_reservation(vmi).iter()).map(|o| format!("{}: {}", o.reason, o.message)).collect::<Vec<_>>();
    let storage = (!storage.is_empty()).then(|| storage.join(", "));
    Migratability { obstacle: obstacles.into_iter().next().or(disks), storage, method }
}

fn obstacle(reason: &'static str, message: impl Into<String>) -> Obstacle {
    Obstacle { reason, message: message.into() }
}

fn interfaces(vmi: &VirtualMachineInstance, config: &ClusterConfig) -> Option<Obstacle> {
    let network = vmi.spec.networks.iter().find(|network| network.pod.is_some())?;
    let nic = vmi.spec.domain.devices.interfaces.iter().find(|nic| nic.name == network.name)?;
    if nic.masquerade.is_some() || nic.passt.is_some() || nic.passt_binding.is_some() {
        return None;
    }
    let annotated = vmi.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(ALLOW_POD_BRIDGE_LIVE_MIGRATION_ANNOTATION));
    if nic.bridge.is_some() && annotated {
        return None;
    }
    let plugin = nic.binding.as_ref().and_then(|binding| config.network_bindings().get(&binding.name).cloned());
    if plugin.is_some_and(|plugin| plugin.migration.is_some()) {
        return None;
    }
    Some(obstacle(
        reason::INTERFACE_NOT_LIVE_MIGRATABLE,
        format!(
            "cannot migrate VMI which does not use masquerade, bridge with {ALLOW_POD_BRIDGE_LIVE_MIGRATION_ANNOTATION} \
             VM annotation or a migratable plugin to connect to the pod network"
        ),
    ))
}

fn cpu(vmi: &VirtualMachineInstance, node_has_host_model: bool) -> Option<Obstacle> {
    let model = vmi.spec.domain.cpu.as_ref().and_then(|cpu| cpu.model.as_deref());
    let host_model = matches!(model, None | Some("" | "host-model"));
    let native = vmi.spec.architecture.as_deref().is_none_or(|arch| matches!(arch, "" | "amd64"));
    (host_model && native && !node_has_host_model).then(|| {
        obstacle(
            reason::CPU_MODE_LIVE_MIGRATABLE,
            "the node does not have the host-model-cpu label: the VMI cannot be migrated with a host-model CPU",
        )
    })
}

fn host_devices(vmi: &VirtualMachineInstance, config: &ClusterConfig) -> Option<Obstacle> {
    let devices = &vmi.spec.domain.devices;
    let gpus = match devices.gpus.len() {
        0 => true,
        1 => config.gate("VGPULiveMigration"),
        _ => false,
    };
    (!devices.host_devices.is_empty() || !gpus).then(|| obstacle(reason::HOST_DEVICE_NOT_LIVE_MIGRATABLE, "VMI uses a PCI host devices"))
}

fn confidential(vmi: &VirtualMachineInstance) -> Option<Obstacle> {
    let security = vmi.spec.domain.launch_security.as_ref()?;
    if security.sev.is_some() || security.snp.is_some() {
        Some(obstacle(reason::SEV_NOT_LIVE_MIGRATABLE, "VMI uses SEV"))
    } else if security.tdx.is_some() {
        Some(obstacle(reason::TDX_NOT_LIVE_MIGRATABLE, "VMI uses TDX"))
    } else if vmi.spec.architecture.as_deref() == Some("s390x") {
        Some(obstacle(reason::SECURE_EXECUTION_NOT_LIVE_MIGRATABLE, "VMI uses Secure Execution"))
    } else {
        None
    }
}

fn tsc(vmi: &VirtualMachineInstance) -> Option<Obstacle> {
    let enabled = |state: Option<&api::v1::FeatureState>| state.is_some_and(|state| state.enabled != Some(false));
    let hyperv = vmi.spec.domain.features.as_ref().and_then(|features| features.hyperv.as_ref());
    let reenlightenment = hyperv.is_some_and(|hyperv| enabled(hyperv.reenlightenment.as_ref()));
    let cpu = vmi.spec.domain.cpu.as_ref();
    let invtsc = cpu.is_some_and(|cpu| {
        let required = |policy: Option<&str>| matches!(policy, None | Some("" | "require"));
        cpu.features.iter().any(|feature| feature.name == "invtsc" && required(feature.policy.as_deref()))
    });
    let hints = vmi.status.as_ref().and_then(|status| status.topology_hints.as_ref());
    let known = hints.is_some_and(|hints| hints.tsc_frequency.is_some());
    ((reenlightenment || invtsc) && !known).then(|| {
        obstacle(
            reason::NO_TSC_FREQUENCY_NOT_LIVE_MIGRATABLE,
            "HyperV Reenlightenment VMIs cannot migrate when TSC Frequency is not exposed on the cluster: guest timers might be inconsistent",
        )
    })
}

fn hyperv_passthrough(vmi: &VirtualMachineInstance) -> Option<Obstacle> {
    let features = vmi.spec.domain.features.as_ref()?;
    let passthrough = features.hyperv_passthrough.as_ref()?;
    (passthrough.enabled == Some(true)).then(|| obstacle(reason::HYPERV_PASSTHROUGH_NOT_LIVE_MIGRATABLE, "VMI uses hyperv passthrough"))
}

fn persistent_reservation(vmi: &VirtualMachineInstance) -> Option<Obstacle> {
    let reserved = |disk: &api::v1::Disk| disk.lun.as_ref().is_some_and(|lun| lun.reservation == Some(true));
    vmi.spec
        .domain
        .devices
        .disks
        .iter()
        .any(reserved)
        .then(|| obstacle(reason::PERSISTENT_RESERVATION_NOT_LIVE_MIGRATABLE, "VMI uses SCSI persistent reservation"))
}

/// The obstacle among the volumes, and whether storage has to be copied.
fn disks(vmi: &VirtualMachineInstance) -> (Option<Obstacle>, bool) {
    let status = vmi.status.as_ref();
    let migrated = status.map(|status| status.migrated_volumes.as_slice()).unwrap_or_default();
    let mut block = !migrated.is_empty();
    for volume in &vmi.spec.volumes {
        let filesystem = vmi.spec.domain.devices.filesystems.iter().any(|fs| fs.name == volume.name);
        let cdrom = vmi.spec.domain.devices.disks.iter().any(|disk| {
            let read_only = |cdrom: &api::v1::CDRomTarget| cdrom.readonly != Some(false);
            disk.name == volume.name && disk.cdrom.as_ref().is_some_and(read_only)
        });
        if filesystem || cdrom || migrated.iter().any(|migrated| migrated.volume_name == volume.name) {
            continue;
        }
        if let Some(claim) = claim_name(volume) {
            if !is_shared(vmi, volume) {
                let message = format!(
                    "cannot migrate VMI: PVC {claim} is not shared, live migration requires that all PVCs must be shared \
                     (using ReadWriteMany access mode)"
                );
                return (Some(obstacle(reason::DISKS_NOT_LIVE_MIGRATABLE, message)), true);
            }
        } else if let Some(disk) = &volume.host_disk {
            if disk.shared != Some(true) {
                let message = "cannot migrate VMI with non-shared HostDisk";
                return (Some(obstacle(reason::DISKS_NOT_LIVE_MIGRATABLE, message)), true);
            }
        } else {
            block = true;
        }
    }
    (None, block)
}

fn claim_name(volume: &Volume) -> Option<&str> {
    let claim = volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.as_str());
    claim.or_else(|| volume.data_volume.as_ref().map(|data_volume| data_volume.name.as_str()))
}

fn is_shared(vmi: &VirtualMachineInstance, volume: &Volume) -> bool {
    let statuses = vmi.status.as_ref().map(|status| status.volume_status.as_slice()).unwrap_or_default();
    let claim = statuses.iter().find(|status| status.name == volume.name).and_then(|status| status.persistent_volume_claim_info.as_ref());
    claim.is_some_and(|claim| claim.access_modes.iter().any(|mode| mode == "ReadWriteMany"))
}

#[cfg(test)]
mod tests {
    use api::v1::{
        CPU, ContainerDiskSource, GPU, HostDevice, Interface, InterfaceBridge, InterfaceMasquerade, LaunchSecurity, Network,
        PersistentVolumeClaimInfo, PersistentVolumeClaimVolumeSource, PodNetwork, SEV, VolumeStatus,
    };
    use rstest::rstest;

    use super::*;

    fn plain() -> VirtualMachineInstance {
        let mut vmi = VirtualMachineInstance::default();
        vmi.spec.networks = vec![Network { name: "default".to_owned(), pod: Some(PodNetwork::default()), ..Network::default() }];
        vmi.spec.domain.devices.interfaces =
            vec![Interface { name: "default".to_owned(), masquerade: Some(InterfaceMasquerade {}), ..Interface::default() }];
        vmi
    }

    fn bridged(vmi: &mut VirtualMachineInstance) {
        vmi.spec.domain.devices.interfaces[0].masquerade = None;
        vmi.spec.domain.devices.interfaces[0].bridge = Some(InterfaceBridge {});
    }

    fn claim(vmi: &mut VirtualMachineInstance, modes: &[&str]) {
        let source = PersistentVolumeClaimVolumeSource { claim_name: "pvc".to_owned(), ..Default::default() };
        vmi.spec.volumes = vec![Volume { name: "disk".to_owned(), persistent_volume_claim: Some(source), ..Volume::default() }];
        let access_modes = modes.iter().map(|mode| (*mode).to_owned()).collect();
        let info = PersistentVolumeClaimInfo { access_modes, ..PersistentVolumeClaimInfo::default() };
        vmi.status.get_or_insert_default().volume_status =
            vec![VolumeStatus { name: "disk".to_owned(), persistent_volume_claim_info: Some(info), ..VolumeStatus::default() }];
    }

    #[rstest]
    #[case::plain(|_: &mut VirtualMachineInstance| {}, None, "LiveMigration")]
    #[case::bridge(bridged, Some("InterfaceNotLiveMigratable"), "LiveMigration")]
    #[case::bridge_allowed(|vmi: &mut VirtualMachineInstance| {
        bridged(vmi);
        vmi.metadata.annotations = Some([(ALLOW_POD_BRIDGE_LIVE_MIGRATION_ANNOTATION.to_owned(), String::new())].into());
    }, None, "LiveMigration")]
    #[case::shared_claim(|vmi: &mut VirtualMachineInstance| claim(vmi, &["ReadWriteMany"]), None, "LiveMigration")]
    #[case::own_claim(
        |vmi: &mut VirtualMachineInstance| claim(vmi, &["ReadWriteOnce"]), Some("DisksNotLiveMigratable"), "BlockMigration"
    )]
    #[case::container_disk(|vmi: &mut VirtualMachineInstance| {
        let container_disk = Some(ContainerDiskSource::default());
        vmi.spec.volumes = vec![Volume { name: "disk".to_owned(), container_disk, ..Volume::default() }];
    }, None, "BlockMigration")]
    #[case::host_device(|vmi: &mut VirtualMachineInstance| {
        vmi.spec.domain.devices.host_devices = vec![HostDevice::default()];
    }, Some("HostDeviceNotLiveMigratable"), "LiveMigration")]
    #[case::gpu(|vmi: &mut VirtualMachineInstance| {
        vmi.spec.domain.devices.gpus = vec![GPU::default()];
    }, Some("HostDeviceNotLiveMigratable"), "LiveMigration")]
    #[case::sev(|vmi: &mut VirtualMachineInstance| {
        let security = LaunchSecurity { sev: Some(SEV::default()), ..LaunchSecurity::default() };
        vmi.spec.domain.launch_security = Some(security);
    }, Some("SEVNotLiveMigratable"), "LiveMigration")]
    fn obstacles(#[case] with: fn(&mut VirtualMachineInstance), #[case] reason: Option<&str>, #[case] method: &str) {
        let mut vmi = plain();
        with(&mut vmi);
        let found = check(&vmi, &ClusterConfig::from_kubevirt(None), true);
        assert_eq!((found.obstacle.map(|obstacle| obstacle.reason), found.method), (reason, method));
    }

    #[test]
    fn storage_lists_every_obstacle() {
        let mut vmi = plain();
        bridged(&mut vmi);
        vmi.spec.domain.devices.host_devices = vec![HostDevice::default()];
        let found = check(&vmi, &ClusterConfig::from_kubevirt(None), true);
        let storage = found.storage.expect("obstacles");
        assert!(storage.starts_with("InterfaceNotLiveMigratable: cannot migrate VMI"), "{storage}");
        assert!(storage.ends_with(", HostDeviceNotLiveMigratable: VMI uses a PCI host devices"), "{storage}");
    }

    #[test]
    fn host_model_needs_a_node_that_says_what_it_means() {
        let mut vmi = plain();
        let config = ClusterConfig::from_kubevirt(None);
        assert_eq!(check(&vmi, &config, false).obstacle.map(|o| o.reason), Some("CPUModeLiveMigratable"));
        vmi.spec.domain.cpu = Some(CPU { model: Some("Haswell".to_owned()), ..CPU::default() });
        assert_eq!(check(&vmi, &config, false).obstacle, None);
    }
}
