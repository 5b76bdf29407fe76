//! The pod's volumes, and where `compute` finds them. Source: spec/pod.md §6.

use std::collections::BTreeSet;

use api::v1::{self, VirtualMachineInstance};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource, HostPathVolumeSource, ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume, VolumeDevice, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::sidecars::{HOOK_SOCKETS, HOOK_SOCKETS_VOLUME, HookSidecar, NETWORK_INFO_VOLUME};
use super::{Context, PodError, backend_storage, container_disks, virtiofs};
use crate::paths::{CONTAINER_DISKS, EPHEMERAL, HOTPLUG_DISKS, POD_INFO, PRIVATE, SHARE, VIRTIOFS};
use crate::settings::Settings;
use crate::vmi;

const HOST_TO_CONTAINER: &str = "HostToContainer";

/// What the volumes come to.
#[derive(Default)]
pub(super) struct Volumes {
    pub(super) list: Vec<Volume>,
    /// `compute`'s mounts.
    pub(super) mounts: Vec<VolumeMount>,
    /// `compute`'s block devices.
    pub(super) devices: Vec<VolumeDevice>,
    /// Directories that several nodes may share.
    pub(super) shared_paths: Vec<String>,
    /// UIDs of the claims behind LUNs with reservations.
    pub(super) reservations: BTreeSet<String>,
}

pub(super) fn render(
    vmi: &VirtualMachineInstance,
    cx: &Context<'_>,
    settings: Settings<'_>,
    sidecars: &[HookSidecar],
) -> Result<Volumes, PodError> {
    let mut out = Volumes::default();
    let image_volumes = settings.gate("ImageVolume");
    out.base(image_volumes);
    for volume in &vmi.spec.volumes {
        out.config_volume(vmi, volume)?;
    }
    for volume in vmi.spec.volumes.iter().filter(|v| !is_hotplugged(vmi, v)) {
        out.data_volume(cx, volume)?;
    }
    for secret in vmi.spec.access_credentials.iter().filter_map(access_secret) {
        let name = format!("{secret}-access-cred");
        out.mount(&name, format!("{PRIVATE}/secret/{name}"), true);
        out.list.push(Volume {
            secret: Some(SecretVolumeSource { secret_name: Some(secret.to_owned()), ..SecretVolumeSource::default() }),
            ..named(&name)
        });
    }
    let (volumes, mounts) = backend_storage::render(vmi, cx)?;
    out.list.extend(volumes);
    out.mounts.extend(mounts);
    if image_volumes {
        let (volumes, mounts) = container_disks::image_volumes(vmi, cx, settings);
        out.list.extend(volumes);
        out.mounts.extend(mounts);
    }
    if !sidecars.is_empty() {
        out.list.push(empty_dir(HOOK_SOCKETS_VOLUME));
        out.mount(HOOK_SOCKETS_VOLUME, HOOK_SOCKETS.to_owned(), false);
    }
    if settings.gate("Plugins") {
        out.list.push(empty_dir("kubevirt-plugin-sockets"));
        out.mount("kubevirt-plugin-sockets", "/var/run/kubevirt-plugin".to_owned(), false);
    }
    if vmi::hugepage_size(vmi).is_some() {
        // The second name is upstream's spelling.
        for (name, path) in [("hugepages", "/dev/hugepages"), ("hugetblfs-dir", "/dev/hugepages/libvirt/qemu")] {
            out.list.push(Volume {
                empty_dir: Some(EmptyDirVolumeSource { medium: Some("HugePages".to_owned()), size_limit: None }),
                ..named(name)
            });
            out.mount(name, path.to_owned(), false);
        }
    }
    if vmi.spec.domain.devices.disable_hotplug != Some(true) {
        out.list.push(empty_dir("hotplug-disks"));
        out.mounts.push(VolumeMount {
            name: "hotplug-disks".to_owned(),
            mount_path: format!("{HOTPLUG_DISKS}/"),
            mount_propagation: Some(HOST_TO_CONTAINER.to_owned()),
            ..VolumeMount::default()
        });
    }
    let device_info = |i: &v1::Interface| {
        i.binding.as_ref().and_then(|b| settings.binding(&b.name)).is_some_and(|p| p.downward_api.as_deref() == Some("device-info"))
    };
    if vmi::interfaces(vmi).any(|i| i.sriov.is_some() || device_info(i)) {
        out.network_info();
    }
    if !vmi.spec.domain.devices.filesystems.is_empty() {
        out.list.push(empty_dir(virtiofs::SOCKETS_VOLUME));
        out.mount(virtiofs::SOCKETS_VOLUME, VIRTIOFS.to_owned(), false);
    }
    out.hook_volumes(sidecars);
    out.reservations = reservations(vmi, cx);
    Ok(out)
}

