//! The certificates of the components, issued once when the cluster begins (spec/operator.md §12.1).

use planner::install::TlsSecret;
use runtime::Clock;
use runtime::tls::{CertificateAuthority, CertificateRequest, TlsError, Usage};
use std::time::Duration;

/// How long everything is valid. Nobody rotates the certificates of an embedded cluster, so they outlast it.
const LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// The components' trust: the bundle everybody verifies with, and a secret for each certificate.
pub struct Trust {
    /// The authority's certificate, PEM.
    pub bundle: String,
    /// The secrets that components mount.
    pub secrets: Vec<TlsSecret>,
}

/// Issues the authority and the components' certificates.
pub fn issue(namespace: &str, clock: &Clock) -> Result<Trust, TlsError> {
    let authority = CertificateAuthority::new(&format!("kubevirt.io@{}", clock.now().as_second()), LIFETIME, clock)?;
    let service = |name: &str| -> Vec<String> {
        vec![
            name.to_owned(),
            format!("{name}.{namespace}"),
            format!("{name}.{namespace}.svc"),
            format!("{name}.{namespace}.svc.cluster.local"),
        ]
    };
    let mut secrets = Vec::new();
    for (name, common_name, hosts, usage) in [
        ("kubevirt-virt-api-certs", format!("virt-api.{namespace}.pod.cluster.local"), service("virt-api"), Usage::Serving),
        ("kubevirt-controller-certs", format!("virt-controller.{namespace}.pod.cluster.local"), service("virt-controller"), Usage::Serving),
        (
            "kubevirt-virt-handler-server-certs",
            "kubevirt.io:system:node:virt-handler".to_owned(),
            // Whom virt-api looks for: a subject in the form of a node is no DNS name.
            vec!["virt-handler".to_owned()],
            Usage::Serving,
        ),
        ("kubevirt-virt-handler-certs", "kubevirt.io:system:client:virt-handler".to_owned(), Vec::new(), Usage::Client),
        ("kubevirt-virt-handler-migration-client-certs", "kubevirt.io:system:client:migration".to_owned(), Vec::new(), Usage::Client),
        ("kubevirt-virt-handler-vsock-client-certs", "kubevirt.io:system:client:vsock".to_owned(), Vec::new(), Usage::Client),
    ] {
        let pair =
            authority.issue(&CertificateRequest { common_name, organizations: Vec::new(), hosts, usage, lifetime: LIFETIME }, clock)?;
        secrets.push(TlsSecret { name: name.to_owned(), certificate: pair.certificate, key: pair.key });
    }
    Ok(Trust { bundle: authority.certificate().to_owned(), secrets })
}
