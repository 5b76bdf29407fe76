//! virt-api: admission webhooks and the aggregated subresources API, over TLS (spec/api.md §2–§4, spec/operator.md §11.7).
//!
//! Flow: one HTTPS port. `/…-mutate` and `/…-validate…` are webhooks: the review is decoded, what the rules look up is
//! fetched, `admission` decides, the answer is encoded. `/apis/subresources.kubevirt.io/…` is the aggregated API: the
//! caller is who the front proxy says (by certificate), may what a SubjectAccessReview allows, and gets what
//! `planner::subresource` says; effects are patches or calls of virt-handler. Streams are copied byte by byte.
//!
//! Guarantees: no rules here; the configuration follows the KubeVirt object; certificates are read again when they change.

mod answer;
mod authorize;
mod body;
mod confidential;
mod context;
mod discovery;
mod dumps;
mod effects;
mod forward;
mod graph;
mod guestfs;
mod node;
mod program;
mod review;
mod routes;
mod server;
mod subresources;
mod verbs;
mod webhooks;

pub use program::Program;
use runtime::{Deps, FileError, tls::TlsError};

/// Command line arguments, as upstream's (spec/observability.md §11).
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "virt-api", about = "Admission webhooks and the aggregated subresources API of KubeVirt")]
pub struct Args {
    /// Address to listen at.
    #[arg(long, default_value = "0.0.0.0")]
    pub listen: String,
    /// Port to listen at.
    #[arg(long, default_value_t = 8443)]
    pub port: u16,
    /// Port of virt-handler's console server.
    #[arg(long, default_value_t = 8186)]
    pub console_server_port: u16,
    /// Kept for compatibility: this server has nothing but subresources and webhooks.
    #[arg(long)]
    pub subresources_only: bool,
    /// The serving certificate.
    #[arg(long, value_name = "FILE", default_value = "/etc/virt-api/certificates/tls.crt")]
    pub tls_cert_file: String,
    /// Its key.
    #[arg(long, value_name = "FILE", default_value = "/etc/virt-api/certificates/tls.key")]
    pub tls_key_file: String,
    /// The certificate shown to virt-handler.
    #[arg(long, value_name = "FILE", default_value = "/etc/virt-handler/clientcertificates/tls.crt")]
    pub handler_cert_file: String,
    /// Its key.
    #[arg(long, value_name = "FILE", default_value = "/etc/virt-handler/clientcertificates/tls.key")]
    pub handler_key_file: String,
    /// The ConfigMap with the authorities of virt-handler's certificates.
    #[arg(long, default_value = "kubevirt-ca")]
    pub ca_configmap_name: String,
    /// Log verbosity.
    #[arg(short, long = "v", default_value_t = 2)]
    pub v: u8,
}

/// Why virt-api could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its certificates are missing or unusable.
    #[error("reading certificates")]
    Certificates(#[from] FileError),
    /// TLS could not be set up.
    #[error("setting up TLS")]
    Tls(#[from] TlsError),
    /// The API server does not say how its front proxy is verified.
    #[error("reading ConfigMap kube-system/extension-apiserver-authentication")]
    FrontProxy(#[source] kube::Error),
    /// The port is taken.
    #[error("listening")]
    Listen(#[source] std::io::Error),
}

/// Serves until `deps.shutdown`.
///
/// # Errors
/// [`Error`], when it cannot start.
pub async fn run(args: Args, deps: Deps) -> Result<(), Error> {
    server::run(args, deps).await
}
