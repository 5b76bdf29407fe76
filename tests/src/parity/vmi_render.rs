//! The launcher pod and the domain of a VMI of a parity case.
//!
//! The reference was measured without what the network and storage side add to a pod (annotations, sidecars), and with
//! every interface on a tap; so are these.

use std::collections::{BTreeMap, BTreeSet};

use api::config::ClusterConfig;
use api::v1::VirtualMachineInstance;
use convert::domain::efi::{EfiFirmware, is_secure_boot};
use convert::domain::{Architecture, ConvertError, HostCell, HostCpu, HostTopology, Smbios, parse_cpu_list};
use convert::pod::{Claim, Namespace, PodError};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde::Deserialize;
use serde_json::{Value, json};

/// The facts of the node (`host.json`).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    hypervisor_device: bool,
    cpuset: String,
    numa_cells: Vec<NumaCell>,
    ovmf_directory: String,
    container_disk_format: String,
    mem_balloon_stats_period: u32,
    smbios: HostSmbios,
    launcher_image: String,
}

#[derive(Clone, Debug, Deserialize)]
struct NumaCell {
    id: u32,
    cpus: String,
}

#[derive(Clone, Debug, Deserialize)]
struct HostSmbios {
    manufacturer: String,
    family: String,
    product: String,
    sku: String,
    version: String,
}

/// The launcher pod's metadata and spec, `claims` being all claims of the case.
pub fn pod(vmi: &VirtualMachineInstance, claims: &[PersistentVolumeClaim], config: &ClusterConfig, host: &Host) -> Result<Value, PodError> {
    let claims: BTreeMap<String, Claim> = claims.iter().filter_map(|c| Some((c.metadata.name.clone()?, claim(c)))).collect();
    let pod = convert::pod::template(
        vmi,
        &convert::pod::Context {
            config,
            launcher_image: &host.launcher_image,
            sidecar_shim_image: "registry/sidecar-shim:v1",
            image_pull_secret: None,
            qemu_timeout_seconds: convert::pod::QEMU_TIMEOUT_SECONDS,
            qemu_timeout_jitter_seconds: 0,
            claims: &claims,
            backend_storage_claim: None,
            namespace: &Namespace::default(),
            network_resources: &BTreeMap::new(),
            pinned_images: &BTreeMap::new(),
            temporary: false,
        },
        &convert::pod::Additions::default(),
    )?;
    Ok(json!({"metadata": pod.metadata, "spec": pod.spec}))
}

fn claim(claim: &PersistentVolumeClaim) -> Claim {
    let spec = claim.spec.clone().unwrap_or_default();
    Claim {
        uid: claim.metadata.uid.clone().unwrap_or_default(),
        block: spec.volume_mode.as_deref() == Some("Block"),
        read_write_many: spec.access_modes.unwrap_or_default().iter().any(|m| m == "ReadWriteMany"),
    }
}

/// The domain's XML. Claims whose name begins with `block` are block volumes.
pub fn domain(vmi: &VirtualMachineInstance, config: &ClusterConfig, host: &Host) -> Result<String, ConvertError> {
    let is_block = |claim: &str| claim.starts_with("block");
    let block_volumes: BTreeSet<String> = vmi
        .spec
        .volumes
        .iter()
        .filter(|v| {
            let claim = v.persistent_volume_claim.as_ref().map(|p| &p.claim_name);
            let ephemeral = v.ephemeral.as_ref().and_then(|e| e.persistent_volume_claim.as_ref()).map(|p| &p.claim_name);
            let data_volume = v.data_volume.as_ref().map(|d| &d.name);
            claim.or(ephemeral).or(data_volume).is_some_and(|c| is_block(c))
        })
        .map(|v| v.name.clone())
        .collect();
    let format = if host.container_disk_format == "raw" {
        convert::domain::ContainerDiskFormat::Raw
    } else {
        convert::domain::ContainerDiskFormat::Qcow2
    };
    let secure = is_secure_boot(vmi);
    let firmware = |stem: &str| format!("{}/{stem}{}.fd", host.ovmf_directory, if secure { ".secboot" } else { "" });
    let cx = convert::domain::Context {
        architecture: Architecture::parse(vmi.spec.architecture.as_deref().unwrap_or_default()),
        hypervisor_device: host.hypervisor_device,
        allow_emulation: config.use_emulation(),
        cpuset: parse_cpu_list(&host.cpuset).unwrap_or_default(),
        topology: topology(host),
        block_volumes,
        container_disk_formats: vmi.spec.volumes.iter().map(|v| (v.name.clone(), format)).collect(),
        smbios: Some(Smbios {
            manufacturer: host.smbios.manufacturer.clone(),
            family: host.smbios.family.clone(),
            product: host.smbios.product.clone(),
            sku: host.smbios.sku.clone(),
            version: host.smbios.version.clone(),
        }),
        mem_balloon_stats_period: host.mem_balloon_stats_period,
        efi: Some(EfiFirmware { code: firmware("OVMF_CODE"), vars: Some(firmware("OVMF_VARS")), secure }),
        // The reference was measured with a VGA display for EFI guests.
        bochs_for_efi: false,
        free_page_reporting: config.free_page_reporting(),
        serial_console_log: config.serial_console_log(),
        interface_attachments: vmi.spec.domain.devices.interfaces.iter().map(|i| (i.name.clone(), "tap".to_owned())).collect(),
        cloud_init_directory: "/var/run/libvirt/cloud-init-dir".to_owned(),
        ignition_directory: "/var/run/libvirt/ignition-dir".to_owned(),
        ..convert::domain::Context::default()
    };
    convert::domain::domain(vmi, &cx).map(|d| d.to_xml())
}

fn topology(host: &Host) -> HostTopology {
    let cells = host.numa_cells.iter().map(|cell| {
        let cpus = parse_cpu_list(&cell.cpus).unwrap_or_default();
        HostCell { id: cell.id, cpus: cpus.into_iter().map(|id| HostCpu { id, siblings: vec![id] }).collect(), distances: Vec::new() }
    });
    HostTopology { cells: cells.collect() }
}
