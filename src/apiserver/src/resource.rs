//! What the server serves, as data: resources with their versions, built in or from CustomResourceDefinitions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::builtin::Strategy;
use crate::schema::Schema;
use crate::store::Stored;

/// An API group and a resource in it, without version.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name, `pods`.
    pub resource: String,
}

impl GroupResource {
    /// From its two parts.
    pub fn new(group: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// Group, version and kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gvk {
    /// API group; empty for the core group.
    pub group: String,
    /// Version, `v1`.
    pub version: String,
    /// Kind, `Pod`.
    pub kind: String,
}

impl Gvk {
    /// From its three parts.
    pub fn new(group: impl Into<String>, version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// `apiVersion` on the wire: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
}

impl fmt::Display for Gvk {
    /// As Go prints a `schema.GroupVersionKind`: `apps/v1, Kind=Deployment`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// Group, version and plural resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gvr {
    /// API group; empty for the core group.
    pub group: String,
    /// Version, `v1`.
    pub version: String,
    /// Plural name, `pods`.
    pub resource: String,
}

impl Gvr {
    /// From its three parts.
    pub fn new(group: impl Into<String>, version: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), resource: resource.into() }
    }

    /// Without the version.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.group.clone(), self.resource.clone())
    }
}

/// `apiVersion` on the wire: `v1`, `apps/v1`.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Splits an `apiVersion` into group and version; `None` when it has more than one slash.
pub fn parse_api_version(text: &str) -> Option<(&str, &str)> {
    match text.split_once('/') {
        None => Some(("", text)),
        Some((group, version)) if !version.contains('/') => Some((group, version)),
        Some(_) => None,
    }
}

/// Where the scale subresource of a custom resource finds its numbers: JSON paths below the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// `.spec.replicas`.
    pub spec_replicas: String,
    /// `.status.replicas`.
    pub status_replicas: String,
    /// `.status.selector`, a serialized label selector.
    pub label_selector: Option<String>,
}

/// `additionalPrinterColumns` of a custom resource's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterColumn {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub column_type: String,
    /// OpenAPI format.
    pub format: String,
    /// What it shows.
    pub description: String,
    /// 0 is shown always, above 0 with `-o wide` only.
    pub priority: i32,
    /// JSON path below the object.
    pub json_path: String,
}

/// One served or stored version of a resource.
#[derive(Debug, Clone, Default)]
pub struct VersionInfo {
    /// `v1`.
    pub name: String,
    /// Whether requests may use it.
    pub served: bool,
    /// Whether objects are stored in it.
    pub storage: bool,
    /// The schema, for custom resources; that of built-in kinds is looked up lazily ([`ResourceInfo::schema`]).
    pub schema: Option<Arc<Schema>>,
    /// Revision of the definition that this was read from; 0 for built-in resources.
    pub origin: u64,
    /// Tells schemas of a custom resource apart.
    pub fingerprint: u64,
    /// Revision since which the schema of a custom resource is this one: what was stored before is read through it.
    pub since: u64,
    /// Printer columns of a custom resource.
    pub printer_columns: Vec<PrinterColumn>,
    /// Whether `/status` exists.
    pub subresource_status: bool,
    /// Whether `/scale` exists, and where it looks.
    pub subresource_scale: Option<ScalePaths>,
    /// JSON paths that field selectors may use besides name and namespace.
    pub selectable_fields: Vec<String>,
    /// Whether requests get a warning.
    pub deprecated: bool,
    /// The warning, when it is not the usual one.
    pub deprecation_warning: Option<String>,
}

/// Where a resource comes from.
#[derive(Clone)]
pub enum Source {
    /// Compiled in, with its rules.
    Builtin(&'static dyn Strategy),
    /// A CustomResourceDefinition.
    Crd {
        /// UID of the definition.
        uid: String,
        /// Name of the definition.
        name: String,
        /// The definition's `spec.conversion`, when it is by webhook.
        conversion: Option<Arc<serde_json::Value>>,
        /// The definition is being deleted: no new objects.
        terminating: bool,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(_) => f.write_str("Builtin"),
            Self::Crd { name, .. } => write!(f, "Crd({name})"),
        }
    }
}

