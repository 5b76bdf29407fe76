//! One process of a pod, from its start to its end.

use super::machine::{MachineError, Name};
use super::mounts::{MountError, Mounts};
use super::{Processes, program};
use fake_hypervisor::PREFIX;
use kube::ResourceExt as _;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use runtime::process::{ADDRESS, PARENT, ROOT};
use simcluster::{ContainerContext, Exit, LogSink};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How often volumes are brought in line with what they are made of.
const REFRESH: Duration = Duration::from_secs(10);
/// How long output may come after its process ended: somebody else may hold the other end.
const LAST_OUTPUT: Duration = Duration::from_secs(1);
/// The exit code of what SIGKILL ended, and what is added to any signal's number.
const KILLED: i32 = 137;
const SIGNALLED: i32 = 128;
/// Bytes of a container's last words.
const LAST_WORDS: usize = 4096;

/// Why a container could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// Its volumes.
    #[error(transparent)]
    Mounts(#[from] MountError),
    /// What real guests need.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Its program.
    #[error("start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
}

/// Starts a container's process. The answer is its end; who drops it kills the process.
pub(super) async fn start(
    processes: &Arc<Processes>,
    container: &ContainerContext,
) -> Result<impl Future<Output = Exit> + use<>, StartError> {
    let killed = processes.stop.child_token();
    let dropped = killed.clone().drop_guard();
    let (sender, ended) = oneshot::channel();
    if !killed.is_cancelled() {
        let folder = processes.enter(&container.pod, &container.node);
        let place = Place { processes: Arc::clone(processes), pod: container.pod.clone() };
        std::fs::create_dir_all(&folder).map_err(|source| MountError::File { path: folder.clone(), source })?;
        let mounts = Mounts::set_up(processes, container, &folder).await?;
        let name = name(processes, container, &mounts, &folder)?;
        let child = spawn(processes, container, &mounts, name.as_ref());
        let child = child.map_err(|source| StartError::Spawn { program: program(container).to_owned(), source })?;
        let (term, log) = (container.term.clone(), container.log.clone());
        let last_words = container.spec.termination_message_path.clone();
        processes.tasks.spawn(async move {
            let exit = supervise(child, mounts, Signals { term, killed }, &log, last_words.as_deref()).await;
            if let Some(name) = name {
                name.end_survivors().await;
            }
            drop(place);
            // Whoever waited may be gone.
            let _ = sender.send(exit);
        });
    }
    Ok(async move {
        let exit = ended.await.unwrap_or(Exit::from(KILLED));
        drop(dropped);
        exit
    })
}

/// A process's claim to its pod's folder.
struct Place {
    processes: Arc<Processes>,
    pod: Arc<k8s_openapi::api::core::v1::Pod>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.processes.leave(&self.pod);
    }
}

/// What a process may be told.
struct Signals {
    term: CancellationToken,
    killed: CancellationToken,
}

/// The short name of a launcher's root, where the guest is real; its files are its user's then.
fn name(processes: &Processes, container: &ContainerContext, mounts: &Mounts, folder: &Path) -> Result<Option<Name>, MachineError> {
    let Some(machine) = processes.machine().filter(|machine| machine.program(program(container)).is_some()) else { return Ok(None) };
    let volumes = folder.join("volumes/kubernetes.io~empty-dir");
    let own: Vec<PathBuf> = [mounts.root.clone(), volumes].into_iter().filter(|path| path.exists()).chain(mounts.kept.clone()).collect();
    machine.give(container, &own)?;
    machine.name(&mounts.root).map(Some)
}

fn spawn(processes: &Processes, container: &ContainerContext, mounts: &Mounts, short: Option<&Name>) -> io::Result<Child> {
    let name = program(container);
    let given = processes.options.programs.as_ref().map(|folder| folder.join(name)).filter(|path| path.is_file());
    let machine = processes.machine().and_then(|machine| Some((machine, machine.program(name)?)));
    let mut command = match (&machine, given) {
        (Some((_, path)), _) => Command::new(path),
        (None, Some(path)) => Command::new(path),
        (None, None) => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(name);
            command
        }
    };
    let root = short.map_or(mounts.root.as_path(), Name::path);
    command
        .args(container.args.iter().skip(1))
        .env_clear()
        .envs(&container.env)
        .env(ROOT, root)
        .env(ADDRESS, &container.pod_ip)
        .env(PARENT, std::process::id().to_string())
        .current_dir(&mounts.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Whatever it starts belongs to its group, and can be ended with it.
        .process_group(0)
        .kill_on_drop(true);
    if let Some((machine, _)) = machine {
        // What the image of a launcher would have.
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", root);
        for (key, path) in container.env.iter().filter(|(key, _)| key.starts_with("XDG_")) {
            command.env(key, root.join(path.trim_start_matches('/')));
        }
        machine.dress(&mut command, Some(container));
    } else if name.starts_with("virt-launcher") {
        command.env(virt_launcher::BACKEND, "fake");
    }
    if let Some(kubeconfig) = &mounts.kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    if name.starts_with("virt-launcher") {
        command.env(virt_launcher::GUEST, script(processes.boot_time, container));
    }
    command.spawn()
}

/// What scripts the guest of a launcher, as JSON.
fn script(boot_time: Duration, container: &ContainerContext) -> String {
    let mut script = BTreeMap::from([(format!("{PREFIX}boot-time"), format!("{}ms", boot_time.as_millis()))]);
    let own = container.pod.annotations().iter().filter(|(key, _)| key.starts_with(PREFIX));
    script.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    serde_json::json!(script).to_string()
}

async fn supervise(mut child: Child, mut mounts: Mounts, signals: Signals, log: &LogSink, last_words: Option<&str>) -> Exit {
    let group = child.id().map(|id| Pid::from_raw(id.cast_signed()));
    let output = [
        child.stdout.take().map(|out| tokio::spawn(print(out, log.clone()))),
        child.stderr.take().map(|out| tokio::spawn(print(out, log.clone()))),
    ];
    let mut asked = false;
    let status = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status,
            () = signals.killed.cancelled() => {
                end(group);
                break child.wait().await;
            }
            () = signals.term.cancelled(), if !asked => {
                asked = true;
                if let Some(pid) = group {
                    // It may end this moment by itself.
                    let _ = kill(pid, Signal::SIGTERM);
                }
            }
            () = tokio::time::sleep(REFRESH) => mounts.refresh().await,
        }
    };
    // A container ends with its first process.
    end(group);
    for printed in output.into_iter().flatten() {
        let _ = tokio::time::timeout(LAST_OUTPUT, printed).await;
    }
    Exit { code: code(status), message: last_words.map(|path| words(&mounts.root, path)).unwrap_or_default() }
}

/// Kills a process and what it started.
fn end(group: Option<Pid>) {
    if let Some(group) = group {
        // Nobody may be left.
        let _ = killpg(group, Signal::SIGKILL);
    }
}

fn code(status: io::Result<ExitStatus>) -> i32 {
    match status {
        Ok(status) => status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal)).unwrap_or(KILLED),
        Err(error) => {
            tracing::warn!(%error, "how a process ended is not known");
            KILLED
        }
    }
}

/// What a container left at its `terminationMessagePath`.
fn words(root: &Path, path: &str) -> String {
    let path: PathBuf = root.join(path.trim_start_matches('/'));
    let mut bytes = std::fs::read(path).unwrap_or_default();
    bytes.truncate(LAST_WORDS);
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn print(output: impl AsyncRead + Unpin, log: LogSink) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.print(&line);
    }
}
