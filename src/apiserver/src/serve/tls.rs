//! TLS with ring and the injected clock, for the listener and for everything the server dials.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::pki::{Identity, PkiError, certificates};
use crate::env::Now;

/// The injected clock as rustls wants it.
#[derive(Clone)]
pub struct Clock(Now);

impl Clock {
    /// A clock over `now`.
    pub fn new(now: Now) -> Self {
        Self(now)
    }

    /// The present.
    pub fn unix(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from((self.0)().as_second()).unwrap_or(0)))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.unix())
    }
}

/// The cryptography in use: ring.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// rustls refused a certificate, key or setting.
    #[error("TLS configuration: {0}")]
    Rustls(#[from] Error),
    /// A certificate or key is not readable.
    #[error("TLS configuration: {0}")]
    Pki(#[from] PkiError),
    /// The authorities are not usable.
    #[error("TLS configuration: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// The listener's configuration: HTTP/2 and HTTP/1.1, client certificates requested but not required.
///
/// Any client certificate completes the handshake once its key is proven; whether it names a user is for the
/// authenticators to say, so that a wrong certificate is answered with 401 and not with a broken connection, as
/// kube-apiserver does.
pub fn server_config(serving: &Identity, now: &Now) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let verifier = Arc::new(AnyClientCertificate { provider: provider.clone() });
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(Clock::new(now.clone())))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(serving.chain()?, serving.key()?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whom a client of ours trusts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// The authorities of a PEM bundle; an empty bundle trusts nobody.
    Bundle(Vec<u8>),
    /// Everybody (`insecureSkipTLSVerify`).
    Anybody,
}

/// A client configuration for webhooks and aggregated servers; HTTP/1.1 only, so that upgrades always work.
pub fn client_config(now: &Now, trust: &Trust, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider();
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Bundle(pem) => match roots(pem)? {
            Some(roots) => WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?,
            None => Arc::new(Unverified { provider: provider.clone(), accept: false }),
        },
        Trust::Anybody => Arc::new(Unverified { provider: provider.clone(), accept: true }),
    };
    let builder = ClientConfig::builder_with_details(provider, Arc::new(Clock::new(now.clone())))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain()?, identity.key()?)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn roots(pem: &[u8]) -> Result<Option<RootCertStore>, TlsError> {
    if pem.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(pem).map_err(|_| PkiError::Pem { what: "certificate" })?;
    let mut store = RootCertStore::empty();
    for cert in certificates(text)? {
        store.add(cert)?;
    }
    Ok(Some(store))
}

/// What Go's TLS client says about the same failure, as far as clients of Kubernetes see it in messages.
pub fn go_error_text(error: &Error, server: &str) -> String {
    use rustls::CertificateError as C;
    let reason = match error {
        Error::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => "x509: certificate signed by unknown authority".to_owned(),
        Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. }) => {
            "x509: certificate has expired or is not yet valid".to_owned()
        }
        Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            format!("x509: certificate is not valid for {server}")
        }
        Error::InvalidCertificate(_) => "x509: malformed certificate".to_owned(),
        Error::InvalidMessage(_) => return "http: server gave HTTP response to HTTPS client".to_owned(),
        Error::AlertReceived(alert) => return format!("remote error: tls: {alert:?}"),
        other => return format!("tls: {other}"),
    };
    format!("tls: failed to verify certificate: {reason}")
}

/// Accepts any client certificate whose key the client proves to hold; see [`server_config`].
struct AnyClientCertificate {
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for AnyClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyClientCertificate")
    }
}

impl ClientCertVerifier for AnyClientCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Does not look at the server's certificate: takes all (`insecureSkipTLSVerify`) or none (no authority given).
struct Unverified {
    provider: Arc<CryptoProvider>,
    accept: bool,
}

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified").field("accept", &self.accept).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.accept {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
