//! TLS: rustls with ring, certificates that can be replaced while connections go on, and time from the injected clock.

mod issue;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use self::issue::{CertificateAuthority, CertificateRequest, PemPair, Usage};
use crate::Clock;
use crate::net::BoxStream;

/// What is wrong with certificates or TLS settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM text has no certificate, no key, or is malformed.
    #[error("read {what}: {reason}")]
    Pem {
        /// Certificate or private key.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// rustls refuses the certificates or settings.
    #[error("configure TLS: {0}")]
    Config(#[from] rustls::Error),
    /// The trust roots cannot verify client certificates.
    #[error("configure client certificate verification: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A certificate cannot be issued.
    #[error("issue certificate for {subject}: {source}")]
    Issue {
        /// The subject's common name.
        subject: String,
        /// What is wrong.
        #[source]
        source: rcgen::Error,
    },
}

/// The cryptography used everywhere.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Certificate validity is judged by the injected clock.
#[derive(Debug)]
struct ClockTime(Clock);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// A certificate with its key that can be replaced; clones share it.
#[derive(Clone, Debug)]
pub struct Identity {
    current: Arc<RwLock<Arc<CertifiedKey>>>,
}

impl Identity {
    /// An identity from PEM texts; the chain begins with its own certificate.
    ///
    /// # Errors
    /// [`TlsError::Pem`], or [`TlsError::Config`] when certificate and key do not belong together.
    pub fn from_pem(certificates: &str, key: &str) -> Result<Self, TlsError> {
        Ok(Self { current: Arc::new(RwLock::new(certified_key(certificates, key)?)) })
    }

    /// Uses these from the next handshake on.
    ///
    /// # Errors
    /// As [`Identity::from_pem`]; the identity then stays as it was.
    pub fn replace(&self, certificates: &str, key: &str) -> Result<(), TlsError> {
        let new = certified_key(certificates, key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certified_key(certificates: &str, key: &str) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates_from_pem(certificates)?;
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| TlsError::Pem { what: "private key", reason: error.to_string() })?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider())?))
}

/// The certificates in a PEM text; at least one.
///
/// # Errors
/// [`TlsError::Pem`].
pub fn certificates_from_pem(text: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |reason: String| TlsError::Pem { what: "certificate", reason };
    let chain = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(|error| pem(error.to_string()))?;
    if chain.is_empty() { Err(pem("no certificate in the PEM text".to_owned())) } else { Ok(chain) }
}

fn roots(text: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_from_pem(text)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// Believes every certificate, as long as whoever shows it has its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether clients show certificates.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// They may; what they show has to be signed by one of these authorities (PEM).
    Optional(String),
    /// They have to.
    Required(String),
}

/// The server side of TLS.
#[derive(Clone)]
pub struct TlsServer {
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl TlsServer {
    /// A server that shows `identity` and offers `protocols` (ALPN: `h2`, `http/1.1`).
    ///
    /// # Errors
    /// [`TlsError::Pem`] and [`TlsError::Verifier`] for bad client authorities.
    pub fn new(identity: &Identity, clients: &ClientAuth, protocols: &[&str], clock: &Clock) -> Result<Self, TlsError> {
        let provider = provider();
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(ClockTime(clock.clone())))
            .with_safe_default_protocol_versions()?;
        let verifier =
            |authorities: &String| Ok::<_, TlsError>(WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authorities)?), provider));
        let builder = match clients {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Optional(authorities) => builder.with_client_cert_verifier(verifier(authorities)?.allow_unauthenticated().build()?),
            ClientAuth::Required(authorities) => builder.with_client_cert_verifier(verifier(authorities)?.build()?),
        };
        let mut config = builder.with_cert_resolver(Arc::new(identity.clone()));
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// The handshake's.
    pub async fn accept(&self, stream: BoxStream) -> io::Result<BoxStream> {
        Ok(Box::new(self.accept_stream(stream).await?))
    }

    /// Shakes hands; the stream tells what the client showed.
    ///
    /// # Errors
    /// The handshake's.
    pub async fn accept_stream(&self, stream: BoxStream) -> io::Result<tokio_rustls::server::TlsStream<BoxStream>> {
        self.acceptor.accept(stream).await
    }
}

/// The client side of TLS.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}

