//! Presets: settings merged into instances with matching labels (spec/admission.md §4.2.2).

use std::collections::BTreeSet;

use api::names;
use api::v1::{Clock, DomainSpec, VirtualMachineInstance, VirtualMachineInstancePreset};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

use crate::Denial;
use crate::golang::{self, Notation};
use crate::selector;

/// Why presets cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    /// A preset's selector makes no sense.
    #[error("{0}")]
    Selector(String),
    /// Two presets that match want different things.
    #[error("VirtualMachinePresets cannot be applied due to conflicts: {0}")]
    Conflict(String),
}

impl From<PresetError> for Denial {
    fn from(error: PresetError) -> Self {
        Self::with_code(422, error.to_string())
    }
}

/// The parts of a domain a preset may set, in the order they are merged, and their types in Go.
const PARTS: &[(&str, Notation)] = &[
    ("cpu", Notation::new("v1", "*CPU")),
    ("firmware", Notation::new("v1", "*Firmware")),
    ("clock.clockoffset", Notation::new("v1", "ClockOffset")),
    ("clock.timer", Notation::new("v1", "*Timer")),
    ("features", Notation::new("v1", "*Features")),
    ("devices.watchdog", Notation::new("v1", "*Watchdog")),
    ("ioThreadsPolicy", Notation::new("v1", "*string")),
];

/// The type of an amount.
const QUANTITY: Notation = Notation::new("v1", "resource.Quantity");

/// One part of a domain as JSON; `None` where it is not set.
fn part(domain: &DomainSpec, name: &str) -> Option<Value> {
    let value = match name {
        "cpu" => serde_json::to_value(&domain.cpu),
        "firmware" => serde_json::to_value(&domain.firmware),
        "clock.clockoffset" => serde_json::to_value(domain.clock.as_ref().map(|c| Clock { timer: None, ..c.clone() })),
        "clock.timer" => serde_json::to_value(domain.clock.as_ref().map(|c| &c.timer)),
        "features" => serde_json::to_value(&domain.features),
        "devices.watchdog" => serde_json::to_value(&domain.devices.watchdog),
        _ => serde_json::to_value(&domain.io_threads_policy),
    };
    value.ok().filter(|v| !v.is_null())
}

/// Merges the presets that match.
///
/// # Errors
/// A selector makes no sense, or two presets disagree.
pub(super) fn apply(vmi: &mut VirtualMachineInstance, presets: &[VirtualMachineInstancePreset]) -> Result<(), PresetError> {
    let annotations = vmi.metadata.annotations.get_or_insert_default();
    if annotations.get(names::PRESET_EXCLUDE_ANNOTATION).is_some_and(|v| v == "true") {
        return Ok(());
    }
    let labels = vmi.metadata.labels.clone().unwrap_or_default();
    let mut matching = Vec::new();
    for preset in presets.iter().filter(|p| p.metadata.namespace == vmi.metadata.namespace) {
        if selector::matches(&preset.spec.selector, &labels).map_err(PresetError::Selector)? {
            matching.push(preset);
        }
    }
    conflicts(&matching)?;
    for preset in matching {
        let Some(domain) = preset.spec.domain.as_deref() else { continue };
        if merge(&mut vmi.spec.domain, domain) {
            let name = preset.metadata.name.clone().unwrap_or_default();
            annotations.insert(format!("{}{name}", names::PRESET_APPLIED_ANNOTATION_PREFIX), "kubevirt.io/v1".into());
        }
    }
    Ok(())
}

/// Why two presets cannot both be applied: each setting they disagree on, the later preset's value first.
fn disagreements(later: &DomainSpec, earlier: &DomainSpec) -> Vec<String> {
    let requests = |d: &DomainSpec| d.resources.clone().unwrap_or_default().requests;
    let theirs = requests(earlier);
    let quantity = |q: &Quantity| golang::show(Some(&Value::from(q.0.as_str())), QUANTITY);
    let requests = requests(later);
    let amounts = requests.iter().filter_map(|(name, amount)| theirs.get(name).filter(|t| *t != amount).map(|t| (name, amount, t)));
    let mut found: Vec<String> =
        amounts.map(|(name, a, b)| format!("spec.resources.requests[{name}]: {} != {}", quantity(a), quantity(b))).collect();
    for (name, of) in PARTS {
        if let (Some(a), Some(b)) = (part(later, name), part(earlier, name))
            && a != b
        {
            found.push(format!("spec.{name}: {} != {}", golang::show(Some(&a), *of), golang::show(Some(&b), *of)));
        }
    }
    found
}

/// Several errors in one text, as Kubernetes joins them.
fn aggregate(mut errors: Vec<String>) -> String {
    if errors.len() == 1 {
        return errors.remove(0);
    }
    let mut seen = BTreeSet::new();
    errors.retain(|error| seen.insert(error.clone()));
    if errors.len() == 1 { errors.remove(0) } else { format!("[{}]", errors.join(", ")) }
}

fn conflicts(presets: &[&VirtualMachineInstancePreset]) -> Result<(), PresetError> {
    let name = |p: &VirtualMachineInstancePreset| p.metadata.name.clone().unwrap_or_default();
    let mut found = Vec::new();
    for (i, later) in presets.iter().enumerate() {
        for earlier in presets.iter().take(i) {
            let (Some(a), Some(b)) = (later.spec.domain.as_deref(), earlier.spec.domain.as_deref()) else { continue };
            let disagreements = disagreements(a, b);
            if !disagreements.is_empty() {
                found.push(format!("presets '{}' and '{}' conflict: {}", name(later), name(earlier), aggregate(disagreements)));
            }
        }
    }
    if found.is_empty() { Ok(()) } else { Err(PresetError::Conflict(aggregate(found))) }
}

/// Sets what the domain leaves open; whether any part is the preset's afterwards.
fn merge(domain: &mut DomainSpec, preset: &DomainSpec) -> bool {
    fn fill<T: Clone>(target: &mut Option<T>, from: Option<&T>) {
        if target.is_none() {
            *target = from.cloned();
        }
    }
    fill(&mut domain.cpu, preset.cpu.as_ref());
    fill(&mut domain.firmware, preset.firmware.as_ref());
    if let Some(from) = &preset.clock {
        let offset = Clock { timer: None, ..from.clone() };
        fill(&mut domain.clock.get_or_insert(offset).timer, from.timer.as_ref());
    }
    fill(&mut domain.features, preset.features.as_ref());
    fill(&mut domain.devices.watchdog, preset.devices.watchdog.as_ref());
    fill(&mut domain.io_threads_policy, preset.io_threads_policy.as_ref());
    if let Some(from) = preset.resources.as_ref().filter(|r| !r.requests.is_empty()) {
        let resources = domain.resources.get_or_insert_default();
        if resources.requests.is_empty() {
            resources.requests.clone_from(&from.requests);
        }
    }
    let requests = |d: &DomainSpec| d.resources.as_ref().map(|r| r.requests.clone()).filter(|r| !r.is_empty());
    let whole_clock = preset.clock.as_ref().is_some_and(|c| domain.clock.as_ref() == Some(c));
    whole_clock
        || requests(preset).is_some_and(|wanted| requests(domain) == Some(wanted))
        || PARTS
            .iter()
            .filter(|(name, _)| *name != "clock.clockoffset")
            .any(|(p, _)| part(preset, p).is_some_and(|wanted| part(domain, p) == Some(wanted)))
}
