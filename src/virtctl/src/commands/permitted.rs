//! Host devices that may be used (spec/virtctl.md §14).

use super::at;
use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps};
use serde_json::Value;

/// `permitted-devices`.
#[derive(Debug, clap::Args)]
pub struct PermittedDevices {}

impl PermittedDevices {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let session = deps.connect.connect(flags).await?;
        let list = session.get(&session.custom("kubevirt.io/v1", "kubevirts", "")).await?;
        let Some(kubevirt) = list["items"].as_array().and_then(|all| all.first()) else {
            bail!("no KubeVirt resource in {:?} namespace", session.namespace);
        };
        let names = |kind: &str| -> String {
            let devices = kubevirt.pointer(&format!("/spec/configuration/permittedHostDevices/{kind}")).and_then(Value::as_array);
            let names: Vec<&str> = devices.into_iter().flatten().map(|device| at(device, "/resourceName")).collect();
            names.join(", ")
        };
        deps.out.line("Permitted Devices: ");
        deps.out.line("Host Devices: ");
        deps.out.line(format!("{} ", names("pciHostDevices")));
        deps.out.line("GPU Devices: ");
        deps.out.line(names("mediatedDevices"));
        Ok(())
    }
}
