//! What a node tells about itself in labels (node.md §12).

use std::collections::BTreeMap;

use api::config::ClusterConfig;
use api::names;
use hypervisor::{Capabilities, Usable};

/// Prefixes of the labels that are the labeller's, and go when they no longer hold.
const OWN_PREFIXES: &[&str] = &[
    names::CPU_FEATURE_LABEL_PREFIX,
    names::CPU_MODEL_LABEL_PREFIX,
    names::CPU_MODEL_MIGRATION_LABEL_PREFIX,
    names::HOST_MODEL_CPU_LABEL_PREFIX,
    names::HOST_MODEL_REQUIRED_FEATURES_LABEL_PREFIX,
    names::MACHINE_TYPE_LABEL_PREFIX,
    names::CPU_TIMER_LABEL_PREFIX,
    names::HYPERV_LABEL_PREFIX,
    names::VM_ARCHITECTURE_LABEL_PREFIX,
];
/// Single labels that are the labeller's.
const OWN_LABELS: &[&str] = &[
    names::REALTIME_LABEL,
    names::SEV_LABEL,
    names::SEV_ES_LABEL,
    names::SEV_SNP_LABEL,
    names::TDX_LABEL,
    names::LABELLER_OBSOLETE_HOST_MODEL_ANNOTATION,
];
/// Models nobody should use any more, unless the cluster says otherwise.
const OBSOLETE: &[&str] = &[
    "486",
    "486-v1",
    "pentium",
    "pentium-v1",
    "pentium2",
    "pentium2-v1",
    "pentium3",
    "pentium3-v1",
    "pentiumpro",
    "coreduo",
    "coreduo-v1",
    "n270",
    "n270-v1",
    "core2duo",
    "core2duo-v1",
    "Conroe",
    "Conroe-v1",
    "athlon",
    "athlon-v1",
    "phenom",
    "phenom-v1",
    "qemu64",
    "qemu64-v1",
    "qemu32",
    "qemu32-v1",
    "kvm64",
    "kvm64-v1",
    "kvm32",
    "kvm32-v1",
    "Opteron_G1",
    "Opteron_G1-v1",
    "Opteron_G2",
    "Opteron_G2-v1",
];

/// The labels of a node with these capabilities.
pub(crate) fn compute(capabilities: &Capabilities, config: &ClusterConfig) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut set = |prefix: &str, name: &str, value: &str| {
        labels.insert(format!("{prefix}{name}"), value.to_owned());
    };
    let obsolete = obsolete_models(config);
    let is_obsolete = |model: &str| obsolete.iter().any(|obsolete| obsolete == model);
    let has_models = capabilities.arch != "arm64";
    if has_models {
        for feature in &capabilities.cpu_features {
            set(names::CPU_FEATURE_LABEL_PREFIX, feature, "true");
        }
        for model in capabilities.cpu_models.iter().filter(|model| !is_obsolete(&model.name)) {
            if model.usable == Usable::Yes {
                set(names::CPU_MODEL_LABEL_PREFIX, &model.name, "true");
            }
            set(names::CPU_MODEL_MIGRATION_LABEL_PREFIX, &model.name, "true");
        }
        if let Some(host) = &capabilities.host_model {
            set(names::HOST_MODEL_CPU_LABEL_PREFIX, &host.name, "true");
            for feature in &host.required_features {
                set(names::HOST_MODEL_REQUIRED_FEATURES_LABEL_PREFIX, feature, "true");
            }
            set(names::CPU_VENDOR_LABEL_PREFIX, &host.vendor, "true");
            if is_obsolete(&host.name) {
                set(names::LABELLER_OBSOLETE_HOST_MODEL_ANNOTATION, "", "true");
            }
        }
        if capabilities.arch == "amd64" {
            for enlightenment in &capabilities.hyperv {
                set(names::HYPERV_LABEL_PREFIX, enlightenment, "true");
            }
        }
    }
    for machine in &capabilities.machines {
        set(names::MACHINE_TYPE_LABEL_PREFIX, machine, "true");
    }
    if let Some(tsc) = capabilities.tsc {
        set(names::CPU_TIMER_LABEL_PREFIX, "tsc-frequency", &tsc.frequency.to_string());
        set(names::CPU_TIMER_LABEL_PREFIX, "tsc-scalable", if tsc.scalable { "true" } else { "false" });
    }
    for (label, holds) in [
        (names::REALTIME_LABEL, capabilities.realtime),
        (names::SEV_LABEL, capabilities.sev),
        (names::SEV_ES_LABEL, capabilities.sev_es),
        (names::SEV_SNP_LABEL, capabilities.sev_snp),
        (names::TDX_LABEL, capabilities.tdx),
        (names::SECURE_EXECUTION_LABEL, capabilities.s390_pv),
    ] {
        if holds {
            set(label, "", "true");
        }
    }
    set(names::VM_ARCHITECTURE_LABEL_PREFIX, &capabilities.arch, "true");
    labels
}

