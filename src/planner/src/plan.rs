//! Plans: the writes a reconciler wants, as data.
//!
//! A planner never talks to the API server. It returns a [`Plan`]; the executor of the runtime applies its actions in order
//! and is the only writer (DESIGN, invariants 1 and 3). Tests assert on plans, logs print them, metrics count them.

use std::borrow::Cow;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde_json::Value;

/// What a reconciliation wants to happen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The writes, applied in order; the first that fails ends the plan.
    pub actions: Vec<Action>,
    /// Look again after this long although nothing changed.
    pub requeue: Option<Duration>,
    /// A condition worth an error: shown to users in conditions, and retried with back-off.
    pub error: Option<PlanError>,
    /// What the object waits for, absent in steady states.
    pub waiting: Option<Waiting>,
    /// What is written to the object itself only tells of a state that is about to pass: it may be held back for a moment.
    pub passing: bool,
}

impl Plan {
    /// Whether applying the plan writes nothing.
    pub fn is_quiet(&self) -> bool {
        self.actions.is_empty()
    }

    /// Asks for another look after `delay`; the earliest request wins.
    pub fn requeue_after(&mut self, delay: Duration) {
        self.requeue = Some(self.requeue.map_or(delay, |earlier| earlier.min(delay)));
    }
}

/// Why a non-terminal object is not further along (DESIGN, invariant 2).
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// What has to happen first, in words a user understands.
    pub for_what: String,
    /// Since when, where that is known.
    pub since: Option<Time>,
}

/// A reconciliation's complaint.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct PlanError {
    /// The CamelCase reason shown in conditions.
    pub reason: Cow<'static, str>,
    /// The text shown in conditions and logs.
    pub message: String,
    /// Whether to try again with back-off; otherwise the event that resolves it brings the object back.
    pub retry: bool,
}

impl PlanError {
    /// An error that is retried with back-off.
    pub fn new(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into(), retry: true }
    }

    /// An error that only informs: what resolves it triggers the next reconciliation.
    pub fn informal(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into(), retry: false }
    }
}

/// The coordinates of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// `v1`, `kubevirt.io/v1`, ….
    pub api_version: &'static str,
    /// `Pod`, `VirtualMachine`, ….
    pub kind: &'static str,
    /// The plural in URLs: `pods`, `virtualmachines`, ….
    pub resource: &'static str,
}

/// The kinds the components read and write.
pub mod kinds {
    use super::Kind;

    const fn kind(api_version: &'static str, kind: &'static str, resource: &'static str) -> Kind {
        Kind { api_version, kind, resource }
    }

    /// core Pod.
    pub const POD: Kind = kind("v1", "Pod", "pods");
    /// core Node.
    pub const NODE: Kind = kind("v1", "Node", "nodes");
    /// core Event.
    pub const EVENT: Kind = kind("v1", "Event", "events");
    /// core PersistentVolumeClaim.
    pub const PVC: Kind = kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims");
    /// apps ControllerRevision.
    pub const CONTROLLER_REVISION: Kind = kind("apps/v1", "ControllerRevision", "controllerrevisions");
    /// coordination Lease.
    pub const LEASE: Kind = kind("coordination.k8s.io/v1", "Lease", "leases");
    /// KubeVirt's VirtualMachine.
    pub const VM: Kind = kind("kubevirt.io/v1", "VirtualMachine", "virtualmachines");
    /// KubeVirt's VirtualMachineInstance.
    pub const VMI: Kind = kind("kubevirt.io/v1", "VirtualMachineInstance", "virtualmachineinstances");
    /// KubeVirt's VirtualMachineInstanceReplicaSet.
    pub const REPLICA_SET: Kind = kind("kubevirt.io/v1", "VirtualMachineInstanceReplicaSet", "virtualmachineinstancereplicasets");
    /// KubeVirt's VirtualMachinePool.
    pub const POOL: Kind = kind("pool.kubevirt.io/v1beta1", "VirtualMachinePool", "virtualmachinepools");
    /// policy PodDisruptionBudget.
    pub const DISRUPTION_BUDGET: Kind = kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets");
    /// KubeVirt's VirtualMachineInstanceMigration.
    pub const MIGRATION: Kind = kind("kubevirt.io/v1", "VirtualMachineInstanceMigration", "virtualmachineinstancemigrations");
    /// KubeVirt's subresources of a VirtualMachineInstance.
    pub const VMI_SUBRESOURCES: Kind = kind("subresources.kubevirt.io/v1", "VirtualMachineInstance", "virtualmachineinstances");
    /// CDI's DataVolume.
    pub const DATA_VOLUME: Kind = kind("cdi.kubevirt.io/v1beta1", "DataVolume", "datavolumes");
}

