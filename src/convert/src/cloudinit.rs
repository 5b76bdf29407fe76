//! What a guest's first boot reads: cloud-init and ignition, as files. Source: spec/domain-xml.md §8.7, §6.13.
//!
//! Payloads are data: paths and bytes, which the launcher puts on a medium. What comes from secrets is read by the launcher
//! and handed in.

use std::collections::BTreeMap;

use api::v1::{VirtualMachineInstance, Volume};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::vmi;

/// Which of cloud-init's data sources a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// A medium labelled `cidata`.
    NoCloud,
    /// A medium labelled `config-2`, as OpenStack makes it.
    ConfigDrive,
}

/// What the launcher read from secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The key `userdata` or `userData`.
    pub user_data: Option<String>,
    /// The key `networkdata` or `networkData`.
    pub network_data: Option<String>,
    /// Public SSH keys, sorted as they are to be numbered.
    pub ssh_keys: Vec<String>,
}

/// One file of a medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The path on the medium.
    pub path: &'static str,
    /// What is in it.
    pub content: Vec<u8>,
}

/// A medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// The label by which the guest finds it.
    pub label: &'static str,
    /// The image's name.
    pub image: &'static str,
    /// The files.
    pub files: Vec<File>,
}

/// A device of the guest that the user gave a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaggedDevice {
    /// `nic` or `hostdev`.
    pub r#type: String,
    /// The bus.
    pub bus: String,
    /// The address on it, `dddd:bb:ss.f`.
    pub address: String,
    /// A NIC's MAC address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// The guest NUMA node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa_node: Option<u32>,
    /// The vCPUs near it.
    #[serde(rename = "alignedCPUs", skip_serializing_if = "Vec::is_empty")]
    pub aligned_cpus: Vec<u32>,
    /// The tags.
    pub tags: Vec<String>,
}

/// Why there is no medium.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloudInitError {
    /// There is neither user nor network data.
    #[error("userDataBase64, userData, networkDataBase64 or networkData is required for a cloud-init data source")]
    Empty,
    /// A field is not base64.
    #[error("{field}: illegal base64 data")]
    NotBase64 {
        /// The field.
        field: &'static str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct NoCloudMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_type: Option<String>,
    instance_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    local_hostname: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    public_keys: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ConfigDriveMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_type: Option<String>,
    instance_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    local_hostname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    hostname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    uuid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<TaggedDevice>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    public_keys: BTreeMap<String, String>,
}

/// The fields that both kinds of volumes have.
struct Source<'a> {
    kind: DataSource,
    user_data: Option<&'a String>,
    user_data_base64: Option<&'a String>,
    network_data: Option<&'a String>,
    network_data_base64: Option<&'a String>,
}

fn source(volume: &Volume) -> Option<Source<'_>> {
    if let Some(v) = &volume.cloud_init_no_cloud {
        return Some(Source {
            kind: DataSource::NoCloud,
            user_data: v.user_data.as_ref(),
            user_data_base64: v.user_data_base64.as_ref(),
            network_data: v.network_data.as_ref(),
            network_data_base64: v.network_data_base64.as_ref(),
        });
    }
    volume.cloud_init_config_drive.as_ref().map(|v| Source {
        kind: DataSource::ConfigDrive,
        user_data: v.user_data.as_ref(),
        user_data_base64: v.user_data_base64.as_ref(),
        network_data: v.network_data.as_ref(),
        network_data_base64: v.network_data_base64.as_ref(),
    })
}

/// The first cloud-init volume of a VMI; others are ignored.
pub fn volume(vmi: &VirtualMachineInstance) -> Option<(&Volume, DataSource)> {
    vmi.spec.volumes.iter().find_map(|v| Some((v, source(v)?.kind)))
}

/// The cloud-init medium of a VMI, or `None` for one without. `devices` are tagged devices, which only config drives list.
///
/// # Errors
/// [`CloudInitError`].
pub fn medium(vmi: &VirtualMachineInstance, secrets: &Secrets, devices: Vec<TaggedDevice>) -> Result<Option<Medium>, CloudInitError> {
    let Some(source) = vmi.spec.volumes.iter().find_map(source) else { return Ok(None) };
    let user = data(secrets.user_data.as_ref(), source.user_data, source.user_data_base64, "userDataBase64")?;
    let network = data(secrets.network_data.as_ref(), source.network_data, source.network_data_base64, "networkDataBase64")?;
    if user.is_none() && network.is_none() {
        return Err(CloudInitError::Empty);
    }
    let user = user.unwrap_or_default();
    Ok(Some(match source.kind {
        DataSource::NoCloud => no_cloud(vmi, secrets, user, network),
        DataSource::ConfigDrive => config_drive(vmi, secrets, devices, user, network),
    }))
}

