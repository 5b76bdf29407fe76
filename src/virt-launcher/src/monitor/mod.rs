//! virt-launcher-monitor: the first process of a launcher's container (node.md §1.6).
//!
//! Flow: starts virt-launcher with its own command line, passes signals on to it as SIGTERM, reaps whatever ends, and once the launcher
//! has ended: shows what helpers logged, ends a QEMU that survived it, removes the sockets that container disks wait for, tells a
//! service mesh's proxy to go, and ends with the launcher's exit code.
//!
//! Guarantees: no threads and no runtime, since there is one of these for every virtual machine: it sleeps until a signal comes.

mod cleanup;
mod mesh;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use runtime::process::{Options, PARENT, chain, end_with_parent};

use crate::Args;

/// Where Kubernetes looks for a container's last words.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// What a shell adds to a signal's number for the exit code of the process it ended.
const SIGNALLED: i32 = 128;

/// The command line: virt-launcher's, which is passed on to it.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "virt-launcher-monitor", version, about = "Starts virt-launcher and cleans up after it.", long_about = None)]
pub struct Monitor {
    /// What virt-launcher does.
    #[command(flatten)]
    pub args: Args,
    /// Where it does that.
    #[command(flatten)]
    pub process: Options,
}

/// What the monitor cannot do without.
#[derive(Debug, thiserror::Error)]
enum MonitorError {
    /// The kernel refuses something.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// virt-launcher cannot be started.
    #[error("start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl Fn(Errno) -> MonitorError {
    move |errno| MonitorError::System { what, source: errno.into() }
}

impl Monitor {
    /// Runs `launcher` with this process's own `arguments`, until it and what it left behind have ended.
    pub fn run(self, mut launcher: Command, arguments: impl Iterator<Item = OsString>) -> ExitCode {
        runtime::process::log(self.args.verbosity());
        // What only the monitor obeys.
        launcher.args(arguments.filter(|argument| argument != "--keep-after-failure"));
        match self.watch(launcher) {
            Ok(code) => {
                if code != 0 {
                    self.say(code);
                    if self.args.keep_after_failure {
                        tracing::info!("the container stays, as it was told to");
                        loop {
                            nix::unistd::pause();
                        }
                    }
                }
                ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
            }
            Err(error) => {
                eprintln!("error: {}", chain(&error));
                ExitCode::FAILURE
            }
        }
    }

    fn watch(&self, mut launcher: Command) -> Result<i32, MonitorError> {
        end_with_parent().map_err(|source| MonitorError::System { what: "belong to the kubelet", source })?;
        // What the launcher leaves behind becomes ours, as it does where this is process 1.
        set_child_subreaper(true).map_err(system("become the reaper of orphans"))?;
        let passed_on = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT];
        let signals: SigSet = passed_on.into_iter().chain([Signal::SIGCHLD]).collect();
        signals.thread_block().map_err(system("block signals"))?;
        launcher.env(PARENT, std::process::id().to_string());
        let program = PathBuf::from(launcher.get_program());
        let started = launcher.spawn().map_err(|source| MonitorError::Start { program, source })?;
        let launcher = Pid::from_raw(started.id().cast_signed());
        tracing::info!(pid = launcher.as_raw(), "virt-launcher started");
        let code = loop {
            match signals.wait().map_err(system("wait for signals"))? {
                Signal::SIGCHLD => {
                    if let Some(code) = reap(launcher)? {
                        break code;
                    }
                }
                other => {
                    tracing::info!(signal = other.as_str(), "telling virt-launcher to end");
                    // It may have ended this moment, which SIGCHLD says next.
                    let _ = kill(launcher, Signal::SIGTERM);
                }
            }
        };
        tracing::info!(code, "virt-launcher ended");
        cleanup::show_logs(&self.process);
        let clean = cleanup::end_survivors();
        cleanup::remove_disk_sockets(&self.process.path(&self.args.container_disk_dir));
        // Without a network of its own, the proxy at these ports is somebody else's.
        if self.process.address.is_none() {
            mesh::quit();
        }
        Ok(if clean { code } else { 1 })
    }

    /// Leaves last words where the kubelet finds them.
    fn say(&self, code: i32) {
        let path = self.process.path(TERMINATION_LOG);
        let text = if code > SIGNALLED {
            let signal = Signal::try_from(code - SIGNALLED).map_or("a signal", Signal::as_str);
            format!("virt-launcher was ended by {signal}")
        } else {
            format!("virt-launcher ended with exit code {code}")
        };
        if let Err(error) = std::fs::write(&path, text) {
            tracing::debug!(%error, path = %path.display(), "no last words");
        }
    }
}

/// Runs a program to its end, and collects whatever it leaves behind meanwhile: libvirt waits until the emulators it asked are gone, which
/// they are only once somebody has collected them. The exit code.
///
/// # Errors
/// It cannot be started.
pub fn collecting(mut program: Command) -> io::Result<i32> {
    end_with_parent()?;
    set_child_subreaper(true)?;
    let started = program.env(PARENT, std::process::id().to_string()).spawn()?;
    let program = Pid::from_raw(started.id().cast_signed());
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, status)) if pid == program => return Ok(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => return Ok(SIGNALLED + signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Collects every child that has ended; the launcher's exit code when it is among them.
fn reap(launcher: Pid) -> Result<Option<i32>, MonitorError> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == launcher => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == launcher => code = Some(SIGNALLED + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(code),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(system("collect ended processes")(errno)),
        }
    }
}
