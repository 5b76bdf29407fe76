//! Files that a component is given: mounted Secrets and ConfigMaps, on disk in production, in memory in a simulation.
//!
//! Certificates are such files (spec/operator.md §12.4): a component reads them when it starts and again on every
//! [`Files::RELOAD`], so that rotation needs no restart.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::tls::{Identity, TlsError};

/// Where a component's files are; clones share them.
#[derive(Clone, Debug)]
pub enum Files {
    /// On disk, as the container mounts them.
    Disk,
    /// On disk, below a folder that stands in for `/`.
    Below(PathBuf),
    /// In memory, by absolute path.
    Memory(Arc<RwLock<BTreeMap<String, Vec<u8>>>>),
}

/// Why an identity could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file is not there or not readable.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The files are there, but make no identity.
    #[error("the certificate in {path}")]
    Tls {
        /// The certificate's file.
        path: String,
        /// Why.
        #[source]
        source: TlsError,
    },
}

impl Files {
    /// How often mounted files are read again.
    pub const RELOAD: Duration = Duration::from_mins(1);

    /// Files in memory.
    pub fn memory(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self::Memory(Arc::new(RwLock::new(files)))
    }

    /// The content of a file.
    ///
    /// # Errors
    /// [`FileError::Read`].
    pub fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let content = match self {
            Self::Disk => std::fs::read(Path::new(path)),
            Self::Below(root) => std::fs::read(below(root, path)),
            Self::Memory(files) => {
                let files = files.read().unwrap_or_else(PoisonError::into_inner);
                files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            }
        };
        content.map_err(|source| FileError::Read { path: path.to_owned(), source })
    }

    /// The identity in a certificate's and its key's file, as Secrets of type `kubernetes.io/tls` are mounted.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn identity(&self, certificate: &str, key: &str) -> Result<Identity, FileError> {
        let (chain, secret) = self.pair(certificate, key)?;
        Identity::from_pem(&chain, &secret).map_err(|source| FileError::Tls { path: certificate.to_owned(), source })
    }

    /// Reads the files again, every [`Files::RELOAD`] until `shutdown`, so that rotation needs no restart; what is unreadable or
    /// unusable leaves the identity as it was.
    pub async fn keep_fresh(self, identity: Identity, certificate: String, key: String, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(Self::RELOAD) => {}
            }
            if let Err(error) = self.refresh(&certificate, &key, &identity) {
                let error = crate::process::chain(&error);
                tracing::warn!(error, certificate, "the certificate stays as it was");
            }
        }
    }

    fn refresh(&self, certificate: &str, key: &str, identity: &Identity) -> Result<(), FileError> {
        let (chain, secret) = self.pair(certificate, key)?;
        identity.replace(&chain, &secret).map_err(|source| FileError::Tls { path: certificate.to_owned(), source })
    }

    fn pair(&self, certificate: &str, key: &str) -> Result<(String, String), FileError> {
        let text = |path: &str| self.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok((text(certificate)?, text(key)?))
    }
}

/// An absolute path, below a folder that stands in for `/`.
pub(crate) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let files = Files::memory(BTreeMap::from([("/etc/a/tls.crt".to_owned(), b"x".to_vec())]));
        assert_eq!(files.read("/etc/a/tls.crt").unwrap(), b"x");
        assert_eq!(files.identity("/etc/a/tls.crt", "/etc/a/tls.key").unwrap_err().to_string(), "reading /etc/a/tls.key");
    }
}
