//! What the monitor does once virt-launcher has ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use runtime::process::Options;

/// Logs of helpers, which end with the container.
const PASST_LOG: &str = "/var/run/kubevirt/passt.log";
/// Where libvirt's daemon keeps QEMU's, and where its driver in virt-launcher does.
const QEMU_LOGS: [&str; 2] = ["/run/kubevirt-private/libvirt/qemu/log", "/run/libvirt/log/qemu"];
/// The beginnings of the emulator's program names.
const EMULATORS: [&str; 2] = ["qemu-system", "qemu-kvm"];
/// How long an emulator that survived its launcher has to end, and how often that is looked at.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Prints the logs of helpers.
pub(super) fn show_logs(process: &Options) {
    let folders = QEMU_LOGS.iter().flat_map(|folder| fs::read_dir(process.path(folder)).into_iter().flatten()).filter_map(Result::ok);
    let mut logs: Vec<PathBuf> = folders.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    logs.sort();
    logs.insert(0, process.path(PASST_LOG));
    for path in logs {
        match fs::read(&path) {
            Ok(content) => {
                for line in String::from_utf8_lossy(&content).lines() {
                    tracing::info!(file = %path.display(), "{line}");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, file = %path.display(), "the log cannot be shown"),
        }
    }
}

/// Ends an emulator that survived; false when it does not go.
pub(super) fn end_survivors() -> bool {
    let survivors = children(std::process::id());
    for (pid, name) in &survivors {
        tracing::info!(pid = pid.as_raw(), name, "ending what virt-launcher left behind");
        // It may have ended by itself since.
        let _ = kill(*pid, Signal::SIGTERM);
    }
    let mut waited = Duration::ZERO;
    survivors.iter().all(|(pid, _)| {
        loop {
            match waitpid(*pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) if waited >= PATIENCE => return false,
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
                Ok(_) | Err(_) => return true,
            }
            pause(LOOK);
            waited += LOOK;
        }
    })
}

/// Waits; signals are blocked, and nobody else is in this process.
#[expect(clippy::disallowed_methods, reason = "the monitor is one thread without a runtime, and has nothing else to do")]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// The emulators among the children of a process.
fn children(parent: u32) -> Vec<(Pid, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, its_parent) = parse_stat(&stat)?;
        let emulates = EMULATORS.iter().any(|emulator| name.starts_with(emulator));
        (its_parent == parent && emulates).then(|| (Pid::from_raw(pid), name.to_owned()))
    })
    .collect()
}

/// Name and parent in a line of `/proc/PID/stat`: the name is in brackets, and may have brackets itself.
fn parse_stat(stat: &str) -> Option<(&str, u32)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let parent = after.split_whitespace().nth(1)?.parse().ok()?;
    Some((name, parent))
}

/// Removes the sockets that the containers of container disks live by.
pub(super) fn remove_disk_sockets(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "sock")
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(%error, socket = %path.display(), "a container disk stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_have_brackets() {
        assert_eq!(parse_stat("12 (qemu-system-x86) S 7 12 12 0"), Some(("qemu-system-x86", 7)));
        assert_eq!(parse_stat("12 (a) b) S 7 12"), Some(("a) b", 7)));
        assert_eq!(parse_stat("12"), None);
    }
}
