//! Templates of virtual machines (spec/virtctl.md §14): the API template.kubevirt.io is no part of this platform yet.

use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps};

/// `template`.
#[derive(Debug, clap::Args)]
pub struct Template {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    /// Make a virtual machine of a template (not supported yet)
    Process(Any),
    /// Make a template of an OpenShift template (not supported yet)
    Convert(Any),
    /// Make a template of a virtual machine (not supported yet)
    Create(Any),
}

#[derive(Debug, clap::Args)]
struct Any {
    /// What the original takes
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Template {
    #[allow(clippy::unused_async, reason = "commands are async, whether they wait or not")]
    pub(crate) async fn run(self, _: &ConnectionArgs, _: &Deps) -> Result<()> {
        let (verb, arguments) = match &self.command {
            Task::Process(any) => ("process", any),
            Task::Convert(any) => ("convert", any),
            Task::Create(any) => ("create", any),
        };
        let rest = arguments.arguments.join(" ");
        bail!("template {verb} {rest}: not supported, this platform does not serve the API template.kubevirt.io")
    }
}