/// UIDs of the claims behind LUNs with reservations, each once.
fn reservations(vmi: &VirtualMachineInstance, cx: &Context<'_>) -> BTreeSet<String> {
    let reserved = vmi.spec.domain.devices.disks.iter().filter(|d| d.lun.as_ref().is_some_and(|l| l.reservation == Some(true)));
    reserved
        .filter_map(|disk| {
            let volume = vmi::volume(vmi, &disk.name)?;
            let claim = volume.persistent_volume_claim.as_ref().map(|p| &p.claim_name).or(volume.data_volume.as_ref().map(|d| &d.name))?;
            Some(cx.claims.get(claim)?.uid.clone())
        })
        .collect()
}

/// Whether a volume comes to the guest after its start, by a pod of its own.
fn is_hotplugged(vmi: &VirtualMachineInstance, volume: &v1::Volume) -> bool {
    let status = vmi.status.as_ref();
    let by_status = status.is_some_and(|s| s.volume_status.iter().any(|v| v.name == volume.name && v.hotplug_volume.is_some()));
    let by_spec = volume.persistent_volume_claim.as_ref().is_some_and(|p| p.hotpluggable == Some(true))
        || volume.data_volume.as_ref().is_some_and(|d| d.hotpluggable == Some(true));
    by_status || by_spec
}

fn access_secret(credential: &v1::AccessCredential) -> Option<&str> {
    let ssh = credential.ssh_public_key.as_ref().and_then(|k| k.source.secret.as_ref());
    let password = credential.user_password.as_ref().and_then(|p| p.source.secret.as_ref());
    ssh.or(password).map(|s| s.secret_name.as_str()).filter(|name| !name.is_empty())
}

fn named(name: &str) -> Volume {
    Volume { name: name.to_owned(), ..Volume::default() }
}

fn empty_dir(name: &str) -> Volume {
    Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..named(name) }
}

fn secret(name: &str, secret_name: &str) -> Volume {
    Volume {
        secret: Some(SecretVolumeSource { secret_name: Some(secret_name.to_owned()), ..SecretVolumeSource::default() }),
        ..named(name)
    }
}

impl Volumes {
    fn mount(&mut self, name: &str, path: String, read_only: bool) {
        self.mounts.push(VolumeMount {
            name: name.to_owned(),
            mount_path: path,
            read_only: read_only.then_some(true),
            ..VolumeMount::default()
        });
    }

    fn base(&mut self, image_volumes: bool) {
        for name in ["private", "public", "sockets", "virt-bin-share-dir", "libvirt-runtime", "ephemeral-disks"] {
            self.list.push(empty_dir(name));
        }
        for (name, path) in [
            ("private", PRIVATE.to_owned()),
            ("public", SHARE.to_owned()),
            ("ephemeral-disks", EPHEMERAL.to_owned()),
            ("libvirt-runtime", "/var/run/libvirt".to_owned()),
            ("sockets", format!("{SHARE}/sockets")),
        ] {
            self.mount(name, path, false);
        }
        if !image_volumes {
            self.list.push(empty_dir(container_disks::DISKS_VOLUME));
            self.mounts.push(VolumeMount {
                name: container_disks::DISKS_VOLUME.to_owned(),
                mount_path: CONTAINER_DISKS.to_owned(),
                mount_propagation: Some(HOST_TO_CONTAINER.to_owned()),
                ..VolumeMount::default()
            });
        }
    }

