//! `create clone`.

use super::Around;
use crate::commands::required;
use crate::error::{Result, bail};
use serde_json::{Map, Value, json};

/// Words for a source, and what they stand for.
const SOURCES: &[(&str, bool)] = &[
    ("vm", false),
    ("VM", false),
    ("VirtualMachine", false),
    ("virtualmachine", false),
    ("snapshot", true),
    ("VirtualMachineSnapshot", true),
    ("vmsnapshot", true),
    ("VMSnapshot", true),
];

/// `create clone`.
#[derive(Debug, clap::Args)]
pub struct CreateClone {
    /// Name of the clone object; a random one, if not given
    #[arg(long)]
    name: Option<String>,
    /// Name of what is cloned (required)
    #[arg(long)]
    source_name: Option<String>,
    /// Kind of what is cloned: vm or snapshot
    #[arg(long, default_value = "vm")]
    source_type: String,
    /// Name of the new virtual machine; a random one, if not given
    #[arg(long)]
    target_name: Option<String>,
    /// Kind of what is made: vm
    #[arg(long, default_value = "vm")]
    target_type: String,
    /// Labels to keep; may be repeated
    #[arg(long = "label-filter", value_name = "PATTERN")]
    label_filters: Vec<String>,
    /// Annotations to keep; may be repeated
    #[arg(long = "annotation-filter", value_name = "PATTERN")]
    annotation_filters: Vec<String>,
    /// Labels of the template to keep; may be repeated
    #[arg(long = "template-label-filter", value_name = "PATTERN")]
    template_label_filters: Vec<String>,
    /// Annotations of the template to keep; may be repeated
    #[arg(long = "template-annotation-filter", value_name = "PATTERN")]
    template_annotation_filters: Vec<String>,
    /// MAC address of an interface as INTERFACE:ADDRESS, the address with dashes; may be repeated
    #[arg(long = "new-mac-address", value_name = "INTERFACE:ADDRESS")]
    new_mac_addresses: Vec<String>,
    /// SMBIOS serial number of the new virtual machine
    #[arg(long, value_name = "SERIAL")]
    new_smbios_serial: Option<String>,
}

impl CreateClone {
    pub(super) fn manifest(&self, around: &Around<'_>) -> Result<Value> {
        required(&[("source-name", self.source_name.is_some())])?;
        let Some((_, snapshot)) = SOURCES.iter().find(|(word, _)| *word == self.source_type) else {
            bail!("source type {} is not supported. Supported types: vm, vmsnapshot", self.source_type);
        };
        if !SOURCES.iter().any(|(word, snapshot)| !snapshot && *word == self.target_type) {
            bail!("target type {} is not supported. Supported types: vm", self.target_type);
        }
        let (group, kind) = if *snapshot { ("snapshot.kubevirt.io", "VirtualMachineSnapshot") } else { ("kubevirt.io", "VirtualMachine") };
        let mut spec = json!({"source": {"apiGroup": group, "kind": kind, "name": self.source_name}});
        // Without a name the target is there all the same: the server makes the name up.
        spec["target"] =
            json!({"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": self.target_name.as_deref().unwrap_or_default()});
        let mut set = |key: &str, filters: &[String]| {
            if !filters.is_empty() {
                spec[key] = json!(filters);
            }
        };
        set("labelFilters", &self.label_filters);
        set("annotationFilters", &self.annotation_filters);
        let mut template = Map::new();
        if !self.template_label_filters.is_empty() {
            template.insert("labelFilters".to_owned(), json!(self.template_label_filters));
        }
        if !self.template_annotation_filters.is_empty() {
            template.insert("annotationFilters".to_owned(), json!(self.template_annotation_filters));
        }
        spec["template"] = Value::Object(template);
        let mut addresses = Map::new();
        for pair in &self.new_mac_addresses {
            match pair.split(':').collect::<Vec<_>>().as_slice() {
                [interface, address] => drop(addresses.insert((*interface).to_owned(), json!(address))),
                _ => bail!("newMacAddress parameter {pair} is invalid: exactly one ':' is expected. For example: 'interface0:address0'"),
            }
        }
        if !addresses.is_empty() {
            spec["newMacAddresses"] = Value::Object(addresses);
        }
        if let Some(serial) = &self.new_smbios_serial {
            spec["newSMBiosSerial"] = json!(serial);
        }
        let name = self.name.clone().unwrap_or_else(|| around.name("clone"));
        Ok(json!({
            "apiVersion": "clone.kubevirt.io/v1beta1", "kind": "VirtualMachineClone",
            "metadata": around.metadata(&name), "spec": spec, "status": {},
        }))
    }
}
