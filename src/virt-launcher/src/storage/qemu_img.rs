//! QEMU's tool for images, as a program.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::process::Command;

use super::StorageError;

/// The program.
#[derive(Clone, Debug)]
pub(super) struct QemuImg {
    program: PathBuf,
}

impl Default for QemuImg {
    fn default() -> Self {
        Self { program: PathBuf::from("qemu-img") }
    }
}

/// What it says about an image, in bytes.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    virtual_size: u64,
    actual_size: u64,
}

impl QemuImg {
    /// Makes an empty qcow2 image of that many bytes.
    pub(super) async fn create(&self, path: &Path, bytes: u64) -> Result<(), StorageError> {
        let size = bytes.to_string();
        let arguments = ["create".as_ref(), "-q".as_ref(), "-f".as_ref(), "qcow2".as_ref(), path.as_os_str(), size.as_ref()];
        self.run(&arguments, || format!("make the disk {}", path.display())).await.map(drop)
    }

    /// Makes a qcow2 image whose unwritten parts are those of another one.
    pub(super) async fn create_over(&self, path: &Path, below: &Path, format: &str) -> Result<(), StorageError> {
        let start = ["create", "-q", "-f", "qcow2", "-F", format, "-b"].map(OsStr::new);
        let arguments = [&start[..], &[below.as_os_str(), path.as_os_str()]].concat();
        self.run(&arguments, || format!("make the overlay {}", path.display())).await.map(drop)
    }

    /// Whether all of a file is allocated; false where that cannot be said.
    pub(super) async fn is_preallocated(&self, path: &Path) -> bool {
        let arguments = ["info".as_ref(), "-U".as_ref(), "--output=json".as_ref(), path.as_os_str()];
        let told = self.run(&arguments, || format!("read the disk {}", path.display())).await;
        let info = told.ok().and_then(|told| serde_json::from_slice::<Info>(&told).ok());
        info.is_some_and(|info| info.virtual_size <= info.actual_size)
    }

    async fn run(&self, arguments: &[&OsStr], what: impl FnOnce() -> String) -> Result<Vec<u8>, StorageError> {
        let ended = Command::new(&self.program).args(arguments).kill_on_drop(true).output().await.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => io::Error::new(source.kind(), "qemu-img is not installed (Debian: apt install qemu-utils)"),
            _ => source,
        });
        let ended = ended.and_then(|output| {
            if output.status.success() {
                Ok(output.stdout)
            } else {
                Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")))
            }
        });
        ended.map_err(|source| StorageError::QemuImg { what: what(), source })
    }
}
