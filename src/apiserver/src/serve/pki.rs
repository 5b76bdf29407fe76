//! The keys and certificates of a cluster.
//!
//! Three authorities, as `kubeadm` lays them out: the cluster CA signs serving and client certificates, the front-proxy
//! CA signs the certificate with which the API server calls aggregated servers. One more key signs service-account
//! tokens. Everything is dated by the injected clock.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

use crate::env::Now;

/// How long an authority is valid, in seconds (ten years, as kubeadm's).
const CA_LIFETIME: u64 = 10 * 365 * 24 * 3600;
/// How long a leaf certificate is valid, in seconds (one year, as kubeadm's).
const LEAF_LIFETIME: u64 = 365 * 24 * 3600;
/// Certificates start to be valid this many seconds before they are made, for clients whose clock is behind.
const BACKDATE: u64 = 3600;
/// A persisted leaf is made anew when fewer seconds than this are left.
const RENEW_BEFORE: i64 = 30 * 24 * 3600;

/// Group that is allowed everything without asking the authorizer.
pub const SYSTEM_MASTERS: &str = "system:masters";
/// Common name of the certificate with which the API server calls aggregated servers.
pub const FRONT_PROXY_CLIENT: &str = "front-proxy-client";

/// Names under which the serving certificate is always valid.
pub const DEFAULT_SERVER_NAMES: [&str; 8] = [
    "localhost",
    "127.0.0.1",
    "::1",
    "10.96.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// What went wrong with keys or certificates. Never contains key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// A certificate or key could not be made.
    #[error("making the {what} certificate")]
    Make {
        /// Which certificate.
        what: &'static str,
        /// The cause.
        source: rcgen::Error,
    },
    /// Stored state is not readable.
    #[error("the stored keys are not readable: {0}")]
    Stored(String),
    /// A PEM block is not what it should be.
    #[error("the stored {what} is not valid PEM")]
    Pem {
        /// Which block.
        what: &'static str,
    },
}

/// A certificate and its private key, both as PEM.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Identity {
    /// The certificate.
    pub cert_pem: String,
    /// The key, PKCS #8.
    pub key_pem: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

impl Identity {
    /// The certificate chain in DER.
    pub fn chain(&self) -> Result<Vec<CertificateDer<'static>>, PkiError> {
        certificates(&self.cert_pem)
    }

    /// The key in DER.
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, PkiError> {
        PrivatePkcs8KeyDer::from_pem_slice(self.key_pem.as_bytes())
            .map(PrivateKeyDer::Pkcs8)
            .map_err(|_| PkiError::Pem { what: "private key" })
    }
}

/// All certificates in a PEM text.
///
/// # Errors
/// When a block is broken, or there is none.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(PkiError::Pem { what: "certificate" }),
    }
}

/// The cluster's keys. See the module.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Pki {
    /// Signs serving and client certificates.
    pub ca: Identity,
    /// Signs the certificate with which aggregated servers are called.
    pub front_proxy_ca: Identity,
    /// The API server's own certificate.
    pub serving: Identity,
    /// What the API server shows to aggregated servers.
    pub front_proxy_client: Identity,
    /// A member of `system:masters`, for the kubeconfig.
    pub admin: Identity,
    /// Signs service-account tokens: ECDSA P-256, PKCS #8 PEM.
    pub service_account_key_pem: String,
}

impl fmt::Debug for Pki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pki").field("ca", &self.ca).field("serving", &self.serving).finish_non_exhaustive()
    }
}

impl Pki {
    /// New keys. `extra_names` are further DNS names or addresses of the serving certificate.
    pub fn generate(now: &Now, extra_names: &[String]) -> Result<Self, PkiError> {
        let seconds = seconds(now);
        let ca = authority("kubernetes", seconds)?;
        let front_proxy_ca = authority("front-proxy-ca", seconds)?;
        Ok(Self {
            serving: serving(&ca, seconds, extra_names)?,
            admin: client(&ca, seconds, "kubernetes-admin", Some(SYSTEM_MASTERS))?,
            front_proxy_client: client(&front_proxy_ca, seconds, FRONT_PROXY_CLIENT, None)?,
            service_account_key_pem: key("service account")?.serialize_pem(),
            ca,
            front_proxy_ca,
        })
    }

    /// Reads what [`Pki::to_bytes`] wrote; the authorities and the token key stay, the serving certificate is made anew
    /// (its names may have changed), and client certificates that end soon are renewed. Old kubeconfigs stay valid.
    pub fn load(bytes: &[u8], now: &Now, extra_names: &[String]) -> Result<Self, PkiError> {
        let mut pki: Self =
            serde_json::from_slice(bytes).map_err(|e| PkiError::Stored(format!("line {} column {}", e.line(), e.column())))?;
        let seconds = seconds(now);
        for (what, identity) in [("authority", &pki.ca), ("front-proxy authority", &pki.front_proxy_ca)] {
            identity.chain()?;
            identity.key().map_err(|_| PkiError::Pem { what })?;
        }
        pki.serving = serving(&pki.ca, seconds, extra_names)?;
        if ends_soon(&pki.admin, seconds)? {
            pki.admin = client(&pki.ca, seconds, "kubernetes-admin", Some(SYSTEM_MASTERS))?;
        }
        if ends_soon(&pki.front_proxy_client, seconds)? {
            pki.front_proxy_client = client(&pki.front_proxy_ca, seconds, FRONT_PROXY_CLIENT, None)?;
        }
        Ok(pki)
    }

