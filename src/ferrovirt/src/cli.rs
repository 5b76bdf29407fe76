//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// KubeVirt's API with running VMs in one process.
#[derive(Debug, Parser)]
#[command(name = "ferrovirt", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to log: a level (error, warn, info, debug, trace) or a filter such as `warn,virt_controller=debug`.
    #[arg(long, global = true, default_value = "warn", env = "FERROVIRT_LOG")]
    pub log: String,
    /// What to do.
    #[command(subcommand)]
    pub program: Program,
}

/// This program is several.
#[derive(Debug, Subcommand)]
pub enum Program {
    /// The platform, or a part of it that people ask for.
    #[command(flatten)]
    Platform(Command),
    /// One component, as a process that the platform starts.
    #[command(flatten)]
    Component(Component),
}

/// The components; each is a program of its own too, which does the same.
#[derive(Debug, Subcommand)]
pub enum Component {
    /// Be virt-api, as the program of that name is.
    #[command(hide = true)]
    VirtApi(Box<virt_api::Program>),
    /// Be virt-controller, as the program of that name is.
    #[command(hide = true)]
    VirtController(Box<virt_controller::Program>),
    /// Be virt-handler, as the program of that name is.
    #[command(hide = true)]
    VirtHandler(Box<virt_handler::Program>),
    /// Be virt-launcher, as the program of that name is.
    #[command(hide = true)]
    VirtLauncher(Box<virt_launcher::Program>),
    /// Be virt-launcher-monitor, as the program of that name is.
    #[command(hide = true)]
    VirtLauncherMonitor(Box<virt_launcher::monitor::Monitor>),
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve KubeVirt's API with simulated nodes and VMs, until Ctrl-C.
    Up(Up),
    /// Print what a manifest becomes: the defaulted object, the launcher pod or the domain XML.
    Render(Render),
    /// Print what an administrator applies to a cluster to install KubeVirt's API and components.
    Manifests,
    /// Serve the embedded Kubernetes API server alone: no controllers, no nodes, no VMs.
    Apiserver(Apiserver),
}

/// Options of `ferrovirt up`.
#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("apart").multiple(true))]
pub struct Up {
    /// How many nodes to simulate.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub nodes: u16,
    /// Address and port to serve the Kubernetes API at; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR:PORT")]
    pub listen: String,
    /// Where to write the kubeconfig, whole, once the API answers.
    #[arg(long, value_name = "FILE", default_value = "ferrovirt.kubeconfig")]
    pub kubeconfig: PathBuf,
    /// Keep the cluster's objects in this folder, over restarts and crashes. Without it they live in memory.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// How long a guest takes to boot, unless its annotations say otherwise (`500ms`, `20s`, `2m`).
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = runtime::process::duration)]
    pub guest_boot_time: Duration,
    /// Run the components and every launcher as processes of their own instead of in this one.
    #[arg(long, group = "apart")]
    pub processes: bool,
    /// What runs guests. Real ones (`libvirt`) need QEMU, libvirt and a virt-launcher that was built with libvirt; they imply --processes.
    #[arg(long, value_enum, default_value_t = Guests::Fake, group = "apart")]
    pub hypervisor: Guests,
    /// The folder with the content of the images that real guests boot from, `DIR/IMAGE/disk/…`; an image that is not there cannot be pulled.
    #[arg(long, value_name = "DIR", requires = "hypervisor")]
    pub images: Option<PathBuf>,
    /// The folder with the components' programs. Without it this program plays them all, but for the launcher of real guests, which is
    /// looked for beside this program and in $PATH.
    #[arg(long, value_name = "DIR", requires = "apart", env = "FERROVIRT_PROGRAMS")]
    pub programs: Option<PathBuf>,
    /// Seed of names, UIDs and jitter; the same seed gives the same cluster. Without it a random one.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// What runs guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Guests {
    /// Nothing: guests only pretend, and do what annotations say.
    Fake,
    /// QEMU on this machine, through libvirt.
    Libvirt,
}

/// Options of `ferrovirt render`.
#[derive(Args, Clone, Debug)]
pub struct Render {
    /// Manifests (YAML or JSON, several documents): VMs and VMIs, with the claims, instance types and KubeVirt configuration
    /// they refer to; `-` reads standard input.
    pub file: PathBuf,
    /// What to print.
    #[arg(long, short, value_enum, default_value_t = Output::Domain)]
    pub output: Output,
}

/// What `ferrovirt render` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The VM or VMI after defaulting, as YAML.
    Mutated,
    /// The launcher pod, as YAML.
    Pod,
    /// The libvirt domain, as XML.
    Domain,
    /// All three in one JSON object a VMI, with `allowed` and `causes`.
    Json,
}

/// Options of `ferrovirt apiserver`.
#[derive(Args, Clone, Debug)]
pub struct Apiserver {
    /// Address and port to serve at; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR:PORT")]
    pub listen: String,
    /// Where to write the administrator's kubeconfig, whole, once the API answers.
    #[arg(long, value_name = "FILE", default_value = "apiserver.kubeconfig")]
    pub kubeconfig: PathBuf,
    /// Keep objects in this folder, over restarts and crashes. Without it they live in memory.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
