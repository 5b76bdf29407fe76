//! From the VMI to the domain, with the facts of this host.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::v1::VirtualMachineInstance;
use convert::domain::{Architecture, ContainerDiskFormat, Context, HostCell, HostCpu, HostTopology, Smbios, efi};
use hypervisor::Capabilities;
use launcher_rpc::cmd::VirtualMachineOptions;

use crate::place::{Place, use_user_network};
use crate::storage::{ImageFormat, format_of};

/// Makes the domain of a VMI; the error is its text.
pub type Conversion = Arc<dyn Fn(&VirtualMachineInstance, &VirtualMachineOptions) -> Result<domain::Domain, String> + Send + Sync>;

/// What the launcher knows about its host and its pod.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// What host and hypervisor can do.
    pub capabilities: Arc<Capabilities>,
    /// Whether guests may be emulated where there is no hardware acceleration.
    pub allow_emulation: bool,
    /// Whether guests of another architecture may be emulated.
    pub allow_cross_architecture_emulation: bool,
    /// Where EFI firmware is.
    pub firmware_directory: String,
    /// The names of the files there.
    pub firmware: BTreeSet<String>,
    /// Whether libvirt chooses the firmware.
    pub firmware_auto_selection: bool,
    /// Where disks are files of this machine; nowhere for a hypervisor that only pretends.
    pub files: Option<Files>,
}

/// Where the launcher's files are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The container's place on this machine.
    pub place: Place,
    /// Where container disks are, in the container.
    pub container_disks: String,
}

impl Files {
    /// The format of a container disk by its place among the volumes. One that cannot be read is found out when it is made.
    fn format(&self, index: usize) -> ContainerDiskFormat {
        let path = self.place.path(&format!("{}/disk_{index}.img", self.container_disks));
        match format_of(&path) {
            Ok(Ok(ImageFormat::Raw)) => ContainerDiskFormat::Raw,
            _ => ContainerDiskFormat::Qcow2,
        }
    }
}

impl HostFacts {
    /// A host with these capabilities and every firmware there is: what a launcher on a simulated node finds.
    pub fn simulated(capabilities: Arc<Capabilities>, allow_emulation: bool) -> Self {
        let firmware = [
            "AAVMF_CODE.fd",
            "AAVMF_VARS.fd",
            "OVMF.amdsev.fd",
            "OVMF.inteltdx.fd",
            "OVMF.inteltdx.secboot.fd",
            "OVMF_CODE.cc.fd",
            "OVMF_CODE.fd",
            "OVMF_CODE.secboot.fd",
            "OVMF_VARS.fd",
            "OVMF_VARS.secboot.fd",
        ];
        Self {
            capabilities,
            allow_emulation,
            allow_cross_architecture_emulation: false,
            firmware_directory: "/usr/share/OVMF".to_owned(),
            firmware: firmware.iter().map(|file| (*file).to_owned()).collect(),
            firmware_auto_selection: false,
            files: None,
        }
    }

    /// This machine: what the hypervisor says of it, the firmware in `firmware_directory`, and the container's files.
    pub fn real(capabilities: Arc<Capabilities>, allow_emulation: bool, firmware_directory: &str, files: Files) -> Self {
        let entries = std::fs::read_dir(firmware_directory).into_iter().flatten().filter_map(Result::ok);
        Self {
            firmware: entries.filter_map(|entry| entry.file_name().into_string().ok()).collect(),
            firmware_directory: firmware_directory.to_owned(),
            files: Some(files),
            ..Self::simulated(capabilities, allow_emulation)
        }
    }

    /// The conversion with these facts.
    pub fn conversion(self) -> Conversion {
        Arc::new(move |vmi, options| {
            let context = self.context(vmi, options)?;
            let mut domain = convert::domain::domain(vmi, &context).map_err(|error| error.to_string())?;
            let firmware = vmi.spec.domain.firmware.as_ref();
            if let Some(uuid) = firmware.and_then(|firmware| firmware.uuid.clone()).filter(|uuid| !uuid.is_empty()) {
                domain.uuid.get_or_insert(uuid);
            }
            if let Some(files) = &self.files {
                use_user_network(&mut domain);
                files.place.relocate(&mut domain);
            }
            Ok(domain)
        })
    }

