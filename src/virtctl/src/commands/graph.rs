//! What a virtual machine depends on (spec/virtctl.md §14).

use super::guest::indented;
use super::{exact, yaml};
use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps, Machine};
use serde_json::{Map, Value, json};

/// `objectgraph`.
#[derive(Debug, clap::Args)]
pub struct ObjectGraph {
    /// Name of the virtual machine
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The name is that of a virtual machine instance
    #[arg(long)]
    vmi: bool,
    /// Leave out what is optional
    #[arg(long)]
    exclude_optional: bool,
    /// Only what has these labels, key=value
    #[arg(long, value_delimiter = ',', value_name = "KEY=VALUE")]
    selector: Vec<String>,
    /// Format: json or yaml
    #[arg(short, long, default_value = "json", value_name = "FORMAT")]
    output: String,
}

impl ObjectGraph {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        if !matches!(self.output.as_str(), "json" | "yaml") {
            bail!("unsupported output format: {} (must be 'json' or 'yaml')", self.output);
        }
        let mut options = json!({"includeOptionalNodes": !self.exclude_optional});
        let mut labels = Map::new();
        for pair in &self.selector {
            let Some((key, value)) = pair.split_once('=') else {
                bail!("invalid argument {pair:?} for \"--selector\" flag: {pair} must be formatted as key=value")
            };
            labels.insert(key.to_owned(), json!(value));
        }
        if !labels.is_empty() {
            options["labelSelector"] = json!({"matchLabels": labels});
        }
        let session = deps.connect.connect(flags).await?;
        let (kind, title) = if self.vmi { (Machine::Vmi, "VirtualMachineInstance") } else { (Machine::Vm, "VirtualMachine") };
        let path = session.subresource(kind, name, "objectgraph");
        let answer = session.send(http::Method::GET, &path, "application/json", serde_json::to_vec(&options)?).await;
        let graph = answer.map_err(|error| error.after(format!("error listing object graph of {title} {name}: ")))?;
        if self.output == "json" {
            deps.out.line(indented(&graph)?);
        } else {
            deps.out.text(yaml(&serde_json::from_slice::<Value>(&graph)?)?);
        }
        Ok(())
    }
}
