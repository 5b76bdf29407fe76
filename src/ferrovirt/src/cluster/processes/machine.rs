//! Real guests on this machine: the launcher that links libvirt, and what its pods need of the simulated kubelet.
//!
//! Flow of [`Machine::prepare`]: find a virt-launcher that was built with libvirt, ask it what this machine's hypervisor can do (which
//! also finds out whether libvirt and QEMU are installed), and keep what libvirt learned of QEMU for every launcher to come.
//!
//! Guarantees: nothing of a guest outlives its container: QEMU leaves the group of the process that started it, and so is looked for by
//! the folder that it was told.

use api::names;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use simcluster::ContainerContext;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::process::Command;
use virt_launcher::{BACKEND, CACHE, CAPABILITIES};

/// The programs of a launcher's pod, which lie side by side.
const LAUNCHER: &str = "virt-launcher";
const MONITOR: &str = "virt-launcher-monitor";
const TAIL: &str = "virt-tail";
/// How long libvirt and QEMU may take to say what they can do.
const PATIENCE: Duration = Duration::from_mins(1);
/// The user of pods that name none, where this is root: the one of KubeVirt's launchers.
const LAUNCHER_USER: u32 = 107;
/// The group of nobody, which has access to no device.
const NO_GROUP: u32 = 65534;
/// The hardware's side of virtualisation.
const KVM: &str = "/dev/kvm";
/// How long what was killed may take to be gone, and how often that is looked at.
const GONE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

/// How guests become real.
#[derive(Clone, Debug, Default)]
pub struct MachineOptions {
    /// The folder with the content of images, a folder an image.
    pub images: Option<PathBuf>,
    /// The only folder in which the launcher is looked for; else beside this program, then in `$PATH`.
    pub programs: Option<PathBuf>,
}

/// Why this machine cannot run guests.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// There is no launcher.
    #[error(
        "no {LAUNCHER} for real guests in {}: build it with `cargo build -p virt-launcher --features libvirt` (Debian: apt install \
         libvirt-dev pkg-config) and put it with {MONITOR} and {TAIL} beside ferrovirt, into $PATH or into --programs DIR",
        places.join(", ")
    )]
    NoLauncher {
        /// Where it was looked for.
        places: Vec<String>,
    },
    /// There is one, but it cannot run guests.
    #[error("{} cannot run guests: {why}", launcher.display())]
    Refused {
        /// The launcher.
        launcher: PathBuf,
        /// Its own words.
        why: String,
    },
    /// A file or folder.
    #[error("set up {}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> MachineError {
    move |source| MachineError::File { path: path.to_owned(), source }
}

/// A user and group that a process becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// This machine, as far as it runs guests.
#[derive(Debug)]
pub struct Machine {
    programs: PathBuf,
    images: Option<PathBuf>,
    /// Short names of containers' roots: a socket's path may have 107 bytes, and pods' folders are deeper than that.
    names: tempfile::TempDir,
    next: AtomicU64,
    /// What libvirt knows of QEMU.
    cache: PathBuf,
    /// What the hypervisor can do, as JSON.
    capabilities: Vec<u8>,
    /// Whether processes can become another user.
    root: bool,
}

impl Machine {
    /// Finds the launcher, and what it can do. `folder` is where the pods' files are.
    ///
    /// # Errors
    /// [`MachineError`]: what has to be installed, built or put somewhere.
    pub(super) async fn prepare(options: MachineOptions, folder: &Path) -> Result<Self, MachineError> {
        // Whose process this is, in whose name it does things.
        let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let names = tempfile::Builder::new().prefix("fv-").tempdir_in("/tmp").map_err(failed(Path::new("/tmp")))?;
        if root {
            // Whoever a process becomes has to get at its files, and need not see the others'.
            for path in [folder, names.path()] {
                fs::set_permissions(path, fs::Permissions::from_mode(0o711)).map_err(failed(path))?;
            }
        }
        let cache = folder.join("libvirt/cache");
        fs::create_dir_all(&cache).map_err(failed(&cache))?;
        let mut machine = Self {
            programs: PathBuf::new(),
            images: options.images,
            names,
            next: AtomicU64::new(0),
            cache,
            capabilities: Vec::new(),
            root,
        };
        machine.recall();
        machine.give_folder(&folder.join("libvirt"))?;
        machine.find(options.programs.as_deref(), folder).await?;
        machine.remember();
        Ok(machine)
    }

    /// The version of the emulator.
    pub fn version(&self) -> String {
        let told: Option<serde_json::Value> = serde_json::from_slice(&self.capabilities).ok();
        told.and_then(|told| Some(told.get("version")?.as_str()?.to_owned())).unwrap_or_default()
    }

    /// The launcher.
    pub fn launcher(&self) -> PathBuf {
        self.programs.join(LAUNCHER)
    }

