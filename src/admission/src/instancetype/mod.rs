//! Instance types and preferences: what they make of a virtual machine (spec/instancetype.md).
//!
//! An instance type sets CPUs, memory and devices, and conflicts with a template that sets them too. A preference fills what is
//! left open. [`find`] looks both up, [`apply`] applies them, [`expand`] folds them into a virtual machine.

mod apply;
mod devices;
mod expand;
mod find;
mod infer;
mod preference;
mod requirements;
mod topology;

use std::collections::BTreeMap;

use api::instancetype::v1beta1::{VirtualMachineInstancetypeSpec, VirtualMachinePreferenceSpec};
use api::v1::VirtualMachineInstanceSpec;

pub use self::expand::expand;
pub use self::find::find;
pub(crate) use self::find::{instancetype, preference};
pub use self::infer::infer;
pub use self::preference::apply_autoattach;
pub(crate) use self::requirements::check as check_requirements;
pub(crate) use self::topology::check_spread;

/// What a virtual machine refers to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// The instance type.
    pub instancetype: Option<VirtualMachineInstancetypeSpec>,
    /// The preference.
    pub preference: Option<VirtualMachinePreferenceSpec>,
}

impl Resolved {
    /// Whether there is anything to apply.
    pub fn is_empty(&self) -> bool {
        self.instancetype.is_none() && self.preference.is_none()
    }
}

/// Applies an instance type, then a preference (§2, §3).
///
/// # Errors
/// The fields that the specification sets although the instance type does, below `base`; the preference is then not applied, and
/// the specification is not to be used.
pub fn apply(
    base: &str,
    resolved: &Resolved,
    spec: &mut VirtualMachineInstanceSpec,
    annotations: &mut BTreeMap<String, String>,
) -> Result<(), Vec<String>> {
    if let Some(instancetype) = &resolved.instancetype {
        let conflicts = apply::apply(base, instancetype, resolved.preference.as_ref(), spec, annotations);
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
    }
    if let Some(preference) = &resolved.preference {
        preference::apply(preference, spec, annotations);
    }
    Ok(())
}

/// The sentence about conflicts, for clients.
pub fn conflict_message(paths: &[String]) -> String {
    format!("VM field(s) {} conflicts with selected instance type", paths.join(", "))
}

/// Sets what is unset.
pub(crate) fn fill<T: Clone>(target: &mut Option<T>, from: Option<&T>) {
    if target.is_none() {
        *target = from.cloned();
    }
}

/// Sets a text that is unset or empty.
pub(crate) fn fill_text(target: &mut Option<String>, from: Option<&String>) {
    if target.as_deref().unwrap_or_default().is_empty() && from.is_some_and(|f| !f.is_empty()) {
        *target = from.cloned();
    }
}
