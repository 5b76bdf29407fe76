//! The volumes of a new virtual machine, in their order, and what may be inferred from them.

use super::params::Params;
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Volumes, disks with a boot order, and dataVolumeTemplates.
#[derive(Debug, Default)]
#[allow(clippy::struct_field_names, reason = "the specification's names")]
pub(super) struct Volumes {
    pub(super) volumes: Vec<Value>,
    pub(super) disks: Vec<Value>,
    pub(super) templates: Vec<Value>,
    orders: BTreeMap<u32, String>,
}

impl Volumes {
    /// Adds a volume.
    pub(super) fn add(&mut self, params: &Params, name: &str, source: (&str, Value)) -> Result<()> {
        if self.volumes.iter().any(|volume| volume["name"] == name) {
            return Err(params.error(format!("there is already a volume with name {name:?}")));
        }
        if let Some(order) = params.boot_order()? {
            if self.orders.insert(order, name.to_owned()).is_some() {
                return Err(params.error(format!("bootorder {order} was specified multiple times")));
            }
            self.disks.push(json!({"name": name, "bootOrder": order}));
        }
        let (kind, source) = source;
        self.volumes.push(json!({"name": name, kind: source}));
        Ok(())
    }

    /// Adds a volume that a DataVolume fills.
    pub(super) fn add_template(&mut self, params: &Params, name: &str, mut template: Value, size: Option<&str>) -> Result<()> {
        self.add(params, name, ("dataVolume", json!({"name": name})))?;
        template["storage"] = size.map_or_else(|| json!({"resources": {}}), |size| json!({"resources": {"requests": {"storage": size}}}));
        self.templates.push(json!({"metadata": {"name": name}, "spec": template}));
        Ok(())
    }

    /// The volume the guest boots from: by the lowest boot order, else the first.
    fn booted(&self) -> Option<&str> {
        let by_order = self.orders.values().next().map(String::as_str);
        by_order.or_else(|| self.volumes.first().and_then(|volume| volume["name"].as_str()))
    }

    /// Which volume an instance type or preference is inferred from: the one that is named, else the booted one.
    pub(super) fn infer_from(&self, flag: &str, named: Option<&str>) -> Result<String> {
        let failed = |why: String| Error::new(format!("failed to parse \"--{flag}\" flag: {why}"));
        let Some(name) = named.or_else(|| self.booted()) else {
            return Err(failed("at least one volume is needed to infer an instance type or preference".to_owned()));
        };
        let Some(volume) = self.volumes.iter().find(|volume| volume["name"] == name) else {
            return Err(failed(format!("there is no volume with name {name:?}")));
        };
        let inferable = if volume.get("persistentVolumeClaim").is_some() {
            true
        } else {
            let template = self.templates.iter().find(|template| template["metadata"]["name"] == volume["dataVolume"]["name"]);
            template.is_some_and(|template| {
                let spec = &template["spec"];
                spec.get("sourceRef").is_some() || ["pvc", "registry", "snapshot"].iter().any(|kind| spec["source"].get(kind).is_some())
            })
        };
        if !inferable {
            return Err(failed("inference of instancetype or preference works only with datasources, datavolumes or pvcs".to_owned()));
        }
        Ok(name.to_owned())
    }
}