impl TlsClient {
    /// A client that trusts `authorities` (PEM), shows `identity` when asked, and offers `protocols` (ALPN).
    ///
    /// # Errors
    /// [`TlsError::Pem`] for bad authorities.
    pub fn new(authorities: &str, identity: Option<&Identity>, protocols: &[&str], clock: &Clock) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_details(provider(), Arc::new(ClockTime(clock.clone())))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(authorities)?);
        let mut config = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(identity.clone())),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// A client that shows `identity` to whoever answers, and believes every certificate: for ways that lead nowhere else, and for users
    /// who ask for it.
    ///
    /// # Errors
    /// [`TlsError::Config`].
    pub fn trusting_anyone(identity: Option<&Identity>, clock: &Clock) -> Result<Self, TlsError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(ClockTime(clock.clone())))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)));
        let config = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(identity.clone())),
            None => builder.with_no_client_auth(),
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Shakes hands with the server of that name or address.
    ///
    /// # Errors
    /// `InvalidInput` for an illegal name, else the handshake's.
    pub async fn connect(&self, server: &str, stream: BoxStream) -> io::Result<BoxStream> {
        let name = ServerName::try_from(server.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Box::new(self.connector.connect(name, stream).await?))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn handshake(server: &TlsServer, client: &TlsClient, name: &str) -> Result<String, String> {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let serve = async {
            let mut stream = server.accept_stream(Box::new(far)).await?;
            let shown = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
            stream.write_all(format!("{shown}").as_bytes()).await?;
            stream.shutdown().await
        };
        let call = async {
            let mut text = String::new();
            client.connect(name, Box::new(near)).await?.read_to_string(&mut text).await?;
            Ok::<_, io::Error>(text)
        };
        let (near, far) = tokio::join!(call, serve);
        near.and_then(|text| far.map(|()| text)).map_err(|error| error.to_string())
    }

    fn request(name: &str, usage: Usage) -> CertificateRequest {
        CertificateRequest {
            common_name: name.into(),
            organizations: vec![],
            hosts: vec![name.into(), "10.0.0.1".into()],
            usage,
            lifetime: Duration::from_hours(1),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn certificates_are_verified_reloaded_and_expire() {
        let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap());
        let authority = CertificateAuthority::new("ca", Duration::from_hours(24), &clock).unwrap();
        let serving = authority.issue(&request("virt-api", Usage::Serving), &clock).unwrap();
        let identity = Identity::from_pem(&serving.certificate, &serving.key).unwrap();
        let ca = authority.certificate().to_owned();
        let server = TlsServer::new(&identity, &ClientAuth::None, &["h2"], &clock).unwrap();
        let client = TlsClient::new(&ca, None, &["h2"], &clock).unwrap();
        assert_eq!(handshake(&server, &client, "virt-api").await.unwrap(), "0");
        assert_eq!(handshake(&server, &client, "10.0.0.1").await.unwrap(), "0");
        assert!(handshake(&server, &client, "other").await.is_err());

        tokio::time::advance(Duration::from_hours(2)).await;
        // A new client: the old one may resume its session without looking at the certificate again.
        let client = TlsClient::new(&ca, None, &["h2"], &clock).unwrap();
        let expired = handshake(&server, &client, "virt-api").await.unwrap_err();
        assert!(expired.contains("expired"), "{expired}");
        let renewed = authority.issue(&request("virt-api", Usage::Serving), &clock).unwrap();
        identity.replace(&renewed.certificate, &renewed.key).unwrap();
        assert_eq!(handshake(&server, &client, "virt-api").await.unwrap(), "0");
    }

    #[tokio::test(start_paused = true)]
    async fn client_certificates() {
        let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap());
        let authority = CertificateAuthority::new("ca", Duration::from_hours(24), &clock).unwrap();
        // An authority survives being stored as PEM.
        let stored = authority.to_pem();
        let authority = CertificateAuthority::from_pem(&stored.certificate, &stored.key).unwrap();
        let stranger = CertificateAuthority::new("stranger", Duration::from_hours(24), &clock).unwrap();
        let pair = authority.issue(&request("virt-handler", Usage::Both), &clock).unwrap();
        let identity = Identity::from_pem(&pair.certificate, &pair.key).unwrap();
        let ca = authority.certificate().to_owned();
        let server = TlsServer::new(&identity, &ClientAuth::Required(ca.clone()), &[], &clock).unwrap();
        let client = TlsClient::new(&ca, Some(&identity), &[], &clock).unwrap();
        assert_eq!(handshake(&server, &client, "virt-handler").await.unwrap(), "1");
        let nameless = TlsClient::new(&ca, None, &[], &clock).unwrap();
        assert!(handshake(&server, &nameless, "virt-handler").await.is_err());
        let pair = stranger.issue(&request("virt-handler", Usage::Client), &clock).unwrap();
        let foreign = Identity::from_pem(&pair.certificate, &pair.key).unwrap();
        let foreign = TlsClient::new(&ca, Some(&foreign), &[], &clock).unwrap();
        assert!(handshake(&server, &foreign, "virt-handler").await.is_err());
    }

    #[test]
    fn bad_pem_is_named() {
        let error = Identity::from_pem("nothing", "nothing").err().unwrap().to_string();
        assert_eq!(error, "read certificate: no certificate in the PEM text");
    }
}
