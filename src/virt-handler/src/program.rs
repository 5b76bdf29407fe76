//! virt-handler as a process of its own, against the cluster of its kubeconfig or service account.
//!
//! It finds launchers by the sockets in their pods' folders. What the node's hypervisor can do was laid down by whoever has one at hand
//! ([`CAPABILITIES`]); where nobody did, it is the fake one's host.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use hypervisor::Capabilities;
use launcher_rpc::grpc::SocketDirectory;
use runtime::process::{Failure, Options, log};

use crate::{Args, AwaitedDevices, Error, Host, run};

/// The file with what the node's hypervisor can do, as `virt-launcher capabilities` prints it.
pub const CAPABILITIES: &str = "/var/lib/kubevirt-node-labeller/capabilities.json";

/// The command line of the program.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "virt-handler", version, about = "Cares for the virtual machines of one node.", long_about = None)]
pub struct Program {
    /// What virt-handler does.
    #[command(flatten)]
    pub args: Args,
    /// Where it does that.
    #[command(flatten)]
    pub process: Options,
}

impl Program {
    /// Works until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// It cannot start.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let Self { args, process } = self;
        log(args.v);
        let deps = process.deps().await?;
        let given = Some(args.hostname_override.clone()).filter(|name| !name.is_empty());
        let node = given.or_else(|| deps.node_name.clone()).ok_or(Error::NoNode)?;
        let records = process.path(&args.kubevirt_private_dir).join("ghost-records");
        let directory = SocketDirectory::new(&process.path(&args.kubelet_pods_dir), &records);
        let directory = directory.map_err(|source| Error::Records { folder: records, source })?;
        let host = Host {
            directory: Arc::new(directory),
            capabilities: capabilities(&process.path(CAPABILITIES))?,
            device_plugins: Arc::new(AwaitedDevices::new(deps.client.clone(), &node)),
        };
        run(args, deps, host).await?;
        Ok(ExitCode::SUCCESS)
    }
}

fn capabilities(path: &Path) -> Result<Arc<Capabilities>, Error> {
    let failed = |source: io::Error| Error::Capabilities { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Arc::new).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(fake_hypervisor::Host::default().capabilities),
        Err(error) => Err(failed(error)),
    }
}