    async fn find(&mut self, only: Option<&Path>, folder: &Path) -> Result<(), MachineError> {
        let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places: Vec<PathBuf> = match only {
            Some(only) => vec![only.to_owned()],
            None => beside.into_iter().chain(std::env::split_paths(&path)).collect(),
        };
        let mut refused = None;
        for place in places.iter().filter(|place| place.join(LAUNCHER).is_file()) {
            let complete = [MONITOR, TAIL].into_iter().find(|program| !place.join(program).is_file());
            let told = match complete {
                Some(program) => Err(format!("{program} is not beside it")),
                None => self.ask(place, folder).await,
            };
            match told {
                Ok((programs, capabilities)) => {
                    self.programs = programs;
                    self.capabilities = capabilities;
                    return Ok(());
                }
                Err(why) => refused = refused.or(Some(MachineError::Refused { launcher: place.join(LAUNCHER), why })),
            }
        }
        let places = || MachineError::NoLauncher { places: places.iter().map(|place| place.display().to_string()).collect() };
        Err(refused.unwrap_or_else(places))
    }

    /// What a launcher says that it can do, and where it is run from.
    async fn ask(&self, place: &Path, folder: &Path) -> Result<(PathBuf, Vec<u8>), String> {
        let (mut place, mut copied) = (place.to_owned(), false);
        let output = loop {
            let mut command = Command::new(place.join(LAUNCHER));
            command.arg(CAPABILITIES).stdin(Stdio::null()).kill_on_drop(true).env("TMPDIR", "/tmp");
            let home = folder.join("libvirt");
            for variable in ["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
                command.env(variable, &home);
            }
            self.dress(&mut command, None);
            match tokio::time::timeout(PATIENCE, command.output()).await {
                // Whoever it becomes may not enter where the programs are: then they are brought to where it may.
                Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied && self.root && !copied => {
                    place = copy(&place, &folder.join("programs")).map_err(|error| error.to_string())?;
                    copied = true;
                }
                Ok(output) => break output.map_err(|error| error.to_string())?,
                Err(_) => return Err(format!("libvirt does not answer within {} s", PATIENCE.as_secs())),
            }
        };
        if output.status.success() {
            return Ok((place, output.stdout));
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Err(if last.is_empty() { output.status.to_string() } else { last.trim_start_matches("error: ").to_owned() })
    }

    /// A program of a launcher's pod.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        [LAUNCHER, MONITOR, TAIL].contains(&name).then(|| self.programs.join(name))
    }

    /// Has a process be the user that its pod names, with what launchers are told by their environment.
    pub(super) fn dress(&self, command: &mut Command, container: Option<&ContainerContext>) {
        command.env(BACKEND, "libvirt").env(CACHE, &self.cache);
        if let Some(user) = self.user(container) {
            command.uid(user.uid).gid(user.gid);
        }
    }

    fn user(&self, container: Option<&ContainerContext>) -> Option<User> {
        if !self.root {
            return None;
        }
        let pod = container.and_then(|container| container.pod.spec.as_ref()?.security_context.as_ref()?.run_as_user);
        let own = container.and_then(|container| container.spec.security_context.as_ref()?.run_as_user);
        let uid = own.or(pod).and_then(|uid| u32::try_from(uid).ok()).unwrap_or(LAUNCHER_USER);
        let device = fs::metadata(KVM).ok().map(|device| device.gid());
        let gid = match device {
            Some(group) if container.is_some_and(wants_kvm) => group,
            // A group that opens the device to what did not ask for it.
            Some(group) if group == uid => NO_GROUP,
            _ => uid,
        };
        Some(User { uid, gid })
    }

    /// The short name of a container's root, until it is dropped.
    pub(super) fn name(&self, root: &Path) -> Result<Name, MachineError> {
        let path = self.names.path().join(short(self.next.fetch_add(1, Ordering::Relaxed)));
        symlink(root, &path).map_err(failed(&path))?;
        Ok(Name { path })
    }

    /// Gives a container's folders to whom its process becomes.
    pub(super) fn give(&self, container: &ContainerContext, folders: &[PathBuf]) -> Result<(), MachineError> {
        let Some(user) = self.user(Some(container)) else { return Ok(()) };
        folders.iter().try_for_each(|folder| give(folder, user).map_err(failed(folder)))
    }

    fn give_folder(&self, folder: &Path) -> Result<(), MachineError> {
        self.user(None).map_or(Ok(()), |user| give(folder, user).map_err(failed(folder)))
    }

    /// Lays down what the node's hypervisor can do, where virt-handler looks for it; `host` is the node's `/`.
    pub(super) fn tell(&self, host: &Path) -> Result<(), MachineError> {
        let path = host.join(virt_handler::CAPABILITIES.trim_start_matches('/'));
        let folder = path.parent().unwrap_or(host);
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, &self.capabilities)).map_err(failed(&path))
    }

    /// The content of an image.
    ///
    /// # Errors
    /// What a registry would say.
    pub fn image(&self, reference: &str) -> Result<PathBuf, String> {
        let Some(images) = &self.images else {
            return Err(format!("failed to pull image {reference:?}: there is no registry; give --images DIR with the content of images"));
        };
        let named = candidates(reference).into_iter().map(|name| images.join(name)).find(|path| path.is_dir());
        named.ok_or_else(|| format!("failed to pull image {reference:?}: no folder of that name in {}", images.display()))
    }

    /// Removes what lies outside of the pods' folder.
    pub(super) fn close(&self) {
        if let Err(error) = fs::remove_dir_all(self.names.path()) {
            tracing::warn!(%error, folder = %self.names.path().display(), "the containers' names stay");
        }
    }

    /// What an earlier run learned of QEMU; libvirt sees for itself whether it still holds.
    fn recall(&self) {
        if let Some(kept) = kept() {
            copy_files(&kept, &self.cache);
        }
    }

    fn remember(&self) {
        if let Some(kept) = kept()
            && fs::create_dir_all(&kept).is_ok()
        {
            copy_files(&self.cache, &kept);
        }
    }
}

