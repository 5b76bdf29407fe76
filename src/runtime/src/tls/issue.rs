//! Issuing certificates from an authority of our own (spec operator: virt-operator's CA and its children).

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};

use super::TlsError;
use crate::Clock;

/// Certificates are valid from this long before they were issued, for clocks that are behind.
const BACKDATED: Duration = Duration::from_mins(5);

/// A certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemPair {
    /// The certificate, followed by its chain if it has one.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

/// What a certificate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Servers.
    Serving,
    /// Clients.
    Client,
    /// Both.
    Both,
}

/// What to issue.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// The subject's name.
    pub common_name: String,
    /// The subject's organizations; groups for the API server.
    pub organizations: Vec<String>,
    /// DNS names and IP addresses it stands for.
    pub hosts: Vec<String>,
    /// What it is good for.
    pub usage: Usage,
    /// How long it is valid.
    pub lifetime: Duration,
}

/// A certificate authority.
#[derive(Debug)]
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl CertificateAuthority {
    /// A new self-signed authority.
    ///
    /// # Errors
    /// [`TlsError::Issue`].
    pub fn new(common_name: &str, lifetime: Duration, clock: &Clock) -> Result<Self, TlsError> {
        let failed = |source| TlsError::Issue { subject: common_name.to_owned(), source };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        validity(&mut params, lifetime, clock);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// A stored authority.
    ///
    /// # Errors
    /// [`TlsError::Issue`] when the texts are no certificate and key.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, TlsError> {
        let failed = |source| TlsError::Issue { subject: "certificate authority".to_owned(), source };
        let key = KeyPair::from_pem(key).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key).map_err(failed)?;
        Ok(Self { issuer, certificate: certificate.to_owned() })
    }

    /// The authority's certificate, PEM: what others trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Certificate and key, to be stored as a secret.
    pub fn to_pem(&self) -> PemPair {
        PemPair { certificate: self.certificate.clone(), key: self.issuer.key().serialize_pem() }
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// [`TlsError::Issue`], as for a host that is neither name nor address.
    pub fn issue(&self, request: &CertificateRequest, clock: &Clock) -> Result<PemPair, TlsError> {
        let failed = |source| TlsError::Issue { subject: request.common_name.clone(), source };
        let mut params = CertificateParams::new(request.hosts.clone()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, request.common_name.as_str());
        for organization in &request.organizations {
            params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = match request.usage {
            Usage::Serving => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, request.lifetime, clock);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(PemPair { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn validity(params: &mut CertificateParams, lifetime: Duration, clock: &Clock) {
    let now = Duration::from_secs(u64::try_from(clock.now().as_second()).unwrap_or_default());
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATED);
    params.not_after = date_time_ymd(1970, 1, 1) + now + lifetime;
}
