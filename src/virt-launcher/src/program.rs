//! virt-launcher as a process of its own: one pod's domain, behind its sockets.
//!
//! The hypervisor is the fake one. Its guest does what the annotations say that `$FERROVIRT_GUEST` holds as a JSON object, and else what
//! guests do by default. With `--hypervisor libvirt`, in a build with the feature `libvirt`, it is libvirt's QEMU driver in this process.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use fake_hypervisor::{FakeHypervisor, GuestScript, Host};
use hypervisor::Hypervisor;
use runtime::process::{Failure, Options, interrupted, log};

use crate::{Args, Deps, HostFacts, Rendezvous, run};

/// The environment variable with the annotations that script the guest.
pub const GUEST: &str = "FERROVIRT_GUEST";

/// The command line of the program.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "virt-launcher", version, about = "Runs one virtual machine in its pod.", long_about = None)]
pub struct Program {
    /// What virt-launcher does.
    #[command(flatten)]
    pub args: Args,
    /// Where it does that.
    #[command(flatten)]
    pub process: Options,
}

/// A folder or the guest's script is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A folder cannot be made.
    #[error("make {folder}")]
    Folder {
        /// The folder.
        folder: String,
        /// What is wrong.
        #[source]
        source: std::io::Error,
    },
    /// The variable is not a JSON object of texts.
    #[error("read the annotations in ${GUEST}")]
    Guest(#[source] serde_json::Error),
    /// The backend that is asked for is not built in.
    #[cfg(not(feature = "libvirt"))]
    #[error("this virt-launcher was built without libvirt; build it with --features libvirt")]
    NoLibvirt,
    /// libvirt does not start.
    #[cfg(feature = "libvirt")]
    #[error("start libvirt's QEMU driver (Debian: apt install qemu-system-x86 libvirt-daemon-driver-qemu)")]
    Libvirt(#[source] hypervisor::HypervisorError),
}

impl Program {
    /// Runs until the domain has ended.
    ///
    /// # Errors
    /// It cannot start.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let Self { args, process } = self;
        log(args.verbosity());
        let share = process.path(&args.kubevirt_share_dir);
        let devices = process.path(convert::paths::PRIVATE).join(&args.uid);
        let sockets = share.join("sockets");
        for folder in [&sockets, &devices] {
            make(folder)?;
        }
        let hypervisor = hypervisor(&args.hypervisor, &share).await?;
        let capabilities = hypervisor.capabilities();
        let emulation = args.allow_emulation || capabilities.kvm;
        let deps = Deps {
            convert: HostFacts::simulated(capabilities, emulation).conversion(),
            hypervisor,
            clock: runtime::Clock::system(),
            rendezvous: Rendezvous::Sockets {
                command: sockets.join("launcher-sock"),
                notify: share.join("domain-notify-pipe.sock"),
                devices: Some(devices),
            },
            stop: interrupted()?,
        };
        Ok(ExitCode::from(run(&args, deps).await?.code()))
    }
}

/// The backend that `--hypervisor` names. `share` is where libvirt keeps its state.
async fn hypervisor(name: &str, share: &Path) -> Result<Arc<dyn Hypervisor>, ProgramError> {
    if name == "libvirt" {
        return libvirt(&share.join("libvirt")).await;
    }
    Ok(Arc::new(FakeHypervisor::annotated(Arc::new(Host::default()), GuestScript::default(), &annotations()?)))
}

#[cfg(feature = "libvirt")]
async fn libvirt(root: &Path) -> Result<Arc<dyn Hypervisor>, ProgramError> {
    Ok(Arc::new(hypervisor_libvirt::Libvirt::embedded(root).await.map_err(ProgramError::Libvirt)?))
}

#[cfg(not(feature = "libvirt"))]
#[allow(clippy::unused_async, reason = "as with the feature")]
async fn libvirt(_: &Path) -> Result<Arc<dyn Hypervisor>, ProgramError> {
    Err(ProgramError::NoLibvirt)
}

fn make(folder: &Path) -> Result<(), ProgramError> {
    std::fs::create_dir_all(folder).map_err(|source| ProgramError::Folder { folder: folder.display().to_string(), source })
}

fn annotations() -> Result<BTreeMap<String, String>, ProgramError> {
    env::var(GUEST).map_or_else(|_| Ok(BTreeMap::new()), |text| serde_json::from_str(&text).map_err(ProgramError::Guest))
}
