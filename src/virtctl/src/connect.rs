//! From kubectl's flags and kubeconfig to a cluster.

use async_trait::async_trait;
use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig};

use crate::error::{Error, Result};
use crate::session::Session;

/// kubectl's connection flags (spec/virtctl.md §1).
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// Path of the kubeconfig file
    #[arg(long, global = true, value_name = "PATH")]
    pub kubeconfig: Option<String>,
    /// Namespace to work in
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// URL of the Kubernetes API server
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Cluster of the kubeconfig to use
    #[arg(long, global = true)]
    pub cluster: Option<String>,
    /// User of the kubeconfig to use
    #[arg(long, global = true)]
    pub user: Option<String>,
    /// Bearer token
    #[arg(long, global = true)]
    pub token: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
    /// UID to impersonate
    #[arg(long = "as-uid", global = true, value_name = "UID")]
    pub impersonate_uid: Option<String>,
    /// File with the certificate authority of the server
    #[arg(long, global = true, value_name = "PATH")]
    pub certificate_authority: Option<String>,
    /// File with a client certificate
    #[arg(long, global = true, value_name = "PATH")]
    pub client_certificate: Option<String>,
    /// File with the client certificate's key
    #[arg(long, global = true, value_name = "PATH")]
    pub client_key: Option<String>,
    /// Do not verify the server's certificate
    #[arg(long, global = true)]
    pub insecure_skip_tls_verify: bool,
    /// Name to verify the server's certificate against
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Time to wait for an answer: 0 (no limit), or 5s, 2m, 3h
    #[arg(long, global = true, default_value = "0", value_name = "DURATION")]
    pub request_timeout: String,
    /// Proxy to reach the server through
    #[arg(long, global = true, value_name = "URL")]
    pub proxy_url: Option<String>,
    /// Do not ask for compressed answers
    #[arg(long, global = true)]
    pub disable_compression: bool,
    /// Log verbosity
    #[arg(short, long = "v", global = true, default_value_t = 0, value_name = "N")]
    pub v: u8,
}

/// Finds the cluster.
#[async_trait]
pub trait Connect: Send + Sync {
    /// A session by these flags.
    ///
    /// # Errors
    /// A configuration that cannot be read or used.
    async fn connect(&self, flags: &ConnectionArgs) -> Result<Session>;
}

/// Connects as kubectl does: flag, `KUBECONFIG`, `~/.kube/config`, the pod's service account.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromKubeconfig;

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::new(format!("invalid configuration: {error}"))
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::new(format!("unable to read {path}: {error}")))
}

impl FromKubeconfig {
    async fn config(flags: &ConnectionArgs) -> Result<Config> {
        let options = KubeConfigOptions { context: flags.context.clone(), cluster: flags.cluster.clone(), user: flags.user.clone() };
        let by_file = options.context.is_some() || options.cluster.is_some() || options.user.is_some();
        let mut config = match &flags.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(unusable)?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(unusable)?
            }
            None => match Config::from_kubeconfig(&options).await {
                Ok(config) => config,
                Err(error) if by_file => return Err(unusable(error)),
                Err(error) => match (Config::incluster(), &flags.server) {
                    (Ok(config), _) => config,
                    (Err(_), Some(server)) => Config::new(server.parse().map_err(unusable)?),
                    (Err(_), None) => return Err(unusable(error)),
                },
            },
        };
        if let Some(server) = &flags.server {
            config.cluster_url = server.parse().map_err(unusable)?;
        }
        if let Some(path) = &flags.certificate_authority {
            let certificates = runtime::tls::certificates_from_pem(&read(path)?).map_err(unusable)?;
            config.root_cert = Some(certificates.into_iter().map(|certificate| certificate.to_vec()).collect());
        }
        config.accept_invalid_certs |= flags.insecure_skip_tls_verify;
        config.disable_compression |= flags.disable_compression;
        if flags.tls_server_name.is_some() {
            config.tls_server_name.clone_from(&flags.tls_server_name);
        }
        if let Some(url) = &flags.proxy_url {
            config.proxy_url = Some(url.parse().map_err(unusable)?);
        }
        if flags.request_timeout != "0" {
            let timeout = seconds(&flags.request_timeout);
            config.read_timeout =
                Some(timeout.ok_or_else(|| Error::new(format!("invalid value {:?} for --request-timeout", flags.request_timeout)))?);
        }
        authenticate(&mut config.auth_info, flags);
        Ok(config)
    }
}

/// Lays the flags over what the kubeconfig says about the user.
fn authenticate(auth: &mut AuthInfo, flags: &ConnectionArgs) {
    if let Some(token) = &flags.token {
        auth.token = Some(token.clone().into());
        auth.token_file = None;
    }
    if flags.client_certificate.is_some() {
        auth.client_certificate.clone_from(&flags.client_certificate);
        auth.client_certificate_data = None;
    }
    if flags.client_key.is_some() {
        auth.client_key.clone_from(&flags.client_key);
        auth.client_key_data = None;
    }
    if flags.impersonate.is_some() {
        auth.impersonate.clone_from(&flags.impersonate);
    }
    if flags.impersonate_uid.is_some() {
        auth.impersonate_uid.clone_from(&flags.impersonate_uid);
    }
    if !flags.impersonate_groups.is_empty() {
        auth.impersonate_groups = Some(flags.impersonate_groups.clone());
    }
}

/// A duration as kubectl writes it: `5s`, `2m`, `1h30m`; a bare number is seconds.
pub(crate) fn seconds(text: &str) -> Option<std::time::Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(std::time::Duration::from_secs(seconds));
    }
    runtime::process::duration(text).ok()
}

#[async_trait]
impl Connect for FromKubeconfig {
    async fn connect(&self, flags: &ConnectionArgs) -> Result<Session> {
        let config = Self::config(flags).await?;
        let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = kube::Client::try_from(config).map_err(unusable)?;
        Ok(Session { client, namespace })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let parsed = |text| seconds(text).map(|duration| duration.as_millis());
        assert_eq!(parsed("5"), Some(5000));
        assert_eq!(parsed("1h30m"), Some(5_400_000));
        assert_eq!((parsed("soon"), parsed(""), parsed("5d")), (None, None, None));
    }
}
