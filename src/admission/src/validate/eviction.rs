//! Evictions of pods that belong to guests (spec/admission.md §13).

use api::config::ClusterConfig;
use api::names;
use api::v1::VirtualMachineInstance;
use api::v1::values::{eviction_strategy, vmi_condition};
use k8s_openapi::api::core::v1::Pod;

/// An eviction under judgement.
pub struct Eviction<'a> {
    /// The pod to be evicted, if it exists.
    pub pod: Option<&'a Pod>,
    /// The instance a launcher pod runs, if it exists.
    pub vmi: Option<&'a VirtualMachineInstance>,
    /// For a hotplug pod, the launcher pod that owns it and that pod's instance.
    pub owner: Option<HotplugOwner<'a>>,
    /// Whether the Descheduler asks.
    pub by_descheduler: bool,
}

/// The launcher pod behind a hotplug pod.
pub struct HotplugOwner<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Its instance, if it exists.
    pub vmi: Option<&'a VirtualMachineInstance>,
}

/// What is answered to an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvictionAnswer {
    /// The pod may go.
    Allow,
    /// The pod stays: HTTP 429 with that text.
    Deny(String),
    /// The instance is marked for evacuation from that node, and the pod stays: HTTP 429 with that text.
    Mark {
        /// The node to leave.
        node: String,
        /// The text.
        message: String,
        /// Whether the instance is told that the Descheduler asked.
        descheduler: bool,
    },
}

/// PE1-PE9.
pub fn validate_eviction(eviction: &Eviction<'_>, config: &ClusterConfig) -> EvictionAnswer {
    let Some(pod) = eviction.pod else { return EvictionAnswer::Allow };
    let component = pod.metadata.labels.as_ref().and_then(|l| l.get(names::APP_LABEL)).map_or("", String::as_str);
    match component {
        "hotplug-disk" if pod.metadata.owner_references.as_ref().is_some_and(|o| o.len() == 1) => hotplug(pod, eviction),
        names::LAUNCHER => launcher(pod, eviction, config),
        _ => EvictionAnswer::Allow,
    }
}

fn domain(pod: &Pod) -> Option<&str> {
    pod.metadata.annotations.as_ref().and_then(|a| a.get(names::DOMAIN_ANNOTATION)).map(String::as_str)
}

fn finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default();
    ["Failed", "Succeeded"].contains(&phase)
}

/// PE1.
fn hotplug(pod: &Pod, eviction: &Eviction<'_>) -> EvictionAnswer {
    let Some(owner) = &eviction.owner else { return EvictionAnswer::Allow };
    let labels = owner.pod.metadata.labels.as_ref();
    let is_launcher = labels.and_then(|l| l.get(names::APP_LABEL)).is_some_and(|l| l == names::LAUNCHER);
    let (Some(vmi), true, false) = (owner.vmi, is_launcher && domain(owner.pod).is_some(), finished(owner.pod)) else {
        return EvictionAnswer::Allow;
    };
    let text = |v: &'_ Option<String>| v.clone().unwrap_or_default();
    EvictionAnswer::Deny(format!(
        "cannot evict hotplug pod: {} associated with running vmi: {} in namespace {}",
        text(&pod.metadata.name),
        text(&vmi.metadata.name),
        text(&vmi.metadata.namespace)
    ))
}

/// PE3-PE9.
fn launcher(pod: &Pod, eviction: &Eviction<'_>, config: &ClusterConfig) -> EvictionAnswer {
    let Some(name) = domain(pod).filter(|_| !finished(pod)) else { return EvictionAnswer::Allow };
    let Some(vmi) = eviction.vmi else {
        return EvictionAnswer::Deny(format!("kubevirt failed getting the vmi: virtualmachineinstance.kubevirt.io {name:?} not found"));
    };
    let status = vmi.status.clone().unwrap_or_default();
    let migratable = status.conditions.iter().any(|c| c.r#type == vmi_condition::LIVE_MIGRATABLE && c.status == "True");
    let strategy = vmi.spec.eviction_strategy.as_deref().unwrap_or_else(|| config.eviction_strategy());
    match strategy {
        eviction_strategy::LIVE_MIGRATE if !migratable => {
            return EvictionAnswer::Deny(format!("VMI {name} is configured with an eviction strategy but is not live-migratable"));
        }
        eviction_strategy::LIVE_MIGRATE | eviction_strategy::EXTERNAL => {}
        eviction_strategy::LIVE_MIGRATE_IF_POSSIBLE if migratable => {}
        _ => return EvictionAnswer::Allow,
    }
    let namespace = vmi.metadata.namespace.as_deref().unwrap_or_default();
    let message = format!("Eviction triggered evacuation of VMI \"{namespace}/{name}\"");
    if status.evacuation_node_name.is_some_and(|n| !n.is_empty()) {
        return EvictionAnswer::Deny(format!("Evacuation in progress: {message}"));
    }
    let node = pod.spec.as_ref().and_then(|s| s.node_name.clone()).unwrap_or_default();
    if status.node_name.unwrap_or_default() != node {
        return EvictionAnswer::Deny("Eviction request for target Pod".into());
    }
    EvictionAnswer::Mark { node, message, descheduler: eviction.by_descheduler }
}
