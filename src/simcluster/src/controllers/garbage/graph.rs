//! Who owns whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::discovery::ApiResource;

/// The finalizer of foreground deletion.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of deletion that leaves dependents alone.
pub(super) const ORPHAN: &str = "orphan";

/// A reference to an owner.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Owner {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
    #[serde(default)]
    pub(super) block_owner_deletion: bool,
}

/// What the collector reads of an object.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Partial {
    pub(super) metadata: PartialMeta,
}

/// Metadata, as far as it matters here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PartialMeta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) deletion_timestamp: Option<String>,
    pub(super) finalizers: Vec<String>,
    pub(super) owner_references: Vec<Owner>,
}

/// An object.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) resource: Arc<ApiResource>,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) owners: Vec<Owner>,
    pub(super) finalizers: Vec<String>,
    pub(super) deleting: bool,
}

impl Node {
    pub(super) fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == name)
    }

    pub(super) fn waits_for_dependents(&self) -> bool {
        self.deleting && self.has_finalizer(FOREGROUND)
    }

    fn orphans(&self) -> bool {
        self.deleting && self.has_finalizer(ORPHAN)
    }
}

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// Do the owners of this object still exist?
    Consider(String),
    /// Delete the dependents of this object, then let it go.
    Foreground(String),
    /// Detach the dependents of this object, then let it go.
    Orphan(String),
}

/// All objects and their dependents, by UID.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: BTreeMap<String, Node>,
    dependents: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<String> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// The dependents that hold back a foreground deletion of `uid`.
    pub(super) fn blocking(&self, uid: &str) -> usize {
        self.dependents
            .get(uid)
            .into_iter()
            .flatten()
            .filter_map(|dependent| self.nodes.get(dependent))
            .filter(|node| node.owners.iter().any(|owner| owner.uid == uid && owner.block_owner_deletion))
            .count()
    }

    /// The UIDs of all objects of a resource.
    pub(super) fn of_resource(&self, resource: &ApiResource) -> Vec<String> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.resource.group == resource.group && node.resource.plural == resource.plural)
            .map(|(uid, _)| uid.clone())
            .collect()
    }

    fn unlink(&mut self, uid: &str, owners: &[Owner]) {
        for owner in owners {
            if let Some(set) = self.dependents.get_mut(&owner.uid) {
                set.remove(uid);
                if set.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }

    /// An object was added or changed.
    pub(super) fn observe(&mut self, resource: &Arc<ApiResource>, object: PartialMeta) -> Vec<Work> {
        let uid = object.uid.clone();
        let node = Node {
            resource: resource.clone(),
            namespace: object.namespace,
            name: object.name,
            version: object.resource_version,
            owners: object.owner_references,
            finalizers: object.finalizers,
            deleting: object.deletion_timestamp.is_some(),
        };
        let old = self.nodes.get(&uid).cloned();
        let mut work = Vec::new();
        let owners_changed = old.as_ref().is_none_or(|old| old.owners != node.owners);
        if owners_changed {
            if let Some(old) = &old {
                self.unlink(&uid, &old.owners);
                // A dependent that let go may have been the last that its owner waited for.
                for owner in old.owners.iter().filter(|owner| self.nodes.get(&owner.uid).is_some_and(Node::waits_for_dependents)) {
                    work.push(Work::Foreground(owner.uid.clone()));
                }
            }
            for owner in &node.owners {
                self.dependents.entry(owner.uid.clone()).or_default().insert(uid.clone());
            }
            let owned_by_the_absent = node.owners.iter().any(|owner| self.nodes.get(&owner.uid).is_none_or(Node::waits_for_dependents));
            if owned_by_the_absent {
                work.push(Work::Consider(uid.clone()));
            }
        }
        let was = |test: fn(&Node) -> bool| old.as_ref().is_some_and(test);
        if node.waits_for_dependents() && !was(Node::waits_for_dependents) {
            work.push(Work::Foreground(uid.clone()));
        }
        if node.orphans() && !was(Node::orphans) {
            work.push(Work::Orphan(uid.clone()));
        }
        self.nodes.insert(uid, node);
        work
    }

    /// An object is gone.
    pub(super) fn forget(&mut self, uid: &str) -> Vec<Work> {
        let Some(node) = self.nodes.remove(uid) else { return Vec::new() };
        self.unlink(uid, &node.owners);
        let mut work: Vec<Work> = self.dependents(uid).into_iter().map(Work::Consider).collect();
        for owner in &node.owners {
            if self.nodes.get(&owner.uid).is_some_and(Node::waits_for_dependents) {
                work.push(Work::Foreground(owner.uid.clone()));
            }
        }
        work
    }
}
