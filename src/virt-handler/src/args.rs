//! The command line (node.md §1.1, observability.md §11).

use std::time::Duration;

use runtime::process::duration;

/// virt-handler cares for the virtual machines of one node.
#[derive(Clone, Debug, PartialEq, Eq, clap::Parser)]
#[command(name = "virt-handler", version)]
pub struct Args {
    /// The address of all servers.
    #[arg(long, default_value = "0.0.0.0")]
    pub listen: String,
    /// The port of probes and metrics.
    #[arg(long, default_value_t = 8185)]
    pub port: u16,
    /// The node's name.
    #[arg(long, default_value = "")]
    pub hostname_override: String,
    /// The pod's address.
    #[arg(long, default_value = "")]
    pub pod_ip_address: String,
    /// Queries a launcher answers for metrics at a time.
    #[arg(long, default_value_t = 3)]
    pub max_metric_requests: u32,
    /// The port of consoles and commands.
    #[arg(long, default_value_t = 8186)]
    pub console_server_port: u16,
    /// The port of statistics.
    #[arg(long, default_value_t = 8187)]
    pub vmstats_server_port: u16,
    /// Where sockets shared with launchers are.
    #[arg(long, default_value = "/var/run/kubevirt")]
    pub kubevirt_share_dir: String,
    /// Where the handler's own records are.
    #[arg(long, default_value = "/var/run/kubevirt-private")]
    pub kubevirt_private_dir: String,
    /// Where the kubelet keeps pods.
    #[arg(long, default_value = "/var/lib/kubelet/pods")]
    pub kubelet_pods_dir: String,
    /// Where the kubelet keeps everything.
    #[arg(long, default_value = "/var/lib/kubelet")]
    pub kubelet_root: String,
    /// After how long a launcher that does not answer counts as gone.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub watchdog_timeout: Duration,
    /// Devices a device plugin offers.
    #[arg(long, default_value_t = 1000)]
    pub max_devices: u32,
    /// After how many seconds every domain is looked at again.
    #[arg(long, default_value_t = 300)]
    pub domain_resync_period_seconds: u64,
    /// How many seconds migrations have to end when the handler is told to.
    #[arg(long, default_value_t = 300)]
    pub graceful_shutdown_seconds: u64,
    /// Whether the node is labelled with what it can do.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub enable_node_labeller: bool,
    /// The ConfigMap with the authorities of clients.
    #[arg(long, default_value = "kubevirt-ca")]
    pub ca_configmap_name: String,
    /// Kinds of clients whose migrations are taken in, by the ends of their certificates' names; may be repeated.
    #[arg(long, value_delimiter = ',', default_values = ["virt-handler", "migration"])]
    pub migration_cn_types: Vec<String>,
    /// The certificate of all servers.
    #[arg(long, value_name = "FILE", default_value = "/etc/virt-handler/servercertificates/tls.crt")]
    pub tls_cert_file: String,
    /// Its key.
    #[arg(long, value_name = "FILE", default_value = "/etc/virt-handler/servercertificates/tls.key")]
    pub tls_key_file: String,
    /// The certificate shown to targets of migrations.
    #[arg(long, value_name = "FILE", default_value = "/etc/virt-handler/migrationservercertificates/tls.crt")]
    pub migration_client_cert_file: String,
    /// Its key.
    #[arg(long, value_name = "FILE", default_value = "/etc/virt-handler/migrationservercertificates/tls.key")]
    pub migration_client_key_file: String,
    /// The certificate shown to guests.
    #[arg(long, value_name = "FILE", default_value = "/etc/virt-handler/vsockclientcertificates/tls.crt")]
    pub vsock_client_cert_file: String,
    /// Its key.
    #[arg(long, value_name = "FILE", default_value = "/etc/virt-handler/vsockclientcertificates/tls.key")]
    pub vsock_client_key_file: String,
    /// Whether certificates are managed by others, who choose the names in them.
    #[arg(long)]
    pub externally_managed: bool,
    /// VMIs worked on at a time.
    #[arg(long, default_value_t = 32)]
    pub workers: usize,
    /// How much is logged.
    #[arg(short, long = "v", default_value_t = 2)]
    pub v: u8,
}
