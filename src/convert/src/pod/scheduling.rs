//! Where the pod may run. Source: spec/pod.md §8.

use std::collections::{BTreeMap, BTreeSet};

use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodAntiAffinity,
    PreferredSchedulingTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::settings::Settings;
use crate::vmi;

/// The label with a node's name.
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
const ARCH: &str = "kubernetes.io/arch";
const CROSS_ARCH: &str = "CrossArchitectureVirtualization";

/// The node labels the pod insists on; later rules win over earlier ones.
pub(super) fn node_selector(vmi: &VirtualMachineInstance, settings: Settings<'_>) -> BTreeMap<String, String> {
    let spec = &vmi.spec;
    let domain = &spec.domain;
    let mut selector = BTreeMap::from([("kubevirt.io/schedulable".to_owned(), "true".to_owned())]);
    if let Some(arch) = architecture(vmi) {
        selector.insert(ARCH.to_owned(), arch);
    }
    selector.extend(settings.node_selectors());
    selector.extend(spec.node_selector.clone());
    let mut need = |label: String| {
        selector.insert(label, "true".to_owned());
    };
    if vmi::has_dedicated_cpus(vmi) {
        need("kubevirt.io/cpumanager".to_owned());
    }
    if let Some(model) = cpu_model(vmi) {
        if !matches!(model, "host-model" | "host-passthrough") {
            need(format!("cpu-model.node.kubevirt.io/{model}"));
        }
        // Features are only looked at beside a model; admission sees to it that there always is one.
        for feature in domain.cpu.iter().flat_map(|c| &c.features) {
            if matches!(feature.policy.as_deref(), None | Some("" | "require")) {
                need(format!("cpu-feature.node.kubevirt.io/{}", feature.name));
            }
        }
    }
    let machine = vmi.status.as_ref().and_then(|s| s.machine.as_ref()).or(domain.machine.as_ref());
    if let Some(machine) = machine.and_then(|m| m.r#type.as_deref()).filter(|t| !t.is_empty()) {
        need(format!("machine-type.node.kubevirt.io/{machine}"));
    }
    if let Some(frequency) = vmi::tsc_frequency(vmi).filter(|_| vmi::requires_tsc(vmi)) {
        need(format!("scheduling.node.kubevirt.io/tsc-frequency-{frequency}"));
    }
    if vmi::is_realtime(vmi) {
        need("kubevirt.io/realtime".to_owned());
    }
    if vmi::is_sev(vmi) {
        need("kubevirt.io/sev".to_owned());
    }
    if let Some(security) = &domain.launch_security {
        if security.sev.as_ref().and_then(|s| s.policy.as_ref()).is_some_and(|p| p.encrypted_state == Some(true)) {
            need("kubevirt.io/sev-es".to_owned());
        }
        if security.snp.is_some() {
            need("kubevirt.io/sev-snp".to_owned());
        }
        if vmi::is_secure_execution(vmi) {
            need("kubevirt.io/s390-pv".to_owned());
        }
        if security.tdx.is_some() {
            need("kubevirt.io/tdx".to_owned());
        }
    }
    if settings.gate("HypervStrictCheck") {
        hyperv_labels(vmi).into_iter().for_each(&mut need);
    }
    if settings.gate(CROSS_ARCH) {
        selector.remove(ARCH);
        if let Some(arch) = architecture(vmi) {
            selector.insert(format!("kubevirt.io/vm-arch-{arch}"), "true".to_owned());
        }
    }
    selector
}

fn architecture(vmi: &VirtualMachineInstance) -> Option<String> {
    vmi.spec.architecture.as_deref().filter(|a| !a.is_empty()).map(str::to_lowercase)
}

fn cpu_model(vmi: &VirtualMachineInstance) -> Option<&str> {
    vmi.spec.domain.cpu.as_ref()?.model.as_deref().filter(|m| !m.is_empty())
}