/// Where knowledge of QEMU is kept between runs.
fn kept() -> Option<PathBuf> {
    let home = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    home("XDG_CACHE_HOME").or_else(|| Some(home("HOME")?.join(".cache"))).map(|cache| cache.join("ferrovirt/libvirt"))
}

/// Copies a folder's files, with the folders in it; a cache is no reason to fail.
fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten().filter_map(Result::ok) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            if fs::create_dir_all(&target).is_ok() {
                copy_files(&path, &target);
            }
        } else if let Err(error) = fs::copy(&path, &target) {
            tracing::debug!(%error, path = %path.display(), "not kept");
        }
    }
}

/// Brings the programs to another folder.
fn copy(from: &Path, to: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(to)?;
    for program in [LAUNCHER, MONITOR, TAIL] {
        fs::copy(from.join(program), to.join(program))?;
    }
    Ok(to.to_owned())
}

fn give(path: &Path, user: User) -> io::Result<()> {
    lchown(path, Some(user.uid), Some(user.gid))?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user)?;
        }
    }
    Ok(())
}

/// Whether a container asked for hardware virtualisation.
pub(super) fn wants_kvm(container: &ContainerContext) -> bool {
    let limits = container.spec.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    limits.is_some_and(|limits| limits.contains_key(names::KVM_DEVICE)) && Path::new(KVM).exists()
}

/// Where the device is, in the container and on the machine.
pub(super) fn kvm() -> &'static Path {
    Path::new(KVM)
}

/// A number in as few letters as there are letters and digits for.
fn short(mut number: u64) -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    loop {
        let digit = usize::try_from(number % 36).unwrap_or_default();
        text.extend(LETTERS.get(digit));
        number /= 36;
        if number == 0 {
            text.reverse();
            return String::from_utf8_lossy(&text).into_owned();
        }
    }
}

/// The names that the folder of an image may have: the whole reference, without its tag or digest, and both without the registry.
fn candidates(reference: &str) -> Vec<String> {
    let safe = Path::new(reference).components().all(|step| matches!(step, Component::Normal(_)));
    if !safe {
        return Vec::new();
    }
    let name = reference.split('@').next().unwrap_or(reference);
    let untagged = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(untagged, _)| untagged);
    let last = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
    let mut names = vec![reference.to_owned(), name.to_owned(), untagged.to_owned(), last(name), last(untagged)];
    names.dedup();
    names
}

/// A short name of a container's root.
#[derive(Debug)]
pub(super) struct Name {
    path: PathBuf,
}

impl Name {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Kills whatever was told this name and still runs; it is gone when the answer comes.
    pub(super) async fn end_survivors(&self) {
        let told = format!("{}/", self.path.display());
        let survivors = processes(told.as_bytes());
        for pid in &survivors {
            tracing::info!(pid = pid.as_raw(), "killing what its container left behind");
            // It may have ended by itself since.
            let _ = kill(*pid, Signal::SIGKILL);
        }
        let gone = async {
            for pid in survivors {
                while !is_gone(pid) {
                    tokio::time::sleep(LOOK).await;
                }
            }
        };
        if tokio::time::timeout(GONE, gone).await.is_err() {
            tracing::warn!(root = %self.path.display(), "a process of a container does not go");
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the name stays");
        }
    }
}

/// Whether a process that was killed is gone, or waits only to be collected by its parent.
fn is_gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state comes after the name, which is in brackets and may have brackets itself.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Processes whose command line or environment names a path.
fn processes(told: &[u8]) -> Vec<Pid> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| *pid != own);
    let names = |pid: u32, file: &str| {
        let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        text.windows(told.len()).any(|window| window == told)
    };
    pids.filter(|pid| names(*pid, "cmdline") || names(*pid, "environ")).map(|pid| Pid::from_raw(pid.cast_signed())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_shorter_names_too() {
        assert_eq!(
            candidates("quay.io:443/disks/fedora:40"),
            ["quay.io:443/disks/fedora:40", "quay.io:443/disks/fedora", "fedora:40", "fedora"]
        );
        assert_eq!(candidates("alpine"), ["alpine"]);
        assert_eq!(candidates("x@sha256:00"), ["x@sha256:00", "x"]);
        assert!(candidates("../x").is_empty() && candidates("/etc").is_empty());
    }

    #[test]
    fn names_stay_short() {
        assert_eq!([0, 35, 36, 46_655].map(short), ["0", "z", "10", "zzz"]);
    }
}
