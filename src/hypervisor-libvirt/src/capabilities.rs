//! What host and hypervisor can do, from libvirt's two descriptions of it (hypervisor.md §11, node.md §12).

use std::fmt::{Display, Write as _};

use hypervisor::{Capabilities, CpuModel, ErrorCode, HostModel, HypervisorError, NumaCell, Result, Tsc, Usable};
use serde::Deserialize;

use crate::sys::Connection;

/// Asks the connection. Blocks.
///
/// # Errors
/// libvirt's; `XML_ERROR` when it answers with what cannot be read.
pub(crate) fn read(connection: &Connection) -> Result<Capabilities> {
    let host: HostDescription = parse(&connection.capabilities()?)?;
    let arch = host.host.cpu.arch.clone();
    let guest = host.guests.iter().find(|guest| guest.arch.name == arch && guest.os_type == "hvm");
    let kvm = guest.is_some_and(|guest| guest.arch.domains.iter().any(|domain| domain.kind == "kvm"));
    let kind = if kvm { "kvm" } else { "qemu" };
    let guests: GuestDescription = parse(&connection.domain_capabilities(&arch, kind)?)?;
    let version = connection.hypervisor_version()?;
    let host_model = guests.cpu.mode("host-model");
    let features = &guests.features;
    Ok(Capabilities {
        version: format!("QEMU {}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000),
        arch: kubernetes_arch(&arch).to_owned(),
        kvm,
        machines: guest.map(|guest| guest.arch.machines.iter().map(|machine| machine.name.clone()).collect()).unwrap_or_default(),
        cpu_features: host_model.map(|model| expanded(connection, &arch, kind, model)).unwrap_or_default(),
        host_model: host_model.and_then(|mode| {
            let required = mode.features.iter().filter(|feature| feature.policy == "require");
            Some(HostModel {
                name: mode.models.first()?.name.clone(),
                vendor: mode.vendor.clone(),
                required_features: required.map(|feature| feature.name.clone()).collect(),
            })
        }),
        cpu_models: guests.cpu.mode("custom").map(|mode| mode.models.iter().map(cpu_model).collect()).unwrap_or_default(),
        cells: host.host.topology.cells.cells.iter().map(cell).collect(),
        tsc: host
            .host
            .cpu
            .counters
            .iter()
            .find(|counter| counter.name == "tsc")
            .map(|counter| Tsc { frequency: counter.frequency, scalable: counter.scaling == "yes" }),
        hyperv: features.hyperv.enums.iter().filter(|e| e.name == "features").flat_map(|e| e.values.clone()).collect(),
        sev: features.sev.supported == "yes",
        sev_es: features.sev.supported == "yes" && features.sev.max_es_guests > 0,
        sev_snp: features.launch_security.enums.iter().any(|e| e.name == "sectype" && e.values.iter().any(|value| value == "sev-snp")),
        tdx: features.tdx.supported == "yes",
        s390_pv: features.s390_pv.supported == "yes",
        realtime: false,
    })
}

/// Kubernetes' word for an architecture.
fn kubernetes_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Every feature of the host's model. An old libvirt cannot say: the model's own are the answer then.
fn expanded(connection: &Connection, arch: &str, kind: &str, mode: &Mode) -> Vec<String> {
    let named = |features: &[Feature]| {
        let mut names: Vec<String> = features.iter().filter(|f| f.policy != "disable").map(|f| f.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    };
    let model = mode.models.first().map(|model| model.name.as_str()).unwrap_or_default();
    let mut cpu = format!("<cpu><arch>{arch}</arch><model>{model}</model><vendor>{}</vendor>", mode.vendor);
    for feature in &mode.features {
        // Writing to a string does not fail.
        let _ = write!(cpu, "<feature policy='{}' name='{}'/>", feature.policy, feature.name);
    }
    cpu.push_str("</cpu>");
    let expanded = connection.expanded_cpu(arch, kind, &cpu).and_then(|xml| parse::<ExpandedCpu>(&xml));
    match expanded {
        Ok(cpu) => named(&cpu.features),
        Err(error) => {
            tracing::debug!(%error, "libvirt does not list the features of the host's model");
            named(&mode.features)
        }
    }
}

fn cpu_model(model: &Model) -> CpuModel {
    let usable = match model.usable.as_str() {
        "yes" => Usable::Yes,
        "no" => Usable::No,
        _ => Usable::Unknown,
    };
    CpuModel { name: model.name.clone(), usable }
}

fn cell(cell: &Cell) -> NumaCell {
    NumaCell { id: cell.id, memory_kib: cell.memory.kib, cpus: cell.cpus.cpus.iter().map(|cpu| cpu.id).collect() }
}

fn parse<T: for<'de> Deserialize<'de>>(xml: &str) -> Result<T> {
    let bad = |error: &dyn Display| HypervisorError::new(ErrorCode::XML_ERROR, format_args!("capabilities of the host: {error}"));
    quick_xml::de::from_str(xml).map_err(|error| bad(&error))
}

#[derive(Deserialize)]
struct HostDescription {
    host: HostElement,
    #[serde(rename = "guest", default)]
    guests: Vec<GuestElement>,
}

#[derive(Deserialize)]
struct HostElement {
    cpu: HostCpu,
    #[serde(default)]
    topology: Topology,
}

#[derive(Deserialize)]
struct HostCpu {
    arch: String,
    #[serde(rename = "counter", default)]
    counters: Vec<Counter>,
}

#[derive(Deserialize)]
struct Counter {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@frequency", default)]
    frequency: u64,
    #[serde(rename = "@scaling", default)]
    scaling: String,
}

#[derive(Default, Deserialize)]
struct Topology {
    #[serde(default)]
    cells: Cells,
}

#[derive(Default, Deserialize)]
struct Cells {
    #[serde(rename = "cell", default)]
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    #[serde(rename = "@id")]
    id: u32,
    #[serde(default)]
    memory: CellMemory,
    #[serde(default)]
    cpus: CellCpus,
}

/// libvirt writes it in KiB always.
#[derive(Default, Deserialize)]
struct CellMemory {
    #[serde(rename = "$text", default)]
    kib: u64,
}

#[derive(Default, Deserialize)]
struct CellCpus {
    #[serde(rename = "cpu", default)]
    cpus: Vec<CellCpu>,
}

#[derive(Deserialize)]
struct CellCpu {
    #[serde(rename = "@id")]
    id: u32,
}

#[derive(Deserialize)]
struct GuestElement {
    os_type: String,
    arch: GuestArch,
}

#[derive(Deserialize)]
struct GuestArch {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "machine", default)]
    machines: Vec<Machine>,
    #[serde(rename = "domain", default)]
    domains: Vec<DomainKind>,
}

