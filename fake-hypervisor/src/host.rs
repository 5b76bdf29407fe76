//! The host a fake hypervisor pretends to run on.

use std::sync::Arc;

use hypervisor::{Capabilities, CpuModel, HostModel, NumaCell, Tsc, Usable};

/// The host's facts; the default is a mid-size amd64 server with hardware acceleration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// What it tells about itself.
    pub capabilities: Arc<Capabilities>,
    /// Short machine type names and what the hypervisor makes of them in a domain's description.
    pub machine_aliases: Vec<(String, String)>,
}

impl Default for Host {
    fn default() -> Self {
        let model = |name: &str, usable| CpuModel { name: name.to_owned(), usable };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Self {
            capabilities: Arc::new(Capabilities {
                version: "QEMU 9.1.0".to_owned(),
                arch: "amd64".to_owned(),
                kvm: true,
                machines: names(&["pc-q35-rhel9.6.0", "pc-q35-rhel9.4.0", "q35"]),
                host_model: Some(HostModel {
                    name: "Cascadelake-Server".to_owned(),
                    vendor: "Intel".to_owned(),
                    required_features: names(&["arch-capabilities", "hypervisor", "ss", "tsc_adjust", "vmx"]),
                }),
                cpu_models: vec![
                    model("Cascadelake-Server", Usable::Yes),
                    model("Skylake-Server", Usable::Yes),
                    model("Skylake-Client", Usable::Yes),
                    model("Broadwell", Usable::Yes),
                    model("Haswell", Usable::Yes),
                    model("Haswell-noTSX", Usable::Yes),
                    model("IvyBridge", Usable::Yes),
                    model("SandyBridge", Usable::Yes),
                    model("Westmere", Usable::Yes),
                    model("Nehalem", Usable::Yes),
                    model("Penryn", Usable::Yes),
                    model("qemu64", Usable::Yes),
                    model("SapphireRapids", Usable::No),
                    model("EPYC", Usable::No),
                ],
                cpu_features: names(&[
                    "aes", "apic", "avx", "avx2", "avx512f", "bmi1", "bmi2", "cx16", "fma", "fxsr", "lahf_lm", "mmx", "pclmuldq", "popcnt",
                    "rdrand", "sse", "sse2", "sse4.1", "sse4.2", "ssse3", "syscall", "tsc", "vmx", "x2apic", "xsave",
                ]),
                cells: vec![NumaCell { id: 0, memory_kib: 64 << 20, cpus: (0..64).collect() }],
                tsc: Some(Tsc { frequency: 2_500_000_000, scalable: true }),
                hyperv: names(&[
                    "base",
                    "frequencies",
                    "ipi",
                    "reenlightenment",
                    "reset",
                    "runtime",
                    "synic",
                    "synic2",
                    "synictimer",
                    "time",
                    "tlbflush",
                    "vpindex",
                ]),
                sev: false,
                sev_es: false,
                sev_snp: false,
                tdx: false,
                s390_pv: false,
                realtime: false,
            }),
            machine_aliases: vec![("q35".to_owned(), "pc-q35-rhel9.6.0".to_owned())],
        }
    }
}

impl Host {
    /// The name a machine type has in a domain's description.
    pub(crate) fn canonical_machine<'a>(&'a self, machine: &'a str) -> &'a str {
        self.machine_aliases.iter().find(|(short, _)| short == machine).map_or(machine, |(_, long)| long)
    }
}