/// A secret wins over plain text, plain text over base64; an empty text counts as none.
fn data(
    secret: Option<&String>,
    plain: Option<&String>,
    base64: Option<&String>,
    field: &'static str,
) -> Result<Option<Vec<u8>>, CloudInitError> {
    let filled = |text: &&String| !text.is_empty();
    if let Some(text) = secret.filter(filled).or_else(|| plain.filter(filled)) {
        return Ok(Some(text.clone().into_bytes()));
    }
    base64.filter(filled).map(|text| STANDARD.decode(text.trim()).map_err(|_| CloudInitError::NotBase64 { field })).transpose()
}

fn instance_type(vmi: &VirtualMachineInstance) -> Option<String> {
    let names = ["kubevirt.io/cluster-instancetype-name", "kubevirt.io/instancetype-name"];
    names.iter().find_map(|n| vmi::annotation(vmi, n)).map(ToOwned::to_owned)
}

fn numbered(keys: &[String]) -> BTreeMap<String, String> {
    keys.iter().enumerate().map(|(i, key)| (i.to_string(), key.clone())).collect()
}

fn firmware_uuid(vmi: &VirtualMachineInstance) -> String {
    vmi.spec.domain.firmware.as_ref().and_then(|f| f.uuid.clone()).unwrap_or_default()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Structs of text, numbers and maps by text: there is nothing that cannot be written.
    serde_json::to_vec(value).unwrap_or_default()
}

fn no_cloud(vmi: &VirtualMachineInstance, secrets: &Secrets, user: Vec<u8>, network: Option<Vec<u8>>) -> Medium {
    let metadata = NoCloudMetadata {
        instance_type: instance_type(vmi),
        instance_id: firmware_uuid(vmi),
        local_hostname: vmi::hostname(vmi),
        public_keys: numbered(&secrets.ssh_keys),
    };
    let mut files = vec![File { path: "meta-data", content: json(&metadata) }, File { path: "user-data", content: user }];
    files.extend(network.map(|content| File { path: "network-config", content }));
    Medium { label: "cidata", image: "noCloud.iso", files }
}

fn config_drive(
    vmi: &VirtualMachineInstance,
    secrets: &Secrets,
    devices: Vec<TaggedDevice>,
    user: Vec<u8>,
    network: Option<Vec<u8>>,
) -> Medium {
    let hostname = vmi::hostname(vmi);
    let metadata = ConfigDriveMetadata {
        instance_type: instance_type(vmi),
        instance_id: format!("{}.{}", vmi::name(vmi), vmi::namespace(vmi)),
        local_hostname: hostname.clone(),
        hostname,
        uuid: firmware_uuid(vmi),
        devices,
        public_keys: numbered(&secrets.ssh_keys),
    };
    let mut files = vec![
        File { path: "openstack/latest/meta_data.json", content: json(&metadata) },
        File { path: "openstack/latest/user_data", content: user },
    ];
    files.extend(network.map(|content| File { path: "openstack/latest/network_data.json", content }));
    Medium { label: "config-2", image: "configdrive.iso", files }
}

/// The ignition data of a VMI, by annotation.
pub fn ignition(vmi: &VirtualMachineInstance) -> Option<&str> {
    vmi::annotation(vmi, "kubevirt.io/ignitiondata").filter(|data| data.contains("ignition"))
}

#[cfg(test)]
mod tests {
    use api::v1::{CloudInitConfigDriveSource, CloudInitNoCloudSource, Firmware};

    use super::*;

    fn vmi(volume: Volume) -> VirtualMachineInstance {
        let mut vmi = VirtualMachineInstance::default();
        vmi.metadata.name = Some("a.b".into());
        vmi.metadata.namespace = Some("ns".into());
        vmi.spec.domain.firmware = Some(Box::new(Firmware { uuid: Some("u-1".into()), ..Firmware::default() }));
        vmi.spec.volumes = vec![Volume { name: "root".into(), ..Volume::default() }, volume];
        vmi
    }