#[derive(Deserialize)]
struct Machine {
    #[serde(rename = "$text")]
    name: String,
}

#[derive(Deserialize)]
struct DomainKind {
    #[serde(rename = "@type")]
    kind: String,
}

#[derive(Deserialize)]
struct GuestDescription {
    #[serde(default)]
    cpu: GuestCpu,
    #[serde(default)]
    features: Features,
}

#[derive(Default, Deserialize)]
struct GuestCpu {
    #[serde(rename = "mode", default)]
    modes: Vec<Mode>,
}

impl GuestCpu {
    fn mode(&self, name: &str) -> Option<&Mode> {
        self.modes.iter().find(|mode| mode.name == name && mode.supported == "yes")
    }
}

#[derive(Deserialize)]
struct Mode {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@supported", default)]
    supported: String,
    #[serde(rename = "model", default)]
    models: Vec<Model>,
    #[serde(default)]
    vendor: String,
    #[serde(rename = "feature", default)]
    features: Vec<Feature>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "$text")]
    name: String,
    #[serde(rename = "@usable", default)]
    usable: String,
}

#[derive(Deserialize)]
struct Feature {
    #[serde(rename = "@policy", default)]
    policy: String,
    #[serde(rename = "@name")]
    name: String,
}

#[derive(Deserialize)]
struct ExpandedCpu {
    #[serde(rename = "feature", default)]
    features: Vec<Feature>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Features {
    sev: Supported,
    tdx: Supported,
    #[serde(rename = "s390-pv")]
    s390_pv: Supported,
    hyperv: Enums,
    #[serde(rename = "launchSecurity")]
    launch_security: Enums,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Supported {
    #[serde(rename = "@supported")]
    supported: String,
    #[serde(rename = "maxESGuests")]
    max_es_guests: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Enums {
    #[serde(rename = "enum")]
    enums: Vec<Enum>,
}

#[derive(Deserialize)]
struct Enum {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "value", default)]
    values: Vec<String>,
}
