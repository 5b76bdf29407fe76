//! The pod's process (node.md §1.4, §1.5).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hypervisor::Hypervisor;
use launcher_rpc::grpc::ServeError;
use launcher_rpc::local::LocalPod;
use launcher_rpc::{Notify, grpc, sockets};
use runtime::Clock;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::convert::Conversion;
use crate::device_sockets;
use crate::launcher::{Identity, Launcher};
use crate::notifier::{Notifier, Progress};
use crate::storage::Disks;

/// How long the handler has to remove the domain after it ended.
const REMOVAL: Duration = Duration::from_secs(15);
/// How much longer, after the domain was killed for good measure.
const LAST_REMOVAL: Duration = Duration::from_secs(30);

/// How handler and launcher find each other.
#[derive(Debug)]
pub enum Rendezvous {
    /// In one process.
    Local(LocalPod),
    /// By Unix sockets.
    Sockets {
        /// Where the launcher listens; the last name is taken once it answers.
        command: PathBuf,
        /// Where the handler listens.
        notify: PathBuf,
        /// The folder in which the guest's devices are served; none where the hypervisor does that itself.
        devices: Option<PathBuf>,
    },
}

/// The outside world of a launcher.
pub struct Deps {
    /// The hypervisor.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// Makes the domain of a VMI.
    pub convert: Conversion,
    /// Makes what the guest's disks are made of.
    pub disks: Arc<dyn Disks>,
    /// Where timestamps come from.
    pub clock: Clock,
    /// How the handler is found.
    pub rendezvous: Rendezvous,
    /// Cancelled when the pod is told to end (SIGTERM).
    pub stop: CancellationToken,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").field("rendezvous", &self.rendezvous).finish_non_exhaustive()
    }
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The domain ended, or there never was one and the pod was told to end.
    Clean,
    /// No domain came in time.
    NeverStarted,
    /// It was told to fail.
    Simulated,
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::NeverStarted | Self::Simulated => 2,
        }
    }
}

