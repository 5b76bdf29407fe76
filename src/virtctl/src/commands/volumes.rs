//! Attaching and detaching volumes (spec/virtctl.md §5).

use super::{compact, dry, exact, required};
use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps, Machine, Session};
use serde_json::{Value, json};
use std::time::Duration;

/// A text that says no more than that the patch lost a race: worth another try.
const RACE: &str = "the server rejected our request due to an error in our request";
/// How often.
const RETRIES: u32 = 15;
/// How long between two tries.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest name of a disk.
const LONGEST_NAME: usize = 63;

/// `addvolume`.
#[derive(Debug, clap::Args)]
pub struct AddVolume {
    /// Name of the virtual machine or virtual machine instance
    #[arg(value_name = "VMI")]
    names: Vec<String>,
    /// DataVolume or PersistentVolumeClaim to attach (required)
    #[arg(long, value_name = "NAME")]
    volume_name: Option<String>,
    /// Name of the disk in the specification; the volume's, if not given
    #[arg(long, value_name = "NAME")]
    disk_name: Option<String>,
    /// Serial number the guest sees; the disk's name, if not given
    #[arg(long)]
    serial: Option<String>,
    /// Cache mode: none, writethrough or writeback
    #[arg(long, default_value = "", hide_default_value = true)]
    cache: String,
    /// Kind of disk: disk or lun
    #[arg(long, default_value = "disk")]
    disk_type: String,
    /// Bus: scsi or virtio for a disk, scsi for a lun
    #[arg(long, default_value = "scsi")]
    bus: String,
    /// Deprecated, has no effect: every change persists
    #[arg(long)]
    persist: bool,
    /// Only try whether the server would accept it
    #[arg(long)]
    dry_run: bool,
}

/// `removevolume`.
#[derive(Debug, clap::Args)]
pub struct RemoveVolume {
    /// Name of the virtual machine or virtual machine instance
    #[arg(value_name = "VMI")]
    names: Vec<String>,
    /// Volume to detach (required)
    #[arg(long, value_name = "NAME")]
    volume_name: Option<String>,
    /// Deprecated, has no effect: every change persists
    #[arg(long)]
    persist: bool,
    /// Only try whether the server would accept it
    #[arg(long)]
    dry_run: bool,
}

/// Asks the VM, or the VMI where there is no VM of that name.
async fn change(session: &Session, name: &str, verb: &str, doing: &str, body: &Value) -> Result<()> {
    for attempt in 0..RETRIES {
        let asked = match session.put(&session.subresource(Machine::Vm, name, verb), body).await {
            Err(error) if error.is_not_found() => session.put(&session.subresource(Machine::Vmi, name, verb), body).await,
            answer => answer,
        };
        match asked {
            Ok(_) => return Ok(()),
            Err(error) if error.text == RACE => tokio::time::sleep(PAUSE * (attempt + 1)).await,
            Err(error) => return Err(error.after(format!("error {doing} volume, "))),
        }
    }
    bail!("error {doing} volume after {RETRIES} retries")
}

impl AddVolume {
    /// The disk of the request.
    fn disk(&self, volume: &str) -> Result<(String, Value)> {
        let name = self.disk_name.as_deref().unwrap_or(volume);
        if name.len() > LONGEST_NAME {
            let hint = if self.disk_name.is_none() { ", use --disk-name to give the disk another name" } else { "" };
            bail!("Invalid disk name {name}, must not exceed {LONGEST_NAME} characters{hint}");
        }
        if !matches!(self.cache.as_str(), "" | "none" | "writethrough" | "writeback") {
            bail!("error adding volume, invalid cache value {}", self.cache);
        }
        let mut disk = json!({"name": "", "serial": self.serial.as_deref().unwrap_or(name)});
        if !self.cache.is_empty() {
            disk["cache"] = json!(self.cache);
        }
        let bus = self.bus.as_str();
        match (self.disk_type.as_str(), bus) {
            ("disk", "scsi" | "virtio") => disk["disk"] = json!({"bus": bus}),
            ("lun", "scsi") => disk["lun"] = json!({"bus": bus}),
            ("disk", _) => bail!("Invalid bus type '{bus}' for disk. Only 'scsi' and 'virtio' are supported."),
            ("lun", _) => bail!("Invalid bus type '{bus}' for LUN disk. Only 'scsi' bus is supported."),
            (kind, _) => bail!("Invalid disk type '{kind}'. Only LUN and Disk are supported."),
        }
        Ok((name.to_owned(), disk))
    }

    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [vmi] = exact(&self.names)?;
        let volume = self.volume_name.as_deref();
        required(&[("volume-name", volume.is_some())])?;
        let volume = volume.unwrap_or_default();
        let (name, disk) = self.disk(volume)?;
        let session = deps.connect.connect(flags).await?;
        if self.dry_run {
            deps.out.line("Dry Run execution");
        }
        let source = if session.get(&session.custom("cdi.kubevirt.io/v1beta1", "datavolumes", volume)).await.is_ok() {
            json!({"dataVolume": {"name": volume, "hotpluggable": true}})
        } else if session.get(&session.core("persistentvolumeclaims", volume)).await.is_ok() {
            json!({"persistentVolumeClaim": {"claimName": volume, "hotpluggable": true}})
        } else {
            bail!("error adding volume, Volume {volume} is not a DataVolume or PersistentVolumeClaim");
        };
        let body = compact(json!({"name": name, "disk": disk, "volumeSource": source, "dryRun": dry(self.dry_run)}));
        change(&session, vmi, "addvolume", "adding", &body).await?;
        deps.out.line(format!("Successfully submitted add volume request to VM {vmi} for volume {volume}"));
        Ok(())
    }
}

impl RemoveVolume {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [vmi] = exact(&self.names)?;
        let Some(volume) = &self.volume_name else { return required(&[("volume-name", false)]) };
        let session = deps.connect.connect(flags).await?;
        if self.dry_run {
            deps.out.line("Dry Run execution");
        }
        let body = compact(json!({"name": volume, "dryRun": dry(self.dry_run)}));
        change(&session, vmi, "removevolume", "removing", &body).await?;
        deps.out.line(format!("Successfully submitted remove volume request to VM {vmi} for volume {volume}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("disk", "virtio", "", Ok(json!({"name": "", "serial": "v", "disk": {"bus": "virtio"}})))]
    #[case("lun", "scsi", "none", Ok(json!({"name": "", "serial": "v", "cache": "none", "lun": {"bus": "scsi"}})))]
    #[case("lun", "virtio", "", Err("Invalid bus type 'virtio' for LUN disk. Only 'scsi' bus is supported."))]
    #[case("disk", "usb", "", Err("Invalid bus type 'usb' for disk. Only 'scsi' and 'virtio' are supported."))]
    #[case("floppy", "scsi", "", Err("Invalid disk type 'floppy'. Only LUN and Disk are supported."))]
    #[case("disk", "scsi", "fast", Err("error adding volume, invalid cache value fast"))]
    fn disks(#[case] kind: &str, #[case] bus: &str, #[case] cache: &str, #[case] expected: std::result::Result<Value, &str>) {
        let add = AddVolume {
            names: Vec::new(),
            volume_name: None,
            disk_name: None,
            serial: None,
            cache: cache.to_owned(),
            disk_type: kind.to_owned(),
            bus: bus.to_owned(),
            persist: false,
            dry_run: false,
        };
        assert_eq!(add.disk("v").map(|(_, disk)| disk).map_err(|error| error.text), expected.map_err(str::to_owned));
    }
}
