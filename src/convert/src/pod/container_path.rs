//! Folders of the launcher pod that its guest shares (spec/admission.md §4.6, spec/pod.md §4.5).
//!
//! What is mounted where may be the work of other webhooks, so that the daemons join the pod when it is admitted, not when it is
//! rendered.

use api::config::ClusterConfig;
use api::v1::{VirtualMachineInstance, Volume};
use k8s_openapi::api::core::v1::{Container, Pod, SecurityContext, Volume as PodVolume, VolumeMount};

use super::support::{Support, unprivileged};
use super::virtiofs::{SOCKETS_VOLUME, daemon_args};
use crate::paths::VIRTIOFS;
use crate::settings::Settings;
use crate::vmi;

/// MPO1: the daemons that a launcher pod lacks, one for each `containerPath` volume that is a shared folder.
///
/// A path that no volume of the pod is mounted at, or one of a kind that its owner could fill with links that lead elsewhere, gets
/// none; nor does one that is not read-only.
pub fn container_path_daemons(vmi: &VirtualMachineInstance, pod: &Pod, config: &ClusterConfig) -> Vec<Container> {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let Some(compute) = containers.iter().find(|container| container.name == "compute") else { return Vec::new() };
    let folders = &vmi.spec.domain.devices.filesystems;
    let shared = vmi.spec.volumes.iter().filter(|volume| folders.iter().any(|folder| folder.name == volume.name));
    let missing = shared.filter(|volume| !containers.iter().any(|container| container.name == name(volume)));
    missing.filter_map(|volume| daemon(vmi, pod, compute, volume, Settings::new(config))).collect()
}

fn name(volume: &Volume) -> String {
    format!("virtiofs-{}", volume.name)
}

fn daemon(vmi: &VirtualMachineInstance, pod: &Pod, compute: &Container, volume: &Volume, settings: Settings<'_>) -> Option<Container> {
    let source = volume.container_path.as_ref().filter(|source| source.read_only == Some(true))?;
    let (mount, sub_path) = mounted(compute, &source.path)?;
    let volumes = pod.spec.as_ref()?.volumes.as_deref().unwrap_or_default();
    let content = volumes.iter().find(|volume| volume.name == mount.name).filter(|volume| is_contained(volume))?;
    // Not at the path itself: another webhook may mount there what this container is not to have.
    let directory = format!("/virtiofs-data/{}", volume.name);
    let mut args = daemon_args(&volume.name, &directory);
    if has_token(content) {
        args.push(format!("--translate-uid=host:{}:0:1", vmi::NON_ROOT_UID));
    }
    let sockets = VolumeMount { name: SOCKETS_VOLUME.to_owned(), mount_path: VIRTIOFS.to_owned(), ..VolumeMount::default() };
    let data = VolumeMount {
        name: mount.name.clone(),
        mount_path: directory,
        sub_path: Some(sub_path.to_owned()).filter(|path| !path.is_empty()),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    Some(Container {
        name: name(volume),
        image: compute.image.clone(),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(vec!["/usr/libexec/virtiofsd".to_owned()]),
        args: Some(args),
        resources: Some(Support::Virtiofs.resources(vmi, settings)),
        security_context: Some(SecurityContext { run_as_group: Some(vmi::NON_ROOT_UID), ..unprivileged() }),
        volume_mounts: Some(vec![sockets, data]),
        ..Container::default()
    })
}

/// What is mounted at a path or, closest to it, above; and where below the mount the path is.
fn mounted<'a>(compute: &'a Container, path: &'a str) -> Option<(&'a VolumeMount, &'a str)> {
    let mounts = compute.volume_mounts.as_deref().unwrap_or_default();
    let below = mounts.iter().filter_map(|mount| {
        let rest = path.strip_prefix(mount.mount_path.as_str())?;
        if rest.is_empty() { Some((mount, rest)) } else { rest.strip_prefix('/').map(|rest| (mount, rest)) }
    });
    below.min_by_key(|(_, rest)| rest.len())
}

/// Whether nothing in a volume can lead out of it: Kubernetes fills it, or it starts out empty.
fn is_contained(volume: &PodVolume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.projected.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
}

/// Whether a volume holds a token of a service account, which belongs to the launcher's user.
fn has_token(volume: &PodVolume) -> bool {
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    sources.into_iter().any(|source| source.service_account_token.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn daemons(path: &str, read_only: bool, volume: &Value) -> Vec<Value> {
        let vmi = json!({"spec": {
            "domain": {"devices": {"filesystems": [{"name": "keys", "virtiofs": {}}]}},
            "volumes": [{"name": "keys", "containerPath": {"path": path, "readOnly": read_only}}],
        }});
        let mut source = volume.clone();
        source["name"] = json!("source");
        let pod = json!({"spec": {
            "containers": [{"name": "compute", "image": "launcher", "volumeMounts": [
                {"name": "root", "mountPath": "/run"}, {"name": "source", "mountPath": "/run/keys"},
            ]}],
            "volumes": [{"name": "root", "hostPath": {"path": "/"}}, source],
        }});
        let (vmi, pod) = (serde_json::from_value(vmi).unwrap(), serde_json::from_value(pod).unwrap());
        container_path_daemons(&vmi, &pod, &ClusterConfig::from_kubevirt(None)).iter().map(|container| json!(container)).collect()
    }

    #[test]
    fn a_daemon_serves_the_volume_closest_to_the_path() {
        let daemons = daemons("/run/keys/a/b", true, &json!({"secret": {"secretName": "s"}}));
        let [daemon] = daemons.as_slice() else { panic!("{daemons:?}") };
        assert_eq!((&daemon["name"], &daemon["image"]), (&json!("virtiofs-keys"), &json!("launcher")));
        let data = json!({"name": "source", "mountPath": "/virtiofs-data/keys", "subPath": "a/b", "readOnly": true});
        assert_eq!(daemon["volumeMounts"][1], data);
        let args = daemon["args"].as_array().unwrap();
        assert!(args.contains(&json!("--shared-dir=/virtiofs-data/keys")), "{args:?}");
        assert!(!args.iter().any(|arg| arg.as_str().unwrap().starts_with("--translate-uid")), "{args:?}");
        assert_eq!(daemon["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    }

    #[test]
    fn tokens_are_shown_to_the_guest_as_root_s() {
        let daemons = daemons("/run/keys", true, &json!({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}));
        assert!(daemons[0]["args"].as_array().unwrap().contains(&json!("--translate-uid=host:107:0:1")));
        assert_eq!(daemons[0]["volumeMounts"][1]["subPath"], Value::Null);
    }

    #[rstest]
    #[case::host_path("/run/other", true, json!({"secret": {}}))]
    #[case::writable("/run/keys", false, json!({"secret": {}}))]
    #[case::claim("/run/keys", true, json!({"persistentVolumeClaim": {"claimName": "c"}}))]
    #[case::not_mounted("/etc/keys", true, json!({"secret": {}}))]
    #[case::neighbour("/run/keys2", true, json!({"secret": {}}))]
    fn what_is_not_served(#[case] path: &str, #[case] read_only: bool, #[case] volume: Value) {
        assert_eq!(daemons(path, read_only, &volume), Vec::<Value>::new());
    }
}
