//! Garbage collection by owner references: background, foreground and orphan deletion.
//!
//! Flow: the metadata of every deletable resource is watched into a [`graph`]; an object whose owners are all gone is
//! deleted, one that some owner still wants loses the references to the others. An owner that waits for its dependents is
//! released when the last blocking one is gone; one that orphans is released when its dependents let go of it.
//!
//! Guarantees: an owner counts as gone only after the API server said so (or has another UID of that name); every
//! deletion carries the UID of what was considered.

mod graph;
mod watching;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::graph::{FOREGROUND, Graph, Node, ORPHAN, Owner, Partial, Work};
use crate::client::{Answer, optional};
use crate::cluster::Shared;
use crate::discovery::{ApiResource, resources};
use crate::queue::Queue;

/// What watchers report.
enum Seen {
    Changed(Arc<ApiResource>, graph::PartialMeta),
    Gone(Arc<ApiResource>, String),
    /// A fresh list: objects of the resource that are not in it are gone.
    Listed(Arc<ApiResource>, BTreeSet<String>),
}

/// Resources that own and are owned by nobody, and change all the time.
fn watched(resource: &ApiResource) -> bool {
    let churn =
        matches!((resource.group.as_str(), resource.plural.as_str()), ("" | "events.k8s.io", "events") | ("coordination.k8s.io", "leases"));
    !churn && ["list", "watch", "delete"].iter().all(|verb| resource.can(verb))
}

/// Definitions come in bunches: the resources are looked at this long after the first one changed.
const DEFINITIONS_SETTLE: Duration = Duration::from_millis(100);
/// A server that could not be asked is asked again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// UIDs that are known not to exist any more.
const ABSENT: usize = 10_000;

struct Collector {
    shared: Shared,
    graph: Graph,
    queue: Queue<Work>,
    watches: BTreeMap<(String, String), Arc<ApiResource>>,
    absent: BTreeSet<String>,
    sender: mpsc::UnboundedSender<Seen>,
}

