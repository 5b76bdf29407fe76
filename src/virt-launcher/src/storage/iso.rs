//! ISO 9660 images with Joliet and Rock Ridge names, as guests of every kind read them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::Path;

use hadris_fs::{Content, Node, Tree};
use hadris_iso::{IsoId, IsoOptions};
use hadris_storage::host::FileDevice;

use super::{StorageError, failed, make_folder};

/// Files by their path on the medium.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Writes a medium, in place of an earlier one.
pub(super) fn write(path: &Path, label: &str, files: &Files) -> Result<(), StorageError> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    // Whoever opens it finds all of it.
    let mut staging = path.as_os_str().to_owned();
    staging.push(".staging");
    let staging = Path::new(&staging);
    let options = File::options().read(true).write(true).create(true).truncate(true).to_owned();
    let file = options.open(staging).map_err(failed("make", staging))?;
    lay_out(file, label, files).map_err(|source| StorageError::Medium { path: path.to_owned(), source })?;
    super::restrict(staging)?;
    std::fs::rename(staging, path).map_err(failed("make", path))
}

fn lay_out(file: File, label: &str, files: &Files) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut tree = Tree::new();
    for (path, content) in files {
        tree.insert(path.as_str(), Node::file(Content::bytes(content.clone())))?;
    }
    let options = IsoOptions::default().with_id(IsoId::Volume, label).with_joliet().with_rock_ridge();
    let report = hadris_iso::sync::write(FileDevice::new(file)?, &tree, &options)?;
    for warning in report.warnings() {
        tracing::debug!(%warning, "a medium is not as asked for");
    }
    Ok(())
}
