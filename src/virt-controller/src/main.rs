//! virt-controller as a process of its own, against the cluster of its kubeconfig or service account.

use clap::Parser;
use virt_controller::Args;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(runtime::process::level(args.v))),
        )
        .init();
    let deps = runtime::process::deps().await?;
    virt_controller::run(args, deps).await?;
    Ok(())
}