/// A launcher that could not do its work at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its command server could not be started.
    #[error("start the command server")]
    Serve(#[source] ServeError),
    /// The guest's devices cannot be reached.
    #[error("serve the guest's devices in {}", folder.display())]
    Devices {
        /// The folder of their sockets.
        folder: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// Its socket could not be given its name.
    #[error("announce the command server at {}", path.display())]
    Announce {
        /// The socket's path.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
}

/// Runs the launcher of one VMI until its domain has ended.
///
/// Flow: listen, wait for a domain, watch it, wait until the handler has removed it.
///
/// Guarantees: dropping the future is a crash of the pod: the launcher is found no more, and the hypervisor it was given goes with it
/// where nobody else holds it. The guest is never asked to power off from here; only its plug is pulled, when the grace period is over.
///
/// # Errors
/// The command server could not be started.
pub async fn run(args: &Args, deps: Deps) -> Result<Exit, RunError> {
    let Deps { hypervisor, convert, disks, clock, rendezvous, stop } = deps;
    if args.simulate_crash {
        tracing::error!("Simulated virt-launcher crash");
        return Ok(Exit::Simulated);
    }
    let identity = Identity { namespace: args.namespace.clone(), name: args.name.clone(), uid: args.uid.clone() };
    let events = hypervisor.events();
    let launcher = Launcher::new(identity, hypervisor, convert, disks, clock);
    let (progress, mut watched) = watch::channel(Progress::default());
    let handler: Arc<dyn Notify> = match &rendezvous {
        Rendezvous::Local(pod) => pod.handler(),
        Rendezvous::Sockets { notify, .. } => grpc::connect_handler(notify.clone()),
    };
    let _notifier = Task(tokio::spawn(Notifier::new(&launcher.inner, handler, progress).run(events)));
    let closed = CancellationToken::new();
    let _server = listen(&rendezvous, &launcher, &closed).await?;
    let exit = watch_over(args, &launcher, &mut watched, &stop).await;
    if let Rendezvous::Local(pod) = &rendezvous {
        pod.close();
    }
    closed.cancel();
    if let Rendezvous::Sockets { command, devices, .. } = &rendezvous {
        // Who finds no socket need not wait for an answer.
        let devices = devices.iter().flat_map(|folder| sockets::all().into_iter().map(|name| folder.join(name)));
        for socket in devices.chain([command.clone()]) {
            if let Err(error) = std::fs::remove_file(&socket) {
                tracing::debug!(%error, socket = %socket.display(), "the socket stays");
            }
        }
    }
    Ok(exit)
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes the launcher reachable; under its last name only once it answers, which is how the handler sees that it is ready.
async fn listen(rendezvous: &Rendezvous, launcher: &Launcher, closed: &CancellationToken) -> Result<Option<Task>, RunError> {
    let launcher = Arc::new(launcher.clone());
    match rendezvous {
        Rendezvous::Local(pod) => {
            pod.listen(launcher.clone(), launcher);
            Ok(None)
        }
        Rendezvous::Sockets { command, devices, .. } => {
            if let Some(folder) = devices {
                let failed = |source| RunError::Devices { folder: folder.clone(), source };
                device_sockets::serve(folder, &launcher, closed).map_err(failed)?;
            }
            let first = command.with_file_name("launcher-init-sock");
            let (path, closed) = (first.clone(), closed.clone());
            let mut server = tokio::spawn(async move { grpc::serve_launcher(&path, launcher, closed).await });
            loop {
                if grpc::connect_launcher(&first).await.is_ok() {
                    break;
                }
                tokio::select! {
                    biased;
                    ended = &mut server => if let Ok(Err(error)) = ended { return Err(RunError::Serve(error)) },
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
            std::fs::rename(&first, command).map_err(|source| RunError::Announce { path: command.clone(), source })?;
            Ok(Some(Task(tokio::spawn(async move {
                if let Ok(Err(error)) = server.await {
                    tracing::error!(%error, "the command server broke");
                }
            }))))
        }
    }
}

async fn watch_over(args: &Args, launcher: &Launcher, watched: &mut watch::Receiver<Progress>, stop: &CancellationToken) -> Exit {
    let never = Instant::now() + args.qemu_timeout;
    // A domain, and then its process.
    let ended = loop {
        let progress = *watched.borrow_and_update();
        if progress.was_active {
            break watch_domain(args, launcher, watched, stop).await;
        }
        tokio::select! {
            biased;
            changed = watched.changed() => if changed.is_err() { break true },
            // Nothing runs that would need a shutdown.
            () = stop.cancelled() => break progress.seen,
            () = tokio::time::sleep_until(never) => {
                tracing::error!(timeout = ?args.qemu_timeout, "timed out waiting for the domain to be started");
                if !progress.seen {
                    return Exit::NeverStarted;
                }
                break true;
            }
        }
    };
    if ended {
        wait_for_removal(launcher, watched).await;
    }
    Exit::Clean
}

/// Waits until the domain's process has ended. Whether there is a domain to be removed.
async fn watch_domain(args: &Args, launcher: &Launcher, watched: &mut watch::Receiver<Progress>, stop: &CancellationToken) -> bool {
    let mut deadline = None;
    loop {
        if !watched.borrow_and_update().active {
            return true;
        }
        let over = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = watched.changed() => if changed.is_err() { return true },
            () = stop.cancelled(), if deadline.is_none() => {
                launcher.inner.records.update_grace_period(|grace| grace.marked_for_graceful_shutdown = Some(true));
                deadline = Some(Instant::now() + Duration::from_secs(args.grace_period_seconds));
            }
            () = over => {
                tracing::info!("grace period expired, destroying the domain");
                if let Err(error) = launcher.inner.kill().await {
                    tracing::warn!(%error, "the domain could not be destroyed");
                }
                deadline = Some(Instant::now() + Duration::from_secs(1));
            }
        }
    }
}

async fn wait_for_removal(launcher: &Launcher, watched: &mut watch::Receiver<Progress>) {
    // An error means that the notifier ended, and nothing more will be told.
    if tokio::time::timeout(REMOVAL, watched.wait_for(|progress| progress.gone_told)).await.is_ok() {
        return;
    }
    tracing::info!("the domain was not removed in time, destroying it");
    if let Err(error) = launcher.inner.kill().await {
        tracing::warn!(%error, "the domain could not be destroyed");
    }
    // Whoever has not removed it by now never will.
    let _ = tokio::time::timeout(LAST_REMOVAL, watched.wait_for(|progress| progress.gone_told)).await;
}
