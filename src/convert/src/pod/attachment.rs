//! Pods that bring volumes to the node of a running guest. Source: spec/pod.md §11.

use std::collections::BTreeMap;

use api::config::ClusterConfig;
use api::v1::{self, VirtualMachineInstance};
use k8s_openapi::api::core::v1::{
    Affinity, Container, EmptyDirVolumeSource, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    PersistentVolumeClaimVolumeSource, Pod, PodAffinity, PodAffinityTerm, PodSecurityContext, PodSpec, SELinuxOptions, SeccompProfile,
    SecurityContext, Toleration, Volume, VolumeDevice, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::migration::selinux_level;
use super::scheduling::HOSTNAME;
use super::support::{Support, unprivileged};
use super::{Claim, PodError};
use crate::settings::Settings;
use crate::vmi;

const NAME: &str = "hotplug-disk";
const DISKS_VOLUME: &str = "hotplug-disks";

/// The pod that holds `volumes` on the node of the launcher pod `owner`. `claims` are the claims that are filled, by volume
/// name; a volume without one stays in the pod unmounted.
///
/// # Errors
/// [`PodError::SelinuxContext`].
pub fn attachment_pod(
    vmi: &VirtualMachineInstance,
    volumes: &[&v1::Volume],
    owner: &Pod,
    claims: &BTreeMap<String, Claim>,
    config: &ClusterConfig,
    launcher_image: &str,
) -> Result<Pod, PodError> {
    let settings = Settings::new(config);
    let kind = settings.selinux_launcher_type().map(ToOwned::to_owned);
    let mut container = container(vmi, settings, launcher_image, kind)?;
    container.command = Some(["/bin/sh", "-c", "/usr/bin/container-disk --copy-path /path/hp"].map(ToOwned::to_owned).to_vec());
    let arrived = |name: &str| {
        let status = vmi.status.iter().flat_map(|s| &s.volume_status).find(|v| v.name == name && v.hotplug_volume.is_some());
        status.is_some_and(|v| matches!(v.phase.as_deref(), Some("Ready" | "MountedToPod")))
    };
    let mut list = vec![disks_volume()];
    for volume in volumes {
        let pvc = volume.persistent_volume_claim.as_ref().map(|p| &p.claim_name);
        let memory_dump = volume.memory_dump.as_ref().map(|m| &m.claim_name);
        let Some(claim_name) = pvc.or(volume.data_volume.as_ref().map(|d| &d.name)).or(memory_dump) else { continue };
        list.push(claim_volume(&volume.name, claim_name));
        match claims.get(&volume.name) {
            Some(claim) if claim.block => container
                .volume_devices
                .get_or_insert_default()
                .push(VolumeDevice { name: volume.name.clone(), device_path: format!("/path/{}/{}", volume.name, claim.uid) }),
            // What the guest has already needs no mount to be found by.
            Some(_) if !arrived(&volume.name) => container.volume_mounts.get_or_insert_default().push(VolumeMount {
                name: volume.name.clone(),
                mount_path: format!("/{}", volume.name),
                ..VolumeMount::default()
            }),
            _ => {}
        }
    }
    let owner_spec = owner.spec.clone().unwrap_or_default();
    let term = NodeSelectorTerm {
        match_expressions: Some(vec![NodeSelectorRequirement {
            key: HOSTNAME.to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![owner_spec.node_name.unwrap_or_default()]),
        }]),
        match_fields: None,
    };
    let affinity = Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector { node_selector_terms: vec![term] }),
            preferred_during_scheduling_ignored_during_execution: None,
        }),
        ..Affinity::default()
    };
    let tolerations = tolerations(owner_spec.tolerations.unwrap_or_default());
    Ok(pod(vmi, owner, container, list, affinity, tolerations, false))
}

