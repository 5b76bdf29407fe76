//! What a guest's disks are made of: the files that the launcher makes before the domain is defined (spec/domain-xml.md §12, node.md §7.1).
//!
//! Flow: [`Disks::find_images`] puts the content of images where the domain looks for it; the VMI is converted; [`Disks::make`] makes
//! overlays, empty disks and generated media, and settles how disks are cached; [`Disks::make_first_boot`] makes the cloud-init medium once
//! the domain is defined, since a config drive names the guest's devices by their addresses.
//!
//! Guarantees: what is there already is kept, so that a launcher may be asked again; a medium appears whole or not at all; nothing is
//! written outside of the container's own folders.

mod image;
mod iso;
mod links;
mod media;
mod qemu_img;

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use api::v1::VirtualMachineInstance;
use async_trait::async_trait;
use convert::cloudinit;
use convert::domain::disk_cache;
use convert::paths::{EMPTY_DISKS, EPHEMERAL, PRIVATE};
use domain::{Disk, Domain};
use hypervisor::View;
use runtime::process::chain;

pub(crate) use image::format_of;
pub use image::{ImageError, ImageFormat, inspect};

use crate::place::Place;
use qemu_img::QemuImg;

/// Bytes of a mebibyte, in which QEMU's images are sized.
const MI: u64 = 1 << 20;
/// Permissions of images that only the guest's processes read.
const IMAGE_MODE: u32 = 0o640;

/// Makes what a guest's disks are made of.
#[async_trait]
pub trait Disks: Send + Sync {
    /// Has the content of images where the domain expects it.
    async fn find_images(&self, vmi: &VirtualMachineInstance) -> Result<(), String>;
    /// Makes the files of the domain's disks, and settles their cache modes.
    async fn make(&self, vmi: &VirtualMachineInstance, domain: &mut Domain) -> Result<(), String>;
    /// Makes what the guest reads at its first boot.
    async fn make_first_boot(&self, vmi: &VirtualMachineInstance, domain: &dyn hypervisor::Domain) -> Result<(), String>;
}

/// For guests that have no files.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDisks;

#[async_trait]
impl Disks for NoDisks {
    async fn find_images(&self, _: &VirtualMachineInstance) -> Result<(), String> {
        Ok(())
    }

    async fn make(&self, _: &VirtualMachineInstance, _: &mut Domain) -> Result<(), String> {
        Ok(())
    }

    async fn make_first_boot(&self, _: &VirtualMachineInstance, _: &dyn hypervisor::Domain) -> Result<(), String> {
        Ok(())
    }
}

