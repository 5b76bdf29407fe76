//! The API server's way to the network: keys, a TLS listener, and a kubeconfig that is written whole.

use apiserver::env::Now;
use apiserver::http::ApiServer;
use apiserver::serve::{Limits, Listener, Pki, PkiError, kubeconfig, server_config};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Why the API cannot be served or its state not be kept.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address is taken, not ours, or no address.
    #[error("cannot listen on {address}: {}", plain(why))]
    Listen {
        /// What was asked for.
        address: String,
        /// Why; part of the text, and so not a source.
        why: io::Error,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {what} {}: {}", path.display(), plain(why))]
    File {
        /// `read`, `write`, `create`.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why; part of the text, and so not a source.
        why: io::Error,
    },
    /// The keys cannot be made or read.
    #[error("the cluster's keys")]
    Keys(#[from] PkiError),
    /// TLS cannot be set up with them.
    #[error("the API server's certificate")]
    Tls(#[from] apiserver::serve::tls::TlsError),
}

/// The system's words for an error, without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// A bound socket: an address that is known before anything else starts.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    /// Binds; port 0 picks a free one.
    ///
    /// # Errors
    /// [`EndpointError::Listen`].
    pub async fn bind(address: &str) -> Result<Self, EndpointError> {
        let failed = |why| EndpointError::Listen { address: address.to_owned(), why };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address: local })
    }

    /// The URL that clients on this machine use.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            let loopback = if address.is_ipv4() { "127.0.0.1" } else { "::1" };
            address = loopback.parse().map_or(address, |ip| SocketAddr::new(ip, address.port()));
        }
        format!("https://{address}")
    }

    /// The address as a name of the serving certificate; nothing for an unspecified one.
    pub fn names(&self) -> Vec<String> {
        if self.address.ip().is_unspecified() { Vec::new() } else { vec![self.address.ip().to_string()] }
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// [`EndpointError::Tls`].
    pub fn serve(self, server: &ApiServer, pki: &Pki, now: &Now, stop: CancellationToken) -> Result<JoinHandle<()>, EndpointError> {
        let listener = Listener::new(server_config(&pki.serving, now)?, now.clone(), Limits::default());
        Ok(tokio::spawn(listener.run(self.listener, server.clone(), stop)))
    }
}

/// The cluster's keys: new ones, or those of the data folder, so that a kubeconfig outlives a restart.
///
/// # Errors
/// [`EndpointError`] when the folder or its keys cannot be read or written.
pub fn keys(data_dir: Option<&Path>, now: &Now, names: &[String]) -> Result<Pki, EndpointError> {
    let Some(folder) = data_dir else { return Ok(Pki::generate(now, names)?) };
    fs::create_dir_all(folder).map_err(|why| EndpointError::File { what: "create", path: folder.into(), why })?;
    let path = folder.join("keys.json");
    match fs::read(&path) {
        Ok(bytes) => Ok(Pki::load(&bytes, now, names)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pki = Pki::generate(now, names)?;
            write_private(&path, &pki.to_bytes()?)?;
            Ok(pki)
        }
        Err(why) => Err(EndpointError::File { what: "read", path, why }),
    }
}

/// Writes the administrator's kubeconfig whole: a reader sees all of it or none.
///
/// # Errors
/// [`EndpointError::File`].
pub fn write_kubeconfig(path: &Path, pki: &Pki, url: &str) -> Result<(), EndpointError> {
    write_private(path, kubeconfig(pki, "ferrovirt", url).as_bytes())
}

/// Writes a file that only its owner reads, by renaming a finished one into place.
fn write_private(path: &Path, content: &[u8]) -> Result<(), EndpointError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |why| EndpointError::File { what: "write", path: path.to_owned(), why };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    })();
    written.map_err(|why| {
        // The draft is ours alone; that it cannot be removed changes nothing about the failure.
        let _ = fs::remove_file(&draft);
        failed(why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_port_is_named() {
        let first = Endpoint::bind("127.0.0.1:0").await.unwrap();
        let address = first.address.to_string();
        let error = Endpoint::bind(&address).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}: address already in use"));
    }

    #[test]
    fn keys_outlive_a_restart_and_a_bad_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let now: Now = std::sync::Arc::new(|| "2026-01-01T00:00:00Z".parse().unwrap());
        let first = keys(Some(folder.path()), &now, &[]).unwrap();
        let second = keys(Some(folder.path()), &now, &[]).unwrap();
        assert_eq!(first.ca, second.ca);
        let file = folder.path().join("keys.json");
        let error = keys(Some(&file), &now, &[]).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot create {}: file exists", file.display()));
    }
}
