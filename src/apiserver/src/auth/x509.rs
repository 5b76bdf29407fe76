//! Client certificates: the common name is the user, each organization a group.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};

use super::{PeerCert, UserInfo};
use crate::serve::pki::certificates;
use crate::serve::tls::{Clock, TlsError, provider};

/// Key of the user's extra data that identifies the credential.
pub(super) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// A chain that was found good is not verified again for this many seconds: signatures cost more than most requests.
const TRUST_SECONDS: u64 = 60;
/// Chains that are remembered.
const MAX_KNOWN: usize = 1024;

/// A client certificate authority.
#[derive(Debug, Clone)]
pub(super) struct ClientCa {
    verifier: Arc<dyn ClientCertVerifier>,
    clock: Clock,
    /// When a chain was last found good, by its digest.
    known: Arc<Mutex<BTreeMap<[u8; 32], u64>>>,
}

impl ClientCa {
    /// The authorities of a PEM bundle.
    pub(super) fn new(pem: &str, clock: Clock) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for cert in certificates(pem)? {
            roots.add(cert)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
        Ok(Self { verifier, clock, known: Arc::default() })
    }

    /// Whether the chain ends at one of the authorities, is in date (noticed within a minute), and is meant for clients.
    pub(super) fn trusts(&self, peer: &PeerCert) -> bool {
        let now = self.clock.unix();
        let digest = peer.0.digest;
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |at: &u64| now.as_secs() >= *at && now.as_secs() - *at < TRUST_SECONDS;
        if lock().get(&digest).is_some_and(recent) {
            return true;
        }
        let good = peer.split().is_some_and(|(leaf, rest)| self.verifier.verify_client_cert(leaf, rest, now).is_ok());
        let mut known = lock();
        if good {
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(digest, now.as_secs());
        } else {
            known.remove(&digest);
        }
        good
    }
}

/// The user a certificate names; `None` when it has no common name.
pub(super) fn user(peer: &PeerCert) -> Option<UserInfo> {
    peer.0.user.get_or_init(|| read(peer)).clone()
}

fn read(peer: &PeerCert) -> Option<UserInfo> {
    let (leaf, _) = peer.split()?;
    let (_, cert) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let name = common_name(&cert)?;
    let groups = cert.subject().iter_organization().filter_map(|o| o.as_str().ok()).map(ToOwned::to_owned).collect();
    let mut fingerprint = String::from("X509SHA256=");
    for byte in Sha256::digest(leaf.as_ref()) {
        let _ = write!(fingerprint, "{byte:02x}");
    }
    let extra = [(CREDENTIAL_ID.to_owned(), vec![fingerprint])].into();
    Some(UserInfo { name, uid: String::new(), groups, extra })
}

fn common_name(cert: &x509_parser::certificate::X509Certificate<'_>) -> Option<String> {
    cert.subject().iter_common_name().next()?.as_str().ok().filter(|n| !n.is_empty()).map(ToOwned::to_owned)
}
