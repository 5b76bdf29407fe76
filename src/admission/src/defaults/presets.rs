//! Presets: settings merged into instances with matching labels (spec/admission.md §4.2.2).

use api::names;
use api::v1::{DomainSpec, VirtualMachineInstance, VirtualMachineInstancePreset};
use serde_json::Value;

use crate::Denial;
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

/// The parts of a domain a preset may set, in the order they are merged.
const PARTS: &[&str] = &["cpu", "firmware", "clock", "features", "watchdog", "ioThreadsPolicy", "requests"];

/// One part of a domain as JSON; `None` where it is not set.
fn part(domain: &DomainSpec, name: &str) -> Option<Value> {
    let value = match name {
        "cpu" => serde_json::to_value(&domain.cpu),
        "firmware" => serde_json::to_value(&domain.firmware),
        "clock" => serde_json::to_value(&domain.clock),
        "features" => serde_json::to_value(&domain.features),
        "watchdog" => serde_json::to_value(&domain.devices.watchdog),
        "ioThreadsPolicy" => serde_json::to_value(&domain.io_threads_policy),
        _ => serde_json::to_value(domain.resources.as_ref().map(|r| &r.requests).filter(|r| !r.is_empty())),
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

fn conflicts(presets: &[&VirtualMachineInstancePreset]) -> Result<(), PresetError> {
    let mut found = Vec::new();
    for (i, a) in presets.iter().enumerate() {
        for b in presets.iter().skip(i + 1) {
            let (Some(one), Some(other)) = (a.spec.domain.as_deref(), b.spec.domain.as_deref()) else { continue };
            let differ: Vec<&str> =
                PARTS.iter().copied().filter(|p| matches!((part(one, p), part(other, p)), (Some(x), Some(y)) if x != y)).collect();
            if !differ.is_empty() {
                let name = |p: &VirtualMachineInstancePreset| p.metadata.name.clone().unwrap_or_default();
                found.push(format!("presets '{}' and '{}' conflict: spec.{}", name(a), name(b), differ.join(", spec.")));
            }
        }
    }
    if found.is_empty() { Ok(()) } else { Err(PresetError::Conflict(found.join(", "))) }
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
        let clock = domain.clock.get_or_insert_default();
        if clock.utc.is_none() && clock.timezone.is_none() {
            clock.utc.clone_from(&from.utc);
            clock.timezone.clone_from(&from.timezone);
        }
        fill(&mut clock.timer, from.timer.as_ref());
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
    PARTS.iter().any(|p| part(preset, p).is_some_and(|wanted| part(domain, p) == Some(wanted)))
}
