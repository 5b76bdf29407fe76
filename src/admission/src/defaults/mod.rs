//! What objects get on their way in (spec/admission.md §4).

mod hyperv;
mod objects;
mod presets;
mod spec;
mod vm;
mod vmi;

pub use self::presets::PresetError;
pub(crate) use self::spec::{attach_default_network, attach_disks};
pub use self::spec::{pcie_hotplug_capable, set_spec_defaults};
pub use self::vm::{VmLookups, default_vm};
pub use self::vmi::{Defaulted, default_vmi};

/// Where random and timely values come from.
pub struct Seeds<'a> {
    /// Makes a random UUID, in text.
    pub uuid: &'a mut dyn FnMut() -> String,
    /// The time now.
    pub now: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time,
}

/// An optional text; absent and empty are the same.
pub(crate) fn text(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}
