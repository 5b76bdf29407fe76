//! virt-launcher as a process of its own: one pod's domain, behind its sockets.
//!
//! Built with the feature `libvirt`, its hypervisor is libvirt's QEMU driver in this process. Built without, or told so by
//! `$FERROVIRT_HYPERVISOR`, it is the fake one, whose guest does what the annotations say that `$FERROVIRT_GUEST` holds as a JSON object,
//! and else what guests do by default.

#[cfg(feature = "libvirt")]
mod libvirt;

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use fake_hypervisor::{FakeHypervisor, GuestScript, Host};
use hypervisor::{Capabilities, Hypervisor as _};
use runtime::process::{Failure, Options, interrupted, log};

use crate::storage::NoDisks;
use crate::{Args, Deps, HostFacts, Rendezvous, run};

/// The environment variable with the annotations that script the guest.
pub const GUEST: &str = "FERROVIRT_GUEST";
/// The environment variable that names the hypervisor, `fake` or `libvirt`, whatever the pod's command line says.
pub const BACKEND: &str = "FERROVIRT_HYPERVISOR";
/// The environment variable with a folder in which libvirt's knowledge of the emulator is kept for all launchers: to learn it takes seconds.
pub const CACHE: &str = "FERROVIRT_LIBVIRT_CACHE";
/// The first argument with which the program prints what the node's hypervisor can do, as JSON, and ends.
pub const CAPABILITIES: &str = "capabilities";

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
    #[error("this virt-launcher was built without libvirt; build it with `cargo build -p virt-launcher --features libvirt`")]
    NoLibvirt,
    /// libvirt does not start.
    #[cfg(feature = "libvirt")]
    #[error("start libvirt's QEMU driver (Debian: apt install qemu-system-x86 qemu-utils libvirt-daemon-driver-qemu)")]
    Libvirt(#[source] hypervisor::HypervisorError),
}

/// What runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Fake,
    Libvirt,
}

impl Backend {
    /// What `$FERROVIRT_HYPERVISOR` says, else the command line; pods name the kernel's side of it (`kvm`), which is what was built in.
    fn chosen(told: Option<&str>, argument: &str) -> Self {
        match told.unwrap_or(argument) {
            "fake" => Self::Fake,
            "libvirt" => Self::Libvirt,
            _ if cfg!(feature = "libvirt") => Self::Libvirt,
            _ => Self::Fake,
        }
    }

    fn of(argument: &str) -> Self {
        Self::chosen(env::var(BACKEND).ok().as_deref(), argument)
    }
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
        let rendezvous = |devices| Rendezvous::Sockets {
            command: sockets.join("launcher-sock"),
            notify: share.join("domain-notify-pipe.sock"),
            devices,
        };
        let deps = match Backend::of(&args.hypervisor) {
            Backend::Fake => {
                let hypervisor = FakeHypervisor::annotated(Arc::new(Host::default()), GuestScript::default(), &annotations()?);
                let capabilities = hypervisor.capabilities();
                let emulation = args.allow_emulation || capabilities.kvm;
                Deps {
                    convert: HostFacts::simulated(capabilities, emulation).conversion(),
                    disks: Arc::new(NoDisks),
                    hypervisor: Arc::new(hypervisor),
                    clock: runtime::Clock::system(),
                    rendezvous: rendezvous(Some(devices)),
                    stop: interrupted()?,
                }
            }
            // QEMU serves the guest's devices itself.
            Backend::Libvirt => libvirt::deps(&args, &process, rendezvous(None)).await?,
        };
        Ok(ExitCode::from(run(&args, deps).await?.code()))
    }
}

/// Prints what the node's hypervisor can do, as JSON: what a node tells about itself in labels.
///
/// # Errors
/// libvirt or QEMU is not there.
pub async fn capabilities() -> Result<ExitCode, Failure> {
    use std::io::Write as _;
    log(1);
    let capabilities: Arc<Capabilities> = match Backend::of("kvm") {
        Backend::Fake => Host::default().capabilities,
        Backend::Libvirt => libvirt::capabilities().await?,
    };
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &*capabilities)?;
    writeln!(out)?;
    Ok(ExitCode::SUCCESS)
}

/// Where the feature is not built in.
#[cfg(not(feature = "libvirt"))]
#[allow(clippy::unused_async, reason = "as with the feature")]
mod libvirt {
    use std::sync::Arc;

    use super::{Args, Capabilities, Deps, Options, ProgramError, Rendezvous};

    pub(super) async fn deps(_: &Args, _: &Options, _: Rendezvous) -> Result<Deps, ProgramError> {
        Err(ProgramError::NoLibvirt)
    }

    pub(super) async fn capabilities() -> Result<Arc<Capabilities>, ProgramError> {
        Err(ProgramError::NoLibvirt)
    }
}

fn make(folder: &Path) -> Result<(), ProgramError> {
    std::fs::create_dir_all(folder).map_err(|source| ProgramError::Folder { folder: folder.display().to_string(), source })
}

fn annotations() -> Result<BTreeMap<String, String>, ProgramError> {
    env::var(GUEST).map_or_else(|_| Ok(BTreeMap::new()), |text| serde_json::from_str(&text).map_err(ProgramError::Guest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_which_hypervisor_runs_the_guest() {
        let built_in = if cfg!(feature = "libvirt") { Backend::Libvirt } else { Backend::Fake };
        assert_eq!(Backend::chosen(None, "kvm"), built_in);
        assert_eq!(Backend::chosen(None, "libvirt"), Backend::Libvirt);
        assert_eq!(Backend::chosen(Some("fake"), "libvirt"), Backend::Fake);
        assert_eq!(Backend::chosen(Some("libvirt"), "kvm"), Backend::Libvirt);
    }
}
