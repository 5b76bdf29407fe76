//! `create vm`.

use super::boot::Volumes;
use super::cloud_init::{CloudInit, DISK};
use super::params::{Params, quantity};
use super::{Around, imports};
use crate::commands::exclusive;
use crate::error::{Result, bail};
use serde_json::{Value, json};

const STRATEGIES: &[&str] = &["Always", "Manual", "Halted", "Once", "RerunOnFailure"];

/// `create vm`.
#[derive(Debug, clap::Args)]
pub struct CreateVm {
    /// Name; a random one, if not given
    #[arg(long)]
    name: Option<String>,
    /// Run strategy: Always, Manual, Halted, Once or RerunOnFailure
    #[arg(long, default_value = "Always", value_name = "STRATEGY")]
    run_strategy: String,
    /// Seconds the guest has to shut down
    #[arg(long, default_value_t = 180, value_name = "SECONDS")]
    termination_grace_period: i64,
    /// Memory of the guest; 512Mi, if no instance type is given
    #[arg(long)]
    memory: Option<String>,
    /// Instance type as [KIND/]NAME
    #[arg(long)]
    instancetype: Option<String>,
    /// Infer the instance type from the volume the guest boots from; the default, where that is possible
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "true|false", hide_possible_values = true)]
    infer_instancetype: Option<bool>,
    /// Volume to infer the instance type from
    #[arg(long, value_name = "VOLUME")]
    infer_instancetype_from: Option<String>,
    /// Preference as [KIND/]NAME
    #[arg(long)]
    preference: Option<String>,
    /// Infer the preference from the volume the guest boots from; the default, where that is possible
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "true|false", hide_possible_values = true)]
    infer_preference: Option<bool>,
    /// Volume to infer the preference from
    #[arg(long, value_name = "VOLUME")]
    infer_preference_from: Option<String>,
    /// Container disk as src:IMAGE,name:NAME,bootorder:N; may be repeated
    #[arg(long, value_name = "PARAMS")]
    volume_containerdisk: Vec<String>,
    /// PersistentVolumeClaim as src:NAME,name:NAME,bootorder:N; may be repeated
    #[arg(long, value_name = "PARAMS")]
    volume_pvc: Vec<String>,
    /// Volume to fill as type:TYPE,size:SIZE and what the type takes: blank, gcs, http, imageio, pvc, snapshot, ds, registry, s3 or vddk; may be repeated
    #[arg(long, value_name = "PARAMS")]
    volume_import: Vec<String>,
    /// Sysprep answers as src:NAME,type:configmap|secret
    #[arg(long, value_name = "PARAMS")]
    volume_sysprep: Option<String>,
    /// Deprecated: --volume-import with type:ds
    #[arg(long, hide = true)]
    volume_datasource: Vec<String>,
    /// Deprecated: --volume-import with type:pvc
    #[arg(long, hide = true)]
    volume_clone_pvc: Vec<String>,
    /// Deprecated: --volume-import with type:blank
    #[arg(long, hide = true)]
    volume_blank: Vec<String>,
    #[command(flatten)]
    cloud_init: CloudInit,
}

/// A matcher of an instance type or preference.
fn matcher(flag: &str, text: &str, kinds: [&str; 2]) -> Result<Value> {
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [name] if !name.is_empty() => Ok(json!({"name": name})),
        [kind, name] if !name.is_empty() && kinds.contains(kind) => Ok(json!({"kind": kind, "name": name})),
        [kind, name] if !name.is_empty() => {
            bail!("failed to parse \"--{flag}\" flag: invalid {flag} kind {kind:?}, supported values are: {}", kinds.join(", "))
        }
        [..] if text.matches('/').count() > 1 => {
            bail!("failed to parse \"--{flag}\" flag: invalid count {} of slashes in prefix/name", text.matches('/').count())
        }
        _ => bail!("failed to parse \"--{flag}\" flag: name cannot be empty"),
    }
}

