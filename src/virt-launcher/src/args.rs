//! The command line, as the pod gives it (node.md §1.2).

use std::time::Duration;

use runtime::process::duration;

/// virt-launcher runs one virtual machine in its pod.
#[derive(Clone, Debug, PartialEq, Eq, clap::Parser)]
#[command(name = "virt-launcher")]
#[allow(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub struct Args {
    /// The VMI's name.
    #[arg(long)]
    pub name: String,
    /// The VMI's UID.
    #[arg(long)]
    pub uid: String,
    /// The VMI's namespace.
    #[arg(long)]
    pub namespace: String,
    /// How long to wait for the domain.
    #[arg(long, default_value = "180s", value_parser = duration)]
    pub qemu_timeout: Duration,
    /// How long the guest may take to end once the pod is told to, in seconds.
    #[arg(long, default_value_t = 30)]
    pub grace_period_seconds: u64,
    /// Where sockets shared with the handler are.
    #[arg(long, default_value = "/var/run/kubevirt")]
    pub kubevirt_share_dir: String,
    /// Where ephemeral disks are made.
    #[arg(long, default_value = "/var/run/kubevirt-ephemeral-disks")]
    pub ephemeral_disk_dir: String,
    /// Where container disks are found.
    #[arg(long, default_value = "/var/run/kubevirt/container-disks")]
    pub container_disk_dir: String,
    /// Where hotplugged volumes appear.
    #[arg(long, default_value = "/var/run/kubevirt/hotplug-disks")]
    pub hotplug_disk_dir: String,
    /// How many hook sidecars the pod has.
    #[arg(long, default_value_t = 0)]
    pub hook_sidecars: u32,
    /// Where EFI firmware is.
    #[arg(long, default_value = "/usr/share/OVMF")]
    pub ovmf_path: String,
    /// How many bytes checking a disk may take.
    #[arg(long, default_value_t = 2_097_152_000)]
    pub disk_memory_limit: i64,
    /// The hypervisor; `libvirt` for real guests, in a build that has it.
    #[arg(long, default_value = "kvm")]
    pub hypervisor: String,
    /// Whether libvirt runs without root.
    #[arg(long)]
    pub run_as_nonroot: bool,
    /// Whether guests may be emulated.
    #[arg(long)]
    pub allow_emulation: bool,
    /// Whether guests of another architecture may be emulated.
    #[arg(long)]
    pub allow_cross_arch_emulation: bool,
    /// Whether container disks are image volumes.
    #[arg(long)]
    pub image_volume: bool,
    /// Whether secondary interfaces are renamed.
    #[arg(long)]
    pub upgrade_ordinal_ifaces: bool,
    /// Whether vGPUs have a hook of their own.
    #[arg(long)]
    pub vgpu_dedicated_hook: bool,
    /// Whether statistics are collected for scrapers.
    #[arg(long)]
    pub vm_stats_collector: bool,
    /// Whether libvirt chooses the firmware.
    #[arg(long)]
    pub firmware_auto_selection: bool,
    /// libvirt's log filters.
    #[arg(long, default_value = "")]
    pub libvirt_log_filters: String,
    /// Whether the pod stays after a failure.
    #[arg(long)]
    pub keep_after_failure: bool,
    /// How much is logged.
    #[arg(short, long = "v", default_value_t = 2)]
    pub v: u8,
    /// Fails at once, for tests of failures.
    #[arg(long)]
    pub simulate_crash: bool,
}

impl Args {
    /// How much is logged: what the pod's environment says, else the command line.
    pub fn verbosity(&self) -> u8 {
        std::env::var("VIRT_LAUNCHER_LOG_VERBOSITY").ok().and_then(|text| text.parse().ok()).unwrap_or(self.v)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn reads_what_the_pod_gives() {
        let args = Args::parse_from([
            "virt-launcher",
            "--qemu-timeout",
            "312s",
            "--name",
            "vm",
            "--uid",
            "1",
            "--namespace",
            "ns",
            "--grace-period-seconds",
            "45",
            "--hook-sidecars",
            "0",
            "--run-as-nonroot",
            "--allow-emulation",
        ]);
        assert_eq!((args.qemu_timeout.as_secs(), args.grace_period_seconds), (312, 45));
        assert!(args.run_as_nonroot && args.allow_emulation && !args.simulate_crash);
        let bad = Args::try_parse_from(["x", "--name", "vm", "--uid", "1", "--namespace", "ns", "--qemu-timeout", "5"]);
        assert!(bad.is_err_and(|error| error.to_string().contains("is not a duration")));
    }
}