/// Why a disk could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A file or folder.
    #[error("{what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// An image has no file, or several, that could be the disk.
    #[error("{what}: {why}")]
    Image {
        /// The volume.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// An image that must not be used.
    #[error("container disk {volume}")]
    Unsafe {
        /// The volume.
        volume: String,
        /// What is wrong.
        #[source]
        source: ImageError,
    },
    /// QEMU's tool for images.
    #[error("{what}")]
    QemuImg {
        /// What was tried.
        what: String,
        /// What is wrong: its own words.
        #[source]
        source: io::Error,
    },
    /// A size is none.
    #[error("the capacity {capacity:?} of disk {volume} is less than a mebibyte")]
    Capacity {
        /// The volume.
        volume: String,
        /// What was asked for.
        capacity: String,
    },
    /// A medium cannot be laid out.
    #[error("make the medium {}", path.display())]
    Medium {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The VMI's first-boot data.
    #[error(transparent)]
    CloudInit(#[from] cloudinit::CloudInitError),
    /// A disk that cannot be cached as asked for.
    #[error(transparent)]
    Cache(#[from] disk_cache::CacheError),
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    move |source| StorageError::File { what, path: path.to_owned(), source }
}

fn make_folder(path: &Path) -> Result<(), StorageError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed("make the folder", path))
}

/// Disks in the container's folders.
#[derive(Clone, Debug)]
pub struct Storage {
    place: Place,
    tool: QemuImg,
    /// Whether images of container disks are mounted as volumes; else the node's handler mounts their files.
    image_volumes: bool,
    /// Where container disks are found.
    container_disks: String,
}

impl Storage {
    /// Disks of a container at `place`, whose container disks are in `container_disks`.
    pub fn new(place: Place, image_volumes: bool, container_disks: &str) -> Self {
        Self { place, tool: QemuImg::default(), image_volumes, container_disks: container_disks.to_owned() }
    }

    async fn build(&self, vmi: &VirtualMachineInstance, domain: &mut Domain) -> Result<(), StorageError> {
        for volume in &vmi.spec.volumes {
            if let Some(disk) = &volume.empty_disk {
                self.empty_disk(&volume.name, &disk.capacity.0).await?;
            } else if let Some(disk) = &volume.host_disk {
                let name = disk.path.rsplit('/').next().unwrap_or_default();
                let path = self.place.path(&format!("{PRIVATE}/vmi-disks/{}", volume.name)).join(name);
                let capacity = disk.capacity.as_ref().map(|capacity| capacity.0.as_str()).filter(|_| disk.r#type == "DiskOrCreate");
                Self::raw_disk(&volume.name, &path, capacity)?;
            } else if volume.persistent_volume_claim.is_some() || volume.data_volume.is_some() {
                let path = self.place.path(&format!("{PRIVATE}/vmi-disks/{}/disk.img", volume.name));
                Self::raw_disk(&volume.name, &path, claimed(vmi, &volume.name).as_deref())?;
            }
        }
        self.generated(vmi)?;
        for disk in &domain.devices.disks {
            self.overlay(disk).await?;
        }
        self.settle_caches(domain).await
    }

    /// A qcow2 disk that starts empty. An existing one is the guest's.
    async fn empty_disk(&self, volume: &str, capacity: &str) -> Result<(), StorageError> {
        let folder = self.place.path(EMPTY_DISKS);
        let path = folder.join(format!("{volume}.qcow2"));
        if path.exists() {
            return Ok(());
        }
        let bytes = mebibytes(volume, capacity)?;
        make_folder(&folder)?;
        self.tool.create(&path, bytes).await?;
        restrict(&path)
    }

    /// A raw disk in a folder that outlives the guest; made where it may be and is not there.
    fn raw_disk(volume: &str, path: &Path, capacity: Option<&str>) -> Result<(), StorageError> {
        let (Some(capacity), false) = (capacity, path.exists()) else { return Ok(()) };
        // A block device is nothing that could be missing.
        if path.parent().is_none_or(|parent| !parent.is_dir()) {
            return Ok(());
        }
        let bytes = mebibytes(volume, capacity)?;
        let made = std::fs::File::options().write(true).create_new(true).mode(0o660).open(path);
        made.and_then(|file| file.set_len(bytes)).map_err(failed("make the disk", path))
    }

    /// What the guest writes over an image that it must not change.
    async fn overlay(&self, disk: &Disk) -> Result<(), StorageError> {
        let below = disk.backing_store.as_ref().and_then(|backing| Some((backing.source.as_ref()?.path()?, backing.format.as_ref()?)));
        let (Some((below, format)), Some(path)) = (below, disk.source.file.as_deref()) else { return Ok(()) };
        // Only what lies in the container's folder of overlays is one that goes with the guest.
        let path = Path::new(path);
        if path.exists() || !path.starts_with(self.place.path(EPHEMERAL)) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        self.tool.create_over(path, Path::new(below), &format.kind).await?;
        restrict(path)
    }

    async fn settle_caches(&self, domain: &mut Domain) -> Result<(), StorageError> {
        for disk in &mut domain.devices.disks {
            let mut probe = disk_cache::Probe { backing_direct: true, ..disk_cache::Probe::default() };
            if let Some(path) = disk_cache::backend(disk).filter(|_| disk_cache::wants_probe(disk)) {
                probe.direct = opens_directly(Path::new(path));
                let below = disk.backing_store.as_ref().and_then(|backing| backing.source.as_ref()?.file.as_deref());
                probe.backing_direct = below.is_none_or(|below| opens_directly(Path::new(below)));
                probe.preallocated = probe.direct && disk.source.file.is_some() && self.tool.is_preallocated(Path::new(path)).await;
            }
            disk_cache::apply(disk, probe)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Disks for Storage {
    async fn find_images(&self, vmi: &VirtualMachineInstance) -> Result<(), String> {
        if self.image_volumes {
            links::link(&self.place, &self.container_disks, vmi).map_err(|error| chain(&error))?;
        }
        for (index, volume) in vmi.spec.volumes.iter().enumerate().filter(|(_, volume)| volume.container_disk.is_some()) {
            let path = self.place.path(&format!("{}/disk_{index}.img", self.container_disks));
            format_of(&path)
                .map_err(failed("read the container disk", &path))
                .and_then(|format| format.map_err(|source| StorageError::Unsafe { volume: volume.name.clone(), source }))
                .map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    async fn make(&self, vmi: &VirtualMachineInstance, domain: &mut Domain) -> Result<(), String> {
        self.build(vmi, domain).await.map_err(|error| chain(&error))
    }

    async fn make_first_boot(&self, vmi: &VirtualMachineInstance, domain: &dyn hypervisor::Domain) -> Result<(), String> {
        if cloudinit::volume(vmi).is_none() {
            return Ok(());
        }
        let defined = domain.description(View::Inactive).await.map_err(|error| error.rpc_text())?;
        self.first_boot(vmi, &defined).map_err(|error| chain(&error))
    }
}

/// The size of the claim behind a volume, where it holds a file system.
fn claimed(vmi: &VirtualMachineInstance, volume: &str) -> Option<String> {
    let statuses = vmi.status.iter().flat_map(|status| &status.volume_status);
    let claim = statuses.filter(|status| status.name == volume).find_map(|status| status.persistent_volume_claim_info.as_ref())?;
    let size = claim.capacity.get("storage").or_else(|| claim.requests.get("storage"))?;
    (claim.volume_mode.as_deref() != Some("Block")).then(|| size.0.clone())
}

/// Bytes in whole mebibytes.
fn mebibytes(volume: &str, capacity: &str) -> Result<u64, StorageError> {
    let bytes = api::quantity::parse(capacity).and_then(|amount| u64::try_from(amount.value()).ok()).unwrap_or_default() / MI * MI;
    if bytes == 0 {
        return Err(StorageError::Capacity { volume: volume.to_owned(), capacity: capacity.to_owned() });
    }
    Ok(bytes)
}

fn restrict(path: &Path) -> Result<(), StorageError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(IMAGE_MODE)).map_err(failed("restrict", path))
}

/// Whether a file can be read past the page cache.
fn opens_directly(path: &Path) -> bool {
    std::fs::File::options().read(true).custom_flags(nix::libc::O_DIRECT).open(path).is_ok()
}

#[cfg(test)]
mod tests;