/// Reasons of events that several controllers record (spec observability §7).
pub mod event {
    /// Something was made.
    pub const SUCCESSFUL_CREATE: &str = "SuccessfulCreate";
    /// Something was removed.
    pub const SUCCESSFUL_DELETE: &str = "SuccessfulDelete";
    /// Something was changed.
    pub const SUCCESSFUL_UPDATE: &str = "SuccessfulUpdate";
}

/// Names an object of any kind for reading, writing and events.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// `v1`, `kubevirt.io/v1`, ….
    pub api_version: Cow<'static, str>,
    /// `Pod`, `VirtualMachine`, ….
    pub kind: Cow<'static, str>,
    /// The plural in URLs: `pods`, `virtualmachines`, ….
    pub resource: Cow<'static, str>,
    /// Absent for cluster-scoped objects.
    pub namespace: Option<String>,
    /// The object's name; empty for a creation with `generateName`.
    pub name: String,
    /// The object's UID where it is known.
    pub uid: Option<String>,
    /// The version it was seen at; events carry it.
    pub resource_version: Option<String>,
}

impl ObjectRef {
    /// The reference to an object of a known kind.
    pub fn of(kind: &Kind, metadata: &ObjectMeta) -> Self {
        Self {
            api_version: Cow::Borrowed(kind.api_version),
            kind: Cow::Borrowed(kind.kind),
            resource: Cow::Borrowed(kind.resource),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
        }
    }

    /// A reference by coordinates; the namespace is absent for cluster-scoped objects.
    pub fn new(kind: &Kind, namespace: Option<&str>, name: &str) -> Self {
        Self {
            api_version: Cow::Borrowed(kind.api_version),
            kind: Cow::Borrowed(kind.kind),
            resource: Cow::Borrowed(kind.resource),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            uid: None,
            resource_version: None,
        }
    }

    /// An owner reference to this object as its dependents' controller.
    pub fn controller_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: self.api_version.to_string(),
            kind: self.kind.to_string(),
            name: self.name.clone(),
            uid: self.uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// The URL path of the object's collection, or of the object when it has a name and `subresource` or not.
    pub fn path(&self, subresource: Option<&str>) -> String {
        let mut path = self.collection();
        if !self.name.is_empty() {
            path.push('/');
            path.push_str(&self.name);
        }
        if let Some(subresource) = subresource {
            path.push('/');
            path.push_str(subresource);
        }
        path
    }

    /// The URL path of the collection the object lives in.
    pub fn collection(&self) -> String {
        let prefix = if self.api_version.contains('/') { "/apis/" } else { "/api/" };
        let mut path = format!("{prefix}{}", self.api_version);
        if let Some(namespace) = &self.namespace {
            path.push_str("/namespaces/");
            path.push_str(namespace);
        }
        path.push('/');
        path.push_str(&self.resource);
        path
    }
}

/// The body of a patch.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 6902, a list of operations.
    Json(Vec<Value>),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' strategic merge patch; built-in kinds only.
    Strategic(Value),
}

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Dependents go first.
    Foreground,
    /// Dependents go afterwards.
    Background,
    /// Dependents stay.
    Orphan,
}

impl Propagation {
    /// The wire form, `propagationPolicy` of DeleteOptions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Foreground => "Foreground",
            Self::Background => "Background",
            Self::Orphan => "Orphan",
        }
    }
}

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// Worth knowing.
    Normal,
    /// Something may go wrong.
    Warning,
}

