//! What guests do by themselves, and what is announced of it (hypervisor.md §9.1, §14).

use lifecycle::{CrashedReason, DomainState, PausedReason, RunningReason, ShutoffReason};

use super::Check;
use super::case::{Case, accepted, equal, holds, state_is};
use crate::StartMode;

pub(super) async fn announces_a_power_off(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    case.expect("SHUTDOWN/GUEST").await?;
    case.expect("STOPPED/SHUTDOWN").await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Shutdown)).await
}

pub(super) async fn reboots_in_its_process(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    case.nothing().await?;
    state_is(&*domain, DomainState::Running(RunningReason::Booted)).await
}

pub(super) async fn stops_instead_of_rebooting(mut case: Case<'_>) -> Check {
    case.definition.on_reboot = Some("destroy".to_owned());
    let domain = case.start().await?;
    case.expect("SHUTDOWN/GUEST").await?;
    case.expect("STOPPED/SHUTDOWN").await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Shutdown)).await
}

pub(super) async fn announces_the_death_of_a_process(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    case.expect("STOPPED/FAILED").await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Crashed)).await
}

/// The guest panicked. QEMU halts the processors too; whether that is noticed first is chance.
async fn panicked(case: &mut Case<'_>) -> Check {
    let first = case.next("CRASHED/PANICKED").await?;
    let panicked = if first == "SUSPENDED/PAUSED" { case.next("CRASHED/PANICKED").await? } else { first };
    equal("event", &panicked.as_str(), &"CRASHED/PANICKED")
}

pub(super) async fn announces_a_panic(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    panicked(&mut case).await?;
    case.expect("STOPPED/CRASHED").await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Crashed)).await
}

pub(super) async fn preserves_a_crashed_guest(mut case: Case<'_>) -> Check {
    case.definition.on_crash = Some("preserve".to_owned());
    let domain = case.start().await?;
    panicked(&mut case).await?;
    state_is(&*domain, DomainState::Crashed(CrashedReason::Panicked)).await?;
    case.nothing().await?;
    accepted("destroy", domain.destroy().await)?;
    case.expect_destroyed().await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Destroyed)).await
}

pub(super) async fn pauses_when_a_disk_is_full(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    case.expect("SUSPENDED/IOERROR").await?;
    state_is(&*domain, DomainState::Paused(PausedReason::IoError)).await?;
    let errors = accepted("disk errors", domain.disk_errors().await)?;
    holds("one disk is full", errors.len() == 1 && errors.iter().all(|error| error.no_space))?;
    accepted("resume", domain.resume().await)?;
    case.expect("RESUMED/UNPAUSED").await?;
    case.nothing().await?;
    state_is(&*domain, DomainState::Running(RunningReason::Unpaused)).await
}

pub(super) async fn says_failed_when_it_cannot_start(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    holds("create fails", domain.create(StartMode::Running).await.is_err())?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Failed)).await?;
    holds("create fails again", domain.create(StartMode::Running).await.is_err())?;
    case.nothing().await?;
    let id = accepted("description", domain.description(crate::View::Live).await)?.id;
    equal("number of a domain that is off", &id, &None)
}
