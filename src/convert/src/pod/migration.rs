//! The pod that a migration moves a guest into. Source: spec/pod.md §10.

use std::collections::BTreeMap;

use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::{NodeSelectorRequirement, Pod, SELinuxOptions};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::scheduling::{HOSTNAME, keep_apart, require_first};
use super::{Context, PodError, container_disks, launcher_pod};
use crate::paths::KERNEL_BOOT_VOLUME;
use crate::vmi;

const CPU_FEATURE: &str = "cpu-feature.node.kubevirt.io/";
const CPU_MODEL_MIGRATION: &str = "cpu-model-migration.node.kubevirt.io/";
const CPU_VENDOR: &str = "cpu-vendor.node.kubevirt.io/";
const HOST_MODEL_CPU: &str = "host-model-cpu.node.kubevirt.io/";
const HOST_MODEL_FEATURES: &str = "host-model-required-features.node.kubevirt.io/";

/// What the target depends on besides the VMI.
#[derive(Clone, Debug)]
pub struct Migration<'a> {
    /// The migration's name.
    pub name: &'a str,
    /// The migration's UID.
    pub uid: &'a str,
    /// Node labels the migration insists on.
    pub added_node_selector: &'a BTreeMap<String, String>,
    /// The labels of the node the guest runs on; of another cluster's node, what it handed over.
    pub source_node_labels: &'a BTreeMap<String, String>,
    /// The node selector of the pod the guest runs in.
    pub source_pod_node_selector: &'a BTreeMap<String, String>,
    /// The node the guest runs on, when source and target have different VMIs.
    pub decentralized_source_node: Option<&'a str>,
    /// The SELinux context of the guest.
    pub selinux_context: &'a str,
    /// Whether the target gets the guest's SELinux level.
    pub match_selinux_level: bool,
    /// Another image for the launcher, for tests of failures.
    pub image_override: Option<&'a str>,
}

/// The target's pod. The context carries images pinned by [`pinned_images`] and the migration's own claim for state.
///
/// # Errors
/// [`PodError`].
pub fn migration_target_pod(vmi: &VirtualMachineInstance, cx: &Context<'_>, migration: &Migration<'_>) -> Result<Pod, PodError> {
    let mut pod = launcher_pod(vmi, cx)?;
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert("kubevirt.io/migrationJobUID".to_owned(), migration.uid.to_owned());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert("kubevirt.io/migrationJobName".to_owned(), migration.name.to_owned());
    let spec = pod.spec.get_or_insert_default();

    let affinity = spec.affinity.get_or_insert_default();
    if let Some(node) = migration.decentralized_source_node {
        let elsewhere =
            NodeSelectorRequirement { key: HOSTNAME.to_owned(), operator: "NotIn".to_owned(), values: Some(vec![node.to_owned()]) };
        require_first(affinity.node_affinity.get_or_insert_default(), elsewhere);
    } else {
        let own = BTreeMap::from([("kubevirt.io/created-by".to_owned(), vmi::uid(vmi).to_owned())]);
        keep_apart(affinity.pod_anti_affinity.get_or_insert_default(), LabelSelector { match_labels: Some(own), match_expressions: None });
    }

    let mut selector = migration.added_node_selector.clone();
    selector.extend(spec.node_selector.take().unwrap_or_default());
    if vmi.spec.domain.cpu.as_ref().and_then(|c| c.model.as_deref()) == Some("host-model") {
        selector.extend(host_model_labels(migration)?);
    }
    if !selector.keys().any(|k| k.starts_with(CPU_VENDOR)) {
        let vendor = migration.source_node_labels.keys().find(|k| k.starts_with(CPU_VENDOR));
        selector.extend(vendor.map(|label| (label.clone(), "true".to_owned())));
    }
    spec.node_selector = Some(selector);

    if migration.match_selinux_level && migration.selinux_context != "none" {
        let level = selinux_level(migration.selinux_context)?;
        // The type goes: the target's own policy decides it.
        let options = SELinuxOptions { level: Some(level.to_owned()), ..SELinuxOptions::default() };
        spec.security_context.get_or_insert_default().se_linux_options = Some(options);
    }
    if let Some(image) = migration.image_override.filter(|i| !i.is_empty())
        && let Some(compute) = spec.containers.iter_mut().find(|c| c.name == "compute")
    {
        compute.image = Some(image.to_owned());
    }
    Ok(pod)
}

/// Where a guest with the host's CPU model can go: where it could go before, else to nodes with the source's model.
fn host_model_labels(migration: &Migration<'_>) -> Result<BTreeMap<String, String>, PodError> {
    let before: BTreeMap<String, String> = migration
        .source_pod_node_selector
        .iter()
        .filter(|(key, _)| key.contains(CPU_FEATURE) || key.contains(CPU_MODEL_MIGRATION))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !before.is_empty() {
        return Ok(before);
    }
    let mut labels = BTreeMap::new();
    let mut model = None;
    for (key, value) in migration.source_node_labels {
        if let Some(feature) = key.strip_prefix(HOST_MODEL_FEATURES) {
            labels.insert(format!("{CPU_FEATURE}{feature}"), value.clone());
        } else if let Some(name) = key.strip_prefix(HOST_MODEL_CPU) {
            model = Some((format!("{CPU_MODEL_MIGRATION}{name}"), value.clone()));
        }
    }
    let (key, value) = model.ok_or(PodError::HostModelUnknown)?;
    labels.insert(key, value);
    Ok(labels)
}

