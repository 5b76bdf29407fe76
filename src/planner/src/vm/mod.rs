//! virt-controller's part of a VirtualMachine (spec controllers §3).
//!
//! The happy path: the VM gets its finalizer; its DataVolumes are made and awaited; when its run strategy asks for it, the
//! template is recorded as a ControllerRevision and a VMI is made from it. While the VMI lives, changes of the template that
//! can be applied live are patched into it, all others ask for a restart. When the VMI is final its VM takes note (start
//! failures, requests) and lets it go; whether there will be another is the run strategy's business.
//!
//! ```text
//!   no VMI ──(strategy or Start request; volumes ready; back-off over)──► VMI ──(final, Stop request, Halted)──► deleting
//!      ▲                                                                                                        │
//!      └───────────────────────── VMI gone, after its state was recorded in the VM's status ◄────────────────────┘
//! ```
//!
//! Two VMIs of one VM never coexist: both have the VM's name, and nothing is created before the old one is gone.
//!
//! As with VMIs, [`sync`] acts and [`status`] reports, knowing what came of the first half.

mod data_volumes;
mod instancetypes;
mod live_update;
mod lookups;
mod memory_dump;
mod network;
mod printable;
mod propagate;
mod requests;
mod restart_required;
mod revision;
mod run_strategy;
mod start;
mod start_failure;
mod status;
mod sync;
mod volumes;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::config::ClusterConfig;
use api::v1::values::run_strategy as strategies;
use api::v1::{VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceSpec};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub use self::lookups::{CloneSource, Lookups, look_up};
pub use self::start::legacy_firmware_uuid;
pub use self::status::{Outcome, status};
pub use self::sync::{Sync, sync};
use crate::metadata;
use crate::plan::{ObjectRef, PlanError, kinds};
use crate::storage::Storage;
use crate::vmi::Settings;

/// Everything a reconciliation of a VM depends on.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The VM.
    pub vm: &'a VirtualMachine,
    /// The VMI of its name, if the VM controls it.
    pub vmi: Option<&'a VirtualMachineInstance>,
    /// The ControllerRevisions it controls.
    pub revisions: &'a [Arc<ControllerRevision>],
    /// Claims and DataVolumes of its namespace.
    pub storage: &'a Storage,
    /// Instance types, preferences and sources of disks.
    pub lookups: &'a Lookups,
    /// Why a DataVolume must not be cloned from its source, by its name; absent where it may.
    pub clone_denials: &'a BTreeMap<String, String>,
    /// What was written and not seen yet.
    pub expected: Expected,
    /// The cluster's configuration.
    pub config: &'a ClusterConfig,
    /// What virt-controller was started with.
    pub settings: &'a Settings,
    /// A random fraction in [0, 1] that spreads restarts.
    pub spread: f64,
    /// The present.
    pub now: Time,
}

/// Writes whose effect is not in the caches yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Anything at all: nothing is done until it is seen.
    pub unsatisfied: bool,
    /// The VMI was created.
    pub creation: bool,
    /// The VMI was deleted.
    pub deletion: bool,
}

/// When a VM's instance is to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunStrategy {
    /// Always.
    Always,
    /// Until it ends well, once it was started.
    RerunOnFailure,
    /// On request.
    Manual,
    /// Never.
    Halted,
    /// Once.
    Once,
    /// As the receiver of a migration.
    WaitAsReceiver,
    /// Something admission refuses.
    Unknown(String),
}

impl RunStrategy {
    /// The strategy a VM asks for (spec controllers §3.3 step 6).
    ///
    /// # Errors
    /// When both `running` and `runStrategy` are set.
    pub fn of(vm: &VirtualMachine) -> Result<Self, PlanError> {
        match (vm.spec.running, vm.spec.run_strategy.as_deref()) {
            (Some(_), Some(_)) => Err(PlanError::new(
                "",
                "Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead",
            )),
            (Some(true), None) => Ok(Self::Always),
            (Some(false) | None, None) => Ok(Self::Halted),
            (None, Some(strategy)) => Ok(match strategy {
                strategies::ALWAYS => Self::Always,
                strategies::RERUN_ON_FAILURE => Self::RerunOnFailure,
                strategies::MANUAL => Self::Manual,
                strategies::HALTED => Self::Halted,
                strategies::ONCE => Self::Once,
                strategies::WAIT_AS_RECEIVER => Self::WaitAsReceiver,
                other => Self::Unknown(other.to_owned()),
            }),
        }
    }

