//! From what the hypervisor says to what the handler is told (hypervisor.md §3, node.md §3.6).

use domain::Domain;
use launcher_rpc::{Channel, Disk, DomainFacts, Nic, Records};
use lifecycle::{CrashedReason, DomainState, PausedReason, ShutdownReason, ShutoffReason};

/// A domain that does not exist.
pub(crate) const NON_EXISTENT: (&str, &str) = ("NoState", "NonExistent");

/// Upstream's words for a state and its reason. Reasons without a word are empty.
pub(crate) fn status_words(state: DomainState) -> (&'static str, &'static str) {
    match state {
        DomainState::NoState => ("NoState", "Unknown"),
        DomainState::Running(_) => ("Running", "Unknown"),
        DomainState::Blocked => ("Blocked", "Unknown"),
        DomainState::Paused(reason) => ("Paused", paused(reason)),
        DomainState::ShuttingDown(ShutdownReason::Unknown) => ("ShuttingDown", "Unknown"),
        DomainState::ShuttingDown(ShutdownReason::User) => ("ShuttingDown", "User"),
        DomainState::Shutoff(reason) => ("Shutoff", shutoff(reason)),
        DomainState::Crashed(CrashedReason::Unknown) => ("Crashed", "Unknown"),
        DomainState::Crashed(CrashedReason::Panicked) => ("Crashed", "Panicked"),
        DomainState::PmSuspended => ("PMSuspended", "Unknown"),
    }
}

fn paused(reason: PausedReason) -> &'static str {
    match reason {
        PausedReason::Unknown => "Unknown",
        PausedReason::User => "User",
        PausedReason::Migration => "Migration",
        PausedReason::Save => "Save",
        PausedReason::Dump => "Dump",
        PausedReason::IoError => "IOError",
        PausedReason::Watchdog => "Watchdog",
        PausedReason::FromSnapshot => "FromSnapshot",
        PausedReason::ShuttingDown => "ShuttingDown",
        PausedReason::Snapshot => "Snapshot",
        PausedReason::Crashed => "Crashed",
        PausedReason::StartingUp => "StartingUp",
        PausedReason::Postcopy => "Postcopy",
        PausedReason::PostcopyFailed => "PostcopyFailed",
        PausedReason::ApiError => "",
    }
}

fn shutoff(reason: ShutoffReason) -> &'static str {
    match reason {
        ShutoffReason::Unknown => "Unknown",
        ShutoffReason::Shutdown => "Shutdown",
        ShutoffReason::Destroyed => "Destroyed",
        ShutoffReason::Crashed => "Crashed",
        ShutoffReason::Migrated => "Migrated",
        ShutoffReason::Saved => "Saved",
        ShutoffReason::Failed => "Failed",
        ShutoffReason::FromSnapshot => "FromSnapshot",
        ShutoffReason::Daemon => "",
    }
}

/// What the handler needs of a description.
pub(crate) fn facts(description: &Domain, records: Records) -> DomainFacts {
    let devices = &description.devices;
    let alias = |alias: &Option<domain::Alias>| alias.as_ref().map(|alias| alias.name.clone()).unwrap_or_default();
    DomainFacts {
        name: description.name.clone(),
        uuid: description.uuid.clone().unwrap_or_default(),
        kind: description.kind.clone(),
        machine: description.os.kind.machine.clone(),
        arch: description.os.kind.arch.clone(),
        acpi: description.features.as_ref().is_some_and(|features| features.acpi.is_some()),
        current_memory: description.current_memory.as_ref().and_then(domain::Memory::to_bytes),
        channels: devices
            .channels
            .iter()
            .filter_map(|channel| channel.target.as_ref())
            .map(|target| Channel { name: target.name.clone().unwrap_or_default(), state: target.state.clone().unwrap_or_default() })
            .collect(),
        disks: devices
            .disks
            .iter()
            .map(|disk| Disk {
                alias: alias(&disk.alias),
                target: disk.target.dev.clone().unwrap_or_default(),
                source: disk.source.path().unwrap_or_default().to_owned(),
            })
            .collect(),
        interfaces: devices
            .interfaces
            .iter()
            .map(|nic| Nic {
                alias: alias(&nic.alias),
                mac: nic.mac.as_ref().map(|mac| mac.address.clone()).unwrap_or_default(),
                queues: nic.driver.as_ref().and_then(|driver| driver.queues),
                link_down: nic.link.as_ref().is_some_and(|link| link.state == "down"),
            })
            .collect(),
        records,
    }
}

/// The states from which a domain is started (node.md §7.1).
pub(crate) fn is_down(state: DomainState) -> bool {
    match state {
        DomainState::NoState | DomainState::ShuttingDown(_) | DomainState::Shutoff(_) | DomainState::Crashed(_) => true,
        DomainState::Running(_) | DomainState::Blocked | DomainState::Paused(_) | DomainState::PmSuspended => false,
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::RunningReason;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(DomainState::Running(RunningReason::Booted), "Running", "Unknown", false)]
    #[case(DomainState::Paused(PausedReason::User), "Paused", "User", false)]
    #[case(DomainState::Paused(PausedReason::IoError), "Paused", "IOError", false)]
    #[case(DomainState::Paused(PausedReason::ApiError), "Paused", "", false)]
    #[case(DomainState::ShuttingDown(ShutdownReason::User), "ShuttingDown", "User", true)]
    #[case(DomainState::Shutoff(ShutoffReason::Daemon), "Shutoff", "", true)]
    #[case(DomainState::Crashed(CrashedReason::Panicked), "Crashed", "Panicked", true)]
    #[case(DomainState::PmSuspended, "PMSuspended", "Unknown", false)]
    fn words(#[case] state: DomainState, #[case] status: &str, #[case] reason: &str, #[case] down: bool) {
        assert_eq!((status_words(state), is_down(state)), ((status, reason), down));
    }
}