    /// Everything, for a file only its owner can read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PkiError> {
        serde_json::to_vec_pretty(self).map_err(|e| PkiError::Stored(e.to_string()))
    }

    /// A client certificate of the cluster CA: `name` is the user, `group` its group.
    pub fn client_certificate(&self, now: &Now, name: &str, group: Option<&str>) -> Result<Identity, PkiError> {
        client(&self.ca, seconds(now), name, group)
    }

    /// A serving certificate of the cluster CA for `names`, e.g. of a webhook.
    pub fn serving_certificate(&self, now: &Now, names: &[String]) -> Result<Identity, PkiError> {
        leaf_for_server(&self.ca, seconds(now), names)
    }
}

fn seconds(now: &Now) -> u64 {
    u64::try_from(now().as_second()).unwrap_or(0)
}

fn key(what: &'static str) -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|source| PkiError::Make { what, source })
}

fn params(now: u64, lifetime: u64, names: &[String], common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::new(names.to_vec())?;
    params.not_before = epoch + std::time::Duration::from_secs(now.saturating_sub(BACKDATE));
    params.not_after = epoch + std::time::Duration::from_secs(now.saturating_add(lifetime));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn authority(name: &'static str, now: u64) -> Result<Identity, PkiError> {
    let make = || {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(now, CA_LIFETIME, &[], name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key)?;
        Ok(Identity { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    };
    make().map_err(|source| PkiError::Make { what: name, source })
}

fn signed(ca: &Identity, mut params: CertificateParams) -> Result<Identity, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_pem(&ca.cert_pem, KeyPair::from_pem(&ca.key_pem)?)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let cert = params.signed_by(&key, &issuer)?;
    Ok(Identity { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
}

fn serving(ca: &Identity, now: u64, extra_names: &[String]) -> Result<Identity, PkiError> {
    let mut names: Vec<String> = DEFAULT_SERVER_NAMES.iter().map(ToString::to_string).collect();
    for name in extra_names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    leaf_for_server(ca, now, &names)
}

fn leaf_for_server(ca: &Identity, now: u64, names: &[String]) -> Result<Identity, PkiError> {
    let make = || {
        let mut params = params(now, LEAF_LIFETIME, names, names.first().map_or("kube-apiserver", String::as_str))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        signed(ca, params)
    };
    make().map_err(|source| PkiError::Make { what: "serving", source })
}

fn client(ca: &Identity, now: u64, name: &str, group: Option<&str>) -> Result<Identity, PkiError> {
    let make = || {
        let mut params = params(now, LEAF_LIFETIME, &[], name)?;
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        signed(ca, params)
    };
    make().map_err(|source| PkiError::Make { what: "client", source })
}

fn ends_soon(identity: &Identity, now: u64) -> Result<bool, PkiError> {
    let chain = identity.chain()?;
    let leaf = chain.first().ok_or(PkiError::Pem { what: "certificate" })?;
    let (_, cert) = x509_parser::parse_x509_certificate(leaf).map_err(|_| PkiError::Pem { what: "certificate" })?;
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    Ok(cert.validity().not_after.timestamp().saturating_sub(now) < RENEW_BEFORE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;

    fn at(text: &str) -> Now {
        let time: Timestamp = text.parse().unwrap();
        Arc::new(move || time)
    }

    #[test]
    fn a_reloaded_pki_keeps_authorities_and_tokens_and_admin() {
        let first = Pki::generate(&at("2026-01-01T00:00:00Z"), &[]).unwrap();
        let again = Pki::load(&first.to_bytes().unwrap(), &at("2026-02-01T00:00:00Z"), &["vms.test".into()]).unwrap();
        assert_eq!(first.ca, again.ca);
        assert_eq!(first.admin, again.admin);
        assert_eq!(first.service_account_key_pem, again.service_account_key_pem);
        assert_ne!(first.serving, again.serving);
    }

    #[test]
    fn a_client_certificate_near_its_end_is_renewed() {
        let first = Pki::generate(&at("2026-01-01T00:00:00Z"), &[]).unwrap();
        let again = Pki::load(&first.to_bytes().unwrap(), &at("2026-12-20T00:00:00Z"), &[]).unwrap();
        assert_ne!(first.admin, again.admin);
        assert_eq!(first.ca, again.ca);
    }

    #[test]
    fn broken_state_is_an_error_without_secrets() {
        let now = at("2026-01-01T00:00:00Z");
        let error = Pki::load(b"{\"ca\": \"SECRET\"}", &now, &[]).unwrap_err().to_string();
        assert!(!error.contains("SECRET"), "{error}");
        let pki = Pki::generate(&now, &[]).unwrap();
        assert!(!format!("{pki:?}").contains("PRIVATE KEY"));
    }

    #[test]
    fn the_serving_certificate_carries_the_cluster_names() {
        let pki = Pki::generate(&at("2026-01-01T00:00:00Z"), &["extra.test".into()]).unwrap();
        let chain = pki.serving.chain().unwrap();
        let (_, cert) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
        let names = format!("{:?}", cert.subject_alternative_name().unwrap().unwrap().value);
        assert!(names.contains("kubernetes.default.svc") && names.contains("extra.test"), "{names}");
    }
}