    fn no_cloud_volume(source: CloudInitNoCloudSource) -> Volume {
        Volume { name: "ci".into(), cloud_init_no_cloud: Some(source), ..Volume::default() }
    }

    fn text(medium: &Medium, path: &str) -> Option<String> {
        medium.files.iter().find(|f| f.path == path).map(|f| String::from_utf8(f.content.clone()).unwrap())
    }

    #[test]
    fn no_cloud_files() {
        let source = CloudInitNoCloudSource {
            user_data_base64: Some("I2Nsb3Vk".into()),
            network_data: Some("version: 2".into()),
            ..CloudInitNoCloudSource::default()
        };
        let mut vmi = vmi(no_cloud_volume(source));
        vmi.metadata.annotations = Some(BTreeMap::from([("kubevirt.io/instancetype-name".to_owned(), "small".to_owned())]));
        let secrets = Secrets { ssh_keys: vec!["ssh-ed25519 A".into()], ..Secrets::default() };
        let medium = medium(&vmi, &secrets, Vec::new()).unwrap().unwrap();
        assert_eq!((medium.label, medium.image), ("cidata", "noCloud.iso"));
        assert_eq!(
            text(&medium, "meta-data").unwrap(),
            r#"{"instance-type":"small","instance-id":"u-1","local-hostname":"a","public-keys":{"0":"ssh-ed25519 A"}}"#
        );
        assert_eq!(text(&medium, "user-data").unwrap(), "#cloud");
        assert_eq!(text(&medium, "network-config").unwrap(), "version: 2");
    }

    #[test]
    fn config_drive_files() {
        let source = CloudInitConfigDriveSource { user_data: Some("x".into()), ..CloudInitConfigDriveSource::default() };
        let vmi = vmi(Volume { name: "ci".into(), cloud_init_config_drive: Some(source), ..Volume::default() });
        let secrets = Secrets { user_data: Some("from the secret".into()), ..Secrets::default() };
        let nic = TaggedDevice {
            r#type: "nic".into(),
            bus: "pci".into(),
            address: "0000:01:00.0".into(),
            mac: "02:00".into(),
            tags: vec!["t".into()],
            ..TaggedDevice::default()
        };
        let medium = medium(&vmi, &secrets, vec![nic]).unwrap().unwrap();
        assert_eq!((medium.label, medium.image), ("config-2", "configdrive.iso"));
        assert_eq!(
            text(&medium, "openstack/latest/meta_data.json").unwrap(),
            r#"{"instance_id":"a.b.ns","local_hostname":"a","hostname":"a","uuid":"u-1","devices":[{"type":"nic","bus":"pci","address":"0000:01:00.0","mac":"02:00","tags":["t"]}]}"#
        );
        assert_eq!(text(&medium, "openstack/latest/user_data").unwrap(), "from the secret");
        assert_eq!(text(&medium, "openstack/latest/network_data.json"), None);
    }

    #[test]
    fn nothing_to_say_and_nothing_to_read_are_errors() {
        assert_eq!(medium(&vmi(Volume::default()), &Secrets::default(), Vec::new()).unwrap(), None);
        let empty = vmi(no_cloud_volume(CloudInitNoCloudSource::default()));
        assert_eq!(medium(&empty, &Secrets::default(), Vec::new()).unwrap_err(), CloudInitError::Empty);
        let garbled =
            vmi(no_cloud_volume(CloudInitNoCloudSource { user_data_base64: Some("?".into()), ..CloudInitNoCloudSource::default() }));
        assert_eq!(medium(&garbled, &Secrets::default(), Vec::new()).unwrap_err().to_string(), "userDataBase64: illegal base64 data");
    }

    #[test]
    fn the_first_volume_wins() {
        let mut vmi = vmi(no_cloud_volume(CloudInitNoCloudSource::default()));
        vmi.spec.volumes.push(Volume {
            name: "second".into(),
            cloud_init_config_drive: Some(CloudInitConfigDriveSource::default()),
            ..Volume::default()
        });
        assert_eq!(volume(&vmi).map(|(v, s)| (v.name.as_str(), s)), Some(("ci", DataSource::NoCloud)));
    }
}