impl EventType {
    /// The wire form, `type` of an Event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What to do when an action is refused by the API server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnFailure {
    /// The reason the failure takes in conditions; empty: a plain error that is only retried.
    pub reason: Cow<'static, str>,
    /// Put before the server's text in the condition.
    pub prefix: String,
    /// The object that gets a Warning event of that reason, and what is put before the server's text in it.
    pub event: Option<(ObjectRef, String)>,
    /// The reason of that event, where it is another one.
    pub event_reason: Cow<'static, str>,
    /// Refusals that count as success.
    pub tolerate: Tolerate,
}

impl OnFailure {
    /// The reason of its event.
    pub fn event_reason(&self) -> &str {
        if self.event_reason.is_empty() { &self.reason } else { &self.event_reason }
    }
}

/// Refusals that count as success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tolerate {
    /// None.
    #[default]
    Nothing,
    /// The object is already gone: deletions.
    NotFound,
    /// The object is already there: creations of objects whose name implies their content.
    AlreadyExists,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// POST.
    Create {
        /// Where; the name is empty with `generateName`.
        object: ObjectRef,
        /// The whole object.
        body: Value,
        /// When refused.
        on_failure: OnFailure,
    },
    /// PUT, guarded by the body's resourceVersion.
    Replace {
        /// Which.
        object: ObjectRef,
        /// `status`, ….
        subresource: Option<&'static str>,
        /// The whole object.
        body: Value,
        /// When refused.
        on_failure: OnFailure,
    },
    /// PATCH.
    Patch {
        /// Which.
        object: ObjectRef,
        /// `status`, ….
        subresource: Option<&'static str>,
        /// The change.
        patch: Patch,
        /// When refused.
        on_failure: OnFailure,
    },
    /// PUT on a subresource that acts (`addvolume`, `removevolume`, …) rather than stores.
    Call {
        /// Which; its API version is that of the subresource's server.
        object: ObjectRef,
        /// The subresource.
        subresource: &'static str,
        /// The request's options.
        body: Value,
        /// When refused.
        on_failure: OnFailure,
    },
    /// DELETE.
    Delete {
        /// Which; with a UID, only that very object is deleted.
        object: ObjectRef,
        /// Overrides the object's grace period, in seconds.
        grace_seconds: Option<i64>,
        /// What happens to dependents; the server's default when absent.
        propagation: Option<Propagation>,
        /// When refused.
        on_failure: OnFailure,
    },
    /// A Kubernetes event; recorded without waiting, repeated ones are counted.
    Event {
        /// The object it is about.
        regarding: ObjectRef,
        /// How serious.
        severity: EventType,
        /// CamelCase.
        reason: Cow<'static, str>,
        /// In words.
        message: String,
    },
}

impl Action {
    /// A Normal event.
    pub fn normal(regarding: &ObjectRef, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::Event { regarding: regarding.clone(), severity: EventType::Normal, reason: reason.into(), message: message.into() }
    }

    /// A Warning event.
    pub fn warning(regarding: &ObjectRef, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::Event { regarding: regarding.clone(), severity: EventType::Warning, reason: reason.into(), message: message.into() }
    }

    /// A guarded or free JSON patch of the main resource.
    pub fn json_patch(object: ObjectRef, operations: Vec<Value>) -> Self {
        Self::Patch { object, subresource: None, patch: Patch::Json(operations), on_failure: OnFailure::default() }
    }

    /// The verb as RBAC and metrics name it; events are creations of events.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } | Self::Event { .. } => "create",
            Self::Replace { .. } | Self::Call { .. } => "update",
            Self::Patch { .. } => "patch",
            Self::Delete { .. } => "delete",
        }
    }

    /// The object written, except for events.
    pub fn object(&self) -> Option<&ObjectRef> {
        match self {
            Self::Create { object, .. }
            | Self::Replace { object, .. }
            | Self::Patch { object, .. }
            | Self::Call { object, .. }
            | Self::Delete { object, .. } => Some(object),
            Self::Event { .. } => None,
        }
    }

    /// The action with another answer to refusals.
    #[must_use]
    pub fn otherwise(mut self, failure: OnFailure) -> Self {
        match &mut self {
            Self::Create { on_failure, .. }
            | Self::Replace { on_failure, .. }
            | Self::Patch { on_failure, .. }
            | Self::Call { on_failure, .. }
            | Self::Delete { on_failure, .. } => *on_failure = failure,
            Self::Event { .. } => {}
        }
        self
    }
}
