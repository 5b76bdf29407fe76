//! Defaulting and validation of every KubeVirt kind: pure functions from objects and configuration to objects, causes and warnings.
//!
//! A rule is one entry of spec/admission.md; its identifier stands beside it. Texts and field names, odd ones included, are what
//! KubeVirt v1.9 answers, because clients match on them. What a rule needs to know of the cluster is handed in.

mod cause;
mod decode;
mod defaults;
mod golang;
pub mod instancetype;
mod matcher;
mod plugin;
mod request;
pub mod review;
pub mod schema;
pub mod selector;
#[cfg(test)]
mod tests;
mod text;
mod validate;

pub use self::cause::{Cause, CauseKind, Causes, Denial};
pub use self::defaults::{Defaulted, PresetError, Seeds, VmLookups, default_vm, default_vmi, pcie_hotplug_capable, set_spec_defaults};
pub use self::plugin::validate_plugin;
pub use self::request::{NODE_NAME_EXTRA, Operation, Requester};
pub use self::validate::*;