/// Collects until the cluster stops.
pub(crate) async fn run(shared: Shared) {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let mut collector = Collector {
        shared: shared.clone(),
        graph: Graph::default(),
        queue: Queue::new(),
        watches: BTreeMap::new(),
        absent: BTreeSet::new(),
        sender,
    };
    let mut look = Some(Instant::now());
    loop {
        if look.is_some_and(|due| due <= Instant::now()) {
            let seen_all = collector.look_around().await;
            look = (!seen_all).then(|| Instant::now() + LOOK_AGAIN);
        }
        let queue = collector.queue.clone();
        let pause = async {
            match look {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            event = seen.recv() => match event {
                None => return,
                Some(event) => {
                    let definition = matches!(
                        &event,
                        Seen::Changed(resource, _) | Seen::Gone(resource, _) if resource.plural == "customresourcedefinitions"
                    );
                    if definition && look.is_none() {
                        look = Some(Instant::now() + DEFINITIONS_SETTLE);
                    }
                    collector.observe(event);
                }
            },
            work = queue.next() => collector.handle(work).await,
            () = pause => {}
        }
    }
}

impl Collector {
    /// Starts watches for resources that are new; false if the server could not be asked.
    async fn look_around(&mut self) -> bool {
        let found = match resources(&self.shared.client).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "discovery failed");
                return false;
            }
        };
        for resource in found.into_iter().filter(watched) {
            let key = (resource.group.clone(), resource.plural.clone());
            if let Entry::Vacant(entry) = self.watches.entry(key) {
                let resource = entry.insert(Arc::new(resource)).clone();
                watching::spawn(self.shared.clone(), resource, self.sender.clone());
            }
        }
        true
    }

    fn observe(&mut self, event: Seen) {
        let work = match event {
            Seen::Changed(resource, object) => self.graph.observe(&resource, object),
            Seen::Gone(_, uid) => {
                self.remember_absent(uid.clone());
                self.graph.forget(&uid)
            }
            Seen::Listed(resource, present) => {
                let gone: Vec<String> = self.graph.of_resource(&resource).into_iter().filter(|uid| !present.contains(uid)).collect();
                gone.iter().flat_map(|uid| self.graph.forget(uid)).collect()
            }
        };
        for work in work {
            self.queue.add(work);
        }
    }

    fn remember_absent(&mut self, uid: String) {
        if self.absent.len() >= ABSENT {
            self.absent.pop_first();
        }
        self.absent.insert(uid);
    }

    async fn handle(&mut self, work: Work) {
        let result = match &work {
            Work::Consider(uid) => self.consider(uid).await,
            Work::Foreground(uid) => self.foreground(uid).await,
            Work::Orphan(uid) => self.orphan(uid).await,
        };
        match result {
            Ok(()) => self.queue.done(&work),
            Err(error) => {
                tracing::debug!(%error, ?work, "garbage collection will try again");
                self.queue.retry(work);
            }
        }
    }

    /// Whether an owner exists. What cannot be asked about counts as existing.
    async fn exists(&mut self, owner: &Owner, namespace: &str) -> Answer<bool> {
        if self.graph.get(&owner.uid).is_some() {
            return Ok(true);
        }
        if self.absent.contains(&owner.uid) {
            return Ok(false);
        }
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        let resource = self.watches.values().find(|resource| resource.group == group && resource.kind == owner.kind).cloned();
        let Some(resource) = resource else { return Ok(true) };
        let answer: Answer<Partial> = self.shared.client.get(&resource.path(namespace, &owner.name)).await;
        let there = optional(answer)?.is_some_and(|found| found.metadata.uid == owner.uid);
        if !there {
            self.remember_absent(owner.uid.clone());
        }
        Ok(there)
    }

    async fn consider(&mut self, uid: &str) -> Answer<()> {
        let Some(node) = self.graph.get(uid).cloned() else { return Ok(()) };
        if node.deleting {
            return if node.waits_for_dependents() { self.foreground(uid).await } else { Ok(()) };
        }
        if node.owners.is_empty() {
            return Ok(());
        }
        let (mut solid, mut leaving, mut waiting) = (Vec::new(), Vec::new(), false);
        for owner in &node.owners {
            let foreground = self.graph.get(&owner.uid).is_some_and(Node::waits_for_dependents);
            if foreground {
                waiting = true;
                leaving.push(owner);
            } else if self.exists(owner, &node.namespace).await? {
                solid.push(owner);
            } else {
                leaving.push(owner);
            }
        }
        if !solid.is_empty() {
            return if leaving.is_empty() { Ok(()) } else { self.keep_owners(uid, &node, &solid).await };
        }
        let policy = if waiting && !self.graph.dependents(uid).is_empty() || node.has_finalizer(FOREGROUND) {
            "Foreground"
        } else if node.has_finalizer(ORPHAN) {
            "Orphan"
        } else {
            "Background"
        };
        let path = node.resource.path(&node.namespace, &node.name);
        // What is known of its owners may be old: those that let it go did so before they went. A change of it comes back here.
        let current: Option<Value> = optional(self.shared.client.get(&path).await)?;
        let owners = current.iter().filter_map(|current| current["metadata"]["ownerReferences"].as_array()).flatten();
        if !owners.map(|owner| owner["uid"].as_str()).eq(node.owners.iter().map(|owner| Some(owner.uid.as_str()))) {
            return Ok(());
        }
        match self.shared.client.delete(&path, uid, None, Some(policy)).await {
            // Somebody else's object of that name.
            Err(error) if error.code() == 409 => Ok(()),
            other => other,
        }
    }

    async fn keep_owners(&self, uid: &str, node: &Node, owners: &[&Owner]) -> Answer<()> {
        let path = node.resource.path(&node.namespace, &node.name);
        let current: Option<Value> = optional(self.shared.client.get(&path).await)?;
        let Some(current) = current.filter(|current| current["metadata"]["uid"].as_str() == Some(uid)) else { return Ok(()) };
        let kept: Vec<Value> = current["metadata"]["ownerReferences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|reference| owners.iter().any(|owner| reference["uid"].as_str() == Some(&owner.uid)))
            .cloned()
            .collect();
        let body = json!({"metadata": {
            "uid": uid, "resourceVersion": current["metadata"]["resourceVersion"],
            "ownerReferences": if kept.is_empty() { Value::Null } else { Value::from(kept) }
        }});
        optional(self.shared.client.merge(&path, &body).await).map(drop)
    }

    async fn foreground(&mut self, uid: &str) -> Answer<()> {
        let Some(node) = self.graph.get(uid).filter(|node| node.waits_for_dependents()).cloned() else { return Ok(()) };
        if self.graph.blocking(uid) == 0 {
            return self.release(uid, &node, FOREGROUND).await;
        }
        for dependent in self.graph.dependents(uid) {
            if self.graph.get(&dependent).is_some_and(|node| !node.deleting) {
                self.queue.add(Work::Consider(dependent));
            }
        }
        Ok(())
    }

    async fn orphan(&mut self, uid: &str) -> Answer<()> {
        let Some(node) = self.graph.get(uid).cloned() else { return Ok(()) };
        for dependent in self.graph.dependents(uid) {
            let Some(other) = self.graph.get(&dependent).cloned() else { continue };
            let kept: Vec<&Owner> = other.owners.iter().filter(|owner| owner.uid != uid).collect();
            self.keep_owners(&dependent, &other, &kept).await?;
        }
        self.release(uid, &node, ORPHAN).await
    }

    /// Takes a finalizer away.
    async fn release(&self, uid: &str, node: &Node, finalizer: &str) -> Answer<()> {
        let path = node.resource.path(&node.namespace, &node.name);
        let rest: Vec<&String> = node.finalizers.iter().filter(|other| *other != finalizer).collect();
        let body = json!({"metadata": {"uid": uid, "resourceVersion": node.version, "finalizers": rest}});
        optional(self.shared.client.merge(&path, &body).await).map(drop)
    }
}