    /// The wire form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Always => strategies::ALWAYS,
            Self::RerunOnFailure => strategies::RERUN_ON_FAILURE,
            Self::Manual => strategies::MANUAL,
            Self::Halted => strategies::HALTED,
            Self::Once => strategies::ONCE,
            Self::WaitAsReceiver => strategies::WAIT_AS_RECEIVER,
            Self::Unknown(other) => other,
        }
    }

    /// Whether failed starts are counted and spaced out.
    fn counts_start_failures(&self) -> bool {
        matches!(self, Self::Always | Self::RerunOnFailure | Self::Once)
    }
}

/// Whether the VM controls the VMI, by UID.
pub fn controls(vm: &VirtualMachine, vmi: &VirtualMachineInstance) -> bool {
    metadata::is_controlled_by(&vmi.metadata, metadata::uid(&vm.metadata))
}

/// Whether the VM may adopt the VMI of its name: nobody controls it, and neither is going (spec controllers §3.2 step 2). The
/// caller asks the API server, not its cache, for the VM first.
pub fn may_adopt(vm: &VirtualMachine, vmi: &VirtualMachineInstance) -> bool {
    metadata::controller(&vmi.metadata).is_none() && !metadata::is_deleting(&vm.metadata) && !metadata::is_deleting(&vmi.metadata)
}

/// The write that makes the VM the VMI's controller.
pub fn adopt(vm: &VirtualMachine, vmi: &VirtualMachineInstance) -> Option<crate::plan::Action> {
    let mut owners = vmi.metadata.owner_references.clone().unwrap_or_default();
    owners.push(ObjectRef::of(&kinds::VM, &vm.metadata).controller_reference());
    let mut patch = crate::guarded::GuardedPatch::default();
    patch.push(serde_json::json!({"op": "test", "path": "/metadata/uid", "value": vmi.metadata.uid}));
    patch.change("/metadata/ownerReferences", &vmi.metadata.owner_references, &Some(owners));
    let mut finalizers = vmi.metadata.clone();
    metadata::add_finalizer(&mut finalizers, api::names::VM_FINALIZER);
    patch.change("/metadata/finalizers", &vmi.metadata.finalizers, &finalizers.finalizers);
    patch.into_action(ObjectRef::of(&kinds::VMI, &vmi.metadata))
}

/// The writes that make the VM the controller of the DataVolumes of its templates that have none (spec controllers §3.2 step 3). As
/// with [`may_adopt`], the caller makes sure first that the VM is there.
pub fn adoptions(vm: &VirtualMachine, storage: &Storage) -> Vec<crate::plan::Action> {
    if metadata::is_deleting(&vm.metadata) {
        return Vec::new();
    }
    let named = vm.spec.data_volume_templates.iter().filter_map(|template| template.metadata.as_deref()?.name.as_deref());
    let found = named.filter_map(|name| storage.data_volumes.get(name));
    let orphans = found.filter(|it| metadata::controller(&it.metadata).is_none() && !metadata::is_deleting(&it.metadata));
    orphans
        .filter_map(|orphan| {
            let mut owners = orphan.metadata.owner_references.clone().unwrap_or_default();
            owners.push(ObjectRef::of(&kinds::VM, &vm.metadata).controller_reference());
            let mut patch = crate::guarded::GuardedPatch::default();
            patch.push(serde_json::json!({"op": "test", "path": "/metadata/uid", "value": orphan.metadata.uid}));
            patch.change("/metadata/ownerReferences", &orphan.metadata.owner_references, &Some(owners));
            patch.into_action(ObjectRef::of(&kinds::DATA_VOLUME, &orphan.metadata))
        })
        .collect()
}

impl Observed<'_> {
    /// The VM, as plans name it.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::of(&kinds::VM, &self.vm.metadata)
    }

    fn uid(&self) -> &str {
        metadata::uid(&self.vm.metadata)
    }

    fn name(&self) -> &str {
        metadata::name(&self.vm.metadata)
    }
}

/// The template's specification; absent counts as empty.
fn template_spec(vm: &VirtualMachine) -> VirtualMachineInstanceSpec {
    vm.spec.template.spec.as_deref().cloned().unwrap_or_default()
}

/// The template's specification, to be changed.
fn template_spec_mut(vm: &mut VirtualMachine) -> &mut VirtualMachineInstanceSpec {
    vm.spec.template.spec.get_or_insert_default()
}