/// The pod that makes a claim bind which waits for its first consumer: it runs beside the launcher and ends at once.
///
/// # Errors
/// [`PodError::SelinuxContext`].
pub fn trigger_pod(
    vmi: &VirtualMachineInstance,
    volume: &str,
    claim_name: &str,
    block: bool,
    owner: &Pod,
    config: &ClusterConfig,
    launcher_image: &str,
) -> Result<Pod, PodError> {
    let mut container = container(vmi, Settings::new(config), launcher_image, None)?;
    container.command = Some(["/bin/bash", "-c", "exit", "0"].map(ToOwned::to_owned).to_vec());
    if block {
        let device = VolumeDevice { name: volume.to_owned(), device_path: "/dev/hotplugblockdevice".to_owned() };
        container.volume_devices = Some(vec![device]);
    } else {
        let mount = VolumeMount { name: volume.to_owned(), mount_path: "/pvc".to_owned(), ..VolumeMount::default() };
        container.volume_mounts.get_or_insert_default().push(mount);
    }
    let affinity = Affinity {
        pod_affinity: Some(PodAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![PodAffinityTerm {
                label_selector: Some(LabelSelector { match_labels: owner.metadata.labels.clone(), match_expressions: None }),
                topology_key: HOSTNAME.to_owned(),
                ..PodAffinityTerm::default()
            }]),
            preferred_during_scheduling_ignored_during_execution: None,
        }),
        ..Affinity::default()
    };
    let tolerations = owner.spec.as_ref().and_then(|s| s.tolerations.clone()).unwrap_or_default();
    let volumes = vec![claim_volume(volume, claim_name), disks_volume()];
    let mut pod = pod(vmi, owner, container, volumes, affinity, tolerations, true);
    if block && let Some(spec) = &mut pod.spec {
        spec.security_context = Some(PodSecurityContext { run_as_user: Some(0), ..PodSecurityContext::default() });
    }
    Ok(pod)
}