/// The level of an SELinux context, `USER:ROLE:TYPE:LEVEL`; a level may contain colons.
///
/// # Errors
/// [`PodError::SelinuxContext`] when there is none.
pub(super) fn selinux_level(context: &str) -> Result<&str, PodError> {
    context.splitn(4, ':').nth(3).filter(|l| !l.is_empty()).ok_or_else(|| PodError::SelinuxContext(context.to_owned()))
}

/// The images of container disks and kernel as the source runs them, by volume name: pinned by digest.
///
/// A digest in the pod's own image volumes wins over those of container statuses.
///
/// # Errors
/// [`PodError::ImageDigestUnknown`] when a running image has no digest: the target could get another one.
pub fn pinned_images(vmi: &VirtualMachineInstance, source: &Pod, image_volumes: bool) -> Result<BTreeMap<String, String>, PodError> {
    let disks = vmi.spec.volumes.iter().filter_map(|v| Some((v.name.clone(), v.container_disk.as_ref()?.image.clone())));
    let kernel = container_disks::kernel_boot(vmi).map(|k| (KERNEL_BOOT_VOLUME.to_owned(), k.image.clone()));
    let mut images: BTreeMap<String, String> = disks.chain(kernel).collect();
    let status = source.status.as_ref();
    let mut statuses: Vec<_> = status.and_then(|s| s.container_statuses.as_ref()).into_iter().flatten().collect();
    if image_volumes {
        statuses.extend(status.and_then(|s| s.init_container_statuses.as_ref()).into_iter().flatten());
        for volume in source.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
            let reference = volume.image.as_ref().and_then(|i| i.reference.as_ref()).filter(|r| r.contains("@sha256:"));
            if let (Some(image), Some(reference)) = (images.get_mut(&volume.name), reference) {
                image.clone_from(reference);
            }
        }
    }
    for status in statuses {
        let Some(volume) = status.name.strip_prefix("volume") else { continue };
        if let Some(image) = images.get_mut(volume) {
            *image = with_digest(image, &status.image_id)?;
        }
    }
    Ok(images)
}

/// `REPOSITORY@sha256:…` of an image and the id a runtime gave it.
fn with_digest(image: &str, id: &str) -> Result<String, PodError> {
    let digest = id.find("sha256:").and_then(|at| id.get(at..)).ok_or_else(|| PodError::ImageDigestUnknown(image.to_owned()))?;
    let repository = image.split('@').next().unwrap_or_default();
    let name = repository.rfind('/').map_or(0, |slash| slash + 1);
    let end = repository.get(name..).and_then(|n| n.find(':')).map_or(repository.len(), |colon| name + colon);
    Ok(format!("{}@{digest}", repository.get(..end).unwrap_or(repository)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("reg:5000/a/b:1", "docker-pullable://reg:5000/a/b@sha256:abc", Some("reg:5000/a/b@sha256:abc"))]
    #[case("a", "sha256:abc", Some("a@sha256:abc"))]
    #[case("a/b@sha256:old", "x@sha256:new", Some("a/b@sha256:new"))]
    #[case("a:1", "", None)]
    fn digests(#[case] image: &str, #[case] id: &str, #[case] wanted: Option<&str>) {
        assert_eq!(with_digest(image, id).ok().as_deref(), wanted);
    }

    #[rstest]
    #[case("system_u:object_r:container_file_t:s0:c1,c2", Some("s0:c1,c2"))]
    #[case("a:b:c:s0", Some("s0"))]
    #[case("a:b:c", None)]
    #[case("", None)]
    fn levels(#[case] context: &str, #[case] wanted: Option<&str>) {
        assert_eq!(selinux_level(context).ok(), wanted);
    }

    #[test]
    fn a_guest_that_migrated_before_keeps_its_choice_of_nodes() {
        let label = |key: &str| (key.to_owned(), "true".to_owned());
        let node =
            BTreeMap::from([label("host-model-cpu.node.kubevirt.io/Skylake"), label("host-model-required-features.node.kubevirt.io/avx")]);
        let nothing = BTreeMap::new();
        let mut migration = Migration {
            name: "m",
            uid: "u",
            added_node_selector: &nothing,
            source_node_labels: &node,
            source_pod_node_selector: &nothing,
            decentralized_source_node: None,
            selinux_context: "none",
            match_selinux_level: true,
            image_override: None,
        };
        let labels: Vec<_> = host_model_labels(&migration).unwrap().into_keys().collect();
        assert_eq!(labels, ["cpu-feature.node.kubevirt.io/avx", "cpu-model-migration.node.kubevirt.io/Skylake"]);
        let before = BTreeMap::from([label("cpu-model-migration.node.kubevirt.io/Haswell"), label("disk")]);
        migration.source_pod_node_selector = &before;
        assert_eq!(
            host_model_labels(&migration).unwrap().into_keys().collect::<Vec<_>>(),
            ["cpu-model-migration.node.kubevirt.io/Haswell"]
        );
        migration.source_pod_node_selector = &nothing;
        migration.source_node_labels = &nothing;
        assert_eq!(host_model_labels(&migration), Err(PodError::HostModelUnknown));
    }
}