fn obsolete_models(config: &ClusterConfig) -> Vec<String> {
    let given = &config.configuration().obsolete_cpu_models;
    if given.is_empty() {
        OBSOLETE.iter().map(|model| (*model).to_owned()).collect()
    } else {
        given.iter().filter(|(_, obsolete)| **obsolete).map(|(model, _)| model.clone()).collect()
    }
}

/// What has to change for a node's labels to be `wanted`: values to set, and none for labels to remove. Empty when nothing does.
pub(crate) fn changes(current: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> BTreeMap<String, Option<String>> {
    let own = |label: &str| OWN_LABELS.contains(&label) || OWN_PREFIXES.iter().any(|prefix| label.starts_with(prefix));
    let stale = current.keys().filter(|label| own(label) && !wanted.contains_key(*label)).map(|label| (label.clone(), None));
    let new = wanted
        .iter()
        .filter(|(label, value)| current.get(*label) != Some(value))
        .map(|(label, value)| (label.clone(), Some(value.clone())));
    stale.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> BTreeMap<String, String> {
        let host = fake_hypervisor::Host::default();
        compute(&host.capabilities, &ClusterConfig::from_kubevirt(None))
    }

    #[test]
    fn a_node_tells_what_it_can_do() {
        let labels = labels();
        let holds = |label: &str| labels.get(label).map(String::as_str);
        assert_eq!(holds("cpu-model.node.kubevirt.io/Haswell"), Some("true"));
        assert_eq!(holds("cpu-model.node.kubevirt.io/EPYC"), None, "not usable");
        assert_eq!(holds("cpu-model-migration.node.kubevirt.io/EPYC"), Some("true"));
        assert_eq!(holds("cpu-model.node.kubevirt.io/qemu64"), None, "obsolete");
        assert_eq!(holds("host-model-cpu.node.kubevirt.io/Cascadelake-Server"), Some("true"));
        assert_eq!(holds("cpu-vendor.node.kubevirt.io/Intel"), Some("true"));
        assert_eq!(holds("machine-type.node.kubevirt.io/q35"), Some("true"));
        assert_eq!(holds("cpu-timer.node.kubevirt.io/tsc-frequency"), Some("2500000000"));
        assert_eq!(holds("hyperv.node.kubevirt.io/synic"), Some("true"));
        assert_eq!(holds("kubevirt.io/vm-arch-amd64"), Some("true"));
        assert_eq!(holds("kubevirt.io/sev"), None);
    }

    #[test]
    fn only_the_labellers_own_labels_go() {
        let wanted = labels();
        assert_eq!(changes(&wanted, &wanted), BTreeMap::new());
        let mut current = wanted.clone();
        current.remove("kubevirt.io/vm-arch-amd64");
        for label in ["cpu-model.node.kubevirt.io/Old", "cpu-vendor.node.kubevirt.io/Other", "kubevirt.io/schedulable"] {
            current.insert(label.to_owned(), "true".to_owned());
        }
        let expected =
            [("cpu-model.node.kubevirt.io/Old".to_owned(), None), ("kubevirt.io/vm-arch-amd64".to_owned(), Some("true".to_owned()))];
        assert_eq!(changes(&current, &wanted), expected.into());
    }
}