/// A resource that the server serves.
#[derive(Debug, Clone)]
pub struct ResourceInfo {
    /// Group and plural name.
    pub gr: GroupResource,
    /// Kind of an object.
    pub kind: String,
    /// Kind of a list.
    pub list_kind: String,
    /// Singular name.
    pub singular: String,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories, `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Versions, the preferred one first.
    pub versions: Vec<VersionInfo>,
    /// Built in, or which CustomResourceDefinition.
    pub source: Source,
    /// Verbs in discovery.
    pub verbs: Vec<String>,
}

impl ResourceInfo {
    /// A version by name, served or not.
    pub fn version(&self, name: &str) -> Option<&VersionInfo> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The version that objects are stored in.
    pub fn storage_version(&self) -> &str {
        self.versions.iter().find(|version| version.storage).or(self.versions.first()).map_or("v1", |version| version.name.as_str())
    }

    /// Group, version and kind in one of its versions.
    pub fn gvk(&self, version: &str) -> Gvk {
        Gvk::new(self.gr.group.clone(), version, self.kind.clone())
    }

    /// Group, version and plural in one of its versions.
    pub fn gvr(&self, version: &str) -> Gvr {
        Gvr::new(self.gr.group.clone(), version, self.gr.resource.clone())
    }

    /// Whether it comes from a CustomResourceDefinition.
    pub fn is_custom(&self) -> bool {
        matches!(self.source, Source::Crd { .. })
    }

    /// The rules of a built-in kind.
    pub fn strategy(&self) -> Option<&'static dyn Strategy> {
        match &self.source {
            Source::Builtin(strategy) => Some(*strategy),
            Source::Crd { .. } => None,
        }
    }

    /// The schema of one of its versions.
    pub fn schema(&self, version: &str) -> Option<Arc<Schema>> {
        match &self.source {
            Source::Builtin(_) => crate::schema::builtin::schema_of(&self.gvk(version)),
            Source::Crd { .. } => self.version(version).and_then(|version| version.schema.clone()),
        }
    }

    /// Whether an object is stored as it is read now: in the storage version, and not older than that version's schema.
    pub fn is_current(&self, stored: &Stored) -> bool {
        match &self.source {
            Source::Builtin(_) => true,
            Source::Crd { .. } => self.version(self.storage_version()).is_none_or(|version| version.since <= stored.revision),
        }
    }

    /// Where objects are kept: events of both groups are the same objects.
    pub fn storage_resource(&self) -> GroupResource {
        if self.gr.group == "events.k8s.io" && self.gr.resource == "events" { GroupResource::new("", "events") } else { self.gr.clone() }
    }
}

/// All resources at one moment.
#[derive(Debug, Default)]
struct Snapshot {
    by_resource: BTreeMap<GroupResource, Arc<ResourceInfo>>,
    by_kind: BTreeMap<(String, String), Arc<ResourceInfo>>,
    order: Vec<Arc<ResourceInfo>>,
}

impl Snapshot {
    fn of(order: Vec<Arc<ResourceInfo>>) -> Self {
        let mut snapshot = Self::default();
        for info in order {
            snapshot.by_kind.entry((info.gr.group.clone(), info.kind.clone())).or_insert_with(|| info.clone());
            snapshot.by_resource.insert(info.gr.clone(), info.clone());
            snapshot.order.push(info);
        }
        snapshot
    }
}

#[derive(Debug)]
struct Shared {
    builtin: Vec<Arc<ResourceInfo>>,
    current: RwLock<Arc<Snapshot>>,
    version: AtomicU64,
}

/// The current set of resources; clones share it.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Shared>);

impl Registry {
    /// A registry of built-in resources, in the order of discovery.
    pub fn new(builtin: Vec<ResourceInfo>) -> Self {
        let builtin: Vec<Arc<ResourceInfo>> = builtin.into_iter().map(Arc::new).collect();
        let current = RwLock::new(Arc::new(Snapshot::of(builtin.clone())));
        Self(Arc::new(Shared { builtin, current, version: AtomicU64::new(1) }))
    }

    fn current(&self) -> Arc<Snapshot> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the resources that come from CustomResourceDefinitions.
    pub fn replace_crds(&self, crds: Vec<ResourceInfo>) {
        let all = self.0.builtin.iter().cloned().chain(crds.into_iter().map(Arc::new)).collect();
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Snapshot::of(all));
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// The resource served as group, version and plural.
    pub fn lookup(&self, group: &str, version: &str, plural: &str) -> Option<Arc<ResourceInfo>> {
        let info = self.lookup_resource(&GroupResource::new(group, plural))?;
        info.version(version).is_some_and(|version| version.served).then_some(info)
    }

    /// The resource by group and plural, whatever its versions.
    pub fn lookup_resource(&self, gr: &GroupResource) -> Option<Arc<ResourceInfo>> {
        self.current().by_resource.get(gr).cloned()
    }

    /// The resource whose objects have this kind in this served version.
    pub fn lookup_kind(&self, gvk: &Gvk) -> Option<Arc<ResourceInfo>> {
        let info = self.current().by_kind.get(&(gvk.group.clone(), gvk.kind.clone())).cloned()?;
        info.version(&gvk.version).is_some_and(|version| version.served).then_some(info)
    }

    /// Every resource: built-in ones first, in the order of discovery.
    pub fn all(&self) -> Vec<Arc<ResourceInfo>> {
        self.current().order.clone()
    }

    /// Counts changes, so that discovery and OpenAPI can cache.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }
}