fn disks_volume() -> Volume {
    Volume { name: DISKS_VOLUME.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

fn claim_volume(name: &str, claim_name: &str) -> Volume {
    let source = PersistentVolumeClaimVolumeSource { claim_name: claim_name.to_owned(), read_only: None };
    Volume { name: name.to_owned(), persistent_volume_claim: Some(source), ..Volume::default() }
}

/// The level the guest's launcher has, so that it may use what this pod brings.
fn level(vmi: &VirtualMachineInstance) -> Result<String, PodError> {
    const WITHOUT_CATEGORIES: &str = "s0";
    let status = vmi.status.as_ref();
    let own = status.and_then(|s| s.selinux_context.as_deref()).filter(|c| !c.is_empty());
    let source =
        status.and_then(|s| s.migration_state.as_ref()?.source_state.as_ref()?.selinux_context.as_deref()).filter(|c| !c.is_empty());
    match own.or(source) {
        Some("none") => Ok(WITHOUT_CATEGORIES.to_owned()),
        Some(context) => selinux_level(context).map(ToOwned::to_owned),
        None => Err(PodError::SelinuxContext(String::new())),
    }
}

fn container(
    vmi: &VirtualMachineInstance,
    settings: Settings<'_>,
    image: &str,
    selinux_type: Option<String>,
) -> Result<Container, PodError> {
    let selinux = SELinuxOptions { type_: selinux_type, level: Some(level(vmi)?), ..SELinuxOptions::default() };
    Ok(Container {
        name: NAME.to_owned(),
        image: Some(image.to_owned()),
        resources: Some(Support::HotplugDisk.resources(vmi, settings)),
        security_context: Some(SecurityContext {
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            se_linux_options: Some(selinux),
            ..unprivileged()
        }),
        volume_mounts: Some(vec![VolumeMount {
            name: DISKS_VOLUME.to_owned(),
            mount_path: "/path".to_owned(),
            mount_propagation: Some("HostToContainer".to_owned()),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    })
}

/// The launcher's tolerations, and those of a node that only its guest can leave; by key, neighbours once.
fn tolerations(of_owner: Vec<Toleration>) -> Vec<Toleration> {
    let mut all: Vec<Toleration> = ["unschedulable", "network-unavailable", "disk-pressure", "memory-pressure", "pid-pressure"]
        .into_iter()
        .map(|taint| Toleration {
            key: Some(format!("node.kubernetes.io/{taint}")),
            operator: Some("Exists".to_owned()),
            effect: Some("NoSchedule".to_owned()),
            ..Toleration::default()
        })
        .collect();
    all.extend(of_owner);
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all.dedup();
    all
}

fn pod(
    vmi: &VirtualMachineInstance,
    owner: &Pod,
    container: Container,
    volumes: Vec<Volume>,
    affinity: Affinity,
    tolerations: Vec<Toleration>,
    temporary: bool,
) -> Pod {
    let mut annotations = BTreeMap::from([
        ("kubevirt.io/owner-vmi-name".to_owned(), vmi::name(vmi).to_owned()),
        ("kubevirt.io/owner-vmi-uid".to_owned(), vmi::uid(vmi).to_owned()),
    ]);
    if temporary {
        annotations.insert("kubevirt.io/ephemeral-provisioning".to_owned(), "true".to_owned());
    }
    Pod {
        metadata: ObjectMeta {
            generate_name: Some("hp-volume-".to_owned()),
            labels: Some(BTreeMap::from([("kubevirt.io".to_owned(), NAME.to_owned())])),
            annotations: Some(annotations),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Pod".to_owned(),
                name: owner.metadata.name.clone().unwrap_or_default(),
                uid: owner.metadata.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: vec![container],
            affinity: Some(affinity),
            tolerations: super::some_list(tolerations),
            volumes: Some(volumes),
            termination_grace_period_seconds: Some(0),
            ..PodSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_are_sorted_and_neighbours_merged() {
        let own = Toleration { key: Some("a".into()), operator: Some("Exists".into()), ..Toleration::default() };
        let keys: Vec<_> = tolerations(vec![own.clone(), own]).into_iter().filter_map(|t| t.key).collect();
        assert_eq!(keys.len(), 6);
        assert_eq!((keys[0].as_str(), keys[1].as_str()), ("a", "node.kubernetes.io/disk-pressure"));
    }

    #[test]
    fn a_guest_without_a_known_context_gets_no_volumes() {
        let vmi = VirtualMachineInstance::default();
        let pod = attachment_pod(&vmi, &[], &Pod::default(), &BTreeMap::new(), &ClusterConfig::default(), "i");
        assert_eq!(pod.unwrap_err(), PodError::SelinuxContext(String::new()));
    }

    #[test]
    fn volumes_by_mode_and_phase() {
        let mut vmi = VirtualMachineInstance::default();
        let status = vmi.status.get_or_insert_default();
        status.selinux_context = Some("u:r:t:s0:c1,c2".into());
        let volume_status = v1::VolumeStatus {
            name: "there".into(),
            phase: Some("Ready".into()),
            hotplug_volume: Some(v1::HotplugVolumeStatus::default()),
            ..v1::VolumeStatus::default()
        };
        status.volume_status = vec![volume_status];
        let volume = |name: &str| v1::Volume {
            name: name.into(),
            data_volume: Some(v1::DataVolumeSource { name: format!("{name}-dv"), hotpluggable: Some(true) }),
            ..v1::Volume::default()
        };
        let volumes = [volume("there"), volume("new"), volume("raw"), volume("empty")];
        let claim = |block| Claim { uid: "uid".into(), block, read_write_many: false };
        let claims =
            BTreeMap::from([("there".to_owned(), claim(false)), ("new".to_owned(), claim(false)), ("raw".to_owned(), claim(true))]);
        let list: Vec<&v1::Volume> = volumes.iter().collect();
        let pod = attachment_pod(&vmi, &list, &Pod::default(), &claims, &ClusterConfig::default(), "i").unwrap();
        let spec = pod.spec.unwrap();
        assert_eq!(spec.volumes.unwrap().len(), 5);
        let container = &spec.containers[0];
        let mounts: Vec<_> = container.volume_mounts.iter().flatten().map(|m| m.mount_path.as_str()).collect();
        assert_eq!(mounts, ["/path", "/new"]);
        assert_eq!(container.volume_devices.as_ref().unwrap()[0].device_path, "/path/raw/uid");
        let options = container.security_context.as_ref().unwrap().se_linux_options.as_ref().unwrap();
        assert_eq!(options.level.as_deref(), Some("s0:c1,c2"));
    }
}
