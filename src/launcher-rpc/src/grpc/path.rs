//! Sockets whose paths are longer than the kernel takes.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// The longest path of a socket, `sun_path` without its terminating zero.
const LONGEST: usize = 107;

/// A name for a socket that the kernel takes, for as long as the value lives: pods' folders make paths that are longer.
struct Reachable {
    path: PathBuf,
    /// The folder, which the shorter name goes through.
    _folder: Option<File>,
}

impl Reachable {
    fn new(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path: path.to_owned(), _folder: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no socket", path.display())));
        };
        let folder = File::open(parent)?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _folder: Some(folder) })
    }
}

/// Connects to a socket, however long its path.
pub(super) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let reachable = Reachable::new(path)?;
    UnixStream::connect(&reachable.path).await
}

/// Listens on a socket, however long its path, in place of one that was left behind.
///
/// # Errors
/// The old one cannot be removed, or the new one not be made.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    UnixListener::bind(Reachable::new(path)?.path)
}

/// Listens on a socket that belongs to whoever has its folder: a launcher that is not root has to reach its handler, which is.
///
/// # Errors
/// As [`bind`]; the socket cannot be given away.
pub(super) fn bind_for_owner(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::{MetadataExt as _, lchown};
    let listener = bind(path)?;
    if let Some(folder) = path.parent() {
        let (folder, own) = (std::fs::metadata(folder)?, std::fs::symlink_metadata(path)?);
        if (folder.uid(), folder.gid()) != (own.uid(), own.gid()) {
            lchown(path, Some(folder.uid()), Some(folder.gid()))?;
        }
    }
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pods_folder_is_deep() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let socket = deep.join("launcher-sock");
        for _ in 0..2 {
            let listener = bind(&socket).unwrap();
            let (client, server) = tokio::join!(connect(&socket), listener.accept());
            assert!(client.is_ok() && server.is_ok());
        }
        assert!(bind(&deep.join("nowhere").join("launcher-sock")).is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
    }
}
