//! A virtual machine with its instance type and preference folded in (spec/virtctl.md §14).

use super::guest::indented;
use super::{exclusive, yaml};
use crate::error::{Error, Result, bail};
use crate::session::SUBRESOURCES;
use crate::{ConnectionArgs, Deps, Machine};
use serde_json::Value;

/// `expand`.
#[derive(Debug, clap::Args)]
pub struct Expand {
    /// Name of the virtual machine
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
    /// File with the virtual machine; - is standard input
    #[arg(short, long, value_name = "PATH")]
    file: Option<String>,
    /// Format: yaml or json
    #[arg(short, long, default_value = "yaml", value_name = "FORMAT")]
    output: String,
}

impl Expand {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        exclusive(&[("vm", self.vm.is_some()), ("file", self.file.is_some())])?;
        if !matches!(self.output.as_str(), "yaml" | "json") {
            bail!("error not supported output format defined: {}", self.output);
        }
        let session = deps.connect.connect(flags).await?;
        let expanded = match (&self.vm, &self.file) {
            (Some(name), _) => {
                let answer = session.send(http::Method::GET, &session.subresource(Machine::Vm, name, "expand-spec"), "", Vec::new()).await;
                answer.map_err(|error| {
                    error.after(format!("error expanding VirtualMachine - {name} in namespace - {}: ", session.namespace))
                })?
            }
            (None, Some(path)) => {
                let text = deps.host.read(path).map_err(|error| Error::new(format!("error reading file {path}: {error}")))?;
                let vm: Value =
                    serde_saphyr::from_slice(&text).map_err(|error| Error::new(format!("error decoding VirtualMachine: {error}")))?;
                let name = super::at(&vm, "/metadata/name").to_owned();
                let answer = session.put(&format!("{SUBRESOURCES}/namespaces/{}/expand-vm-spec", session.namespace), &vm).await;
                answer.map_err(|error| {
                    error.after(format!("error expanding VirtualMachine - {name} in namespace - {}: ", session.namespace))
                })?
            }
            (None, None) => bail!("error invalid arguments - VirtualMachine name or file must be provided"),
        };
        if self.output == "json" {
            deps.out.line(indented(&expanded)?);
        } else {
            deps.out.text(yaml(&serde_json::from_slice::<Value>(&expanded)?)?);
        }
        Ok(())
    }
}
