//! Starting, stopping, pausing, moving (spec/virtctl.md §3).

use super::{at, compact, dry, exact};
use crate::error::{Error, Result, bail};
use crate::{ConnectionArgs, Deps, Machine, Session};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a dry run says first.
const DRY_RUN: &str = "Dry Run execution";

/// `start`.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// Name of the virtual machine
    #[arg(value_name = "VM")]
    names: Vec<String>,
    /// Start the guest paused
    #[arg(long)]
    paused: bool,
    /// Only try whether the server would accept it
    #[arg(long)]
    dry_run: bool,
}

/// `stop`.
#[derive(Debug, clap::Args)]
pub struct Stop {
    /// Name of the virtual machine
    #[arg(value_name = "VM")]
    names: Vec<String>,
    /// Stop by force; needs --grace-period
    #[arg(long)]
    pub(crate) force: bool,
    /// Seconds the guest has to shut down; needs --force
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_name = "SECONDS")]
    grace_period: i64,
    /// Only try whether the server would accept it
    #[arg(long)]
    dry_run: bool,
}

/// `restart`.
#[derive(Debug, clap::Args)]
pub struct Restart {
    /// Name of the virtual machine
    #[arg(value_name = "VM")]
    names: Vec<String>,
    /// Restart by force; needs --grace-period
    #[arg(long)]
    force: bool,
    /// Seconds the guest has to shut down, only 0 is supported; needs --force
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_name = "SECONDS")]
    grace_period: i64,
    /// Only try whether the server would accept it
    #[arg(long)]
    dry_run: bool,
}

/// `pause`.
#[derive(Debug, clap::Args)]
pub struct Pause {
    /// vm or vmi, and its name
    #[arg(value_name = "TYPE NAME")]
    names: Vec<String>,
    /// Only try whether the server would accept it
    #[arg(long)]
    dry_run: bool,
}

/// `unpause`.
#[derive(Debug, clap::Args)]
pub struct Unpause {
    /// vm or vmi, and its name
    #[arg(value_name = "TYPE NAME")]
    names: Vec<String>,
    /// Only try whether the server would accept it
    #[arg(long)]
    dry_run: bool,
}

/// `soft-reboot`.
#[derive(Debug, clap::Args)]
pub struct SoftReboot {
    /// Name of the virtual machine instance
    #[arg(value_name = "VMI")]
    names: Vec<String>,
}

/// `reset`.
#[derive(Debug, clap::Args)]
pub struct Reset {
    /// Name of the virtual machine instance
    #[arg(value_name = "VMI")]
    names: Vec<String>,
}

/// `migrate`.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// Name of the virtual machine
    #[arg(value_name = "VM")]
    names: Vec<String>,
    /// Labels the target node must have too, key=value
    #[arg(long = "addedNodeSelector", value_delimiter = ',', value_name = "KEY=VALUE")]
    added_node_selector: Vec<String>,
    /// Only try whether the server would accept it
    #[arg(long)]
    dry_run: bool,
}

/// `migrate-cancel`.
#[derive(Debug, clap::Args)]
pub struct MigrateCancel {
    /// Name of the virtual machine
    #[arg(value_name = "VM")]
    names: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// `evacuate-cancel`.
#[derive(Debug, clap::Args)]
pub struct EvacuateCancel {
    /// vm or vmi, and its name
    #[arg(value_name = "TYPE NAME")]
    names: Vec<String>,
    /// Only try whether the server would accept it
    #[arg(long)]
    dry_run: bool,
}

async fn session(flags: &ConnectionArgs, deps: &Deps, dry_run: bool) -> Result<Session> {
    if dry_run {
        deps.out.line(DRY_RUN);
    }
    deps.connect.connect(flags).await
}

async fn put(session: &Session, kind: Machine, name: &str, verb: &str, body: Value) -> Result<()> {
    session.put(&session.subresource(kind, name, verb), &compact(body)).await.map(drop)
}

fn scheduled(deps: &Deps, kind: &str, name: &str, what: &str) {
    deps.out.line(format!("{kind} {name} was scheduled to {what}"));
}

/// Whether a stop is forced: force and a grace period come together only.
fn forced(force: bool, grace: i64) -> Result<bool> {
    if force != (grace != -1) {
        bail!("Must both use --force=true and set --grace-period.");
    }
    Ok(force)
}

impl Start {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        let session = session(flags, deps, self.dry_run).await?;
        let body = json!({"paused": self.paused, "dryRun": dry(self.dry_run)});
        put(&session, Machine::Vm, name, "start", body).await.map_err(|error| error.after("Error starting VirtualMachine "))?;
        scheduled(deps, "VM", name, "start");
        Ok(())
    }
}

impl Stop {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        let forced = forced(self.force, self.grace_period)?;
        let session = session(flags, deps, self.dry_run).await?;
        let (body, failed) = if forced {
            (json!({"gracePeriod": self.grace_period, "dryRun": dry(self.dry_run)}), "error force stopping VirtualMachine: ")
        } else {
            (json!({"dryRun": dry(self.dry_run)}), "error stopping VirtualMachine ")
        };
        put(&session, Machine::Vm, name, "stop", body).await.map_err(|error| error.after(failed))?;
        scheduled(deps, "VM", name, "stop");
        Ok(())
    }
}

impl Restart {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        let forced = forced(self.force, self.grace_period)?;
        let session = session(flags, deps, self.dry_run).await?;
        let (body, failed) = if forced {
            (json!({"gracePeriodSeconds": self.grace_period, "dryRun": dry(self.dry_run)}), "error force restarting VirtualMachine: ")
        } else {
            (json!({"dryRun": dry(self.dry_run)}), "error restarting VirtualMachine: ")
        };
        put(&session, Machine::Vm, name, "restart", body).await.map_err(|error| error.after(failed))?;
        scheduled(deps, "VM", name, "restart");
        Ok(())
    }
}

