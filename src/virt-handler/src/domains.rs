//! What the launchers of this node last reported (node.md §5).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use launcher_rpc::{DomainObject, Nic};
use planner::node::{self, Credentials, Disk, Domain, DomainStatus, Grace, GuestNic, Migration};
use runtime::{ObjectKey, WorkQueue};

/// The channel a guest agent listens on.
const AGENT_CHANNEL: &str = "org.qemu.guest_agent.0";

/// The domains, by namespace and name of their VMI. A domain that is gone stays, marked, until it is cleaned up.
#[derive(Debug)]
pub(crate) struct Domains {
    known: Mutex<BTreeMap<ObjectKey, Domain>>,
    queue: WorkQueue<ObjectKey>,
}

impl Domains {
    /// None known; what changes is put into `queue`.
    pub(crate) fn new(queue: WorkQueue<ObjectKey>) -> Self {
        Self { known: Mutex::default(), queue }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Domain>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Domain> {
        self.known().get(key).cloned()
    }

    /// Takes a report in.
    pub(crate) fn report(&self, object: &DomainObject) {
        self.put(&ObjectKey::new(&object.metadata.namespace, &object.metadata.name), observed(object));
    }

    /// Takes a domain in. The end of an earlier incarnation says nothing about the one that lives.
    pub(crate) fn put(&self, key: &ObjectKey, domain: Domain) {
        {
            let mut known = self.known();
            let of_another = |old: &Domain| !old.deleted && !old.uid.is_empty() && old.uid != domain.uid;
            if domain.deleted && known.get(key).is_some_and(of_another) {
                return;
            }
            if known.get(key) == Some(&domain) {
                return;
            }
            known.insert(key.clone(), domain);
        }
        self.queue.add(key.clone());
    }

    /// Marks the domain of a launcher that is gone.
    pub(crate) fn mark_gone(&self, key: &ObjectKey, uid: &str) {
        let domain = match self.get(key) {
            Some(known) if known.uid == uid => Domain { deleted: true, ..known },
            Some(_) => return,
            None => Domain { uid: uid.to_owned(), deleted: true, ..Domain::default() },
        };
        self.put(key, domain);
    }

    /// Forgets the domain of this incarnation.
    pub(crate) fn remove(&self, key: &ObjectKey, uid: &str) {
        let mut known = self.known();
        if known.get(key).is_some_and(|domain| domain.uid == uid || uid.is_empty()) {
            known.remove(key);
        }
    }
}

/// A domain whose launcher cannot be asked.
pub(crate) fn unknown(uid: &str) -> Domain {
    Domain { uid: uid.to_owned(), status: DomainStatus::Unknown, ..Domain::default() }
}

/// What decisions need of a report.
pub(crate) fn observed(object: &DomainObject) -> Domain {
    let DomainObject { metadata, spec, status } = object;
    let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
    let records = &spec.records;
    let os = status.os_info.as_ref().map(|os| {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Box::new(api::v1::VirtualMachineInstanceGuestOSInfo {
            name: text(&os.name),
            kernel_release: text(&os.kernel_release),
            version: text(&os.version),
            pretty_name: text(&os.pretty_name),
            version_id: text(&os.version_id),
            kernel_version: text(&os.kernel_version),
            machine: text(&os.machine),
            id: text(&os.id),
        })
    });
    Domain {
        uid: metadata.uid.clone(),
        deleted: metadata.deletion_timestamp.is_some(),
        status: DomainStatus::parse(&status.status),
        reason: status.reason.clone(),
        acpi: spec.acpi,
        emulated: spec.kind == "qemu",
        machine: spec.machine.clone(),
        current_memory: spec.current_memory,
        agent_connected: spec.channels.iter().any(|channel| channel.name == AGENT_CHANNEL && channel.state == "connected"),
        disks: spec
            .disks
            .iter()
            .map(|disk| Disk { volume: disk.alias.clone(), target: disk.target.clone(), has_medium: !disk.source.is_empty() })
            .collect(),
        nics: spec.interfaces.iter().map(nic).collect(),
        guest_nics: status
            .interfaces
            .iter()
            .map(|nic| GuestNic { name: nic.interface_name.clone(), mac: nic.mac.clone(), ips: nic.ips.clone() })
            .collect(),
        os,
        fs_freeze: status.fs_freeze_status.clone(),
        panics: status.panic_count,
        grace: records.grace_period.as_ref().map(|grace| Grace {
            seconds: grace.deletion_grace_period_seconds,
            since: time(&grace.deletion_timestamp),
            marked: grace.marked_for_graceful_shutdown == Some(true),
        }),
        migration: records.migration.as_ref().map(|migration| {
            Box::new(Migration {
                uid: migration.uid.clone(),
                started: migration.start_timestamp.is_some(),
                ended: migration.end_timestamp.is_some(),
            })
        }),
        credentials: records
            .access_credential
            .as_ref()
            .map(|credential| Box::new(Credentials { succeeded: credential.succeeded, message: credential.message.clone() })),
    }
}

fn nic(nic: &Nic) -> node::Nic {
    node::Nic {
        network: nic.alias.clone(),
        mac: nic.mac.clone(),
        queues: nic.queues.and_then(|queues| i32::try_from(queues).ok()),
        link_down: nic.link_down,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(uid: &str, deleted: bool) -> Domain {
        Domain { uid: uid.to_owned(), deleted, status: DomainStatus::Running, ..Domain::default() }
    }

    #[test]
    fn the_end_of_an_earlier_incarnation_says_nothing_about_the_living_one() {
        let queue = WorkQueue::new();
        let domains = Domains::new(queue.clone());
        let key = ObjectKey::new("ns", "vm");
        domains.put(&key, domain("new", false));
        domains.put(&key, domain("old", true));
        domains.mark_gone(&key, "old");
        domains.remove(&key, "old");
        assert_eq!(domains.get(&key), Some(domain("new", false)));
        domains.mark_gone(&key, "new");
        assert_eq!(domains.get(&key), Some(domain("new", true)));
        domains.remove(&key, "new");
        assert_eq!(domains.get(&key), None);
        assert_eq!(queue.counters().depth, 1);
    }
}
