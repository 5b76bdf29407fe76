//! virt-handler as a process of its own, against the cluster of its kubeconfig or service account.
//!
//! It finds launchers by the sockets in their pods' folders. The hypervisor backend that is built in is the fake one: its
//! host's facts become the node's labels.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use launcher_rpc::grpc::SocketDirectory;
use virt_handler::{AllocatablePatch, Args, Host};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt().with_env_filter(runtime::process::level(args.v)).with_writer(std::io::stderr).init();
    let deps = runtime::process::deps().await?;
    let given = Some(args.hostname_override.clone()).filter(|name| !name.is_empty());
    let node = given.or_else(|| deps.node_name.clone()).context("the node's name: give --hostname-override or NODE_NAME")?;
    let records = Path::new(&args.kubevirt_private_dir).join("ghost-records");
    let directory = SocketDirectory::new(Path::new(&args.kubelet_pods_dir), &records)
        .with_context(|| format!("making the folder for ghost records at {}", records.display()))?;
    let host = Host {
        directory: Arc::new(directory),
        capabilities: fake_hypervisor::Host::default().capabilities,
        device_plugins: Arc::new(AllocatablePatch::new(deps.client.clone(), &node)),
    };
    virt_handler::run(args, deps, host).await?;
    Ok(())
}