    /// Files that come from the API: ConfigMaps, Secrets, downward API, sysprep, and the secrets of cloud-init.
    fn config_volume(&mut self, vmi: &VirtualMachineInstance, volume: &v1::Volume) -> Result<(), PodError> {
        let name = &volume.name;
        let is_disk = vmi.spec.domain.devices.disks.iter().any(|d| d.name == *name);
        let mut add = |source: Volume, kind: &str| {
            self.list.push(source);
            if is_disk {
                self.mount(name, format!("{PRIVATE}/{kind}/{name}"), true);
            }
        };
        if let Some(map) = &volume.config_map {
            let source = ConfigMapVolumeSource { name: map.name.clone().unwrap_or_default(), optional: map.optional, ..Default::default() };
            add(Volume { config_map: Some(source), ..named(name) }, "config-map");
        }
        if let Some(from) = &volume.secret {
            let source = SecretVolumeSource { secret_name: from.secret_name.clone(), optional: from.optional, ..Default::default() };
            add(Volume { secret: Some(source), ..named(name) }, "secret");
        }
        if let Some(fields) = &volume.downward_api {
            let source = DownwardAPIVolumeSource { items: super::some_list(fields.fields.clone()), default_mode: None };
            add(Volume { downward_api: Some(source), ..named(name) }, "downwardapi");
        }
        if let Some(sysprep) = &volume.sysprep {
            if let Some(from) = &sysprep.secret {
                self.list.push(secret(name, &from.name));
            } else if let Some(from) = &sysprep.config_map {
                let source = ConfigMapVolumeSource { name: from.name.clone(), ..ConfigMapVolumeSource::default() };
                self.list.push(Volume { config_map: Some(source), ..named(name) });
            } else {
                return Err(PodError::SysprepWithoutSource(name.clone()));
            }
            self.mount(name, format!("{PRIVATE}/sysprep/{name}"), true);
        }
        let refs = |user: &Option<k8s_openapi::api::core::v1::LocalObjectReference>,
                    network: &Option<k8s_openapi::api::core::v1::LocalObjectReference>| {
            (user.as_ref().map(|r| r.name.clone()), network.as_ref().map(|r| r.name.clone()))
        };
        let no_cloud = volume.cloud_init_no_cloud.as_ref().map(|c| refs(&c.secret_ref, &c.network_data_secret_ref));
        let config_drive = volume.cloud_init_config_drive.as_ref().map(|c| refs(&c.secret_ref, &c.network_data_secret_ref));
        for (user, network) in [no_cloud, config_drive].into_iter().flatten() {
            // Either spelling of the key works: each is mounted on its own.
            for (from, suffix, keys) in [(user, "udata", ["userdata", "userData"]), (network, "ndata", ["networkdata", "networkData"])] {
                let Some(from) = from else { continue };
                let secret_volume = format!("{name}-{suffix}");
                self.list.push(secret(&secret_volume, &from));
                for key in keys {
                    self.mounts.push(VolumeMount {
                        name: secret_volume.clone(),
                        mount_path: format!("{PRIVATE}/secret/{name}/{key}"),
                        sub_path: Some(key.to_owned()),
                        read_only: Some(true),
                        ..VolumeMount::default()
                    });
                }
            }
        }
        Ok(())
    }

