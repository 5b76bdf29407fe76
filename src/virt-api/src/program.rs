//! virt-api as a process of its own, against the cluster of its kubeconfig or service account.

use std::process::ExitCode;

use runtime::process::{Failure, Options, log};

use crate::{Args, run};

/// The command line of the program.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "virt-api", version, about = "Admission webhooks and the aggregated subresources API of KubeVirt.", long_about = None)]
pub struct Program {
    /// What virt-api does.
    #[command(flatten)]
    pub args: Args,
    /// Where it does that.
    #[command(flatten)]
    pub process: Options,
}

impl Program {
    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// It cannot start.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        log(self.args.v);
        run(self.args, self.process.deps().await?).await?;
        Ok(ExitCode::SUCCESS)
    }
}
