//! The command line (spec controllers §1.1).

use std::time::Duration;

use planner::vmi::Settings;
use runtime::LeaseTimes;
use runtime::process::duration;

/// What virt-controller is started with.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "virt-controller", version)]
pub struct Args {
    /// The address of the probes and metrics.
    #[arg(long, default_value = "0.0.0.0")]
    pub listen: String,
    /// The port of the probes and metrics.
    #[arg(long, default_value_t = 8182)]
    pub port: u16,
    /// The image of launchers.
    #[arg(long, default_value = "virt-launcher")]
    pub launcher_image: String,
    /// The image of hook sidecars that name none.
    #[arg(long, default_value = "sidecar-shim")]
    pub sidecar_shim_image: String,
    /// The image of export servers.
    #[arg(long, default_value = "virt-exportserver")]
    pub exporter_image: String,
    /// How long launchers wait for QEMU, in seconds; a random part of up to 120 s is added.
    #[arg(long, default_value_t = 240)]
    pub launcher_qemu_timeout: u32,
    /// The pull secret of the launcher's image.
    #[arg(long, default_value = "")]
    pub image_pull_secret: String,
    /// The group of the files shared with launchers.
    #[arg(long, default_value_t = 107)]
    pub launcher_subgid: i64,
    /// Labels that follow from VMs to their launchers: keys, or `prefix*`, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub additional_launcher_labels_sync: Vec<String>,
    /// Annotations that follow from VMs to their launchers: keys, or `prefix*`, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub additional_launcher_annotations_sync: Vec<String>,
    /// VMIs reconciled at a time.
    #[arg(long, default_value_t = 10)]
    pub vmi_controller_threads: usize,
    /// VMs reconciled at a time.
    #[arg(long, default_value_t = 3)]
    pub vm_controller_threads: usize,
    /// Nodes reconciled at a time.
    #[arg(long, default_value_t = 3)]
    pub node_controller_threads: usize,
    /// Replica sets reconciled at a time.
    #[arg(long, default_value_t = 3)]
    pub rs_controller_threads: usize,
    /// Pools reconciled at a time.
    #[arg(long, default_value_t = 3)]
    pub pool_controller_threads: usize,
    /// Migrations reconciled at a time.
    #[arg(long, default_value_t = 3)]
    pub migration_controller_threads: usize,
    /// Nodes evacuated at a time.
    #[arg(long, default_value_t = 3)]
    pub evacuation_controller_threads: usize,
    /// Disruption budgets examined at a time.
    #[arg(long, default_value_t = 3)]
    pub disruption_budget_controller_threads: usize,
    /// The certificate of the probes.
    #[arg(long, default_value = "/etc/virt-controller/certificates/tls.crt")]
    pub prom_cert_file: String,
    /// The key of the probes' certificate.
    #[arg(long, default_value = "/etc/virt-controller/certificates/tls.key")]
    pub prom_key_file: String,
    /// How long others wait for the lease.
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub leader_elect_lease_duration: Duration,
    /// How long the lease may go without renewal.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub leader_elect_renew_deadline: Duration,
    /// Between two tries for the lease.
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub leader_elect_retry_period: Duration,
    /// What the leader holds: a Lease, and nothing else.
    #[arg(long, default_value = "leases", value_parser = ["leases"])]
    pub leader_elect_resource_lock: String,
    /// How much is logged.
    #[arg(short, long = "v", default_value_t = 2)]
    pub v: u8,
}

impl Args {
    pub(crate) fn lease_times(&self) -> LeaseTimes {
        LeaseTimes {
            duration: self.leader_elect_lease_duration,
            renew_deadline: self.leader_elect_renew_deadline,
            retry_period: self.leader_elect_retry_period,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            launcher_image: self.launcher_image.clone(),
            sidecar_shim_image: self.sidecar_shim_image.clone(),
            image_pull_secret: Some(self.image_pull_secret.clone()).filter(|secret| !secret.is_empty()),
            qemu_timeout_seconds: self.launcher_qemu_timeout,
            labels_sync: self.additional_launcher_labels_sync.clone(),
            annotations_sync: self.additional_launcher_annotations_sync.clone(),
        }
    }
}
