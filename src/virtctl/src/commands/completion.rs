//! Completion scripts, and the flags of every command.

use crate::cli::command;
use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps};
use clap_complete::Shell;

/// `completion`.
#[derive(Debug, clap::Args)]
pub struct Completion {
    /// bash, zsh, fish or powershell
    #[arg(value_name = "SHELL")]
    shells: Vec<String>,
}

/// `options`.
#[derive(Debug, clap::Args)]
pub struct Options {}

impl Completion {
    #[allow(clippy::unused_async, reason = "commands are async, whether they wait or not")]
    pub(crate) async fn run(self, _: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [shell] = super::exact(&self.shells)?;
        let shell = match shell {
            "bash" => Shell::Bash,
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            "powershell" => Shell::PowerShell,
            other => bail!("unsupported shell {other:?}: bash, zsh, fish or powershell"),
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command(), "virtctl", &mut script);
        deps.out.text(script);
        Ok(())
    }
}

impl Options {
    #[allow(clippy::unused_async, reason = "commands are async, whether they wait or not")]
    pub(crate) async fn run(self, _: &ConnectionArgs, deps: &Deps) -> Result<()> {
        deps.out.line("The following options can be passed to any command:\n");
        let flags = clap::Command::new("virtctl").disable_help_flag(true).help_template("{options}");
        let flags = <ConnectionArgs as clap::Args>::augment_args(flags);
        deps.out.text(flags.clone().render_help().to_string());
        Ok(())
    }
}
