//! virt-launcher as a process of its own: one pod's domain, behind its sockets.
//!
//! The hypervisor is the fake one, whose guest does what a guest without annotations does; with `--hypervisor libvirt`, in a build
//! with the feature `libvirt`, it is libvirt's QEMU driver in this process.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use fake_hypervisor::{FakeHypervisor, GuestScript, Host};
use hypervisor::Hypervisor;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use virt_launcher::{Args, Deps, HostFacts, Rendezvous, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    let share = Path::new(&args.kubevirt_share_dir);
    let sockets = share.join("sockets");
    std::fs::create_dir_all(&sockets).with_context(|| format!("making {}", sockets.display()))?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let mut terminate = signal(SignalKind::terminate()).context("catching SIGTERM")?;
    tokio::spawn(async move {
        terminate.recv().await;
        stopped.cancel();
    });
    let hypervisor = hypervisor(&args.hypervisor, share).await?;
    let deps = Deps {
        convert: HostFacts::simulated(hypervisor.capabilities(), args.allow_emulation).conversion(),
        hypervisor,
        clock: runtime::Clock::system(),
        rendezvous: Rendezvous::Sockets { command: sockets.join("launcher-sock"), notify: share.join("domain-notify-pipe.sock") },
        stop,
    };
    Ok(ExitCode::from(run(&args, deps).await?.code()))
}

/// The backend `--hypervisor` names. `share` is where libvirt keeps its state.
async fn hypervisor(name: &str, share: &Path) -> anyhow::Result<Arc<dyn Hypervisor>> {
    if name == "libvirt" {
        return libvirt(&share.join("libvirt")).await;
    }
    Ok(Arc::new(FakeHypervisor::new(Arc::new(Host::default()), GuestScript::default())))
}

#[cfg(feature = "libvirt")]
async fn libvirt(root: &Path) -> anyhow::Result<Arc<dyn Hypervisor>> {
    let connection = hypervisor_libvirt::Libvirt::embedded(root).await;
    Ok(Arc::new(connection.context("starting libvirt's QEMU driver (Debian: apt install qemu-system-x86 libvirt-daemon-driver-qemu)")?))
}

#[cfg(not(feature = "libvirt"))]
async fn libvirt(_: &Path) -> anyhow::Result<Arc<dyn Hypervisor>> {
    anyhow::bail!("this virt-launcher was built without libvirt; build it with --features libvirt")
}
