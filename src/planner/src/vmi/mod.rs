//! virt-controller's part of a VirtualMachineInstance (spec controllers §2).
//!
//! The happy path: a VMI without a phase becomes **Pending**; when its volumes are ready its launcher pod is created and it is
//! **Scheduling**; when the pod's `compute` container runs it is handed to the node's virt-handler by label and becomes
//! **Scheduled**. From then on virt-handler owns the phase (Running, Succeeded, Failed) and virt-controller decorates:
//! Ready, volumes, interfaces, labels of the pod. When the VMI is final and none of its pods is left, its finalizers go.
//!
//! ```text
//!   "" ──► Pending ──► Scheduling ──► Scheduled ──► Running ──► Succeeded
//!             │             │             │            │            │
//!             └─────────────┴─────────────┴────────────┴──► Failed ─┴─► finalizers removed
//!   receivers of a decentralized migration: Pending ──► WaitingForSync ◄──► Scheduling
//! ```
//!
//! Failures: deleted or with a failed DataVolume before it had a pod → Failed; the pod ended, vanished or is going before the
//! hand-over → Failed; the pod vanished afterwards → Failed. A pod is never created a second time (§2.3 step 6a).
//!
//! A reconciliation has two halves. [`sync`] acts on pods and claims; [`status`] writes the VMI, knowing what came of the first
//! half. Both are pure; the pod a plan creates has a name derived from the VMI's UID, so that repeating a plan after a crash
//! cannot make a second one.

mod backend_storage;
mod hotplug;
mod interfaces;
mod phase;
mod pod_sync;
mod pods;
mod status;
mod sync;
mod volumes;
mod write;

use std::sync::Arc;

use api::config::ClusterConfig;
use api::names;
use api::v1::values::vmi_phase;
use api::v1::{VirtualMachineInstance, VirtualMachineInstanceMigration, VirtualMachineInstanceStatus};
use convert::pod::Namespace;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub use self::pods::{PodState, attachment_pods, current_pod, is_ready_for_hand_over, is_temporary, owned_pods};
pub use self::status::status;
pub use self::sync::{Sync, sync};
use crate::metadata;
use crate::plan::{ObjectRef, PlanError, kinds};
use crate::storage::Storage;

/// What virt-controller was started with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The launcher's image.
    pub launcher_image: String,
    /// The image of hook sidecars that name none.
    pub sidecar_shim_image: String,
    /// The pull secret of the launcher's image.
    pub image_pull_secret: Option<String>,
    /// How long launchers wait for QEMU, in seconds, before jitter.
    pub qemu_timeout_seconds: u32,
    /// Labels that follow from the VMI to its pod: keys, or `prefix*`.
    pub labels_sync: Vec<String>,
    /// Annotations that follow from the VMI to its pod: keys, or `prefix*`.
    pub annotations_sync: Vec<String>,
}

/// Everything a reconciliation of a VMI depends on.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The VMI.
    pub vmi: &'a VirtualMachineInstance,
    /// The pods of its namespace that may be its own, and their attachment pods; others are ignored.
    pub pods: &'a [Arc<Pod>],
    /// Claims and DataVolumes of its namespace.
    pub storage: &'a Storage,
    /// The cluster's storage classes.
    pub storage_classes: &'a [Arc<StorageClass>],
    /// The migrations of VMIs of that name.
    pub migrations: &'a [Arc<VirtualMachineInstanceMigration>],
    /// Whether the VM that controls the VMI exists, by name and UID; true without one.
    pub owner_exists: bool,
    /// What the VMI's namespace says about its pods.
    pub namespace: &'a Namespace,
    /// The cluster's configuration.
    pub config: &'a ClusterConfig,
    /// What virt-controller was started with.
    pub settings: &'a Settings,
    /// Random seconds on top of the launcher's QEMU timeout.
    pub jitter_seconds: u32,
    /// A VSOCK context ID that no VMI has.
    pub free_vsock_cid: u32,
    /// The present.
    pub now: Time,
}

/// What the first half of a reconciliation led to.
#[derive(Clone, Debug, Default)]
pub struct Synced {
    /// The pod it created.
    pub created: Option<Arc<Pod>>,
    /// What went wrong.
    pub error: Option<PlanError>,
}

/// The phase of a VMI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not looked at yet.
    Unset,
    /// Known, without a pod.
    Pending,
    /// Its pod is on the way to a node.
    Scheduling,
    /// Handed to a virt-handler.
    Scheduled,
    /// The guest runs.
    Running,
    /// A receiver whose pod is not wanted yet.
    WaitingForSync,
    /// The guest ended in order.
    Succeeded,
    /// The guest ended otherwise, or never started.
    Failed,
    /// Anything else.
    Unknown,
}

impl Phase {
    /// The phase in a VMI's status.
    pub fn of(vmi: &VirtualMachineInstance) -> Self {
        match vmi.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default() {
            "" => Self::Unset,
            vmi_phase::PENDING => Self::Pending,
            vmi_phase::SCHEDULING => Self::Scheduling,
            vmi_phase::SCHEDULED => Self::Scheduled,
            vmi_phase::RUNNING => Self::Running,
            vmi_phase::WAITING_FOR_SYNC => Self::WaitingForSync,
            vmi_phase::SUCCEEDED => Self::Succeeded,
            vmi_phase::FAILED => Self::Failed,
            _ => Self::Unknown,
        }
    }

    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "",
            Self::Pending => vmi_phase::PENDING,
            Self::Scheduling => vmi_phase::SCHEDULING,
            Self::Scheduled => vmi_phase::SCHEDULED,
            Self::Running => vmi_phase::RUNNING,
            Self::WaitingForSync => vmi_phase::WAITING_FOR_SYNC,
            Self::Succeeded => vmi_phase::SUCCEEDED,
            Self::Failed => vmi_phase::FAILED,
            Self::Unknown => vmi_phase::UNKNOWN,
        }
    }

    /// Whether the guest is gone for good.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

impl Observed<'_> {
    /// The VMI, as plans name it.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::of(&kinds::VMI, &self.vmi.metadata)
    }

    fn uid(&self) -> &str {
        metadata::uid(&self.vmi.metadata)
    }

    fn phase(&self) -> Phase {
        Phase::of(self.vmi)
    }

    fn is_deleting(&self) -> bool {
        metadata::is_deleting(&self.vmi.metadata)
    }

    fn stored(&self) -> Option<&VirtualMachineInstanceStatus> {
        self.vmi.status.as_ref()
    }
}

/// Whether the VMI receives a decentralized migration (spec controllers §2.3 step 5).
pub fn is_receiver(vmi: &VirtualMachineInstance) -> bool {
    metadata::annotation(&vmi.metadata, names::CREATE_MIGRATION_TARGET_ANNOTATION) == Some("true")
}

/// Whether the VMI takes part in a migration between clusters: one side published its synchronization address.
pub fn is_decentralized(vmi: &VirtualMachineInstance) -> bool {
    let Some(state) = vmi.status.as_ref().and_then(|status| status.migration_state.as_deref()) else { return false };
    state.source_state.as_deref().is_some_and(|source| source.sync_address.is_some())
        || state.target_state.as_deref().is_some_and(|target| target.sync_address.is_some())
}