impl CreateVm {
    fn volumes(&self, vm: &str, around: &Around<'_>) -> Result<Volumes> {
        let mut volumes = Volumes::default();
        for (index, text) in self.volume_containerdisk.iter().enumerate() {
            let params = Params::parse("volume-containerdisk", text, &["src", "name", "bootorder"])?;
            let image = params.require("src")?;
            let name = params.get("name").map_or_else(|| format!("{vm}-containerdisk-{index}"), str::to_owned);
            volumes.add(&params, &name, ("containerDisk", json!({"image": image})))?;
        }
        for text in &self.volume_pvc {
            let params = Params::parse("volume-pvc", text, &["src", "name", "bootorder"])?;
            let (namespace, claim) = params.source()?;
            if namespace.is_some() {
                return Err(params.error(format!("not allowed to specify namespace of pvc {claim:?}")));
            }
            let name = params.get("name").unwrap_or(&claim).to_owned();
            volumes.add(&params, &name, ("persistentVolumeClaim", json!({"claimName": claim})))?;
        }
        let deprecated: [(&'static str, &str, &[String]); 3] = [
            ("volume-datasource", "ds", &self.volume_datasource),
            ("volume-clone-pvc", "pvc", &self.volume_clone_pvc),
            ("volume-blank", "blank", &self.volume_blank),
        ];
        for (flag, kind, texts) in deprecated {
            for text in texts {
                around.deps.err.line(format!("Flag --{flag} has been deprecated, use flag --volume-import instead"));
                imports::add(&mut volumes, flag, &format!("type:{kind},{text}"), around)?;
            }
        }
        for text in &self.volume_import {
            imports::add(&mut volumes, "volume-import", text, around)?;
        }
        if let Some(text) = &self.volume_sysprep {
            let params = Params::parse("volume-sysprep", text, &["src", "type"])?;
            let (namespace, name) = params.source()?;
            if namespace.is_some() {
                return Err(params.error(format!("not allowed to specify namespace of configmap or secret {name:?}")));
            }
            let source = match params.get("type") {
                None | Some("configmap") => json!({"configMap": {"name": name}}),
                Some("secret") => json!({"secret": {"name": name}}),
                Some(other) => {
                    return Err(params.error(format!("invalid sysprep source type {other:?}, supported values are: configmap, secret")));
                }
            };
            volumes.add(&params, "sysprepdisk", ("sysprep", source))?;
        }
        Ok(volumes)
    }

    pub(super) fn manifest(&self, around: &Around<'_>) -> Result<Value> {
        let memory = ("memory", self.memory.is_some());
        let kinds = [
            ("instancetype", self.instancetype.is_some()),
            ("infer-instancetype", self.infer_instancetype.is_some()),
            ("infer-instancetype-from", self.infer_instancetype_from.is_some()),
        ];
        exclusive(&[&[memory], kinds.as_slice()].concat())?;
        exclusive(&[
            ("preference", self.preference.is_some()),
            ("infer-preference", self.infer_preference.is_some()),
            ("infer-preference-from", self.infer_preference_from.is_some()),
        ])?;
        let Some(strategy) = STRATEGIES.iter().find(|known| known.eq_ignore_ascii_case(&self.run_strategy)) else {
            bail!(
                "failed to parse \"--run-strategy\" flag: invalid run strategy {:?}, supported values are: {}",
                self.run_strategy,
                STRATEGIES.join(", ")
            );
        };
        let name = self.name.clone().unwrap_or_else(|| around.name("vm"));
        let mut volumes = self.volumes(&name, around)?;
        let mut spec = json!({"runStrategy": strategy});
        let mut guest = Some(quantity("memory", self.memory.as_deref().unwrap_or("512Mi"))?);
        let inferred = |flag: &str, explicit: bool, from: Option<&str>, implicit: bool| -> Result<Option<Value>> {
            match volumes.infer_from(flag, from) {
                Ok(volume) if explicit => Ok(Some(json!({"inferFromVolume": volume}))),
                Ok(volume) if implicit => Ok(Some(json!({"inferFromVolume": volume, "inferFromVolumeFailurePolicy": "Ignore"}))),
                Err(error) if explicit => Err(error),
                _ => Ok(None),
            }
        };
        if let Some(text) = &self.instancetype {
            spec["instancetype"] = matcher("instancetype", text, ["virtualmachineinstancetype", "virtualmachineclusterinstancetype"])?;
            guest = None;
        } else {
            let explicit = self.infer_instancetype == Some(true) || self.infer_instancetype_from.is_some();
            // Memory that is given is not given up for what could be inferred.
            let implicit = self.infer_instancetype.is_none() && self.memory.is_none();
            let flag = if self.infer_instancetype_from.is_some() { "infer-instancetype-from" } else { "infer-instancetype" };
            if let Some(matcher) = inferred(flag, explicit, self.infer_instancetype_from.as_deref(), implicit)? {
                spec["instancetype"] = matcher;
                guest = guest.filter(|_| !explicit);
            }
        }
        if let Some(text) = &self.preference {
            spec["preference"] = matcher("preference", text, ["virtualmachinepreference", "virtualmachineclusterpreference"])?;
        } else {
            let explicit = self.infer_preference == Some(true) || self.infer_preference_from.is_some();
            let flag = if self.infer_preference_from.is_some() { "infer-preference-from" } else { "infer-preference" };
            if let Some(matcher) = inferred(flag, explicit, self.infer_preference_from.as_deref(), self.infer_preference.is_none())? {
                spec["preference"] = matcher;
            }
        }
        let (credentials, managed) = self.cloud_init.credentials()?;
        if let Some((kind, source)) = self.cloud_init.volume(managed, around)? {
            volumes.volumes.push(json!({"name": DISK, kind: source}));
        }
        let mut domain = json!({"devices": {}, "resources": {}});
        if let Some(guest) = guest {
            domain["memory"] = json!({"guest": guest});
        }
        if !volumes.disks.is_empty() {
            domain["devices"]["disks"] = json!(volumes.disks);
        }
        let mut template = json!({"domain": domain, "terminationGracePeriodSeconds": self.termination_grace_period});
        if !credentials.is_empty() {
            template["accessCredentials"] = json!(credentials);
        }
        if !volumes.volumes.is_empty() {
            template["volumes"] = json!(volumes.volumes);
        }
        if !volumes.templates.is_empty() {
            spec["dataVolumeTemplates"] = json!(volumes.templates);
        }
        spec["template"] = json!({"metadata": {}, "spec": template});
        Ok(json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": around.metadata(&name), "spec": spec, "status": {},
        }))
    }
}
