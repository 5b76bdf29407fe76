//! What guests are going to do, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Something a guest, or its process, does by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestEvent {
    /// It is up.
    Boots,
    /// Its agent connects.
    AgentConnects,
    /// Its agent goes away.
    AgentDisconnects,
    /// It powers off, by itself or because it was asked to.
    PowersOff,
    /// It reboots.
    Reboots,
    /// Its kernel panics.
    Panics,
    /// Its first disk has no space left.
    RunsOutOfSpace,
    /// It lets go of a device.
    ReleasesDevice {
        /// The device's alias, without the prefix of user aliases.
        alias: String,
    },
    /// Its process exits, after it powered off.
    ProcessExits,
    /// Its process dies.
    ProcessDies,
}

impl GuestEvent {
    /// Whether it happens even while the guest's processors stand still.
    fn is_of_the_host(&self) -> bool {
        match self {
            Self::ProcessExits | Self::ProcessDies => true,
            Self::Boots
            | Self::AgentConnects
            | Self::AgentDisconnects
            | Self::PowersOff
            | Self::Reboots
            | Self::Panics
            | Self::RunsOutOfSpace
            | Self::ReleasesDevice { .. } => false,
        }
    }
}

/// What is due when, of all domains; equal times keep the order of entry.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    entries: BTreeMap<(Instant, u64), (String, GuestEvent)>,
    /// What halted guests will go on with, and how much of their time it takes until then.
    halted: BTreeMap<String, Vec<(Duration, GuestEvent)>>,
    entered: u64,
}

impl Agenda {
    /// Enters what a domain is going to do at `at`.
    pub(crate) fn enter(&mut self, at: Instant, domain: &str, event: GuestEvent) {
        self.entered += 1;
        self.entries.insert((at, self.entered), (domain.to_owned(), event));
    }

    /// When the next entry is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next entry, if it is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, String, GuestEvent)> {
        if self.next_due()? <= now { self.pop() } else { None }
    }

    /// The next entry, due or not.
    pub(crate) fn pop(&mut self) -> Option<(Instant, String, GuestEvent)> {
        self.entries.pop_first().map(|((due, _), (domain, event))| (due, domain, event))
    }

    /// All entries in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &GuestEvent)> {
        self.entries.values().map(|(domain, event)| (domain.as_str(), event))
    }

    /// Whether the domain is going to do this.
    pub(crate) fn holds(&self, domain: &str, event: &GuestEvent) -> bool {
        self.entries().any(|(of, entry)| of == domain && entry == event)
            || self.halted.get(domain).is_some_and(|entries| entries.iter().any(|(_, entry)| entry == event))
    }

    /// Stops a guest's time.
    pub(crate) fn halt(&mut self, domain: &str, now: Instant) {
        let due: Vec<_> =
            self.entries.iter().filter(|(_, (of, event))| of == domain && !event.is_of_the_host()).map(|(key, _)| *key).collect();
        let halted = self.halted.entry(domain.to_owned()).or_default();
        for key in due {
            if let Some((_, event)) = self.entries.remove(&key) {
                halted.push((key.0.saturating_duration_since(now), event));
            }
        }
    }

    /// Lets a guest's time go on.
    pub(crate) fn go_on(&mut self, domain: &str, now: Instant) {
        for (left, event) in self.halted.remove(domain).unwrap_or_default() {
            self.enter(now + left, domain, event);
        }
    }

    /// Drops what a domain was going to do, where `dropped` says so.
    pub(crate) fn drop_entries(&mut self, domain: &str, dropped: impl Fn(&GuestEvent) -> bool) {
        self.entries.retain(|_, (of, event)| of != domain || !dropped(event));
        if let Some(halted) = self.halted.get_mut(domain) {
            halted.retain(|(_, event)| !dropped(event));
        }
    }

    /// Drops everything of a domain.
    pub(crate) fn forget(&mut self, domain: &str) {
        self.entries.retain(|_, (of, _)| of != domain);
        self.halted.remove(domain);
    }
}
