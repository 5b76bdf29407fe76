//! Media that are made of a VMI's data: ConfigMaps, Secrets and the like as CD-ROMs, cloud-init, ignition (spec/domain-xml.md §8.7).

use std::fs;
use std::path::{Path, PathBuf};

use api::v1::{VirtualMachineInstance, Volume};
use convert::cloudinit::{self, DataSource, Secrets, TaggedDevice};
use convert::paths::{EPHEMERAL, PRIVATE, SERVICE_ACCOUNT};
use domain::Domain;

use super::iso::{self, Files};
use super::{Storage, StorageError, failed, make_folder};

/// The label of media whose volume names none, and of Windows' answer files.
const CONFIG_LABEL: &str = "cfgdata";
const SYSPREP_LABEL: &str = "unattendCD";
/// The names of Windows' answer files, in lower case.
const ANSWER_FILES: [&str; 2] = ["autounattend.xml", "unattend.xml"];
/// Folders deeper than this in a volume are left out: none of Kubernetes' volumes has them.
const DEPTH: usize = 8;

/// A medium made of a folder.
struct Generated {
    folder: String,
    image: String,
    label: String,
    sysprep: bool,
}

fn generated(volume: &Volume) -> Option<Generated> {
    let name = &volume.name;
    let config = |kind: &str, label: Option<&String>| Generated {
        folder: format!("{PRIVATE}/{kind}/{name}"),
        image: format!("{PRIVATE}/{kind}-disks/{name}.iso"),
        label: label.filter(|label| !label.is_empty()).map_or(CONFIG_LABEL, String::as_str).to_owned(),
        sysprep: false,
    };
    if let Some(source) = &volume.config_map {
        Some(config("config-map", source.volume_label.as_ref()))
    } else if let Some(source) = &volume.secret {
        Some(config("secret", source.volume_label.as_ref()))
    } else if let Some(source) = &volume.downward_api {
        Some(config("downwardapi", source.volume_label.as_ref()))
    } else if volume.sysprep.is_some() {
        Some(Generated { label: SYSPREP_LABEL.to_owned(), sysprep: true, ..config("sysprep", None) })
    } else if volume.service_account.is_some() {
        let image = format!("{PRIVATE}/service-account-disk/service-account.iso");
        Some(Generated { folder: SERVICE_ACCOUNT.to_owned(), image, ..config("", None) })
    } else {
        None
    }
}

impl Storage {
    /// Makes the media of a VMI's volumes, and lays its ignition data down.
    pub(super) fn generated(&self, vmi: &VirtualMachineInstance) -> Result<(), StorageError> {
        for (volume, medium) in vmi.spec.volumes.iter().filter_map(|volume| Some((volume, generated(volume)?))) {
            let folder = self.place.path(&medium.folder);
            let mut files = Files::new();
            collect(&folder, "", 0, &mut files)?;
            let answered = files.keys().any(|name| ANSWER_FILES.contains(&name.to_lowercase().as_str()));
            if medium.sysprep && !answered {
                let why = "Sysprep drive should contain either autounattend.xml or unattend.xml".to_owned();
                return Err(StorageError::Image { what: format!("volume {}", volume.name), why });
            }
            iso::write(&self.place.path(&medium.image), &medium.label, &files)?;
        }
        if let Some(data) = cloudinit::ignition(vmi) {
            let (namespace, name) = owner(vmi);
            let folder = self.place.path(&format!("{EPHEMERAL}/ignition-data/{namespace}/{name}"));
            make_folder(&folder)?;
            let path = folder.join("data.ign");
            fs::write(&path, data).map_err(failed("write", &path))?;
        }
        Ok(())
    }

