//! The `virt-api` program.

use anyhow::{Context as _, Result};
use clap::Parser as _;
use virt_api::{Args, run};

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt().with_env_filter(runtime::process::level(args.v)).with_writer(std::io::stderr).init();
    let deps = runtime::process::deps().await.context("starting virt-api")?;
    run(args, deps).await.context("virt-api")
}
