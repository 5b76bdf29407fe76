//! What was looked up for a review.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Stop;
use super::decode;

/// An object, or all objects of a kind in a namespace, that a rule has to see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// `group/version` of the kind; `v1` for the core.
    pub api_version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The namespace; empty for cluster-wide kinds, and for a list over all namespaces.
    pub namespace: String,
    /// The name; `None` for all objects.
    pub name: Option<String>,
}

/// Objects that were looked up, also those that do not exist.
#[derive(Clone, Debug, Default)]
pub struct Known {
    found: BTreeMap<Need, Vec<Value>>,
    refused: BTreeMap<&'static str, String>,
}

impl Known {
    /// Remembers the outcome of a look-up; an object that does not exist is an empty list.
    pub fn add(&mut self, need: Need, objects: Vec<Value>) {
        self.found.insert(need, objects);
    }

    /// Remembers that the API server refused a trial, and why.
    pub fn refused(&mut self, kind: &'static str, why: String) {
        self.refused.insert(kind, why);
    }

    /// Why the API server refused the trial of a kind, if it did.
    pub(crate) fn refusal(&self, kind: &str) -> Option<&str> {
        self.refused.get(kind).map(String::as_str)
    }

    /// The first object of a kind among those looked up.
    pub fn find<T: DeserializeOwned>(&self, kind: &str) -> Option<T> {
        let mut found = self.found.iter().filter(|(need, _)| need.kind == kind).flat_map(|(_, objects)| objects);
        found.next().and_then(|object| decode(object).ok())
    }

    /// What a look-up found; `None` if nobody looked yet.
    pub fn objects(&self, need: &Need) -> Option<&[Value]> {
        self.found.get(need).map(Vec::as_slice)
    }

    fn look(&self, need: Need) -> Result<&[Value], Stop> {
        self.found.get(&need).map(Vec::as_slice).ok_or(Stop::Need(need))
    }

    /// One object; `None` if it does not exist.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        (api_version, kind): (&'static str, &'static str),
        namespace: &str,
        name: &str,
    ) -> Result<Option<T>, Stop> {
        if name.is_empty() {
            return Ok(None);
        }
        let need = Need { api_version, kind, namespace: namespace.to_owned(), name: Some(name.to_owned()) };
        self.look(need)?.first().map(decode).transpose()
    }

    /// All objects of a kind in a namespace.
    pub(crate) fn list<T: DeserializeOwned>(
        &self,
        (api_version, kind): (&'static str, &'static str),
        namespace: &str,
    ) -> Result<Vec<T>, Stop> {
        let need = Need { api_version, kind, namespace: namespace.to_owned(), name: None };
        self.look(need)?.iter().map(decode).collect()
    }
}

/// Kinds that rules look up.
pub(crate) mod kinds {
    pub(crate) const VM: (&str, &str) = ("kubevirt.io/v1", "VirtualMachine");
    pub(crate) const VMI: (&str, &str) = ("kubevirt.io/v1", "VirtualMachineInstance");
    pub(crate) const MIGRATION: (&str, &str) = ("kubevirt.io/v1", "VirtualMachineInstanceMigration");
    pub(crate) const PRESET: (&str, &str) = ("kubevirt.io/v1", "VirtualMachineInstancePreset");
    pub(crate) const REPLICASET: (&str, &str) = ("kubevirt.io/v1", "VirtualMachineInstanceReplicaSet");
    pub(crate) const KUBEVIRT: (&str, &str) = ("kubevirt.io/v1", "KubeVirt");
    pub(crate) const SNAPSHOT: (&str, &str) = ("snapshot.kubevirt.io/v1beta1", "VirtualMachineSnapshot");
    pub(crate) const SNAPSHOT_CONTENT: (&str, &str) = ("snapshot.kubevirt.io/v1beta1", "VirtualMachineSnapshotContent");
    pub(crate) const RESTORE: (&str, &str) = ("snapshot.kubevirt.io/v1beta1", "VirtualMachineRestore");
    pub(crate) const BACKUP: (&str, &str) = ("backup.kubevirt.io/v1alpha1", "VirtualMachineBackup");
    pub(crate) const PREFERENCE: (&str, &str) = ("instancetype.kubevirt.io/v1beta1", "VirtualMachinePreference");
    pub(crate) const CLUSTER_PREFERENCE: (&str, &str) = ("instancetype.kubevirt.io/v1beta1", "VirtualMachineClusterPreference");
    pub(crate) const INSTANCETYPE: (&str, &str) = ("instancetype.kubevirt.io/v1beta1", "VirtualMachineInstancetype");
    pub(crate) const CLUSTER_INSTANCETYPE: (&str, &str) = ("instancetype.kubevirt.io/v1beta1", "VirtualMachineClusterInstancetype");
    pub(crate) const REVISION: (&str, &str) = ("apps/v1", "ControllerRevision");
    pub(crate) const CLAIM: (&str, &str) = ("v1", "PersistentVolumeClaim");
    pub(crate) const VOLUME_SNAPSHOT: (&str, &str) = ("snapshot.storage.k8s.io/v1", "VolumeSnapshot");
    pub(crate) const DATA_VOLUME: (&str, &str) = ("cdi.kubevirt.io/v1beta1", "DataVolume");
    pub(crate) const DATA_SOURCE: (&str, &str) = ("cdi.kubevirt.io/v1beta1", "DataSource");
    pub(crate) const POD: (&str, &str) = ("v1", "Pod");
}