    /// Makes the cloud-init medium; a config drive names the devices of the `defined` domain.
    pub(super) fn first_boot(&self, vmi: &VirtualMachineInstance, defined: &Domain) -> Result<(), StorageError> {
        let Some((volume, kind)) = cloudinit::volume(vmi) else { return Ok(()) };
        let devices = if kind == DataSource::ConfigDrive { tagged(vmi, defined) } else { Vec::new() };
        let Some(medium) = cloudinit::medium(vmi, &self.secrets(vmi, volume), devices)? else { return Ok(()) };
        let (namespace, name) = owner(vmi);
        let path = self.place.path(&format!("{EPHEMERAL}/cloud-init-data/{namespace}/{name}/{}", medium.image));
        let files = medium.files.into_iter().map(|file| (file.path.to_owned(), file.content)).collect();
        iso::write(&path, medium.label, &files)
    }

    /// What the pod mounts of the Secrets that cloud-init data refers to.
    fn secrets(&self, vmi: &VirtualMachineInstance, volume: &Volume) -> Secrets {
        let folder = self.place.path(&format!("{PRIVATE}/secret/{}", volume.name));
        let one = |names: [&str; 2]| names.iter().find_map(|name| fs::read_to_string(folder.join(name)).ok());
        let credentials = vmi.spec.access_credentials.iter().filter_map(|credential| credential.ssh_public_key.as_ref());
        let to_medium =
            credentials.filter(|key| key.propagation_method.no_cloud.is_some() || key.propagation_method.config_drive.is_some());
        let names = to_medium.filter_map(|key| Some(key.source.secret.as_ref()?.secret_name.as_str()));
        let folders = names.map(|name| self.place.path(&format!("{PRIVATE}/secret/{name}-access-cred")));
        Secrets {
            user_data: one(["userdata", "userData"]),
            network_data: one(["networkdata", "networkData"]),
            ssh_keys: folders.flat_map(|folder| keys(&folder)).collect(),
        }
    }
}

fn owner(vmi: &VirtualMachineInstance) -> (&str, &str) {
    let metadata = &vmi.metadata;
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

/// The public keys in a folder of a Secret: every line of every file, the files by name.
fn keys(folder: &Path) -> Vec<String> {
    let texts = visible(folder).unwrap_or_default().into_iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.flat_map(|text| text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect::<Vec<_>>()).collect()
}

/// A folder's entries by name, without those that kubelets keep for themselves.
fn visible(folder: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let entries = fs::read_dir(folder).map_err(failed("read", folder))?.filter_map(Result::ok);
    let mut paths: Vec<PathBuf> =
        entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"..")).map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// Reads a folder's files, links followed as kubelets mean them.
fn collect(folder: &Path, prefix: &str, depth: usize, files: &mut Files) -> Result<(), StorageError> {
    for path in visible(folder)? {
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().display());
        if path.is_dir() {
            if depth < DEPTH {
                collect(&path, &format!("{name}/"), depth + 1, files)?;
            }
        } else {
            files.insert(name, fs::read(&path).map_err(failed("read", &path))?);
        }
    }
    Ok(())
}

/// The NICs that the user gave a tag, where the domain has them.
fn tagged(vmi: &VirtualMachineInstance, defined: &Domain) -> Vec<TaggedDevice> {
    let interfaces = vmi.spec.domain.devices.interfaces.iter();
    let tags = interfaces.filter_map(|interface| Some((interface.name.as_str(), interface.tag.clone().filter(|tag| !tag.is_empty())?)));
    tags.filter_map(|(name, tag)| {
        let nic = defined.devices.interfaces.iter().find(|nic| nic.alias.as_ref().is_some_and(|alias| alias.name == name))?;
        let address = nic.address.as_ref()?;
        let part = |text: &Option<String>| {
            let digits = text.as_deref().unwrap_or_default().trim_start_matches("0x");
            u32::from_str_radix(digits, 16).unwrap_or_default()
        };
        Some(TaggedDevice {
            r#type: "nic".to_owned(),
            bus: "pci".to_owned(),
            address: format!(
                "{:04x}:{:02x}:{:02x}.{:x}",
                part(&address.domain),
                part(&address.bus),
                part(&address.slot),
                part(&address.function)
            ),
            mac: nic.mac.as_ref().map(|mac| mac.address.clone()).unwrap_or_default(),
            tags: vec![tag],
            ..TaggedDevice::default()
        })
    })
    .collect()
}
