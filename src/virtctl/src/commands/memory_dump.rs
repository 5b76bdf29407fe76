//! Dumps of a guest's memory (spec/virtctl.md §9).

use super::{at, exact};
use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps, Machine, Session};
use serde_json::{Value, json};
use std::time::Duration;

/// How often a dump is looked at, and for how long.
const PERIOD: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_mins(10);
/// What a dump needs beside the guest's memory, in bytes.
const EXTRA: i64 = 100 << 20;
/// The share of a file system that CDI takes for itself, where it does not say.
const OVERHEAD: f64 = 0.055;

/// `memory-dump`.
#[derive(Debug, clap::Args)]
pub struct MemoryDump {
    /// get, download or remove, then the name of the virtual machine
    #[arg(value_name = "ACTION VM")]
    names: Vec<String>,
    /// PersistentVolumeClaim to dump to
    #[arg(long, value_name = "NAME")]
    claim_name: Option<String>,
    /// Create the claim
    #[arg(long)]
    create_claim: bool,
    /// Storage class of the new claim
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// Access mode of the new claim
    #[arg(long, value_name = "MODE")]
    access_mode: Option<String>,
    /// File to download the dump to
    #[arg(long, value_name = "PATH")]
    output: Option<String>,
    /// Format of the download: gzip or raw
    #[arg(long, default_value = "gzip")]
    format: String,
    /// Download through a forwarded port
    #[arg(long)]
    port_forward: bool,
    /// Local port to forward; 0 picks one
    #[arg(long, default_value = "0", value_name = "PORT")]
    local_port: String,
}

impl MemoryDump {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [action, name] = exact(&self.names)?;
        if !matches!(action, "get" | "download" | "remove") {
            bail!("invalid action type {action}");
        }
        let session = deps.connect.connect(flags).await?;
        match action {
            "get" => {
                if self.create_claim {
                    self.create(&session, name, deps).await?;
                }
                let body = json!({"claimName": self.claim_name.as_deref().unwrap_or_default(), "phase": ""});
                let asked = session.put(&session.subresource(Machine::Vm, name, "memorydump"), &body).await;
                asked.map_err(|error| error.after("error dumping vm memory, "))?;
                deps.out.line(format!("Successfully submitted memory dump request of VM {name}"));
                if self.output.is_some() { self.download(&session, name, deps).await } else { Ok(()) }
            }
            "download" => self.download(&session, name, deps).await,
            _ => {
                let asked = session.put(&session.subresource(Machine::Vm, name, "removememorydump"), &Value::Null).await;
                asked.map_err(|error| error.after("error removing memory dump association, "))?;
                deps.out.line(format!("Successfully submitted remove memory dump association of VM {name}"));
                Ok(())
            }
        }
    }

    /// Creates a claim that the dump fits in.
    async fn create(&self, session: &Session, name: &str, deps: &Deps) -> Result<()> {
        let Some(claim) = &self.claim_name else { bail!("missing claim name") };
        let vm = session.get(&session.machine(Machine::Vm, name)).await?;
        if vm.pointer("/status/memoryDumpRequest").is_some() {
            bail!("please remove current memory dump association before creating a new claim for a new memory dump");
        }
        if session.find(&session.core("persistentvolumeclaims", claim)).await?.is_some() {
            bail!("PVC {}/{claim} already exists, check if it should be created if not remove create flag", session.namespace);
        }
        let vmi = session.get(&session.machine(Machine::Vmi, name)).await?;
        let memory = |pointer: &str| api::quantity::parse(at(&vmi, pointer)).map(|amount| amount.value());
        let Some(memory) = memory("/spec/domain/resources/requests/memory").or_else(|| memory("/spec/domain/memory/guest")) else {
            bail!("VirtualMachineInstance {name} does not say how much memory it has");
        };
        let size = ((memory + EXTRA) as f64 * (1.0 + self.overhead(session, deps).await?)).ceil() as i64;
        let mut spec = json!({
            "resources": {"requests": {"storage": size.to_string()}},
            "accessModes": [self.access_mode.as_deref().unwrap_or("ReadWriteOnce")],
        });
        match self.access_mode.as_deref() {
            Some("ReadOnlyMany") => bail!("cannot dump memory to a readonly pvc, use either ReadWriteOnce or ReadWriteMany if supported"),
            None | Some("ReadWriteOnce" | "ReadWriteMany" | "ReadWriteOncePod") => {}
            Some(other) => bail!("invalid access mode {other}"),
        }
        if let Some(class) = &self.storage_class {
            spec["storageClassName"] = json!(class);
        }
        let pvc = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "labels": {"cdi.kubevirt.io/applyStorageProfile": "true"}}, "spec": spec,
        });
        session.create(&session.core("persistentvolumeclaims", ""), &pvc).await?;
        deps.out.line(format!("PVC {}/{claim} created", session.namespace));
        Ok(())
    }

    /// What share of a file system CDI takes.
    async fn overhead(&self, session: &Session, deps: &Deps) -> Result<f64> {
        let Some(config) = session.find("/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config").await? else {
            deps.out.line("Using default 5.5% filesystem overhead for pvc size");
            return Ok(OVERHEAD);
        };
        let overhead = &config["status"]["filesystemOverhead"];
        let of_class = self.storage_class.as_ref().and_then(|class| overhead["storageClass"][class].as_str());
        Ok(of_class.or_else(|| overhead["global"].as_str()).and_then(|text| text.parse().ok()).unwrap_or(OVERHEAD))
    }

    /// Waits for the dump; its export is what gets it here.
    async fn download(&self, session: &Session, name: &str, deps: &Deps) -> Result<()> {
        if self.output.is_none() {
            bail!("missing outputFile to download the memory dump");
        }
        if !matches!(self.format.as_str(), "gzip" | "raw") {
            bail!("invalid format: {}", self.format);
        }
        let claim = self.wait(session, name, deps).await?;
        deps.out.line("Memory dump completed successfully");
        bail!(
            "the dump is on the claim {}/{claim}, it cannot be downloaded: volumes are not exported by this platform yet (--local-port {}, --port-forward={} ignored)",
            session.namespace,
            self.local_port,
            self.port_forward
        )
    }

    async fn wait(&self, session: &Session, name: &str, deps: &Deps) -> Result<String> {
        let mut last = String::new();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let vm = session.get(&session.machine(Machine::Vm, name)).await?;
                let Some(request) = vm.pointer("/status/memoryDumpRequest") else { bail!("no memory dump is associated with VM {name}") };
                let (claim, phase) = (at(request, "/claimName"), at(request, "/phase"));
                match phase {
                    "Completed" => return Ok(claim.to_owned()),
                    "Failed" => bail!("memory dump failed: {}", at(request, "/message")),
                    _ if last == phase => {}
                    _ => {
                        phase.clone_into(&mut last);
                        deps.out.line(format!("Waiting for memorydump {claim} to complete, current phase: {phase}..."));
                    }
                }
                tokio::time::sleep(PERIOD).await;
            }
        });
        waited.await.unwrap_or_else(|_| Err(crate::Error::new("timed out waiting for the memory dump to complete")))
    }
}
