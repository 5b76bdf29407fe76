//! Files of image volumes, where domains look for container disks and kernels (spec/domain-xml.md §8.6).

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use api::v1::VirtualMachineInstance;
use convert::paths::{IMAGE_VOLUMES, KERNEL_BOOT, KERNEL_BOOT_VOLUME};

use super::{StorageError, failed, make_folder};
use crate::place::Place;

/// The folder of an image in which disks lie.
const DISK_FOLDER: &str = "disk";

/// Links every container disk, the kernel and the initial RAM disk into `folder`.
pub(super) fn link(place: &Place, folder: &str, vmi: &VirtualMachineInstance) -> Result<(), StorageError> {
    let folder = place.path(folder);
    for (index, volume) in vmi.spec.volumes.iter().enumerate() {
        let Some(disk) = volume.container_disk.as_ref().filter(|_| volume.name != KERNEL_BOOT_VOLUME) else { continue };
        let mounted = place.path(&format!("{IMAGE_VOLUMES}/disk_{index}"));
        let file = match disk.path.as_deref().filter(|path| !path.is_empty()) {
            Some(path) => named(&mounted, path),
            None => only(&mounted),
        };
        let file = file.map_err(|why| StorageError::Image { what: format!("container disk {}", volume.name), why })?;
        put(&file, &folder.join(format!("disk_{index}.img")))?;
    }
    let firmware = vmi.spec.domain.firmware.as_ref();
    let Some(boot) = firmware.and_then(|firmware| firmware.kernel_boot.as_ref()?.container.as_ref()) else { return Ok(()) };
    let mounted = place.path(KERNEL_BOOT);
    for path in [&boot.kernel_path, &boot.initrd_path].into_iter().flatten().filter(|path| !path.is_empty()) {
        let file = named(&mounted, path).map_err(|why| StorageError::Image { what: "kernel boot".to_owned(), why })?;
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        put(&file, &folder.join("kernel-boot").join(name))?;
    }
    Ok(())
}

/// A file of an image by its path in it.
fn named(mounted: &Path, path: &str) -> Result<PathBuf, String> {
    let steps = Path::new(path).components();
    if steps.clone().any(|step| matches!(step, Component::ParentDir)) {
        return Err(format!("{path:?} leads out of the image"));
    }
    let file = steps.filter(|step| matches!(step, Component::Normal(_))).fold(mounted.to_owned(), |file, step| file.join(step));
    if !file.is_file() {
        return Err(format!("the image has no file {path}"));
    }
    stays(mounted, &file).then_some(file).ok_or_else(|| format!("{path} is a link out of the image"))
}

/// Whether a file is the image's own: a link in it could lead to whatever the launcher may read.
fn stays(mounted: &Path, file: &Path) -> bool {
    let real = mounted.canonicalize().ok().zip(file.canonicalize().ok());
    real.is_some_and(|(mounted, file)| file.starts_with(mounted))
}

/// The one file that can be meant: the only one at the root, else the only one among the disks.
fn only(mounted: &Path) -> Result<PathBuf, String> {
    let mut candidates = files(mounted);
    if candidates.len() != 1 {
        candidates = files(&mounted.join(DISK_FOLDER));
    }
    match candidates.as_slice() {
        [file] if stays(mounted, file) => Ok(file.clone()),
        [file] => Err(format!("{} is a link out of the image", file.file_name().unwrap_or_default().display())),
        [] => Err(format!("the image has no file in /{DISK_FOLDER}")),
        several => Err(format!("the image has {} files in /{DISK_FOLDER}; name one by containerDisk.path", several.len())),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn put(file: &Path, at: &Path) -> Result<(), StorageError> {
    if let Some(folder) = at.parent() {
        make_folder(folder)?;
    }
    match fs::remove_file(at) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("replace", at)(error)),
        Ok(()) | Err(_) => {}
    }
    symlink(file, at).map_err(failed("link", at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, []).unwrap();
        }
        folder
    }

    #[test]
    fn the_disk_is_the_only_file_that_can_be_meant() {
        let found = |files: &[&str]| {
            let image = image(files);
            only(image.path()).map(|path| path.strip_prefix(image.path()).unwrap().display().to_string())
        };
        assert_eq!(found(&["disk/a.img"]), Ok("disk/a.img".to_owned()));
        assert_eq!(found(&["a.img", "disk/b.img"]), Ok("a.img".to_owned()));
        assert_eq!(found(&["a", "b", "disk/c"]), Ok("disk/c".to_owned()));
        assert_eq!(found(&["etc/x"]), Err("the image has no file in /disk".to_owned()));
        assert_eq!(found(&["disk/a", "disk/b"]), Err("the image has 2 files in /disk; name one by containerDisk.path".to_owned()));
    }

    #[test]
    fn nothing_outside_of_the_image_is_a_disk() {
        let (image, outside) = (image(&["boot/vmlinuz"]), tempfile::NamedTempFile::new().unwrap());
        assert!(named(image.path(), "/boot/vmlinuz").is_ok());
        assert_eq!(named(image.path(), "/boot/../../x"), Err("\"/boot/../../x\" leads out of the image".to_owned()));
        assert_eq!(named(image.path(), "boot/initrd"), Err("the image has no file boot/initrd".to_owned()));
        symlink(outside.path(), image.path().join("boot/link")).unwrap();
        assert_eq!(named(image.path(), "/boot/link"), Err("/boot/link is a link out of the image".to_owned()));
        symlink(outside.path(), image.path().join("disk")).unwrap();
        assert_eq!(only(image.path()), Err("disk is a link out of the image".to_owned()));
    }
}