    /// Claims, host disks, and the disk with host metrics.
    fn data_volume(&mut self, cx: &Context<'_>, volume: &v1::Volume) -> Result<(), PodError> {
        let name = &volume.name;
        let claim = |claim_name: &str, read_only: Option<bool>| PersistentVolumeClaimVolumeSource {
            claim_name: claim_name.to_owned(),
            read_only: read_only.filter(|r| *r),
        };
        if let Some(source) = &volume.persistent_volume_claim {
            self.claim(cx, name, claim(&source.claim_name, source.read_only))?;
        }
        if let Some(source) = &volume.data_volume {
            self.claim(cx, name, claim(&source.name, None))?;
        }
        if let Some(source) = volume.ephemeral.as_ref().and_then(|e| e.persistent_volume_claim.as_ref()) {
            self.claim(cx, name, claim(&source.claim_name, source.read_only))?;
        }
        if let Some(disk) = &volume.host_disk {
            let directory = disk.path.rsplit_once('/').map_or(".", |(directory, _)| if directory.is_empty() { "/" } else { directory });
            let kind = if disk.r#type == "DiskOrCreate" { "DirectoryOrCreate" } else { "Directory" };
            self.list.push(Volume {
                host_path: Some(HostPathVolumeSource { path: directory.to_owned(), type_: Some(kind.to_owned()) }),
                ..named(name)
            });
            self.mount(name, format!("{PRIVATE}/vmi-disks/{name}"), false);
        }
        if volume.downward_metrics.is_some() {
            self.list.push(Volume {
                empty_dir: Some(EmptyDirVolumeSource { medium: Some("Memory".to_owned()), size_limit: Some(Quantity("1Mi".to_owned())) }),
                ..named(name)
            });
            self.mount(name, format!("{PRIVATE}/downwardmetric-disk"), false);
        }
        Ok(())
    }

    fn claim(&mut self, cx: &Context<'_>, name: &str, source: PersistentVolumeClaimVolumeSource) -> Result<(), PodError> {
        let claim = cx.claims.get(&source.claim_name).ok_or_else(|| PodError::ClaimNotFound(source.claim_name.clone()))?;
        self.list.push(Volume { persistent_volume_claim: Some(source), ..named(name) });
        if claim.block {
            self.devices.push(VolumeDevice { name: name.to_owned(), device_path: format!("/dev/{name}") });
        } else {
            let path = format!("{PRIVATE}/vmi-disks/{name}");
            self.mount(name, path.clone(), false);
            if claim.read_write_many {
                self.shared_paths.push(path);
            }
        }
        Ok(())
    }

    fn network_info(&mut self) {
        let item = DownwardAPIVolumeFile {
            path: "network-info".to_owned(),
            field_ref: Some(ObjectFieldSelector {
                api_version: None,
                field_path: "metadata.annotations['kubevirt.io/network-info']".to_owned(),
            }),
            ..DownwardAPIVolumeFile::default()
        };
        self.list.push(Volume {
            downward_api: Some(DownwardAPIVolumeSource { items: Some(vec![item]), default_mode: None }),
            ..named(NETWORK_INFO_VOLUME)
        });
        self.mount(NETWORK_INFO_VOLUME, POD_INFO.to_owned(), false);
    }

    /// The scripts and claims of hook sidecars.
    fn hook_volumes(&mut self, sidecars: &[HookSidecar]) {
        const EXECUTABLE: i32 = 0o755;
        for sidecar in sidecars {
            if let Some(script) = &sidecar.config_map {
                let source =
                    ConfigMapVolumeSource { name: script.name.clone(), default_mode: Some(EXECUTABLE), ..ConfigMapVolumeSource::default() };
                self.list.push(Volume { config_map: Some(source), ..named(&script.name) });
            }
            if let Some(claim) = &sidecar.pvc {
                self.list.push(Volume {
                    persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name: claim.name.clone(), read_only: None }),
                    ..named(&claim.name)
                });
                if !claim.shared_compute_path.is_empty() {
                    self.mount(&claim.name, claim.shared_compute_path.clone(), false);
                }
            }
        }
    }
}