    fn context(&self, vmi: &VirtualMachineInstance, options: &VirtualMachineOptions) -> Result<Context, String> {
        let architecture = Architecture::parse(&self.capabilities.arch);
        let statuses = vmi.status.as_ref().map(|status| status.volume_status.as_slice()).unwrap_or_default();
        let cluster = options.cluster_config.unwrap_or_default();
        let mut context = Context {
            architecture,
            hypervisor_device: self.capabilities.kvm,
            allow_emulation: self.allow_emulation,
            allow_cross_architecture_emulation: self.allow_cross_architecture_emulation,
            cpuset: self.capabilities.cells.iter().flat_map(|cell| cell.cpus.clone()).collect(),
            topology: self.topology(),
            block_volumes: statuses
                .iter()
                .filter(|status| {
                    let claim = status.persistent_volume_claim_info.as_ref();
                    claim.is_some_and(|claim| claim.volume_mode.as_deref() == Some("Block"))
                })
                .map(|status| status.name.clone())
                .collect(),
            container_disk_formats: vmi
                .spec
                .volumes
                .iter()
                .enumerate()
                .filter(|(_, volume)| volume.container_disk.is_some())
                .map(|(index, volume)| {
                    let format = self.files.as_ref().map_or(ContainerDiskFormat::Qcow2, |files| files.format(index));
                    (volume.name.clone(), format)
                })
                .collect(),
            preallocated_volumes: options.preallocated_volumes.iter().cloned().collect(),
            smbios: options.smbios.as_ref().map(|smbios| Smbios {
                manufacturer: smbios.manufacturer.clone(),
                family: smbios.family.clone(),
                product: smbios.product.clone(),
                sku: smbios.sku.clone(),
                version: smbios.version.clone(),
            }),
            mem_balloon_stats_period: options.mem_balloon_stats_period,
            firmware_auto_selection: self.firmware_auto_selection,
            free_page_reporting: !cluster.free_page_reporting_disabled,
            bochs_for_efi: cluster.bochs_display_for_efi_guests,
            serial_console_log: !cluster.serial_console_log_disabled,
            interface_attachments: options.interface_domain_attachment.clone().into_iter().collect(),
            pci_numa_placement: cluster.pci_numa_aware_topology_enabled,
            ..Context::default()
        };
        let guest = context.guest_architecture(vmi);
        let (folder, auto) = (&self.firmware_directory, self.firmware_auto_selection);
        context.efi = efi::firmware(vmi, guest, folder, &self.firmware, auto).map_err(|error| error.to_string())?;
        Ok(context)
    }

    fn topology(&self) -> HostTopology {
        let cpu = |id: &u32| HostCpu { id: *id, siblings: vec![*id] };
        let cells = self.capabilities.cells.iter().map(|cell| HostCell {
            id: cell.id,
            cpus: cell.cpus.iter().map(cpu).collect(),
            distances: Vec::new(),
        });
        HostTopology { cells: cells.collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plain_vmi_becomes_a_domain_the_hypervisor_takes() {
        let capabilities = fake_hypervisor::Host::default().capabilities;
        let convert = HostFacts::simulated(capabilities, false).conversion();
        let vmi = json!({
            "metadata": {"name": "vm", "namespace": "ns", "uid": "1"},
            "spec": {
                "architecture": "amd64",
                "domain": {
                    "machine": {"type": "q35"},
                    "firmware": {"uuid": "6a1a24a1-4061-4607-8bf4-a3963d0c5895"},
                    "memory": {"guest": "64Mi"},
                    "resources": {"requests": {"memory": "64Mi"}},
                    "devices": {"disks": [{"name": "root", "disk": {"bus": "virtio"}}]}
                },
                "volumes": [{"name": "root", "containerDisk": {"image": "cirros"}}]
            }
        });
        let vmi: VirtualMachineInstance = serde_json::from_value(vmi).expect("a VMI");
        let domain = convert(&vmi, &VirtualMachineOptions::default()).expect("a domain");
        assert_eq!((domain.name.as_str(), domain.kind.as_str()), ("ns_vm", "kvm"));
        assert_eq!(domain.devices.disks.len(), 1);
    }
}
