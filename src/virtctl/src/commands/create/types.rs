//! `create instancetype` and `create preference`.

use super::Around;
use super::params::{Params, quantity};
use crate::commands::required;
use crate::error::{Result, bail};
use serde_json::{Value, json};

/// The version of the kinds that are written.
const API_VERSION: &str = "instancetype.kubevirt.io/v1beta1";

/// `create instancetype`.
#[derive(Debug, clap::Args)]
pub struct CreateInstancetype {
    /// Name; a random one, if not given
    #[arg(long)]
    name: Option<String>,
    /// Number of virtual CPUs (required)
    #[arg(long)]
    cpu: Option<u32>,
    /// Amount of memory (required)
    #[arg(long)]
    memory: Option<String>,
    /// Of a namespace, not of the cluster; implied by --namespace
    #[arg(long)]
    namespaced: bool,
    /// GPU as name:NAME,devicename:DEVICE; may be repeated
    #[arg(long = "gpu", value_name = "PARAMS")]
    gpus: Vec<String>,
    /// Host device as name:NAME,devicename:DEVICE; may be repeated
    #[arg(long = "hostdevice", value_name = "PARAMS")]
    host_devices: Vec<String>,
    /// Policy for I/O threads: auto or shared
    #[arg(long = "iothreadspolicy", value_name = "POLICY")]
    io_threads_policy: Option<String>,
}

fn devices(flag: &'static str, all: &[String]) -> Result<Vec<Value>> {
    let mut devices = Vec::new();
    for text in all {
        let params = Params::parse(flag, text, &["name", "devicename"])?;
        let name = params.get("name").ok_or_else(|| params.error("name must be specified"))?;
        let device = params.get("devicename").ok_or_else(|| params.error("deviceName must be specified"))?;
        devices.push(json!({"name": name, "deviceName": device}));
    }
    Ok(devices)
}

impl CreateInstancetype {
    pub(super) fn manifest(&self, around: &Around<'_>) -> Result<Value> {
        required(&[("cpu", self.cpu.is_some()), ("memory", self.memory.is_some())])?;
        let memory = quantity("memory", self.memory.as_deref().unwrap_or_default())?;
        let mut spec = json!({"cpu": {"guest": self.cpu}, "memory": {"guest": memory}});
        let (gpus, host_devices) = (devices("gpu", &self.gpus)?, devices("hostdevice", &self.host_devices)?);
        if !gpus.is_empty() {
            spec["gpus"] = json!(gpus);
        }
        if !host_devices.is_empty() {
            spec["hostDevices"] = json!(host_devices);
        }
        match self.io_threads_policy.as_deref() {
            None => {}
            Some(policy @ ("auto" | "shared")) => spec["ioThreadsPolicy"] = json!(policy),
            Some(_) => bail!("failed to parse \"--iothreadspolicy\" flag: IOThread must be of value auto or shared"),
        }
        let namespaced = self.namespaced || around.namespace.is_some();
        let (kind, prefix) = if namespaced {
            ("VirtualMachineInstancetype", "instancetype")
        } else {
            ("VirtualMachineClusterInstancetype", "clusterinstancetype")
        };
        let name = self.name.clone().unwrap_or_else(|| around.name(prefix));
        Ok(json!({"apiVersion": API_VERSION, "kind": kind, "metadata": around.metadata(&name), "spec": spec}))
    }
}

/// `create preference`.
#[derive(Debug, clap::Args)]
pub struct CreatePreference {
    /// Name; a random one, if not given
    #[arg(long)]
    name: Option<String>,
    /// Of a namespace, not of the cluster; implied by --namespace
    #[arg(long)]
    namespaced: bool,
    /// Preferred storage class of volumes
    #[arg(long, value_name = "CLASS")]
    volume_storage_class: Option<String>,
    /// Preferred machine type
    #[arg(long, value_name = "TYPE")]
    machine_type: Option<String>,
    /// Preferred CPU topology: sockets, cores, threads, spread or any
    #[arg(long, value_name = "TOPOLOGY")]
    cpu_topology: Option<String>,
}

impl CreatePreference {
    pub(super) fn manifest(&self, around: &Around<'_>) -> Result<Value> {
        let mut spec = json!({});
        if let Some(class) = &self.volume_storage_class {
            spec["volumes"] = json!({"preferredStorageClassName": class});
        }
        if let Some(machine) = &self.machine_type {
            spec["machine"] = json!({"preferredMachineType": machine});
        }
        if let Some(topology) = &self.cpu_topology {
            if !matches!(
                topology.as_str(),
                "sockets"
                    | "cores"
                    | "threads"
                    | "spread"
                    | "any"
                    | "preferSockets"
                    | "preferCores"
                    | "preferThreads"
                    | "preferSpread"
                    | "preferAny"
            ) {
                bail!("failed to parse \"--cpu-topology\" flag: CPU topology must have a value of sockets, cores, threads or spread");
            }
            spec["cpu"] = json!({"preferredCPUTopology": topology});
        }
        let namespaced = self.namespaced || around.namespace.is_some();
        let (kind, prefix) =
            if namespaced { ("VirtualMachinePreference", "preference") } else { ("VirtualMachineClusterPreference", "clusterpreference") };
        let name = self.name.clone().unwrap_or_else(|| around.name(prefix));
        Ok(json!({"apiVersion": API_VERSION, "kind": kind, "metadata": around.metadata(&name), "spec": spec}))
    }
}
