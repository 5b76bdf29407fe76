//! Real guests: libvirt's QEMU driver in this process, with its state in the pod's own folders.

use std::env;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hypervisor::{Capabilities, Hypervisor as _};
use hypervisor_libvirt::Libvirt;
use runtime::process::{Options, interrupted};

use super::{CACHE, ProgramError, make};
use crate::storage::Storage;
use crate::{Args, Deps, Files, HostFacts, Place, Rendezvous};

/// Where libvirt keeps its state, in the container. The short name of `/var/run`: sockets' paths may have 107 bytes, and libvirt puts the
/// guest's name into some.
const STATE: &str = "/run/libvirt";
/// The kernel's side of hardware virtualisation; in the container where the pod asked for it.
const KVM: &str = "/dev/kvm";

/// A launcher's surroundings.
pub(super) async fn deps(args: &Args, process: &Options, rendezvous: Rendezvous) -> Result<Deps, super::Failure> {
    let place = Place::new(process);
    let hypervisor = start(&place.path(STATE)).await?;
    let mut capabilities = Capabilities::clone(&hypervisor.capabilities());
    capabilities.kvm &= can_use(&place.path(KVM));
    let files = Files { place: place.clone(), container_disks: args.container_disk_dir.clone() };
    Ok(Deps {
        convert: HostFacts::real(Arc::new(capabilities), args.allow_emulation, &args.ovmf_path, files).conversion(),
        disks: Arc::new(Storage::new(place, args.image_volume, &args.container_disk_dir)),
        hypervisor: Arc::new(hypervisor),
        clock: runtime::Clock::system(),
        rendezvous,
        stop: interrupted()?,
    })
}

/// What the node can do.
pub(super) async fn capabilities() -> Result<Arc<Capabilities>, ProgramError> {
    let folder = tempfile::Builder::new().prefix("fv-").tempdir();
    let folder = folder.map_err(|source| ProgramError::Folder { folder: env::temp_dir().display().to_string(), source })?;
    Ok(start(folder.path()).await?.capabilities())
}

async fn start(state: &Path) -> Result<Libvirt, ProgramError> {
    make(state)?;
    if let Some(cache) = env::var_os(CACHE).map(PathBuf::from) {
        make(&cache)?;
        // libvirt puts a file there whole, so that launchers can share it.
        match symlink(cache, state.join("cache")) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(ProgramError::Folder { folder: state.join("cache").display().to_string(), source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Libvirt::embedded(state).await.map_err(ProgramError::Libvirt)
}

/// Whether the device is there and may be used.
fn can_use(device: &Path) -> bool {
    std::fs::File::options().read(true).write(true).open(device).is_ok()
}
