//! virt-launcher as a process of its own: one pod's domain, behind its sockets.
//!
//! The hypervisor backend that is built in is the fake one; its guest does what a guest without annotations does.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use fake_hypervisor::{FakeHypervisor, GuestScript, Host};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use virt_launcher::{Args, Deps, HostFacts, Rendezvous, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    let host = Arc::new(Host::default());
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
    let deps = Deps {
        convert: HostFacts::simulated(host.capabilities.clone(), args.allow_emulation).conversion(),
        hypervisor: Arc::new(FakeHypervisor::new(host, GuestScript::default())),
        clock: runtime::Clock::system(),
        rendezvous: Rendezvous::Sockets { command: sockets.join("launcher-sock"), notify: share.join("domain-notify-pipe.sock") },
        stop,
    };
    Ok(ExitCode::from(run(&args, deps).await?.code()))
}