/// The kind and name of `vm NAME` or `vmi NAME`.
fn subject(arguments: &[String]) -> Result<(Machine, &str)> {
    let [kind, name] = exact(arguments)?;
    // The original takes any other word, does nothing and reports success.
    let kind = Machine::parse(kind).ok_or_else(|| Error::new(format!("unsupported resource type {kind:?}")))?;
    Ok((kind, name))
}

/// Pauses or unpauses; the instance of a VM has the VM's name.
async fn halt(arguments: &[String], dry_run: bool, verb: &str, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
    let (kind, name) = subject(arguments)?;
    let session = session(flags, deps, dry_run).await?;
    let vm = match kind {
        Machine::Vm => {
            let vm = session.get(&session.machine(Machine::Vm, name)).await;
            Some(vm.map_err(|error| error.after(format!("Error getting VirtualMachine {name}: ")))?)
        }
        Machine::Vmi => None,
    };
    let done = put(&session, Machine::Vmi, name, verb, json!({"dryRun": dry(dry_run)})).await;
    done.map_err(|error| {
        let doing = if verb == "pause" { "pausing" } else { "unpausing" };
        let halted = |vm: &Value| at(vm, "/spec/runStrategy") == "Halted" || vm.pointer("/spec/running") == Some(&Value::Bool(false));
        match &vm {
            Some(vm) if verb == "pause" && error.is_not_found() && halted(vm) => {
                Error::new(format!("Error pausing VirtualMachineInstance {name}. VirtualMachine {name} is not set to run"))
            }
            Some(_) if verb == "pause" && error.is_not_found() => {
                Error::new(format!("Error pausing VirtualMachineInstance {name}, it was not found"))
            }
            _ => error.after(format!("Error {doing} VirtualMachineInstance {name}: ")),
        }
    })?;
    scheduled(deps, "VMI", name, verb);
    Ok(())
}

impl Pause {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        halt(&self.names, self.dry_run, "pause", flags, deps).await
    }
}

impl Unpause {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        halt(&self.names, self.dry_run, "unpause", flags, deps).await
    }
}

impl SoftReboot {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        let session = session(flags, deps, false).await?;
        let done = put(&session, Machine::Vmi, name, "softreboot", Value::Null).await;
        done.map_err(|error| error.after(format!("Error soft rebooting VirtualMachineInstance {name}: ")))?;
        scheduled(deps, "VMI", name, "soft-reboot");
        Ok(())
    }
}

impl Reset {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        let session = session(flags, deps, false).await?;
        let done = put(&session, Machine::Vmi, name, "reset", Value::Null).await;
        // The original's spelling.
        done.map_err(|error| error.after(format!("Error reseting VirtualMachineInstance {name}: ")))?;
        scheduled(deps, "VMI", name, "reset");
        Ok(())
    }
}

impl Migrate {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        let mut selector = BTreeMap::new();
        for pair in &self.added_node_selector {
            let Some((key, value)) = pair.split_once('=') else {
                bail!("invalid argument {pair:?} for \"--addedNodeSelector\" flag: {pair} must be formatted as key=value");
            };
            selector.insert(key, value);
        }
        let session = session(flags, deps, self.dry_run).await?;
        let selector = if selector.is_empty() { Value::Null } else { json!(selector) };
        let body = json!({"dryRun": dry(self.dry_run), "addedNodeSelector": selector});
        put(&session, Machine::Vm, name, "migrate", body).await.map_err(|error| error.after("Error migrating VirtualMachine "))?;
        scheduled(deps, "VM", name, "migrate");
        Ok(())
    }
}

impl MigrateCancel {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        let session = session(flags, deps, self.dry_run).await?;
        let path = session.custom("kubevirt.io/v1", "virtualmachineinstancemigrations", "");
        let list = session.get(&format!("{path}?labelSelector=kubevirt.io%2Fvmi-name%3D{name}")).await;
        let list = list.map_err(|error| error.after("Error fetching virtual machine instance migration list  "))?;
        let migrations = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let open = migrations.iter().find(|migration| !matches!(at(migration, "/status/phase"), "Succeeded" | "Failed"));
        let Some(open) = open else { bail!("Found no migration to cancel for {name}") };
        let migration = at(open, "/metadata/name");
        let query = if self.dry_run { "?dryRun=All" } else { "" };
        let deleted = session.delete(&format!("{path}/{migration}{query}")).await;
        deleted.map_err(|error| error.after(format!("Error canceling migration {migration} of a VirtualMachine {name}: ")))?;
        scheduled(deps, "VM", name, "migrate-cancel");
        Ok(())
    }
}

impl EvacuateCancel {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let (kind, name) = subject(&self.names)?;
        let session = session(flags, deps, self.dry_run).await?;
        let label = kind.short().to_uppercase();
        let namespace = session.namespace.clone();
        let vmi = session.get(&session.machine(Machine::Vmi, name)).await;
        let vmi =
            vmi.map_err(|error| error.after(format!("error retrieving VMI for evacuation cancel for {label} {namespace}/{name}: ")))?;
        let node = at(&vmi, "/status/nodeName");
        if node.is_empty() {
            bail!("{label} {namespace}/{name} doesn't report Node name");
        }
        let body = json!({"evacuationNodeName": node, "dryRun": dry(self.dry_run)});
        let done = put(&session, kind, name, "evacuate/cancel", body).await;
        done.map_err(|error| error.after(format!("error canceling evacuation for {label} {namespace}/{name}: ")))?;
        deps.out.line(format!("{label} {namespace}/{name} was canceled evacuation"));
        Ok(())
    }
}
