//! Which VMs go first (spec controllers §5, Scale).

use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use admission::selector;
use api::pool::v1beta1::VirtualMachinePoolSelectors;
use api::v1::VirtualMachine;
use k8s_openapi::api::core::v1::NodeSelectorRequirement;

use super::ordinal;
use crate::metadata;

/// Puts VMs into the order of a policy; without one, or with one that is none, into random order.
pub(super) fn sort(vms: &mut [&Arc<VirtualMachine>], policy: Option<&str>, salt: u64) {
    let number = |vm: &VirtualMachine| ordinal(metadata::name(&vm.metadata)).unwrap_or(0);
    let age = |vm: &VirtualMachine| vm.metadata.creation_timestamp.as_ref().map(|time| time.0);
    match policy {
        Some("AscendingOrder") => vms.sort_by_key(|vm| number(vm)),
        Some("DescendingOrder") => vms.sort_by_key(|vm| Reverse(number(vm))),
        Some("Newest") => vms.sort_by_key(|vm| Reverse(age(vm))),
        Some("Oldest") => vms.sort_by_key(|vm| age(vm)),
        _ => vms.sort_by_key(|vm| {
            let mut hasher = DefaultHasher::new();
            (salt, metadata::uid(&vm.metadata)).hash(&mut hasher);
            hasher.finish()
        }),
    }
}

/// The VMs that match a selection; all without one.
///
/// # Errors
/// A selector is not well made.
pub(super) fn matching<'a>(
    vms: Vec<&'a Arc<VirtualMachine>>,
    selectors: Option<&VirtualMachinePoolSelectors>,
) -> Result<Vec<&'a Arc<VirtualMachine>>, String> {
    let Some(selectors) = selectors else { return Ok(vms) };
    if let Some(labels) = &selectors.label_selector {
        selector::parse(labels).map_err(|error| format!("failed to parse label selector from pool: {error}"))?;
    }
    let requirements = selectors.node_selector_requirement_matcher.as_deref().unwrap_or_default();
    for requirement in requirements {
        if !["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"].contains(&requirement.operator.as_str()) {
            return Err(format!(
                "failed to parse node selector from pool: {:?} is not a valid label selector operator",
                requirement.operator
            ));
        }
    }
    let matches = |vm: &&Arc<VirtualMachine>| {
        let template = &vm.spec.template;
        let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
        let nodes = template.spec.as_ref().map(|spec| spec.node_selector.clone()).unwrap_or_default();
        selectors.label_selector.as_ref().is_none_or(|selector| selector::matches(selector, &labels).unwrap_or(false))
            && requirements.iter().all(|requirement| holds(requirement, nodes.get(&requirement.key).map(String::as_str)))
    };
    Ok(vms.into_iter().filter(matches).collect())
}

/// Whether a requirement on nodes holds for what a node selector asks for.
fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = || value.is_some_and(|value| values.iter().any(|known| known == value));
    let compared = || {
        let bound = values.first()?.parse::<i64>().ok()?;
        Some(value?.parse::<i64>().ok()?.cmp(&bound))
    };
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared() == Some(std::cmp::Ordering::Greater),
        _ => compared() == Some(std::cmp::Ordering::Less),
    }
}
