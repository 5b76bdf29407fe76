//! `ferrovirt up`: the platform until Ctrl-C.

use crate::cli::{Guests, Up};
use crate::cluster::processes::{MachineOptions, ProcessOptions};
use crate::cluster::{Cluster, Options, StartError};
use crate::endpoint::{Endpoint, EndpointError, write_kubeconfig};
use fake_hypervisor::GuestScript;
use std::io::Write as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why the platform did not come up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its address or kubeconfig.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Its parts.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Serves until `stop`; the kubeconfig goes with it.
///
/// Flow: bind the address, so that a busy port is known before anything starts → start the cluster → serve → write the
/// kubeconfig: whoever waits for that file finds an API that accepts VirtualMachines.
///
/// # Errors
/// [`Error`], when it cannot start; nothing is left behind then either.
pub async fn run(args: &Up, seed: u64, stop: CancellationToken) -> Result<(), Error> {
    let began = Instant::now();
    let mut out = std::io::stdout();
    let mut say = |line: String| {
        // A closed pipe on the other side is no reason to stop serving.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    };
    let endpoint = Endpoint::bind(&args.listen).await?;
    say(format!("starting KubeVirt's API with {} simulated node{}", args.nodes, if args.nodes == 1 { "" } else { "s" }));
    let real = args.hypervisor == Guests::Libvirt;
    let machine = real.then(|| MachineOptions { images: args.images.clone(), programs: args.programs.clone() });
    let options = Options {
        nodes: usize::from(args.nodes),
        data_dir: args.data_dir.clone(),
        server_names: endpoint.names(),
        guests: GuestScript { boot_time: args.guest_boot_time, ..GuestScript::default() },
        uploads_over_tcp: true,
        processes: (args.processes || machine.is_some()).then(|| ProcessOptions {
            url: endpoint.url(),
            programs: args.programs.clone(),
            machine,
        }),
        ..Options::real(seed)
    };
    let cluster = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        cluster = Cluster::boot(options) => cluster?,
    };
    let url = endpoint.url();
    let serving = endpoint.serve(cluster.server(), cluster.pki(), cluster.now(), stop.clone())?;
    let ready = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(false),
        ready = cluster.ready() => ready.map(|()| true),
    };
    // Whatever happened, what was started ends before this does.
    let served = async {
        if !ready? {
            return Ok(());
        }
        write_kubeconfig(&args.kubeconfig, cluster.pki(), &url)?;
        let file = args.kubeconfig.display();
        say(format!("  API server    {url}"));
        say("  components    virt-api, virt-controller, virt-handler on each node: ready".to_owned());
        if let Some(processes) = cluster.processes() {
            if let Some(machine) = processes.machine() {
                say(format!("  guests        {} through libvirt, by {}", machine.version(), machine.launcher().display()));
            }
            say(format!("  processes     one a component and two a VM; their files are in {}", processes.folder().display()));
        }
        say(format!("  kubeconfig    {file}"));
        say(format!("ready after {} ms. Try:", began.elapsed().as_millis()));
        say(format!("  export KUBECONFIG={file}"));
        say("  kubectl apply -f deploy/examples/vm-alpine.yaml".to_owned());
        say("  kubectl get vms,vmis -w".to_owned());
        say("Ctrl-C ends it; nothing stays but what --data-dir keeps.".to_owned());
        stop.cancelled().await;
        say("stopping".to_owned());
        // A kubeconfig of a server that is gone misleads; that it cannot be removed is only worth a line.
        if let Err(error) = std::fs::remove_file(&args.kubeconfig) {
            tracing::warn!(%error, "the kubeconfig stays at {file}");
        }
        Ok(())
    };
    let served = served.await;
    cluster.stop().await;
    if served.is_ok() {
        // The listener drains by itself; its end is all that is of interest.
        let _ = serving.await;
    }
    served
}