fn hyperv_labels(vmi: &VirtualMachineInstance) -> Vec<String> {
    let Some(hyperv) = vmi.spec.domain.features.as_ref().and_then(|f| f.hyperv.as_ref()) else { return Vec::new() };
    let on = |state: Option<&api::v1::FeatureState>| state.is_some_and(|s| s.enabled == Some(true));
    let mut labels: Vec<String> = [
        ("vpindex", on(hyperv.vpindex.as_ref())),
        ("runtime", on(hyperv.runtime.as_ref())),
        ("reset", on(hyperv.reset.as_ref())),
        ("synic", on(hyperv.synic.as_ref())),
        ("synictimer", hyperv.synictimer.as_ref().is_some_and(|s| s.enabled == Some(true))),
        ("frequencies", on(hyperv.frequencies.as_ref())),
        ("reenlightenment", on(hyperv.reenlightenment.as_ref())),
        ("tlbflush", hyperv.tlbflush.as_ref().is_some_and(|t| t.enabled == Some(true))),
        ("ipi", on(hyperv.ipi.as_ref())),
    ]
    .into_iter()
    .filter(|(_, wanted)| *wanted)
    .map(|(name, _)| format!("hyperv.node.kubevirt.io/{name}"))
    .collect();
    if hyperv.evmcs.as_ref().is_some_and(|e| e.enabled != Some(false)) {
        labels.push("cpu-vendor.node.kubevirt.io/Intel".to_owned());
    }
    labels
}

/// The VMI's affinity, with what the CPU model and disk reservations add.
pub(super) fn affinity(vmi: &VirtualMachineInstance, settings: Settings<'_>, reservations: &BTreeSet<String>) -> Option<Affinity> {
    let mut affinity = vmi.spec.affinity.clone();
    let absent = |key: String| NodeSelectorRequirement { key, operator: "DoesNotExist".to_owned(), values: None };
    let mut required = Vec::new();
    if cpu_model(vmi).is_none_or(|m| m == "host-model") {
        required.push(absent("node-labeller.kubevirt.io/obsolete-host-model".to_owned()));
    }
    for feature in vmi.spec.domain.cpu.iter().flat_map(|c| &c.features).filter(|f| f.policy.as_deref() == Some("forbid")) {
        required.push(absent(format!("cpu-feature.node.kubevirt.io/{}", feature.name)));
    }
    if !required.is_empty() {
        let nodes = affinity.get_or_insert_default().node_affinity.get_or_insert_default();
        require(nodes, &required);
    }
    if settings.gate(CROSS_ARCH)
        && let Some(arch) = architecture(vmi)
    {
        let nodes = affinity.get_or_insert_default().node_affinity.get_or_insert_default();
        nodes.preferred_during_scheduling_ignored_during_execution.get_or_insert_default().push(PreferredSchedulingTerm {
            weight: 100,
            preference: NodeSelectorTerm {
                match_expressions: Some(vec![NodeSelectorRequirement {
                    key: ARCH.to_owned(),
                    operator: "In".to_owned(),
                    values: Some(vec![arch]),
                }]),
                match_fields: None,
            },
        });
    }
    for claim in reservations {
        let pods = affinity.get_or_insert_default().pod_anti_affinity.get_or_insert_default();
        keep_apart(
            pods,
            LabelSelector {
                match_expressions: Some(vec![LabelSelectorRequirement {
                    key: format!("pr.kubevirt.io/{claim}"),
                    operator: "Exists".to_owned(),
                    values: None,
                }]),
                match_labels: None,
            },
        );
    }
    affinity
}

/// Adds `requirements` to every term, for the terms are alternatives.
fn require(nodes: &mut NodeAffinity, requirements: &[NodeSelectorRequirement]) {
    let selector = nodes.required_during_scheduling_ignored_during_execution.get_or_insert_with(NodeSelector::default);
    if selector.node_selector_terms.is_empty() {
        selector.node_selector_terms.push(NodeSelectorTerm::default());
    }
    for term in &mut selector.node_selector_terms {
        term.match_expressions.get_or_insert_default().extend_from_slice(requirements);
    }
}

/// Adds a requirement to the first term only.
pub(super) fn require_first(nodes: &mut NodeAffinity, requirement: NodeSelectorRequirement) {
    let selector = nodes.required_during_scheduling_ignored_during_execution.get_or_insert_with(NodeSelector::default);
    match selector.node_selector_terms.first_mut() {
        Some(term) => term.match_expressions.get_or_insert_default().push(requirement),
        None => selector.node_selector_terms.push(NodeSelectorTerm { match_expressions: Some(vec![requirement]), match_fields: None }),
    }
}

/// Never on a node with a pod that `selector` matches.
pub(super) fn keep_apart(pods: &mut PodAntiAffinity, selector: LabelSelector) {
    pods.required_during_scheduling_ignored_during_execution.get_or_insert_default().push(PodAffinityTerm {
        label_selector: Some(selector),
        topology_key: HOSTNAME.to_owned(),
        ..PodAffinityTerm::default()
    });
}
